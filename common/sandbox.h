/*
 * sandbox - what every program takes from itself before it does anything else
 *
 * Called first in each main(): before arguments are judged, before a file is read, while there is
 * one thread. What systemd or a container grants less than this stays so; nothing here gives
 * anything back. Needs nothing but libc.
 */
#ifndef BFF_SANDBOX_H
#define BFF_SANDBOX_H

#include "common/err.h"

/*
 * Not dumpable (so also no ptrace and no /proc/PID/mem for the same user), no core file, and no
 * privilege gained by exec ever. ERR_IO with the sentence.
 *
 * SECURITY: exec makes a process dumpable again, hence each program calls this itself. The leak
 * check of an ASan build still works: LeakSanitizer makes the process dumpable for the moment it
 * needs, and takes that back.
 */
WARN_UNUSED enum err sandbox_harden(struct errmsg *e);

#endif
