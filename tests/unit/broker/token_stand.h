/*
 * token_stand - tokens being had, with database, provider, worker and clock played by the test
 *
 * The configuration: provider p; app a, whose routes use the services res, other (both by
 * resource), own, ex (exchange) and cc (client credentials); app b has none. What is asked of the
 * database stands in fake_asked (fake_pg.h), and is answered by fake_answer(); calls of the
 * provider in stand.calls, by stand_reply() and stand_claims(); what requests got in stand.got.
 * Timers are held: loop_fire() lets the last one come. Nothing here opens a socket.
 *
 * Rule Zero: over 400 lines, because every test of a token being had wants all of its neighbours.
 */
#ifndef BFF_TEST_TOKEN_STAND_H
#define BFF_TEST_TOKEN_STAND_H

#include "broker/grant_table.h"
#include "broker/service_token.h"
#include "broker/token_memory.h"
#include "common/log.h"
#include "tests/unit/broker/fake_pg.h"
#include "tests/unit/broker/ring.h"
#include "tests/unit/common/config_text.h"
#include "tests/unit/loop.h"

#define STAND_MAX 16
#define STAND_ISSUER "https://idp.example"
#define STAND_NOW_MS 1000000
#define STAND_ID "0123456789abcdef"
#define STAND_NONCE_HASH "nonce-hash-of-thirty-two-bytes.." /* CRYPT_SHA256_LEN */
#define STAND_AUTH_TIME_S 1699990000

static const char stand_config[] = CONFIG_TEXT_DATABASE CONFIG_TEXT_WEB CONFIG_TEXT_BROKER
    "listen \"public\" { kind = public address = \"127.0.0.1:1\" trusted_peers = {\"::1/128\"} }\n"
    "listen \"verify\" { kind = verify address = \"127.0.0.1:2\" edge = traefik\n"
    "	trusted_peers = {\"::1/128\"} }\n"
    "provider \"p\" { issuer = \"" STAND_ISSUER "\" client_id = \"c\" client_secret_file = \"/s\"\n"
    "	keep_claims = {name, email} scopes = {openid, offline_access} }\n"
    "app \"a\" { provider = p origins = {\"https://a.example.com\"} revalidate = \"15m\" }\n"
    "app \"b\" { provider = p origins = {\"https://b.example.com\"} }\n" CONFIG_TEXT_IDENTITY
    "service \"res\" { provider = p grant = resource resource = \"urn:res\" prefetch = yes }\n"
    "service \"other\" { provider = p grant = resource resource = \"urn:other\" }\n"
    "service \"own\" { provider = p grant = session }\n"
    "service \"ex\" { provider = p grant = exchange audience = \"urn:ex\" prefetch = yes }\n"
    "service \"cc\" { provider = p grant = client_credentials scope = {x} prefetch = yes }\n"
    "service \"unused\" { provider = p grant = resource resource = \"urn:u\" prefetch = yes }\n"
    "route \"page\" { app = a path = \"/\" }\nroute \"b\" { app = b path = \"/\" }\n"
    "route \"res\" { app = a path = \"/1/\" service = res }\n"
    "route \"other\" { app = a path = \"/2/\" service = other }\n"
    "route \"own\" { app = a path = \"/3/\" service = own }\n"
    "route \"ex\" { app = a path = \"/4/\" service = ex }\n"
    "route \"cc\" { app = a path = \"/5/\" service = cc }\n";

struct stand_text {
	char p[1024];
	size_t n;
	bool null;
};
enum stand_call { CALL_REFRESH = 1, CALL_EXCHANGE, CALL_CLIENT, CALL_ID_TOKEN, CALL_USERINFO };

static struct {
	struct config *config;
	struct edition edition;
	struct broker broker;
	struct provider_traits traits;
	int64_t now_ms;
	struct pg_trip trip;
	unsigned char random;
	unsigned drained;
	unsigned errors; /* that were logged; the last one's event */
	char error[32];
	struct {
		unsigned lease_used;
		int64_t age_ms; /* of what is answered */
	} pg;
	struct {
		enum err refuses;
		bool gone; /* no such provider */
		size_t n;
		struct {
			enum stand_call what;
			const struct config_service *service;
			struct stand_text token;
			bool (*before)(void *arg);
			provider_token_fn fn;
			provider_id_token_fn claims_fn;
			void *arg;
		} v[STAND_MAX];
	} calls;
	struct {
		unsigned answers, failures;
		struct stand_text token;
		uint64_t left_ms;
		enum ipc_error code;
		uint32_t retry_after_s;
		char detail[64];
	} got;
} stand;

