#include "tests/unit/broker/provider_fixture.h"

#define JSON "Content-Type: application/json\r\n"
#define JWT "Content-Type: application/jwt\r\n"

static int set_up_asked(void **state)
{
	char extra[128];

	if (set_up(state) != 0)
		return -1;
	snprintf(extra, sizeof extra, ",\"userinfo_endpoint\":\"%s/me\"", t.issuer);
	serve_metadata(t.issuer, extra);
	start_provider();
	loop_for_metadata();
	return 0;
}

static struct server_row *serve(int status, const char *headers, const char *body)
{
	struct server_row *row = server_on(&t.server, "GET /me", status, body);

	snprintf(row->headers, sizeof row->headers, "%s", headers);
	return row;
}

static void ask(struct seen *s)
{
	*s = (struct seen){.allow = true};
	assert_int_equal(provider_userinfo(t.provider, SV("at-1"), SV("alice"), on_id_token, s),
			 ERR_OK);
	assert_int_equal(s->calls, 0);
	loop_until(t.base, &s->done);
	assert_int_equal(s->calls, 1);
}

static void it_is_asked_with_the_token_in_the_header(void **state)
{
	struct seen s;

	(void)state;
	serve(200, JSON, "{\"sub\":\"alice\",\"email\":\"a@example.com\",\"phone\":\"1\"}");
	ask(&s);
	assert_int_equal(s.e, ERR_OK);
	assert_string_equal(s.sub, "alice");
	assert_string_equal(s.claims, "{\"email\":\"a@example.com\"}"); /* keep_claims */
	assert_non_null(strstr(t.server.last, "GET /me HTTP/1.1\r\n"));
	assert_non_null(strstr(t.server.last, "\r\nAuthorization: Bearer at-1\r\n"));
}

