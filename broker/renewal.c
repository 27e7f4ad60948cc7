#include "broker/renewal.h"

#include <stdlib.h>

#define CHAINS_FIRST_BITS 6
#define HEAP_FIRST 64

struct renewals {
	struct renewal **heap; /* heap[0] is due first */
	struct renewal **chains;
	size_t n, cap, max;
	unsigned chain_bits;
	uint64_t secret;
};

/* --- the heap --- */

static void place(struct renewals *r, size_t at, struct renewal *x)
{
	r->heap[at] = x;
	x->at = at;
}

static void rise(struct renewals *r, struct renewal *x)
{
	size_t at = x->at;

	while (at > 0 && r->heap[(at - 1) / 2]->due_ms > x->due_ms) {
		place(r, at, r->heap[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	place(r, at, x);
}

static void sink(struct renewals *r, struct renewal *x)
{
	size_t at = x->at, child;

	while ((child = 2 * at + 1) < r->n) {
		if (child + 1 < r->n && r->heap[child + 1]->due_ms < r->heap[child]->due_ms)
			child++;
		if (r->heap[child]->due_ms >= x->due_ms)
			break;
		place(r, at, r->heap[child]);
		at = child;
	}
	place(r, at, x);
}

static void set_due(struct renewals *r, struct renewal *x, int64_t due_ms)
{
	x->due_ms = due_ms;
	rise(r, x);
	sink(r, x);
}

/* --- the chains --- */

static size_t spread(const struct renewals *r, const unsigned char *hash, const unsigned char *id)
{
	uint64_t a, b;

	memcpy(&a, hash, sizeof a);
	memcpy(&b, id, sizeof b);
	return (size_t)((a ^ b) * (r->secret | 1) >> (64 - r->chain_bits));
}

static struct renewal **find(struct renewals *r, const unsigned char *hash, const unsigned char *id)
{
	struct renewal **p = &r->chains[spread(r, hash, id)];

	while (*p != NULL && (memcmp((*p)->hash, hash, CRYPT_SHA256_LEN) != 0 ||
			      memcmp((*p)->id, id, CRYPT_SHA256_LEN) != 0))
		p = &(*p)->next;
	return p;
}

/* Without memory the chains just grow longer. */
static void grow_chains(struct renewals *r)
{
	size_t old_n = (size_t)1 << r->chain_bits;
	struct renewal **old = r->chains, **more = calloc(2 * old_n, sizeof(struct renewal *));

	if (more == NULL)
		return;
	r->chains = more;
	r->chain_bits++;
	for (size_t i = 0; i < r->n; i++) {
		struct renewal *x = r->heap[i];
		struct renewal **to = &more[spread(r, x->hash, x->id)];

		x->next = *to;
		*to = x;
	}
	free(old);
}

/* --- entries --- */

enum err renewals_new(size_t max, uint64_t secret, struct renewals **ret)
{
	struct renewals *r = calloc(1, sizeof *r);

	if (r == NULL)
		return ERR_NOMEM;
	r->max = max;
	r->secret = secret;
	r->cap = HEAP_FIRST;
	r->chain_bits = CHAINS_FIRST_BITS;
	r->heap = calloc(r->cap, sizeof(struct renewal *));
	r->chains = calloc((size_t)1 << r->chain_bits, sizeof(struct renewal *));
	if (r->heap == NULL || r->chains == NULL) {
		renewals_free(&r);
		return ERR_NOMEM;
	}
	*ret = r;
	return ERR_OK;
}

static void forget(struct renewals *r, struct renewal *x)
{
	struct renewal *last = r->heap[--r->n];

	*find(r, x->hash, x->id) = x->next;
	if (last != x) {
		place(r, x->at, last);
		rise(r, last);
		sink(r, last);
	}
	if (x->holder != NULL)
		*x->holder = NULL;
	free(x);
}

void renewals_free(struct renewals **r)
{
	if (*r == NULL)
		return;
	while ((*r)->n > 0)
		forget(*r, (*r)->heap[(*r)->n - 1]);
	free((*r)->heap);
	free((*r)->chains);
	free(*r);
	*r = NULL;
}

static struct renewal *add(struct renewals *r, const unsigned char *hash, const unsigned char *id,
			   struct sv grant_id)
{
	struct renewal *x, **heap, **p;

	if (r->n >= r->max || grant_id.n == 0 || grant_id.n > sizeof x->grant_id)
		return NULL;
	if (r->n == r->cap) {
		heap = reallocarray(r->heap, 2 * r->cap, sizeof(struct renewal *));
		if (heap == NULL)
			return NULL;
		r->heap = heap;
		r->cap *= 2;
	}
	x = calloc(1, sizeof *x);
	if (x == NULL)
		return NULL;
	if (r->n >> r->chain_bits != 0)
		grow_chains(r);
	memcpy(x->hash, hash, sizeof x->hash);
	memcpy(x->id, id, sizeof x->id);
	memcpy(x->grant_id, grant_id.p, grant_id.n);
	x->grant_id_n = (unsigned)grant_id.n;
	p = find(r, hash, id);
	x->next = *p;
	*p = x;
	place(r, r->n++, x);
	return x;
}

static int64_t retry_ms(const struct renewal *x)
{
	int64_t ms = RENEWAL_RETRY_MS;

	for (unsigned i = 1; i < x->tries && ms < RENEWAL_RETRY_MAX_MS; i++)
		ms *= 2;
	return ms < RENEWAL_RETRY_MAX_MS ? ms : RENEWAL_RETRY_MAX_MS;
}

struct renewal *renewals_note(struct renewals *r, const unsigned char hash[CRYPT_SHA256_LEN],
			      const unsigned char id[CRYPT_SHA256_LEN], struct sv grant_id,
			      int64_t expires_ms, int64_t ttl_ms, enum renewal_by by,
			      int64_t now_ms)
{
	struct renewal *x = *find(r, hash, id);

	if (x == NULL && by == RENEWAL_BY_REQUEST)
		x = add(r, hash, id, grant_id);
	if (x == NULL)
		return NULL;
	if (by == RENEWAL_BY_REQUEST)
		x->used_ms = now_ms;
	if (expires_ms > x->expires_ms + RENEWAL_RETRY_MS) { /* not just counted differently */
		x->tries = 0;
		x->expires_ms = expires_ms;
		x->ttl_ms = ttl_ms;
		set_due(r, x, expires_ms - token_margin_ms(ttl_ms, grant_id) + RENEWAL_SLACK_MS);
	}
	return x;
}

void renewal_hold(struct renewal *r, struct renewal **holder)
{
	if (r->holder != NULL)
		*r->holder = NULL;
	r->holder = holder;
	*holder = r;
}

void renewal_release(struct renewal **holder)
{
	if (*holder != NULL)
		(*holder)->holder = NULL;
	*holder = NULL;
}

const struct renewal *renewals_due(struct renewals *r, int64_t now_ms)
{
	while (r->n > 0 && r->heap[0]->due_ms <= now_ms) {
		struct renewal *x = r->heap[0];

		if (now_ms >= x->expires_ms || now_ms - x->used_ms > x->ttl_ms) {
			forget(r, x);
			continue;
		}
		x->tries++;
		set_due(r, x, now_ms + retry_ms(x));
		return x;
	}
	return NULL;
}

int64_t renewals_wait_ms(const struct renewals *r, int64_t now_ms)
{
	if (r->n == 0)
		return -1;
	return r->heap[0]->due_ms > now_ms ? r->heap[0]->due_ms - now_ms : 0;
}

size_t renewals_count(const struct renewals *r)
{
	return r->n;
}
