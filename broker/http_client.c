#include "broker/http_client.h"

#include <arpa/inet.h>
#include <assert.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "common/contract.h"

struct http_flight {
	LIST_ENTRY(http_flight) link;
	struct http_client *client;
	CURL *easy;
	struct curl_slist *headers;
	struct buf form, body;
	size_t head_bytes;
	char retry_after[HTTP_RETRY_AFTER_MAX];
	size_t retry_after_n;
	enum http_policy policy;
	bool https;
	bool sent;	    /* the first byte may have left */
	const char *detail; /* why we broke it off ourselves */
	bool (*before_send)(void *arg);
	void *before_arg;
	http_fn fn;
	void *arg;
};

struct http_client {
	struct event_base *base;
	CURLM *multi;
	struct event *timer;
	LIST_HEAD(, http_flight) flights;
	size_t nflights;
	bool in_callback;
};

static void flight_free(struct http_flight *f)
{
	struct http_client *c = f->client;

	LIST_REMOVE(f, link);
	c->nflights--;
	(void)curl_multi_remove_handle(c->multi, f->easy); /* fails only for a foreign handle */
	curl_easy_cleanup(f->easy);
	for (struct curl_slist *h = f->headers; h != NULL; h = h->next)
		explicit_bzero(h->data, strlen(h->data)); /* one is Authorization */
	curl_slist_free_all(f->headers);
	buf_done(&f->form);
	buf_done(&f->body);
	free(f);
}

void http_flight_cancel(struct http_flight **f)
{
	if (*f != NULL)
		flight_free(*f);
	*f = NULL;
}

static const char *failure_word(const struct http_flight *f, CURLcode code)
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
	default: /* libcurl's enum, not ours */
		return "transport";
	}
}

static void flight_done(struct http_flight *f, CURLcode code)
{
	struct http_response r = {.outcome = HTTP_UNKNOWN, .detail = ""};
	struct http_client *c = f->client;
	long status = 0;

	if (code == CURLE_OK && curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status) == 0 &&
	    status >= 200 && status <= 599) {
		r.outcome = HTTP_ANSWERED;
		r.status = (int)status;
		r.body = buf_sv(&f->body);
		r.retry_after = sv_of(f->retry_after, f->retry_after_n);
	} else {
		r.outcome = f->sent ? HTTP_UNKNOWN : HTTP_NOT_SENT;
		r.detail = code == CURLE_OK ? "status" : failure_word(f, code);
	}
	c->in_callback = true;
	f->fn(f->arg, &r);
	c->in_callback = false;
	flight_free(f);
}

/* Only here do flights end; never inside one of libcurl's callbacks. */
static void collect(struct http_client *c)
{
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(c->multi, &left)) != NULL) {
		void *f = NULL;

		if (m->msg != CURLMSG_DONE ||
		    curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &f) != CURLE_OK)
			continue;
		flight_done(f, m->data.result);
	}
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct http_client *c = arg;
	int running;

	(void)fd;
	(void)what;
	(void)curl_multi_socket_action(c->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	collect(c);
}

static void on_socket(evutil_socket_t fd, short what, void *arg)
{
	struct http_client *c = arg;
	int running, bits = (what & EV_READ ? CURL_CSELECT_IN : 0) |
			    (what & EV_WRITE ? CURL_CSELECT_OUT : 0);

	(void)curl_multi_socket_action(c->multi, fd, bits, &running);
	collect(c);
}

/* libcurl wants a socket watched (or no longer); `old` is the event we gave it last time. */
static int socket_cb(CURL *easy, curl_socket_t fd, int what, void *arg, void *old)
{
	struct http_client *c = arg;
	struct event *ev = NULL;
	short bits = (short)(EV_PERSIST | (what & CURL_POLL_IN ? EV_READ : 0) |
			     (what & CURL_POLL_OUT ? EV_WRITE : 0));

	(void)easy;
	if (old != NULL)
		event_free(old);
	if (what != CURL_POLL_REMOVE) {
		ev = event_new(c->base, fd, bits, on_socket, c);
		if (ev == NULL || event_add(ev, NULL) == -1) {
			if (ev != NULL)
				event_free(ev);
			(void)curl_multi_assign(c->multi, fd, NULL);
			return -1; /* the request ends with an error */
		}
	}
	(void)curl_multi_assign(c->multi, fd, ev); /* fails only for a foreign descriptor */
	return 0;
}

