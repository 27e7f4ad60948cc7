/* http_request: a head as it comes; in pieces or whole it ends in the same place, and what it says
 * lies within it. */
#include <assert.h>
#include <stdlib.h>

#include "worker/forwarded.h"
#include "worker/http_request.h"

#define FIELDS 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool lies_within(struct sv part, struct sv whole)
{
	return part.n == 0 || (part.p >= whole.p && part.p + part.n <= whole.p + whole.n);
}

static bool is_clean(struct sv s)
{
	return sv_find(s, '\r') == s.n && sv_find(s, '\n') == s.n && sv_find(s, '\0') == s.n;
}

/* What accepts a head as a request reads it as the edge's or the browser's. */
static void judge(const struct http_request *q)
{
	static const struct sv names[] = {SV_INIT("X-User-ID"), SV_INIT("Cookie")};
	const struct injected injected = injected_of(names, ARRAY_LEN(names));
	const char *reason = NULL;
	struct forwarded f;

	for (enum config_edge edge = EDGE_NONE; edge <= EDGE_ENVOY; edge++)
		if (forwarded_verify(edge, q->method, q->target, q->fields, &injected, &f,
				     &reason) != ERR_OK)
			assert(reason != NULL);
	if (forwarded_public(q->method, q->target, q->fields, SV("192.0.2.1"), &f, &reason) ==
	    ERR_OK) {
		assert(sv_eq(f.url.target, q->target) && sv_eq(f.method, q->method));
		assert(f.host.n > 0 && f.client.n > 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sv all = sv_of((const char *)data, size), head;
	struct http_scan whole = {0}, pieces = {0};
	enum http_scanned end = http_scan(&whole, all), now = HTTP_SCAN_MORE;
	struct http_field fields[FIELDS];
	struct http_request q;
	const char *word = NULL;

	for (size_t n = 1; n <= size && now == HTTP_SCAN_MORE; n++)
		now = http_scan(&pieces, sv_cut(all, 0, n));
	assert(now == end && (now != HTTP_SCAN_DONE || whole.at == pieces.at));
	if (end != HTTP_SCAN_DONE || whole.at == 2)
		return 0;
	head = sv_cut(all, 0, whole.at);
	if (http_request_parse(head, fields, FIELDS, &q, &word) != 0) {
		assert(word != NULL);
		return 0;
	}
	assert(q.method.n > 0 && q.target.n > 0 && q.minor <= 1 && q.fields.n <= FIELDS);
	assert(lies_within(q.method, head) && lies_within(q.target, head));
	for (size_t i = 0; i < q.fields.n; i++) {
		struct http_field f = q.fields.v[i];

		assert(f.name.n > 0 && lies_within(f.name, head) && lies_within(f.value, head));
		assert(is_clean(f.name) && is_clean(f.value) && sv_trim(f.value).n == f.value.n);
	}
	assert(http_fields_nth(q.fields, HTTP_HOST, 1) == NULL);
	assert(!q.chunked || q.has_body);
	judge(&q);
	return 0;
}
