/*
 * provider - one OpenID provider at run time: metadata, keys, and the requests we make of it
 *
 * Owns discovery (OIDC Discovery 4, RFC 8414 3.3) with retry and jitter, the JWKS with a token
 * bucket for unknown keys, and client authentication. Needs no provider to be up at start. All
 * calls run on the broker's loop; every callback is called exactly once, from the loop, never from
 * within the call that asked; a call that does not return ERR_OK calls nothing back. ERR_LIMIT: too
 * many under way (http_client.h); of provider_code() and provider_push() sooner. SECURITY: what
 * strangers can make it parse is capped in size, and the signature is checked before the payload.
 */
#ifndef BFF_PROVIDER_H
#define BFF_PROVIDER_H

#include <event2/event.h>

#include "common/buf.h"
#include "common/config.h"

struct client_credential; /* client_credential.h: secret, keys, authorities */
struct http_client;	  /* http_client.h: curl multi on the loop */
struct provider;

/* Borrowed until the provider next refreshes its metadata: copy across a turn of the loop. An
 * endpoint the provider does not have has n == 0. */
struct provider_metadata {
	struct sv issuer, authorization_endpoint, token_endpoint, jwks_uri, end_session_endpoint,
	    revocation_endpoint, userinfo_endpoint, pushed_authorization_request_endpoint;
	bool iss_parameter_supported; /* RFC 9207 */
	bool require_pushed;	      /* RFC 9126 5 */
};

/* Starts discovery. Takes *credential, which is that of `config`, on success. `config` outlives it.
 */
WARN_UNUSED enum err provider_new(struct event_base *base, struct http_client *http,
				  const struct config_provider *config,
				  struct client_credential **credential, struct provider **ret);
/* Pending callbacks are called with ERR_CANCELED. Not from within a callback of this provider. */
void provider_free(struct provider **p);

/* NULL while no metadata were ever had (login: 503). Last good metadata are kept. */
const struct provider_metadata *provider_metadata(struct provider *p);

/* What the preset (common/preset.def) and the provider's options say of it. */
struct provider_traits {
	bool rotates;		  /* a refresh token is single use: serial resource */
	bool consent_for_offline; /* prompt=consent when scopes hold offline_access (Core 11) */
	bool access_type_offline; /* access_type=offline in place of that scope (Google) */
	int64_t grace_ms;	  /* an old refresh token still works so long after rotation */
};
const struct provider_traits *provider_traits(const struct provider *p);

/* What a token endpoint's answer means for the grant: the table of token_reply.c. */
enum token_outcome {
	TOKEN_OK = 1,
	TOKEN_NOT_SENT, /* the request never left: the refresh token is untouched; retry later */
	TOKEN_UNKNOWN,	/* sent, fate unknown: timeout, reset, 5xx, garbage */
	TOKEN_DEAD,	/* invalid_grant: re-read the row before believing it */
	TOKEN_MISCONFIGURED, /* invalid_scope, invalid_target: this service's mapping is wrong */
	TOKEN_INTERACTION,   /* needs the browser: interaction_required, login_required, ... */
	TOKEN_CLIENT_BROKEN, /* invalid_client and the like: our registration; drops no session */
	TOKEN_THROTTLED,     /* 429, or 503 with Retry-After */
	TOKEN_TOO_OFTEN,     /* throttled, but this grant alone: Entra's loop guard */
};

/* Views are valid during the callback only; they hold secrets. TOKEN_MISCONFIGURED with a refresh
 * token: the answer was a success, but not for this service (wrong_audience, missing_scope), and
 * its refresh token is the successor to keep. No other failure carries a token. */
struct token_reply {
	enum token_outcome outcome;
	bool answered; /* there was an answer, if only one that says nothing */
	struct sv access_token, refresh_token, id_token; /* n == 0: not in the answer */
	struct sv scope;				 /* n == 0: as requested */
	int64_t expires_in_s;				 /* default TOKEN_DEFAULT_TTL_S */
	uint32_t retry_after_s;				 /* 0: none */
	const char *detail;				 /* constant word for the log */
	struct sv claims; /* of TOKEN_INTERACTION: the `claims` parameter, a JSON object, that
			   * the next authorization request is to have; n == 0: none */
};
#define TOKEN_DEFAULT_TTL_S 300

typedef void (*provider_token_fn)(void *arg, enum err e, const struct token_reply *reply);

/* Authorization code grant (RFC 6749 4.1.3, RFC 7636 4.5). Never repeated: a code is used once.
 * reply is NULL unless e == ERR_OK; e is ERR_UNAVAILABLE without metadata. */
WARN_UNUSED enum err provider_code(struct provider *p, struct sv code, struct sv redirect_uri,
				   struct sv code_verifier, provider_token_fn fn, void *arg);

/* Refresh (RFC 6749 6) with the selector of `service`; service NULL or
 * GRANT_SESSION/GRANT_ID_TOKEN: plain, for the login's own tokens. `before_send` is asked once,
 * right before the first byte may leave; false cancels: TOKEN_NOT_SENT. */
