#include "common/trace.h"

#define ID_AT 3
#define ID_LEN 32
#define SPAN_AT 36
#define FLAGS_AT 53

/* All of them hexadecimal digits, none in upper case, and not all zero unless that may be. */
static bool is_hex(struct sv s, bool zero_too)
{
	int any = 0;

	for (size_t i = 0; i < s.n; i++) {
		int v = sv_hex_digit(s.p[i]);

		if (v == -1 || s.p[i] != sv_lower_char(s.p[i]))
			return false;
		any |= v;
	}
	return zero_too || any != 0;
}

void trace_read(struct sv v, struct trace *ret)
{
	static const char flags[] = "0123"; /* sampled, random; others mean nothing in version 00 */
	struct sv version = sv_cut(v, 0, 2);

	*ret = (struct trace){.n = 0};
	if (v.n < TRACE_LEN || v.p[2] != '-' || v.p[SPAN_AT - 1] != '-' || v.p[FLAGS_AT - 1] != '-')
		return;
	if (!is_hex(version, true) || sv_eq(version, SV("ff")) ||
	    !is_hex(sv_cut(v, ID_AT, SPAN_AT - 1), false) ||
	    !is_hex(sv_cut(v, SPAN_AT, FLAGS_AT - 1), false) ||
	    !is_hex(sv_cut(v, FLAGS_AT, TRACE_LEN), true))
		return;
	if (v.n > TRACE_LEN && (sv_eq(version, SV("00")) || v.p[TRACE_LEN] != '-'))
		return;
	memcpy(ret->text, v.p, TRACE_LEN);
	memcpy(ret->text, "00", 2);
	ret->text[FLAGS_AT] = '0';
	ret->text[FLAGS_AT + 1] = flags[sv_hex_digit(v.p[FLAGS_AT + 1]) & 3];
	ret->n = TRACE_LEN;
}

struct sv trace_text(const struct trace *t)
{
	return sv_of(t->text, t->n);
}

struct sv trace_id(const struct trace *t)
{
	return t->n == 0 ? SV_NONE : sv_of(t->text + ID_AT, ID_LEN);
}

struct trace trace_child(const struct trace *t, const unsigned char span[TRACE_SPAN_LEN])
{
	static const char hex[] = "0123456789abcdef";
	struct trace child = *t;

	for (size_t i = 0; t->n > 0 && i < TRACE_SPAN_LEN; i++) {
		child.text[SPAN_AT + 2 * i] = hex[span[i] >> 4];
		child.text[SPAN_AT + 2 * i + 1] = hex[span[i] & 15];
	}
	return child;
}
