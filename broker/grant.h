/*
 * grant - one session's delegation while tokens of it are being had here
 *
 * Exists from the first asker until nothing is under way. A job is one token being had for whoever
 * waits for it; askers of the same service join it. A job's way:
 *
 *	READING    TOKEN_READ: what stands there now? A good token answers the waiters
 *	QUEUED     another job has the refresh token: read again when it is done
 *	PAUSED     another host has it, or had it meanwhile: read again after LEASE_POLL_MS, or soon
 *	LEASING    REFRESH_LEASE: compare and swap, the attempt counted, before the request leaves;
 *		   and PREVIOUS_TAKE, likewise, when the provider no longer knows the successor
 *	SENDING    the provider; its last look before the first byte is lease_may_send()
 *	EXCHANGING a token exchange, which takes no refresh token and so no lease
 *	CHECKING   an ID token that came along
 *	STORING    GRANT_COMMIT or TOKEN_PUT; then READING: only what is committed is ever
 *		   answered, and only to a session that still lives
 *	RELEASING  REFRESH_RELEASE or GRANT_DEAD, then the waiters' verdict
 *
 * The refresh token is a serial resource: `holder` is the one job that may lease, from before it
 * asks until it ends or needs it no more. Exchanges run beside it. So do refreshes of
 * GRANT_JOB_PREFETCH where refresh tokens are not single use: without a lease.
 *
 * For grant = exchange and obo a job first has the login's own access token (`subject`), which it
 * refreshes like any other when that is over.
 *
 * A job whose waiters all gave up runs to its end, because a successor may be in flight.
 * SECURITY: opened tokens live in struct secret or wiped buffers and for one state only.
 */
#ifndef BFF_GRANT_H
#define BFF_GRANT_H

#include "broker/lease.h"
#include "broker/login_claims.h"
#include "broker/token_seal.h"
#include "broker/waiters.h"

#define GRANT_JOBS_MAX 64  /* services that are had from one grant at once */
#define GRANT_ROUNDS_MAX 8 /* readings that lead to a request, in one job */
/* How long a successor is kept in memory for a database that is away. Longer than the lease: the
 * commit compares generation, owner and attempt, and while the database is away nobody else can
 * lease either. */
#define GRANT_STORE_MAX_MS 600000

enum grant_state {
	GRANT_NEW = 1,
	GRANT_READING,
	GRANT_QUEUED,
	GRANT_PAUSED,
	GRANT_LEASING,
	GRANT_SENDING,
	GRANT_EXCHANGING,
	GRANT_CHECKING,
	GRANT_STORING,
	GRANT_RELEASING,
	GRANT_ENDED,
};

enum grant_job_kind {
	GRANT_JOB_TOKEN = 1, /* a request's, or ahead of time */
	GRANT_JOB_PREFETCH,  /* at login */
	GRANT_JOB_CHECK,     /* the provider is asked in any case: revalidation */
};

/* How a check ended; for the call only. */
struct grant_checked {
	enum ipc_error code; /* NONE: the provider honoured the grant, and there is what follows */
	const char *detail;
	uint32_t retry_after_s;
	struct sv access_token, sub; /* the login's own token, and whose it is */
	struct login_claims *claims; /* of the ID token that came, or zero; may be taken */
};
typedef void (*grant_checked_fn)(void *arg, const struct grant_checked *c);

/* What is wanted of a grant. */
struct grant_ask {
	struct sv grant_id, app;
	const unsigned char *hash;   /* CRYPT_SHA256_LEN */
	const unsigned char *digest; /* CRYPT_SHA256_LEN: token_config_digest() of service */
	struct edition *edition;
	const struct config_provider *provider;
	const struct config_service *service; /* NULL: the login's own access token */
	enum grant_job_kind kind;
	grant_checked_fn checked; /* of a check: called exactly once, perhaps within the ask */
	void *arg;
};

struct grant_job {
	struct grant_job *next;
	struct grant *grant;
	enum grant_job_kind kind;
	enum grant_state state;
	struct edition *edition; /* referenced */
	const struct config_service *service;
	char app[CONFIG_NAME_MAX + 1];
	size_t app_len;
	unsigned char digest[CRYPT_SHA256_LEN]; /* token_config_digest() of service */
	unsigned char hash[CRYPT_SHA256_LEN];	/* of the session */
	struct waiters waiters;
	grant_checked_fn checked;
	void *checked_arg;
	struct trace trace; /* of who asked first */
	unsigned rounds;
	uint64_t tick; /* of the reading under way: token_memory_tick() */
	bool stored;   /* this job filed what it now reads: answered even if short-lived */
	int64_t begun_ms;
	struct event *timer; /* PAUSED, and retries of STORING and RELEASING: then later() */
	void (*later)(struct grant_job *j);

	/* Of an exchange: while `subject`, it is the login's own token that is had. */
	bool subject;
	enum { SUBJECT_AS_FOUND = 0, SUBJECT_TO_RENEW, SUBJECT_RENEWED } subject_age;
	struct config_service own;
	unsigned char own_digest[CRYPT_SHA256_LEN];

