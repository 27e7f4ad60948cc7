#include "broker/http_easy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "broker/http_trust.h"
#include "common/contract.h"

static bool loopback_address(const struct curl_sockaddr *a)
{
	if (a->family == AF_INET) {
		struct sockaddr_in in;

		memcpy(&in, &a->addr, sizeof in);
		return ntohl(in.sin_addr.s_addr) >> 24 == 127;
	}
	if (a->family == AF_INET6) {
		struct sockaddr_in6 in6;
		const void *from = &a->addr; /* libcurl's buffer is larger than its declared type */

		memcpy(&in6, from, sizeof in6);
		return IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr) != 0;
	}
	return false;
}

static curl_socket_t open_cb(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
	struct http_flight *f = arg;

	if (purpose != CURLSOCKTYPE_IPCXN || (!f->https && !loopback_address(a))) {
		f->detail = "address";
		return CURL_SOCKET_BAD;
	}
	return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

/* The connection stands, nothing of the request is written. */
static int prereq_cb(void *arg, char *ip, char *local_ip, int port, int local_port)
{
	struct http_flight *f = arg;

	(void)ip, (void)local_ip, (void)port, (void)local_port;
	if (f->sent && f->form.n > 0) {
		f->detail = "repeat"; /* libcurl would send a POST again */
		return CURL_PREREQFUNC_ABORT;
	}
	if (!f->sent && f->before_send != NULL && !f->before_send(f->before_arg)) {
		f->detail = "withheld";
		return CURL_PREREQFUNC_ABORT;
	}
	f->sent = true;
	return CURL_PREREQFUNC_OK;
}

static size_t body_cb(char *p, size_t size, size_t n, void *arg)
{
	struct http_flight *f = arg;

	buf_add(&f->body, sv_of(p, size * n));
	if (buf_ok(&f->body))
		return size * n;
	f->detail = "too_large";
	return 0;
}

static size_t head_cb(char *p, size_t size, size_t n, void *arg)
{
	static const struct sv name = {"retry-after:", 12};
	struct http_flight *f = arg;
	struct sv line = sv_of(p, size * n), v;

	f->head_bytes += line.n;
	if (f->head_bytes > HTTP_HEAD_MAX) {
		f->detail = "too_large";
		return 0;
	}
	if (line.n > name.n && sv_eq_nocase(sv_cut(line, 0, name.n), name)) {
		v = sv_cut(line, name.n, line.n);
		while (v.n > 0 && (v.p[v.n - 1] == '\r' || v.p[v.n - 1] == '\n'))
			v.n--;
		v = sv_trim(v);
		if (v.n > 0 && v.n <= sizeof f->retry_after) {
			memcpy(f->retry_after, v.p, v.n);
			f->retry_after_n = v.n;
		}
	}
	return line.n;
}

/* curl_easy_setopt() for options of ours: after a failure the rest is skipped. */
#define SET(opt, value)                                                                            \
	do {                                                                                       \
		if (rc == CURLE_OK)                                                                \
			rc = curl_easy_setopt(e, CURLOPT_##opt, value);                            \
	} while (0)

static enum err set_limits(struct http_flight *f)
{
	CURL *e = f->easy;
	CURLcode rc = CURLE_OK;

	SET(NOSIGNAL, 1L);
	SET(PROXY, "");
	SET(NOPROXY, "*");
	SET(FOLLOWLOCATION, 0L);
	SET(PROTOCOLS_STR, f->https ? "https" : "http");
	SET(HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	SET(SSL_VERIFYPEER, 1L);
	SET(SSL_VERIFYHOST, 2L);
	SET(CONNECTTIMEOUT_MS, (long)TIMEOUT_CONNECT_MS);
	SET(MAXFILESIZE, (long)HTTP_BODY_MAX);
	SET(USERAGENT, "bff/" BFF_VERSION);
	SET(NETRC, (long)CURL_NETRC_IGNORED);
	SET(OPENSOCKETFUNCTION, open_cb);
	SET(OPENSOCKETDATA, f);
	SET(PREREQFUNCTION, prereq_cb);
	SET(PREREQDATA, f);
	SET(WRITEFUNCTION, body_cb);
	SET(WRITEDATA, f);
	SET(HEADERFUNCTION, head_cb);
	SET(HEADERDATA, f);
	SET(PRIVATE, f);
	return rc == CURLE_OK ? ERR_OK : ERR_NOMEM;
}

static enum err add_header(struct http_flight *f, struct sv name, struct sv value)
{
	struct curl_slist *more;
	struct buf line;
	enum err e = ERR_NOMEM;

	buf_init(&line, HTTP_HEAD_MAX);
	buf_add(&line, name);
	buf_add(&line, value);
	buf_add_char(&line, '\0');
	if (buf_ok(&line) && strlen(line.p) == line.n - 1 && strpbrk(line.p, "\r\n") == NULL) {
		more = curl_slist_append(f->headers, line.p);
		if (more != NULL) {
			f->headers = more;
			e = ERR_OK;
		}
	}
	buf_done(&line);
	return e;
}

static long deadline_ms(const struct http_request *r)
{
	if (r->deadline_ms == 0 || r->deadline_ms > TIMEOUT_IDP_MS)
		return TIMEOUT_IDP_MS;
	return (long)r->deadline_ms;
}

static enum err set_request(struct http_flight *f, const struct http_request *r)
{
	char url[HTTP_URL_MAX + 1];
	CURL *e = f->easy;
	CURLcode rc = CURLE_OK;

	memcpy(url, r->url.p, r->url.n); /* http_url_check() bounded it */
	url[r->url.n] = '\0';
	SET(URL, url);
	SET(TIMEOUT_MS, deadline_ms(r));
	if (add_header(f, SV("Accept: application/json"), SV_NONE) != ERR_OK ||
	    (r->authorization.n > 0 &&
	     add_header(f, SV("Authorization: "), r->authorization) != ERR_OK) ||
	    (f->trace.n > 0 &&
	     add_header(f, SV("traceparent: "), trace_text(&f->trace)) != ERR_OK) ||
	    add_header(f, SV("Expect:"), SV_NONE) != ERR_OK)
		return ERR_NOMEM;
	SET(HTTPHEADER, f->headers);
	SET(FRESH_CONNECT, 1L);
	SET(FORBID_REUSE, 1L);
	if (f->form.n > 0) {
		SET(POST, 1L);
		SET(POSTFIELDS, f->form.p); /* by pointer, so that we wipe the only copy */
		SET(POSTFIELDSIZE_LARGE, (curl_off_t)f->form.n);
	}
	return rc == CURLE_OK ? ERR_OK : ERR_NOMEM;
}

enum err http_easy_init(struct http_flight *f, const struct http_request *r)
{
	enum err e;

	f->https = sv_starts(r->url, SV("https:"));
	buf_init(&f->body, HTTP_BODY_MAX);
	f->easy = curl_easy_init();
	if (f->easy == NULL)
		return ERR_NOMEM;
	e = set_limits(f);
	if (e == ERR_OK && f->https)
		e = http_trust_set(r->trust, f->easy);
	return e == ERR_OK ? set_request(f, r) : e;
}

void http_easy_done(struct http_flight *f)
{
	curl_easy_cleanup(f->easy);
	for (struct curl_slist *h = f->headers; h != NULL; h = h->next)
		explicit_bzero(h->data, strlen(h->data)); /* one is Authorization */
	curl_slist_free_all(f->headers);
	buf_done(&f->form);
	buf_done(&f->body);
}

const char *http_easy_failure(const struct http_flight *f, CURLcode code)
{
	if (f->detail != NULL)
		return f->detail;
	switch (code) {
	case CURLE_COULDNT_RESOLVE_HOST:
		return "resolve";
	case CURLE_COULDNT_CONNECT:
		return "connect";
	case CURLE_OPERATION_TIMEDOUT:
		return "timeout";
	case CURLE_PEER_FAILED_VERIFICATION:
		return "certificate";
	case CURLE_SSL_CONNECT_ERROR:
		return "tls";
	case CURLE_GOT_NOTHING:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
		return "reset";
	case CURLE_PARTIAL_FILE:
		return "cut_short";
	case CURLE_FILESIZE_EXCEEDED:
		return "too_large";
	default: /* libcurl's enum, not ours */
		return "transport";
	}
}
