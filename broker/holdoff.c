#include "broker/holdoff.h"

#define STREAK_MAX 32

static int64_t grown(int64_t first_ms, int64_t max_ms, unsigned streak)
{
	int64_t length = first_ms;

	for (unsigned i = 0; i < streak && length < max_ms; i++)
		length *= 2;
	return length > max_ms ? max_ms : length;
}

static int64_t jittered(int64_t length_ms, unsigned char random)
{
	return length_ms + length_ms * random / 1024;
}

static uint32_t left_s(int64_t until_ms, int64_t now_ms)
{
	return until_ms <= now_ms ? 1 : (uint32_t)((until_ms - now_ms + 999) / 1000);
}

static struct holdoff *find(struct holdoffs *h, const void *what)
{
	for (size_t i = 0; i < HOLDOFFS_MAX; i++)
		if (h->v[i].what == what)
			return &h->v[i];
	return NULL;
}

/* A full table gives up what ends first. */
static struct holdoff *find_or_make(struct holdoffs *h, const void *what)
{
	struct holdoff *o = find(h, what);

	if (o != NULL)
		return o;
	o = &h->v[0];
	for (size_t i = 0; i < HOLDOFFS_MAX; i++) {
		if (h->v[i].what == NULL) {
			o = &h->v[i];
			break;
		}
		if (h->v[i].until_ms < o->until_ms)
			o = &h->v[i];
	}
	*o = (struct holdoff){.what = what};
	return o;
}

static void hold(struct holdoff *o, enum ipc_error answer, int64_t until_ms)
{
	o->until_ms = until_ms;
	o->answer = answer;
	o->probing = false;
	o->well_until_ms = 0;
	if (o->streak < STREAK_MAX)
		o->streak++;
}

void holdoff_failed(struct holdoffs *h, const void *what, enum ipc_error answer, int64_t now_ms,
		    unsigned char random)
{
	struct holdoff *o = find_or_make(h, what);

	if (o->until_ms > now_ms && !o->probing)
		return; /* sent before this opened */
	hold(o, answer,
	     now_ms + jittered(grown(HOLDOFF_FIRST_MS, HOLDOFF_MAX_MS, o->streak), random));
}

void holdoff_for(struct holdoffs *h, const void *what, enum ipc_error answer, int64_t now_ms,
		 int64_t length_ms, unsigned char random)
{
	struct holdoff *o = find_or_make(h, what);
	int64_t until_ms = now_ms + jittered(length_ms, random);

	if (!o->probing && o->until_ms > until_ms)
		until_ms = o->until_ms;
	hold(o, answer, until_ms);
}

void holdoff_clear(struct holdoffs *h, const void *what)
{
	struct holdoff *o = find(h, what);

	if (o != NULL)
		*o = (struct holdoff){.what = NULL};
}

void holdoff_answered(struct holdoffs *h, const void *what)
{
	struct holdoff *o = find(h, what);

	if (o != NULL && o->probing)
		*o = (struct holdoff){.what = NULL};
}

void holdoff_doubtful(struct holdoffs *h, const void *what, int64_t now_ms)
{
	struct holdoff *o = find(h, what);

	if (o == NULL || !o->probing)
		return;
	o->probing = false;
	o->until_ms = now_ms;
}

void holdoff_well(struct holdoffs *h, const void *what, int64_t now_ms)
{
	struct holdoff *o = find(h, what);

	if (o == NULL)
		o = find(h, NULL); /* a free one; what is held off is worth more than the proof */
	if (o != NULL)
		*o = (struct holdoff){.what = what, .well_until_ms = now_ms + HOLDOFF_WELL_MS};
}

enum ipc_error holdoff_judge(const struct holdoffs *h, const void *what, int64_t now_ms,
			     uint32_t *ret_left_s)
{
	for (size_t i = 0; i < HOLDOFFS_MAX; i++) {
		const struct holdoff *o = &h->v[i];

		if (o->what == what && o->until_ms > now_ms) {
			*ret_left_s = left_s(o->until_ms, now_ms);
			return o->answer;
		}
	}
	return IPC_ERROR_NONE;
}

enum ipc_error holdoff_admit(struct holdoffs *h, const void *what, enum holdoff_asker asker,
			     int64_t now_ms, uint32_t *ret_left_s)
{
	struct holdoff *o = find(h, what);
	int64_t from_ms;

	if (asker == HOLDOFF_WHEN_WELL && (o == NULL || o->well_until_ms <= now_ms)) {
		*ret_left_s = left_s(o == NULL ? 0 : o->until_ms, now_ms);
		return o == NULL || o->streak == 0 ? IPC_ERROR_PROVIDER_DOWN : o->answer;
	}
	if (o == NULL || o->streak == 0)
		return IPC_ERROR_NONE;
	from_ms = o->until_ms + (asker == HOLDOFF_LAST_ATTEMPT ? HOLDOFF_SPARE_MS : 0);
	if (now_ms < from_ms) {
		*ret_left_s = left_s(from_ms, now_ms);
		return o->answer;
	}
	o->until_ms = now_ms + HOLDOFF_PROBE_MS;
	o->probing = true;
	return IPC_ERROR_NONE;
}

void refusal_grow(struct refusal *f, enum ipc_error answer, int64_t now_ms, unsigned char random)
{
	f->until_ms = now_ms + jittered(grown(REFUSAL_FIRST_MS, REFUSAL_MAX_MS, f->streak), random);
	f->answer = answer;
	if (f->streak < STREAK_MAX)
		f->streak++;
}

void refusal_failed(struct refusals *r, uint64_t key, enum ipc_error answer, int64_t now_ms,
		    unsigned char random)
{
	struct refusal *f = &r->v[key % REFUSALS_MAX];

	if (f->key != key)
		*f = (struct refusal){.key = key};
	refusal_grow(f, answer, now_ms, random);
}

void refusal_clear(struct refusals *r, uint64_t key)
{
	struct refusal *f = &r->v[key % REFUSALS_MAX];

	if (f->key == key)
		*f = (struct refusal){.key = 0};
}

enum ipc_error refusal_judge(const struct refusals *r, uint64_t key, int64_t now_ms,
			     uint32_t *ret_left_s)
{
	const struct refusal *f = &r->v[key % REFUSALS_MAX];

	if (f->key != key || f->until_ms <= now_ms)
		return IPC_ERROR_NONE;
	*ret_left_s = left_s(f->until_ms, now_ms);
	return f->answer;
}
