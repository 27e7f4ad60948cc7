#include "worker/forwarded.h"

#include "common/address.h"
#include "common/config_value.h"
#include "worker/field_rules.h"

COLD static enum err refuse(const char *reason, const char **ret_reason)
{
	*ret_reason = reason;
	return ERR_SYNTAX;
}

/* A numeric address; zones, ports and brackets are none. */
static bool is_address(struct sv s)
{
	unsigned char bytes[ADDRESS_LEN];

	return address_parse(s, bytes) == ERR_OK;
}

/* Labels of letters, digits, '-' and '_', none empty: so no dot at either end. */
static bool is_name(struct sv s)
{
	size_t label = 0;

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '.') {
			if (label == 0)
				return false;
			label = 0;
			continue;
		}
		if (!sv_is_alnum(s.p[i]) && s.p[i] != '-' && s.p[i] != '_')
			return false;
		if (++label > 63)
			return false;
	}
	return label > 0;
}

static bool is_host(struct sv s)
{
	if (s.n == 0 || s.n > FORWARDED_HOST_MAX)
		return false;
	if (s.p[0] != '[')
		return is_name(s);
	return s.p[s.n - 1] == ']' && sv_find(s, ':') < s.n && is_address(sv_cut(s, 1, s.n - 1));
}

static struct sv write_origin(struct forwarded *f, uint16_t standard)
{
	struct sv scheme = f->https ? SV("https://") : SV("http://");
	char *at = f->origin_buf;
	size_t n = scheme.n + f->host.n;

	memcpy(at, scheme.p, scheme.n);
	memcpy(at + scheme.n, f->host.p, f->host.n);
	if (f->port != standard) {
		at[n++] = ':';
		for (unsigned power = 10000; power > 0; power /= 10)
			if (f->port >= power)
				at[n++] = (char)('0' + f->port / power % 10);
	}
	return sv_of(at, n);
}

enum err forwarded_host(struct sv text, struct forwarded *f)
{
	uint16_t standard = f->https ? 443 : 80;
	size_t end = text.n > 0 && text.p[0] == '[' ? sv_find(text, ']') + 1 : sv_find(text, ':');
	struct sv host = sv_cut(text, 0, end), port = sv_cut(text, end, text.n);
	uint64_t number = standard;

	if (!is_host(host))
		return ERR_SYNTAX;
	if (port.n > 0 && (port.p[0] != ':' || port.n < 2 || port.p[1] == '0' ||
			   sv_u64(sv_cut(port, 1, port.n), UINT16_MAX, &number) != ERR_OK))
		return ERR_SYNTAX;
	for (size_t i = 0; i < host.n; i++)
		f->host_buf[i] = sv_lower_char(host.p[i]);
	f->host = sv_of(f->host_buf, host.n);
	f->port = (uint16_t)number;
	f->origin = write_origin(f, standard);
	return ERR_OK;
}

/* Why forwarded_host() refuses it. */
static const char *host_reason(struct sv text)
{
	size_t end = sv_find(text, ':');

	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == '@')
			return "host_userinfo";
		if ((unsigned char)text.p[i] > 0x7e || text.p[i] == '%')
			return "host_idn";
	}
	if (end > 0 && text.p[end - 1] == '.')
		return "host_dot";
	return is_host(sv_cut(text, 0, end)) ? "host_port" : "host_syntax";
}

static enum err take_host(struct sv text, struct forwarded *f, const char **ret_reason)
{
	return forwarded_host(text, f) == ERR_OK ? ERR_OK : refuse(host_reason(text), ret_reason);
}

static enum err take_method(struct sv method, struct forwarded *f, const char **ret_reason)
{
	if (!config_is_token(method) || method.n > FORWARDED_METHOD_MAX)
		return refuse("method_syntax", ret_reason);
	/* Letter case aside, though methods have one: nobody means anything else by "trace". */
	if (sv_eq_nocase(method, SV("CONNECT")) || sv_eq_nocase(method, SV("TRACE"))) {
		*ret_reason = "method_refused";
		return ERR_DENIED;
	}
	f->method = method;
	return ERR_OK;
}

