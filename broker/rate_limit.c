#include "broker/rate_limit.h"

#include <stdlib.h>

#include "common/crypt.h"

/* Level is in thousandths of a token, so that a millisecond adds a whole number. */
struct bucket {
	uint64_t hash; /* 0 = free */
	int64_t level;
	int64_t at_ms;
};

struct rate_limit {
	unsigned char key[32];
	struct bucket all;
	struct bucket sets[RATE_LIMIT_SETS][RATE_LIMIT_WAYS];
};

enum err rate_limit_new(struct rate_limit **ret)
{
	struct rate_limit *r = calloc(1, sizeof *r);

	if (r == NULL)
		return ERR_NOMEM;
	if (crypt_random(r->key, sizeof r->key) != ERR_OK) {
		free(r);
		return ERR_CRYPTO;
	}
	r->all.level = LOGIN_ALL_BURST * 1000;
	*ret = r;
	return ERR_OK;
}

void rate_limit_free(struct rate_limit **r)
{
	free(*r);
	*r = NULL;
}

static void refill(struct bucket *b, int64_t now_ms, int64_t per_second, int64_t burst)
{
	int64_t passed = now_ms - b->at_ms;

	if (passed <= 0)
		return;
	if (passed > burst * 1000)
		passed = burst * 1000; /* full anyway, and no overflow */
	b->level += passed * per_second;
	if (b->level > burst * 1000)
		b->level = burst * 1000;
	b->at_ms = now_ms;
}

static struct bucket *find(struct rate_limit *r, struct sv prefix, int64_t now_ms)
{
	unsigned char mac[CRYPT_SHA256_LEN];
	struct bucket *set, *best = NULL;
	uint64_t hash = 0, index = 0;

	if (crypt_hmac_sha256(sv_of((const char *)r->key, sizeof r->key), prefix, mac) != ERR_OK)
		return NULL;
	memcpy(&hash, mac, sizeof hash);
	memcpy(&index, mac + sizeof hash, sizeof index);
	hash |= 1;
	set = r->sets[index % RATE_LIMIT_SETS];
	for (size_t i = 0; i < RATE_LIMIT_WAYS; i++) {
		struct bucket *b = &set[i];

		if (b->hash == hash) {
			refill(b, now_ms, LOGIN_PREFIX_PER_SECOND, LOGIN_PREFIX_BURST);
			return b;
		}
		if (b->hash != 0)
			refill(b, now_ms, LOGIN_PREFIX_PER_SECOND, LOGIN_PREFIX_BURST);
		if (best == NULL || (best->hash != 0 && (b->hash == 0 || b->level > best->level)))
			best = b;
	}
	*best = (struct bucket){.hash = hash, .level = LOGIN_PREFIX_BURST * 1000, .at_ms = now_ms};
	return best;
}

static uint32_t wait_s(const struct bucket *b, int64_t per_second)
{
	int64_t ms = (1000 - b->level + per_second - 1) / per_second;

	return ms <= 1000 ? 1 : (uint32_t)((ms + 999) / 1000);
}

bool rate_limit_take(struct rate_limit *r, struct sv prefix, int64_t now_ms, uint32_t *ret_retry_s)
{
	struct bucket *b = find(r, prefix, now_ms);

	*ret_retry_s = 1;
	if (b == NULL)
		return false;
	if (r->all.at_ms == 0)
		r->all.at_ms = now_ms;
	refill(&r->all, now_ms, LOGIN_ALL_PER_SECOND, LOGIN_ALL_BURST);
	if (b->level < 1000) {
		*ret_retry_s = wait_s(b, LOGIN_PREFIX_PER_SECOND);
		return false;
	}
	if (r->all.level < 1000) {
		*ret_retry_s = wait_s(&r->all, LOGIN_ALL_PER_SECOND);
		return false;
	}
	b->level -= 1000;
	r->all.level -= 1000;
	return true;
}
