#include "broker/logout_token.h"

#include "broker/json_strict.h"

#define EVENT "http://schemas.openid.net/event/backchannel-logout"

/* One check of the list: reads `o`, may write to `t`. */
typedef enum jwt_refusal (*check_fn)(struct json_object *o, const struct logout_token_rules *r,
				     struct logout_token *t);

/* RFC 8725 3.11. 2.4 only recommends logout+jwt, so a token without a kind passes, too. */
static enum jwt_refusal check_typ(struct json_object *o, const struct logout_token_rules *r,
				  struct logout_token *t)
{
	static const struct sv good[] = {SV_INIT(""), SV_INIT("logout+jwt"),
					 SV_INIT("application/logout+jwt"), SV_INIT("JWT"),
					 SV_INIT("application/jwt")};

	(void)o, (void)t;
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		if (sv_eq_nocase(r->typ, good[i]))
			return JWT_NONE;
	return JWT_TYP;
}

static enum jwt_refusal check_iss(struct json_object *o, const struct logout_token_rules *r,
				  struct logout_token *t)
{
	(void)t;
	return jwt_iss(o, r->issuer);
}

static enum jwt_refusal check_aud(struct json_object *o, const struct logout_token_rules *r,
				  struct logout_token *t)
{
	(void)t;
	return jwt_aud(o, r->client_id);
}

static enum jwt_refusal check_time(struct json_object *o, const struct logout_token_rules *r,
				   struct logout_token *t)
{
	struct jwt_times times;
	enum jwt_refusal why = jwt_times(o, r->now_s, &times);
	int64_t until;

	if (why != JWT_NONE)
		return why;
	/* Whichever of exp and the age of iat refuses it first. */
	until = times.exp_s + JWT_SKEW_S;
	if (until > times.iat_s + JWT_IAT_PAST_S + 1)
		until = times.iat_s + JWT_IAT_PAST_S + 1;
	t->iat_s = times.iat_s;
	t->replayable_until_s = until;
	return JWT_NONE;
}

static enum jwt_refusal check_jti(struct json_object *o, const struct logout_token_rules *r,
				  struct logout_token *t)
{
	(void)r;
	if (json_get_string(o, "jti", LOGOUT_JTI_MAX, &t->jti) != ERR_OK || !jwt_is_text(t->jti))
		return JWT_JTI;
	return JWT_NONE;
}

static enum jwt_refusal check_who(struct json_object *o, const struct logout_token_rules *r,
				  struct logout_token *t)
{
	enum jwt_refusal why = jwt_sub(o, &t->sub);

	(void)r;
	if (why == JWT_NONE)
		why = jwt_sid(o, &t->sid);
	if (why == JWT_NONE && t->sub.n == 0 && t->sid.n == 0)
		return JWT_NOBODY;
	return why;
}

static enum jwt_refusal check_events(struct json_object *o, const struct logout_token_rules *r,
				     struct logout_token *t)
{
	struct json_object *events, *event;

	(void)r, (void)t;
	if (json_get_object(o, "events", &events) != ERR_OK ||
	    json_get_object(events, EVENT, &event) != ERR_OK)
		return JWT_EVENTS;
	return JWT_NONE;
}

/* Whatever its value: an ID token has one, this must not. */
static enum jwt_refusal check_nonce(struct json_object *o, const struct logout_token_rules *r,
				    struct logout_token *t)
{
	(void)r, (void)t;
	return json_object_object_get_ex(o, "nonce", NULL) ? JWT_NONCE : JWT_NONE;
}

enum jwt_refusal logout_token_check(struct sv payload, const struct logout_token_rules *rules,
				    struct logout_token *ret)
{
	static const check_fn checks[] = {check_typ, check_iss, check_aud,    check_time,
					  check_jti, check_who, check_events, check_nonce};
	struct logout_token t = {.payload = NULL};
	enum jwt_refusal why = JWT_NONE;

	if (json_strict_parse(payload, LOGOUT_TOKEN_MAX, &t.payload) != ERR_OK)
		return JWT_PAYLOAD;
	for (size_t i = 0; i < ARRAY_LEN(checks) && why == JWT_NONE; i++)
		why = checks[i](t.payload, rules, &t);
	if (why != JWT_NONE)
		logout_token_done(&t);
	else
		*ret = t;
	return why;
}

void logout_token_done(struct logout_token *t)
{
	(void)json_object_put(t->payload); /* accepts NULL */
	*t = (struct logout_token){.payload = NULL};
}