static inline void stand_keep(struct stand_text *to, const void *p, size_t n)
{
	assert_true(n <= sizeof to->p);
	if (n > 0)
		memcpy(to->p, p, n);
	to->n = n;
	to->null = p == NULL;
}

static inline struct sv stand_sv(const struct stand_text *t)
{
	return sv_of(t->p, t->n);
}

/* ---- process, clock, worker --------------------------------------------------------------- */

int64_t __wrap_clock_boot_ms(void);
int64_t __wrap_clock_boot_ms(void)
{
	return stand.now_ms;
}

void __wrap_broker_random(void *out, size_t n);
void __wrap_broker_random(void *out, size_t n)
{
	memset(out, stand.random, n);
}

void __wrap_broker_drained(struct broker *b);
void __wrap_broker_drained(struct broker *b)
{
	assert_ptr_equal(b, &stand.broker);
	stand.drained++;
}

void __wrap_request_answer(struct request **r, const struct ipc_message *m);
void __wrap_request_answer(struct request **r, const struct ipc_message *m)
{
	assert_int_equal(m->number, IPC_TOKEN);
	stand.got.answers++;
	stand_keep(&stand.got.token, m->u.token.access_token.p, m->u.token.access_token.n);
	stand.got.left_ms = m->u.token.expires_in_ms;
	free(*r);
	*r = NULL;
}

void __wrap_request_fail(struct request **r, enum ipc_error code, struct request_failure why);
void __wrap_request_fail(struct request **r, enum ipc_error code, struct request_failure why)
{
	stand.got.failures++;
	stand.got.code = code;
	stand.got.retry_after_s = why.retry_after_s;
	(void)snprintf(stand.got.detail, sizeof stand.got.detail, "%s", why.detail);
	free(*r);
	*r = NULL;
}

void __wrap_request_fail_store(struct request **r, enum err e);
void __wrap_request_fail_store(struct request **r, enum err e)
{
	__wrap_request_fail(r, IPC_ERROR_STORE, request_detail(err_text(e)));
}

#define assert_nothing_said() assert_int_equal(stand.got.answers + stand.got.failures, 0)
#define assert_failed(want_code, want_detail)                                                      \
	do {                                                                                       \
		assert_int_equal(stand.got.failures, 1);                                           \
		assert_int_equal(stand.got.answers, 0);                                            \
		assert_string_equal(stand.got.detail, want_detail);                                \
		assert_int_equal(stand.got.code, want_code);                                       \
		memset(&stand.got, 0, sizeof stand.got);                                           \
	} while (0)
#define assert_answered(want_token)                                                                \
	do {                                                                                       \
		assert_int_equal(stand.got.answers, 1);                                            \
		assert_int_equal(stand.got.failures, 0);                                           \
		assert_sv_equal(stand_sv(&stand.got.token), SV(want_token));                       \
		memset(&stand.got, 0, sizeof stand.got);                                           \
	} while (0)

static inline struct request *stand_request(void)
{
	struct request *r = calloc(1, sizeof *r);

	assert_non_null(r);
	r->broker = &stand.broker;
	r->edition = &stand.edition;
	r->id = 7;
	return r;
}

void __wrap_log_write(enum log_level level, const char *event, const struct log_field *f, size_t n);
void __wrap_log_write(enum log_level level, const char *event, const struct log_field *f, size_t n)
{
	(void)f, (void)n;
	if (level == LOG_ERROR) {
		stand.errors++;
		(void)snprintf(stand.error, sizeof stand.error, "%s", event);
	}
}

/* ---- the database ------------------------------------------------------------------------- */

/* Every answer comes over one connection, and was sent now unless the test says otherwise. */
const struct pg_trip *__wrap_pg_rows_trip(const struct pg_rows *r);
const struct pg_trip *__wrap_pg_rows_trip(const struct pg_rows *r)
{
	(void)r;
	stand.trip.serial = 1;
	stand.trip.sent_ms = stand.now_ms - stand.pg.age_ms;
	return &stand.trip;
}

void __wrap_pg_lease_used(struct pg *p);
void __wrap_pg_lease_used(struct pg *p)
{
	(void)p;
	stand.pg.lease_used++;
}

