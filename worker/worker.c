#include "worker/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "common/config_digest.h"
#include "common/log.h"
#include "worker/count.h"

static void tell_master(const struct worker *w, enum contract_status what)
{
	unsigned char byte = (unsigned char)what;

	(void)w;
	/* A master that is gone is seen by the status descriptor's end. */
	(void)!send(CONTRACT_FD_STATUS, &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* False: no memory. */
static bool arm_ms(struct event *ev, int64_t ms)
{
	struct timeval tv = clock_timeval(ms);

	return event_add(ev, &tv) == 0;
}

/* ---- the end ----------------------------------------------------------------------------- */

static void end_if_empty(struct worker *w)
{
	if (w->draining && w->conns.n == 0)
		(void)event_base_loopexit(w->base, NULL);
}

void worker_conn_closed(struct worker *w)
{
	event_active(w->ev_reap, EV_TIMEOUT, 0);
	acceptor_room(w->acceptor);
}

static void on_reap(evutil_socket_t fd, short what, void *arg)
{
	struct worker *w = arg;

	(void)fd;
	(void)what;
	conns_reap(&w->conns);
	end_if_empty(w);
}

static void on_drain_idle(evutil_socket_t fd, short what, void *arg)
{
	struct worker *w = arg;

	(void)fd;
	(void)what;
	conns_close_idle(&w->conns);
	(void)arm_ms(w->ev_drain_idle, CONTRACT_DRAIN_IDLE_MS / 5); /* else the master's SIGKILL */
	end_if_empty(w);
}

static void drain(struct worker *w, const char *why)
{
	if (w->draining)
		return;
	log_info("draining", K("reason", why), KU("connections", w->conns.n));
	acceptor_stop(w->acceptor);
	w->draining = true;
	tell_master(w, CONTRACT_DRAINING);
	session_events_end(w->events);
	(void)arm_ms(w->ev_drain_idle, CONTRACT_DRAIN_IDLE_MS); /* else the master's SIGKILL */
	end_if_empty(w);
}

static void on_term(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	drain(arg, "sigterm");
}

/* The master sends nothing: whatever can be read here is its end. */
static void on_status(evutil_socket_t fd, short what, void *arg)
{
	struct worker *w = arg;

	(void)fd;
	(void)what;
	(void)event_del(w->ev_status);
	drain(w, "master_gone");
}

/* ---- the beginning ----------------------------------------------------------------------- */

static void become_ready(struct worker *w)
{
	if (w->ready || w->draining)
		return;
	w->ready = true;
	(void)event_del(w->ev_warm_up);
	if (acceptor_start(w->acceptor) != ERR_OK) {
		log_error("listen_failed", K("error", strerror(errno)));
		(void)event_base_loopbreak(w->base);
		return;
	}
	log_info("ready", K("database", pg_ready(w->pg) ? "up" : "down"),
		 K("broker", broker_client_up(w->broker) ? "up" : "down"));
	tell_master(w, CONTRACT_READY);
}

static void on_warm_up(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	become_ready(arg);
}

static void on_heartbeat(evutil_socket_t fd, short what, void *arg)
{
	struct worker *w = arg;

	(void)fd;
	(void)what;
	count_sample(w);
	if (w->ready)
		tell_master(w, CONTRACT_ALIVE);
}

static void on_pg_ready(void *arg, bool ready)
{
	struct worker *w = arg;

	log_info("database", K("state", ready ? "up" : "down"));
	w->pg_seen = true;
	count_sample(w);
	if (w->broker_seen)
		become_ready(w);
}

static void on_broker_state(void *arg, bool up)
{
	struct worker *w = arg;

	(void)up;
	w->broker_seen = true;
	count_sample(w);
	if (w->pg_seen)
		become_ready(w);
}

static const struct pg_statement statements[] = {
#define SQL(name, nparams, kind, text) {#name, text, nparams, PG_##kind},
#include "worker/worker_sql.def"
#undef SQL
};

static enum session_memory_mode memory_mode(const struct config *c)
{
	if (!c->web.session_cache)
		return SESSION_MEMORY_OFF;
	switch (c->database.revocations) {
	case REVOCATIONS_LISTEN:
		return SESSION_MEMORY_LISTEN;
	case REVOCATIONS_POLL:
		return SESSION_MEMORY_POLL;
	}
	return SESSION_MEMORY_OFF;
}

static enum err open_database(struct worker *w, struct errmsg *e)
{
	char path[4096];
	const struct config *c = w->config;
	struct pg_options o = {
	    .conninfo = c->database.conninfo.p,
	    .user = "bff_web",
	    .password_file_mode = c->broker.secret_files,
	    .application_name = "bff-worker",
	    .statements = statements,
	    .nstatements = ARRAY_LEN(statements),
	    .connections = c->database.connections,
	    .query_timeout_ms = c->database.query_timeout_ms,
	    .pipeline = c->database.pipeline,
	    .metrics = {count_metrics(w->count), METRIC_DB_DURATION, METRIC_DB_ERRORS,
			METRIC_LEASE_HELD, METRIC_LEASE_LOST, METRIC_REVOCATION_LAG},
	};
	enum err rc = session_memory_new(w->base, memory_mode(c), &w->memory);

	if (rc != ERR_OK)
		return errmsg_set(e, rc, "sessions: %s", err_text(rc));
	if (memory_mode(c) == SESSION_MEMORY_LISTEN) {
		o.channel = SESSION_CACHE_CHANNEL;
		o.listener = session_memory_listener(w->memory);
	}
	if (c->database.web_password_file.n > 0) {
		rc = config_secret_path(c->database.web_password_file, path, sizeof path);
		if (rc != ERR_OK)
			return errmsg_set(e, rc, "database.web_password_file: too long");
		o.password_file = path;
	}
	rc = pg_open(w->base, &o, &w->pg, e);
	if (rc != ERR_OK)
		return rc;
	session_memory_use_pool(w->memory, w->pg, WORKER_SQL_REVOCATIONS);
	pg_on_ready(w->pg, on_pg_ready, w);
	rc = session_watches_new(w->base, w->pg, WORKER_SQL_SESSION_GET, &w->watches);
	if (rc == ERR_OK)
		rc = session_events_new(w->base, w->watches,
					c->web.max_connections / SESSION_EVENTS_SHARE, &w->events);
	if (rc != ERR_OK)
		return errmsg_set(e, rc, "sessions: %s", err_text(rc));
	session_memory_on_ended(w->memory, session_watches_ended, w->watches);
	return ERR_OK;
}

static enum err read_keys(struct worker *w, struct errmsg *e)
{
	char path[4096];
	struct secret *file = NULL;
	enum err rc = config_secret_path(w->config->web.cookie_keys, path, sizeof path);

	if (rc != ERR_OK)
		return errmsg_set(e, rc, "web.cookie_keys: too long");
	rc = secret_read_file(path, w->config->broker.secret_files, &file, e);
	if (rc == ERR_OK)
		rc = cookie_keys_parse(secret_view(file), &w->keys, e);
	secret_free(&file);
	return rc;
}

enum err worker_tables_make(struct worker *w, struct errmsg *e)
{
	enum err rc = route_table_new(w->config, &w->routes, e);
	const struct sv *names;
	size_t nnames;

	if (rc != ERR_OK)
		return rc;
	rc = identity_table_new(w->config, &w->identities);
	if (rc == ERR_OK)
		rc = policy_table_new(w->config, &w->policy);
	if (rc != ERR_OK)
		return errmsg_set(e, rc, "%s", err_text(rc));
	names = identity_names(w->identities, &nnames);
	w->injected = injected_of(names, nnames);
	w->cookie_names = calloc(w->config->napps + COOKIE_OWN_NAMES, sizeof *w->cookie_names);
	if (w->cookie_names == NULL)
		return errmsg_set(e, ERR_NOMEM, "out of memory");
	w->ncookie_names = cookie_names(w->config, w->cookie_names);
	return ERR_OK;
}

void worker_tables_free(struct worker *w)
{
	free(w->cookie_names);
	w->cookie_names = NULL;
	policy_table_free(&w->policy);
	identity_table_free(&w->identities);
	route_table_free(&w->routes);
}

static enum err make_events(struct worker *w, struct errmsg *e)
{
	w->ev_reap = evtimer_new(w->base, on_reap, w);
	w->ev_heartbeat = event_new(w->base, -1, EV_PERSIST, on_heartbeat, w);
	w->ev_warm_up = evtimer_new(w->base, on_warm_up, w);
	w->ev_term = evsignal_new(w->base, SIGTERM, on_term, w);
	w->ev_status = event_new(w->base, CONTRACT_FD_STATUS, EV_READ | EV_PERSIST, on_status, w);
	w->ev_drain_idle = evtimer_new(w->base, on_drain_idle, w);
	if (w->ev_reap == NULL || w->ev_heartbeat == NULL || w->ev_warm_up == NULL ||
	    w->ev_term == NULL || w->ev_status == NULL || w->ev_drain_idle == NULL ||
	    event_add(w->ev_term, NULL) == -1 || event_add(w->ev_status, NULL) == -1 ||
	    !arm_ms(w->ev_heartbeat, CONTRACT_HEARTBEAT_MS) ||
	    !arm_ms(w->ev_warm_up, CONTRACT_WARM_UP_MS))
		return errmsg_set(e, ERR_NOMEM, "events: out of memory");
	return ERR_OK;
}

static enum err start(struct worker *w, struct errmsg *e)
{
	unsigned char digest[CRYPT_SHA256_LEN];
	enum err rc;

	conns_init(&w->conns);
	pool_init(&w->requests, request_size(), WORKER_POOLED);
	pool_init(&w->fields, w->config->web.max_headers * sizeof(struct http_field),
		  WORKER_POOLED);
	pool_init(&w->chunks, CONN_CHUNK, 2 * (size_t)WORKER_POOLED);
	if (w->nlisten != w->config->nlistens)
		return errmsg_set(e, ERR_CONFIG, "%u listeners came, the configuration has %zu",
				  w->nlisten, w->config->nlistens);
	w->base = event_base_new();
	if (w->base == NULL)
		return errmsg_set(e, ERR_NOMEM, "event_base_new: out of memory");
	rc = count_new(w->config, w->slab, &w->count, e);
	if (rc == ERR_OK)
		rc = acceptor_new(w, w->nlisten, &w->acceptor, e);
	if (rc == ERR_OK)
		rc = listeners_new(w->config, &w->listeners, e);
	if (rc == ERR_OK)
		rc = page_files_new(w->config, &w->pages, e);
	if (rc == ERR_OK)
		rc = read_keys(w, e);
	if (rc == ERR_OK)
		rc = worker_tables_make(w, e);
	if (rc == ERR_OK)
		rc = make_events(w, e);
	if (rc == ERR_OK)
		rc = open_database(w, e);
	if (rc != ERR_OK)
		return rc;
	rc = config_digest(w->config, digest);
	if (rc == ERR_OK)
		rc = broker_client_new(w->base, w->config->broker.socket.p, digest, &w->broker);
	if (rc == ERR_OK)
		rc = touch_new(w->base, w->pg, WORKER_SQL_SESSION_TOUCH, &w->touch);
	if (rc != ERR_OK)
		return errmsg_set(e, rc, "start: %s", err_text(rc));
	broker_client_on_state(w->broker, on_broker_state, w);
	broker_client_count(w->broker, count_metrics(w->count));
	return ERR_OK;
}

static void free_event(struct event **ev)
{
	if (*ev != NULL)
		event_free(*ev);
	*ev = NULL;
}

static void finish(struct worker *w)
{
	conns_close_all(&w->conns);
	pool_done(&w->requests);
	pool_done(&w->fields);
	pool_done(&w->chunks);
	acceptor_free(&w->acceptor);
	listeners_free(&w->listeners);
	page_files_free(&w->pages);
	touch_free(&w->touch);
	broker_client_free(&w->broker);
	session_events_free(&w->events);
	session_watches_free(&w->watches);
	pg_close(&w->pg);
	session_memory_free(&w->memory);
	free_event(&w->ev_reap);
	free_event(&w->ev_heartbeat);
	free_event(&w->ev_warm_up);
	free_event(&w->ev_term);
	free_event(&w->ev_status);
	free_event(&w->ev_drain_idle);
	worker_tables_free(w);
	cookie_keys_free(&w->keys);
	count_free(&w->count);
	if (w->base != NULL)
		event_base_free(w->base);
	config_free(&w->config);
}

int worker_run(struct config **config, unsigned nlisten, unsigned generation, unsigned slab)
{
	struct worker w = {.nlisten = nlisten, .generation = generation, .slab = slab};
	struct errmsg e = {.text = ""};
	enum err rc;

	w.config = *config;
	*config = NULL;
	rc = start(&w, &e);
	if (rc != ERR_OK) {
		log_error("start_failed", K("error", e.text[0] == '\0' ? err_text(rc) : e.text));
		finish(&w);
		return rc == ERR_CONFIG ? CONTRACT_EXIT_CONFIG : CONTRACT_EXIT_ERROR;
	}
	if (event_base_dispatch(w.base) == -1 || !w.draining) {
		log_error("loop_failed", K("error", strerror(errno)));
		rc = ERR_IO;
	}
	finish(&w);
	return rc == ERR_OK ? CONTRACT_EXIT_OK : CONTRACT_EXIT_ERROR;
}
