/*
 * stand_in - a request in a worker whose database and broker are played by the test
 *
 * stand_open() makes a worker of a real configuration; stand_ask() has one request parsed and run
 * through the spine. What it asks of the database is in stand.pg, what it asks of the broker in
 * stand.broker (decoded), and stand_rows(), stand_broker() answer. Nothing here opens a socket.
 *
 * Rule Zero: over 400 lines, because a phase of any handler needs the whole worker around it.
 */
#ifndef BFF_TESTS_STAND_IN_H
#define BFF_TESTS_STAND_IN_H

#include "common/clock.h"
#include "common/log.h"
#include "tests/unit/common/config_text.h"
#include "tests/unit/unit.h"
#include "worker/csrf.h"
#include "worker/denial.h"
#include "worker/worker.h"

#define STAND_KEYS "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define STAND_FIELDS 64
#define STAND_WALL_S 1700000000

/* App a: two origins, no login_origin. App c: one cookie_domain, login elsewhere. App f: its
 * provider answers by POST. App k: binds its sessions to a client. */
static const char stand_config[] =
    CONFIG_TEXT_DATABASE CONFIG_TEXT_WEB CONFIG_TEXT_BROKER CONFIG_TEXT_PROVIDER
    "listen \"public\" { kind = public address = \"127.0.0.1:1\"\n"
    "	trusted_peers = {\"127.0.0.1/32\"} }\n"
    "listen \"verify\" { kind = verify address = \"127.0.0.1:2\" edge = traefik\n"
    "	trusted_peers = {\"127.0.0.1/32\", \"10.1.2.0/28\"} }\n"
    "listen \"metrics\" { kind = metrics address = \"127.0.0.1:3\" }\n"
    "app \"a\" { provider = p page_claims = {name, groups}\n"
    "	origins = {\"https://a.example.com\", \"https://b.example.com\"}\n"
    "	cors_origins = {\"https://partner.example\"}\n"
    "	after_logout = {\"https://a.example.com/bye\", \"https://www.example.com/bye?a\"} }\n"
    "app \"c\" { provider = p origins = {\"https://c.example.org\"} cookie_name = c_session\n"
    "	login_origin = \"https://login.example.org\" cookie_domain = \"example.org\" "
    "}\n" CONFIG_TEXT_IDENTITY CONFIG_TEXT_SERVICE
    "service \"t\" { provider = p grant = resource resource = \"urn:t\" }\n"
    "route \"r\" { app = a path = \"/api/\" service = s upgrade = websocket }\n"
    "route \"t\" { app = a path = \"/t/\" service = t csrf = off upgrade = websocket }\n"
    "route \"plain\" { app = a path = \"/plain/\" preflight = pass }\n"
    "route \"either\" { app = a path = \"/either/\" session = optional service = s }\n"
    "route \"optional\" { app = a path = \"/optional/\" session = optional\n"
    "	authorization = pass }\n"
    "route \"open\" { app = a path = \"/open/\" session = none csrf = off }\n"
    "route \"acr\" { app = a path = \"/acr/\" acr = {platinum, gold} }\n"
    "route \"better\" { app = a path = \"/better/\" acr = {\"urn:x:2\", diamond} max_age = 30s }\n"
    "route \"best\" { app = a path = \"/best/\" acr = {diamond} }\n"
    "route \"age\" { app = a path = \"/age/\" max_age = 1h }\n"
    "route \"rule\" { app = a path = \"/rule/\" require \"only Alice\" { claim = name any = "
    "{Alice} } }\n"
    "route \"post\" { app = a path = \"/post/\" methods = {POST} }\n"
    "route \"c\" { app = c path = \"/\" }\n"
    "provider \"f\" { issuer = \"https://f.idp.example\" client_id = c response_mode = form_post\n"
    "	client_secret_file = \"/s\" }\n"
    "app \"f\" { provider = f origins = {\"https://f.example.net\"} }\n"
    "app \"k\" { provider = p origins = {\"https://k.example.net\"}\n"
    "	bind_session = {user_agent, address} }\n"
    "route \"k\" { app = k path = \"/\" }\n";

/* ---- the database ---------------------------------------------------------- */

struct pg_call {
	int unused;
};

/* One row of text, as pg_rows_*() want it; p == NULL: null. */
struct pg_rows {
	const struct sv *v;
	size_t n;
	const struct pg_trip *trip;
};

