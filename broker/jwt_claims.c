#include "broker/jwt_claims.h"

#include "broker/json_strict.h"

enum jwt_refusal jwt_iss(struct json_object *o, struct sv issuer)
{
	struct sv iss;

	if (json_get_string(o, "iss", JSON_KEY_MAX * 2, &iss) != ERR_OK || !sv_eq(iss, issuer))
		return JWT_ISS;
	return JWT_NONE;
}

enum jwt_refusal jwt_aud(struct json_object *o, struct sv client_id)
{
	struct json_object *a;
	struct sv aud;
	size_t n;

	if (json_get_string(o, "aud", JSON_KEY_MAX, &aud) == ERR_OK)
		return sv_eq(aud, client_id) ? JWT_NONE : JWT_AUD;
	if (json_get_array(o, "aud", &a) != ERR_OK)
		return JWT_AUD;
	n = json_object_array_length(a);
	if (n > JWT_AUD_MAX || !json_array_has(a, client_id))
		return JWT_AUD;
	for (size_t i = 0; i < n; i++)
		if (json_string_at(a, i, JSON_KEY_MAX, &aud) != ERR_OK || !sv_eq(aud, client_id))
			return JWT_AUD_EXTRA;
	return JWT_NONE;
}

enum jwt_refusal jwt_times(struct json_object *o, int64_t now_s, struct jwt_times *ret)
{
	struct jwt_times got;
	int64_t nbf;
	enum err e;

	if (json_get_date(o, "exp", &got.exp_s) != ERR_OK)
		return JWT_EXP;
	if (now_s >= got.exp_s + JWT_SKEW_S)
		return JWT_EXPIRED;
	if (json_get_date(o, "iat", &got.iat_s) != ERR_OK || got.iat_s > now_s + JWT_SKEW_S ||
	    got.iat_s < now_s - JWT_IAT_PAST_S)
		return JWT_IAT;
	e = json_get_date(o, "nbf", &nbf);
	if (e != ERR_NOT_FOUND && (e != ERR_OK || nbf > now_s + JWT_SKEW_S))
		return JWT_NBF;
	*ret = got;
	return JWT_NONE;
}

static bool ascii(struct sv s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < ' ' || s.p[i] > '~')
			return false;
	return s.n > 0;
}

bool jwt_is_text(struct sv s)
{
	return s.n > 0 && !sv_has_control(s);
}

enum jwt_refusal jwt_sub(struct json_object *o, struct sv *ret)
{
	struct sv sub = SV_NONE;
	enum err e = json_get_string(o, "sub", JWT_SUB_MAX, &sub);

	if (e != ERR_NOT_FOUND && (e != ERR_OK || !ascii(sub)))
		return JWT_SUB;
	*ret = sub;
	return JWT_NONE;
}

enum jwt_refusal jwt_sid(struct json_object *o, struct sv *ret)
{
	struct sv sid = SV_NONE;
	enum err e = json_get_string(o, "sid", JWT_SUB_MAX, &sid);

	if (e != ERR_NOT_FOUND && (e != ERR_OK || !jwt_is_text(sid)))
		return JWT_SID;
	*ret = sid;
	return JWT_NONE;
}
