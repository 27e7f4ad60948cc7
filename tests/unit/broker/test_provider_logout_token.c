#include "broker/logout_token.h"

#include "broker/key_source.h"
#include "tests/unit/broker/provider_fixture.h"

#define EVENTS ",\"events\":{\"http://schemas.openid.net/event/backchannel-logout\":{}}"
#define ES256_LOGOUT "{\"alg\":\"ES256\",\"kid\":\"k1\",\"typ\":\"logout+jwt\"}"
#define GOOD ",\"jti\":\"j\",\"sid\":\"s\"" EVENTS

static void on_logout_token(void *arg, enum err e, const struct logout_token *got,
			    const char *detail)
{
	struct seen *s = arg;

	s->done = true;
	s->calls++;
	s->e = e;
	text_of(s->detail, sizeof s->detail, sv_str(detail));
	if (got != NULL)
		text_of(s->sub, sizeof s->sub, got->sub);
}

static void ask(struct sv jwt, struct seen *s)
{
	*s = (struct seen){.allow = true};
	assert_int_equal(provider_logout_token(t.provider, jwt, on_logout_token, s), ERR_OK);
	assert_int_equal(s->calls, 0);
	loop_until(t.base, &s->done);
	assert_int_equal(s->calls, 1);
}

static void a_good_token_says_who(void **state)
{
	struct seen s;

	(void)state;
	ask(id_token(t.key, ES256_LOGOUT, GOOD), &s);
	assert_int_equal(s.e, ERR_OK);
	assert_string_equal(s.sub, "alice");
}

static void a_bad_one_is_refused_with_its_word(void **state)
{
	EVP_PKEY *other = signer_key(ALG_ES256);
	struct seen s;

	(void)state;
	ask(id_token(t.key, ES256_LOGOUT, GOOD ",\"nonce\":\"n\""), &s);
	assert_int_equal(s.e, ERR_CRYPTO);
	assert_string_equal(s.detail, "nonce");
	ask(id_token(t.key, "{\"alg\":\"ES256\",\"kid\":\"k1\",\"typ\":\"at+jwt\"}", GOOD), &s);
	assert_string_equal(s.detail, "typ");
	ask(id_token(t.key, "{\"alg\":\"ES256\",\"kid\":\"k1\",\"crit\":[\"x\"]}", GOOD), &s);
	assert_string_equal(s.detail, "crit");
	ask(id_token(t.key, "{\"alg\":\"none\"}", GOOD), &s);
	assert_string_equal(s.detail, "alg");
	ask(id_token(other, ES256_LOGOUT, GOOD), &s);
	assert_string_equal(s.detail, "signature");
	EVP_PKEY_free(other);
}

/* Whoever posts unknown keys empties the strangers' bucket, and not that of logins. */
static void a_stranger_cannot_use_up_what_logins_need(void **state)
{
	EVP_PKEY *next = signer_key(ALG_ES256);
	struct id_token_expect expect = {.nonce = SV("n")};
	struct seen s;

	(void)state;
	clock_set(1000000, clock_wall_s());
	ask(id_token(t.key, ES256_LOGOUT, GOOD), &s);
	for (unsigned i = 0; i < 10; i++) {
		ask(id_token(t.key, "{\"alg\":\"ES256\",\"kid\":\"unknown\"}", GOOD), &s);
		assert_string_equal(s.detail, "key");
		/* Looked for and not there: refused. Not looked for: it may be a new one. */
		assert_int_equal(s.e, i < KEYS_UNKNOWN_BURST ? ERR_CRYPTO : ERR_UNAVAILABLE);
	}
	assert_int_equal(server_hits(&t.server, "GET /keys"), 1 + KEYS_UNKNOWN_BURST);
	serve_key(next, ",\"kid\":\"k2\"");
	s = (struct seen){.allow = true};
	assert_int_equal(provider_id_token(t.provider,
					   id_token(next, "{\"alg\":\"ES256\",\"kid\":\"k2\"}",
						    ",\"nonce\":\"n\""),
					   &expect, on_id_token, &s),
			 ERR_OK);
	loop_until(t.base, &s.done);
	assert_int_equal(s.e, ERR_OK);
	EVP_PKEY_free(next);
}

static void without_keys_it_is_unavailable(void **state)
{
	struct seen s;

	(void)state;
	server_on(&t.server, "GET /keys", 500, "");
	start_provider();
	loop_for_metadata();
	ask(id_token(t.key, ES256_LOGOUT, GOOD), &s);
	assert_int_equal(s.e, ERR_UNAVAILABLE);
	assert_string_equal(s.detail, "no_keys");
}

#define READY(fn) cmocka_unit_test_setup_teardown(fn, set_up_ready, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    READY(a_good_token_says_who),
	    READY(a_bad_one_is_refused_with_its_word),
	    READY(a_stranger_cannot_use_up_what_logins_need),
	    cmocka_unit_test_setup_teardown(without_keys_it_is_unavailable, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
