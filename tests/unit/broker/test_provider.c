#include "broker/provider_call.h"
#include "tests/unit/broker/provider_fixture.h"

static void metadata_come_and_stay(void **state)
{
	const struct provider_metadata *m;

	(void)state;
	assert_null(provider_metadata(t.provider));
	loop_for_metadata();
	m = provider_metadata(t.provider);
	assert_sv_equal(m->issuer, sv_str(t.issuer));
	assert_true(sv_ends(m->token_endpoint, SV("/token")));
	assert_int_equal(m->revocation_endpoint.n, 0);
	assert_false(m->iss_parameter_supported);
	assert_ptr_equal(t.provider->config, &t.config);
}

static int set_up_started(void **state)
{
	if (set_up(state) != 0)
		return -1;
	start_provider();
	return 0;
}

/* The first try fails, in three ways; the next, after the back-off, is good. */
static void discovery_is_retried(void **state)
{
	(void)state;
	server_on(&t.server, DISCOVERY, 503, "");
	start_provider();
	loop_for_hits(DISCOVERY, 1);
	assert_null(provider_metadata(t.provider));
	serve_metadata("https://other.example", "");
	loop_for_hits(DISCOVERY, 2);
	assert_null(provider_metadata(t.provider));
	serve_metadata(t.issuer, "");
	loop_for_metadata();
}

/* The hour has passed. */
static void discover_again(unsigned hits)
{
	(void)event_del(t.provider->timer);
	event_active(t.provider->timer, EV_TIMEOUT, 0);
	loop_for_hits(DISCOVERY, hits);
	while (t.provider->flight != NULL)
		assert_int_equal(event_base_loop(t.base, EVLOOP_ONCE), 0);
}

/* Discovery that fails, in whatever way, takes nothing away; one that is good replaces. */
static void the_last_good_metadata_are_kept(void **state)
{
	static const struct {
		int status;
		const char *body;
	} bad[] = {{500, ""}, {404, "{}"}, {302, ""}, {200, "<html>"}, {200, "{}"}};
	unsigned hits = 1;
	struct seen s;
	char extra[128];

	(void)state;
	loop_for_hits("GET /keys", 1);
	server_on(&t.server, "POST /token", 200,
		  "{\"access_token\":\"at\",\"token_type\":\"Bearer\"}");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		server_on(&t.server, DISCOVERY, bad[i].status, bad[i].body);
		discover_again(++hits);
		assert_non_null(provider_metadata(t.provider));
		s = (struct seen){.allow = true};
		assert_int_equal(
		    provider_refresh(t.provider, SV("r"), NULL, may_send, on_token, &s), ERR_OK);
		loop_until(t.base, &s.done);
		assert_int_equal(s.outcome, TOKEN_OK);
	}
	serve_metadata("http://127.0.0.1:1", "");
	discover_again(++hits);
	assert_sv_equal(provider_metadata(t.provider)->issuer, sv_str(t.issuer));
	snprintf(extra, sizeof extra, ",\"userinfo_endpoint\":\"%s/me\"", t.issuer);
	serve_metadata(t.issuer, extra);
	discover_again(++hits);
	assert_true(sv_ends(provider_metadata(t.provider)->userinfo_endpoint, SV("/me")));
}

static void without_metadata_nothing_is_asked(void **state)
{
	struct seen s = {.allow = true};

	(void)state;
	assert_int_equal(provider_code(t.provider, SV("c"), SV("u"), SV("v"), on_token, &s),
			 ERR_UNAVAILABLE);
	assert_int_equal(provider_refresh(t.provider, SV("r"), NULL, may_send, on_token, &s),
			 ERR_UNAVAILABLE);
	assert_int_equal(provider_revoke(t.provider, SV("r"), on_revoked, &s), ERR_UNAVAILABLE);
	assert_int_equal(s.calls, 0);
}

static void keys_are_fetched_ahead(void **state)
{
	(void)state;
	loop_for_hits("GET /keys", 1);
}

static void traits_are_of_preset_and_options(void **state)
{
	static const struct {
		enum config_preset preset;
		bool rotates, consent, access_type;
	} rows[] = {
	    {PRESET_GENERIC, true, true, false},   {PRESET_OIDC_PROVIDER, true, true, false},
	    {PRESET_ENTRA, false, false, false},   {PRESET_GOOGLE, false, true, true},
	    {PRESET_KEYCLOAK, true, false, false}, {PRESET_AUTHENTIK, true, false, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct provider_traits *traits;

		t.config.preset = rows[i].preset;
		t.config.grace_ms = (int64_t)i * 1000;
		start_provider();
		traits = provider_traits(t.provider);
		assert_int_equal(traits->rotates, rows[i].rotates);
		assert_int_equal(traits->consent_for_offline, rows[i].consent);
		assert_int_equal(traits->access_type_offline, rows[i].access_type);
		assert_int_equal(traits->grace_ms, t.config.grace_ms);
		provider_free(&t.provider);
	}
}

static void freeing_cancels_what_is_pending(void **state)
{
	struct seen code = {.allow = true}, refresh = code, revoke = code, token = code;
	struct id_token_expect expect = {.nonce = SV("n")};

	(void)state;
	server_on(&t.server, "POST /token", 200, "{}")->action = SERVER_SILENCE;
	assert_int_equal(provider_code(t.provider, SV("c"), SV("u"), SV("v"), on_token, &code),
			 ERR_OK);
	assert_int_equal(provider_refresh(t.provider, SV("r"), NULL, may_send, on_token, &refresh),
			 ERR_OK);
	assert_int_equal(provider_revoke(t.provider, SV("r"), on_revoked, &revoke), ERR_OK);
	assert_int_equal(provider_id_token(t.provider, SV("x.y.z"), &expect, on_id_token, &token),
			 ERR_OK);
	provider_free(&t.provider);
	assert_int_equal(code.e, ERR_CANCELED);
	assert_int_equal(refresh.e, ERR_CANCELED);
	assert_int_equal(revoke.e, ERR_CANCELED);
	assert_int_equal(token.e, ERR_CANCELED);
	assert_int_equal(code.calls + refresh.calls + revoke.calls + token.calls, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(metadata_come_and_stay, set_up_started, tear_down),
	    cmocka_unit_test_setup_teardown(discovery_is_retried, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(without_metadata_nothing_is_asked, set_up_started,
					    tear_down),
	    cmocka_unit_test_setup_teardown(the_last_good_metadata_are_kept, set_up_ready,
					    tear_down),
	    cmocka_unit_test_setup_teardown(keys_are_fetched_ahead, set_up_ready, tear_down),
	    cmocka_unit_test_setup_teardown(traits_are_of_preset_and_options, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(freeing_cancels_what_is_pending, set_up_ready,
					    tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