/* ---- the stand ------------------------------------------------------------- */

static struct {
	struct config *config;
	struct worker w;
	struct http_field fields[STAND_FIELDS];
	struct http_request head;
	char text[65536]; /* the head, which the request's views point into */
	char body[REQUEST_BODY_MAX];
	unsigned char peer[16];
	struct buf out;
	struct request *r;
	enum request_state state;
	unsigned done; /* calls of done() */
	struct {
		bool ready;
		enum err refuses; /* what pg_query() says; ERR_OK: it takes it */
		unsigned queries, cancels, stmt;
		char param[256];
		size_t param_n;
		pg_fn fn;
		void *arg;
		struct pg_call call;
		struct pg_trip trip; /* of the last query */
		unsigned leases_used;
	} pg;
	struct {
		bool up;
		enum err refuses; /* what broker_send() says */
		unsigned sent, cancels;
		uint32_t id;
		enum ipc_number answer;
		int64_t timeout_ms;
		char packet[IPC_FRAME_MAX];
		struct ipc_message asked; /* views into packet */
		broker_fn fn;
		void *arg;
	} broker;
	unsigned touches;
	unsigned char touched[CRYPT_SHA256_LEN];
} stand;

bool __wrap_pg_ready(const struct pg *p);
bool __wrap_pg_hears(const struct pg *p);
enum err __wrap_pg_query(struct pg *p, unsigned stmt, const struct pg_param *params, pg_fn fn,
			 void *arg, struct pg_call **ret);
void __wrap_pg_call_cancel(struct pg_call **c);
size_t __wrap_pg_rows_count(const struct pg_rows *r);
const struct pg_trip *__wrap_pg_rows_trip(const struct pg_rows *r);
void __wrap_pg_lease_used(struct pg *p);
struct sv __wrap_pg_rows_sv(const struct pg_rows *r, size_t row, unsigned col);
int64_t __wrap_pg_rows_i64(const struct pg_rows *r, size_t row, unsigned col);
bool __wrap_pg_rows_bool(const struct pg_rows *r, size_t row, unsigned col);
bool __wrap_broker_client_up(const struct broker_client *b);
uint32_t __wrap_broker_next_id(struct broker_client *b);
enum err __wrap_broker_send(struct broker_client *b, uint32_t id, enum ipc_number answer,
			    struct sv packet, int64_t timeout_ms, broker_fn fn, void *arg,
			    struct broker_call **ret);
void __wrap_broker_cancel(struct broker_call **c);
void __wrap_touch_add(struct touch *t, const unsigned char hash[CRYPT_SHA256_LEN]);

bool __wrap_pg_ready(const struct pg *p)
{
	(void)p;
	return stand.pg.ready;
}

bool __wrap_pg_hears(const struct pg *p)
{
	(void)p;
	return true;
}

enum err __wrap_pg_query(struct pg *p, unsigned stmt, const struct pg_param *params, pg_fn fn,
			 void *arg, struct pg_call **ret)
{
	(void)p;
	assert_true(params[0].n <= sizeof stand.pg.param);
	if (stand.pg.refuses != ERR_OK)
		return stand.pg.refuses;
	stand.pg.queries++;
	stand.pg.stmt = stmt;
	stand.pg.trip = (struct pg_trip){.conn = 1, .serial = 7, .sent_ms = clock_boot_ms()};
	memcpy(stand.pg.param, params[0].p, params[0].n);
	stand.pg.param_n = params[0].n;
	stand.pg.fn = fn;
	stand.pg.arg = arg;
	*ret = &stand.pg.call;
	return ERR_OK;
}

void __wrap_pg_call_cancel(struct pg_call **c)
{
	stand.pg.cancels += *c != NULL;
	*c = NULL;
}

const struct pg_trip *__wrap_pg_rows_trip(const struct pg_rows *r)
{
	return r->trip;
}

void __wrap_pg_lease_used(struct pg *p)
{
	(void)p;
	stand.pg.leases_used++;
}

size_t __wrap_pg_rows_count(const struct pg_rows *r)
{
	return r->n == 0 ? 0 : 1;
}

struct sv __wrap_pg_rows_sv(const struct pg_rows *r, size_t row, unsigned col)
{
	assert_int_equal(row, 0);
	return col < r->n ? r->v[col] : SV_NONE;
}

