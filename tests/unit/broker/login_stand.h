/*
 * login_stand - a login whose database, provider and worker are played by the test
 *
 * stand_open() makes a broker of a real configuration (apps a, of provider q; f, of provider p,
 * which answers by POST and has UserInfo; see below); the handler under test gets stand_request().
 * What it asks of the database is in fake_pg.h's hands and answered by STAND_ROWS(); calls of the
 * provider are in stand.provider, with their callback; its answer is in stand.answer. Nothing here
 * opens a socket. The Makefile links each __wrap_NAME below in place of NAME.
 */
#ifndef BFF_TEST_LOGIN_STAND_H
#define BFF_TEST_LOGIN_STAND_H

#include "broker/dispatch.h"
#include "broker/login_finish.h"
#include "broker/login_park.h"
#include "broker/provider.h"
#include "common/log.h"
#include "tests/unit/broker/answer_copy.h"
#include "tests/unit/broker/fake_pg.h"
#include "tests/unit/broker/ring.h"
#include "tests/unit/common/config_text.h"

#define STAND_ISSUER "https://q.example"

static const char stand_config[] = CONFIG_TEXT_DATABASE CONFIG_TEXT_WEB CONFIG_TEXT_BROKER
    "listen \"public\" { kind = public address = \"127.0.0.1:1\" trusted_peers = "
    "{\"127.0.0.1/32\"} }\n"
    "listen \"verify\" { kind = verify address = \"127.0.0.1:2\" edge = traefik\n"
    "	trusted_peers = {\"127.0.0.1/32\"} }\n"
    "provider \"q\" { issuer = \"" STAND_ISSUER "\" client_id = \"c q\"\n"
    "	client_secret_file = \"/s\" }\n"
    "provider \"p\" { issuer = \"https://p.example\" client_id = \"c\"\n"
    "	client_secret_file = \"/s\" response_mode = form_post\n"
    "	claims_from = {id_token, userinfo} keep_claims = {name, email} }\n"
    "app \"a\" { provider = q origins = {\"https://a.example.com\"} idle_timeout = \"1h\" }\n"
    "app \"f\" { provider = p origins = {\"https://f.example.com\"} }\n" CONFIG_TEXT_IDENTITY
    "route \"a\" { app = a path = \"/\" }\nroute \"f\" { app = f path = \"/\" }\n";

struct stand_text {
	char p[4096];
	size_t n;
};

static struct {
	struct config *config;
	struct edition edition;
	struct broker broker;
	struct provider_metadata meta;
	struct provider_traits traits;
	struct {
		bool no_metadata;
		enum err refuses; /* what each call says; ERR_OK: it takes it */
		unsigned pushes, codes, id_tokens, userinfos, revocations;
		uint32_t userinfo_held_s; /* 0: it may be asked */
		struct stand_text form, code, verifier, redirect_uri, token, sub, nonce;
		provider_push_fn push;
		provider_token_fn code_fn;
		provider_id_token_fn claims_fn;
		void *arg;
	} provider;
	struct {
		unsigned n; /* answers of any kind */
		bool failed;
		enum ipc_error code;
		uint32_t retry_after_s;
		char detail[64];
		struct stand_text return_to;
		char packet[IPC_FRAME_MAX];
		struct ipc_message m; /* of a success; borrows packet */
	} answer;
} stand;

static inline void stand_keep(struct stand_text *to, struct sv s)
{
	assert_true(s.n <= sizeof to->p);
	if (s.n > 0)
		memcpy(to->p, s.p, s.n);
	to->n = s.n;
}

static inline struct sv stand_sv(const struct stand_text *t)
{
	return sv_of(t->p, t->n);
}

/* ---- the worker --------------------------------------------------------------------------- */

static inline void stand_end(struct request **r)
{
	stand.answer.n++;
	free(*r);
	*r = NULL;
}

void __wrap_request_answer(struct request **r, const struct ipc_message *m);
void __wrap_request_answer(struct request **r, const struct ipc_message *m)
{
	stand.answer.m = answer_copy(stand.answer.packet, (*r)->id, m);
	stand.answer.failed = false;
	stand_end(r);
}

