#include "worker/navigation.h"

static bool has(struct http_fields f, enum http_name name)
{
	return http_fields_nth(f, name, 0) != NULL;
}

static bool is_get_or_head(struct sv method)
{
	return sv_eq(method, SV("GET")) || sv_eq(method, SV("HEAD"));
}

/* Any element of an Accept list that is text/html, whatever its weight but 0. */
static bool accepts_html(struct sv accept)
{
	while (accept.n > 0) {
		size_t end = sv_find(accept, ',');
		struct sv item = sv_trim(sv_cut(accept, 0, end));
		size_t type_end = sv_find(item, ';');
		struct sv weight = sv_trim(sv_cut(item, type_end + 1, item.n));

		if (sv_eq_nocase(sv_trim(sv_cut(item, 0, type_end)), SV("text/html")) &&
		    !sv_eq(weight, SV("q=0")))
			return true;
		accept = sv_cut(accept, end + 1, accept.n);
	}
	return false;
}

bool navigation_is(struct sv method, bool websocket, struct http_fields f)
{
	struct sv mode = SV_NONE, dest = SV_NONE, accept = SV_NONE;
	const struct http_field *field;

	if (!is_get_or_head(method) || websocket || has(f, HTTP_X_REQUESTED_WITH))
		return false;
	if (has(f, HTTP_SEC_FETCH_MODE) || has(f, HTTP_SEC_FETCH_DEST) ||
	    has(f, HTTP_SEC_FETCH_SITE)) {
		if (http_fields_one(f, HTTP_SEC_FETCH_MODE, &mode) != ERR_OK ||
		    http_fields_one(f, HTTP_SEC_FETCH_DEST, &dest) != ERR_OK)
			return false;
		return sv_eq(mode, SV("navigate")) &&
		       (sv_eq(dest, SV("document")) || sv_eq(dest, SV("iframe")));
	}
	for (size_t i = 0; (field = http_fields_nth(f, HTTP_ACCEPT, i)) != NULL; i++) {
		accept = field->value;
		if (accepts_html(accept))
			return true;
	}
	return false;
}

bool navigation_redirects(enum config_no_login rule, struct sv method, bool websocket,
			  struct http_fields f)
{
	switch (rule) {
	case NO_LOGIN_AUTO:
		return navigation_is(method, websocket, f);
	case NO_LOGIN_REDIRECT:
		return is_get_or_head(method) && !websocket;
	case NO_LOGIN_401:
		return false;
	}
	return false;
}

bool navigation_is_preflight(struct sv method, struct http_fields f, struct sv *ret_method)
{
	struct sv origin, wanted;

	if (!sv_eq(method, SV("OPTIONS")) || http_fields_one(f, HTTP_ORIGIN, &origin) != ERR_OK ||
	    origin.n == 0 ||
	    http_fields_one(f, HTTP_ACCESS_CONTROL_REQUEST_METHOD, &wanted) != ERR_OK ||
	    wanted.n == 0)
		return false;
	*ret_method = wanted;
	return true;
}
