#include <assert.h>
#include <sys/random.h>

#include "common/clock.h"
#include "common/contract.h"
#include "common/log.h"
#include "common/pg_internal.h"
#include "common/secret.h"

static const char *state_name(enum pg_conn_state s)
{
	switch (s) {
	case PG_DOWN:
		return "down";
	case PG_CONNECTING:
		return "connecting";
	case PG_PREPARING:
		return "preparing";
	case PG_UP:
		return "up";
	}
	return "?";
}

static bool legal(enum pg_conn_state from, enum pg_conn_state to)
{
	switch (to) {
	case PG_DOWN:
		return true;
	case PG_CONNECTING: /* from itself: the next host */
		return from == PG_DOWN || from == PG_CONNECTING || from == PG_PREPARING;
	case PG_PREPARING:
		return from == PG_CONNECTING;
	case PG_UP:
		return from == PG_PREPARING;
	}
	return false;
}

void pg_conn_set_state(struct pg_conn *c, enum pg_conn_state state)
{
	struct pg *p = c->pg;
	bool was_ready = p->nup > 0, ready;

	assert(legal(c->state, state));
	log_debug("database_connection", K("from", state_name(c->state)),
		  K("to", state_name(state)));
	p->nup -= c->state == PG_UP;
	p->npooled -= c->state == PG_UP && !c->is_direct;
	if (c->state == PG_UP || state == PG_UP)
		pg_lease_disturb(c);
	c->state = state;
	p->nup += c->state == PG_UP;
	p->npooled += c->state == PG_UP && !c->is_direct;
	ready = p->nup > 0;
	if (ready != was_ready && p->ready_fn != NULL && !p->closed)
		p->ready_fn(p->ready_arg, ready);
}

void pg_conn_timer_set(struct pg_conn *c, int64_t ms)
{
	struct timeval tv = clock_timeval(ms);

	(void)event_add(c->timer,
			&tv); /* a timer that fails to be set: out of memory in start-up */
}

void pg_conn_want(struct pg_conn *c, short want)
{
	if (want == c->io_want)
		return;
	if (c->io_want != 0)
		(void)event_del(c->io); /* of a pending event: cannot fail */
	c->io_want = want;
	if (want == 0)
		return;
	(void)event_assign(c->io, c->pg->base, PQsocket(c->pq), (short)(want | EV_PERSIST),
			   pg_conn_on_io, c);
	if (event_add(c->io, NULL) == -1) {
		c->io_want = 0;
		c->broken = true;
		event_active(c->soon, 0, 0);
	}
}

void pg_conn_close(struct pg_conn *c)
{
	if (c->io_want != 0)
		(void)event_del(c->io); /* before the descriptor goes */
	c->io_want = 0;
	(void)event_del(c->timer);
	(void)event_del(c->soon);
	c->timer_set = false;
	c->broken = false;
	c->grouped = 0;
	c->ntrips = 0;
	c->fastest_ns = 0;
	c->queues = false;
	PQclear(c->result);
	c->result = NULL;
	if (c->pq != NULL)
		PQfinish(c->pq);
	c->pq = NULL;
}

/* Doubles from the minimum to the maximum; half of it is chance, so that hosts spread out. */
static int64_t backoff_ms(unsigned failures)
{
	int64_t ms = PG_BACKOFF_MIN_MS;
	uint32_t chance = 0;

	for (unsigned i = 0; i < failures && ms < PG_BACKOFF_MAX_MS; i++)
		ms *= 2;
	if (ms > PG_BACKOFF_MAX_MS)
		ms = PG_BACKOFF_MAX_MS;
	if (getrandom(&chance, sizeof chance, GRND_NONBLOCK) == -1)
		chance = 0; /* all wait the whole time */
	return ms - (int64_t)(chance % (uint32_t)(ms / 2));
}

/* To PG_DOWN until a timer. */
static void wait_to_retry(struct pg_conn *c, const char *event, const char *detail)
{
	int64_t ms = backoff_ms(c->failures++);

	if (ms < PG_BACKOFF_MIN_MS)
		ms = PG_BACKOFF_MIN_MS;
	c->tried = 0;
	log_warn(event, K("host", pg_target_name(c->pg->target, c->target)), K("error", detail),
		 KI("retry_ms", ms));
	pg_conn_set_state(c, PG_DOWN);
	if (!c->pg->closed)
		pg_conn_timer_set(c, ms);
}

static void connect_to(struct pg_conn *c);

/* The text of libpq's last error, one line, in `out`. */
static void error_line(const struct pg_conn *c, char *out, size_t n)
{
	const char *text = c->pq == NULL ? "out of memory" : PQerrorMessage(c->pq);
	size_t len = 0;

	for (; *text != '\0' && len + 1 < n; text++)
		out[len++] = *text == '\n' ? ' ' : *text;
	while (len > 0 && out[len - 1] == ' ')
		len--;
	out[len] = '\0';
}

