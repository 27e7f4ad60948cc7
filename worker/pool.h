/*
 * pool - pieces of memory of one size, kept for the next who needs one
 *
 * What a request needs and the next one needs again. At most `max` pieces are kept that nobody
 * uses; a zeroed pool keeps none and so is calloc() and free(). A piece comes as it was put back, and
 * of zeros the first time: SECURITY: whoever puts one back has wiped it.
 */
#ifndef BFF_POOL_H
#define BFF_POOL_H

#include <stddef.h>

struct pool_piece;

struct pool {
	size_t size, max, n;
	struct pool_piece *free;
};

/* max pieces of size bytes. */
void pool_init(struct pool *p, size_t size, size_t max);
void pool_done(struct pool *p);

/* size bytes: those of pool_init(). NULL without memory. */
void *pool_get(struct pool *p, size_t size);

/* Accepts NULL. */
void pool_put(struct pool *p, void *piece);

#endif
