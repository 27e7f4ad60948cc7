/*
 * lease - may this refresh token be sent, and what does the answer mean for it?
 *
 * The decisions of a refresh, without any I/O: pure functions, tested by table. A lease is a row's
 * compare-and-swap in PostgreSQL (REFRESH_LEASE), committed before the request leaves; it counts
 * the attempt, so that a crash leaves a record. A generation of a rotating provider whose first
 * attempt's fate is unknown is sent again at most once, or, where the provider honours an old token
 * for a grace period, as long as that lasts for certain. Attempts that consumed nothing are taken
 * off the count. A count that is used up ends no session by itself: the token is not sent any more,
 * what needs it asks for a login, and a revalidation, which cannot be made without it, ends the
 * session (revalidation.h).
 *
 * SECURITY: a refresh token sent twice is what reuse detection punishes with the loss of the
 * whole grant; every path that leads to a request goes through lease_may_send().
 */
#ifndef BFF_LEASE_H
#define BFF_LEASE_H

#include "broker/provider.h"
#include "common/contract.h"
#include "common/ipc.h"

#define LEASE_ATTEMPTS_MAX 2	   /* of one generation whose outcome is unknown */
#define LEASE_MARGIN_MS 1000	   /* left of the lease after the longest request, for the commit */
#define LEASE_GRACE_MARGIN_MS 1000 /* left of a grace period when a repetition is sent */
#define LEASE_ATTEMPT_LEN 16	   /* bytes of an attempt's id */
#define LEASE_POLL_MS 100	   /* between two looks while another host holds the lease */
#define LEASE_COMMIT_RETRY_MS 250
#define LEASE_LATE_MS 1000 /* to give back a lease that committed after nobody waited for it */

struct lease {
	int64_t generation;
	int64_t attempts;    /* counted, with this one */
	int64_t asked_at_ms; /* clock_boot_ms() before the query left: never later than the row's */
	int64_t
	    grace_until_ms; /* this attempt is allowed by the grace period alone; 0: it is not */
	bool spared;	    /* the last attempt: others go first while the provider is in trouble */
	bool last;	    /* the last attempt, or past it by grace: none for a check to risk */
	unsigned char attempt[LEASE_ATTEMPT_LEN];
};

static_assert(TIMEOUT_IDP_MS + LEASE_MARGIN_MS < TIMEOUT_LEASE_MS, "a lease covers its request");

/* What a REFRESH_LEASE answered. */
struct lease_row {
	bool leased;
	int64_t generation, attempts, lease_left_ms;
	int64_t since_first_ms; /* since the first of `attempts` */
	bool live;		/* grant_state */
};

enum lease_start {
	LEASE_SEND = 1,	 /* ours: send */
	LEASE_EXHAUSTED, /* ours, but this generation was sent often enough: never again */
	LEASE_LOST,	 /* another host's turn, or the generation moved on: look again */
	LEASE_ENDED,	 /* the grant is over */
};
/* Notes in *l what the row said. */
enum lease_start lease_judge_start(struct lease *l, const struct lease_row *row,
				   const struct provider_traits *traits);

/* Whether the token of before may still be sent: its successor was committed so long ago. */
bool lease_judge_previous(struct lease *l, int64_t superseded_ms, int64_t asked_at_ms,
			  const struct provider_traits *traits);

/* The last look before the first byte. */
bool lease_may_send(const struct lease *l, int64_t now_ms);

/* Milliseconds for retries of the commit; 0: over. */
int64_t lease_left_ms(const struct lease *l, int64_t now_ms);

enum lease_next {
	LEASE_COMMIT = 1, /* file what came, then read the row again */
	LEASE_UNUSED,	  /* nothing was consumed: off the count */
	LEASE_UNKNOWN,	  /* perhaps consumed: stays counted */
	LEASE_SUSPECT,	  /* refused, perhaps consumed all the same: counts as one */
	LEASE_END_GRANT,  /* unless the generation moved on meanwhile */
};
enum lease_holdoff {
	LEASE_HOLDOFF_NONE = 0,
	LEASE_HOLDOFF_PROVIDER, /* out of reach or in trouble: growing */
	LEASE_HOLDOFF_THROTTLE, /* as long as it said */
	LEASE_HOLDOFF_SERVICE,	/* this service's mapping */
	LEASE_HOLDOFF_GRANT,	/* this service for this grant */
};
struct lease_verdict {
	enum lease_next next;
	enum ipc_error answer; /* for waiters; NONE: read the row again first */
	enum lease_holdoff holdoff;
};
/* What an answer of the token endpoint to a refresh means. */
struct lease_verdict lease_judge_reply(const struct token_reply *reply, bool rotates);

/* The word of REFRESH_RELEASE for what became of the token; only of the three in the middle. */
struct sv lease_fate_word(enum lease_next next);

#endif
