/* The provider, the database and the peer are played here. */
#include "broker/dispatch.h"
#include "broker/login_transaction.h"
#include "broker/logout_token.h"
#include "broker/revocation.h"
#include "common/contract.h"
#include "tests/unit/broker/answer_copy.h"
#include "tests/unit/broker/fake_pg.h"

static struct {
	struct broker broker;
	struct peer peer;
	struct edition edition;
	struct config config;
	struct config_provider provider;
	struct config_app app;
	unsigned kicks;
	struct {
		enum err refuse;
		struct sv jwt;
		provider_logout_token_fn fn;
		void *arg;
	} asked;
	char packet[IPC_FRAME_MAX];
	unsigned answers;
	struct ipc_message answer;
} t;

struct provider *__wrap_edition_provider(const struct edition *ed, struct sv name);
struct provider *__wrap_edition_provider(const struct edition *ed, struct sv name)
{
	(void)ed;
	assert_sv_equal(name, SV("idp"));
	return (struct provider *)&t.provider;
}

enum err __wrap_provider_logout_token(struct provider *p, struct sv jwt,
				      provider_logout_token_fn fn, void *arg);
enum err __wrap_provider_logout_token(struct provider *p, struct sv jwt,
				      provider_logout_token_fn fn, void *arg)
{
	assert_ptr_equal(p, &t.provider);
	t.asked.jwt = jwt;
	t.asked.fn = fn;
	t.asked.arg = arg;
	return t.asked.refuse;
}

void __wrap_revocation_kick(struct revocation *r);
void __wrap_revocation_kick(struct revocation *r)
{
	(void)r;
	t.kicks++;
}

enum err __wrap_peer_answer(struct peer *p, uint32_t id, const struct ipc_message *m);
enum err __wrap_peer_answer(struct peer *p, uint32_t id, const struct ipc_message *m)
{
	assert_ptr_equal(p, &t.peer);
	t.answer = answer_copy(t.packet, id, m);
	t.answers++;
	return ERR_OK;
}

void __wrap_broker_drained(struct broker *b);
void __wrap_broker_drained(struct broker *b)
{
	(void)b;
}

void __wrap_edition_unref(struct edition **ed);
void __wrap_edition_unref(struct edition **ed)
{
	if (*ed != NULL)
		(*ed)->refs--;
	*ed = NULL;
}

static int set_up(void **state)
{
	(void)state;
	memset(&t, 0, sizeof t);
	fake_reset();
	t.provider =
	    (struct config_provider){.name = SV("idp"), .issuer = SV("https://idp.example")};
	t.app = (struct config_app){.name = SV("demo"), .provider = &t.provider};
	t.config = (struct config){.apps = &t.app, .napps = 1};
	t.edition.config = &t.config;
	t.peer.broker = &t.broker;
	return 0;
}

static void ask(const char *app)
{
	struct ipc_backchannel m = {.app = sv_str(app), .logout_token = SV("a.b.c")};
	struct request *r = calloc(1, sizeof *r);

	assert_non_null(r);
	*r = (struct request){.broker = &t.broker,
			      .peer = &t.peer,
			      .edition = &t.edition,
			      .id = 7,
			      .name = "backchannel"};
	r->prev = &t.peer.requests;
	t.peer.requests = r;
	t.peer.nrequests++;
	t.edition.refs++;
	backchannel(&r, &m);
	assert_null(r);
}

static const struct logout_token token = {.sub = SV_INIT("alice"),
					  .sid = SV_INIT("s-1"),
					  .jti = SV_INIT("j-1"),
					  .iat_s = 0x0102,
					  .replayable_until_s = 0x0304};

static void assert_failed(enum ipc_error code)
{
	assert_int_equal(t.answers, 1);
	assert_int_equal(t.answer.id, 7);
	assert_int_equal(t.answer.number, IPC_FAILURE);
	assert_int_equal(t.answer.u.failure.code, code);
	assert_int_equal(t.broker.nbackchannels, 0);
	assert_int_equal(t.edition.refs, 0);
	assert_int_equal(t.peer.nrequests, 0);
}