/* The oldest query is this one; its parameters: fake_param(0, i). */
#define assert_asked(want_stmt)                                                                    \
	do {                                                                                       \
		assert_true(fake_nasked > 0);                                                      \
		assert_string_equal(broker_statements[fake_asked[0].stmt].name,                    \
				    broker_statements[want_stmt].name);                            \
	} while (0)

static inline void stand_bool(bool yes)
{
	const struct pg_rows rows = {.n = 1, .v = {{{.number = yes}}}};

	fake_answer(ERR_OK, &rows);
}

/* ---- the provider ------------------------------------------------------------------------- */

struct provider *__wrap_edition_provider(const struct edition *ed, struct sv name);
struct provider *__wrap_edition_provider(const struct edition *ed, struct sv name)
{
	(void)ed, (void)name;
	return stand.calls.gone ? NULL : (struct provider *)&stand.calls;
}

const struct provider_traits *__wrap_provider_traits(const struct provider *p);
const struct provider_traits *__wrap_provider_traits(const struct provider *p)
{
	(void)p;
	return &stand.traits;
}

static inline enum err stand_call(enum stand_call what, const struct config_service *s,
				  struct sv token, void *arg)
{
	size_t at = stand.calls.n;

	if (stand.calls.refuses != ERR_OK)
		return stand.calls.refuses;
	assert_true(at < STAND_MAX);
	memset(&stand.calls.v[at], 0, sizeof stand.calls.v[at]);
	stand.calls.v[at].what = what;
	stand.calls.v[at].service = s;
	stand_keep(&stand.calls.v[at].token, token.p, token.n);
	stand.calls.v[at].arg = arg;
	stand.calls.n++;
	return ERR_OK;
}

enum err __wrap_provider_refresh(struct provider *p, struct sv token,
				 const struct config_service *s, bool (*before)(void *arg),
				 provider_token_fn fn, void *arg);
enum err __wrap_provider_refresh(struct provider *p, struct sv token,
				 const struct config_service *s, bool (*before)(void *arg),
				 provider_token_fn fn, void *arg)
{
	(void)p;
	if (stand_call(CALL_REFRESH, s, token, arg) != ERR_OK)
		return stand.calls.refuses;
	stand.calls.v[stand.calls.n - 1].before = before;
	stand.calls.v[stand.calls.n - 1].fn = fn;
	return ERR_OK;
}

enum err __wrap_provider_exchange(struct provider *p, struct sv token,
				  const struct config_service *s, provider_token_fn fn, void *arg);
enum err __wrap_provider_exchange(struct provider *p, struct sv token,
				  const struct config_service *s, provider_token_fn fn, void *arg)
{
	(void)p;
	if (stand_call(CALL_EXCHANGE, s, token, arg) != ERR_OK)
		return stand.calls.refuses;
	stand.calls.v[stand.calls.n - 1].fn = fn;
	return ERR_OK;
}

enum err __wrap_provider_client_credentials(struct provider *p, const struct config_service *s,
					    provider_token_fn fn, void *arg);
enum err __wrap_provider_client_credentials(struct provider *p, const struct config_service *s,
					    provider_token_fn fn, void *arg)
{
	(void)p;
	if (stand_call(CALL_CLIENT, s, SV_NONE, arg) != ERR_OK)
		return stand.calls.refuses;
	stand.calls.v[stand.calls.n - 1].fn = fn;
	return ERR_OK;
}

enum err __wrap_provider_id_token(struct provider *p, struct sv jwt,
				  const struct id_token_expect *expect, provider_id_token_fn fn,
				  void *arg);
enum err __wrap_provider_id_token(struct provider *p, struct sv jwt,
				  const struct id_token_expect *expect, provider_id_token_fn fn,
				  void *arg)
{
	(void)p;
	assert_sv_equal(expect->sub, SV("alice")); /* Core 12.2 */
	assert_sv_equal(expect->nonce_hash, SV(STAND_NONCE_HASH));
	assert_int_equal(expect->auth_time_s, STAND_AUTH_TIME_S);
	if (stand_call(CALL_ID_TOKEN, NULL, jwt, arg) != ERR_OK)
		return stand.calls.refuses;
	stand.calls.v[stand.calls.n - 1].claims_fn = fn;
	return ERR_OK;
}

