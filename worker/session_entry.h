/*
 * session_entry - one session as the worker keeps it: its row, tokens, and ready headers
 *
 * The worker's value in common/session_cache, or owned by the one request that read it where it
 * could not be filed. One allocation for the row; tokens and blocks hang on it and go with it,
 * wiped. Tokens are those of this session alone, one a service (a worker has one configuration, so
 * a service's address names both); a token is kept for half of what it has left, so that the next
 * one is asked for while this one still serves: the broker renews ahead by itself, and hears of use
 * at least as often as entries end. Blocks are texts that depend on the session and a key of the
 * configuration alone; whoever makes one says what is in it. It begins with its struct
 * session_cached. Pure of I/O.
 */
#ifndef BFF_SESSION_ENTRY_H
#define BFF_SESSION_ENTRY_H

#include "common/pg.h"
#include "common/sv.h"

#define SESSION_ROW_MAX 131072	    /* bytes of one session row */
#define SESSION_TOKENS_MAX 16	    /* of one session; further ones are asked for each time */
#define SESSION_BLOCKS_MAX 16	    /* the same of blocks, which are then made each time */
#define SESSION_TOKEN_SHARE 2	    /* kept for this part of what it has left */
#define SESSION_TOUCH_MS 60000	    /* activity is noted so often: what session_touch() does */
#define SESSION_TOUCH_SLACK_MS 1000 /* the row's clock and ours; touches go once a second */

struct config_app;
struct config_service;
struct session_entry;

/* What a row says; views are valid as long as the rows or the entry. Times left are as of the
 * sending of the query. */
struct session_row {
	struct sv ref, subject, claims, acr;
	int64_t auth_time_s, idle_left_ms, absolute_left_ms;
	bool touch_due;
	unsigned char *policy_bits; /* of an entry: policy_eval()'s, kept with it */
};

/* What the row alone does not say. */
struct session_entry_of {
	const struct config_app *app; /* whose session it was seen to be */
	int64_t sent_ms;	      /* when the query was sent */
	int64_t idle_ms; /* the app's idle limit: the age of the last noted activity follows */
	size_t policy_bits_n;
};
/* Copies. ERR_NOMEM; ERR_LIMIT (SESSION_ROW_MAX). */
WARN_UNUSED enum err session_entry_new(const struct session_row *row,
				       const struct session_entry_of *of,
				       struct session_entry **ret);
void session_entry_free(struct session_entry **e);

/* Times left are as of now. */
struct session_row session_entry_row(struct session_entry *e, int64_t now_ms);

/* What an answer for this service (NULL: for none) is made of is on its way from memory afterwards,
 * while something else is done. */
void session_entry_fetch(const struct session_entry *e, const struct config_service *service);

const struct config_app *session_entry_app(const struct session_entry *e);

/* Activity is to be noted now (row.touch_due), and was. */
void session_entry_touched(struct session_entry *e, int64_t now_ms);

/* All that it holds, its own allocations' overhead included. */
size_t session_entry_bytes(const struct session_entry *e);

/* The access token for this service; empty: ask the broker. */
struct sv session_entry_token(const struct session_entry *e, const struct config_service *service,
			      int64_t now_ms);

/* Copies a token that was asked for at asked_ms and had left_ms left. Not kept: without memory, or
 * past the limits. */
void session_entry_add_token(struct session_entry *e, const struct config_service *service,
			     struct sv token, int64_t asked_ms, int64_t left_ms);

/* The text under this key; empty: none. */
struct sv session_entry_block(const struct session_entry *e, const void *key);
void session_entry_add_block(struct session_entry *e, const void *key, struct sv text);

#endif
