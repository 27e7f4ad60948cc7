/*
 * cookie - Cookie fields in, Set-Cookie fields out
 *
 * Session cookie value: v1.<day>.<secret>.<tag>; day = decimal days since 1970 of the session's
 * creation, secret = base64url of 32 bytes, tag = base64url of the first 16 bytes of
 * HMAC-SHA-256(cookie key, all before the dot). The tag only keeps garbage from the
 * database; the secret is what proves. Cheap checks come first; tags compare in constant time.
 * Of an app with bind_session: v2.<day>.<secret>.<client>.<tag>, client = base64url of
 * client_binding.h's 16 bytes. Either form is read whatever the app says now.
 *
 * A Cookie field is split at ';' (RFC 6265 5.4), never at ','; pairs without '=', empty ones
 * and foreign ones are no error. Several fields count as one. Pure but for the keys.
 * SECURITY: struct cookie_session holds a secret: cookie_session_wipe() it. Set-Cookie buffers
 * too: buf_done() wipes.
 */
#ifndef BFF_COOKIE_H
#define BFF_COOKIE_H

#include "common/buf.h"
#include "common/config.h"
#include "worker/http_field.h"

#define COOKIE_SECRET_LEN 32
#define COOKIE_TAG_LEN 16
#define COOKIE_CLIENT_LEN 16 /* client_binding() */
#define COOKIE_VALUE_MAX 112 /* bytes of a session cookie's value */
#define COOKIE_KEY_MIN 32    /* bytes of a key */
#define COOKIE_KEY_MAX 256   /* bytes of a key */
#define COOKIE_KEYS_MAX 8
#define COOKIE_SAME_NAME_MAX 16 /* cookies of our name looked at; more are AMBIGUOUS */
#define COOKIE_CLOCK_SKEW_S 300 /* a day may begin so much later here than at the broker */
#define COOKIE_CSRF "bff_csrf"
#define COOKIE_LOOP "__Host-bff_loop" /* login_loop.h */
#define COOKIE_LOOP_PLAIN "bff_loop"
#define COOKIE_LOGIN "__Host-bff_login"	  /* the login's binding cookie */
#define COOKIE_LOGIN_PLAIN "bff_login"	  /* the same on an http origin (insecure_loopback) */
#define COOKIE_LOGOUT "__Host-bff_logout" /* logout_return.h */
#define COOKIE_LOGOUT_DOMAIN "__Secure-bff_logout" /* the same with a cookie_domain */
#define COOKIE_LOGOUT_PLAIN "bff_logout"	   /* the same on an http origin */
#define COOKIE_LOGOUT_S 600			   /* so long a person may take at the provider */
#define COOKIE_FIELD_MAX 1024			   /* bytes of a Set-Cookie field's value */
#define COOKIE_OWN_NAMES 8			   /* beside the apps' session cookies */

struct cookie_keys;

/* Content of the cookie_keys file: one key a line, base64url of COOKIE_KEY_MIN bytes or more; the
 * first signs, all verify; empty lines and lines that start with '#' are skipped. ERR_CONFIG with a
 * sentence (which line, never its content): none, too many, twice the same, garbage, short. */
WARN_UNUSED enum err cookie_keys_parse(struct sv file, struct cookie_keys **ret, struct errmsg *e);
void cookie_keys_free(struct cookie_keys **k);

struct cookie_session {
	unsigned char secret[COOKIE_SECRET_LEN];
	uint32_t day;
	bool bound; /* to a client */
	unsigned char client[COOKIE_CLIENT_LEN];
};

void cookie_session_wipe(struct cookie_session *s);

enum cookie_outcome {
	COOKIE_NONE = 1,  /* no cookie of that name */
	COOKIE_BAD,	  /* only such whose form, day or tag is wrong */
	COOKIE_AMBIGUOUS, /* two good ones: refuse, and clear */
	COOKIE_OK,
};