static void answers_are_judged(void **state)
{
	static const struct {
		int status;
		const char *headers, *body;
		enum err want;
		const char *want_detail;
	} rows[] = {
	    {200, JSON, "{\"sub\":\"alice\"}", ERR_OK, ""},
	    {200, "Content-Type: Application/JSON; charset=utf-8\r\n", "{\"sub\":\"alice\"}",
	     ERR_OK, ""},
	    /* Core 5.3.2: somebody else's claims are not used */
	    {200, JSON, "{\"sub\":\"bob\"}", ERR_CRYPTO, "sub_changed"},
	    {200, JSON, "{\"sub\":\"Alice\"}", ERR_CRYPTO, "sub_changed"},
	    {200, JSON, "{\"sub\":\"alice \"}", ERR_CRYPTO, "sub_changed"},
	    {200, JSON, "{\"email\":\"a@example.com\"}", ERR_CRYPTO, "sub"},
	    {200, JSON, "{\"sub\":[\"alice\"]}", ERR_CRYPTO, "sub"},
	    {200, JSON, "{\"sub\":\"alice\",\"sub\":\"alice\"}", ERR_CRYPTO, "payload"},
	    {200, JSON, "", ERR_CRYPTO, "payload"},
	    {200, JSON, "[]", ERR_CRYPTO, "payload"},
	    {200, "", "{\"sub\":\"alice\"}", ERR_CRYPTO, "content_type"},
	    {200, "Content-Type: text/html\r\n", "<html>", ERR_CRYPTO, "content_type"},
	    {200, "Content-Type: application/jsonp\r\n", "{\"sub\":\"alice\"}", ERR_CRYPTO,
	     "content_type"},
	    {200, JWT, "{\"sub\":\"alice\"}", ERR_CRYPTO, "parts"},
	    {200, JWT, "a.b.c.d.e", ERR_CRYPTO, "encrypted"},
	    {401, JSON, "{\"sub\":\"alice\"}", ERR_DENIED, "refused"},
	    {403, "", "", ERR_DENIED, "refused"},
	    {404, "", "", ERR_UNAVAILABLE, "status"},
	    {500, "", "", ERR_UNAVAILABLE, "status"},
	    {302, "Location: /other\r\n", "", ERR_UNAVAILABLE, "status"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct seen s;

		serve(rows[i].status, rows[i].headers, rows[i].body);
		ask(&s);
		if (s.e != rows[i].want || strcmp(s.detail, rows[i].want_detail) != 0)
			fail_msg("%d %s %s: %s %s", rows[i].status, rows[i].headers, rows[i].body,
				 err_text(s.e), s.detail);
		assert_string_equal(s.sub, s.e == ERR_OK ? "alice" : "");
	}
}

/* Signed under the pinned algorithm, by a key of the set. */
static void a_signed_answer_is_verified(void **state)
{
	static const struct {
		const char *header, *payload;
		enum err want;
		const char *want_detail;
	} rows[] = {
	    {ES256_K1, "{\"sub\":\"alice\",\"email\":\"e\"}", ERR_OK, ""},
	    {ES256_K1, "{\"sub\":\"alice\",\"email\":\"e\",\"aud\":\"app\"}", ERR_OK, ""},
	    {ES256_K1, "{\"sub\":\"alice\",\"aud\":\"other\"}", ERR_CRYPTO, "aud"},
	    {ES256_K1, "{\"sub\":\"alice\",\"iss\":\"https://other.example\"}", ERR_CRYPTO, "iss"},
	    {ES256_K1, "{\"sub\":\"alice\",\"exp\":1}", ERR_CRYPTO, "expired"},
	    {ES256_K1, "{\"sub\":\"bob\"}", ERR_CRYPTO, "sub_changed"},
	    {"{\"alg\":\"ES256\",\"kid\":\"k1\",\"typ\":\"at+jwt\"}", "{\"sub\":\"alice\"}",
	     ERR_CRYPTO, "typ"},
	    {"{\"alg\":\"none\"}", "{\"sub\":\"alice\"}", ERR_CRYPTO, "alg"},
	    {"{\"alg\":\"RS256\",\"kid\":\"k1\"}", "{\"sub\":\"alice\"}", ERR_CRYPTO, "alg"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct seen s;

		buf_clear(&t.text);
		put_token(&t.text, t.key, ALG_ES256, rows[i].header, rows[i].payload);
		buf_add_char(&t.text, '\0');
		serve(200, JWT, t.text.p);
		ask(&s);
		if (s.e != rows[i].want || strcmp(s.detail, rows[i].want_detail) != 0)
			fail_msg("%s: %s %s", rows[i].payload, err_text(s.e), s.detail);
		if (s.e == ERR_OK)
			assert_string_equal(s.claims, "{\"email\":\"e\"}");
	}
}

static void a_signature_of_somebody_else_is_refused(void **state)
{
	EVP_PKEY *other = signer_key(ALG_ES256);
	struct seen s;

	(void)state;
	buf_clear(&t.text);
	put_token(&t.text, other, ALG_ES256, ES256_K1, "{\"sub\":\"alice\"}");
	buf_add_char(&t.text, '\0');
	serve(200, JWT, t.text.p);
	ask(&s);
	assert_int_equal(s.e, ERR_CRYPTO);
	assert_string_equal(s.detail, "signature");
	EVP_PKEY_free(other);
}

static void a_lost_answer_is_unavailable(void **state)
{
	struct seen s;

	(void)state;
	serve(200, JSON, "{\"sub\":\"alice\"}")->action = SERVER_CUT;
	ask(&s);
	assert_int_equal(s.e, ERR_UNAVAILABLE);
	server_deaf(&t.server);
	ask(&s);
	assert_int_equal(s.e, ERR_UNAVAILABLE);
}

/* Answers lost, or none for load, two in a row; anything else it says proves that it is there. */
static void where_it_is_away_it_is_held_off(void **state)
{
	static const struct {
		int after_s;
		enum server_action action; /* 0: it is not to be asked */
		int status;
		const char *headers;
	} rows[] = {
	    {0, SERVER_CLOSE, 200, JSON},
	    {0, SERVER_ANSWER, 500, ""},
	    {0, SERVER_CLOSE, 200, JSON},
	    {0, SERVER_ANSWER, 401, ""},
	    {0, SERVER_CLOSE, 200, JSON},
	    {0, SERVER_ANSWER, 429, "Retry-After: 200\r\n"}, /* to this person */
	    {0, SERVER_ANSWER, 429, "Retry-After: 200\r\n"},
	    {0, SERVER_CLOSE, 200, JSON},
	    {0, SERVER_CUT, 200, JSON},
	    {0, 0, 0, ""},
	    {4, 0, 0, ""},
	    {7, SERVER_ANSWER, 503, ""},
	    {11, 0, 0, ""},
	    {14, SERVER_ANSWER, 503, "Retry-After: 200\r\n"},
	    {213, 0, 0, ""},
	    {215, SERVER_ANSWER, 200, JSON},
	    {215, SERVER_CLOSE, 200, JSON},
	    {215, SERVER_ANSWER, 200, JSON},
	};
	const int64_t boot = clock_boot_ms(), wall = clock_wall_s();
	unsigned hits = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct seen s = {.allow = true};
		uint32_t left_s = 0;

		clock_set(boot + 1000 * (int64_t)rows[i].after_s, wall + rows[i].after_s);
		if (provider_userinfo_held(t.provider, &left_s) != (rows[i].action == 0) ||
		    (left_s > 0) != (rows[i].action == 0))
			fail_msg("row %zu: %u s", i, (unsigned)left_s);
		if (rows[i].action == 0) {
			assert_int_equal(
			    provider_userinfo(t.provider, SV("at-1"), SV("alice"), on_id_token, &s),
			    ERR_UNAVAILABLE);
			assert_int_equal(s.calls, 0);
			continue;
		}
		serve(rows[i].status, rows[i].headers, "{\"sub\":\"alice\"}")->action =
		    rows[i].action;
		ask(&s);
		assert_int_equal(server_hits(&t.server, "GET /me"), ++hits);
	}
}

/* Everybody may have a large picture there. */
static void one_persons_large_answer_holds_nobody_off(void **state)
{
	static const struct {
		const char *headers;
		size_t n;
	} rows[] = {
	    {JSON, HTTP_BODY_MAX + 1}, /* by the length that it says */
	    {JSON "Transfer-Encoding: chunked\r\n", HTTP_BODY_MAX + 1}, /* by what comes */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf *body = &serve(200, rows[i].headers, "")->body;
		uint32_t left_s = 0;
		struct seen s;

		if (strstr(rows[i].headers, "chunked") != NULL)
			buf_addf(body, "%zx\r\n", rows[i].n);
		for (size_t k = 0; k < rows[i].n; k++)
			buf_add_char(body, ' ');
		for (int k = 0; k < 3; k++) {
			ask(&s);
			assert_int_equal(s.e, ERR_UNAVAILABLE);
			assert_string_equal(s.detail, "too_large");
			assert_false(provider_userinfo_held(t.provider, &left_s));
		}
	}
}

/* Of those who come when the time is over one is let through: nobody waits for what the first finds
 * out. */
static void one_finds_out(void **state)
{
	const int64_t boot = clock_boot_ms(), wall = clock_wall_s();
	struct seen s, other = {.allow = true};

	(void)state;
	serve(200, JSON, "{\"sub\":\"alice\"}")->action = SERVER_CLOSE;
	for (int i = 0; i < 2; i++)
		ask(&s);
	clock_set(boot + 10000, wall);
	serve(200, JSON, "{\"sub\":\"alice\"}");
	s = (struct seen){.allow = true};
	assert_int_equal(provider_userinfo(t.provider, SV("at-1"), SV("alice"), on_id_token, &s),
			 ERR_OK);
	assert_int_equal(
	    provider_userinfo(t.provider, SV("at-1"), SV("alice"), on_id_token, &other),
	    ERR_UNAVAILABLE);
	loop_until(t.base, &s.done);
	assert_int_equal(s.e, ERR_OK);
	ask(&other);
	assert_int_equal(other.e, ERR_OK);
}

static void what_cannot_be_asked_is_not(void **state)
{
	struct seen s = {.allow = true};

	(void)state;
	assert_int_equal(provider_userinfo(t.provider, SV("at"), SV(""), on_id_token, &s),
			 ERR_SYNTAX);
	assert_int_equal(provider_userinfo(t.provider, SV("a\r\nb"), SV("alice"), on_id_token, &s),
			 ERR_NOMEM);
	assert_int_equal(s.calls, 0);
}

static void without_an_endpoint_it_is_unsupported(void **state)
{
	struct seen s = {.allow = true};

	(void)state;
	assert_int_equal(provider_userinfo(t.provider, SV("at"), SV("alice"), on_id_token, &s),
			 ERR_UNSUPPORTED);
	assert_int_equal(s.calls, 0);
}

static void a_pending_question_is_canceled(void **state)
{
	struct seen s = {.allow = true};

	(void)state;
	serve(200, JSON, "")->action = SERVER_SILENCE;
	assert_int_equal(provider_userinfo(t.provider, SV("at-1"), SV("alice"), on_id_token, &s),
			 ERR_OK);
	provider_free(&t.provider);
	assert_int_equal(s.calls, 1);
	assert_int_equal(s.e, ERR_CANCELED);
}

#define WITH(fn) cmocka_unit_test_setup_teardown(fn, set_up_asked, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH(it_is_asked_with_the_token_in_the_header),
	    WITH(answers_are_judged),
	    WITH(a_signed_answer_is_verified),
	    WITH(a_signature_of_somebody_else_is_refused),
	    WITH(a_lost_answer_is_unavailable),
	    WITH(where_it_is_away_it_is_held_off),
	    WITH(one_persons_large_answer_holds_nobody_off),
	    WITH(one_finds_out),
	    WITH(what_cannot_be_asked_is_not),
	    cmocka_unit_test_setup_teardown(without_an_endpoint_it_is_unsupported, set_up_ready,
					    tear_down),
	    WITH(a_pending_question_is_canceled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