static enum err take_scheme(struct sv proto, struct forwarded *f, const char **ret_reason)
{
	f->websocket = sv_eq(proto, SV("ws")) || sv_eq(proto, SV("wss"));
	f->https = sv_eq(proto, SV("https")) || sv_eq(proto, SV("wss"));
	if (!f->websocket && !f->https && !sv_eq(proto, SV("http")))
		return refuse("proto_syntax", ret_reason);
	return ERR_OK;
}

/* The last entry: what comes before it, others may have written. */
static enum err take_client(struct sv list, struct forwarded *f, const char **ret_reason)
{
	size_t from = list.n;

	while (from > 0 && list.p[from - 1] != ',')
		from--;
	f->client = sv_trim(sv_cut(list, from, list.n));
	return is_address(f->client) ? ERR_OK : refuse("for_syntax", ret_reason);
}

/* True when a field of that name says something else than `is` (or `or_is`). */
static bool contradicts(struct http_fields fields, enum http_name name, struct sv is,
			struct sv or_is)
{
	const struct http_field *field;

	for (size_t i = 0; (field = http_fields_nth(fields, name, i)) != NULL; i++)
		if (!sv_eq(field->value, is) && !sv_eq(field->value, or_is))
			return true;
	return false;
}

static const uint64_t other_families =
    UINT64_C(1) << HTTP_X_ORIGINAL_URI | UINT64_C(1) << HTTP_X_ORIGINAL_URL |
    UINT64_C(1) << HTTP_X_REWRITE_URL | UINT64_C(1) << HTTP_X_ORIGINAL_METHOD |
    UINT64_C(1) << HTTP_X_ORIGINAL_HOST;

/*
 * Other edges' names for the same things. They are never read, but one that says something else
 * means that two parties see two requests. Through Traefik they are the client's own.
 */
static enum err judge_families(struct http_fields fields, const struct forwarded *f, struct sv host,
			       const char **ret_reason)
{
	char absolute[FORWARDED_ORIGIN_MAX + URL_TARGET_MAX];
	struct sv target = f->url.target, whole = sv_of(absolute, f->origin.n + target.n);

	if ((fields.names & other_families) == 0)
		return ERR_OK;
	memcpy(absolute, f->origin.p, f->origin.n);
	memcpy(absolute + f->origin.n, target.p, target.n);
	if (contradicts(fields, HTTP_X_ORIGINAL_URI, target, whole) ||
	    contradicts(fields, HTTP_X_ORIGINAL_URL, target, whole) ||
	    contradicts(fields, HTTP_X_REWRITE_URL, target, whole) ||
	    contradicts(fields, HTTP_X_ORIGINAL_METHOD, f->method, f->method) ||
	    contradicts(fields, HTTP_X_ORIGINAL_HOST, host, f->host))
		return refuse("families_disagree", ret_reason);
	return ERR_OK;
}

/* Each handshake has the version, one over HTTP/2 no key (RFC 8441 5). No page's script can set
 * either. */
static bool opens_websocket(struct http_fields fields)
{
	return http_fields_nth(fields, HTTP_SEC_WEBSOCKET_KEY, 0) != NULL ||
	       http_fields_nth(fields, HTTP_SEC_WEBSOCKET_VERSION, 0) != NULL;
}

/* What an edge says of the browser's request, each from its one source. */
struct said {
	struct sv method, uri, host, proto, client;
};

/* The five of the X-Forwarded family, which must all be there. */
static bool read_family(struct http_fields fields, struct said *s)
{
	return http_fields_one(fields, HTTP_X_FORWARDED_METHOD, &s->method) == ERR_OK &&
	       http_fields_one(fields, HTTP_X_FORWARDED_URI, &s->uri) == ERR_OK &&
	       http_fields_one(fields, HTTP_X_FORWARDED_HOST, &s->host) == ERR_OK &&
	       http_fields_one(fields, HTTP_X_FORWARDED_PROTO, &s->proto) == ERR_OK &&
	       http_fields_one(fields, HTTP_X_FORWARDED_FOR, &s->client) == ERR_OK;
}

/* Envoy asks with the browser's own method and Host, and has the browser's target behind its
 * path_prefix. To X-Forwarded-For it appends an address of its own, so the client's is another. */
