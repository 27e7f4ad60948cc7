#include "common/sv.h"

#include <endian.h>

bool sv_eq_nocase(struct sv a, struct sv b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = a.n; i-- > 0;) /* names of header fields differ at their ends */
		if (a.p[i] != b.p[i] && sv_lower_char(a.p[i]) != sv_lower_char(b.p[i]))
			return false;
	return true;
}

/* Eight bytes at a time: the high bit of a byte that is below 0x20, or 0x7f. */
static uint64_t controls(uint64_t x)
{
	const uint64_t ones = 0x0101010101010101, high = 0x8080808080808080;
	uint64_t del = x ^ 0x7f * ones;

	return (((x - 0x20 * ones) & ~x) | ((del - ones) & ~del)) & high;
}

size_t sv_find_control(struct sv s)
{
	size_t i = 0;
	uint64_t x, found;

	for (; s.n - i >= sizeof x; i += sizeof x) {
		memcpy(&x, s.p + i, sizeof x);
		found = controls(le64toh(x)); /* the lowest bit is the first byte's, and right */
		if (found != 0)
			return i + (size_t)__builtin_ctzll(found) / 8;
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