void pg_conn_host_failed(struct pg_conn *c, const char *event, const char *detail)
{
	char text[LOG_VALUE_MAX];

	if (detail == NULL)
		error_line(c, text, sizeof text);
	else
		(void)snprintf(text, sizeof text, "%s", detail); /* cut is fine: a log value */
	pg_conn_close(c);
	if (++c->tried >= pg_target_hosts(c->pg->target)) {
		wait_to_retry(c, event, text);
		c->target = (c->target + 1) % pg_target_hosts(c->pg->target);
		return;
	}
	log_info(event, K("host", pg_target_name(c->pg->target, c->target)), K("error", text));
	c->target = (c->target + 1) % pg_target_hosts(c->pg->target);
	connect_to(c);
}

/* libpq would print it to stderr, past the log. An error that answers no query comes here, too: one
 * in taking in a notification, which is then lost (PostgreSQL before 15.16 goes on without it). */
static void on_notice(void *arg, const PGresult *r)
{
	const char *severity = PQresultErrorField(r, PG_DIAG_SEVERITY_NONLOCALIZED);
	struct pg_conn *c = arg;

	if (severity != NULL && strchr("EFP", severity[0]) == NULL)
		return; /* neither ERROR nor FATAL nor PANIC */
	c->broken = true;
	event_active(c->soon, 0, 0);
}

static void connect_to(struct pg_conn *c)
{
	struct pg *p = c->pg;
	struct secret *password = NULL;
	struct errmsg e;

	pg_conn_set_state(c, PG_CONNECTING);
	if (p->password_file != NULL &&
	    secret_read_file(p->password_file, p->password_file_mode, &password, &e) != ERR_OK) {
		pg_conn_host_failed(c, "database_password_unreadable", e.text);
		return;
	}
	c->pq = pg_target_connect(p->target, c->target,
				  password == NULL ? NULL : secret_view(password).p);
	secret_free(&password);
	if (c->pq == NULL || PQstatus(c->pq) == CONNECTION_BAD) {
		pg_conn_host_failed(c, "database_connect_failed", NULL);
		return;
	}
	(void)PQsetNoticeReceiver(c->pq, on_notice, c);
	pg_conn_timer_set(c, TIMEOUT_CONNECT_MS);
	pg_conn_want(c, EV_WRITE); /* libpq: begin as if PGRES_POLLING_WRITING */
}

static void poll_connect(struct pg_conn *c)
{
	PostgresPollingStatusType status;

	/* It may close the socket and open another under the same number. */
	pg_conn_want(c, 0);
	status = PQconnectPoll(c->pq);
	switch (status) {
	case PGRES_POLLING_READING:
		pg_conn_want(c, EV_READ);
		return;
	case PGRES_POLLING_WRITING:
		pg_conn_want(c, EV_WRITE);
		return;
	case PGRES_POLLING_OK:
		pg_prepare_start(c);
		return;
	case PGRES_POLLING_FAILED:
	case PGRES_POLLING_ACTIVE:
		pg_conn_host_failed(c, "database_connect_failed", NULL);
		return;
	}
}

void pg_conn_drop(struct pg_conn *c, const char *why, const char *detail)
{
	const struct pg_call *first;
	int64_t now_us = clock_boot_us();
	char text[LOG_VALUE_MAX];

	if (detail == NULL)
		error_line(c, text, sizeof text);
	else
		(void)snprintf(text, sizeof text, "%s", detail); /* cut is fine: a log value */
	pg_conn_close(c);
	/* First the state, then the callers: they see what is up and may ask again, or close the
	 * pool, which cancels those that are left. */
	wait_to_retry(c, why, text);
	while ((first = TAILQ_FIRST(&c->calls)) != NULL) {
		enum err e = first->deadline_ms <= now_us / 1000 ? ERR_TIMEOUT : ERR_UNAVAILABLE;

		pg_call_end(c->pg, pg_call_take(c, e, now_us), e, NULL);
	}
}

void pg_conn_on_io(evutil_socket_t fd, short what, void *arg)
{
	struct pg_conn *c = arg;
	struct pg *p = c->pg;

	(void)fd;
	pg_enter(p);
	switch (c->state) {
	case PG_DOWN:
		break;
	case PG_CONNECTING:
		poll_connect(c);
		break;
	case PG_PREPARING:
		pg_prepare_on_io(c, what);
		break;
	case PG_UP:
		pg_pipeline_on_io(c, what);
		break;
	}
	pg_leave(p);
}

void pg_conn_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct pg_conn *c = arg;
	struct pg *p = c->pg;

	(void)fd;
	(void)what;
	pg_enter(p);
	switch (c->state) {
	case PG_DOWN:
		connect_to(c);
		break;
	case PG_CONNECTING:
	case PG_PREPARING:
		pg_conn_host_failed(c, "database_connect_failed", "timeout");
		break;
	case PG_UP:
		pg_pipeline_on_timer(c);
		break;
	}
	pg_leave(p);
}

void pg_conn_on_soon(evutil_socket_t fd, short what, void *arg)
{
	struct pg_conn *c = arg;
	struct pg *p = c->pg;

	(void)fd;
	(void)what;
	pg_enter(p);
	if (c->broken && c->state == PG_UP)
		pg_conn_drop(c, "database_connection_lost", NULL);
	else if (c->broken)
		pg_conn_host_failed(c, "database_connect_failed", "no event");
	else if (c->state == PG_UP)
		pg_send_flush(c);
	pg_leave(p);
}