int64_t __wrap_pg_rows_i64(const struct pg_rows *r, size_t row, unsigned col)
{
	return strtoll(__wrap_pg_rows_sv(r, row, col).p, NULL, 10);
}

bool __wrap_pg_rows_bool(const struct pg_rows *r, size_t row, unsigned col)
{
	return sv_eq(__wrap_pg_rows_sv(r, row, col), SV("t"));
}

bool __wrap_broker_client_up(const struct broker_client *b)
{
	(void)b;
	return stand.broker.up;
}

uint32_t __wrap_broker_next_id(struct broker_client *b)
{
	(void)b;
	return stand.broker.id + 1;
}

enum err __wrap_broker_send(struct broker_client *b, uint32_t id, enum ipc_number answer,
			    struct sv packet, int64_t timeout_ms, broker_fn fn, void *arg,
			    struct broker_call **ret)
{
	(void)b;
	if (stand.broker.refuses != ERR_OK)
		return stand.broker.refuses;
	assert_true(packet.n <= sizeof stand.broker.packet);
	memcpy(stand.broker.packet, packet.p, packet.n);
	assert_int_equal(ipc_decode(sv_of(stand.broker.packet, packet.n), &stand.broker.asked),
			 ERR_OK);
	assert_int_equal(stand.broker.asked.id, id);
	stand.broker.sent++;
	stand.broker.id = id;
	stand.broker.answer = answer;
	stand.broker.timeout_ms = timeout_ms;
	stand.broker.fn = fn;
	stand.broker.arg = arg;
	*ret = (struct broker_call *)&stand.broker; /* never looked into */
	return ERR_OK;
}

void __wrap_broker_cancel(struct broker_call **c)
{
	stand.broker.cancels += *c != NULL;
	*c = NULL;
}

void __wrap_touch_add(struct touch *t, const unsigned char hash[CRYPT_SHA256_LEN])
{
	(void)t;
	stand.touches++;
	memcpy(stand.touched, hash, CRYPT_SHA256_LEN);
}

/* ---- from here on, what tests call ----------------------------------------- */

/* Of another mode than SESSION_MEMORY_LISTEN. */
static inline void stand_memory(enum session_memory_mode mode)
{
	session_memory_free(&stand.w.memory);
	assert_int_equal(session_memory_new(stand.w.base, mode, &stand.w.memory), ERR_OK);
}

/* The connection that reads has a lease, from now on: what is read is kept. */
static inline void stand_lease(void)
{
	struct pg_listener l = session_memory_listener(stand.w.memory);
	struct pg_trip t = {.conn = 1, .serial = 7, .sent_ms = clock_boot_ms()};

	l.renewed(l.arg, &t);
}

