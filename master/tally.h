/*
 * tally - the memory of counters that workers share, and which of them writes where
 *
 * Made at the start and kept through reloads and upgrades, so that counters go on (a new program
 * with another table begins anew; workers of the old one count to its end in the old memory, which
 * nobody reads any more). A worker gets a slab that no living process has; when it was reaped the
 * slab is free for the next one, which goes on from its counts. The master's own counts are in slab
 * 0. Nothing fails for want of a slab: that worker counts for itself alone, and the log says so.
 *
 * SECURITY: what stands in the memory is never believed but by a new image for the numbers of
 * processes in it, and of those only our own children's count.
 */
#ifndef BFF_MASTER_TALLY_H
#define BFF_MASTER_TALLY_H

#include <sys/types.h>

#include "common/metrics.h"

struct tally {
	struct metrics *metrics; /* NULL: not open */
	int fd;
	pid_t owners[METRICS_SLABS_MAX]; /* 0: free; [0] is not used */
};

/* A memory of its own. ERR_IO, ERR_NOMEM with a sentence. */
WARN_UNUSED enum err tally_open(struct tally *t, struct errmsg *e);

/* The memory of the image before us, with what its workers own; takes fd on success.
 * ERR_UNSUPPORTED: its table is another. */
WARN_UNUSED enum err tally_adopt(struct tally *t, int fd, struct errmsg *e);

/* Accepts a zeroed one. */
void tally_close(struct tally *t);

/* Before the workers of a configuration start: its names. */
void tally_names(struct tally *t, const struct config *c);

/* A free slab, or METRICS_SLAB_NONE. tally_own() follows, or it stays free. Accepts NULL. */
unsigned tally_find(const struct tally *t);
void tally_own(struct tally *t, unsigned slab, pid_t pid);

/* A child of ours was reaped: a worker, or not. */
void tally_reaped(struct tally *t, pid_t pid, int wait_status);

#endif
