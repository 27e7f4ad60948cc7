#include "worker/logout_return.h"

#include "common/b64.h"
#include "common/crypt.h"

#define STATE_TEXT_LEN B64URL_LEN(COOKIE_SECRET_LEN)
#define VALUE_MAX (STATE_TEXT_LEN + 1 + 20)

size_t logout_place(const struct config_app *app, const struct config_origin *origin,
		    struct sv wish)
{
	for (size_t i = 0; i < app->after_logout.n; i++)
		if (sv_eq(app->after_logout.v[i], wish))
			return i;
	for (size_t i = 0; app->after_logout.n == 0 && i < app->origins.n; i++)
		if (sv_eq(app->origins.v[i].text, origin->text))
			return i;
	return 0; /* of a login_origin that is none of the origins, too: there is no page there */
}

enum err logout_place_url(const struct config_app *app, size_t place, struct buf *out)
{
	if (app->after_logout.n > 0) {
		if (place >= app->after_logout.n)
			return ERR_RANGE;
		buf_add(out, app->after_logout.v[place]);
		return ERR_OK;
	}
	if (place >= app->origins.n)
		return ERR_RANGE;
	buf_add(out, app->origins.v[place].text);
	buf_add_char(out, '/');
	return ERR_OK;
}

void logout_return_set(struct buf *out, const struct config_app *app,
		       const struct config_origin *origin,
		       const unsigned char state[COOKIE_SECRET_LEN], size_t place)
{
	char text[STATE_TEXT_LEN];
	struct buf value;

	buf_init(&value, VALUE_MAX);
	buf_add(&value, sv_of(text, b64url_encode(state, COOKIE_SECRET_LEN, text)));
	buf_add_char(&value, '.');
	buf_add_u64(&value, place);
	if (!buf_ok(&value))
		out->failed = true;
	cookie_set_logout(out, app, origin, buf_sv(&value));
	buf_done(&value);
	explicit_bzero(text, sizeof text);
}

const char *logout_return_refusal(struct http_fields f, const struct config_app *app,
				  const struct config_origin *origin, struct sv state,
				  struct buf *url)
{
	struct sv value = SV_NONE, want;
	uint64_t place;

	switch (cookie_find(f, cookie_logout_name(app, origin), &value)) {
	case COOKIE_NONE:
	case COOKIE_BAD:
		return "no_cookie";
	case COOKIE_AMBIGUOUS:
		return "two_cookies";
	case COOKIE_OK:
		break;
	}
	want = sv_cut(value, 0, STATE_TEXT_LEN);
	if (value.n > VALUE_MAX || want.n != STATE_TEXT_LEN || value.n == STATE_TEXT_LEN ||
	    value.p[STATE_TEXT_LEN] != '.' ||
	    sv_u64(sv_cut(value, STATE_TEXT_LEN + 1, value.n), SIZE_MAX, &place) != ERR_OK)
		return "cookie";
	if (state.n == 0)
		return "no_state";
	if (!crypt_equal(state, want))
		return "other_state";
	/* Out of range: the configuration is another by now. */
	return logout_place_url(app, (size_t)place, url) == ERR_OK ? NULL : "cookie";
}
