#include "broker/id_token.h"

#include <openssl/evp.h>

#include "broker/jose.h"
#include "broker/json_strict.h"
#include "common/b64.h"
#include "common/crypt.h"

/* One check of the list: reads `o`, may write to `t`. */
typedef enum jwt_refusal (*check_fn)(struct json_object *o, const struct id_token_rules *r,
				     struct id_token *t);

/* RFC 8725 3.11: a token of another kind (logout+jwt, at+jwt) is no ID token. */
static enum jwt_refusal check_typ(struct json_object *o, const struct id_token_rules *r,
				  struct id_token *t)
{
	(void)o, (void)t;
	if (r->typ.n == 0 || sv_eq_nocase(r->typ, SV("JWT")) ||
	    sv_eq_nocase(r->typ, SV("application/jwt")))
		return JWT_NONE;
	return JWT_TYP;
}

static enum jwt_refusal check_iss(struct json_object *o, const struct id_token_rules *r,
				  struct id_token *t)
{
	(void)t;
	return jwt_iss(o, r->issuer);
}

static enum jwt_refusal check_sub(struct json_object *o, const struct id_token_rules *r,
				  struct id_token *t)
{
	struct sv sub;

	if (jwt_sub(o, &sub) != JWT_NONE || sub.n == 0)
		return JWT_SUB;
	if (r->expect.sub.n > 0 && !sv_eq(sub, r->expect.sub))
		return JWT_SUB_CHANGED;
	t->claims.sub = sub;
	return JWT_NONE;
}

static enum jwt_refusal check_subject(struct json_object *o, const struct id_token_rules *r,
				      struct id_token *t)
{
	/* A configured string is also NUL-terminated (config.h). */
	const char *name = r->subject_claim.n == 0 ? "sub" : r->subject_claim.p;
	struct sv s = SV_NONE;
	enum err e = json_get_string(o, name, JWT_SUB_MAX, &s);

	if (e == ERR_NOT_FOUND && r->userinfo_follows)
		return JWT_NONE;
	if (e != ERR_OK || !jwt_is_text(s))
		return JWT_SUBJECT_CLAIM;
	t->claims.subject = s;
	return JWT_NONE;
}

static enum jwt_refusal check_aud(struct json_object *o, const struct id_token_rules *r,
				  struct id_token *t)
{
	enum jwt_refusal why = jwt_aud(o, r->client_id);
	struct sv azp;

	(void)t;
	if (why == JWT_AUD_EXTRA && r->azp_decides &&
	    json_get_string(o, "azp", JSON_KEY_MAX, &azp) == ERR_OK && sv_eq(azp, r->client_id))
		return JWT_NONE;
	return why;
}

static enum jwt_refusal check_azp(struct json_object *o, const struct id_token_rules *r,
				  struct id_token *t)
{
	struct sv azp;
	enum err e = json_get_string(o, "azp", JSON_KEY_MAX, &azp);

	(void)t;
	if (e == ERR_NOT_FOUND || (e == ERR_OK && sv_eq(azp, r->client_id)))
		return JWT_NONE;
	return JWT_AZP;
}

static enum jwt_refusal check_time(struct json_object *o, const struct id_token_rules *r,
				   struct id_token *t)
{
	struct jwt_times times;
	enum jwt_refusal why = jwt_times(o, r->now_s, &times);
	enum err e;

	if (why != JWT_NONE)
		return why;
	t->claims.iat_s = times.iat_s;
	e = json_get_date(o, "auth_time", &t->claims.auth_time_s);
	t->claims.has_auth_time = e == ERR_OK;
	if (e != ERR_NOT_FOUND && (e != ERR_OK || t->claims.auth_time_s > r->now_s + JWT_SKEW_S))
		return JWT_AUTH_TIME;
	return JWT_NONE;
}

/* Core 12.2: of the original authentication, where it is there; a login may not have said. */
static enum jwt_refusal check_auth_time_kept(struct json_object *o, const struct id_token_rules *r,
					     struct id_token *t)
{
	int64_t was = r->expect.auth_time_s, is = t->claims.auth_time_s;