/* 0 means the next turn of the loop: socket_action must not be called from here. */
static int timer_cb(CURLM *multi, long ms, void *arg)
{
	struct http_client *c = arg;
	struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	(void)multi;
	if (ms < 0)
		return event_del(c->timer);
	return event_add(c->timer, &tv);
}

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
	SET(TIMEOUT_MS, (long)TIMEOUT_IDP_MS);
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

static enum err set_request(struct http_flight *f, const struct http_request *r)
{
	char url[HTTP_URL_MAX + 1];
	CURL *e = f->easy;
	CURLcode rc = CURLE_OK;

	memcpy(url, r->url.p, r->url.n); /* http_url_check() bounded it */
	url[r->url.n] = '\0';
	SET(URL, url);
	if (add_header(f, SV("Accept: application/json"), SV_NONE) != ERR_OK ||
	    (r->authorization.n > 0 &&
	     add_header(f, SV("Authorization: "), r->authorization) != ERR_OK) ||
	    add_header(f, SV("Expect:"), SV_NONE) != ERR_OK)
		return ERR_NOMEM;
	SET(HTTPHEADER, f->headers);
	if (f->form.n > 0) {
		SET(POST, 1L);
		SET(POSTFIELDS, f->form.p); /* by pointer, so that we wipe the only copy */
		SET(POSTFIELDSIZE_LARGE, (curl_off_t)f->form.n);
		SET(FRESH_CONNECT, 1L);
		SET(FORBID_REUSE, 1L);
	}
	return rc == CURLE_OK ? ERR_OK : ERR_NOMEM;
}

static enum err check(const struct http_client *c, const struct http_request *r)
{
	enum err e = http_url_check(r->url, r->policy);

	if (e == ERR_OK && c->nflights >= HTTP_FLIGHTS_MAX)
		e = ERR_LIMIT;
	if (e == ERR_OK && r->form != NULL && (!buf_ok(r->form) || r->form->n == 0))
		e = ERR_NOMEM;
	return e;
}

enum err http_client_send(struct http_client *c, const struct http_request *r,
			  struct http_flight **ret_flight)
{
	struct http_flight *f = NULL;
	enum err e = check(c, r);

	if (e == ERR_OK && (f = calloc(1, sizeof *f)) == NULL)
		e = ERR_NOMEM;
	if (e != ERR_OK) {
		if (r->form != NULL)
			buf_done(r->form);
		return e;
	}
	f->client = c;
	f->policy = r->policy;
	f->https = sv_starts(r->url, SV("https:"));
	f->before_send = r->before_send;
	f->before_arg = r->before_arg;
	f->fn = r->fn;
	f->arg = r->arg;
	buf_init(&f->body, HTTP_BODY_MAX);
	if (r->form != NULL) {
		f->form = *r->form;
		buf_init(r->form, f->form.max);
	}
	LIST_INSERT_HEAD(&c->flights, f, link);
	c->nflights++;
	f->easy = curl_easy_init();
	if (f->easy == NULL || set_limits(f) != ERR_OK || set_request(f, r) != ERR_OK ||
	    curl_multi_add_handle(c->multi, f->easy) != CURLM_OK) {
		flight_free(f);
		return ERR_NOMEM;
	}
	*ret_flight = f;
	return ERR_OK;
}

enum err http_client_new(struct event_base *base, struct http_client **ret)
{
	struct http_client *c = calloc(1, sizeof *c);

	if (c == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		free(c);
		return ERR_NOMEM;
	}
	c->base = base;
	LIST_INIT(&c->flights);
	c->timer = evtimer_new(base, on_timer, c);
	c->multi = curl_multi_init();
	if (c->timer == NULL || c->multi == NULL ||
	    curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, socket_cb) != CURLM_OK ||
	    curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c) != CURLM_OK ||
	    curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, timer_cb) != CURLM_OK ||
	    curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c) != CURLM_OK ||
	    curl_multi_setopt(c->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)HTTP_FLIGHTS_MAX) !=
		CURLM_OK ||
	    curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, (long)HTTP_IDLE_CONNECTIONS) !=
		CURLM_OK) {
		http_client_free(&c);
		return ERR_NOMEM;
	}
	*ret = c;
	return ERR_OK;
}

void http_client_free(struct http_client **c)
{
	if (*c == NULL)
		return;
	assert(!(*c)->in_callback);
	while (!LIST_EMPTY(&(*c)->flights))
		flight_free(LIST_FIRST(&(*c)->flights));
	if ((*c)->multi != NULL)
		(void)curl_multi_cleanup((*c)->multi); /* still calls socket_cb and timer_cb */
	if ((*c)->timer != NULL)
		event_free((*c)->timer);
	free(*c);
	*c = NULL;
	curl_global_cleanup();
}
