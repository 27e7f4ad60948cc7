#include "broker/broker.h"

#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/grant_table.h"
#include "broker/http_client.h"
#include "broker/key_watch.h"
#include "broker/peer.h"
#include "broker/reseal.h"
#include "broker/revalidation.h"
#include "broker/revocation.h"
#include "broker/service_token.h"
#include "broker/sweep.h"
#include "broker/token_memory.h"
#include "common/clock.h"
#include "common/ipc_listen.h"
#include "common/log.h"

#define ACCEPTS_PER_TURN 64

void broker_random(void *out, size_t n)
{
	if (crypt_random(out, n) != ERR_OK)
		abort();
}

/* --- configuration --- */

static enum err resolve_user(const struct config *c, uid_t *ret, struct errmsg *e)
{
	uint64_t number = 0;
	const struct passwd *pw;

	if (sv_u64(c->broker.peer_user, UINT32_MAX - 1, &number) == ERR_OK) {
		*ret = (uid_t)number;
		return ERR_OK;
	}
	pw = getpwnam(c->broker.peer_user.p);
	if (pw == NULL)
		return errmsg_set(e, ERR_CONFIG,
				  "%s: broker.peer_user: no user of the name " SV_FMT, c->path.p,
				  SV_ARG(c->broker.peer_user));
	*ret = pw->pw_uid;
	return ERR_OK;
}

static enum err load_ring(const struct config *c, struct keyring **ret, struct errmsg *e)
{
	char path[PATH_MAX];
	struct secret *text = NULL;
	enum err rc;

	if (config_secret_path(c->broker.key_ring, path, sizeof path) != ERR_OK)
		return errmsg_set(e, ERR_CONFIG, "%s: broker.key_ring: path too long", c->path.p);
	rc = secret_read_file(path, c->broker.secret_files, &text, e);
	if (rc == ERR_OK)
		rc = keyring_parse(secret_view(text), path, ret, e);
	secret_free(&text);
	return rc;
}

enum err broker_check(const struct config *c, struct errmsg *e)
{
	char path[PATH_MAX];
	struct keyring *ring = NULL;
	struct secret *password = NULL;
	uid_t uid = 0;
	enum err rc = edition_check_secrets(c, e);

	if (rc == ERR_OK)
		rc = load_ring(c, &ring, e);
	keyring_free(&ring);
	if (rc == ERR_OK)
		rc = resolve_user(c, &uid, e);
	if (rc != ERR_OK || c->database.broker_password_file.n == 0)
		return rc;
	if (config_secret_path(c->database.broker_password_file, path, sizeof path) != ERR_OK)
		return errmsg_set(e, ERR_CONFIG, "%s: database.broker_password_file: path too long",
				  c->path.p);
	rc = secret_read_file(path, c->broker.secret_files, &password, e);
	secret_free(&password);
	return rc;
}

/* --- listeners --- */

static void on_accept(evutil_socket_t fd, short what, void *arg)
{
	struct broker *b = arg;

	(void)what;
	for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
		int c = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (c == -1)
			return; /* EAGAIN, or a connection that is gone again */
		peer_accept(b, &c);
	}
}

static enum err add_listener(struct broker *b, int fd, struct errmsg *e)
{
	int type = 0, listening = 0;
	socklen_t n = sizeof type;
	struct event *ev = NULL;
	enum err rc = ERR_OK;

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) == -1 || type != SOCK_SEQPACKET ||
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &n) == -1 || !listening)
		rc = errmsg_set(e, ERR_CONFIG,
				"descriptor %d: expected a listening SOCK_SEQPACKET socket", fd);
	if (rc == ERR_OK && (b->nlisteners == BROKER_LISTENERS_MAX ||
			     fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) == -1))
		rc = errmsg_set(e, ERR_CONFIG, "descriptor %d: too many listeners", fd);
	if (rc == ERR_OK)
		ev = event_new(b->base, fd, EV_READ | EV_PERSIST, on_accept, b);
	if (ev == NULL || event_add(ev, NULL) != 0) {
		if (ev != NULL)
			event_free(ev);
		close(fd);
		return rc == ERR_OK ? errmsg_set(e, ERR_NOMEM, "out of memory") : rc;
	}
	b->listeners[b->nlisteners++] = ev;
	return ERR_OK;
}

static void close_listeners(struct broker *b)
{
	for (size_t i = 0; i < b->nlisteners; i++) {
		close(event_get_fd(b->listeners[i]));
		event_free(b->listeners[i]);
	}
	b->nlisteners = 0;
}

