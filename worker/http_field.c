#include "worker/http_field.h"

bool http_name_eq(struct sv a, struct sv b)
{
	return sv_eq_nocase(a, b);
}

/* Letters lower-cased, every byte but letters and digits the same separator. */
static char fold(char c)
{
	c = sv_lower_char(c);
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ? c : '-';
}

bool http_name_is_alias(struct sv name, struct sv of)
{
	if (name.n != of.n)
		return false;
	for (size_t i = 0; i < name.n; i++)
		if (fold(name.p[i]) != fold(of.p[i]))
			return false;
	return !http_name_eq(name, of);
}

/* Lengths and last letters tell most names apart. */
static bool may_be(struct sv a, struct sv b)
{
	return a.n == b.n && (a.n == 0 || ((a.p[a.n - 1] ^ b.p[b.n - 1]) & ~0x20) == 0);
}

const struct http_field *http_fields_nth(struct http_fields f, struct sv name, size_t n)
{
	for (size_t i = 0; i < f.n; i++)
		if (may_be(f.v[i].name, name) && http_name_eq(f.v[i].name, name) && n-- == 0)
			return &f.v[i];
	return NULL;
}

enum err http_fields_one(struct http_fields f, struct sv name, struct sv *ret)
{
	const struct http_field *first = http_fields_nth(f, name, 0);

	if (first == NULL)
		return ERR_NOT_FOUND;
	if (http_fields_nth(f, name, 1) != NULL)
		return ERR_EXISTS;
	*ret = first->value;
	return ERR_OK;
}

/* Only a name with an odd separator, or one where a name of ours has an odd one, can be an
 * alias: with '-' alone in both, folding is what http_name_eq() does. */
static bool has_odd_separator(struct sv name)
{
	static const bool plain[256] = {
	    ['-'] = true, ['0'] = true, ['1'] = true, ['2'] = true, ['3'] = true, ['4'] = true,
	    ['5'] = true, ['6'] = true, ['7'] = true, ['8'] = true, ['9'] = true, ['A'] = true,
	    ['B'] = true, ['C'] = true, ['D'] = true, ['E'] = true, ['F'] = true, ['G'] = true,
	    ['H'] = true, ['I'] = true, ['J'] = true, ['K'] = true, ['L'] = true, ['M'] = true,
	    ['N'] = true, ['O'] = true, ['P'] = true, ['Q'] = true, ['R'] = true, ['S'] = true,
	    ['T'] = true, ['U'] = true, ['V'] = true, ['W'] = true, ['X'] = true, ['Y'] = true,
	    ['Z'] = true, ['a'] = true, ['b'] = true, ['c'] = true, ['d'] = true, ['e'] = true,
	    ['f'] = true, ['g'] = true, ['h'] = true, ['i'] = true, ['j'] = true, ['k'] = true,
	    ['l'] = true, ['m'] = true, ['n'] = true, ['o'] = true, ['p'] = true, ['q'] = true,
	    ['r'] = true, ['s'] = true, ['t'] = true, ['u'] = true, ['v'] = true, ['w'] = true,
	    ['x'] = true, ['y'] = true, ['z'] = true,
	};

	for (size_t i = 0; i < name.n; i++)
		if (!plain[(unsigned char)name.p[i]])
			return true;
	return false;
}

static const struct sv *alias_of(struct sv name, const struct sv *names, size_t nnames)
{
	for (size_t j = 0; j < nnames; j++)
		if (http_name_is_alias(name, names[j]))
			return &names[j];
	return NULL;
}

const struct sv *http_fields_odd_alias(struct http_fields f, const struct sv *names, size_t nnames)
{
	const struct sv *found = NULL;

	for (size_t i = 0; i < f.n && found == NULL; i++)
		if (has_odd_separator(f.v[i].name))
			found = alias_of(f.v[i].name, names, nnames);
	return found;
}

const struct sv *http_fields_alias(struct http_fields f, const struct sv *names, size_t nnames)
{
	const struct sv *found = http_fields_odd_alias(f, names, nnames);

	for (size_t j = 0; j < nnames && found == NULL; j++)
		for (size_t i = 0; has_odd_separator(names[j]) && i < f.n && found == NULL; i++)
			found = alias_of(f.v[i].name, &names[j], 1);
	return found;
}
