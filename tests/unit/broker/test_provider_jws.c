#include "broker/provider_jws.h"

#include "broker/jose.h"
#include "tests/unit/broker/provider_fixture.h"

struct verdict {
	bool done;
	unsigned calls;
	enum err e;
	enum jwt_refusal why;
	char typ[64], payload[512];
};

static void on_verified(void *arg, enum err e, struct sv typ, struct sv payload,
			enum jwt_refusal why)
{
	struct verdict *v = arg;

	v->done = true;
	v->calls++;
	v->e = e;
	v->why = why;
	text_of(v->typ, sizeof v->typ, typ);
	text_of(v->payload, sizeof v->payload, payload);
}

static void ask(struct sv jwt, struct verdict *v)
{
	*v = (struct verdict){.done = false};
	assert_int_equal(provider_jws(t.provider, jwt, KEYS_FOR_PROVIDER, on_verified, v), ERR_OK);
	assert_int_equal(v->calls, 0);
	loop_until(t.base, &v->done);
	assert_int_equal(v->calls, 1);
}

static void typ_and_payload_come_after_the_signature_held(void **state)
{
	struct verdict v;
	char *c;

	(void)state;
	buf_clear(&t.text);
	put_token(&t.text, t.key, ALG_ES256, "{\"alg\":\"ES256\",\"kid\":\"k1\",\"typ\":\"x+jwt\"}",
		  "{\"a\":1}");
	ask(buf_sv(&t.text), &v);
	assert_int_equal(v.e, ERR_OK);
	assert_string_equal(v.typ, "x+jwt");
	assert_string_equal(v.payload, "{\"a\":1}");
	c = &t.text.p[t.text.n - 3];
	*c = *c == 'A' ? 'B' : 'A'; /* still base64url */
	ask(buf_sv(&t.text), &v);
	assert_int_equal(v.e, ERR_CRYPTO);
	assert_int_equal(v.why, JWT_SIGNATURE);
	assert_string_equal(v.payload, "");
}

static void what_is_too_long_is_refused_not_cut(void **state)
{
	struct verdict v;

	(void)state;
	buf_clear(&t.text);
	put_token(&t.text, t.key, ALG_ES256, ES256_K1, "{}");
	while (t.text.n <= JOSE_TOKEN_MAX)
		buf_add_char(&t.text, 'A');
	ask(buf_sv(&t.text), &v);
	assert_int_equal(v.e, ERR_CRYPTO);
	assert_int_equal(v.why, JWT_SIZE);
}

static void a_provider_that_ends_cancels(void **state)
{
	struct verdict v = {.done = false};

	(void)state;
	server_on(&t.server, "GET /keys", 200, "{}")->action = SERVER_SILENCE;
	start_provider();
	loop_for_metadata();
	assert_int_equal(provider_jws(t.provider, id_token(t.key, ES256_K1, ""), KEYS_FOR_PROVIDER,
				      on_verified, &v),
			 ERR_OK);
	loop_for_hits("GET /keys", 1);
	assert_int_equal(v.calls, 0);
	provider_free(&t.provider);
	assert_int_equal(v.calls, 1);
	assert_int_equal(v.e, ERR_CANCELED);
}

#define READY(fn) cmocka_unit_test_setup_teardown(fn, set_up_ready, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    READY(typ_and_payload_come_after_the_signature_held),
	    READY(what_is_too_long_is_refused_not_cut),
	    cmocka_unit_test_setup_teardown(a_provider_that_ends_cancels, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
