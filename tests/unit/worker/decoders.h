/*
 * decoders - how edges and services read a request target, each in its own way
 *
 * Models, for the property tests of the canon: whatever the canon takes, all of these must read as
 * the same path. Each writes the path it sees (escapes resolved) to `out`, which has room for
 * target.n + 1 bytes, and returns how many bytes that are.
 */
#ifndef BFF_TEST_DECODERS_H
#define BFF_TEST_DECODERS_H

#include "tests/unit/unit.h"

typedef size_t (*decoder)(struct sv target, char *out);

static inline int decoders_hex(char c)
{
	const char *digits = "0123456789abcdef", *at = c == '\0' ? NULL : strchr(digits, c | 0x20);

	return at == NULL ? -1 : (int)(at - digits);
}

/* One pass of %XX; what is no escape stays. */
static inline size_t decoders_unescape(struct sv s, char *out)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		int high = i + 2 < s.n && s.p[i] == '%' ? decoders_hex(s.p[i + 1]) : -1;
		int low = high == -1 ? -1 : decoders_hex(s.p[i + 2]);

		out[n++] = low == -1 ? s.p[i] : (char)(unsigned char)(high * 16 + low);
		i += low == -1 ? 0 : 2;
	}
	return n;
}

static inline struct sv decoders_path(struct sv target, const char *ends)
{
	for (size_t i = 0; i < target.n; i++)
		if (target.p[i] != '\0' && strchr(ends, target.p[i]) != NULL)
			return sv_cut(target, 0, i);
	return target;
}

static inline void decoders_pop(const char *out, size_t *n)
{
	while (*n > 0 && out[*n - 1] != '/')
		(*n)--;
	if (*n > 1)
		(*n)--;
	while (*n > 1 && out[*n - 1] != '/')
		(*n)--;
}

enum decoders_slashes { DECODERS_KEEP_SLASHES, DECODERS_MERGE_SLASHES };

/* RFC 3986 5.2.4, in place, by segments. */
static inline size_t decoders_remove_dots(char *p, size_t len, enum decoders_slashes slashes)
{
	size_t n = 0, i = 0;

	while (i < len) {
		size_t start = i;

		while (i < len && p[i] != '/')
			i++;
		if (i - start == 1 && p[start] == '.') {
			i += i < len;
			continue;
		}
		if (i - start == 2 && p[start] == '.' && p[start + 1] == '.') {
			decoders_pop(p, &n);
			i += i < len;
			continue;
		}
		memmove(p + n, p + start, i - start);
		n += i - start;
		if (i < len) {
			if (slashes == DECODERS_KEEP_SLASHES || n == 0 || p[n - 1] != '/')
				p[n++] = '/';
			i++;
		}
	}
	return n;
}

/* RFC 3986: dot segments go, then escapes are resolved. */
static inline size_t decode_rfc3986(struct sv target, char *out)
{
	struct sv path = decoders_path(target, "?#");

	memcpy(out, path.p, path.n);
	return decoders_unescape(
	    sv_of(out, decoders_remove_dots(out, path.n, DECODERS_KEEP_SLASHES)), out);
}

/* nginx's $uri: escapes first, then merge_slashes and dot segments. */
static inline size_t decode_nginx(struct sv target, char *out)
{
	size_t n = decoders_unescape(decoders_path(target, "?#"), out);

	return decoders_remove_dots(out, n, DECODERS_MERGE_SLASHES);
}

/* The WHATWG URL parser, of a special scheme: tabs and newlines vanish, '\' is '/', "%2e" a dot. */
static inline size_t decode_whatwg(struct sv target, char *out)
{
	struct sv path = decoders_path(target, "?#");
	size_t n = 0;

	for (size_t i = 0; i < path.n; i++) {
		if (path.p[i] == '\t' || path.p[i] == '\r' || path.p[i] == '\n')
			continue;
		out[n++] = path.p[i] == '\\' ? '/' : path.p[i];
		if (n >= 3 && out[n - 3] == '%' && out[n - 2] == '2' &&
		    (out[n - 1] | 0x20) == 'e') {
			out[n - 3] = '.';
			n -= 2;
		}
	}
	return decoders_unescape(sv_of(out, decoders_remove_dots(out, n, DECODERS_KEEP_SLASHES)),
				 out);
}

/* A servlet container: ";..." is cut out of each segment, then as nginx. */
static inline size_t decode_servlet(struct sv target, char *out)
{
	struct sv path = decoders_path(target, "?#");
	bool parameter = false;
	size_t n = 0;

	for (size_t i = 0; i < path.n; i++) {
		parameter = path.p[i] == ';' || (parameter && path.p[i] != '/');
		if (!parameter)
			out[n++] = path.p[i];
	}
	n = decoders_unescape(sv_of(out, n), out);
	return decoders_remove_dots(out, n, DECODERS_MERGE_SLASHES);
}

/* Two in a row, each of which decodes; the second ends the path at a '?', '#', ';' or NUL that the
 * first one made. */
static inline size_t decode_twice(struct sv target, char *out)
{
	size_t n = decode_nginx(target, out);
	struct sv again = decoders_path(sv_of(out, n), "?#;");

	n = decoders_unescape(sv_cut(again, 0, sv_find(again, '\0')), out);
	for (size_t i = 0; i < n; i++)
		if (out[i] == '\\')
			out[i] = '/';
	return decoders_remove_dots(out, n, DECODERS_MERGE_SLASHES);
}

static const struct {
	const char *name;
	decoder decode;
} decoders[] = {
    {"rfc3986", decode_rfc3986}, {"nginx", decode_nginx}, {"whatwg", decode_whatwg},
    {"servlet", decode_servlet}, {"twice", decode_twice},
};

#endif
