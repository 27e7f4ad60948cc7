#include "common/config_arena.h"

#include <stdalign.h>
#include <stdlib.h>

#define CHUNK_BYTES (16 * 1024)

struct config_chunk {
	struct config_chunk *next;
	size_t used, cap;
	alignas(max_align_t) char bytes[];
};

void *config_alloc(struct config_arena *a, size_t n)
{
	const size_t align = alignof(max_align_t);
	struct config_chunk *c = a->head;
	size_t cap;
	void *p;

	if (n > SIZE_MAX / 2)
		return NULL;
	n = n == 0 ? align : (n + align - 1) / align * align;
	if (c == NULL || c->cap - c->used < n) {
		cap = n > CHUNK_BYTES ? n : CHUNK_BYTES;
		c = calloc(1, sizeof *c + cap);
		if (c == NULL)
			return NULL;
		c->cap = cap;
		c->next = a->head;
		a->head = c;
	}
	p = c->bytes + c->used;
	c->used += n;
	return p;
}

void *config_alloc_array(struct config_arena *a, size_t n, size_t size)
{
	return size != 0 && n > SIZE_MAX / 2 / size ? NULL : config_alloc(a, n * size);
}

enum err config_copy(struct config_arena *a, struct sv s, struct sv *ret)
{
	char *p = config_alloc(a, s.n + 1);

	if (p == NULL)
		return ERR_NOMEM;
	if (s.n > 0)
		memcpy(p, s.p, s.n);
	*ret = sv_of(p, s.n);
	return ERR_OK;
}

void config_arena_done(struct config_arena *a)
{
	while (a->head != NULL) {
		struct config_chunk *next = a->head->next;

		free(a->head);
		a->head = next;
	}
}
