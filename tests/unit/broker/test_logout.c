/* The provider, the database and the peer are played here. */
#include "broker/dispatch.h"
#include "broker/revocation.h"
#include "broker/token_memory.h"
#include "broker/token_seal.h"
#include "common/b64.h"
#include "tests/unit/broker/answer_copy.h"
#include "tests/unit/broker/fake_pg.h"
#include "tests/unit/broker/ring.h"

#define ORIGIN "https://app.example"

static struct {
	struct broker broker;
	struct peer peer;
	struct edition edition;
	struct config config;
	struct config_provider provider;
	struct config_app app;
	struct provider_metadata meta;
	bool has_meta;
	unsigned kicks, forgotten;
	char packet[IPC_FRAME_MAX];
	unsigned answers;
	struct ipc_message answer;
	struct buf sealed;
	struct sv of_provider, of_issuer; /* of the session */
} t;

struct provider *__wrap_edition_provider(const struct edition *ed, struct sv name);
struct provider *__wrap_edition_provider(const struct edition *ed, struct sv name)
{
	(void)ed;
	assert_sv_equal(name, SV("idp"));
	return (struct provider *)&t.provider;
}

const struct provider_metadata *__wrap_provider_metadata(struct provider *p);
const struct provider_metadata *__wrap_provider_metadata(struct provider *p)
{
	assert_ptr_equal(p, &t.provider);
	return t.has_meta ? &t.meta : NULL;
}

void __wrap_revocation_kick(struct revocation *r);
void __wrap_revocation_kick(struct revocation *r)
{
	(void)r;
	t.kicks++;
}

