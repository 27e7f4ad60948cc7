#include "broker/sweep.h"

#include <stdlib.h>

#include "broker/job_timer.h"
#include "broker/revocation.h"
#include "common/log.h"

struct sweep {
	struct broker *broker;
	struct event *timer;
};

static void on_swept(void *arg, enum err e, const struct pg_rows *rows)
{
	struct sweep *s = arg;
	int64_t n = e == ERR_OK && pg_rows_count(rows) == 1 ? pg_rows_i64(rows, 0, 0) : 0;

	if (s->broker->stopping)
		return;
	if (e != ERR_OK)
		log_warn("sweep_failed", K("why", err_text(e)), K("then", "the next one tries"));
	if (n > 0) {
		log_info("swept", KI("rows", n));
		revocation_kick(s->broker->revocation);
	}
	job_timer_set(s->timer, n >= SWEEP_ROWS_MAX ? SWEEP_AGAIN_MS : SWEEP_EVERY_MS);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct sweep *s = arg;
	struct sql_i64 rows_max;
	const struct pg_param params[] = {sql_i64(&rows_max, SWEEP_ROWS_MAX)};

	(void)fd;
	(void)what;
	if (s->broker->draining)
		return;
	if (pg_query(s->broker->pg, SQL_SWEEP, params, on_swept, s, NULL) != ERR_OK)
		job_timer_set(s->timer, SWEEP_EVERY_MS);
}

enum err sweep_new(struct broker *b, struct sweep **ret)
{
	struct sweep *s = calloc(1, sizeof *s);

	if (s == NULL)
		return ERR_NOMEM;
	s->broker = b;
	s->timer = evtimer_new(b->base, on_timer, s);
	if (s->timer == NULL) {
		free(s);
		return ERR_NOMEM;
	}
	job_timer_set(s->timer, SWEEP_EVERY_MS / 4);
	*ret = s;
	return ERR_OK;
}

void sweep_free(struct sweep **s)
{
	if (*s == NULL)
		return;
	event_free((*s)->timer);
	free(*s);
	*s = NULL;
}