void __wrap_request_fail(struct request **r, enum ipc_error code, struct request_failure why);
void __wrap_request_fail(struct request **r, enum ipc_error code, struct request_failure why)
{
	stand.answer.failed = true;
	stand.answer.code = code;
	stand.answer.retry_after_s = why.retry_after_s;
	(void)snprintf(stand.answer.detail, sizeof stand.answer.detail, "%s",
		       why.detail == NULL ? "" : why.detail);
	stand_keep(&stand.answer.return_to, why.return_to);
	stand_end(r);
}

void __wrap_request_fail_store(struct request **r, enum err e);
void __wrap_request_fail_store(struct request **r, enum err e)
{
	__wrap_request_fail(r, IPC_ERROR_STORE, request_detail(err_text(e)));
}

/* Parameters of a note. */
enum { NOTE_OUTCOME = 2, NOTE_DETAIL, NOTE_SUBJECT };

static inline struct sv stand_noted(size_t i)
{
	return fake_param_of(&fake_note, i);
}

#define assert_failed(want_code, want_detail)                                                      \
	do {                                                                                       \
		assert_int_equal(stand.answer.n, 1);                                               \
		assert_true(stand.answer.failed);                                                  \
		assert_string_equal(stand.answer.detail, want_detail);                             \
		assert_int_equal(stand.answer.code, want_code);                                    \
	} while (0)

#define assert_noted(want_outcome, want_detail)                                                    \
	do {                                                                                       \
		assert_int_equal(fake_nnotes, 1);                                                  \
		assert_sv_equal(stand_noted(NOTE_OUTCOME), SV(want_outcome));                      \
		assert_sv_equal(stand_noted(NOTE_DETAIL), SV(want_detail));                        \
	} while (0)

#define assert_waiting() assert_int_equal(stand.answer.n, 0)

/* ---- the database ------------------------------------------------------------------------- */

/* The login asks one thing at a time. */
#define STAND_ROWS(...)                                                                            \
	do {                                                                                       \
		assert_int_equal(fake_nasked, 1);                                                  \
		FAKE_ROW(__VA_ARGS__);                                                             \
	} while (0)

/* ---- the provider ------------------------------------------------------------------------- */

struct provider *__wrap_edition_provider(const struct edition *ed, struct sv name);
struct provider *__wrap_edition_provider(const struct edition *ed, struct sv name)
{
	(void)ed, (void)name;
	return (struct provider *)&stand.provider;
}

const struct provider_metadata *__wrap_provider_metadata(struct provider *p);
const struct provider_metadata *__wrap_provider_metadata(struct provider *p)
{
	(void)p;
	return stand.provider.no_metadata ? NULL : &stand.meta;
}

const struct provider_traits *__wrap_provider_traits(const struct provider *p);
const struct provider_traits *__wrap_provider_traits(const struct provider *p)
{
	(void)p;
	return &stand.traits;
}

enum err __wrap_provider_push(struct provider *p, struct buf *form, provider_push_fn fn, void *arg);
enum err __wrap_provider_push(struct provider *p, struct buf *form, provider_push_fn fn, void *arg)
{
	(void)p;
	stand.provider.pushes++;
	stand_keep(&stand.provider.form, buf_sv(form));
	buf_done(form);
	stand.provider.push = fn;
	stand.provider.arg = arg;
	return stand.provider.refuses;
}

enum err __wrap_provider_code(struct provider *p, struct sv code, struct sv redirect_uri,
			      struct sv code_verifier, provider_token_fn fn, void *arg);
enum err __wrap_provider_code(struct provider *p, struct sv code, struct sv redirect_uri,
			      struct sv code_verifier, provider_token_fn fn, void *arg)
{
	(void)p;
	stand.provider.codes++;
	stand_keep(&stand.provider.code, code);
	stand_keep(&stand.provider.redirect_uri, redirect_uri);
	stand_keep(&stand.provider.verifier, code_verifier);
	stand.provider.code_fn = fn;
	stand.provider.arg = arg;
	return stand.provider.refuses;
}

