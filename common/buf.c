#include "common/buf.h"

#include <assert.h>
#include <stdlib.h>

void buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){.max = max};
}

void buf_done(struct buf *b)
{
	if (b->p != NULL)
		explicit_bzero(b->p, b->cap);
	free(b->p);
	*b = (struct buf){.max = b->max};
}

void buf_clear(struct buf *b)
{
	if (b->p != NULL)
		explicit_bzero(b->p, b->n);
	b->n = 0;
	b->failed = false;
}

char *buf_grow(struct buf *b, size_t n)
{
	size_t want, cap;
	char *p;

	if (b->failed)
		return NULL;
	if (n > b->max || b->n > b->max - n) {
		b->failed = true;
		return NULL;
	}
	want = b->n + n;
	if (want <= b->cap)
		return b->p + b->n;
	cap = b->cap == 0 ? 256 : b->cap;
	while (cap < want)
		cap *= 2;
	/* Not realloc: it would leave a copy of a token behind in freed memory. */
	p = malloc(cap);
	if (p == NULL) {
		b->failed = true;
		return NULL;
	}
	if (b->p != NULL) {
		memcpy(p, b->p, b->n);
		explicit_bzero(b->p, b->cap);
		free(b->p);
	}
	b->p = p;
	b->cap = cap;
	return b->p + b->n;
}

void buf_add_char(struct buf *b, char c)
{
	buf_add(b, sv_of(&c, 1));
}

void buf_add_u64(struct buf *b, uint64_t v)
{
	char digits[20];
	size_t i = sizeof digits;

	do {
		digits[--i] = (char)('0' + v % 10);
		v /= 10;
	} while (v > 0);
	buf_add(b, sv_of(digits + i, sizeof digits - i));
}

void buf_add_hex(struct buf *b, struct sv bytes)
{
	static const char hex[] = "0123456789abcdef";
	char *to = buf_reserve(b, 2 * bytes.n);

	for (size_t i = 0; to != NULL && i < bytes.n; i++) {
		*to++ = hex[(unsigned char)bytes.p[i] >> 4];
		*to++ = hex[bytes.p[i] & 15];
		b->n += 2;
	}
}

void buf_add_escaped(struct buf *b, char c)
{
	static const char hex[] = "0123456789ABCDEF";
	const char text[] = {'%', hex[(unsigned char)c >> 4], hex[c & 15]};

	buf_add(b, sv_of(text, sizeof text));
}

void buf_addf(struct buf *b, const char *fmt, ...)
{
	va_list ap, again;
	char *at;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		b->failed = true;
	at = n < 0 ? NULL : buf_reserve(b, (size_t)n + 1);
	if (at != NULL) {
		(void)vsnprintf(at, (size_t)n + 1, fmt, again); /* its length was just measured */
		b->n += (size_t)n;
	}
	va_end(again);
}

void buf_lend(struct buf *b, void *p, size_t cap)
{
	assert(b->p == NULL);
	b->p = p;
	b->cap = p == NULL ? 0 : cap;
}

void *buf_take_back(struct buf *b, size_t cap)
{
	char *p = b->p;

	if (b->cap != cap) {
		buf_done(b);
		return NULL;
	}
	buf_clear(b);
	*b = (struct buf){.max = b->max};
	return p;
}

void buf_consume(struct buf *b, size_t n)
{
	if (n >= b->n) {
		buf_clear(b);
		return;
	}
	memmove(b->p, b->p + n, b->n - n);
	explicit_bzero(b->p + b->n - n, n);
	b->n -= n;
}