	(void)o;
	if (was == 0 || !t->claims.has_auth_time || is == was || (is > was && r->auth_time_moves))
		return JWT_NONE;
	return JWT_AUTH_TIME_CHANGED;
}

static bool is_hashed(struct sv nonce, struct sv want)
{
	unsigned char hash[CRYPT_SHA256_LEN];

	return want.n == 0 || (crypt_sha256(nonce, hash) == ERR_OK &&
			       crypt_equal(sv_of((const char *)hash, sizeof hash), want));
}

static enum jwt_refusal check_nonce(struct json_object *o, const struct id_token_rules *r,
				    struct id_token *t)
{
	struct sv nonce;
	enum err e = json_get_string(o, "nonce", JSON_KEY_MAX, &nonce);

	(void)t;
	if (r->expect.nonce.n > 0)
		return e == ERR_OK && crypt_equal(nonce, r->expect.nonce) ? JWT_NONE : JWT_NONCE;
	if (e == ERR_NOT_FOUND)
		return JWT_NONE;
	return e == ERR_OK && is_hashed(nonce, r->expect.nonce_hash) ? JWT_NONE : JWT_NONCE;
}

/* Core 3.1.3.6: the left half of the access token's hash. Ed25519 goes with SHA-512. */
static enum jwt_refusal check_at_hash(struct json_object *o, const struct id_token_rules *r,
				      struct id_token *t)
{
	const EVP_MD *md = r->alg == ALG_EDDSA ? EVP_sha512() : EVP_sha256();
	unsigned char hash[EVP_MAX_MD_SIZE];
	char want[B64URL_LEN(EVP_MAX_MD_SIZE / 2)];
	unsigned n = 0;
	struct sv got;
	enum err e = json_get_string(o, "at_hash", JSON_KEY_MAX, &got);

	(void)t;
	if (e == ERR_NOT_FOUND || (e == ERR_OK && r->expect.access_token.n == 0))
		return JWT_NONE;
	if (e != ERR_OK ||
	    EVP_Digest(r->expect.access_token.p, r->expect.access_token.n, hash, &n, md, NULL) != 1)
		return JWT_AT_HASH;
	return crypt_equal(got, sv_of(want, b64url_encode(hash, n / 2, want))) ? JWT_NONE
									       : JWT_AT_HASH;
}

static enum jwt_refusal check_words(struct json_object *o, const struct id_token_rules *r,
				    struct id_token *t)
{
	enum err e = json_get_string(o, "acr", JWT_SUB_MAX, &t->claims.acr);

	(void)r;
	if (e != ERR_NOT_FOUND && (e != ERR_OK || !jwt_is_text(t->claims.acr)))
		return JWT_ACR;
	return jwt_sid(o, &t->claims.sid);
}

/* Back-Channel Logout 4.1: a logout token without typ and nonce looks like one of a refresh. */
static enum jwt_refusal check_no_events(struct json_object *o, const struct id_token_rules *r,
					struct id_token *t)
{
	(void)r, (void)t;
	return json_object_object_get_ex(o, "events", NULL) ? JWT_EVENTS : JWT_NONE;
}

static enum jwt_refusal keep_one(struct json_object *all, const char *name, struct id_token *t)
{
	struct json_object *value;

	if (!json_object_object_get_ex(all, name, &value))
		return JWT_NONE;
	if (json_object_object_add(t->kept, name, json_object_get(value)) == 0)
		return JWT_NONE;
	(void)json_object_put(value);
	return JWT_MEMORY;
}

/* Last: what keep_claims does not name is neither stored nor logged; but email brings what is said
 * of it, which rules about domains ask for. */
static enum jwt_refusal keep(struct json_object *all, const struct id_token_rules *r,
			     struct id_token *t)
{
	size_t n = 0;
	const char *text;

