/*
 * fault - points at which a test ends or freezes this process
 *
 * FAULT_POINT("name") is nothing at all unless compiled with -DBFF_FAULT_POINTS, as the asan
 * variant is; tests/lint/faults.sh shows that the programs people run hold no trace of it. With it,
 * the environment's BFF_FAULT=name:kill[:n] or name:stop[:n] makes the n-th passage (default 1)
 * raise SIGKILL or SIGSTOP. A setting that is none of these aborts.
 */
#ifndef BFF_FAULT_H
#define BFF_FAULT_H

#include "common/sv.h"

#ifdef BFF_FAULT_POINTS
#define FAULT_POINT(name) fault_point(name)
void fault_point(const char *name);
#else
#define FAULT_POINT(name) ((void)0)
#endif

#endif
