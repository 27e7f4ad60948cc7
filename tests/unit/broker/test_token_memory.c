#include "broker/token_memory.h"

#include "broker/dispatch.h"
#include "broker/peer.h"
#include "tests/unit/broker/token_stand.h"
#include "tests/unit/torture.h"

#define SESSION SV("0123456789abcdef0123456789abcdef")

static struct {
	enum err refuse;
	unsigned sent;
	uint32_t id;
	struct ipc_message m; /* borrows token */
	char token[64];
} peer_got;

/* Allocates nothing: what memory answers does not either. */
enum err __wrap_peer_answer(struct peer *p, uint32_t id, const struct ipc_message *m);
enum err __wrap_peer_answer(struct peer *p, uint32_t id, const struct ipc_message *m)
{
	struct sv token = m->u.token.access_token;

	(void)p;
	if (peer_got.refuse != ERR_OK)
		return peer_got.refuse;
	assert_true(token.n <= sizeof peer_got.token);
	peer_got.id = id;
	peer_got.m = *m;
	memcpy(peer_got.token, token.p, token.n);
	peer_got.m.u.token.access_token.p = peer_got.token;
	peer_got.sent++;
	return ERR_OK;
}

static struct pg_listener listener(void)
{
	return token_memory_listener(stand.broker.tokens);
}

/* A round trip that was sent now came back. */
static void lease(void)
{
	struct pg_listener l = listener();
	struct pg_trip t = {.conn = 0, .serial = 1, .sent_ms = stand.now_ms};

	l.renewed(l.arg, &t);
}

/* The timer that was set for so long comes. */
static void fire(int64_t asked_ms)
{
	for (unsigned i = 1; i <= LOOP_TIMERS && i <= loop_state.n; i++) {
		unsigned at = (loop_state.n - i) % LOOP_TIMERS;

		if (loop_state.timers[at].asked_ms == asked_ms) {
			struct event *ev;

			memcpy(&ev, &loop_state.timers[at].ev, sizeof ev); /* it is const */
			loop_fire_event(stand.broker.base, ev);
			return;
		}
	}
	fail_msg("no timer of %lld ms", (long long)asked_ms);
}

static void notify(const char *payload)
{
	struct pg_listener l = listener();

	l.notified(l.arg, sv_str(payload));
}

static void get(const char *service)
{
	const struct ipc_token_get m = {
	    .session = SESSION, .app = SV("a"), .service = sv_str(service)};
	struct request *r = stand_request();

	token_get(&r, &m);
}

/* A first request reads the row: from then on memory knows. */
static void read_once(const char *service, const char *token, int64_t left_ms)
{
	lease();
	get(service);
	stand_reads(service, token, left_ms);
	assert_answered("at");
}

static bool answers(const char *app, const char *service, struct sv session)
{
	const struct ipc_token_get m = {
	    .session = session, .app = sv_str(app), .service = sv_str(service)};
	struct peer p = {.broker = &stand.broker, .edition = &stand.edition};
	unsigned before = peer_got.sent;
	bool done = token_memory_answer(&p, 99, &m);

	assert_int_equal(peer_got.sent - before, done);
	return done;
}

static void answered_without_the_database(void **state)
{
	(void)state;
	assert_false(answers("a", "res", SESSION));
	read_once("res", "at", 200000);
	stand.now_ms += 1000;
	torture_state.at = UINT32_MAX; /* counts allocations, and fails none */
	torture_state.seen = 0;
	for (unsigned i = 0; i < 10; i++)
		assert_true(answers("a", "res", SESSION));
	assert_int_equal(torture_state.seen, 0);
	torture_state.at = 0;
	assert_int_equal(fake_queries, 1);
	assert_int_equal(stand.pg.lease_used, 10);
	assert_int_equal(stand.broker.counts.from_memory, 10);
	assert_int_equal(stand.broker.counts.read, 1);
	assert_int_equal(peer_got.m.number, IPC_TOKEN);
	assert_int_equal(peer_got.id, 99);
	assert_sv_equal(peer_got.m.u.token.access_token, SV("at"));
	assert_int_equal(peer_got.m.u.token.expires_in_ms, 199000);
}

/* Then a request is made of it, which reads the row. */
static void what_the_peer_cannot_be_told_is_not_answered(void **state)
{
	(void)state;
	read_once("res", "at", 200000);
	peer_got.refuse = ERR_NOMEM;
	assert_false(answers("a", "res", SESSION));
	assert_int_equal(stand.broker.counts.from_memory, 0);
	peer_got.refuse = ERR_OK;
	assert_true(answers("a", "res", SESSION));
	assert_int_equal(stand.broker.counts.from_memory, 1);
}