static inline int stand_open_with(const char *text)
{
	struct worker *w = &stand.w;
	struct errmsg e = {""};
	const struct sv *names;
	size_t path_n, nnames;

	memset(&stand, 0, sizeof stand);
	log_set_level(LOG_ERROR);
	clock_set(1000000, STAND_WALL_S);
	if (config_text_load(text, strlen(text), &stand.config, &e, &path_n) != ERR_OK)
		fail_msg("%s", e.text);
	w->config = stand.config;
	assert_int_equal(route_table_new(w->config, &w->routes, &e), ERR_OK);
	assert_int_equal(identity_table_new(w->config, &w->identities), ERR_OK);
	assert_int_equal(policy_table_new(w->config, &w->policy), ERR_OK);
	names = identity_names(w->identities, &nnames);
	w->injected = injected_of(names, nnames);
	w->cookie_names = calloc(w->config->napps + COOKIE_OWN_NAMES, sizeof *w->cookie_names);
	assert_non_null(w->cookie_names);
	w->ncookie_names = cookie_names(w->config, w->cookie_names);
	assert_int_equal(cookie_keys_parse(SV(STAND_KEYS), &w->keys, &e), ERR_OK);
	w->base = event_base_new();
	assert_non_null(w->base);
	stand_memory(SESSION_MEMORY_LISTEN);
	memcpy(stand.peer, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x7f\0\0\1", 16);
	buf_init(&stand.out, 256 * 1024);
	stand.pg.ready = stand.broker.up = true;
	return 0;
}

static inline int stand_open(void **state)
{
	(void)state;
	return stand_open_with(stand_config);
}

/* The request is over: the next one may come. */
static inline void stand_next(void)
{
	request_free(&stand.r);
	buf_clear(&stand.out);
	stand.state = 0;
	stand.done = 0;
	stand.touches = 0;
	stand.pg.queries = stand.pg.cancels = 0;
	stand.broker.sent = stand.broker.cancels = 0;
}

static inline int stand_close(void **state)
{
	(void)state;
	stand_next();
	buf_done(&stand.out);
	session_memory_free(&stand.w.memory);
	event_base_free(stand.w.base);
	cookie_keys_free(&stand.w.keys);
	free(stand.w.cookie_names);
	policy_table_free(&stand.w.policy);
	identity_table_free(&stand.w.identities);
	route_table_free(&stand.w.routes);
	config_free(&stand.config);
	clock_unset();
	return 0;
}

static inline void stand_done(void *arg)
{
	(void)arg;
	stand.done++;
}

static inline const struct config_listen *stand_listen(enum config_listen_kind kind)
{
	for (size_t i = 0; i < stand.config->nlistens; i++)
		if (stand.config->listens[i].kind == kind)
			return &stand.config->listens[i];
	fail();
	return NULL;
}

/* A request made of a head ("GET /x HTTP/1.1\r\nHost: ...\r\n", the empty line is added) and a
 * body: not run yet. */
static inline enum err stand_new(enum config_listen_kind kind, const char *head, const char *body)
{
	struct request_from from = {.worker = &stand.w,
				    .listen = stand_listen(kind),
				    .peer = stand.peer,
				    .head = &stand.head,
				    .fields = stand.fields,
				    .out = &stand.out};
	int n = snprintf(stand.text, sizeof stand.text, "%s\r\n", head);
	const char *word = "";

	assert_true(n > 0 && (size_t)n < sizeof stand.text && strlen(body) < sizeof stand.body);
	memcpy(stand.body, body, strlen(body));
	if (http_request_parse(sv_of(stand.text, (size_t)n), stand.fields, STAND_FIELDS,
			       &stand.head, &word) != 0)
		fail_msg("%s: %s", word, head);
	from.body = sv_of(stand.body, strlen(body));
	return request_new(&from, stand_done, NULL, &stand.r);
}

static inline void stand_ask(enum config_listen_kind kind, const char *head, const char *body)
{
	stand_next();
	assert_int_equal(stand_new(kind, head, body), ERR_OK);
	stand.state = request_run(stand.r);
}

/* What Traefik asks about `method` `uri` of `origin`'s host. */
static inline void stand_verify(const char *method, const char *host, const char *uri,
				const char *more)
{
	static char head[32768];

	(void)snprintf(head, sizeof head,
		       "GET /auth/verify HTTP/1.1\r\nHost: bff\r\nX-Forwarded-Method: %s\r\n"
		       "X-Forwarded-Host: %s\r\nX-Forwarded-Uri: %s\r\nX-Forwarded-Proto: https\r\n"
		       "X-Forwarded-For: 192.0.2.7\r\n%s",
		       method, host, uri, more);
	stand_ask(LISTEN_VERIFY, head, "");
}

/* "METHOD target" as a browser asks it of a.example.com through the edge. */
static inline void stand_browse(const char *method, const char *host, const char *target,
				const char *more, const char *body)
{
	static char head[32768];

	(void)snprintf(head, sizeof head,
		       "%s %s HTTP/1.1\r\nHost: %s\r\nX-Forwarded-Proto: https\r\n"
		       "X-Forwarded-For: 192.0.2.7\r\n%s",
		       method, target, host, more);
	stand_ask(LISTEN_PUBLIC, head, body);
}

/* "name=<a good session cookie whose secret is 32 times c>", in static memory of its own. */
static inline const char *stand_cookie(const char *name, char c)
{
	static char text[4][160];
	static unsigned at;
	struct cookie_session s = {.day = STAND_WALL_S / 86400};
	struct buf b;

	memset(s.secret, c, sizeof s.secret);
	buf_init(&b, COOKIE_VALUE_MAX);
	assert_int_equal(cookie_session_make(stand.w.keys, &s, &b), ERR_OK);
	at = (at + 1) % 4;
	(void)snprintf(text[at], sizeof text[at], "%s=" SV_FMT, name, SV_ARG(buf_sv(&b)));
	buf_done(&b);
	return text[at];
}

/* The CSRF token of the session whose secret is 32 times c. */
static inline const char *stand_csrf(char c)
{
	static char text[CSRF_TOKEN_LEN + 1];
	char secret[COOKIE_SECRET_LEN];

	memset(secret, c, sizeof secret);
	assert_int_equal(csrf_token(sv_of(secret, sizeof secret), text), ERR_OK);
	return text;
}

static inline void stand_rows(enum err e, const struct sv *v, size_t n)
{
	struct pg_rows rows = {v, n, &stand.pg.trip};
	pg_fn fn = stand.pg.fn;

	assert_non_null(fn);
	stand.pg.fn = NULL;
	fn(stand.pg.arg, e, e == ERR_OK ? &rows : NULL);
}

/* session_get() says: live, of this app; touched a moment ago or not. */
static inline void stand_live(struct sv app, struct sv claims, bool touch_due)
{
	const struct sv row[] = {SV("live"),	   app,
				 SV("k3f9ref"),	   SV("alice"),
				 claims,	   SV("gold"),
				 SV("1699999990"), SV("7170000"),
				 SV("3600000"),	   touch_due ? SV("t") : SV("f")};

	assert_int_equal(stand.state, REQUEST_WAITING);
	assert_int_equal(stand.pg.stmt, WORKER_SQL_SESSION_GET);
	stand_rows(ERR_OK, row, ARRAY_LEN(row));
}

/* How many reads a verify takes of the session of app a whose secret is 32 times c: 0, if memory
 * knows it; if not, it does from now on. */
static inline unsigned stand_reads(char c)
{
	char fields[256];
	unsigned reads;

	stand_lease();
	(void)snprintf(fields, sizeof fields, "Cookie: %s\r\n", stand_cookie("bff_session", c));
	stand_verify("GET", "a.example.com", "/plain/", fields);
	reads = stand.pg.queries;
	if (stand.state == REQUEST_WAITING)
		stand_live(SV("a"), SV("{}"), false);
	stand_next();
	return reads;
}

/* Names what session_get() says of a session that is not live. */
static inline void stand_dead(struct sv state)
{
	const struct sv row[] = {state};

	assert_int_equal(stand.pg.stmt, WORKER_SQL_SESSION_GET);
	stand_rows(ERR_OK, row, ARRAY_LEN(row));
}

static inline void stand_broker(enum err e, const struct ipc_message *m)
{
	broker_fn fn = stand.broker.fn;

	assert_non_null(fn);
	stand.broker.fn = NULL;
	fn(stand.broker.arg, e, e == ERR_OK ? m : NULL);
}

static inline void stand_failure(enum ipc_error code, uint32_t retry_after_s, struct sv return_to)
{
	struct ipc_message m = {.number = IPC_FAILURE};

	m.u.failure = (struct ipc_failure){.code = code,
					   .retry_after_s = retry_after_s,
					   .return_to = return_to,
					   .detail = SV("detail_word")};
	stand_broker(ERR_OK, &m);
}

/* ---- the answer ------------------------------------------------------------ */

static inline bool stand_has(const char *text)
{
	return stand.out.n > 0 && memmem(stand.out.p, stand.out.n, text, strlen(text)) != NULL;
}

#define assert_has(text)                                                                           \
	do {                                                                                       \
		if (!stand_has(text))                                                              \
			fail_msg("no %s in:\n" SV_FMT, text, SV_ARG(buf_sv(&stand.out)));          \
	} while (0)
#define assert_lacks(text)                                                                         \
	do {                                                                                       \
		if (stand_has(text))                                                               \
			fail_msg("%s in:\n" SV_FMT, text, SV_ARG(buf_sv(&stand.out)));             \
	} while (0)
/* One whole answer of that status, and done() called as often as it should. */
#define assert_answer(status)                                                                      \
	do {                                                                                       \
		if (strncmp(stand.out.n > 12 ? stand.out.p : "HTTP/1.1 000", "HTTP/1.1 " #status,  \
			    12) != 0)                                                              \
			fail_msg("want " #status ", got:\n" SV_FMT, SV_ARG(buf_sv(&stand.out)));   \
		assert_int_equal(stand.done, stand.state == REQUEST_WAITING ? 1 : 0);              \
	} while (0)

#endif
