#include "broker/token_cache.h"

#include "tests/unit/unit.h"

#define NOW 1000000
#define TTL 600000
#define SESSION 3600000

static const struct config_provider idp = {
    .name = SV_INIT("idp"), .issuer = SV_INIT("https://idp.example"), .client_id = SV_INIT("bff")};
static const struct config_app demo = {.name = SV_INIT("demo"), .provider = &idp};
static const struct config_service crm = {.name = SV_INIT("crm"),
					  .provider = &idp,
					  .grant = GRANT_RESOURCE,
					  .resource = SV_INIT("urn:crm")};
static const struct config_service own = {
    .name = SV_INIT("own"), .provider = &idp, .grant = GRANT_SESSION};
static const struct config_service machine = {
    .name = SV_INIT("machine"), .provider = &idp, .grant = GRANT_CLIENT_CREDENTIALS};
static const struct edition_use use_crm = {.app = &demo, .service = &crm, .id = {1}},
				use_own = {.app = &demo, .service = &own, .id = {2}},
				use_machine = {.app = &demo, .service = &machine, .id = {3}};

struct world {
	struct renewals *renewals;
	struct token_cache *cache;
	unsigned char hash[CRYPT_SHA256_LEN];
	struct pg_trip trip;
	struct token_row row;
};

static int setup(void **state)
{
	static struct world w;

	w = (struct world){.hash = "the hash of one session",
			   .trip = {.conn = 0, .serial = 1, .sent_ms = NOW},
			   .row = {.state = SV("live"),
				   .app = SV("demo"),
				   .provider = SV("idp"),
				   .issuer = SV("https://idp.example"),
				   .grant_id = SV_INIT("\0grant"),
				   .grant_live = true,
				   .refresh_sealed = SV("sealed"),
				   .idle_left_ms = SESSION,
				   .absolute_left_ms = 2 * SESSION}};
	assert_int_equal(renewals_new(10, 1, &w.renewals), ERR_OK);
	assert_int_equal(token_cache_new(1 << 20, 1, w.renewals, &w.cache), ERR_OK);
	session_cache_renewed(token_cache_sessions(w.cache), &w.trip);
	*state = &w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	token_cache_free(&w->cache);
	renewals_free(&w->renewals);
	assert_null(w->cache);
	return 0;
}

static void file(struct world *w, const struct edition_use *u, const char *token, int64_t left_ms)
{
	struct token_filing f = {
	    .read = {.hash = w->hash,
		     .trip = &w->trip,
		     .tick = session_cache_tick(token_cache_sessions(w->cache))},
	    .id = u->id,
	    .row = &w->row,
	    .held = {.left_ms = left_ms, .ttl_ms = TTL},
	    .token = sv_str(token),
	    .by = RENEWAL_BY_REQUEST};

	token_cache_file(w->cache, &f, w->trip.sent_ms);
}

/* The lease is another matter: renewed for every question. */
static enum token_next find(struct world *w, const struct edition_use *u, int64_t now,
			    struct token_found *ret)
{
	w->trip.sent_ms = now;
	session_cache_renewed(token_cache_sessions(w->cache), &w->trip);
	return token_cache_find(w->cache, w->hash, u, now, ret);
}

static void a_token_is_found_by_its_use(void **state)
{
	struct world *w = *state;
	struct token_found got;

	assert_int_equal(find(w, &use_crm, NOW, &got), 0);
	file(w, &use_crm, "crm-token", 400000);
	file(w, &use_own, "own-token", 500000);
	assert_int_equal(find(w, &use_crm, NOW + 1000, &got), TOKEN_ANSWER);
	assert_sv_equal(got.token, SV("crm-token"));
	assert_int_equal(got.left_ms, 399000);
	assert_int_equal(find(w, &use_own, NOW + 1000, &got), TOKEN_ANSWER);
	assert_sv_equal(got.token, SV("own-token"));
	w->hash[0] ^= 1;
	assert_int_equal(find(w, &use_crm, NOW + 1000, &got), 0);
}

static void what_is_judged_otherwise_is_read(void **state)
{
	static const struct config_app shop = {.name = SV_INIT("shop"), .provider = &idp};
	static const struct config_provider moved = {.name = SV_INIT("idp"),
						     .issuer = SV_INIT("https://evil.example")};
	static const struct config_service elsewhere = {
	    .name = SV_INIT("crm"), .provider = &moved, .grant = GRANT_RESOURCE};
	const struct edition_use foreign = {.app = &shop, .service = &crm, .id = {1}},
				 taken = {.app = &demo, .service = &elsewhere, .id = {1}};
	struct world *w = *state;
	struct token_found got;

	file(w, &use_crm, "crm-token", 400000);
	assert_int_equal(find(w, &foreign, NOW, &got), 0);
	assert_int_equal(find(w, &taken, NOW, &got), 0);
	assert_int_equal(find(w, &use_crm, NOW, &got), TOKEN_ANSWER);
}

static void within_its_margin_it_serves_while_it_is_being_renewed(void **state)
{
	struct world *w = *state;
	struct token_found got;

	file(w, &use_crm, "crm-token", 20000);
	assert_int_equal(renewals_count(w->renewals), 1);
	assert_int_equal(find(w, &use_crm, NOW, &got), TOKEN_ANSWER);
	assert_int_equal(find(w, &use_crm, NOW + 20000 - TOKEN_USABLE_MS, &got), TOKEN_ANSWER);
	assert_int_equal(find(w, &use_crm, NOW + 20001 - TOKEN_USABLE_MS, &got), 0);
}

