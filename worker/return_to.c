#include "worker/return_to.h"

#include "worker/forwarded.h"
#include "worker/url.h"

/* Bytes that no browser leaves as they are. */
static bool has_odd_byte(struct sv s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] >= 0x7f || s.p[i] == '\\')
			return true;
	return false;
}

/* Index of the first of / ? # in s, or s.n. */
static size_t authority_end(struct sv s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == '/' || s.p[i] == '?' || s.p[i] == '#')
			return i;
	return s.n;
}

/* Cuts "scheme://authority" off *rest; what it says goes to *f. No other form of a URL is taken,
 * though browsers do ("https:/host", "https:host"). */
static bool take_origin(struct sv *rest, struct forwarded *f)
{
	static const struct sv schemes[] = {SV_INIT("https://"), SV_INIT("http://")};

	for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
		struct sv after = sv_cut(*rest, schemes[i].n, rest->n);
		size_t end = authority_end(after);

		if (!sv_eq_nocase(sv_cut(*rest, 0, schemes[i].n), schemes[i]))
			continue;
		f->https = i == 0;
		*rest = sv_cut(after, end, after.n);
		return forwarded_host(sv_cut(after, 0, end), f) == ERR_OK;
	}
	return false;
}

/* The path and query are what url.h accepts; a missing path is "/"; the fragment is free. */
static bool append_rest(struct sv rest, struct buf *out)
{
	struct sv target = sv_cut(rest, 0, sv_find(rest, '#'));
	struct sv fragment = sv_cut(rest, target.n, rest.n);
	char slashed[RETURN_TO_MAX + 1];
	const char *reason;
	struct url url;

	if (target.n == 0 || target.p[0] != '/') {
		slashed[0] = '/';
		if (target.n > 0)
			memcpy(slashed + 1, target.p, target.n);
		target = sv_of(slashed, target.n + 1);
	}
	if (url_parse(target, &url, &reason) != ERR_OK)
		return false;
	buf_add(out, target);
	buf_add(out, fragment);
	return true;
}

static bool append_wish(const struct config_app *app, struct sv home, struct sv wish,
			struct buf *out)
{
	struct forwarded f = {0};
	size_t start = out->n;

	if (wish.n == 0 || wish.n > RETURN_TO_MAX + FORWARDED_ORIGIN_MAX || has_odd_byte(wish))
		return false;
	if (wish.p[0] == '/') {
		if (wish.n > 1 && wish.p[1] == '/') /* a host would follow */
			return false;
		buf_add(out, home);
	} else {
		if (!take_origin(&wish, &f))
			return false;
		if (!config_origins_have(&app->origins, f.origin) &&
		    !config_origins_have(&app->return_to, f.origin))
			return false;
		buf_add(out, f.origin);
	}
	if (wish.n <= RETURN_TO_MAX && append_rest(wish, out))
		return true;
	if (!out->failed)
		out->n = start;
	return false;
}

bool return_to_judge(const struct config_app *app, const struct config_origin *current,
		     struct sv wish, struct buf *out)
{
	struct sv home = app->origins.v[0].text;

	if (current != NULL && config_origins_have(&app->origins, current->text))
		home = current->text;
	if (append_wish(app, home, wish, out))
		return true;
	buf_add(out, home);
	buf_add_char(out, '/');
	return false;
}
