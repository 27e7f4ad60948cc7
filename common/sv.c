#include "common/sv.h"

/* 16 a line. */
/* clang-format off */
const bool sv_alnum[256] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0,
    0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0,
    0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
};
/* clang-format on */

int sv_compare(struct sv a, struct sv b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int d = n == 0 ? 0 : memcmp(a.p, b.p, n);

	return d != 0 ? d : (a.n > b.n) - (a.n < b.n);
}

/* Mostly spelt alike, or different at the ends: names of header fields. */
bool sv_eq_nocase(struct sv a, struct sv b)
{
	if (a.n != b.n)
		return false;
	if (sv_eq(a, b))
		return true;
	for (size_t i = a.n; i-- > 0;)
		if (sv_lower_char(a.p[i]) != sv_lower_char(b.p[i]))
			return false;
	return true;
}

/* Sixteen bytes in one register, which every machine that we know has; where not, the compiler does
 * as if (gcc and clang: vector extensions). */
typedef unsigned char bytes16 __attribute__((vector_size(16)));
typedef uint64_t halves __attribute__((vector_size(16)));

/* Which of eight bytes in memory is the first that is not 0. */
static size_t first_of(uint64_t bytes)
{
	return (size_t)__builtin_ctzll(le64toh(bytes)) / 8;
}

size_t sv_find_control(struct sv s)
{
	size_t i = 0;
	bytes16 x;
	halves found;

	for (; s.n - i >= sizeof x; i += sizeof x) {
		memcpy(&x, s.p + i, sizeof x);
		found = (halves)((x < ' ') | (x == 0x7f)); /* all ones where one is */
		if ((found[0] | found[1]) == 0)
			continue;
		return i + (found[0] != 0 ? first_of(found[0]) : 8 + first_of(found[1]));
	}
	while (i < s.n && (unsigned char)s.p[i] >= ' ' && s.p[i] != 0x7f)
		i++;
	return i;
}

bool sv_has_control(struct sv s)
{
	return sv_find_control(s) < s.n;
}

bool sv_has_word(struct sv list, struct sv word)
{
	while (list.n > 0) {
		size_t end = sv_find(list, ' ');

		if (end > 0 && sv_eq(sv_cut(list, 0, end), word))
			return true;
		list = sv_cut(list, end + 1, list.n);
	}
	return false;
}

/* Unicode 15 3.9, table 3-7. */
size_t sv_utf8_len(struct sv s)
{
	const unsigned char *p = (const unsigned char *)s.p;
	size_t n;

	if (s.n == 0 || p[0] < 0x80)
		return s.n == 0 ? 0 : 1;
	n = p[0] >= 0xc2 && p[0] <= 0xdf ? 2 : (p[0] & 0xf0) == 0xe0 ? 3 : 4;
	if (p[0] < 0xc2 || p[0] > 0xf4 || s.n < n)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
	    (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return n;
}

size_t sv_utf8_escaped_len(struct sv s)
{
	char bytes[4];
	size_t n = 0;

	for (size_t at = 0; n < sizeof bytes && at < s.n && s.p[at] == '%'; at += 3) {
		int c = sv_hex_byte(s, at + 1);

		if (c == -1)
			break;
		bytes[n++] = (char)c;
	}
	return 3 * sv_utf8_len(sv_of(bytes, n));
}

enum err sv_u64(struct sv s, uint64_t max, uint64_t *ret)
{
	uint64_t v = 0;

	if (s.n == 0)
		return ERR_SYNTAX;
	for (size_t i = 0; i < s.n; i++) {
		uint64_t d = (uint64_t)(unsigned char)s.p[i] - '0';

		if (d > 9)
			return ERR_SYNTAX;
		if (v > (UINT64_MAX - d) / 10)
			return ERR_RANGE;
		v = v * 10 + d;
	}
	if (v > max)
		return ERR_RANGE;
	*ret = v;
	return ERR_OK;
}