enum err __wrap_provider_userinfo(struct provider *p, struct sv token, struct sv sub,
				  provider_id_token_fn fn, void *arg);
enum err __wrap_provider_userinfo(struct provider *p, struct sv token, struct sv sub,
				  provider_id_token_fn fn, void *arg)
{
	(void)p;
	assert_sv_equal(sub, SV("alice"));
	if (stand_call(CALL_USERINFO, NULL, token, arg) != ERR_OK)
		return stand.calls.refuses;
	stand.calls.v[stand.calls.n - 1].claims_fn = fn;
	return ERR_OK;
}

#define assert_called(want_what, want_token)                                                       \
	do {                                                                                       \
		assert_true(stand.calls.n > 0);                                                    \
		assert_int_equal(stand.calls.v[0].what, want_what);                                \
		assert_sv_equal(stand_sv(&stand.calls.v[0].token), want_token);                    \
	} while (0)

/* Answers the oldest call. */
static inline void stand_reply(enum err e, const struct token_reply *reply)
{
	provider_token_fn fn = stand.calls.v[0].fn;
	void *arg = stand.calls.v[0].arg;

	assert_true(stand.calls.n > 0 && fn != NULL);
	stand.calls.n--;
	memmove(&stand.calls.v[0], &stand.calls.v[1], stand.calls.n * sizeof stand.calls.v[0]);
	fn(arg, e, e == ERR_OK ? reply : NULL);
}

static inline void stand_outcome(enum token_outcome outcome, const char *detail)
{
	const struct token_reply reply = {.outcome = outcome, .detail = detail};

	stand_reply(ERR_OK, &reply);
}

static inline void stand_claims(enum err e, const struct id_token_claims *c, const char *detail)
{
	provider_id_token_fn fn = stand.calls.v[0].claims_fn;
	void *arg = stand.calls.v[0].arg;

	assert_true(stand.calls.n > 0 && fn != NULL);
	stand.calls.n--;
	memmove(&stand.calls.v[0], &stand.calls.v[1], stand.calls.n * sizeof stand.calls.v[0]);
	fn(arg, e, c, detail);
}

/* ---- rows and questions ------------------------------------------------------------------- */

static const unsigned char stand_hash[CRYPT_SHA256_LEN] = "session";

static inline const struct config_service *stand_service(const char *name)
{
	const struct config_service *s = config_service(stand.config, sv_str(name));

	assert_non_null(s);
	return s;
}

/* Of one request of app a for a service. */
struct stand_ask {
	struct grant_ask ask;
	unsigned char digest[CRYPT_SHA256_LEN];
};

static inline void stand_ask_for(struct stand_ask *a, const char *service)
{
	const struct config_service *s = stand_service(service);

	*a = (struct stand_ask){.ask = {.grant_id = SV(STAND_ID),
					.app = SV("a"),
					.hash = stand_hash,
					.edition = &stand.edition,
					.service = s,
					.kind = GRANT_JOB_TOKEN}};
	assert_int_equal(token_config_digest(s, a->digest), ERR_OK);
	a->ask.digest = a->digest;
}

static inline void stand_want(const char *service)
{
	struct stand_ask a;
	struct request *r = stand_request();

	stand_ask_for(&a, service);
	grant_table_ask(stand.broker.grants, &a.ask, &r);
}

/* A row of TOKEN_READ; `filed` of this service (NULL: nothing is). */
struct stand_row {
	struct pg_rows rows;
	struct buf refresh, token;
	unsigned char digest[CRYPT_SHA256_LEN];
};

