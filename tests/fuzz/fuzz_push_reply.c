/* First byte: the status; the rest is the body. A request_uri comes of a 201 alone, and goes into a
 * URL as it is. */
#include <assert.h>

#include "broker/push_reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const int statuses[] = {201, 400, 401, 413, 429, 500, 200, 302};
	struct http_response h = {.outcome = HTTP_ANSWERED, .detail = ""};
	struct push_answer a;
	struct sv uri;
	enum err e;

	if (size == 0)
		return 0;
	h.status = statuses[data[0] % ARRAY_LEN(statuses)];
	h.body = sv_of((const char *)data + 1, size - 1);
	e = push_reply_read(&h, &a);
	uri = buf_sv(&a.request_uri);
	assert(e == ERR_OK || e == ERR_DENIED || e == ERR_UNAVAILABLE);
	assert(a.detail != NULL && (a.detail[0] == '\0') == (e == ERR_OK));
	assert((uri.n > 0) == (e == ERR_OK) && uri.n <= PUSH_URI_MAX);
	assert(e != ERR_OK || h.status == 201);
	for (size_t i = 0; i < uri.n; i++)
		assert(uri.p[i] > ' ' && uri.p[i] <= '~');
	push_answer_done(&a);
	return 0;
}