void __wrap_token_memory_end(struct token_memory *m, const unsigned char hash[CRYPT_SHA256_LEN]);
void __wrap_token_memory_end(struct token_memory *m, const unsigned char hash[CRYPT_SHA256_LEN])
{
	(void)m;
	assert_memory_equal(hash, fake_param(0, 0).p, CRYPT_SHA256_LEN);
	t.forgotten++;
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

/* A counter: the same 'random' each time would hide a state that is none. */
void __wrap_broker_random(void *out, size_t n);
void __wrap_broker_random(void *out, size_t n)
{
	static unsigned char next = 1;

	memset(out, next++, n);
}

void __wrap_edition_unref(struct edition **ed);
void __wrap_edition_unref(struct edition **ed)
{
	*ed = NULL;
}

static int set_up(void **state)
{
	(void)state;
	memset(&t, 0, sizeof t);
	fake_reset();
	t.provider = (struct config_provider){
	    .name = SV("idp"), .issuer = SV("https://idp.example"), .client_id = SV("bff")};
	t.of_provider = SV("idp");
	t.of_issuer = SV("https://idp.example");
	t.app = (struct config_app){.name = SV("demo"),
				    .provider = &t.provider,
				    .auth_path = SV("/auth"),
				    .logout_method = LOGOUT_GET};
	t.config = (struct config){.apps = &t.app, .napps = 1};
	t.edition.config = &t.config;
	t.peer.broker = &t.broker;
	t.meta.end_session_endpoint = SV("https://idp.example/end");
	t.has_meta = true;
	t.broker.ring = ring_of(RING_ONE);
	buf_init(&t.sealed, 65536);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	keyring_free(&t.broker.ring);
	buf_done(&t.sealed);
	return 0;
}

static void ask(const char *app, size_t secret_len, uint32_t everywhere)
{
	static const char secret[IPC_SECRET_LEN] = "secret";
	struct ipc_logout m = {.session = sv_of(secret, secret_len),
			       .app = sv_str(app),
			       .origin = SV(ORIGIN),
			       .everywhere = everywhere};
	struct request *r = calloc(1, sizeof *r);

	assert_non_null(r);
	*r = (struct request){
	    .broker = &t.broker, .peer = &t.peer, .edition = &t.edition, .id = 7, .name = "logout"};
	r->prev = &t.peer.requests;
	t.peer.requests = r;
	t.peer.nrequests++;
	logout(&r, &m);
	assert_null(r);
}

/* One session ended, whose ID token is `id_token`; sealed under another generation: does not open.
 */
static void ended(const char *id_token, int64_t generation)
{
	struct vault_label label = token_id_token_label(SV("grant"), generation);
	struct pg_rows rows = {.n = 1};

	rows.v[0][0].number = 1;
	rows.v[0][1].text = t.of_provider;
	rows.v[0][5].text = t.of_issuer;
	rows.v[0][3].text = SV("grant");
	rows.v[0][4].number = 2;
	if (id_token != NULL) {
		assert_int_equal(vault_seal(t.broker.ring, &label, sv_str(id_token), &t.sealed),
				 ERR_OK);
		rows.v[0][2].text = buf_sv(&t.sealed);
	}
	fake_answer(ERR_OK, &rows);
}

static const struct ipc_logged_out *logged_out(void)
{
	assert_int_equal(t.answers, 1);
	assert_int_equal(t.answer.number, IPC_LOGGED_OUT);
	assert_int_equal(t.answer.id, 7);
	assert_int_equal(t.peer.nrequests, 0);
	return &t.answer.u.logged_out;
}

static bool has(struct sv text, const char *what)
{
	return memmem(text.p, text.n, what, strlen(what)) != NULL;
}

static void the_session_ends_first_and_then_the_way_leads_to_the_provider(void **state)
{
	char text[B64URL_LEN(IPC_SECRET_LEN)];

	(void)state;
	ask("demo", IPC_SECRET_LEN, 0);
	assert_int_equal(fake_asked[0].stmt, SQL_LOGOUT);
	assert_sv_equal(fake_param(0, 1), SV("demo"));
	assert_int_equal(t.answers + t.forgotten, 0);
	ended("a.b.c", 2);
	assert_int_equal(logged_out()->sessions, 1);
	assert_int_equal(t.forgotten, 1);
	assert_true(sv_starts(logged_out()->redirect_url,
			      SV("https://idp.example/end?client_id=bff&post_logout_redirect_uri="
				 "https%3A%2F%2Fapp.example%2Fauth%2Flogout&state=")));
	assert_int_equal(b64url_encode(logged_out()->state.p, logged_out()->state.n, text), 43);
	assert_true(sv_ends(logged_out()->redirect_url, sv_of(text, 43)));
	assert_false(has(logged_out()->redirect_url, "id_token_hint"));
	assert_int_equal(logged_out()->action.n + logged_out()->form.n, 0);
	assert_int_equal(t.kicks, 1);
}

static void every_state_is_another(void **state)
{
	char first[IPC_URL_MAX];
	size_t n;

	(void)state;
	ask("demo", IPC_SECRET_LEN, 0);
	ended(NULL, 2);
	n = logged_out()->redirect_url.n;
	memcpy(first, logged_out()->redirect_url.p, n);
	t.answers = 0;
	ask("demo", IPC_SECRET_LEN, 0);
	ended(NULL, 2);
	assert_int_equal(logged_out()->redirect_url.n, n);
	assert_false(sv_eq(logged_out()->redirect_url, sv_of(first, n)));
}

static void the_id_token_goes_where_it_is_wanted_and_nowhere_else(void **state)
{
	static const struct {
		bool wanted;
		enum config_logout_method method;
		bool in_url, in_form, has_form;
	} rows[] = {
	    {false, LOGOUT_GET, false, false, false},
	    {true, LOGOUT_GET, true, false, false},
	    {false, LOGOUT_POST, false, false, true},
	    {true, LOGOUT_POST, false, true, true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		(void)tear_down(state);
		(void)set_up(state);
		t.app.id_token_hint = rows[i].wanted;
		t.app.logout_method = rows[i].method;
		ask("demo", IPC_SECRET_LEN, 0);
		ended("a.b.c", 2);
		assert_int_equal(has(logged_out()->redirect_url, "a.b.c"), rows[i].in_url);
		assert_int_equal(has(logged_out()->form, "id_token_hint=a.b.c"), rows[i].in_form);
		assert_int_equal(has(logged_out()->form, "client_id=bff&"), rows[i].has_form);
		assert_sv_equal(logged_out()->action,
				rows[i].has_form ? SV("https://idp.example/end") : SV(""));
	}
}

/* The app, or the name, is another provider's since the session began. */
static void the_id_token_of_another_provider_is_left_out(void **state)
{
	static const struct {
		struct sv provider, issuer;
	} rows[] = {
	    {SV_INIT("before"), SV_INIT("https://idp.example")},
	    {SV_INIT("idp"), SV_INIT("https://before.example")},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		(void)tear_down(state);
		(void)set_up(state);
		t.app.id_token_hint = true;
		t.of_provider = rows[i].provider;
		t.of_issuer = rows[i].issuer;
		ask("demo", IPC_SECRET_LEN, 0);
		ended("a.b.c", 2);
		assert_true(has(logged_out()->redirect_url, "https://idp.example/end?"));
		assert_false(has(logged_out()->redirect_url, "a.b.c"));
	}
}

static void an_id_token_that_does_not_open_or_fit_is_left_out(void **state)
{
	static char token[IPC_URL_MAX + 1];

	(void)state;
	t.app.id_token_hint = true;
	ask("demo", IPC_SECRET_LEN, 0);
	ended("a.b.c", 3);
	assert_true(has(logged_out()->redirect_url, "client_id=bff"));
	assert_false(has(logged_out()->redirect_url, "id_token_hint"));
	(void)tear_down(state);
	(void)set_up(state);
	t.app.id_token_hint = true;
	memset(token, 'a', IPC_URL_MAX);
	ask("demo", IPC_SECRET_LEN, 0);
	ended(token, 2);
	assert_true(has(logged_out()->redirect_url, "client_id=bff"));
	assert_false(has(logged_out()->redirect_url, "id_token_hint"));
}

static void without_an_end_session_endpoint_it_stays_here(void **state)
{
	(void)state;
	t.meta.end_session_endpoint = SV_NONE;
	ask("demo", IPC_SECRET_LEN, 0);
	ended("a.b.c", 2);
	assert_int_equal(logged_out()->redirect_url.n + logged_out()->state.n, 0);
	t.answers = 0;
	t.has_meta = false; /* the provider was never up */
	ask("demo", IPC_SECRET_LEN, 0);
	ended("a.b.c", 2);
	assert_int_equal(logged_out()->redirect_url.n + logged_out()->state.n, 0);
}

static void who_was_nobody_is_not_sent_to_the_provider(void **state)
{
	struct pg_rows rows = {.n = 1};

	(void)state;
	ask("demo", IPC_SECRET_LEN, 1);
	assert_int_equal(fake_param(0, 2).n, 1);
	fake_answer(ERR_OK, &rows);
	assert_int_equal(logged_out()->sessions, 0);
	assert_int_equal(logged_out()->redirect_url.n + logged_out()->state.n, 0);
	assert_int_equal(t.kicks, 0);
}

static void failures(void **state)
{
	(void)state;
	ask("other", IPC_SECRET_LEN, 0);
	assert_int_equal(t.answer.u.failure.code, IPC_ERROR_NO_SESSION);
	ask("demo", IPC_SECRET_LEN - 1, 0);
	assert_int_equal(t.answer.u.failure.code, IPC_ERROR_NO_SESSION);
	assert_int_equal(fake_nasked, 0);
	ask("demo", IPC_SECRET_LEN, 0);
	fake_answer(ERR_UNAVAILABLE, NULL);
	assert_int_equal(t.answer.u.failure.code, IPC_ERROR_STORE);
	fake_refuse = ERR_UNAVAILABLE;
	ask("demo", IPC_SECRET_LEN, 0);
	assert_int_equal(t.answer.u.failure.code, IPC_ERROR_STORE);
	assert_int_equal(t.answers, 4);
	assert_int_equal(t.peer.nrequests, 0);
}

#define WITH(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH(the_session_ends_first_and_then_the_way_leads_to_the_provider),
	    WITH(every_state_is_another),
	    WITH(the_id_token_goes_where_it_is_wanted_and_nowhere_else),
	    WITH(the_id_token_of_another_provider_is_left_out),
	    WITH(an_id_token_that_does_not_open_or_fit_is_left_out),
	    WITH(without_an_end_session_endpoint_it_stays_here),
	    WITH(who_was_nobody_is_not_sent_to_the_provider),
	    WITH(failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
