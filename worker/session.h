/*
 * session - whose request is this? The cookie, and the row behind it
 *
 * session_find() is a phase: it looks for the one good cookie of the app, asks session_memory.h,
 * reads the row where that says nothing (over the pipelined pool), judges it, and leaves r->session
 * and r->session_why. It denies nothing: that is the policy's, so that an outage (REASON_STORE) is
 * never mistaken for "not logged in". A row that may have changed since it was asked for, or that
 * came too late, is read again, SESSION_READS_MAX times a request in all.
 *
 * What it leaves is borrowed from memory until the request waits for anything; the spine takes it
 * back then, and the phase after the wait is session_find() again.
 */
#ifndef BFF_SESSION_H
#define BFF_SESSION_H

#include "worker/denial.h"

#define SESSION_READS_MAX 4

/* The cookie alone: no database. r->cookie, r->hash (r->has_hash), r->session_why (REASON_NONE: a
 * good one). */
void session_cookie(struct request *r);
/* The same for who ends the session, for which one that is bound to another client is as good: who
 * brings its secret was that client once, or is a thief whose loot is worth nothing afterwards. No
 * session_find() after it. */
void session_cookie_to_end(struct request *r);

enum step session_find(struct request *r);

/* The request counts as activity: noted when it is due. */
void session_in_use(struct request *r);

/* The token for the route's service that stands beside the session; empty: none. */
struct sv session_token(const struct request *r);

/* The broker's answer to a question of r->token_asked_ms; stands beside the session from now on, if
 * that is still there. */
void session_keep_token(struct request *r, struct sv token, int64_t left_ms);

/* A text that depends on the session and `key` alone; empty: none is kept. */
struct sv session_block(const struct request *r, const void *key);
/* Keeps one. Call it last: what session_find() left may be gone afterwards. */
void session_keep_block(struct request *r, const void *key, struct sv text);

/* The session of r->hash ended, or may have, by our own doing: memory says yes no more. */
void session_over(const struct request *r);

/* Pure: what a row's state and app mean for a request to `want`. REASON_NONE: live. */
enum reason session_judge(struct sv state, struct sv app, struct sv want);

/* Ends the session of r->hash in the database, without the broker; then r->waited and r->ended. */
enum step session_end_here(struct request *r);

#endif