enum err __wrap_provider_id_token(struct provider *p, struct sv jwt,
				  const struct id_token_expect *expect, provider_id_token_fn fn,
				  void *arg);
enum err __wrap_provider_id_token(struct provider *p, struct sv jwt,
				  const struct id_token_expect *expect, provider_id_token_fn fn,
				  void *arg)
{
	(void)p;
	stand.provider.id_tokens++;
	stand_keep(&stand.provider.token, jwt);
	stand_keep(&stand.provider.nonce, expect->nonce);
	stand.provider.claims_fn = fn;
	stand.provider.arg = arg;
	return stand.provider.refuses;
}

enum err __wrap_provider_userinfo(struct provider *p, struct sv access_token, struct sv sub,
				  provider_id_token_fn fn, void *arg);
enum err __wrap_provider_userinfo(struct provider *p, struct sv access_token, struct sv sub,
				  provider_id_token_fn fn, void *arg)
{
	(void)p;
	stand.provider.userinfos++;
	stand_keep(&stand.provider.token, access_token);
	stand_keep(&stand.provider.sub, sub);
	stand.provider.claims_fn = fn;
	stand.provider.arg = arg;
	return stand.provider.refuses;
}

bool __wrap_provider_userinfo_held(const struct provider *p, uint32_t *ret_left_s);
bool __wrap_provider_userinfo_held(const struct provider *p, uint32_t *ret_left_s)
{
	(void)p;
	if (stand.provider.userinfo_held_s > 0)
		*ret_left_s = stand.provider.userinfo_held_s;
	return stand.provider.userinfo_held_s > 0;
}

enum err __wrap_provider_revoke(struct provider *p, struct sv refresh_token, provider_revoke_fn fn,
				void *arg);
enum err __wrap_provider_revoke(struct provider *p, struct sv refresh_token, provider_revoke_fn fn,
				void *arg)
{
	(void)p, (void)fn, (void)arg;
	stand.provider.revocations++;
	stand_keep(&stand.provider.token, refresh_token);
	return ERR_OK;
}

/* ---- a test's begin and end --------------------------------------------------------------- */

static inline struct request *stand_request(void)
{
	struct request *r = calloc(1, sizeof *r);

	assert_non_null(r);
	r->broker = &stand.broker;
	r->edition = &stand.edition;
	r->id = 7;
	(void)snprintf(r->correlation, sizeof r->correlation, "c-1");
	stand.answer.n = 0;
	fake_nnotes = 0;
	return r;
}

/* Between two requests of one test. */
static inline void stand_reset(void)
{
	assert_int_equal(fake_nasked, 0);
	fake_queries = 0;
	fake_refuse = stand.provider.refuses = ERR_OK;
	stand.provider.pushes = stand.provider.codes = stand.provider.id_tokens = 0;
	stand.provider.userinfos = stand.provider.revocations = 0;
}

static inline int stand_open(void **state)
{
	struct errmsg e = {0};
	size_t path_n;

	(void)state;
	log_set_level(LOG_ERROR);
	memset(&stand, 0, sizeof stand);
	fake_reset();
	if (config_text_load(stand_config, sizeof stand_config - 1, &stand.config, &e, &path_n) !=
	    ERR_OK)
		fail_msg("%s", e.text);
	stand.edition.config = stand.config;
	stand.broker.ring = ring_of(RING_ONE);
	stand.meta.authorization_endpoint = SV("https://q.example/authorize");
	return rate_limit_new(&stand.broker.limits) == ERR_OK &&
		       rate_limit_new(&stand.broker.responses) == ERR_OK
		   ? 0
		   : -1;
}

static inline int stand_close(void **state)
{
	(void)state;
	rate_limit_free(&stand.broker.limits);
	rate_limit_free(&stand.broker.responses);
	keyring_free(&stand.broker.ring);
	config_free(&stand.config);
	return 0;
}

#define STAND(fn) cmocka_unit_test_setup_teardown(fn, stand_open, stand_close)

#endif