static void within_its_margin_and_unknown_to_renewal_somebody_must_ask(void **state)
{
	struct world *w = *state;
	struct token_found got;

	file(w, &use_crm, "crm-token", 20000);
	assert_null(renewals_due(w->renewals, NOW + 100000)); /* over: forgotten */
	assert_int_equal(renewals_count(w->renewals), 0);
	assert_int_equal(find(w, &use_crm, NOW + 1, &got), 0);
}

static void a_hit_is_a_use(void **state)
{
	struct world *w = *state;
	struct token_found got;

	file(w, &use_crm, "crm-token", TTL + 20000);
	assert_int_equal(find(w, &use_crm, NOW + 29000, &got), TOKEN_ANSWER);
	/* Noted longer ago than a lifetime, but used since. */
	assert_non_null(renewals_due(w->renewals, NOW + TTL + 10000));
	w->trip.sent_ms = NOW + 40000;
	session_cache_renewed(token_cache_sessions(w->cache), &w->trip);
	file(w, &use_own, "", 0);
	assert_int_equal(renewals_count(w->renewals), 1); /* the other one's is still there */
}

static void without_refresh_token_nothing_is_renewed_and_it_serves_to_its_end(void **state)
{
	struct world *w = *state;
	struct token_found got;

	w->row.refresh_sealed = SV_NONE;
	file(w, &use_crm, "crm-token", 20000);
	assert_int_equal(renewals_count(w->renewals), 0);
	assert_int_equal(find(w, &use_crm, NOW + 19000, &got), TOKEN_ANSWER);
}

static void the_services_own_token_needs_a_live_session_alone(void **state)
{
	struct world *w = *state;
	struct token_found got;

	assert_int_equal(find(w, &use_machine, NOW, &got), 0);
	file(w, &use_machine, "", 0);
	assert_int_equal(find(w, &use_machine, NOW, &got), TOKEN_OF_SERVICE);
	assert_int_equal(find(w, &use_crm, NOW, &got), 0);
}

static void tokens_stay_when_the_row_is_read_again(void **state)
{
	struct world *w = *state;
	struct token_found got;

	file(w, &use_crm, "crm-token", 400000);
	file(w, &use_own, "own-token", 10000);
	w->trip.sent_ms = NOW + 15000;
	session_cache_renewed(token_cache_sessions(w->cache), &w->trip);
	file(w, &use_crm, "newer-token", 500000);
	assert_int_equal(find(w, &use_crm, NOW + 15000, &got), TOKEN_ANSWER);
	assert_sv_equal(got.token, SV("newer-token"));
	assert_int_equal(find(w, &use_own, NOW + 15000, &got), 0); /* over */
	file(w, &use_own, "own-token", 400000);
	assert_int_equal(find(w, &use_crm, NOW + 15000 + SESSION_CACHE_ENTRY_MS - 1, &got),
			 TOKEN_ANSWER);
	assert_int_equal(find(w, &use_crm, NOW + 15000 + SESSION_CACHE_ENTRY_MS, &got), 0);
}

static void tokens_go_with_the_session(void **state)
{
	struct world *w = *state;
	struct token_found got;

	w->row.idle_left_ms = 2000;
	file(w, &use_crm, "crm-token", 400000);
	assert_int_equal(find(w, &use_crm, NOW + 1999, &got), TOKEN_ANSWER);
	assert_int_equal(find(w, &use_crm, NOW + 2000, &got), 0);
	session_cache_sweep(token_cache_sessions(w->cache), NOW + 2000);
	assert_int_equal(session_cache_stats(token_cache_sessions(w->cache)).entries, 0);
	w->trip.sent_ms = NOW + 3000;
	w->row.idle_left_ms = SESSION;
	session_cache_renewed(token_cache_sessions(w->cache), &w->trip);
	file(w, &use_crm, "crm-token", 400000);
	session_cache_end(token_cache_sessions(w->cache), w->hash);
	assert_int_equal(find(w, &use_crm, NOW + 3000, &got), 0);
	assert_int_equal(session_cache_stats(token_cache_sessions(w->cache)).bytes, 0);
}

static void tokens_of_one_session_are_bounded(void **state)
{
	struct world *w = *state;
	struct edition_use u = use_crm;
	struct token_found got;
	unsigned found = 0;

	for (unsigned i = 0; i < 2 * TOKEN_CACHE_TOKENS_MAX; i++) {
		u.id[1] = (unsigned char)i;
		file(w, &u, "token", 400000);
	}
	assert_int_equal(find(w, &u, NOW, &got), TOKEN_ANSWER); /* the last one is there */
	for (unsigned i = 0; i < 2 * TOKEN_CACHE_TOKENS_MAX; i++) {
		u.id[1] = (unsigned char)i;
		found += find(w, &u, NOW, &got) == TOKEN_ANSWER;
	}
	assert_int_equal(found, TOKEN_CACHE_TOKENS_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	    CASE(a_token_is_found_by_its_use),
	    CASE(what_is_judged_otherwise_is_read),
	    CASE(within_its_margin_it_serves_while_it_is_being_renewed),
	    CASE(within_its_margin_and_unknown_to_renewal_somebody_must_ask),
	    CASE(a_hit_is_a_use),
	    CASE(without_refresh_token_nothing_is_renewed_and_it_serves_to_its_end),
	    CASE(the_services_own_token_needs_a_live_session_alone),
	    CASE(tokens_stay_when_the_row_is_read_again),
	    CASE(tokens_go_with_the_session),
	    CASE(tokens_of_one_session_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
