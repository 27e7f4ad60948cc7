#include "broker/push_reply.h"

#include "tests/unit/unit.h"

#define URI "\"request_uri\":\"urn:x:1\""

static void answers_are_judged(void **state)
{
	static const struct {
		int status;
		const char *body;
		enum err want;
		const char *want_detail;
	} rows[] = {
	    {201, "{" URI ",\"expires_in\":1}", ERR_OK, ""},
	    {201, "{" URI ",\"expires_in\":60,\"x\":[]}", ERR_OK, ""},
	    /* not what RFC 9126 2.2 says */
	    {200, "{" URI ",\"expires_in\":60}", ERR_UNAVAILABLE, "status"},
	    {201, "{" URI "}", ERR_UNAVAILABLE, "bad_answer"},
	    {201, "{" URI ",\"expires_in\":0}", ERR_UNAVAILABLE, "bad_answer"},
	    {201, "{" URI ",\"expires_in\":-1}", ERR_UNAVAILABLE, "bad_answer"},
	    {201, "{" URI ",\"expires_in\":\"60\"}", ERR_UNAVAILABLE, "bad_answer"},
	    {201, "{" URI ",\"expires_in\":60,\"request_uri\":\"urn:y\"}", ERR_UNAVAILABLE,
	     "bad_answer"},
	    {201, "{\"expires_in\":60}", ERR_UNAVAILABLE, "bad_answer"},
	    {201, "{\"expires_in\":60,\"request_uri\":\"\"}", ERR_UNAVAILABLE, "bad_answer"},
	    {201, "{\"expires_in\":60,\"request_uri\":7}", ERR_UNAVAILABLE, "bad_answer"},
	    {201, "{\"expires_in\":60,\"request_uri\":\"a b\"}", ERR_UNAVAILABLE, "bad_answer"},
	    {201, "{\"expires_in\":60,\"request_uri\":\"a\\r\\nb\"}", ERR_UNAVAILABLE,
	     "bad_answer"},
	    {201, "{\"expires_in\":60,\"request_uri\":\"\\u00e9\"}", ERR_UNAVAILABLE, "bad_answer"},
	    {201, "", ERR_UNAVAILABLE, "bad_answer"},
	    {201, "<html>", ERR_UNAVAILABLE, "bad_answer"},
	    /* refusals: RFC 9126 2.3 */
	    {400, "{\"error\":\"invalid_request\"}", ERR_DENIED, "invalid_request"},
	    {400, "{\"error\":\"invalid_redirect_uri\"}", ERR_DENIED, "invalid_redirect_uri"},
	    {401, "{\"error\":\"invalid_client\"}", ERR_DENIED, "invalid_client"},
	    {400, "{\"error\":\"evil\\r\\nword\"}", ERR_DENIED, "refused"},
	    {400, "<html>", ERR_DENIED, "refused"},
	    {405, "", ERR_DENIED, "refused"},
	    {413, "", ERR_DENIED, "request_too_large"},
	    {429, "{\"error\":\"invalid_request\"}", ERR_UNAVAILABLE, "throttled"},
	    {400, "{\"error\":\"temporarily_unavailable\"}", ERR_UNAVAILABLE,
	     "temporarily_unavailable"},
	    {500, "", ERR_UNAVAILABLE, "server_error"},
	    {503, "{\"error\":\"invalid_request\"}", ERR_UNAVAILABLE, "server_error"},
	    {302, "", ERR_UNAVAILABLE, "status"},
	    {204, "", ERR_UNAVAILABLE, "status"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct http_response h = {.outcome = HTTP_ANSWERED,
					  .status = rows[i].status,
					  .body = sv_str(rows[i].body),
					  .detail = ""};
		struct push_answer a;
		enum err got = push_reply_read(&h, &a);

		if (got != rows[i].want || strcmp(a.detail, rows[i].want_detail) != 0)
			fail_msg("%d %s: %s %s", rows[i].status, rows[i].body, err_text(got),
				 a.detail);
		assert_sv_equal(buf_sv(&a.request_uri), got == ERR_OK ? SV("urn:x:1") : SV(""));
		push_answer_done(&a);
	}
}

static void a_request_uri_has_a_limit(void **state)
{
	static char uri[PUSH_URI_MAX + 2], body[PUSH_URI_MAX + 100];
	struct http_response h = {.outcome = HTTP_ANSWERED, .status = 201, .detail = ""};
	struct push_answer a;

	(void)state;
	for (size_t n = PUSH_URI_MAX; n <= PUSH_URI_MAX + 1; n++) {
		memset(uri, 'a', n);
		uri[n] = '\0';
		snprintf(body, sizeof body, "{\"request_uri\":\"%s\",\"expires_in\":9}", uri);
		h.body = sv_str(body);
		assert_int_equal(push_reply_read(&h, &a),
				 n == PUSH_URI_MAX ? ERR_OK : ERR_UNAVAILABLE);
		push_answer_done(&a);
	}
}

static void out_of_reach_is_unavailable(void **state)
{
	struct http_response h = {.outcome = HTTP_NOT_SENT, .detail = "connect"};
	struct push_answer a;

	(void)state;
	assert_int_equal(push_reply_read(&h, &a), ERR_UNAVAILABLE);
	assert_string_equal(a.detail, "connect");
	push_answer_done(&a);
	h.outcome = HTTP_UNKNOWN;
	assert_int_equal(push_reply_read(&h, &a), ERR_UNAVAILABLE);
	push_answer_done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(answers_are_judged),
	    cmocka_unit_test(a_request_uri_has_a_limit),
	    cmocka_unit_test(out_of_reach_is_unavailable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