static void accepted_is_said_after_the_commit(void **state)
{
	struct pg_rows rows = {.n = 1, .v = {{{.number = 3}, {.number = 0}}}};

	(void)state;
	ask("demo");
	assert_sv_equal(t.asked.jwt, SV("a.b.c"));
	assert_int_equal(t.broker.nbackchannels, 1);
	t.asked.fn(t.asked.arg, ERR_OK, &token, "");
	assert_int_equal(fake_nasked, 1);
	assert_int_equal(fake_asked[0].stmt, SQL_BACKCHANNEL_LOGOUT);
	assert_sv_equal(fake_param(0, 0), SV("https://idp.example"));
	assert_sv_equal(fake_param(0, 1), SV("alice"));
	assert_sv_equal(fake_param(0, 2), SV("s-1"));
	assert_sv_equal(fake_param(0, 3), SV("j-1"));
	assert_int_equal(fake_number(0, 4), 0x0102);
	assert_int_equal(fake_number(0, 5), 0x0304);
	assert_int_equal(fake_number(0, 6), JWT_SKEW_S * 1000);
	/* As long as a login that began before may still finish. */
	assert_true(fake_number(0, 7) >= LOGIN_LIFETIME_MS + 2 * TIMEOUT_IDP_MS);
	assert_int_equal(t.answers, 0);
	fake_answer(ERR_OK, &rows);
	assert_int_equal(t.answers, 1);
	assert_int_equal(t.answer.number, IPC_BACKCHANNEL_DONE);
	assert_int_equal(t.answer.u.backchannel_done.accepted, 1);
	assert_int_equal(t.answer.u.backchannel_done.sessions, 3);
	assert_int_equal(t.kicks, 1);
	assert_int_equal(t.broker.nbackchannels, 0);
	assert_int_equal(t.edition.refs, 0);
}

static void a_replay_is_accepted_too(void **state)
{
	struct pg_rows rows = {.n = 1, .v = {{{.number = 0}, {.number = 1}}}};

	(void)state;
	ask("demo");
	t.asked.fn(t.asked.arg, ERR_OK, &token, "");
	fake_answer(ERR_OK, &rows);
	assert_int_equal(t.answer.u.backchannel_done.accepted, 1);
	assert_int_equal(t.kicks, 0);
}

static void a_refused_token_does_not_get_to_the_database(void **state)
{
	(void)state;
	ask("demo");
	t.asked.fn(t.asked.arg, ERR_CRYPTO, NULL, "nonce");
	assert_int_equal(fake_nasked, 0);
	assert_int_equal(t.answer.number, IPC_BACKCHANNEL_DONE);
	assert_int_equal(t.answer.u.backchannel_done.accepted, 0);
	assert_sv_equal(t.answer.u.backchannel_done.why, SV("nonce"));
	assert_int_equal(t.broker.nbackchannels, 0);
}

static void what_is_out_of_reach_is_a_failure(void **state)
{
	struct pg_rows none = {.n = 0};

	(void)state;
	ask("demo");
	t.asked.fn(t.asked.arg, ERR_UNAVAILABLE, NULL, "no_keys");
	assert_failed(IPC_ERROR_PROVIDER_DOWN);
	set_up(state);
	ask("demo");
	t.asked.fn(t.asked.arg, ERR_CANCELED, NULL, "");
	assert_failed(IPC_ERROR_PROVIDER_DOWN);
	set_up(state);
	t.asked.refuse = ERR_NOMEM;
	ask("demo");
	assert_failed(IPC_ERROR_INTERNAL);
	set_up(state);
	ask("demo");
	fake_refuse = ERR_UNAVAILABLE;
	t.asked.fn(t.asked.arg, ERR_OK, &token, "");
	assert_failed(IPC_ERROR_STORE);
	set_up(state);
	ask("demo");
	t.asked.fn(t.asked.arg, ERR_OK, &token, "");
	fake_answer(ERR_TIMEOUT, NULL);
	assert_failed(IPC_ERROR_STORE);
	set_up(state);
	ask("demo");
	t.asked.fn(t.asked.arg, ERR_OK, &token, "");
	fake_answer(ERR_OK, &none);
	assert_failed(IPC_ERROR_STORE);
	set_up(state);
	ask("other");
	assert_failed(IPC_ERROR_INTERNAL);
}

static void so_many_at_a_time_and_no_more(void **state)
{
	provider_logout_token_fn fn[BACKCHANNEL_MAX];
	void *arg[BACKCHANNEL_MAX];

	(void)state;
	for (size_t i = 0; i < BACKCHANNEL_MAX; i++) {
		ask("demo");
		fn[i] = t.asked.fn;
		arg[i] = t.asked.arg;
	}
	assert_int_equal(t.answers, 0);
	ask("demo");
	assert_int_equal(t.answers, 1);
	assert_int_equal(t.answer.u.failure.code, IPC_ERROR_PROVIDER_DOWN);
	fn[0](arg[0], ERR_CRYPTO, NULL, "alg");
	assert_int_equal(t.broker.nbackchannels, BACKCHANNEL_MAX - 1);
	ask("demo");
	assert_int_equal(t.answers, 2);
	fn[0] = t.asked.fn;
	arg[0] = t.asked.arg;
	for (size_t i = 0; i < BACKCHANNEL_MAX; i++)
		fn[i](arg[i], ERR_CRYPTO, NULL, "alg");
	assert_int_equal(t.broker.nbackchannels, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(accepted_is_said_after_the_commit, set_up),
	    cmocka_unit_test_setup(a_replay_is_accepted_too, set_up),
	    cmocka_unit_test_setup(a_refused_token_does_not_get_to_the_database, set_up),
	    cmocka_unit_test_setup(what_is_out_of_reach_is_a_failure, set_up),
	    cmocka_unit_test_setup(so_many_at_a_time_and_no_more, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
