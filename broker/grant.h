/*
 * grant - one session's delegation while refreshes of it are wanted here
 *
 * Exists from the first asker until its queue is empty. Jobs (one a service) run one after the
 * other, because the refresh token is a serial resource; askers of the same service join the
 * job's waiters. A job's way:
 *
 *	READING   TOKEN_SESSION: what stands there now? A good token answers the waiters.
 *	PAUSED    another host holds the lease: look again after LEASE_POLL_MS
 *	LEASING   GRANT_LEASE: compare and swap, the attempt counted, before the request leaves
 *	SENDING   the provider; its last look before the first byte is lease_may_send()
 *	CHECKING  an ID token that came along
 *	STORING   GRANT_COMMIT, tried again for GRANT_STORE_MAX_MS; then READING: only what is
 *		  committed is ever answered, and only to a session that still lives
 *	RELEASING GRANT_RELEASE or GRANT_DEAD, then the waiters' verdict
 *
 * A job whose waiters all gave up runs to its end, because a successor may be in flight.
 * SECURITY: opened tokens live in struct secret or wiped buffers and for one state only.
 */
#ifndef BFF_GRANT_H
#define BFF_GRANT_H

#include "broker/lease.h"
#include "broker/request.h"
#include "broker/token_row.h"

#define GRANT_JOBS_MAX 64		      /* services that wait on one grant */
#define GRANT_WAITERS_MAX 4096		      /* requests that wait on one grant */
#define GRANT_ROUNDS_MAX 8		      /* readings that lead to a refresh, in one job */
#define GRANT_WAIT_MS (TIMEOUT_IDP_MS + 2000) /* a waiter's patience */
/* How long a successor is kept in memory for a database that is away. Longer than the lease: the
 * commit compares generation, owner and attempt, and while the database is away nobody else can
 * lease either. */
#define GRANT_STORE_MAX_MS 600000

enum grant_state {
	GRANT_IDLE = 1,
	GRANT_READING,
	GRANT_PAUSED,
	GRANT_LEASING,
	GRANT_SENDING,
	GRANT_CHECKING,
	GRANT_STORING,
	GRANT_RELEASING,
};

struct grant_waiter {
	struct grant_waiter *next;
	struct grant_job *job;
	struct request *request; /* NULL: answered */
	struct event *deadline;
};

struct grant_job {
	struct grant_job *next;
	struct grant *grant;
	struct edition *edition; /* referenced */
	const struct config_service *service;
	char app[CONFIG_NAME_MAX + 1];
	size_t app_len;
	unsigned char digest[CRYPT_SHA256_LEN]; /* token_config_digest() of service */
	unsigned char hash[CRYPT_SHA256_LEN];	/* of the session */
	struct grant_waiter *waiters;
	unsigned rounds;
	bool stored; /* this job committed a token: it is answered even if short-lived */
	int64_t begun_ms;
};

struct grant {
	struct grant *next; /* of the table's chain */
	struct grant_table *table;
	struct broker *broker;
	unsigned char id[TOKEN_GRANT_ID_MAX];
	size_t id_len;
	enum grant_state state;
	struct grant_job *jobs; /* the first one runs */
	size_t njobs, nwaiters;
	struct event *timer; /* PAUSED, and retries of STORING */

	/* Of the refresh under way. */
	struct lease lease;
	struct lease_verdict verdict;
	const char *detail;
	uint32_t retry_after_s;
	int64_t ttl_ms; /* of the access token */
	char sub[512];	/* of the session, to compare an ID token with */
	size_t sub_len;
	struct buf refresh_sealed, id_token_sealed, token_sealed; /* for generation + 1 */
	struct secret *refresh_token;
	int64_t ended_try_ms; /* STORING, RELEASING: not tried again after this */
};

/* What a token request wants of a grant. */
struct grant_ask {
	struct sv grant_id, app;
	const unsigned char *hash;   /* CRYPT_SHA256_LEN */
	const unsigned char *digest; /* CRYPT_SHA256_LEN */
	struct edition *edition;
	const struct config_service *service;
};

/* Adds a job or joins one, and starts it when none runs. *r may be NULL (renewal ahead: nobody
 * waits); else it is consumed, now or later. */
void grant_ask(struct grant *g, const struct grant_ask *ask, struct request **r);

/* --- between grant.c (queue, waiters) and grant_flight.c (the refresh itself) --- */

void grant_set_state(struct grant *g, enum grant_state to);
struct sv grant_id(const struct grant *g);
void grant_read(struct grant *g);
/* Begins the refresh for the first job; row is the reading just made. */
void grant_flight_begin(struct grant *g, const struct token_row *row);
/* What the first job's waiters get while the job goes on. */
void grant_waiters_fail(struct grant *g, enum ipc_error code, const char *detail, uint32_t retry_s);
/* Whether a job is for this service under this configuration. */
bool grant_job_is(const struct grant_job *j, const struct config_service *s,
		  const unsigned char *digest);
/* Ends the first job, with what its waiters get, and goes on to the next; the grant may be gone
 * afterwards. */
void grant_job_answer(struct grant *g, struct sv token, int64_t left_ms);
void grant_job_fail(struct grant *g, enum ipc_error code, const char *detail, uint32_t retry_s);
/* Reads again after a pause. */
void grant_pause(struct grant *g, int64_t ms);
/* Wipes what a refresh left behind. */
void grant_flight_wipe(struct grant *g);

#endif
