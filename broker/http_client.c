#include "broker/http_client.h"

#include <assert.h>
#include <stdlib.h>

#include "broker/http_easy.h"
#include "common/clock.h"
#include "common/crypt.h"

struct http_client {
	struct event_base *base;
	CURLM *multi;
	struct event *timer;
	LIST_HEAD(, http_flight) flights;
	struct metrics *metrics;
	struct trace trace;	  /* of what is sent now */
	size_t nflights, nlogins; /* in all; of HTTP_SHARE_LOGIN */
	bool in_callback;
};

static void flight_free(struct http_flight *f)
{
	struct http_client *c = f->client;

	LIST_REMOVE(f, link);
	c->nflights--;
	c->nlogins -= f->share == HTTP_SHARE_LOGIN;
	/* Fails only for a handle that was not added, or never made. */
	(void)curl_multi_remove_handle(c->multi, f->easy);
	http_easy_done(f);
	free(f);
}

void http_flight_cancel(struct http_flight **f)
{
	if (*f != NULL)
		flight_free(*f);
	*f = NULL;
}

static void count(const struct http_flight *f, const struct http_response *r)
{
	struct metrics *m = f->client->metrics;
	/* METRICS_WORDS_http; a status is 200 to 599. */
	unsigned outcome = r->outcome == HTTP_ANSWERED	 ? (unsigned)r->status / 100 - 2
			   : r->outcome == HTTP_NOT_SENT ? 4
							 : 5;

	if (m == NULL)
		return;
	metrics_count(m, METRIC_B_IDP_REQUESTS, METRICS_AT(f->provider.a, f->what, outcome));
	metrics_observe(m, METRIC_B_IDP_DURATION, f->provider, clock_boot_us() - f->begun_us);
}

static void flight_done(struct http_flight *f, CURLcode code)
{
	struct http_response r = {.outcome = HTTP_UNKNOWN, .detail = ""};
	struct http_client *c = f->client;
	char *content_type = NULL;
	long status = 0;

	if (code == CURLE_OK && curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status) == 0 &&
	    status >= 200 && status <= 599) {
		r.outcome = HTTP_ANSWERED;
		r.status = (int)status;
		r.body = buf_sv(&f->body);
		r.retry_after = sv_of(f->retry_after, f->retry_after_n);
		if (curl_easy_getinfo(f->easy, CURLINFO_CONTENT_TYPE, &content_type) == CURLE_OK)
			r.content_type = sv_str(content_type);
	} else {
		r.outcome = f->sent ? HTTP_UNKNOWN : HTTP_NOT_SENT;
		r.detail = code == CURLE_OK ? "status" : http_easy_failure(f, code);
	}
	count(f, &r);
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
	struct timeval tv = clock_timeval(ms);

	(void)multi;
	if (ms < 0)
		return event_del(c->timer);
	return event_add(c->timer, &tv);
}

static enum err check(const struct http_client *c, const struct http_request *r)
{
	enum err e = http_url_check(r->url, r->policy);

	if (e == ERR_OK && r->trust == NULL && sv_starts(r->url, SV("https:")))
		e = ERR_DENIED;
	if (e == ERR_OK && (c->nflights >= HTTP_FLIGHTS_MAX ||
			    (r->share == HTTP_SHARE_LOGIN && c->nlogins >= HTTP_LOGIN_FLIGHTS_MAX)))
		e = ERR_LIMIT;
	if (e == ERR_OK && r->form != NULL && (!buf_ok(r->form) || r->form->n == 0))
		e = ERR_NOMEM;
	return e;
}

enum err http_client_send(struct http_client *c, const struct http_request *r,
			  struct http_flight **ret_flight)
{
	unsigned char span[TRACE_SPAN_LEN];
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
	f->before_send = r->before_send;
	f->before_arg = r->before_arg;
	f->fn = r->fn;
	f->arg = r->arg;
	if (r->form != NULL) {
		f->form = *r->form;
		buf_init(r->form, f->form.max);
	}
	LIST_INSERT_HEAD(&c->flights, f, link);
	f->provider = METRICS_AT(metrics_name(c->metrics, METRICS_provider, r->provider));
	f->what = r->what;
	f->begun_us = clock_boot_us();
	if (c->trace.n > 0 && crypt_random(span, sizeof span) == ERR_OK)
		f->trace = trace_child(&c->trace, span);
	f->share = r->share;
	c->nflights++;
	c->nlogins += f->share == HTTP_SHARE_LOGIN;
	if (http_easy_init(f, r) != ERR_OK ||
	    curl_multi_add_handle(c->multi, f->easy) != CURLM_OK) {
		flight_free(f);
		return ERR_NOMEM;
	}
	*ret_flight = f;
	return ERR_OK;
}

void http_client_count(struct http_client *c, struct metrics *m)
{
	c->metrics = m;
}

struct metrics *http_client_metrics(const struct http_client *c)
{
	return c == NULL ? NULL : c->metrics;
}

void http_client_trace(struct http_client *c, const struct trace *t)
{
	if (c != NULL)
		c->trace = t == NULL ? (struct trace){.n = 0} : *t;
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