static bool read_envoy(struct sv method, struct sv target, struct http_fields fields,
		       struct said *s)
{
	s->method = method;
	s->uri = sv_cut(target, SV(FORWARDED_ENVOY_PREFIX).n, target.n);
	return http_fields_one(fields, HTTP_HOST, &s->host) == ERR_OK &&
	       http_fields_one(fields, HTTP_X_FORWARDED_PROTO, &s->proto) == ERR_OK &&
	       http_fields_one(fields, HTTP_X_REAL_IP, &s->client) == ERR_OK;
}

/* What Envoy does not read from there can only be the client's. */
static bool envoy_disagrees(struct http_fields fields, const struct said *s)
{
	return contradicts(fields, HTTP_X_FORWARDED_URI, s->uri, s->uri) ||
	       contradicts(fields, HTTP_X_FORWARDED_METHOD, s->method, s->method) ||
	       contradicts(fields, HTTP_X_FORWARDED_HOST, s->host, s->host);
}

static enum err take(const struct said *s, struct http_fields fields, struct forwarded *f,
		     const char **ret_reason)
{
	enum err e = take_method(s->method, f, ret_reason);

	if (e == ERR_OK)
		e = take_scheme(s->proto, f, ret_reason);
	if (e == ERR_OK)
		e = take_host(s->host, f, ret_reason);
	if (e == ERR_OK)
		e = url_parse(s->uri, &f->url, ret_reason);
	if (e == ERR_OK)
		e = take_client(s->client, f, ret_reason);
	if (e == ERR_OK)
		e = judge_families(fields, f, s->host, ret_reason);
	if (e == ERR_OK && opens_websocket(fields))
		f->websocket = true;
	return e;
}

enum err forwarded_verify(enum config_edge edge, struct sv method, struct sv target,
			  struct http_fields fields, const struct injected *injected,
			  struct forwarded *ret, const char **ret_reason)
{
	const char *bad = field_rules_break(fields, injected);
	struct said said;
	bool all = false;

	if (bad != NULL)
		return refuse(bad, ret_reason);
	switch (edge) {
	case EDGE_TRAEFIK:
	case EDGE_CADDY:
	case EDGE_NGINX:
	case EDGE_HAPROXY:
		all = read_family(fields, &said);
		break;
	case EDGE_ENVOY:
		all = read_envoy(method, target, fields, &said);
		if (all && envoy_disagrees(fields, &said))
			return refuse("families_disagree", ret_reason);
		if (all && sv_find(said.client, ',') < said.client.n) /* no list */
			return refuse("for_syntax", ret_reason);
		break;
	case EDGE_NONE:
		*ret_reason = "edge_profile";
		return ERR_UNSUPPORTED;
	}
	return all ? take(&said, fields, ret, ret_reason) : refuse("header_missing", ret_reason);
}

/* Of a field that came at most once. */
static struct sv value_or(struct http_fields fields, enum http_name name, struct sv otherwise)
{
	const struct http_field *field = http_fields_nth(fields, name, 0);

	return field == NULL ? otherwise : field->value;
}

enum err forwarded_public(struct sv method, struct sv target, struct http_fields fields,
			  struct sv peer, struct forwarded *ret, const char **ret_reason)
{
	static const struct injected none = {.v = NULL};
	const char *bad = field_rules_break(fields, &none);
	struct sv host;
	enum err e;

	if (bad != NULL)
		return refuse(bad, ret_reason);
	if (http_fields_one(fields, HTTP_HOST, &host) != ERR_OK)
		return refuse("header_missing", ret_reason);
	e = take_method(method, ret, ret_reason);
	if (e == ERR_OK)
		e = take_scheme(value_or(fields, HTTP_X_FORWARDED_PROTO, SV("http")), ret,
				ret_reason);
	if (e == ERR_OK)
		e = take_host(host, ret, ret_reason);
	if (e == ERR_OK)
		e = url_parse(target, &ret->url, ret_reason);
	if (e == ERR_OK)
		e = take_client(value_or(fields, HTTP_X_FORWARDED_FOR, peer), ret, ret_reason);
	if (e == ERR_OK && opens_websocket(fields))
		ret->websocket = true;
	return e;
}
