/*
 * buf - a growing byte buffer with a hard limit
 *
 * Appending past `max` bytes or without memory sets `failed` and leaves the content as
 * it was; further appends do nothing. So a composer appends freely and checks once,
 * with buf_ok(). buf_done() wipes, because buffers carry tokens.
 */
#ifndef BFF_BUF_H
#define BFF_BUF_H

#include "common/sv.h"

struct buf {
	char *p;
	size_t n;   /* bytes in use */
	size_t cap; /* bytes allocated */
	size_t max; /* hard limit in bytes */
	bool failed;
};

/* An empty buffer that allocates nothing until the first append. */
void buf_init(struct buf *b, size_t max);

/* Wipes and frees; the buffer may be used again. Accepts a zeroed struct. */
void buf_done(struct buf *b);

/* Wipes the content, keeps the memory, clears `failed`. */
void buf_clear(struct buf *b);

/* buf_reserve() where there may be too little memory, or none allowed. */
char *buf_grow(struct buf *b, size_t n);

/* Makes room for n more bytes and returns where they go (NULL on failure); the caller
 * writes at most n bytes there and adds what it wrote to b->n. */
static inline char *buf_reserve(struct buf *b, size_t n)
{
	bool fits = !b->failed && b->n <= b->max && n <= b->max - b->n && n <= b->cap - b->n;

	return fits && b->p != NULL ? b->p + b->n : buf_grow(b, n);
}

static inline void buf_add(struct buf *b, struct sv s)
{
	char *at = buf_reserve(b, s.n);

	if (at == NULL || s.n == 0)
		return;
	memcpy(at, s.p, s.n);
	b->n += s.n;
}

void buf_add_char(struct buf *b, char c);
void buf_add_u64(struct buf *b, uint64_t v);
/* Two digits a byte, lower case. */
void buf_add_hex(struct buf *b, struct sv bytes);
/* %XX (RFC 3986 2.1). */
void buf_add_escaped(struct buf *b, char c);
__attribute__((format(printf, 2, 3))) void buf_addf(struct buf *b, const char *fmt, ...);

/* Gives an empty buffer without memory some of size cap, from malloc(): its own from now on. */
void buf_lend(struct buf *b, void *p, size_t cap);

/* The buffer's memory, wiped, now the caller's; NULL, and it is freed, if it has another size than
 * cap. The buffer may be used again. */
void *buf_take_back(struct buf *b, size_t cap);

/* Drops the first n bytes. */
void buf_consume(struct buf *b, size_t n);

static inline bool buf_ok(const struct buf *b)
{
	return !b->failed;
}

/* Valid until the next change of the buffer. */
static inline struct sv buf_sv(const struct buf *b)
{
	return sv_of(b->p, b->n);
}

#endif