	/* Of the request under way. */
	struct lease lease;
	bool leased;
	bool unheard;		   /* whether the lease was had: it may be yet */
	bool too_late;		   /* the last look said no */
	bool previous;		   /* the token of before is sent, in its grace period ... */
	int64_t previous_asked_ms; /* ... which is judged from here */
	struct lease_verdict verdict;
	const char *detail;
	uint32_t retry_after_s;
	int64_t ttl_ms; /* of the access token */
	char sub[512];	/* of the session, to compare an ID token with */
	size_t sub_len;
	unsigned char nonce_hash[CRYPT_SHA256_LEN]; /* of the login, as auth_time_s */
	bool has_nonce;
	int64_t auth_time_s;
	struct buf refresh_sealed, id_token_sealed, token_sealed; /* under lease.generation + 1 */
	struct login_claims claims;				  /* of a check */
	struct secret *refresh_token;
	int64_t ended_try_ms; /* STORING: not tried again after this */
};

struct grant {
	struct grant *next; /* of the table's chain */
	struct grant_table *table;
	struct broker *broker;
	unsigned char id[TOKEN_GRANT_ID_MAX];
	size_t id_len;
	struct grant_job *jobs;
	size_t njobs;
	struct grant_job *holder; /* of the refresh token; NULL: free */
};

/* Adds a job or joins one. *r may be NULL (nobody waits); else it is consumed, now or later. The
 * grant may be gone afterwards. */
void grant_ask(struct grant *g, const struct grant_ask *ask, struct request **r);

struct sv grant_id(const struct grant *g);

/* What the asker gets where there is no room for a job. */
void grant_turn_away(const struct grant_ask *ask, struct request **r, const char *detail);

/* A job of this grant for the same thing; NULL: none. */
struct grant_job *grant_find(const struct grant *g, const struct grant_ask *ask);

/* --- a job's life: grant.c, for grant_read.c, grant_flight.c, grant_store.c, grant_exchange.c ---
 */

void grant_job_set_state(struct grant_job *j, enum grant_state to);
/* The same for QUEUED and PAUSED, counted. */
void grant_job_wait(struct grant_job *j, enum grant_state to);

/* Ends the job with what its waiters get; the job is gone, and its grant may be. */
void grant_job_answer(struct grant_job *j, struct sv token, int64_t left_ms);
void grant_job_fail(struct grant_job *j, enum ipc_error code, const char *detail, uint32_t retry_s);

/* The refresh token, if no other job has it; false: the job is QUEUED. */
bool grant_job_hold(struct grant_job *j);
/* The job needs it no more; another one may go on. */
void grant_job_unhold(struct grant_job *j);

/* Calls fn(job) so much later. On failure the job is ended. */
void grant_job_later(struct grant_job *j, int64_t ms, void (*fn)(struct grant_job *j));

/* What is had now: the service's token, or the login's own for an exchange. */
const struct config_service *grant_job_wants(const struct grant_job *j);
struct sv grant_job_digest(const struct grant_job *j);
struct provider *grant_job_provider(const struct grant_job *j);

/* Wipes what a request left behind. */
void grant_job_wipe(struct grant_job *j);

/* --- the steps --- */

/* grant_read.c: reads, and goes on from what stands there. */
void grant_read(struct grant_job *j);
/* grant_flight.c: a refresh; row is the reading just made. */
void grant_flight_begin(struct grant_job *j, const struct token_row *row);
/* grant_exchange.c: from this access token of the login. */
void grant_exchange_begin(struct grant_job *j, const struct token_row *row,
			  struct sv subject_token);
/* grant_store.c: files what a reply brought, then reads; or fails with j->verdict. */
void grant_store_reply(struct grant_job *j, const struct token_reply *reply);
/* grant_flight.c: as grant_give_back(j, j->verdict, j->detail), but first keeps what the provider
 * demands of the next login, where it does. */
void grant_refused(struct grant_job *j, const struct token_reply *reply);
/* grant_flight.c: the lease goes back with j->verdict. Without a lease: fails with it. */
void grant_give_back(struct grant_job *j, struct lease_verdict v, const char *detail);

/* --- grant_holdoff.c --- */

/* What is held off for this now; IPC_ERROR_NONE: nothing. */
enum ipc_error grant_held(struct grant_table *t, const struct grant_ask *ask, uint32_t *ret_left_s);
enum ipc_error grant_job_held(const struct grant_job *j, uint32_t *ret_left_s);
/* Right before a request leaves. */
enum ipc_error grant_job_admit(struct grant_job *j, enum holdoff_asker asker, uint32_t *ret_left_s);
/* What a job gets that the provider did not answer now. A check ends a session by an answer alone:
 * that the browser would have to log in for a token is no reason to throw it out. */
enum ipc_error grant_job_unasked(const struct grant_job *j, enum ipc_error code);
/* Notes what a reply with this verdict means for those who ask next. */
void grant_job_note(struct grant_job *j, const struct lease_verdict *v, uint32_t retry_after_s);
/* This service for this grant, for a while. */
void grant_job_refuse(struct grant_job *j, enum ipc_error answer);

#endif
