/*
 * key_watch - tells PostgreSQL which sealing keys this host holds, and learns what they are for
 *
 * Every KEY_WATCH_EVERY_MS, and at once when the database comes back: so a promotion can be
 * refused until every running broker has the key, and reaches each of them within that time. A
 * primary key that is not in our file, or whose id is another key here, is an error in the log;
 * then this host neither seals nor, once re-sealed, opens. A new primary key starts a pass of
 * reseal.c, and so does each KEY_WATCH_PASS_MS while a key is being replaced.
 */
#ifndef BFF_KEY_WATCH_H
#define BFF_KEY_WATCH_H

#include "broker/broker.h"

#define KEY_WATCH_EVERY_MS 5000
#define KEY_WATCH_PASS_MS 3600000
#define KEY_WATCH_MACHINE_BYTES 4

struct key_watch;

/* `name` of this host, for bff.hosts; copied, cut to KEY_WATCH_NAME_MAX. ERR_NOMEM. */
#define KEY_WATCH_NAME_MAX 200
WARN_UNUSED enum err key_watch_new(struct broker *b, struct sv name, struct key_watch **ret);
/* Accepts NULL. Its query must be canceled before. */
void key_watch_free(struct key_watch **w);

/* The database is back: reports now. */
void key_watch_kick(struct key_watch *w);

/* Appends what tells this machine from another of its name: a digest of the file's content, which
 * is nobody else's to see (machine-id(5)), or nothing where there is none. */
void key_watch_machine(const char *path, struct buf *out);

#endif
