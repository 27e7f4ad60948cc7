/*
 * verify_stand - what the tests of handler_verify.c ask, on the stand of stand_in.h
 *
 * The cookie is of the session "s" of app a. verify_live() has its row be live; verify_fields()
 * are the fields of a request whose row the test answers, or memory has.
 */
#ifndef BFF_TESTS_VERIFY_STAND_H
#define BFF_TESTS_VERIFY_STAND_H

#include "tests/unit/worker/stand_in.h"
#include "worker/handlers.h"

#define A "a.example.com"
#define NAVIGATION "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n"
#define COOKIE "Cookie: x=1; %s; y=2\r\n"

static inline const char *verify_fields(const char *more)
{
	static char fields[1024];

	(void)snprintf(fields, sizeof fields, COOKIE "%s", stand_cookie("bff_session", 's'), more);
	return fields;
}

/* A verify request with the cookie of the session "s", whose row is live, and further fields. */
static inline void verify_live(const char *method, const char *uri, const char *more)
{
	stand_verify(method, A, uri, verify_fields(more));
	stand_live(SV("a"), SV("{\"name\":\"Alice\"}"), false);
}

static inline void time_passes(int64_t ms)
{
	clock_set(clock_boot_ms() + ms, STAND_WALL_S);
}

static inline void notified(const char *payload)
{
	struct pg_listener l = session_memory_listener(stand.w.memory);

	l.notified(l.arg, sv_str(payload));
}

#endif
