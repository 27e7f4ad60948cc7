/*
 * session - whose request is this? The cookie, and the row behind it
 *
 * session_find() is a phase: it looks for the one good cookie of the app, reads the row (each time,
 * over the pipelined pool), judges it, and leaves r->session and r->session_why. It denies nothing:
 * that is the policy's, so that an outage (REASON_STORE) is never mistaken for "not logged in".
 */
#ifndef BFF_SESSION_H
#define BFF_SESSION_H

#include "worker/denial.h"

/* The cookie alone: no database. r->cookie, r->hash, r->session_why (REASON_NONE: a good one). */
void session_cookie(struct request *r);

enum step session_find(struct request *r);

/* Pure: what a row's state and app mean for a request to `want`. REASON_NONE: live. */
enum reason session_judge(struct sv state, struct sv app, struct sv want);

/* Ends the session of r->hash in the database, without the broker; then r->waited and r->ended. */
enum step session_end_here(struct request *r);

#endif
