#include "master/service.h"

#include <stdarg.h>
#include <stdlib.h>

#include "common/log.h"

enum err service_new(struct config **config, const struct listen_plan *listen, const char *worker,
		     unsigned generation, struct event_base *base, struct service **ret,
		     struct errmsg *e)
{
	struct service *s = calloc(1, sizeof *s);
	size_t n = (*config)->web.workers;

	if (s == NULL) {
		config_free(config);
		goto fail;
	}
	s->config = *config;
	*config = NULL;
	s->slots = calloc(n, sizeof *s->slots);
	if (s->slots == NULL)
		goto fail;
	s->worker = worker;
	s->generation = generation;
	s->listen = *listen;
	s->n = n;
	s->failed_exit = -1;
	for (size_t i = 0; i < n; i++)
		if (slot_init(&s->slots[i], s, (unsigned)i, base) != ERR_OK)
			goto fail;
	*ret = s;
	return ERR_OK;
fail:
	service_free(&s);
	return errmsg_set(e, ERR_NOMEM, "no memory for %zu workers", n);
}

void service_free(struct service **sp)
{
	struct service *s = *sp;

	*sp = NULL;
	if (s == NULL)
		return;
	for (size_t i = 0; s->slots != NULL && i < s->n; i++)
		slot_done(&s->slots[i]);
	free(s->slots);
	config_free(&s->config);
	free(s);
}

void service_start(struct service *s)
{
	struct errmsg e;

	for (size_t i = 0; i < s->n; i++)
		if (slot_start(&s->slots[i], &e) != ERR_OK) {
			log_error("worker_start_failed", K("reason", e.text));
			service_failed(s, "%s", e.text);
		}
}

void service_stop(struct service *s)
{
	for (size_t i = 0; i < s->n; i++)
		slot_stop(&s->slots[i]);
}

void service_abandon(struct service *s)
{
	for (size_t i = 0; i < s->n; i++)
		slot_abandon(&s->slots[i]);
}

void service_failed(struct service *s, const char *fmt, ...)
{
	va_list ap;

	if (s->has_failed)
		return;
	s->has_failed = true;
	va_start(ap, fmt);
	(void)vsnprintf(s->failure.text, sizeof s->failure.text, fmt, ap); /* a cut is fine */
	va_end(ap);
}

size_t service_count(const struct service *s, enum slot_state state)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++)
		n += s->slots[i].state == state;
	return n;
}

bool service_is_ready(const struct service *s)
{
	return service_count(s, SLOT_READY) == s->n;
}

bool service_is_gone(const struct service *s)
{
	return service_count(s, SLOT_IDLE) == s->n;
}

struct slot *service_find(struct service *s, pid_t pid)
{
	for (size_t i = 0; s != NULL && i < s->n; i++)
		if (s->slots[i].pid == pid)
			return &s->slots[i];
	return NULL;
}
