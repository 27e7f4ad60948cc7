/*
 * config_arena - memory that lives as long as one configuration
 *
 * Everything a struct config points to. Zeroed, aligned for any type, freed at once.
 */
#ifndef BFF_CONFIG_ARENA_H
#define BFF_CONFIG_ARENA_H

#include "common/sv.h"

struct config_arena {
	struct config_chunk *head;
};

/* n zeroed bytes, or NULL. Never NULL for n == 0 unless memory is out. */
void *config_alloc(struct config_arena *a, size_t n);

/* n zeroed elements of `size` bytes, or NULL, also where the product overflows. */
void *config_alloc_array(struct config_arena *a, size_t n, size_t size);

/* A NUL-terminated copy; ret->p is NULL when memory is out. */
WARN_UNUSED enum err config_copy(struct config_arena *a, struct sv s, struct sv *ret);

void config_arena_done(struct config_arena *a);

#endif
