#include "worker/login_wish.h"

void login_wish_names(struct form_field params[LOGIN_NPARAMETERS])
{
	static const struct sv names[LOGIN_NPARAMETERS] = {
	    [LOGIN_RETURN_TO] = SV_INIT("return_to"),
	    [LOGIN_PROMPT] = SV_INIT("prompt"),
	    [LOGIN_PROVIDER] = SV_INIT("provider"),
	    [LOGIN_HINT] = SV_INIT("login_hint"),
	    [LOGIN_ACR_VALUES] = SV_INIT("acr_values"),
	    [LOGIN_MAX_AGE] = SV_INIT("max_age"),
	    [LOGIN_ISS] = SV_INIT("iss"),
	    [LOGIN_TARGET_LINK_URI] = SV_INIT("target_link_uri"),
	};

	for (size_t i = 0; i < LOGIN_NPARAMETERS; i++)
		params[i] = (struct form_field){.name = names[i]};
}

/* Printable words, one space between two. */
static bool acr_values_ok(struct sv s)
{
	char before = ' ';

	if (s.n > LOGIN_ACR_VALUES_MAX)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < ' ' || s.p[i] > '~' || (s.p[i] == ' ' && before == ' '))
			return false;
		before = s.p[i];
	}
	return s.n == 0 || before != ' ';
}

static bool max_age_read(struct sv s, uint32_t *ret)
{
	uint64_t v = 0;

	if (s.n == 0)
		return true;
	if (s.n > LOGIN_MAX_AGE_DIGITS || (s.n > 1 && s.p[0] == '0') ||
	    sv_u64(s, UINT32_MAX, &v) != ERR_OK)
		return false;
	*ret = (uint32_t)v;
	return true;
}

static bool there(const struct form_field params[LOGIN_NPARAMETERS], enum login_parameter i)
{
	return params[i].value.p != NULL;
}

/* Core 4: who sends people here says for which issuer, and leaves the rest to us. */
static const char *third_party_refusal(const struct config_app *app,
				       const struct form_field params[LOGIN_NPARAMETERS])
{
	static const enum login_parameter ours[] = {LOGIN_RETURN_TO, LOGIN_PROMPT, LOGIN_PROVIDER,
						    LOGIN_ACR_VALUES, LOGIN_MAX_AGE};

	if (!sv_eq(params[LOGIN_ISS].value, app->provider->issuer))
		return "iss";
	for (size_t i = 0; i < ARRAY_LEN(ours); i++)
		if (there(params, ours[i]))
			return "iss_with_more";
	return NULL;
}

const char *login_wish_read(const struct config_app *app,
			    const struct form_field params[LOGIN_NPARAMETERS],
			    struct login_wish *ret)
{
	struct login_wish w = {
	    .third_party = there(params, LOGIN_ISS),
	    .prompt = params[LOGIN_PROMPT].value,
	    .login_hint = params[LOGIN_HINT].value,
	    .acr_values = params[LOGIN_ACR_VALUES].value,
	    .max_age = params[LOGIN_MAX_AGE].value,
	};
	const char *bad = w.third_party ? third_party_refusal(app, params) : NULL;

	if (bad != NULL)
		return bad;
	if (!w.third_party && there(params, LOGIN_TARGET_LINK_URI))
		return "target_link_uri";
	w.target = params[w.third_party ? LOGIN_TARGET_LINK_URI : LOGIN_RETURN_TO].value;
	if (w.prompt.n > 0 && !sv_eq(w.prompt, SV("none")))
		return "prompt";
	if (there(params, LOGIN_PROVIDER) &&
	    !sv_eq(params[LOGIN_PROVIDER].value, app->provider->name))
		return "provider";
	if (w.login_hint.n > LOGIN_HINT_MAX)
		return "login_hint";
	if (!acr_values_ok(w.acr_values))
		return "acr_values";
	if (!max_age_read(w.max_age, &w.max_age_s))
		return "max_age";
	*ret = w;
	return NULL;
}

bool login_target_marked(struct sv target)
{
	struct sv rest = sv_cut(target, 0, sv_find(target, '#'));

	rest = sv_cut(rest, sv_find(rest, '?') + 1, rest.n);
	while (rest.n > 0) {
		size_t end = sv_find(rest, '&');

		if (sv_eq(sv_cut(rest, 0, end), LOGIN_REQUIRED_MARK))
			return true;
		rest = sv_cut(rest, end + 1, rest.n);
	}
	return false;
}
