#include "common/config_build.h"
#include "common/config_value.h"

/* Names that mean something else, to an edge or in our own answers; written as they fold: in
 * lower case, with - for _ and . as well. A prefix ends in *. */
static const char *const reserved[] = {"x-session-id",
				       "x-auth-time",
				       "x-auth-acr",
				       "x-correlation-id",
				       "x-csrf-token",
				       "x-request-id",
				       "authorization",
				       "cookie",
				       "set-cookie",
				       "connection",
				       "keep-alive",
				       "proxy-*",
				       "te",
				       "trailer",
				       "transfer-encoding",
				       "upgrade",
				       "http2-settings",
				       "content-*",
				       "host",
				       "forwarded",
				       "x-forwarded-*",
				       "x-original-*",
				       "x-real-ip",
				       "x-accel-*",
				       "x-http-method-override",
				       "sec-*",
				       "access-control-*",
				       "location",
				       "www-authenticate",
				       "retry-after",
				       "cache-control",
				       "vary",
				       "date",
				       "server",
				       "status",
				       "origin",
				       "referer",
				       "expect",
				       "range",
				       "via"};

static char fold(char c)
{
	return c == '_' || c == '.' ? '-' : sv_lower_char(c);
}

static bool folds_to(struct sv a, struct sv b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		if (fold(a.p[i]) != fold(b.p[i]))
			return false;
	return true;
}

static bool is_reserved(struct sv name)
{
	for (size_t i = 0; i < ARRAY_LEN(reserved); i++) {
		struct sv r = sv_str(reserved[i]);

		if (sv_ends(r, SV("*")) ? folds_to(sv_cut(name, 0, r.n - 1), sv_cut(r, 0, r.n - 1))
					: folds_to(name, r))
			return true;
	}
	return false;
}

static bool is_kept_somewhere(const struct config *c, struct sv claim)
{
	for (size_t i = 0; i < c->nproviders; i++)
		if (config_claim_is_kept(&c->providers[i], claim))
			return true;
	return c->nproviders == 0;
}

static enum err check_header(const struct config_build *b, const struct config_header *h, size_t i)
{
	if (is_reserved(h->name))
		return config_build_error(b, CONFIG_OPT_header_claim, i,
					  "expected another header than " SV_FMT
					  ", whose value is not a claim's",
					  SV_ARG(h->name));
	if (!is_kept_somewhere(b->c, h->claim))
		return config_build_error(b, CONFIG_OPT_header_claim, i,
					  "expected \"subject\" or a claim that a provider's "
					  "keep_claims has");
	if (h->separator.n == 0 || sv_has_control(h->separator))
		return config_build_error(b, CONFIG_OPT_header_separator, i,
					  "expected at least one character, and no control "
					  "characters");
	for (size_t k = 0; k < h->only.n; k++)
		if (sv_has_control(h->only.v[k]))
			return config_build_error(b, CONFIG_OPT_header_only, i,
						  "expected no control characters");
	return ERR_OK;
}

/* Every header of every set is in every answer, so their names are one space. */
enum err config_check_headers(const struct config_build *b)
{
	const struct config_items *items = &b->items[CONFIG_SECTION_header];
	const struct config_header *h = (const void *)items->v;
	size_t names = 0;

	for (size_t i = 0; i < items->n; i++) {
		enum err err = check_header(b, &h[i], i);
		bool known = false;

		if (err != ERR_OK)
			return err;
		for (size_t k = 0; k < i; k++) {
			known = known || sv_eq(h[i].name, h[k].name);
			if (!sv_eq(h[i].name, h[k].name) && folds_to(h[i].name, h[k].name))
				return config_build_error(
				    b, CONFIG_OPT_header_claim, i,
				    "expected one spelling of a header, there "
				    "are " SV_FMT " and " SV_FMT,
				    SV_ARG(h[k].name), SV_ARG(h[i].name));
		}
		names += !known;
		if (names > CONFIG_MAX_HEADERS)
			return config_build_error(b, CONFIG_OPT_header_claim, i,
						  "expected at most %d different headers",
						  CONFIG_MAX_HEADERS);
	}
	return ERR_OK;
}
