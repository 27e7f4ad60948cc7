#include "worker/http_request.h"

#include <llhttp.h>

#include "common/config_value.h"

/* A line that starts with white space: folding (RFC 9112 5.2), or nonsense. */
static bool is_folded(struct sv data, size_t line)
{
	return line < data.n && (data.p[line] == ' ' || data.p[line] == '\t');
}

static enum http_scanned scan(struct http_scan *s, struct sv data)
{
	while (!is_folded(data, s->line)) {
		s->at += sv_find_control(sv_of(data.p + s->at, data.n - s->at));
		if (s->at < data.n && data.p[s->at] == '\t') {
			s->at++;
			continue;
		}
		/* A CR that nothing follows yet is looked at again with what comes. */
		if (s->at == data.n || (data.p[s->at] == '\r' && s->at + 1 == data.n))
			return HTTP_SCAN_MORE;
		if (data.p[s->at] != '\r' || data.p[s->at + 1] != '\n')
			return HTTP_SCAN_BAD;
		s->at += 2;
		if (s->at - s->line == 2)
			return HTTP_SCAN_DONE;
		s->line = s->at;
	}
	return HTTP_SCAN_BAD;
}

FLAT enum http_scanned http_scan(struct http_scan *s, struct sv data)
{
	struct http_scan here = *s; /* where no pointer leads, so that it can be in registers */
	enum http_scanned got = scan(&here, data);

	*s = here;
	return got;
}

struct parse {
	struct http_field *fields;
	size_t n, max;
	struct sv target;
	bool too_many;
};

static int on_url(llhttp_t *p, const char *at, size_t n)
{
	struct parse *x = p->data;

	x->target = sv_of(at, n);
	return 0;
}

static int on_field(llhttp_t *p, const char *at, size_t n)
{
	struct parse *x = p->data;

	if (x->n == x->max) {
		x->too_many = true;
		return -1;
	}
	x->fields[x->n++] = (struct http_field){.name = sv_of(at, n), .value = sv_of(at + n, 0)};
	return 0;
}

static int on_value(llhttp_t *p, const char *at, size_t n)
{
	struct parse *x = p->data;
	struct sv *v = &x->fields[x->n - 1].value;

	/* Never in pieces, because the head is; an empty value may come without a call. */
	if (v->n > 0)
		return -1;
	*v = sv_trim(sv_of(at, n));
	return 0;
}

/* The body is not the parser's business. */
static int on_headers_complete(llhttp_t *p)
{
	(void)p;
	return HPE_PAUSED;
}

static const char *check_fields(const struct http_request *q)
{
	size_t hosts = 0, lengths = 0, encodings = 0;

	for (size_t i = 0; i < q->fields.n; i++) {
		const struct http_field *f = &q->fields.v[i];

		if (f->known == HTTP_OTHER || f->alias) {
			if (!config_is_token(f->name))
				return "field_name";
			continue;
		}
		hosts += f->known == HTTP_HOST;
		lengths += f->known == HTTP_CONTENT_LENGTH;
		if (f->known == HTTP_TRANSFER_ENCODING) {
			encodings++;
			if (!sv_eq_nocase(f->value, SV("chunked")))
				return "body_framing";
		}
	}
	if (hosts > 1 || (hosts == 0 && q->minor == 1))
		return "host_count";
	if (lengths > 1 || encodings > 1 || (encodings > 0 && (lengths > 0 || q->minor == 0)))
		return "body_framing";
	return NULL;
}

FLAT unsigned http_request_parse(struct sv head, struct http_field *fields, size_t max,
				 struct http_request *ret, const char **ret_word)
{
	struct parse x = {.fields = fields, .max = max};
	llhttp_settings_t settings;
	llhttp_t p;
	llhttp_errno_t e;
	const char *word;
	struct sv method, version;

	llhttp_settings_init(&settings);
	settings.on_url = on_url;
	settings.on_header_field = on_field;
	settings.on_header_value = on_value;
	settings.on_headers_complete = on_headers_complete;
	llhttp_init(&p, HTTP_REQUEST, &settings);
	p.data = &x;
	e = llhttp_execute(&p, head.p, head.n);
	*ret_word = x.too_many ? "max_headers" : "malformed";
	if (x.too_many)
		return 431;
	if (e != HPE_PAUSED) {
		if (e != HPE_INVALID_VERSION)
			return 400;
		*ret_word = "version";
		return 505;
	}
	method = sv_cut(head, 0, (size_t)(x.target.p - head.p) - 1);
	version = sv_trim(sv_cut(head, method.n + 1 + x.target.n, head.n));
	/* llhttp also speaks "RTSP/1.0" and "ICE/1.0" for some methods. */
	*ret_word = "version";
	if (!sv_starts(version, SV("HTTP/1.1\r")) && !sv_starts(version, SV("HTTP/1.0\r")))
		return 505;
	/* One space on either side of the target: llhttp lets more pass. */
	*ret_word = "request_line";
	if (sv_find(method, ' ') < method.n || version.p != x.target.p + x.target.n + 1)
		return 400;
	*ret = (struct http_request){
	    .method = method,
	    .target = x.target,
	    .fields = http_fields_of(x.fields, x.n),
	    .minor = p.http_minor,
	    .has_body = (p.flags & (F_TRANSFER_ENCODING | F_CHUNKED)) != 0 || p.content_length > 0,
	    .chunked = (p.flags & (F_TRANSFER_ENCODING | F_CHUNKED)) != 0,
	    .content_length = p.content_length,
	    .keep_alive = (p.flags & F_CONNECTION_CLOSE) == 0 &&
			  (p.http_minor == 1 || (p.flags & F_CONNECTION_KEEP_ALIVE) != 0),
	};
	/* A 200 would make the connection a tunnel (RFC 9110 9.3.6). */
	*ret_word = "connect";
	if (sv_eq(ret->method, SV("CONNECT")))
		return 400;
	word = check_fields(ret);
	if (word != NULL) {
		*ret_word = word;
		return 400;
	}
	return 0;
}
