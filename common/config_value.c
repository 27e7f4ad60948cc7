#include "common/config_value.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/address.h"

static const struct unit {
	const char *name;
	uint64_t factor;
} durations[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}},
  sizes[] = {{"MiB", 1048576}, {"KiB", 1024}, {"B", 1}};

enum err config_parse_count(struct sv s, uint64_t *ret)
{
	if (s.n > 1 && s.p[0] == '0')
		return ERR_SYNTAX;
	return sv_u64(s, INT64_MAX, ret);
}

enum err config_parse_bool(struct sv s, bool *ret)
{
	if (sv_eq(s, SV("yes")) || sv_eq(s, SV("on")) || sv_eq(s, SV("true")))
		*ret = true;
	else if (sv_eq(s, SV("no")) || sv_eq(s, SV("off")) || sv_eq(s, SV("false")))
		*ret = false;
	else
		return ERR_SYNTAX;
	return ERR_OK;
}

static enum err parse_unit(struct sv s, const struct unit *units, size_t n, uint64_t *ret)
{
	struct sv number, unit;
	size_t digits = 0;
	uint64_t v;
	enum err err;

	while (digits < s.n && s.p[digits] >= '0' && s.p[digits] <= '9')
		digits++;
	number = sv_cut(s, 0, digits);
	unit = sv_cut(s, digits, s.n);
	err = config_parse_count(number, &v);
	if (err != ERR_OK)
		return err;
	for (size_t i = 0; i < n; i++) {
		if (!sv_eq(unit, sv_str(units[i].name)))
			continue;
		if (v > INT64_MAX / units[i].factor)
			return ERR_RANGE;
		*ret = v * units[i].factor;
		return ERR_OK;
	}
	return ERR_SYNTAX;
}

enum err config_parse_duration(struct sv s, int64_t *ret_ms)
{
	uint64_t v;
	enum err err = parse_unit(s, durations, ARRAY_LEN(durations), &v);

	if (err == ERR_OK)
		*ret_ms = (int64_t)v;
	return err;
}

enum err config_parse_size(struct sv s, uint64_t *ret_bytes)
{
	return parse_unit(s, sizes, ARRAY_LEN(sizes), ret_bytes);
}

static void format_unit(uint64_t v, const struct unit *units, size_t n, struct sv zero,
			char out[CONFIG_UNIT_TEXT])
{
	size_t i = 0;

	if (v == 0) {
		memcpy(out, zero.p, zero.n + 1);
		return;
	}
	while (i + 1 < n && v % units[i].factor != 0)
		i++;
	(void)snprintf(out, CONFIG_UNIT_TEXT, "%" PRIu64 "%s", v / units[i].factor,
		       units[i].name); /* 20 digits and a unit of 3 fit */
}

void config_format_duration(int64_t ms, char out[CONFIG_UNIT_TEXT])
{
	format_unit((uint64_t)ms, durations, ARRAY_LEN(durations), SV("0s"), out);
}

void config_format_size(size_t bytes, char out[CONFIG_UNIT_TEXT])
{
	format_unit(bytes, sizes, ARRAY_LEN(sizes), SV("0B"), out);
}

static bool is_v6(struct sv text)
{
	return sv_find(text, ':') < text.n;
}

enum err config_parse_cidr(struct sv s, struct config_cidr *ret)
{
	size_t slash = sv_find(s, '/');
	struct config_cidr c = {.bits = 128};
	unsigned base = is_v6(sv_cut(s, 0, slash)) ? 0 : 8 * ADDRESS_V4_AT;
	uint64_t bits;

	if (address_parse(sv_cut(s, 0, slash), c.addr) != ERR_OK)
		return ERR_SYNTAX;
	if (slash < s.n) {
		if (config_parse_count(sv_cut(s, slash + 1, s.n), &bits) != ERR_OK)
			return ERR_SYNTAX;
		if (bits > 128 - base)
			return ERR_RANGE;
		c.bits = base + (unsigned)bits;
	}
	for (unsigned i = c.bits; i < 128; i++)
		if ((c.addr[i / 8] >> (7 - i % 8) & 1) != 0)
			return ERR_RANGE;
	*ret = c;
	return ERR_OK;
}

void config_format_cidr(const struct config_cidr *c, char out[CONFIG_CIDR_TEXT])
{
	unsigned base = address_is_v4(c->addr) ? 8 * ADDRESS_V4_AT : 0;
	char text[ADDRESS_TEXT];

	address_text(c->addr, text);
	(void)snprintf(out, CONFIG_CIDR_TEXT, "%s/%u", text, c->bits - base);
}

struct sv config_unix_path(struct sv address)
{
	return sv_starts(address, SV("unix:")) ? sv_cut(address, 5, address.n) : SV_NONE;
}

/* Absolute, and no directory: what bind() and a log can show as they are. */
static enum err check_unix_path(struct sv path)
{
	if (path.n > CONFIG_UNIX_PATH_MAX)
		return ERR_RANGE;
	if (path.n < 2 || path.p[0] != '/' || path.p[path.n - 1] == '/')
		return ERR_SYNTAX;
	for (size_t i = 0; i < path.n; i++)
		if ((unsigned char)path.p[i] <= 0x20 || path.p[i] == 0x7f)
			return ERR_SYNTAX;
	return ERR_OK;
}

enum err config_parse_address(struct sv s)
{
	bool v6 = s.n > 0 && s.p[0] == '[';
	size_t end = v6 ? sv_find(s, ']') : sv_find(s, ':');
	struct sv host = sv_cut(s, v6 ? 1 : 0, end);
	unsigned char addr[ADDRESS_LEN];
	uint64_t port;

	if (sv_starts(s, SV("unix:")))
		return check_unix_path(config_unix_path(s));
	if (is_v6(host) != v6 || address_parse(host, addr) != ERR_OK)
		return ERR_SYNTAX;
	s = sv_cut(s, v6 ? end + 1 : end, s.n);
	if (s.n == 0 || s.p[0] != ':' || config_parse_count(sv_cut(s, 1, s.n), &port) != ERR_OK)
		return ERR_SYNTAX;
	return port >= 1 && port <= 65535 ? ERR_OK : ERR_RANGE;
}

bool config_pointer_token(struct sv token, char out[CONFIG_MAX_CLAIM + 1])
{
	size_t n = 0;

	if (token.n > CONFIG_MAX_CLAIM)
		return false;
	for (size_t i = 0; i < token.n; i++) {
		char c = token.p[i];

		if (c == '~') {
			if (++i == token.n || (token.p[i] != '0' && token.p[i] != '1'))
				return false;
			c = token.p[i] == '0' ? '~' : '/';
		}
		out[n++] = c;
	}
	out[n] = '\0';
	return true;
}
