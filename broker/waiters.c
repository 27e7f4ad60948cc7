#include "broker/waiters.h"

#include "common/clock.h"
#include <stdlib.h>

struct waiter {
	struct waiter *next, **prev;
	struct waiters *list;
	struct request *request;
	struct event *deadline;
};

/* Off the list and gone; its request is the caller's. */
static struct request *release(struct waiter *w)
{
	struct request *r = w->request;

	*w->prev = w->next;
	if (w->next != NULL)
		w->next->prev = w->prev;
	w->list->n--;
	event_free(w->deadline);
	free(w);
	return r;
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct waiter *w = arg;
	enum ipc_error late = w->list->late;
	struct request *r = release(w);

	(void)fd;
	(void)what;
	request_fail(&r, late, (struct request_failure){.retry_after_s = 1, .detail = "wait_over"});
}

void waiters_add(struct waiters *list, struct request **r)
{
	const struct timeval patience = clock_timeval(WAITER_PATIENCE_MS);
	struct waiter *w = list->n < WAITERS_MAX ? calloc(1, sizeof *w) : NULL;

	if (w != NULL)
		w->deadline = evtimer_new((*r)->broker->base, on_deadline, w);
	if (w == NULL || w->deadline == NULL || evtimer_add(w->deadline, &patience) != 0) {
		if (w != NULL && w->deadline != NULL)
			event_free(w->deadline);
		free(w);
		request_fail(
		    r, IPC_ERROR_PROVIDER_DOWN,
		    (struct request_failure){.retry_after_s = 1, .detail = "too_many_waiters"});
		return;
	}
	w->list = list;
	w->request = *r;
	*r = NULL;
	w->next = list->first;
	w->prev = &list->first;
	if (w->next != NULL)
		w->next->prev = &w->next;
	list->first = w;
	list->n++;
}

struct request *waiters_take(struct waiters *list)
{
	return list->first == NULL ? NULL : release(list->first);
}

void waiters_answer_one(struct request **r, struct sv token, int64_t left_ms)
{
	const struct ipc_message m = {
	    .number = IPC_TOKEN,
	    .u.token = {.access_token = token, .expires_in_ms = (uint64_t)left_ms}};

	request_answer(r, &m);
}

void waiters_answer(struct waiters *list, struct sv token, int64_t left_ms)
{
	while (list->first != NULL) {
		struct request *r = release(list->first);

		waiters_answer_one(&r, token, left_ms);
	}
}

void waiters_fail(struct waiters *list, enum ipc_error code, const char *detail, uint32_t retry_s)
{
	while (list->first != NULL) {
		struct request *r = release(list->first);

		request_fail(&r, code,
			     (struct request_failure){.retry_after_s = retry_s, .detail = detail});
	}
}