static void what_it_does_not_answer(void **state)
{
	static const struct {
		const char *app, *service;
		struct sv session;
	} cases[] = {
	    {"b", "res", SV_INIT("0123456789abcdef0123456789abcdef")},
	    {"a", "other", SV_INIT("0123456789abcdef0123456789abcdef")},
	    {"a", "unused", SV_INIT("0123456789abcdef0123456789abcdef")},
	    {"a", "nothing", SV_INIT("0123456789abcdef0123456789abcdef")},
	    {"a", "res", SV_INIT("0123456789abcdef0123456789abcdeg")},
	    {"a", "res", SV_INIT("0123456789abcdef0123456789abcde")},
	    {"a", "res", SV_INIT("")},
	};
	struct peer skewed = {.broker = &stand.broker};
	const struct ipc_token_get m = {.session = SESSION, .app = SV("a"), .service = SV("res")};

	(void)state;
	read_once("res", "at", 200000);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_false(answers(cases[i].app, cases[i].service, cases[i].session));
	assert_false(token_memory_answer(&skewed, 1, &m));
	assert_true(answers("a", "res", SESSION));
	stand.now_ms += PG_LEASE_MS;
	assert_false(answers("a", "res", SESSION));
	lease();
	assert_true(answers("a", "res", SESSION));
}

static void events_of_the_pool(void **state)
{
	struct pg_listener l = listener();
	unsigned char hash[CRYPT_SHA256_LEN];
	char prefix[17];

	(void)state;
	assert_int_equal(crypt_sha256(SESSION, hash), ERR_OK);
	for (size_t i = 0; i < 8; i++)
		snprintf(prefix + 2 * i, 3, "%02x", hash[i]);
	read_once("res", "at", 200000);
	notify("0123456789abcdef");
	assert_true(answers("a", "res", SESSION));
	notify(prefix);
	assert_false(answers("a", "res", SESSION));
	read_once("res", "at", 200000);
	l.disturbed(l.arg, 1);
	assert_true(answers("a", "res", SESSION));
	l.disturbed(l.arg, 0);
	assert_false(answers("a", "res", SESSION));
	read_once("res", "at", 200000);
	token_memory_end(stand.broker.tokens, hash);
	assert_false(answers("a", "res", SESSION));
}

/* The row that was on its way does not count. */
static void named_while_it_was_read_it_is_read_again(void **state)
{
	(void)state;
	lease();
	get("res");
	notify("flush");
	stand_reads("res", "old", 200000);
	assert_nothing_said();
	stand_reads("res", "at", 200000);
	assert_answered("at");
	assert_true(answers("a", "res", SESSION));
	get("res");
	for (unsigned i = 0; i < 4; i++) {
		notify("flush");
		assert_nothing_said();
		stand_reads("res", "old", 200000);
	}
	assert_failed(IPC_ERROR_STORE, err_text(ERR_CONFLICT));
}

static void sent_long_ago_it_is_read_again(void **state)
{
	(void)state;
	get("res");
	stand.pg.age_ms = PG_LEASE_MS;
	stand_reads("res", "old", 200000);
	assert_nothing_said();
	stand.pg.age_ms = PG_LEASE_MS - 1;
	stand_reads("res", "at", 200000);
	assert_answered("at");
}

static void what_nobody_asks_for_is_swept(void **state)
{
	(void)state;
	read_once("res", "at", 200000);
	assert_int_equal(token_memory_stats(stand.broker.tokens).entries, 1);
	stand.now_ms += SESSION_CACHE_ENTRY_MS - 1;
	fire(TOKEN_MEMORY_SWEEP_MS);
	assert_int_equal(token_memory_stats(stand.broker.tokens).entries, 1);
	stand.now_ms += 1;
	fire(TOKEN_MEMORY_SWEEP_MS);
	assert_int_equal(token_memory_stats(stand.broker.tokens).entries, 0);
	assert_int_equal(token_memory_stats(stand.broker.tokens).bytes, 0);
}

/* What a job reads for its waiters after a wait, too. */
static void a_job_reads_again(void **state)
{
	(void)state;
	lease();
	get("res");
	stand_reads("res", NULL, 0);
	assert_asked(SQL_TOKEN_READ); /* the job's */
	notify("flush");
	stand_reads("res", "old", 200000);
	assert_nothing_said();
	stand_reads("res", "at", 200000);
	assert_answered("at");
	assert_true(answers("a", "res", SESSION));
}

