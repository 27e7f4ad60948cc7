/*
 * login_finish - what the steps of finishing a login share
 *
 * One struct finish goes from callback to callback: login_finish.c takes the row and judges the
 * response, login_session.c exchanges the code, has the ID token verified and makes the session.
 * Each step ends it with finish_fail(), or hands it on.
 */
#ifndef BFF_LOGIN_FINISH_H
#define BFF_LOGIN_FINISH_H

#include "broker/login.h"
#include "broker/login_claims.h"
#include "broker/login_transaction.h"

#define GRANT_ID_LEN 16

/* Lives from the message to its answer; each step is a callback of the one before. */
struct finish {
	struct request *request;
	const struct config_app *app;
	struct provider *provider;
	struct login_transaction transaction;
	struct secret *transaction_room, *response_room, *code, *access_token, *refresh_token,
	    *id_token;
	struct buf text; /* where the views below point to */
	struct sv origin, iss, error, client, user_agent;
	struct buf redirect_uri, return_to;
	unsigned char state_hash[CRYPT_SHA256_LEN], old_hash[CRYPT_SHA256_LEN];
	bool replaces;
	bool parked; /* the response was put away by login_park() */
	int64_t begun_ms, ttl_ms;
	uint32_t retry_after_s; /* of a provider that is not asked; 0: none */
	unsigned char session[IPC_SECRET_LEN], id_hash[CRYPT_SHA256_LEN], grant_id[GRANT_ID_LEN];
	struct buf refresh_sealed, id_token_sealed, access_sealed;
	struct login_claims claims;
};

/* Answers the request, notes the outcome, gives back a refresh token that nobody will hold. */
void finish_fail(struct finish *f, enum ipc_error code, const char *detail);
void finish_free(struct finish *f);
void finish_note(const struct finish *f, const char *outcome, const char *detail);

/* The next step, once the response is judged. */
void finish_exchange(struct finish *f);

/* The same provider's breaker, for everybody who asks its token endpoint. */
struct holdoffs *finish_holdoffs(const struct finish *f, const struct config_provider **ret);

#endif
