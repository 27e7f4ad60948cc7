#include "worker/pool.h"

#include <assert.h>
#include <stdlib.h>

struct pool_piece {
	struct pool_piece *next;
};

void pool_init(struct pool *p, size_t size, size_t max)
{
	assert(size >= sizeof(struct pool_piece));
	*p = (struct pool){.size = size, .max = max};
}

void pool_done(struct pool *p)
{
	struct pool_piece *piece;

	while ((piece = p->free) != NULL) {
		p->free = piece->next;
		free(piece);
	}
	p->n = p->max = 0;
}

void *pool_get(struct pool *p, size_t size)
{
	struct pool_piece *piece = p->free;

	if (piece == NULL)
		return calloc(1, size);
	assert(size == p->size);
	p->free = piece->next;
	p->n--;
	piece->next = NULL; /* 0 again, where it is wiped */
	return piece;
}

void pool_put(struct pool *p, void *piece)
{
	struct pool_piece *x = piece;

	if (x == NULL || p->n >= p->max) {
		free(piece);
		return;
	}
	x->next = p->free;
	p->free = x;
	p->n++;
}
