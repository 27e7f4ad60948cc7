#include "broker/http_url.h"

static bool printable(struct sv s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] >= 0x7f || s.p[i] == '"' || s.p[i] == '<' ||
		    s.p[i] == '>' || s.p[i] == '\\' || s.p[i] == '^' || s.p[i] == '`' ||
		    s.p[i] == '{' || s.p[i] == '|' || s.p[i] == '}')
			return false;
	return true;
}

/* 127.a.b.c in the one canonical spelling; "127.1" and "0x7f.1" are not taken. */
static bool ipv4_loopback(struct sv host)
{
	unsigned parts = 0;

	if (!sv_starts(host, SV("127.")))
		return false;
	for (;; parts++) {
		size_t dot = sv_find(host, '.');
		uint64_t v;

		if (dot == 0 || dot > 3 || (dot > 1 && host.p[0] == '0') ||
		    sv_u64(sv_cut(host, 0, dot), 255, &v) != ERR_OK)
			return false;
		if (dot == host.n)
			return parts == 3;
		host = sv_cut(host, dot + 1, host.n);
	}
}

static bool loopback(struct sv host)
{
	return sv_eq_nocase(host, SV("localhost")) ||
	       (host.n > 10 && sv_eq_nocase(sv_cut(host, host.n - 10, host.n), SV(".localhost"))) ||
	       sv_eq(host, SV("[::1]")) || ipv4_loopback(host);
}

static bool host_ok(struct sv host)
{
	if (host.n == 0)
		return false;
	if (host.p[0] == '[')
		return host.n > 2 && host.p[host.n - 1] == ']';
	for (size_t i = 0; i < host.n; i++) {
		char c = host.p[i];

		if (!sv_is_alnum(c) && c != '-' && c != '.' && c != '_')
			return false;
	}
	return true;
}

/* "host", "host:port" or "[v6]:port"; the host goes to *ret. */
static enum err split_authority(struct sv a, struct sv *ret)
{
	size_t end = a.n > 0 && a.p[0] == '[' ? sv_find(a, ']') + 1 : sv_find(a, ':');
	uint64_t port;

	if (end > a.n)
		return ERR_SYNTAX;
	*ret = sv_cut(a, 0, end);
	if (end == a.n)
		return ERR_OK;
	if (a.p[end] != ':' || sv_u64(sv_cut(a, end + 1, a.n), 65535, &port) != ERR_OK || port == 0)
		return ERR_SYNTAX;
	return ERR_OK;
}

enum err http_url_check(struct sv url, enum http_policy policy)
{
	bool https = sv_starts(url, SV("https://")), http = sv_starts(url, SV("http://"));
	struct sv rest, host;
	size_t end = 0;

	if (url.n > HTTP_URL_MAX)
		return ERR_LIMIT;
	if (!printable(url) || sv_find(url, '#') != url.n)
		return ERR_SYNTAX;
	if (!https && !(http && policy == HTTP_LOOPBACK_TOO))
		return ERR_DENIED;
	rest = sv_cut(url, https ? 8 : 7, url.n);
	while (end < rest.n && rest.p[end] != '/' && rest.p[end] != '?')
		end++;
	if (split_authority(sv_cut(rest, 0, end), &host) != ERR_OK || !host_ok(host))
		return ERR_SYNTAX; /* an '@' is no character of a host or a port */
	if (http && !loopback(host))
		return ERR_DENIED;
	return ERR_OK;
}