/* The session cookies of one name whose form and day are good; nobody vouches for them yet. */
struct cookie_candidates {
	size_t seen; /* of that name; above COOKIE_SAME_NAME_MAX nothing else counts */
	size_t n;
	struct cookie_candidate {
		struct cookie_session session;
		struct sv text, tag;
	} v[COOKIE_SAME_NAME_MAX];
};

/* Views borrow the fields. A day in the future, or older than absolute_ms and a day, is bad. now_s:
 * clock_wall_s(). SECURITY: holds secrets until cookie_session_check(), which is to follow. */
void cookie_session_read(struct http_fields f, struct sv name, int64_t now_s, int64_t absolute_ms,
			 struct cookie_candidates *ret);

/* The one of them whose tag is good; *ret is written for COOKIE_OK only. Wipes the candidates. */
enum cookie_outcome cookie_session_check(const struct cookie_keys *k, struct cookie_candidates *c,
					 struct cookie_session *ret);

/* Appends the cookie value, signed with the first key. ERR_CRYPTO, ERR_NOMEM. */
WARN_UNUSED enum err cookie_session_make(const struct cookie_keys *k,
					 const struct cookie_session *s, struct buf *out);

/* What our own cookies are called on this origin. */
struct sv cookie_login_name(const struct config_origin *origin);
struct sv cookie_loop_name(const struct config_origin *origin);
struct sv cookie_logout_name(const struct config_app *app, const struct config_origin *origin);

/* The value of the one cookie of that name, borrowed: COOKIE_NONE, COOKIE_AMBIGUOUS, COOKIE_OK. */
enum cookie_outcome cookie_find(struct http_fields f, struct sv name, struct sv *ret);

/* The 32 bytes of the binding cookie that belongs to this origin: as cookie_find(), and
 * COOKIE_BAD when its value is no base64url of 32 bytes. */
enum cookie_outcome cookie_login_find(struct http_fields f, const struct config_origin *origin,
				      unsigned char ret[COOKIE_SECRET_LEN]);

/* Names of every cookie of ours under this configuration: the apps' session cookies, CSRF,
 * login, logout and the count of logins. `ret` has room for c->napps + COOKIE_OWN_NAMES. Returns
 * their number. */
size_t cookie_names(const struct config *c, struct sv *ret);

/* Appends the request's cookies less those called one of `names`; what stays is byte by byte as
 * it came, several fields joined with "; ". Appends nothing when nothing is left. */
void cookie_strip(struct http_fields f, const struct sv *names, size_t nnames, struct buf *out);

/* Each appends the value of one Set-Cookie field. Secure unless the origin is http; Domain is the
 * app's cookie_domain (never on the login cookie); Path=/. Clearing is the same with an empty
 * value and Max-Age=0. csrf: 43 characters; login: 32 bytes. The logout cookie goes by itself after
 * COOKIE_LOGOUT_S. Errors stand in the buf. */
void cookie_set_session(struct buf *out, const struct config_app *app,
			const struct config_origin *origin, struct sv value);
void cookie_set_csrf(struct buf *out, const struct config_app *app,
		     const struct config_origin *origin, struct sv token);
void cookie_set_login(struct buf *out, const struct config_origin *origin,
		      const unsigned char binding[COOKIE_SECRET_LEN]);
/* The counter of logins whose session did not stick: for `age_s`, on this origin alone. */
void cookie_set_loop(struct buf *out, const struct config_origin *origin, struct sv value,
		     unsigned age_s);
void cookie_clear_session(struct buf *out, const struct config_app *app,
			  const struct config_origin *origin);
void cookie_clear_csrf(struct buf *out, const struct config_app *app,
		       const struct config_origin *origin);
void cookie_set_logout(struct buf *out, const struct config_app *app,
		       const struct config_origin *origin, struct sv value);
void cookie_clear_logout(struct buf *out, const struct config_app *app,
			 const struct config_origin *origin);

#endif