static enum err open_listeners(struct broker *b, const struct config *c, const int *fds,
			       size_t nfds, struct errmsg *e)
{
	int fd = -1;
	enum err rc = ERR_OK;

	for (size_t i = 0; i < nfds && rc == ERR_OK; i++)
		rc = add_listener(b, fds[i], e);
	if (nfds > 0 || rc != ERR_OK)
		return rc;
	rc = ipc_listen(c->broker.socket.p, &fd, e);
	return rc == ERR_OK ? add_listener(b, fd, e) : rc;
}

/* --- the drain --- */

/* Deferred to the loop: whoever finished something still has its objects in hand. */
void broker_drained(struct broker *b)
{
	event_active(b->drain_timer, EV_READ, 1);
}

static void on_drain(evutil_socket_t fd, short what, void *arg)
{
	struct broker *b = arg;
	struct peer *p = b->peers, *next;

	(void)fd;
	for (; p != NULL; p = next) {
		next = p->next;
		peer_close_idle(&p);
	}
	if ((what & EV_TIMEOUT) != 0)
		log_warn("drain_over", KU("peers", b->npeers),
			 KU("grants", grant_table_count(b->grants)),
			 K("then", "giving up the rest"));
	if ((what & EV_TIMEOUT) != 0 || (b->peers == NULL && grant_table_count(b->grants) == 0))
		(void)event_base_loopbreak(b->base);
}

static void on_signal(evutil_socket_t number, short what, void *arg)
{
	const struct timeval patience = {.tv_sec = BROKER_DRAIN_MS / 1000};
	struct broker *b = arg;

	(void)what;
	if (b->draining)
		return;
	log_info("draining", KI("signal", number), KU("peers", b->npeers),
		 KU("grants", grant_table_count(b->grants)));
	b->draining = true;
	close_listeners(b);
	if (evtimer_add(b->drain_timer, &patience) != 0)
		(void)event_base_loopbreak(b->base);
	broker_drained(b);
}

/* --- the whole --- */

static void on_database(void *arg, bool ready)
{
	struct broker *b = arg;

	if (ready)
		log_info("database", K("state", "up"));
	else
		log_warn("database", K("state", "away"),
			 K("then", "answering store until it is back"));
	if (ready && !b->stopping)
		key_watch_kick(b->keys);
}

static enum err open_database(struct broker *b, const struct config *c, struct errmsg *e)
{
	char path[PATH_MAX];
	struct pg_options o = {
	    .conninfo = c->database.conninfo.p,
	    .user = "bff_broker",
	    .password_file_mode = c->broker.secret_files,
	    .application_name = "bff-broker",
	    .statements = broker_statements,
	    .nstatements = SQL_COUNT,
	    .connections = c->database.connections,
	    .query_timeout_ms = c->database.query_timeout_ms,
	    .pipeline = c->database.pipeline,
	    /* Without one nobody holds a lease, and each request is a read. */
	    .channel = c->database.revocations == REVOCATIONS_LISTEN ? SESSION_CACHE_CHANNEL : NULL,
	    .metrics = {b->metrics, METRIC_B_DB_DURATION, METRIC_B_DB_ERRORS, METRIC_B_LEASE_HELD,
			METRIC_B_LEASE_LOST, METRIC_B_REVOCATION_LAG}};
	enum err rc;

	if (c->database.broker_password_file.n > 0) {
		if (config_secret_path(c->database.broker_password_file, path, sizeof path) !=
		    ERR_OK)
			return errmsg_set(e, ERR_CONFIG,
					  "%s: database.broker_password_file: path too long",
					  c->path.p);
		o.password_file = path;
	}
	o.listener = token_memory_listener(b->tokens);
	rc = pg_open(b->base, &o, &b->pg, e);
	if (rc == ERR_OK)
		pg_on_ready(b->pg, on_database, b);
	return rc;
}

/* What bff.hosts calls us: the same after a restart, and another for a second broker here, or for
 * one on another machine of this name. */
static enum err open_key_watch(struct broker *b, const struct config *c)
{
	char name[KEY_WATCH_NAME_MAX] = "?";
	struct buf text;
	enum err rc = ERR_NOMEM;

	(void)gethostname(name, sizeof name - 1); /* a longer name is cut, or stays unknown */
	buf_init(&text, sizeof name + PATH_MAX);
	buf_add(&text, sv_str(name));
	buf_add_char(&text, ' ');
	key_watch_machine("/etc/machine-id", &text);
	buf_add_char(&text, ' ');
	buf_add(&text, c->broker.socket);
	if (buf_ok(&text))
		rc = key_watch_new(b, buf_sv(&text), &b->keys);
	buf_done(&text);
	return rc;
}

static enum err open_parts(struct broker *b, const struct config *c, struct errmsg *e)
{
	enum err rc = http_client_new(b->base, &b->http);