/* web.session_cache = off */
static void without_the_cache_each_request_reads(void **state)
{
	const struct token_reply reply = stand_success("robot", "");

	(void)state;
	stand.config->web.session_cache = false;
	read_once("res", "at", 200000);
	assert_false(answers("a", "res", SESSION));
	get("cc");
	stand_reads("res", NULL, 0);
	stand_reply(ERR_OK, &reply);
	assert_nothing_said(); /* who waited is judged again, by a row */
	stand_reads("res", NULL, 0);
	assert_answered("robot");
	get("cc");
	assert_nothing_said();
	stand_reads("res", NULL, 0);
	assert_answered("robot");
}

static void a_services_own_token_is_judged_from_memory(void **state)
{
	const struct token_reply reply = stand_success("robot", "");

	(void)state;
	lease();
	get("cc");
	stand_reads("res", NULL, 0);
	stand_reply(ERR_OK, &reply);
	assert_answered("robot");
	get("cc");
	assert_answered("robot");
	assert_int_equal(fake_queries, 1);
	notify("flush");
	get("cc");
	assert_nothing_said();
	assert_int_equal(fake_queries, 2);
	stand_reads("res", NULL, 0);
	assert_answered("robot");
}

/* The stand's grant id begins with '0': its margin is 30 s and 48/1024 of it. */
#define MARGIN (30000 + 30000 * '0' / 1024)

static void renewed_when_its_margin_begins_by_nobodys_request(void **state)
{
	int64_t left = 200000;

	(void)state;
	read_once("res", "at", left);
	stand.now_ms += left - MARGIN + RENEWAL_SLACK_MS;
	assert_int_equal(fake_nasked, 0);
	fire(left - MARGIN + RENEWAL_SLACK_MS);
	assert_asked(SQL_TOKEN_READ);
	stand_reads("res", "at", MARGIN - RENEWAL_SLACK_MS);
	stand_leases(true, 1, 0);
	assert_called(CALL_REFRESH, SV("rt-1"));
	assert_int_equal(stand.broker.counts.ahead, 1);
	assert_nothing_said();
}

static void not_renewed_in_a_drain_nor_over_the_limit(void **state)
{
	(void)state;
	read_once("res", "at", 200000);
	stand.now_ms += 190000;
	stand.broker.draining = true;
	fire(200000 - MARGIN + RENEWAL_SLACK_MS);
	assert_int_equal(fake_nasked, 0);
	stand.broker.draining = false;
	for (unsigned i = 0; i < TOKEN_MEMORY_UNDER_WAY; i++) {
		struct stand_ask a;
		char id[16];

		stand_ask_for(&a, "res");
		snprintf(id, sizeof id, "grant %u", i);
		a.ask.grant_id = sv_str(id);
		fake_nasked = 0; /* never answered */
		grant_table_ask(stand.broker.grants, &a.ask, NULL);
	}
	fake_nasked = 0;
	fire(200000 - MARGIN + RENEWAL_SLACK_MS);
	assert_int_equal(fake_nasked, 0);
	assert_int_equal(loop_asked_ms(), TOKEN_MEMORY_PACE_MS);
}

static void gone_from_the_configuration_it_is_not_renewed(void **state)
{
	(void)state;
	read_once("res", "at", 200000);
	edition_uses_done(&stand.edition.uses);
	assert_int_equal(edition_uses_make(&(struct config){0}, &stand.edition.uses), ERR_OK);
	stand.now_ms += 190000;
	fire(200000 - MARGIN + RENEWAL_SLACK_MS);
	assert_int_equal(fake_nasked, 0);
}

static enum err attempt(void *arg)
{
	struct token_memory *m = NULL;
	enum err e = token_memory_new(&stand.broker, &m);

	(void)arg;
	assert_true((m != NULL) == (e == ERR_OK));
	token_memory_free(&m);
	return e;
}

static void without_memory_there_is_none(void **state)
{
	(void)state;
	assert_true(torture(attempt, NULL) > 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    STAND(answered_without_the_database),
	    STAND(what_the_peer_cannot_be_told_is_not_answered),
	    STAND(what_it_does_not_answer),
	    STAND(events_of_the_pool),
	    STAND(named_while_it_was_read_it_is_read_again),
	    STAND(sent_long_ago_it_is_read_again),
	    STAND(what_nobody_asks_for_is_swept),
	    STAND(a_job_reads_again),
	    STAND(without_the_cache_each_request_reads),
	    STAND(a_services_own_token_is_judged_from_memory),
	    STAND(renewed_when_its_margin_begins_by_nobodys_request),
	    STAND(not_renewed_in_a_drain_nor_over_the_limit),
	    STAND(gone_from_the_configuration_it_is_not_renewed),
	    STAND(without_memory_there_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
