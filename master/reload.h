/*
 * reload - a new generation beside the old one
 *
 * SIGHUP reads the file, lends sockets and starts a whole generation from the program on disk.
 * Only when all its workers are ready do the old ones drain. Whatever fails before that - a bad
 * file, a taken address, a worker that dies or is not ready in CONTRACT_FIRST_STATUS_MS - leaves
 * the running generation untouched and is logged once, as reload_failed with the reason.
 */
#ifndef BFF_MASTER_RELOAD_H
#define BFF_MASTER_RELOAD_H

#include "master/supervisor.h"

/* The configuration in force was taken, or another was not (METRICS_RELOAD_OK, _FAILED). The
 * first one of all was no reload. */
void reload_count(struct supervisor *s, unsigned result);

/* Puts a new generation on trial, or fails. Only without one. */
void reload_begin(struct supervisor *s);

/* The check that reload_begin() left to another version of this program ended so. */
void reload_checked(struct supervisor *s, int wait_status);

/* Ends the trial if its outcome is known. */
void reload_judge(struct supervisor *s);

#endif