WARN_UNUSED enum err provider_refresh(struct provider *p, struct sv refresh_token,
				      const struct config_service *service,
				      bool (*before_send)(void *arg), provider_token_fn fn,
				      void *arg);

/* Another token from an access token of the same login: RFC 8693 token exchange, or Entra's
 * on-behalf-of (RFC 7523 2.1), as service->grant says (GRANT_EXCHANGE, GRANT_OBO). Consumes
 * nothing: no refresh token is involved, and TOKEN_DEAD speaks of the subject token alone.
 * ERR_UNSUPPORTED: another grant. */
WARN_UNUSED enum err provider_exchange(struct provider *p, struct sv subject_token,
				       const struct config_service *service, provider_token_fn fn,
				       void *arg);

/* RFC 6749 4.4: the service's own token, no user. */
WARN_UNUSED enum err provider_client_credentials(struct provider *p,
						 const struct config_service *service,
						 provider_token_fn fn, void *arg);

/* RFC 9126: pushes an authorization request. `form` holds its parameters, form-encoded and without
 * the client's authentication; its content is taken. e == ERR_OK: request_uri is valid during the
 * callback; ERR_DENIED: refused (4xx); ERR_UNAVAILABLE: out of reach, throttled or no such answer.
 * detail: constant word for the log. The call itself: ERR_UNSUPPORTED where metadata have no
 * pushed_authorization_request_endpoint, ERR_UNAVAILABLE also for some seconds after the second
 * failure of that kind in a row, and while another push finds out. `form` is taken on any outcome.
 */
typedef void (*provider_push_fn)(void *arg, enum err e, struct sv request_uri, const char *detail);
WARN_UNUSED enum err provider_push(struct provider *p, struct buf *form, provider_push_fn fn,
				   void *arg);

/* RFC 7009, hint refresh_token. ERR_OK: done, or the provider has no such endpoint. ERR_DENIED: it
 * refuses (4xx): asking again will not help. ERR_UNAVAILABLE: later. */
typedef void (*provider_revoke_fn)(void *arg, enum err e, uint32_t retry_after_s);
WARN_UNUSED enum err provider_revoke(struct provider *p, struct sv refresh_token,
				     provider_revoke_fn fn, void *arg);

/* What an ID token must satisfy beyond issuer, audience, algorithm, signature and time. */
struct id_token_expect {
	struct sv nonce;	/* empty: none was sent, as by a refresh */
	struct sv access_token; /* for at_hash, when present; empty: not checked */
	/* Of a refresh, which must agree with the login (Core 12.2). Empty or 0: not checked. */
	struct sv sub;
	struct sv nonce_hash; /* SHA-256; a nonce that is there must be that one */
	int64_t auth_time_s;  /* an auth_time that is there must be that one */
};

/* Valid during the callback only. claims: the JSON object after keep_claims, serialised. */
struct id_token_claims {
	struct sv sub, subject, sid, email, acr;
	int64_t auth_time_s; /* 0: the provider does not say. Not iat: single sign-on makes new
			      * tokens of old authentications */
	bool has_auth_time;
	int64_t iat_s;
	struct sv claims;
};
/* detail: constant word naming the check that failed (log only). */
typedef void (*provider_id_token_fn)(void *arg, enum err e, const struct id_token_claims *claims,
				     const char *detail);

/* OIDC Core 3.1.3.7, all of it; fetches keys when `kid` is unknown and the bucket has a token.
 * Copies what it needs. e: ERR_CRYPTO (refused), ERR_UNAVAILABLE (no keys to be had). */
WARN_UNUSED enum err provider_id_token(struct provider *p, struct sv jwt,
				       const struct id_token_expect *expect,
				       provider_id_token_fn fn, void *arg);

/* A logout token (Back-Channel Logout 2.6), all of it; it comes from a stranger. The token is valid
 * during the callback only. e: ERR_CRYPTO (refused), ERR_UNAVAILABLE (no keys to be had now). */
struct logout_token;
typedef void (*provider_logout_token_fn)(void *arg, enum err e, const struct logout_token *t,
					 const char *detail);
WARN_UNUSED enum err provider_logout_token(struct provider *p, struct sv jwt,
					   provider_logout_token_fn fn, void *arg);

/* UserInfo (OIDC Core 5.3) with the access token of the login, JSON or signed (5.3.2); its sub must
 * be `sub`, the ID token's. e: ERR_CRYPTO (refused: the whole answer is not believed), ERR_DENIED
 * (401, 403: the access token is no longer good), ERR_UNAVAILABLE. Of claims only what UserInfo
 * carries is set (sub, subject, email, claims); the caller merges. The call itself: ERR_UNSUPPORTED
 * where metadata have no userinfo_endpoint, ERR_SYNTAX without `sub`, ERR_UNAVAILABLE also for some
 * seconds after it was out of reach or overloaded twice in a row, and while another finds out. */
WARN_UNUSED enum err provider_userinfo(struct provider *p, struct sv access_token, struct sv sub,
				       provider_id_token_fn fn, void *arg);

/* Whether it would say so now, and for how long (at least 1 s): for who would spend something
 * before it is asked. */
bool provider_userinfo_held(const struct provider *p, uint32_t *ret_left_s);

#endif
