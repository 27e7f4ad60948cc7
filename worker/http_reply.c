#include "worker/http_reply.h"

#include <assert.h>
#include <stdlib.h>

static const struct {
	unsigned status;
	struct sv line;
} phrases[] = {
#define LINE(n, phrase) "HTTP/1.1 " #n " " phrase "\r\n"
#define STATUS(n, phrase)                                                                          \
	{                                                                                          \
		n,                                                                                 \
		{                                                                                  \
			LINE(n, phrase), sizeof LINE(n, phrase) - 1                                \
		}                                                                                  \
	}
    STATUS(200, "OK"),
    STATUS(302, "Found"),
    STATUS(303, "See Other"),
    STATUS(400, "Bad Request"),
    STATUS(401, "Unauthorized"),
    STATUS(403, "Forbidden"),
    STATUS(404, "Not Found"),
    STATUS(405, "Method Not Allowed"),
    STATUS(408, "Request Timeout"),
    STATUS(413, "Content Too Large"),
    STATUS(421, "Misdirected Request"),
    STATUS(429, "Too Many Requests"),
    STATUS(431, "Request Header Fields Too Large"),
    STATUS(500, "Internal Server Error"),
    STATUS(502, "Bad Gateway"),
    STATUS(503, "Service Unavailable"),
    STATUS(505, "HTTP Version Not Supported"),
#undef STATUS
#undef LINE
};

static struct sv status_line(unsigned status)
{
	for (size_t i = 0; i < ARRAY_LEN(phrases); i++)
		if (phrases[i].status == status)
			return phrases[i].line;
	abort(); /* a bug: a status without a phrase */
}

void http_reply_begin(struct http_reply *r, struct buf *out, unsigned status, unsigned flags)
{
	*r = (struct http_reply){.out = out, .from = out->n, .status = status, .flags = flags};
	buf_add(out, status_line(status));
}

static bool is_value(struct sv s)
{
	if (!sv_has_control(s))
		return true;
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if ((c < ' ' && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

void http_reply_header(struct http_reply *r, struct sv name, struct sv value)
{
	assert(name.n > 0);
	if (!is_value(name) || !is_value(value)) {
		r->bad = true;
		return;
	}
	buf_add(r->out, name);
	buf_add(r->out, SV(": "));
	buf_add(r->out, value);
	buf_add(r->out, SV("\r\n"));
}

void http_reply_cookie(struct http_reply *r, struct buf *cookie)
{
	r->bad = r->bad || !buf_ok(cookie);
	http_reply_header(r, SV("Set-Cookie"), buf_sv(cookie));
	buf_done(cookie);
}

void http_reply_header_u64(struct http_reply *r, struct sv name, uint64_t value)
{
	buf_add(r->out, name);
	buf_add(r->out, SV(": "));
	buf_add_u64(r->out, value);
	buf_add(r->out, SV("\r\n"));
}

/* Back to what was there before this answer; also out of a failed append. */
static void take_back(struct http_reply *r)
{
	struct buf *b = r->out;

	if (b->p != NULL)
		explicit_bzero(b->p + r->from, b->n - r->from);
	b->n = r->from;
	b->failed = false;
}

enum err http_reply_end(struct http_reply *r, struct sv type, struct sv body)
{
	if (type.n > 0)
		http_reply_header(r, SV("Content-Type"), type);
	if ((r->flags & HTTP_REPLY_CLOSE) != 0)
		http_reply_header(r, SV("Connection"), SV("close"));
	else if ((r->flags & HTTP_REPLY_KEEP_ALIVE) != 0)
		http_reply_header(r, SV("Connection"), SV("keep-alive"));
	if ((r->flags & HTTP_REPLY_CHUNKED) != 0)
		http_reply_header(r, SV("Transfer-Encoding"), SV("chunked"));
	else if ((r->flags & HTTP_REPLY_LASTS) == 0)
		http_reply_header_u64(r, SV("Content-Length"), body.n);
	buf_add(r->out, SV("\r\n"));
	if ((r->flags & HTTP_REPLY_HEAD) == 0)
		buf_add(r->out, body);
	if (r->bad || !buf_ok(r->out)) {
		enum err e = r->bad ? ERR_SYNTAX : ERR_LIMIT;

		take_back(r);
		return e;
	}
	return ERR_OK;
}

void http_json_string(struct buf *b, struct sv s)
{
	buf_add_char(b, '"');
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c == '"' || c == '\\') {
			buf_add_char(b, '\\');
			buf_add_char(b, (char)c);
		} else if (c < ' ' || c == 0x7f) {
			buf_addf(b, "\\u%04x", c);
		} else {
			buf_add_char(b, (char)c);
		}
	}
	buf_add_char(b, '"');
}

void http_json_error(struct buf *b, struct sv word, struct sv login_url)
{
	buf_add(b, SV("{\"error\":"));
	http_json_string(b, word);
	if (login_url.n > 0) {
		buf_add(b, SV(",\"login_url\":"));
		http_json_string(b, login_url);
	}
	buf_add_char(b, '}');
}
