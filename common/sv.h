/*
 * sv - a borrowed run of bytes
 *
 * Not NUL-terminated unless the source says so. Validity is that of the memory it
 * points into. Everything here is pure.
 */
#ifndef BFF_SV_H
#define BFF_SV_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/err.h"

struct sv {
	const char *p;
	size_t n;
};

#define SV(lit) ((struct sv){"" lit, sizeof(lit) - 1})
/* The same where C wants a constant initializer: tables. */
#define SV_INIT(lit)                                                                               \
	{                                                                                          \
		"" lit, sizeof(lit) - 1                                                            \
	}
#define SV_NONE ((struct sv){NULL, 0})
#define SV_FMT "%.*s"
#define SV_ARG(s) (int)(s).n, (s).p
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

static inline struct sv sv_of(const char *p, size_t n)
{
	return (struct sv){p, n};
}

static inline struct sv sv_str(const char *cstr)
{
	return cstr == NULL ? SV_NONE : (struct sv){cstr, strlen(cstr)};
}

/* Byte equality; not constant time (secrets: crypt_equal). */
static inline bool sv_eq(struct sv a, struct sv b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool sv_starts(struct sv s, struct sv prefix)
{
	return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

static inline bool sv_ends(struct sv s, struct sv suffix)
{
	return s.n >= suffix.n &&
	       (suffix.n == 0 || memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0);
}

/* ASCII only, never locale. */
static inline char sv_lower_char(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* An ASCII letter or digit. */
extern const bool sv_alnum[256];
static inline bool sv_is_alnum(char c)
{
	return sv_alnum[(unsigned char)c];
}

/* The value of a hexadecimal digit of either case; -1: none. */
static inline int sv_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = sv_lower_char(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte of two such digits at s[at]; -1: they are none. */
static inline int sv_hex_byte(struct sv s, size_t at)
{
	int high = at < s.n ? sv_hex_digit(s.p[at]) : -1;
	int low = high != -1 && at + 1 < s.n ? sv_hex_digit(s.p[at + 1]) : -1;

	return low == -1 ? -1 : high * 16 + low;
}

/* FNV-1a, 64 bits, of these bytes behind those of h. For keys that nobody can choose to collide,
 * and to tell builds apart; it authenticates nothing. */
#define SV_HASH_START UINT64_C(0xcbf29ce484222325)
static inline uint64_t sv_hash(uint64_t h, struct sv s)
{
	for (size_t i = 0; i < s.n; i++)
		h = (h ^ (unsigned char)s.p[i]) * UINT64_C(0x100000001b3);
	return h;
}

/* Below, above or 0, byte by byte; a prefix is below. */
int sv_compare(struct sv a, struct sv b);

/* Equality under ASCII case folding. */
bool sv_eq_nocase(struct sv a, struct sv b);

/* Where its first byte below space, or DEL, is; s.n: there is none. */
size_t sv_find_control(struct sv s);
bool sv_has_control(struct sv s);

/* The first eight of n bytes at p, the first one lowest; 0 for those that there are not. */
static inline uint64_t sv_load64(const char *p, size_t n)
{
	uint64_t x = 0;
	uint32_t four;
	uint16_t two;

	if (n >= sizeof x) {
		memcpy(&x, p, sizeof x);
		return le64toh(x);
	}
	if ((n & 1) != 0)
		x = (unsigned char)p[n - 1];
	if ((n & 2) != 0) {
		memcpy(&two, p + (n & 4), sizeof two);
		x = x << 16 | le16toh(two);
	}
	if ((n & 4) != 0) {
		memcpy(&four, p, sizeof four);
		x = x << 32 | le32toh(four);
	}
	return x;
}

/* Where its first byte is that is no printable ASCII, or is the ASCII a or b; s.n: there is none.
 */
static inline size_t sv_find_special(struct sv s, char a, char b)
{
	const uint64_t ones = 0x0101010101010101, high = 0x80 * ones;
	const uint64_t as = (unsigned char)a * ones, bs = (unsigned char)b * ones;

	/* The high bits of such bytes. They may set more behind the first one, which is found.
	 * Behind the last byte is one: the 0 that sv_load64() has there. */
	for (size_t i = 0;; i += sizeof as) {
		uint64_t x = sv_load64(s.p + i, s.n - i);

		x |= (x + ones) | (x - 0x20 * ones) | ((x ^ as) - ones) | ((x ^ bs) - ones);
		if ((x & high) != 0)
			return i + (size_t)__builtin_ctzll(x & high) / 8;
	}
}

/* The bytes of the well-formed UTF-8 sequence that s begins with; 0: malformed, cut short or empty.
 */
size_t sv_utf8_len(struct sv s);

/* The same where each byte is a percent-escape: the bytes of the escapes. */
size_t sv_utf8_escaped_len(struct sv s);

/* Index of c, or s.n when it is absent. */
static inline size_t sv_find(struct sv s, char c)
{
	const char *at = s.n == 0 ? NULL : memchr(s.p, c, s.n);

	return at == NULL ? s.n : (size_t)(at - s.p);
}

/* Bytes [from, to) of s; both are clamped to s.n. */
static inline struct sv sv_cut(struct sv s, size_t from, size_t to)
{
	if (to > s.n)
		to = s.n;
	if (from > to)
		from = to;
	return s.p == NULL ? SV_NONE : sv_of(s.p + from, to - from);
}

/* Without SP and HTAB at both ends. */
static inline struct sv sv_trim(struct sv s)
{
	while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
		s = sv_of(s.p + 1, s.n - 1);
	while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

/* Whether the word is one of the list's, which stand between spaces; the empty word never is. */
bool sv_has_word(struct sv list, struct sv word);

/* Whole of s as a decimal number without sign: ERR_SYNTAX, ERR_RANGE above max. */
WARN_UNUSED enum err sv_u64(struct sv s, uint64_t max, uint64_t *ret);

#endif
