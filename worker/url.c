#include "worker/url.h"

/* The byte of the escape at s[at], which is '%'; -1 when it is none. */
static int escape_value(struct sv s, size_t at)
{
	return sv_hex_byte(s, at + 1);
}

static bool is_unreserved(char c)
{
	return sv_is_alnum(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

void url_escape(struct buf *out, struct sv s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (is_unreserved(s.p[i]))
			buf_add_char(out, s.p[i]);
		else
			buf_add_escaped(out, s.p[i]);
	}
}

/* Why this byte of a path or query is refused; NULL: it is fine, or begins an escape. */
static const char *judge_byte(unsigned char c)
{
	if (c < ' ' || c == 0x7f)
		return "uri_control";
	if (c == ' ' || c > 0x7e)
		return "uri_byte";
	if (c == '\\')
		return "uri_backslash";
	return c == '#' ? "uri_fragment" : NULL;
}

/* Bytes that may stand nowhere, and escapes that are none. NULL: fine. */
static const char *judge_bytes(struct sv target)
{
	for (size_t i = 0; i < target.n; i++) {
		const char *reason;

		if (sv_is_alnum(target.p[i]) || target.p[i] == '/')
			continue;
		reason = judge_byte((unsigned char)target.p[i]);
		if (reason != NULL)
			return reason;
		if (target.p[i] == '%' && escape_value(target, i) == -1)
			return "uri_escape";
	}
	return NULL;
}

/* What decoded once would be read as something else: the same words as for the plain byte. */
static const char *judge_escaped_delimiter(int c)
{
	switch (c) {
	case '%':
		return "uri_double_escape";
	case '\\':
		return "uri_backslash";
	case ';':
		return "uri_semicolon";
	case '#':
		return "uri_fragment";
	case '?':
		return "uri_escaped_query";
	default:
		return NULL;
	}
}

/* The escape at path[at]; *ret_n is how many bytes it takes with what belongs to it. */
static const char *judge_escape(struct sv path, size_t at, struct url *u, size_t *ret_n)
{
	int c = escape_value(path, at);

	*ret_n = 3;
	if (c < ' ' || c == 0x7f)
		return "uri_control";
	if (c == '/') {
		u->encoded_slash = true;
		return NULL;
	}
	if (is_unreserved((char)c))
		return "uri_escaped_plain";
	if (c < 0x80)
		return judge_escaped_delimiter(c);
	*ret_n = sv_utf8_escaped_len(sv_cut(path, at, path.n));
	if (*ret_n == 0)
		return "uri_utf8";
	/* U+0080 to U+009F are controls, too. */
	return c == 0xc2 && escape_value(path, at + 3) < 0xa0 ? "uri_control" : NULL;
}

static const char *judge_path(struct url *u)
{
	struct sv path = u->path;
	size_t n;

	for (size_t i = 0; i < path.n; i += n) {
		const char *reason;

		n = 1;
		if (sv_is_alnum(path.p[i]) || path.p[i] == '/')
			continue;
		if (memchr(";\"<>`{}", path.p[i], 7) != NULL)
			return path.p[i] == ';' ? "uri_semicolon" : "uri_byte";
		if (path.p[i] != '%')
			continue;
		reason = judge_escape(path, i, u, &n);
		if (reason != NULL)
			return reason;
	}
	return NULL;
}

/* Where the segment that begins s ends, and how long the slash after it is: 1, 3 when it is
 * escaped, 0 at the end. */
static size_t segment_end(struct sv s, size_t *ret_slash)
{
	for (size_t i = 0; i < s.n; i++) {
		*ret_slash = s.p[i] == '/' ? 1 : 3;
		if (s.p[i] == '/' || (s.p[i] == '%' && escape_value(s, i) == '/'))
			return i;
	}
	*ret_slash = 0;
	return s.n;
}

/* Segments: none empty but the last, none of dots alone; an escaped slash counts as one here,
 * since a service may well read "/a/..%2F..%2Fb" as "/b". */
static const char *judge_segments(struct sv path)
{
	struct sv rest = sv_cut(path, 1, path.n);
	size_t slash = 1;

	while (slash > 0) {
		size_t end = segment_end(rest, &slash);
		struct sv segment = sv_cut(rest, 0, end);

		if (sv_eq(segment, SV(".")) || sv_eq(segment, SV("..")))
			return "uri_dots";
		if (segment.n == 0 && slash > 0)
			return "uri_double_slash";
		rest = sv_cut(rest, end + slash, rest.n);
	}
	return NULL;
}

static const char *judge(struct url *u)
{
	const char *reason;

	if (u->target.n == 0 || u->target.p[0] != '/')
		return "uri_form"; /* absolute-form, authority-form, '*' */
	if (u->target.n > URL_TARGET_MAX)
		return "uri_length";
	reason = judge_bytes(u->target);
	if (reason == NULL)
		reason = judge_segments(u->path);
	if (reason == NULL)
		reason = judge_path(u);
	return reason;
}

enum err url_parse(struct sv target, struct url *ret, const char **ret_reason)
{
	size_t end = sv_find(target, '?');
	struct url u = {.target = target, .path = sv_cut(target, 0, end)};
	const char *reason;

	if (end < target.n)
		u.query = sv_cut(target, end + 1, target.n);
	reason = judge(&u);
	if (reason != NULL) {
		*ret_reason = reason;
		return ERR_SYNTAX;
	}
	*ret = u;
	return ERR_OK;
}

struct sv url_decode_path(struct sv path, char *out)
{
	size_t n = 0;

	for (size_t i = 0; i < path.n; i++) {
		int c = path.p[i] == '%' ? escape_value(path, i) : -1;

		if (c == '/') {
			memcpy(out + n, "%2F", 3);
			n += 3;
			i += 2;
		} else if (c != -1) {
			out[n++] = (char)(unsigned char)c;
			i += 2;
		} else {
			out[n++] = path.p[i];
		}
	}
	return sv_of(out, n);
}
