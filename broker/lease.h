/*
 * lease - may this refresh token be sent, and what does the answer mean for it?
 *
 * The decisions of a refresh, without any I/O: pure functions, tested by table. A lease is a row's
 * compare-and-swap in PostgreSQL (GRANT_LEASE), committed before the request leaves; it counts the
 * attempt, so that a crash leaves a record. A generation of a rotating provider is sent again
 * at most once when the fate of the first attempt is unknown; attempts that consumed nothing
 * are taken off the count.
 *
 * SECURITY: a refresh token sent twice is what reuse detection punishes with the loss of the
 * whole grant; every path that leads to a request goes through lease_may_send().
 */
#ifndef BFF_LEASE_H
#define BFF_LEASE_H

#include "broker/provider.h"
#include "common/contract.h"
#include "common/ipc.h"

#define LEASE_ATTEMPTS_MAX 2 /* of one generation whose outcome is unknown */
#define LEASE_MARGIN_MS 1000 /* left of the lease after the longest request, for the commit */
#define LEASE_ATTEMPT_LEN 16 /* bytes of an attempt's id */
#define LEASE_POLL_MS 100    /* between two looks while another host holds the lease */
#define LEASE_COMMIT_RETRY_MS 250

struct lease {
	int64_t generation;
	int64_t attempts;    /* counted, with this one */
	int64_t asked_at_ms; /* clock_boot_ms() before the query left: never later than the row's */
	unsigned char attempt[LEASE_ATTEMPT_LEN];
};

static_assert(TIMEOUT_IDP_MS + LEASE_MARGIN_MS < TIMEOUT_LEASE_MS, "a lease covers its request");

/* What a GRANT_LEASE answered. */
struct lease_row {
	bool leased;
	int64_t generation, attempts, lease_left_ms;
	bool live; /* grant_state */
};

enum lease_start {
	LEASE_SEND = 1,	 /* ours: send */
	LEASE_EXHAUSTED, /* ours, but this generation was sent often enough: end the grant */
	LEASE_LOST,	 /* another host's turn, or the generation moved on: look again */
	LEASE_ENDED,	 /* the grant is over */
};
enum lease_start lease_judge_start(const struct lease_row *row, bool rotates);

/* The last look before the first byte. */
bool lease_may_send(const struct lease *l, int64_t now_ms);

/* Milliseconds for retries of the commit; 0: over. */
int64_t lease_left_ms(const struct lease *l, int64_t now_ms);

enum lease_next {
	LEASE_COMMIT = 1, /* file what came, then read the row again */
	LEASE_GIVE_BACK,  /* nothing was consumed: off the count */
	LEASE_GIVE_UP,	  /* perhaps consumed: stays counted */
	LEASE_END_GRANT,  /* unless the generation moved on meanwhile */
};
enum lease_holdoff {
	LEASE_HOLDOFF_NONE = 0,
	LEASE_HOLDOFF_PROVIDER, /* out of reach or in trouble: growing */
	LEASE_HOLDOFF_THROTTLE, /* as long as it said */
	LEASE_HOLDOFF_SERVICE,	/* this service's mapping */
};
struct lease_verdict {
	enum lease_next next;
	enum ipc_error answer; /* for waiters; NONE: read the row again first */
	enum lease_holdoff holdoff;
};
/* What an answer of the token endpoint means, attempts counting this one. */
struct lease_verdict lease_judge_outcome(enum token_outcome outcome, int64_t attempts,
					 bool rotates);

#endif
