#include "broker/key_source.h"

#include "common/clock.h"
#include "tests/unit/broker/server.h"
#include "tests/unit/broker/signer.h"

static struct {
	struct event_base *base;
	struct server server;
	struct http_client *http;
	struct key_source *ks;
	EVP_PKEY *key;
} t;

struct asker {
	struct key_waiter waiter;
	bool done;
	unsigned calls;
};

static void on_keys(void *arg)
{
	struct asker *a = arg;

	a->done = true;
	a->calls++;
}

static void serve_keys(void)
{
	struct buf b;

	buf_init(&b, 100000);
	buf_addf(&b, "{\"keys\":[");
	put_jwk(&b, t.key, "");
	buf_addf(&b, "]}");
	buf_add_char(&b, '\0');
	server_on(&t.server, "GET /keys", 200, b.p);
	buf_done(&b);
}

static void set_uri(const char *path)
{
	char uri[128];

	snprintf(uri, sizeof uri, "http://127.0.0.1:%u%s", t.server.port, path);
	assert_int_equal(key_source_set_uri(t.ks, sv_str(uri)), ERR_OK);
}

static int set_up(void **state)
{
	(void)state;
	memset(&t, 0, sizeof t);
	clock_set(5000000, 1700000000);
	t.base = event_base_new();
	server_start(&t.server, t.base);
	t.key = signer_key(ALG_ES256);
	serve_keys();
	return http_client_new(t.base, &t.http) == ERR_OK &&
		       key_source_new(t.http, HTTP_LOOPBACK_TOO, SV("idp"), NULL, &t.ks) == ERR_OK
		   ? 0
		   : -1;
}

static int tear_down(void **state)
{
	(void)state;
	key_source_free(&t.ks);
	http_client_free(&t.http);
	server_stop(&t.server);
	event_base_free(t.base);
	EVP_PKEY_free(t.key);
	clock_unset();
	return 0;
}

static void fetch(void)
{
	struct asker a = {.waiter = {.fn = on_keys, .arg = &a}};

	assert_int_equal(key_source_fetch(t.ks, &a.waiter), ERR_OK);
	assert_false(a.done);
	loop_until(t.base, &a.done);
}

static void without_a_place_there_is_nothing_to_fetch(void **state)
{
	struct asker a = {.waiter = {.fn = on_keys, .arg = &a}};

	(void)state;
	assert_int_equal(key_source_fetch(t.ks, &a.waiter), ERR_UNAVAILABLE);
	assert_null(key_source_keys(t.ks));
	assert_int_equal(a.calls, 0);
}

static void a_set_is_fresh_then_stale_then_gone(void **state)
{
	(void)state;
	set_uri("/keys");
	assert_true(key_source_wants_fetch(t.ks));
	fetch();
	assert_int_equal(jwks_count(key_source_keys(t.ks)), 1);
	assert_false(key_source_wants_fetch(t.ks));
	clock_set(5000000 + KEYS_FRESH_MS - 1, 1700000000);
	assert_false(key_source_wants_fetch(t.ks));
	clock_set(5000000 + KEYS_FRESH_MS, 1700000000);
	assert_true(key_source_wants_fetch(t.ks));
	clock_set(5000000 + KEYS_STALE_MS - 1, 1700000000);
	assert_non_null(key_source_keys(t.ks));
	clock_set(5000000 + KEYS_STALE_MS, 1700000000);
	assert_null(key_source_keys(t.ks));
	assert_true(key_source_wants_fetch(t.ks));
}

static void old_keys_serve_while_fetching_fails(void **state)
{
	static const struct {
		int status;
		const char *body;
	} bad[] = {{500, ""}, {200, "<html>"}, {200, "{\"keys\":1}"}, {404, "{\"keys\":[]}"}};
	int64_t now = 5000000;

	(void)state;
	set_uri("/keys");
	fetch();
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		server_on(&t.server, "GET /keys", bad[i].status, bad[i].body);
		now += KEYS_FRESH_MS;
		clock_set(now, 1700000000);
		fetch();
		assert_int_equal(jwks_count(key_source_keys(t.ks)), 1);
		assert_false(key_source_wants_fetch(t.ks)); /* not at once again */
		clock_set(now + KEYS_RETRY_MS, 1700000000);
		assert_true(key_source_wants_fetch(t.ks));
	}
}

static void askers_share_a_fetch_and_may_leave(void **state)
{
	struct asker a[3];

	(void)state;
	set_uri("/keys");
	for (size_t i = 0; i < ARRAY_LEN(a); i++) {
		a[i] = (struct asker){.waiter = {.fn = on_keys, .arg = &a[i]}};
		assert_int_equal(key_source_fetch(t.ks, &a[i].waiter), ERR_OK);
	}
	key_source_cancel(t.ks, &a[1].waiter);
	key_source_cancel(t.ks, &a[1].waiter);
	loop_until(t.base, &a[2].done);
	assert_int_equal(a[0].calls, 1);
	assert_int_equal(a[1].calls, 0);
	assert_int_equal(a[2].calls, 1);
	assert_int_equal(server_hits(&t.server, "GET /keys"), 1);
}

static void another_place_drops_the_keys_of_the_old(void **state)
{
	struct asker a = {.waiter = {.fn = on_keys, .arg = &a}};

	(void)state;
	set_uri("/keys");
	fetch();
	set_uri("/keys"); /* the same: nothing happens */
	assert_non_null(key_source_keys(t.ks));
	server_on(&t.server, "GET /other", 200, "{\"keys\":[]}");
	server_on(&t.server, "GET /keys", 200, "{}")->action = SERVER_SILENCE;
	clock_set(5000000 + KEYS_FRESH_MS, 1700000000);
	assert_int_equal(key_source_fetch(t.ks, &a.waiter), ERR_OK);
	set_uri("/other"); /* who waits for the old place now waits for the new one */
	assert_null(key_source_keys(t.ks));
	loop_until(t.base, &a.done);
	assert_non_null(key_source_keys(t.ks));
	assert_int_equal(jwks_count(key_source_keys(t.ks)), 0);
	assert_int_equal(a.calls, 1);
}

static void unknown_keys_have_a_bucket(void **state)
{
	(void)state;
	for (int i = 0; i < KEYS_UNKNOWN_BURST; i++)
		assert_true(key_source_allows_unknown(t.ks, KEYS_FOR_PROVIDER));
	assert_false(key_source_allows_unknown(t.ks, KEYS_FOR_PROVIDER));
	clock_set(5000000 + KEYS_UNKNOWN_EVERY_MS, 1700000000);
	assert_true(key_source_allows_unknown(t.ks, KEYS_FOR_PROVIDER));
	assert_false(key_source_allows_unknown(t.ks, KEYS_FOR_PROVIDER));
}

static void a_stranger_has_another(void **state)
{
	(void)state;
	for (int i = 0; i < KEYS_UNKNOWN_BURST; i++)
		assert_true(key_source_allows_unknown(t.ks, KEYS_FOR_STRANGER));
	assert_false(key_source_allows_unknown(t.ks, KEYS_FOR_STRANGER));
	assert_true(key_source_allows_unknown(t.ks, KEYS_FOR_PROVIDER));
}

#define WITH(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH(without_a_place_there_is_nothing_to_fetch),
	    WITH(a_set_is_fresh_then_stale_then_gone),
	    WITH(old_keys_serve_while_fetching_fails),
	    WITH(askers_share_a_fetch_and_may_leave),
	    WITH(another_place_drops_the_keys_of_the_old),
	    WITH(unknown_keys_have_a_bucket),
	    WITH(a_stranger_has_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
