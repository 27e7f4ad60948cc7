#include <arpa/inet.h>

#include "common/config_value.h"

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_alpha(char c)
{
	c = sv_lower_char(c);
	return c >= 'a' && c <= 'z';
}

static bool is_one_of(char c, const char *set)
{
	return c != '\0' && strchr(set, c) != NULL;
}

/* Dot-separated labels of letters, digits and inner hyphens (RFC 1123 2.1). */
static bool is_host_name(struct sv s)
{
	size_t label = 0;

	for (size_t i = 0; i <= s.n; i++) {
		if (i == s.n || s.p[i] == '.') {
			if (label == 0 || label > 63 || s.p[i - 1] == '-')
				return false;
			label = 0;
		} else {
			if (!sv_is_alnum(s.p[i]) && !(s.p[i] == '-' && label > 0))
				return false;
			label++;
		}
	}
	return true;
}

/* Browsers read a host whose last label is a number as an IPv4 address. */
static bool ends_in_number(struct sv s)
{
	size_t i = s.n;

	while (i > 0 && s.p[i - 1] != '.')
		i--;
	s = sv_cut(s, i, s.n);
	if (s.n > 1 && s.p[0] == '0' && sv_lower_char(s.p[1]) == 'x')
		return true;
	for (i = 0; i < s.n; i++)
		if (!is_digit(s.p[i]))
			return false;
	return s.n > 0;
}

enum err config_parse_host(struct sv s, char out[CONFIG_HOST_MAX + 1], size_t *ret_n)
{
	struct in6_addr v6;
	struct in_addr v4;
	char text[INET6_ADDRSTRLEN];

	if (s.n == 0 || s.n > CONFIG_HOST_MAX || sv_find(s, '\0') < s.n)
		return ERR_SYNTAX;
	if (s.p[0] == '[') {
		if (s.n - 1 >= sizeof text || s.p[s.n - 1] != ']')
			return ERR_SYNTAX;
		memcpy(text, s.p + 1, s.n - 2);
		text[s.n - 2] = '\0';
		if (inet_pton(AF_INET6, text, &v6) != 1 ||
		    inet_ntop(AF_INET6, &v6, text, sizeof text) == NULL)
			return ERR_SYNTAX;
		*ret_n = (size_t)snprintf(out, CONFIG_HOST_MAX + 1, "[%s]", text);
		return ERR_OK;
	}
	if (!is_host_name(s))
		return ERR_SYNTAX;
	for (size_t i = 0; i < s.n; i++)
		out[i] = sv_lower_char(s.p[i]);
	out[s.n] = '\0';
	if (ends_in_number(s) && inet_pton(AF_INET, out, &v4) != 1)
		return ERR_SYNTAX;
	*ret_n = s.n;
	return ERR_OK;
}

bool config_host_is_loopback(struct sv host)
{
	return sv_eq(host, SV("localhost")) || sv_ends(host, SV(".localhost")) ||
	       sv_eq(host, SV("[::1]")) || (sv_starts(host, SV("127.")) && ends_in_number(host));
}

bool config_host_is_domain(struct sv host)
{
	char text[CONFIG_HOST_MAX + 1];
	size_t n;

	return config_parse_host(host, text, &n) == ERR_OK && host.p[0] != '[' &&
	       !ends_in_number(host) && sv_find(host, '.') < host.n;
}

bool config_host_within(struct sv host, struct sv domain)
{
	if (sv_eq(host, domain))
		return true;
	return domain.n > 0 && host.n > domain.n && sv_ends(host, domain) &&
	       host.p[host.n - domain.n - 1] == '.';
}

/* host[:port]; the port is where the last colon outside of brackets is. */
static enum err parse_authority(struct sv s, uint16_t default_port, char *host, size_t *host_len,
				uint16_t *port)
{
	size_t end = s.n > 0 && s.p[0] == '[' ? sv_find(s, ']') + 1 : sv_find(s, ':');
	uint64_t v = default_port;
	enum err err;

	if (end < s.n) {
		if (s.p[end] != ':' || config_parse_count(sv_cut(s, end + 1, s.n), &v) != ERR_OK ||
		    v == 0 || v > 65535)
			return ERR_SYNTAX;
	}
	err = config_parse_host(sv_cut(s, 0, end), host, host_len);
	*port = (uint16_t)v;
	return err;
}

enum err config_parse_origin(struct sv s, char out[CONFIG_ORIGIN_TEXT], struct config_origin *ret)
{
	struct config_origin o = {0};
	struct sv scheme = sv_cut(s, 0, sv_find(s, ':'));
	char host[CONFIG_HOST_MAX + 1];
	uint16_t standard;
	enum err err;
	int n;