	t->kept = json_object_new_object();
	if (t->kept == NULL)
		return JWT_MEMORY;
	for (size_t i = 0; i < r->keep_claims.n; i++) {
		struct sv name = r->keep_claims.v[i]; /* NUL-terminated: config.h */

		if (keep_one(all, name.p, t) != JWT_NONE)
			return JWT_MEMORY;
		if (sv_eq(name, SV("email")) && keep_one(all, "email_verified", t) != JWT_NONE)
			return JWT_MEMORY;
	}
	text = json_object_to_json_string_length(
	    t->kept, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &n);
	if (text == NULL)
		return JWT_MEMORY;
	if (n > ID_TOKEN_CLAIMS_MAX)
		return JWT_CLAIMS_SIZE;
	t->claims.claims = sv_of(text, n);
	return JWT_NONE;
}

/* The email is shown to people; one that is no text is none. */
static enum jwt_refusal find_email(struct json_object *o, const struct id_token_rules *r,
				   struct id_token *t)
{
	struct sv email;

	(void)o, (void)r;
	if (json_get_string(t->kept, "email", JWT_SUB_MAX, &email) == ERR_OK && jwt_is_text(email))
		t->claims.email = email;
	return JWT_NONE;
}

static enum jwt_refusal run(const check_fn *checks, struct sv payload,
			    const struct id_token_rules *rules, struct id_token *ret)
{
	struct id_token t = {.payload = NULL};
	enum jwt_refusal why = JWT_NONE;

	if (json_strict_parse(payload, ID_TOKEN_PAYLOAD_MAX, &t.payload) != ERR_OK)
		return JWT_PAYLOAD;
	for (; *checks != NULL && why == JWT_NONE; checks++)
		why = (*checks)(t.payload, rules, &t);
	if (why != JWT_NONE)
		id_token_done(&t);
	else
		*ret = t;
	return why;
}

enum jwt_refusal id_token_check(struct sv payload, const struct id_token_rules *rules,
				struct id_token *ret)
{
	static const check_fn checks[] = {
	    check_typ,	 check_no_events,      check_iss,   check_aud,	check_azp,
	    check_time,	 check_auth_time_kept, check_nonce, check_sub,	check_subject,
	    check_words, check_at_hash,	       keep,	    find_email, NULL};

	return run(checks, payload, rules, ret);
}

static bool names(struct json_object *o, const char *claim)
{
	return json_object_object_get_ex(o, claim, NULL) != 0;
}

/* Core 5.3.2: a signed answer SHOULD say for whom it is; one that does must say us. */
static enum jwt_refusal check_for_us(struct json_object *o, const struct id_token_rules *r,
				     struct id_token *t)
{
	enum jwt_refusal why = names(o, "iss") ? check_iss(o, r, t) : JWT_NONE;
	int64_t exp;

	if (why == JWT_NONE && names(o, "aud"))
		why = check_aud(o, r, t);
	if (why != JWT_NONE || !names(o, "exp"))
		return why;
	if (json_get_date(o, "exp", &exp) != ERR_OK)
		return JWT_EXP;
	return r->now_s >= exp + JWT_SKEW_S ? JWT_EXPIRED : JWT_NONE;
}

enum jwt_refusal userinfo_check(struct sv payload, const struct id_token_rules *rules,
				struct id_token *ret)
{
	static const check_fn checks[] = {check_sub, check_subject, keep, find_email, NULL};

	return run(checks, payload, rules, ret);
}

enum jwt_refusal userinfo_check_signed(struct sv payload, const struct id_token_rules *rules,
				       struct id_token *ret)
{
	static const check_fn checks[] = {
	    check_typ, check_no_events, check_for_us, check_sub, check_subject,
	    keep,      find_email,	NULL};

	return run(checks, payload, rules, ret);
}

void id_token_done(struct id_token *t)
{
	(void)json_object_put(t->payload); /* accepts NULL */
	(void)json_object_put(t->kept);
	*t = (struct id_token){.payload = NULL};
}
