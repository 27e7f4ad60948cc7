/*
 * contract - what the master promises a worker, and a worker the master
 *
 * Both sides include this; nothing else may name a descriptor number, an environment name,
 * an exit code or a timeout between them.
 *
 * The master execs `bff-worker` with exactly these descriptors, all others closed:
 *	0,1	/dev/null
 *	2	the log
 *	CONTRACT_FD_CONFIG	sealed memfd: the whole configuration as `bffd -T` prints it
 *	CONTRACT_FD_STATUS	SOCK_SEQPACKET pair: one byte a message, enum contract_status
 *				from the worker, nothing from the master; when the master's
 *				end closes, the worker drains
 *	CONTRACT_FD_METRICS	memfd: the memory of common/metrics.h, of which the worker writes
 *				slab CONTRACT_ENV_SLAB; without that, /dev/null, and the worker
 *				counts for itself alone
 *	CONTRACT_FD_LISTEN + i	the listening socket of the i-th `listen` section of that
 *				configuration, non-blocking; CONTRACT_ENV_LISTEN says how many
 * and an environment of PATH, LANG, TZ, CREDENTIALS_DIRECTORY (as far as they were set) and
 * the names below. Without CONTRACT_ENV_LISTEN a worker refuses to start (by hand).
 *
 * Signals to a worker: SIGTERM = drain (stop accepting, answer what is under way with
 * `Connection: close`, exit 0); SIGKILL after CONTRACT_DRAIN_HARD_MS.
 */
#ifndef BFF_CONTRACT_H
#define BFF_CONTRACT_H

#include <assert.h> /* static_assert */

#define CONTRACT_FD_CONFIG 3
#define CONTRACT_FD_STATUS 4
#define CONTRACT_FD_METRICS 5
#define CONTRACT_FD_LISTEN 6
#define CONTRACT_LISTEN_MAX 16

#define CONTRACT_ENV_LISTEN "BFF_LISTEN_FDS"
#define CONTRACT_ENV_GENERATION "BFF_GENERATION" /* decimal, from 1 */
#define CONTRACT_ENV_SLOT "BFF_SLOT"		 /* decimal, from 0 */
#define CONTRACT_ENV_SLAB "BFF_SLAB"		 /* decimal, from 1; absent: none */
#define CONTRACT_ENV_BUILD "BFF_BUILD"		 /* must equal BFF_VERSION, else EXIT_BUILD */

enum contract_status {
	CONTRACT_READY = 'R',	 /* accepting; sent once */
	CONTRACT_ALIVE = 'A',	 /* heartbeat */
	CONTRACT_DRAINING = 'D', /* no longer accepting; sent once */
};

enum contract_exit {
	CONTRACT_EXIT_OK = 0,
	CONTRACT_EXIT_USAGE = 64,  /* started by hand */
	CONTRACT_EXIT_BUILD = 65,  /* master and worker of different versions */
	CONTRACT_EXIT_CONFIG = 78, /* configuration or a secret file: retrying will not help */
	CONTRACT_EXIT_ERROR = 70,  /* anything else */
};

/* Timeouts, inner to outer; each layer gives up before the one around it. */
#define TIMEOUT_CONNECT_MS 2000	       /* broker and worker: one TCP or Unix connect */
#define TIMEOUT_IDP_MS 8000	       /* broker: one HTTP request to a provider, all of it */
#define TIMEOUT_LEASE_MS 15000	       /* broker: a refresh lease in PostgreSQL */
#define TIMEOUT_BROKER_LOGIN_MS 25000  /* worker: what a login asks of the broker */
#define TIMEOUT_METRICS_MS 1000	       /* worker: each piece of the broker's metrics */
#define CONTRACT_HEARTBEAT_MS 2000     /* worker: between two CONTRACT_ALIVE */
#define CONTRACT_FIRST_STATUS_MS 10000 /* master: fork to CONTRACT_READY */
#define CONTRACT_WARM_UP_MS                                                                        \
	2000			     /* worker: waits so long for database and broker, then is     \
				      * ready all the same */
#define CONTRACT_LOST_MS 20000	     /* master: no heartbeat so long = killed */
#define CONTRACT_DRAIN_IDLE_MS 5000  /* worker: idle keep-alive connections while draining */
#define CONTRACT_DRAIN_HARD_MS 30000 /* master: SIGTERM to SIGKILL */

static_assert(TIMEOUT_CONNECT_MS < TIMEOUT_IDP_MS, "connect within a request");
static_assert(TIMEOUT_IDP_MS + 5000 < TIMEOUT_LEASE_MS, "a request ends well inside its lease");
static_assert(3 * TIMEOUT_IDP_MS < TIMEOUT_BROKER_LOGIN_MS, "code, keys and UserInfo in one login");
static_assert(CONTRACT_WARM_UP_MS < CONTRACT_FIRST_STATUS_MS, "a cold worker is ready in time");
static_assert(3 * CONTRACT_HEARTBEAT_MS < CONTRACT_LOST_MS, "three lost heartbeats");
static_assert(CONTRACT_DRAIN_IDLE_MS < TIMEOUT_BROKER_LOGIN_MS, "idle ones go first");
static_assert(TIMEOUT_BROKER_LOGIN_MS < CONTRACT_DRAIN_HARD_MS, "a login survives a reload");

#ifndef BFF_VERSION
#error "BFF_VERSION comes from the Makefile"
#endif

#endif