	if (sv_eq_nocase(scheme, SV("https")))
		o.scheme = SV("https");
	else if (sv_eq_nocase(scheme, SV("http")))
		o.scheme = SV("http");
	else
		return ERR_SYNTAX;
	if (!sv_starts(sv_cut(s, scheme.n, s.n), SV("://")))
		return ERR_SYNTAX;
	standard = o.scheme.n == 5 ? 443 : 80;
	err = parse_authority(sv_cut(s, scheme.n + 3, s.n), standard, host, &o.host.n, &o.port);
	if (err != ERR_OK)
		return err;
	if (o.port == standard)
		n = snprintf(out, CONFIG_ORIGIN_TEXT, "%s://%s", o.scheme.p, host);
	else
		n = snprintf(out, CONFIG_ORIGIN_TEXT, "%s://%s:%u", o.scheme.p, host, o.port);
	o.text = sv_of(out, (size_t)n);
	memcpy(out + n + 1, host, o.host.n + 1);
	o.host.p = out + n + 1;
	*ret = o;
	return ERR_OK;
}

/* Of RFC 3986: nothing a browser would repair, and no control characters. */
static bool is_uri_text(struct sv s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= 0x20 || s.p[i] >= 0x7f || is_one_of(s.p[i], "\"<>\\^`{|}"))
			return false;
	return true;
}

enum err config_parse_url(struct sv s, char out[CONFIG_ORIGIN_TEXT], struct config_origin *ret,
			  struct sv *ret_rest)
{
	size_t end = sv_find(s, ':');
	enum err err;

	if (!sv_starts(sv_cut(s, end, s.n), SV("://")) || !is_uri_text(s))
		return ERR_SYNTAX;
	for (end += 3; end < s.n && !is_one_of(s.p[end], "/?#"); end++)
		;
	err = config_parse_origin(sv_cut(s, 0, end), out, ret);
	if (err == ERR_OK)
		*ret_rest = sv_cut(s, end, s.n);
	return err;
}

bool config_is_absolute_uri(struct sv s)
{
	size_t colon = sv_find(s, ':');

	if (colon == 0 || colon + 1 >= s.n || !is_alpha(s.p[0]) || sv_find(s, '#') < s.n)
		return false;
	for (size_t i = 0; i < colon; i++)
		if (!sv_is_alnum(s.p[i]) && !is_one_of(s.p[i], "+-."))
			return false;
	return is_uri_text(s);
}

bool config_is_token(struct sv s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!sv_is_alnum(s.p[i]) && !is_one_of(s.p[i], "!#$%&'*+-.^_`|~"))
			return false;
	return s.n > 0;
}

bool config_is_secret_path(struct sv s)
{
	struct sv prefix = SV("credential:");

	if (!sv_starts(s, prefix))
		return s.n > 1 && s.p[0] == '/' && sv_find(s, '\0') == s.n;
	s = sv_cut(s, prefix.n, s.n);
	for (size_t i = 0; i < s.n; i++)
		if (!sv_is_alnum(s.p[i]) && !is_one_of(s.p[i], "_-."))
			return false;
	return s.n > 0 && s.p[0] != '.' && s.n < 256;
}

static bool is_unreserved(char c)
{
	return sv_is_alnum(c) || is_one_of(c, "-._~");
}

static bool is_plain(char c)
{
	return is_unreserved(c) || is_one_of(c, "!$&'()*+,=:@");
}

/* The length of what stands escaped at s.p[i], if it must be, and in capitals: each path has one
 * spelling (RFC 3986 6.2.2), and it is one that a request may have (worker/url.h). 0: no. */
static size_t canonical_escape(struct sv s, size_t i)
{
	int c = sv_hex_byte(s, i + 1);
	size_t n = c < 0x80 ? 3 : sv_utf8_escaped_len(sv_cut(s, i, s.n));

	if (c < ' ' || c == 0x7f || (c == 0xc2 && sv_hex_byte(s, i + 4) < 0xa0)) /* controls */
		return 0;
	if (c < 0x80 && (is_plain((char)c) || is_one_of((char)c, "/\\%;?#")))
		return 0;
	for (size_t k = 0; k < n; k++)
		if (s.p[i + k] >= 'a')
			return 0;
	return n;
}

bool config_is_canonical_path(struct sv s)
{
	size_t from = 1;

	if (s.n == 0 || s.p[0] != '/')
		return false;
	for (size_t i = 1; i <= s.n; i++) {
		if (i == s.n || s.p[i] == '/') {
			struct sv segment = sv_cut(s, from, i);

			if ((segment.n == 0 && i < s.n) || sv_eq(segment, SV(".")) ||
			    sv_eq(segment, SV("..")))
				return false;
			from = i + 1;
		} else if (s.p[i] == '%') {
			size_t n = canonical_escape(s, i);

			if (n == 0)
				return false;
			i += n - 1;
		} else if (!is_plain(s.p[i])) {
			return false;
		}
	}
	return true;
}
