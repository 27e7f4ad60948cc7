#include "broker/holdoff.h"

static struct holdoff *find(struct holdoffs *h, const void *what)
{
	struct holdoff *soonest = &h->v[0];

	for (size_t i = 0; i < HOLDOFFS_MAX; i++) {
		if (h->v[i].what == what)
			return &h->v[i];
		if (h->v[i].what == NULL || h->v[i].until_ms < soonest->until_ms)
			soonest = &h->v[i];
	}
	*soonest = (struct holdoff){.what = what};
	return soonest;
}

void holdoff_for(struct holdoffs *h, const void *what, enum ipc_error answer, int64_t now_ms,
		 int64_t length_ms, unsigned char random)
{
	struct holdoff *o = find(h, what);

	o->until_ms = now_ms + length_ms + length_ms * random / 1024;
	o->answer = answer;
}

void holdoff_failed(struct holdoffs *h, const void *what, enum ipc_error answer, int64_t now_ms,
		    unsigned char random)
{
	struct holdoff *o = find(h, what);
	int64_t length = HOLDOFF_FIRST_MS;

	for (unsigned i = 0; i < o->streak && length < HOLDOFF_MAX_MS; i++)
		length *= 2;
	if (length > HOLDOFF_MAX_MS)
		length = HOLDOFF_MAX_MS;
	if (o->streak < 32)
		o->streak++;
	holdoff_for(h, what, answer, now_ms, length, random);
}

void holdoff_clear(struct holdoffs *h, const void *what)
{
	for (size_t i = 0; i < HOLDOFFS_MAX; i++)
		if (h->v[i].what == what)
			h->v[i] = (struct holdoff){.what = NULL};
}

enum ipc_error holdoff_judge(const struct holdoffs *h, const void *what, int64_t now_ms,
			     uint32_t *ret_left_s)
{
	for (size_t i = 0; i < HOLDOFFS_MAX; i++) {
		const struct holdoff *o = &h->v[i];

		if (o->what == what && o->until_ms > now_ms) {
			*ret_left_s = (uint32_t)((o->until_ms - now_ms + 999) / 1000);
			return o->answer;
		}
	}
	return IPC_ERROR_NONE;
}
