/*
 * json_writer - objects of JSON of any shape, from a seed
 *
 * What is written is JSON (RFC 8259), if it fits: names twice, every escape, every length of UTF-8,
 * numbers at the edges. No name has U+0000. json_mutate() then makes of it something that mostly is
 * none.
 */
#ifndef BFF_JSON_WRITER_H
#define BFF_JSON_WRITER_H

#include "tests/unit/chance.h"
#include "tests/unit/unit.h"

struct json_writer {
	char text[8192];
	size_t n;
	uint64_t chance;
};

static inline unsigned json_pick(struct json_writer *w, unsigned n)
{
	return chance_below(&w->chance, n);
}

static inline void json_put(struct json_writer *w, const char *s)
{
	while (*s != '\0' && w->n < sizeof w->text)
		w->text[w->n++] = *s++;
}

static inline void json_put_space(struct json_writer *w)
{
	static const char *const spaces[] = {"", "", "", "", " ", "\t", "\r\n", "  "};

	json_put(w, spaces[json_pick(w, ARRAY_LEN(spaces))]);
}

static inline void json_put_string(struct json_writer *w, unsigned most, bool is_name)
{
	static const char *const parts[] = {"\\u0000",
					    "a",
					    "b",
					    "/",
					    "~",
					    " ",
					    "\x7f",
					    "\\\"",
					    "\\\\",
					    "\\/",
					    "\\b",
					    "\\f",
					    "\\n",
					    "\\r",
					    "\\t",
					    "\\u0061",
					    "\\u00E9",
					    "\\u20ac",
					    "\\uFFff",
					    "\\ud83d\\uDE00",
					    "\\udbff\\udfff",
					    "\xc3\xa9",
					    "\xe2\x82\xac",
					    "\xed\x9f\xbf",
					    "\xf0\x9f\x98\x80",
					    "\xf4\x8f\xbf\xbf",
					    "a longer run of plain text",
					    "%",
					    ","};

	json_put(w, "\"");
	for (unsigned n = json_pick(w, most + 1); n > 0; n--)
		json_put(w, parts[is_name + json_pick(w, ARRAY_LEN(parts) - is_name)]);
	json_put(w, "\"");
}

static inline void json_put_number(struct json_writer *w)
{
	static const char *const numbers[] = {"0",
					      "-0",
					      "-0.0",
					      "7",
					      "-12",
					      "1.50",
					      "1e5",
					      "1E+5",
					      "-1.25e-3",
					      "0e0",
					      "-0e-0",
					      "1e308",
					      "1e309",
					      "-1e999",
					      "1e-999",
					      "999999999999999999",
					      "1000000000000000000",
					      "9223372036854775806",
					      "9223372036854775807",
					      "9223372036854775808",
					      "-9223372036854775807",
					      "-9223372036854775808",
					      "-9223372036854775809",
					      "18446744073709551615",
					      "18446744073709551616",
					      "123456789012345678901234567890",
					      "0.1000000000000000055511151231257827",
					      "1797693134862315800000000000000000000.5e272"};

	json_put(w, numbers[json_pick(w, ARRAY_LEN(numbers))]);
}

static inline void json_put_value(struct json_writer *w, unsigned depth);

static inline void json_put_items(struct json_writer *w, unsigned depth, bool is_object,
				  unsigned most)
{
	json_put(w, is_object ? "{" : "[");
	for (unsigned n = json_pick(w, most + 1); n > 0; n--) {
		json_put_space(w);
		if (is_object) {
			json_put_string(w, 2, true);
			json_put_space(w);
			json_put(w, ":");
			json_put_space(w);
		}
		json_put_value(w, depth - 1);
		json_put_space(w);
		json_put(w, n > 1 ? "," : "");
	}
	json_put_space(w);
	json_put(w, is_object ? "}" : "]");
}

static inline void json_put_value(struct json_writer *w, unsigned depth)
{
	static const char *const words[] = {"true", "false", "null"};
	unsigned kind = json_pick(w, depth == 0 ? 5 : 8);

	if (kind < 2)
		json_put_string(w, 6, false);
	else if (kind < 4)
		json_put_number(w);
	else if (kind == 4)
		json_put(w, words[json_pick(w, ARRAY_LEN(words))]);
	else
		json_put_items(w, depth, kind < 7, 3);
}

static inline void json_mutate(struct json_writer *w)
{
	static const char bytes[] = "\"\\{}[]:,0-.eEun \t\n\x01\x80\xc3/";
	size_t at = json_pick(w, (unsigned)w->n), n = 1 + json_pick(w, 4);

	switch (json_pick(w, 3)) {
	case 0:
		w->text[at] = bytes[json_pick(w, sizeof bytes)];
		break;
	case 1:
		w->n = at;
		break;
	default:
		n = n > w->n - at ? w->n - at : n;
		memmove(w->text + at, w->text + at + n, w->n - at - n);
		w->n -= n;
		break;
	}
}

static inline void json_writer_start(struct json_writer *w, uint64_t seed)
{
	w->chance = chance_of(seed);
	w->n = 0;
}

/* An object of at most so many members. */
static inline void json_write_object(struct json_writer *w, unsigned most, unsigned depth)
{
	json_put_space(w);
	json_put_items(w, depth, true, most);
	json_put_space(w);
}

#endif
