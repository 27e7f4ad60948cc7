/*
 * token_row - what TOKEN_READ said, and what to do about it
 *
 * The judgement is pure: a session that is not this app's and live gets nothing, a token is
 * answered while it is good, renewed ahead of its end, and refreshed when there is none. What is
 * sealed in a row is token_seal.h's.
 */
#ifndef BFF_TOKEN_ROW_H
#define BFF_TOKEN_ROW_H

#include "common/config.h"
#include "common/ipc.h"
#include "common/pg.h"

#define TOKEN_MARGIN_MS 30000	/* renewed so long before its end, or ... */
#define TOKEN_MARGIN_PERCENT 10 /* ... this part of its lifetime, whichever is more, ... */
#define TOKEN_MARGIN_SHARE 3	/* ... but at most a third of it; up to a quarter more by jitter */
#define TOKEN_USABLE_MS 1000	/* less than this left is none */
#define TOKEN_GRANT_ID_MAX 32

/* A row; views are valid as long as the pg_rows are. */
struct token_row {
	struct sv state, app, provider, issuer, sub;
	struct sv grant_id;
	int64_t generation, attempts, lease_left_ms;
	bool grant_live;
	struct sv refresh_sealed, id_token_sealed;
	struct sv token_sealed, token_config;
	int64_t token_left_ms, token_generation;
	int64_t refresh_generation, id_token_generation; /* that they were sealed under */
	int64_t idle_left_ms, absolute_left_ms;		 /* of the session */
	bool resources_known; /* not of a login that an older broker began */
	struct sv resources;  /* that the login asked for, by spaces */
	struct sv nonce_hash; /* of the login; empty: not known */
	int64_t auth_time_s;  /* of the login; 0: not known */
};
/* ERR_NOT_FOUND: not exactly one row. */
WARN_UNUSED enum err token_row_read(const struct pg_rows *rows, struct token_row *ret);

/* Who asks for what. */
struct token_ask {
	struct sv app;
	const struct config_service *service;
	struct sv config_digest; /* token_config_digest() of the service (token_seal.h) */
};

enum token_next {
	TOKEN_ANSWER = 1,	/* with the token that stands there */
	TOKEN_ANSWER_AND_RENEW, /* and have the next one fetched */
	TOKEN_REFRESH,		/* first fetch one */
	TOKEN_OF_SERVICE,	/* it is nobody's but the service's own: service_token.h */
	TOKEN_REFUSE,		/* see refusal */
};
struct token_verdict {
	enum token_next next;
	enum ipc_error refusal;
	const char *detail;
};
/* The access token or ID token that stands there, as token_open() of token_seal.h found it; or
 * zeros. */
struct token_held {
	int64_t left_ms, ttl_ms; /* left 0: none */
};
struct token_verdict token_judge(const struct token_row *row, const struct token_ask *ask,
				 const struct token_held *held);

/* So long before its end a token of this lifetime is renewed. Jitter by an id: spread over
 * grants, and the same at every look. */
int64_t token_margin_ms(int64_t ttl_ms, struct sv id);

/* Which services an app may use is what its routes say. SECURITY: a taken-over worker gets no
 * other's. */
bool token_app_uses(const struct config *c, const struct config_app *app,
		    const struct config_service *s);

#endif
