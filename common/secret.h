/*
 * secret - bytes that must not be seen
 *
 * Opaque on purpose: no printf format, log key or JSON field takes one, and the
 * only ways to its bytes are secret_view() and secret_store(), which are easy to grep.
 * Memory is wiped when it is freed. Not for keys of EVP objects: those own their copies.
 */
#ifndef BFF_SECRET_H
#define BFF_SECRET_H

#include "common/sv.h"

struct secret;

/* Copies s. ERR_NOMEM. */
WARN_UNUSED enum err secret_new(struct sv s, struct secret **ret);

/* Wipes and frees, sets the pointer to NULL. Accepts NULL. */
void secret_free(struct secret **s);

/* The bytes, borrowed until the secret is freed. SECURITY: never log or format this. */
struct sv secret_view(const struct secret *s);

/*
 * Reads a whole file of at most SECRET_FILE_MAX bytes; one trailing newline is dropped.
 * Refuses (ERR_CONFIG with a sentence) what is missing, empty, no regular file, or readable
 * by group or others; SECRET_FILE_CONTAINER also takes modes 0444 and 0644.
 */
#define SECRET_FILE_MAX 65536
enum secret_file_mode { SECRET_FILE_STRICT = 1, SECRET_FILE_CONTAINER };
WARN_UNUSED enum err secret_read_file(const char *path, enum secret_file_mode mode,
				      struct secret **ret, struct errmsg *e);

#endif
