/*
 * http_easy - one request's easy handle: what libcurl may do for us and what not
 *
 * Inner half of http_client: http_client.c owns the loop and the flights, this file the options and
 * the callbacks of one transfer. The callbacks run inside libcurl and only note what they see.
 */
#ifndef BFF_HTTP_EASY_H
#define BFF_HTTP_EASY_H

#include <curl/curl.h>
#include <sys/queue.h>

#include "broker/http_client.h"

struct http_flight {
	LIST_ENTRY(http_flight) link;
	struct http_client *client;
	CURL *easy;
	struct curl_slist *headers;
	struct buf form, body;
	size_t head_bytes;
	char retry_after[HTTP_RETRY_AFTER_MAX];
	size_t retry_after_n;
	bool https;
	bool sent; /* the first byte may have left */
	enum http_share share;
	struct trace trace;	    /* goes along */
	struct metrics_at provider; /* for metrics, as what */
	enum metrics_request what;
	int64_t begun_us;
	const char *detail; /* why we broke it off ourselves */
	bool (*before_send)(void *arg);
	void *before_arg;
	http_fn fn;
	void *arg;
};

/* Makes f->easy for the request, whose URL was checked and whose form f has taken. ERR_NOMEM. The
 * caller ends it with http_easy_done(), also after a failure. */
WARN_UNUSED enum err http_easy_init(struct http_flight *f, const struct http_request *r);

/* After the handle left the multi handle. Wipes headers and bodies. */
void http_easy_done(struct http_flight *f);

/* A constant word for the log. */
const char *http_easy_failure(const struct http_flight *f, CURLcode code);

#endif