static inline void stand_row_of(struct stand_row *r, const char *service, const char *token,
				int64_t left_ms)
{
	const struct config_service login = {.name = TOKEN_SESSION_SERVICE,
					     .provider = config_provider(stand.config, SV("p")),
					     .grant = GRANT_SESSION};
	const struct config_service *s = service == NULL ? &login : stand_service(service);
	struct vault_label label = token_refresh_label(SV(STAND_ID), 1);
	struct fake_value *v = r->rows.v[0];

	memset(r, 0, sizeof *r);
	r->rows.n = 1;
	buf_init(&r->refresh, 4096);
	buf_init(&r->token, 4096);
	assert_int_equal(vault_seal(stand.broker.ring, &label, SV("rt-1"), &r->refresh), ERR_OK);
	v[0].text = SV("live");
	v[1].text = SV("a");
	v[2].text = SV("p");
	v[3].text = SV(STAND_ID);
	v[4].number = 3; /* generation */
	v[5].text = SV("live");
	v[6].text = buf_sv(&r->refresh);
	v[12].text = SV("alice");
	v[13].text = SV(STAND_ISSUER);
	v[16].number = v[19].number = 3600000;
	v[17].number = 1;
	/* 20, the resources: null, not known */
	v[21].text = SV(STAND_NONCE_HASH);
	v[22].number = STAND_AUTH_TIME_S;
	if (token == NULL)
		return;
	assert_int_equal(token_seal(stand.broker.ring, SV(STAND_ID), token_filed_as(s), 2,
				    sv_str(token), 300000, &r->token),
			 ERR_OK);
	assert_int_equal(token_config_digest(s, r->digest), ERR_OK);
	v[9].text = buf_sv(&r->token);
	v[10].number = left_ms;
	v[11].number = 2;
	v[15].text = sv_of((const char *)r->digest, sizeof r->digest);
}

static inline void stand_row_done(struct stand_row *r)
{
	buf_done(&r->refresh);
	buf_done(&r->token);
}

/* Answers the reading that waits: a live session with this token of this service, or without. */
static inline void stand_reads(const char *service, const char *token, int64_t left_ms)
{
	struct stand_row r;

	assert_asked(SQL_TOKEN_READ);
	stand_row_of(&r, service, token, left_ms);
	fake_answer(ERR_OK, &r.rows);
	stand_row_done(&r);
}

/* Answers the lease that waits. */
static inline void stand_leases(bool leased, int64_t attempts, int64_t since_first_ms)
{
	const struct pg_rows rows = {.n = 1,
				     .v = {{{.number = leased},
					    {.number = 3},
					    {.number = attempts},
					    {.number = TIMEOUT_LEASE_MS},
					    {.text = SV("live")},
					    {.number = since_first_ms}}}};

	assert_asked(SQL_REFRESH_LEASE);
	fake_answer(ERR_OK, &rows);
}

/* Up to the provider being asked for this service. */
static inline void stand_to_provider(const char *service)
{
	stand_want(service);
	stand_reads(service, NULL, 0);
	stand_leases(true, 1, 0);
}

static inline struct token_reply stand_success(const char *access, const char *refresh)
{
	return (struct token_reply){.outcome = TOKEN_OK,
				    .detail = "",
				    .access_token = sv_str(access),
				    .refresh_token = sv_str(refresh),
				    .expires_in_s = 300};
}

/* ---- a test's begin and end --------------------------------------------------------------- */

static inline int stand_open(void **state)
{
	struct errmsg e = {0};
	size_t path_n;

	(void)state;
	log_set_level(LOG_ERROR + 1);
	memset(&stand, 0, sizeof stand);
	fake_reset();
	if (config_text_load(stand_config, sizeof stand_config - 1, &stand.config, &e, &path_n) !=
	    ERR_OK)
		fail_msg("%s", e.text);
	stand.now_ms = STAND_NOW_MS;
	stand.traits.rotates = true;
	stand.edition.config = stand.config;
	stand.broker.editions.newest = &stand.edition;
	stand.broker.ring = ring_of(RING_ONE);
	stand.broker.base = event_base_new();
	assert_non_null(stand.broker.base);
	loop_hold();
	assert_int_equal(grant_table_new(&stand.broker, &stand.broker.grants), ERR_OK);
	assert_int_equal(service_tokens_new(&stand.broker, &stand.broker.service_tokens), ERR_OK);
	assert_int_equal(token_memory_new(&stand.broker, &stand.broker.tokens), ERR_OK);
	assert_int_equal(edition_uses_make(stand.config, &stand.edition.uses), ERR_OK);
	return 0;
}

static inline int stand_close(void **state)
{
	(void)state;
	stand.broker.stopping = true;
	grant_table_free(&stand.broker.grants);
	service_tokens_free(&stand.broker.service_tokens);
	token_memory_free(&stand.broker.tokens);
	edition_uses_done(&stand.edition.uses);
	assert_int_equal(stand.edition.refs, 0);
	keyring_free(&stand.broker.ring);
	event_base_free(stand.broker.base);
	config_free(&stand.config);
	return 0;
}

#define STAND(fn) cmocka_unit_test_setup_teardown(fn, stand_open, stand_close)

#endif