	if (rc == ERR_OK)
		rc = metrics_new(NULL, &b->metrics);
	if (rc == ERR_OK) {
		metrics_set(b->metrics, METRIC_B_START_TIME, METRICS_AT(0),
			    (uint64_t)clock_wall_s());
		http_client_count(b->http, b->metrics);
		rc = rate_limit_new(&b->limits);
	}
	if (rc == ERR_OK)
		rc = rate_limit_new(&b->responses);
	if (rc == ERR_OK)
		rc = grant_table_new(b, &b->grants);
	if (rc == ERR_OK)
		rc = service_tokens_new(b, &b->service_tokens);
	if (rc == ERR_OK)
		rc = token_memory_new(b, &b->tokens);
	if (rc == ERR_OK)
		rc = revocation_new(b, &b->revocation);
	if (rc == ERR_OK)
		rc = revalidation_new(b, &b->revalidation);
	if (rc == ERR_OK)
		rc = sweep_new(b, &b->sweep);
	if (rc == ERR_OK)
		rc = reseal_new(b, &b->reseal);
	if (rc == ERR_OK)
		rc = open_key_watch(b, c);
	b->drain_timer = event_new(b->base, -1, EV_TIMEOUT, on_drain, b);
	b->on_term = evsignal_new(b->base, SIGTERM, on_signal, b);
	b->on_int = evsignal_new(b->base, SIGINT, on_signal, b);
	if (rc == ERR_OK && (b->drain_timer == NULL || b->on_term == NULL || b->on_int == NULL ||
			     event_add(b->on_term, NULL) != 0 || event_add(b->on_int, NULL) != 0))
		rc = ERR_NOMEM;
	return rc == ERR_OK ? rc : errmsg_set(e, rc, "start: %s", err_text(rc));
}

enum err broker_new(const char *config_path, struct config **config, const int *fds, size_t nfds,
		    struct broker **ret, struct errmsg *e)
{
	const struct config *c = *config;
	struct broker *b = calloc(1, sizeof *b);
	enum err rc;

	if (b == NULL)
		return errmsg_set(e, ERR_NOMEM, "out of memory");
	broker_random(b->owner, sizeof b->owner);
	buf_init(&b->packet, IPC_FRAME_MAX);
	b->base = event_base_new();
	rc = b->base == NULL ? errmsg_set(e, ERR_NOMEM, "out of memory") : ERR_OK;
	if (rc == ERR_OK)
		rc = resolve_user(c, &b->peer_uid, e);
	if (rc == ERR_OK)
		rc = load_ring(c, &b->ring, e);
	if (rc == ERR_OK)
		rc = open_parts(b, c, e);
	if (rc == ERR_OK)
		rc = open_database(b, c, e);
	if (rc == ERR_OK)
		rc = open_listeners(b, c, fds, nfds, e);
	editions_init(&b->editions, b->base, b->http, config_path);
	if (rc == ERR_OK)
		rc = editions_add(&b->editions, config, e); /* c is the edition's from here on */
	if (rc != ERR_OK) {
		broker_free(&b);
		return rc;
	}
	*ret = b;
	return ERR_OK;
}

static void free_event(struct event **ev)
{
	if (*ev != NULL)
		event_free(*ev);
	*ev = NULL;
}

/* First the providers, whose last callbacks still query; then the queries, whose last callbacks
 * only clean up. */
void broker_free(struct broker **bp)
{
	struct broker *b = *bp;

	*bp = NULL;
	if (b == NULL)
		return;
	b->stopping = true;
	b->draining = false;
	close_listeners(b);
	while (b->peers != NULL) {
		struct peer *p = b->peers;

		peer_free(&p);
	}
	for (struct edition *ed = b->editions.newest; ed != NULL; ed = ed->next)
		edition_stop(ed);
	if (b->pg != NULL)
		pg_close(&b->pg);
	grant_table_free(&b->grants);
	service_tokens_free(&b->service_tokens);
	revocation_free(&b->revocation);
	revalidation_free(&b->revalidation);
	sweep_free(&b->sweep);
	reseal_free(&b->reseal);
	key_watch_free(&b->keys);
	token_memory_free(&b->tokens);
	editions_done(&b->editions);
	http_client_free(&b->http);
	rate_limit_free(&b->limits);
	rate_limit_free(&b->responses);
	keyring_free(&b->ring);
	buf_done(&b->packet);
	metrics_free(&b->metrics);
	free_event(&b->drain_timer);
	free_event(&b->on_term);
	free_event(&b->on_int);
	if (b->base != NULL)
		event_base_free(b->base);
	explicit_bzero(b, sizeof *b);
	free(b);
}

void broker_run(struct broker *b)
{
	(void)event_base_dispatch(b->base);
	log_info("token_requests", KU("from_memory", b->counts.from_memory),
		 KU("read", b->counts.read), KU("waited", b->counts.waited),
		 KU("renewed_ahead", b->counts.ahead));
}
