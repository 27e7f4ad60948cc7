/*
 * request - the spine: one request, one straight pass through its phases
 *
 *	peer -> endpoint -> forwarded -> route -> session -> policy -> token -> reply
 *
 * Each phase returns NEXT, WAIT (its callback calls request_resume(), and the next phase runs) or
 * ANSWER (the answer is composed). request.c holds the table of phases of every endpoint; read it
 * first. A request lives from request_new() to request_free() by its connection; freeing it while
 * it waits cancels what it waits for. Views in it borrow the connection's buffer, which does not
 * move meanwhile; what comes from the broker is copied. What session_find() left is gone after a
 * WAIT, and the phase that needs it calls it again.
 *
 * SECURITY: `cookie`, `token` and form views hold secrets; request_free() wipes.
 */
#ifndef BFF_REQUEST_H
#define BFF_REQUEST_H

#include "common/b64.h"
#include "common/buf.h"
#include "common/config.h"
#include "common/crypt.h"
#include "common/pg.h"
#include "common/trace.h"
#include "worker/broker_client.h"
#include "worker/cookie.h"
#include "worker/form.h"
#include "worker/forwarded.h"
#include "worker/http_reply.h"
#include "worker/http_request.h"
#include "worker/peer.h"
#include "worker/session_memory.h"

#define REQUEST_BODY_MAX 8192	     /* bytes of a body that is read at all (a form) */
#define REQUEST_FORM_MAX 32768	     /* bytes of query and body, decoded */
#define REQUEST_CORRELATION_BYTES 16 /* random; base64url in X-Correlation-ID */
#define REQUEST_IDS 64		     /* drawn at a time */
#define REQUEST_CORRELATION_LEN B64URL_LEN(REQUEST_CORRELATION_BYTES)
#define REQUEST_RETRY_AFTER_S 2 /* Retry-After of a 503 of our own */

struct worker;
struct request;
struct session_stream;

struct request_from {
	struct worker *worker;
	const struct config_listen *listen;
	const unsigned char *peer;	 /* 16 bytes */
	const struct http_request *head; /* its fields may be thinned out by phase peer */
	struct http_field *fields;	 /* the same, writable */
	struct sv body;			 /* empty unless request_body_max() asked for it */
	struct buf *out;		 /* where the answer goes */
	unsigned reply_flags;
};

enum request_state { REQUEST_ANSWERED = 1, REQUEST_WAITING };

/* Random bytes for correlation ids, drawn for many requests at a time. A worker has one. */
struct request_ids {
	size_t left;
	unsigned char bytes[REQUEST_IDS * REQUEST_CORRELATION_BYTES];
};

/* Of the pieces of worker.requests. */
size_t request_size(void);

/* ERR_NOMEM. done is called once, from the loop, after request_run() said WAITING. */
WARN_UNUSED enum err request_new(const struct request_from *from, void (*done)(void *arg),
				 void *arg, struct request **ret);
WARN_UNUSED enum request_state request_run(struct request *r);
void request_free(struct request **r);

/* How many bytes of a body this request may bring and have read; 0: none is read. */
size_t request_body_max(const struct config_listen *listen, const struct http_request *head);

/* ---- for phases and handlers only ---------------------------------------------------------- */

enum step { STEP_NEXT = 1, STEP_WAIT, STEP_ANSWER };
typedef enum step (*request_phase)(struct request *r);

/* What the judge of session.c found; views into the entry, until the request waits. */
struct request_session {
	bool live;
	struct sv ref, subject, claims, acr;
	int64_t auth_time_s, idle_left_ms, absolute_left_ms;
	bool touch_due;
	unsigned char *policy_bits; /* policy_eval()'s, kept with the row; NULL: nowhere */
};

struct request {
	struct request_from from;
	struct worker *w;
	struct http_fields fields; /* the believed ones */
	void (*done)(void *arg);
	void *arg;
	const request_phase *phases;
	size_t at;
	bool in_run;
	bool is_believed;	 /* the peer is trusted */
	int64_t begun_us;	 /* clock_boot_us() */
	int64_t now_us;		 /* the same, when it ran on last: one look at the clock a run */
	unsigned endpoint;	 /* enum endpoint */
	unsigned waited_for;	 /* METRICS_WAITED_* */
	bool is_counted_waiting; /* of count.c */
	char correlation[REQUEST_CORRELATION_LEN];
	char peer_text[PEER_TEXT]; /* what fw.client may point to, and a denial names */
	struct forwarded fw;
	const struct config_app *app;
	const struct config_origin *origin;
	const struct config_route *route; /* verify: NULL until it is found */
	bool preflight;
	unsigned denied; /* enum reason: what deny() was called with */
	const char *denied_detail;
	struct sv rule; /* of the route, that refused: a require's title, "acr", "max_age" */
	enum cookie_outcome cookie_found;
	struct cookie_session cookie; /* valid when cookie_found is COOKIE_OK */
	bool has_hash;
	unsigned char hash[CRYPT_SHA256_LEN]; /* of its secret */
	struct pg_call *query;
	struct broker_call *call;
	enum err waited;      /* how the last wait ended */
	bool ended;	      /* what session_end said */
	unsigned session_why; /* enum reason: why there is no live session */
	struct request_session session;
	struct session_entry *entry; /* that session's; NULL: none */
	struct session_entry *own;   /* the same, where memory did not take it */
	struct session_seen seen;    /* of the row that was read last */
	unsigned reads;		     /* of the row */
	struct sv bearer; /* the token beside the session, which is then not waited for */
	bool waited_for_token;
	int64_t token_asked_ms;
	/* The broker's last answer, in pieces; failure is IPC_ERROR_NONE for a good one. */
	uint32_t failure, retry_after_s;
	char failure_detail[IPC_NAME_MAX + 1];
	struct buf cookies; /* of the request, less ours */
	struct buf token;  /* access token, the new session's secret, or a form with the ID token */
	struct buf target; /* a URL the broker answered with */
	unsigned char binding[IPC_SECRET_LEN]; /* what ties the browser to its login, or logout */
	uint32_t day;
	struct buf form; /* decoded parameters */
	bool everywhere, wants_json;
	size_t place;	/* where its logout leads (logout_return.h) */
	bool sent_away; /* to the provider first, with the state that is in binding */
	bool accepted;	/* the broker's word on a logout token */
	struct session_stream *stream; /* the answer lasts: its connection takes this over */
	struct http_reply reply;
};

/* The phase waited for something; run on. Call it last: the request may be gone after. */
void request_resume(struct request *r);

/* Starts the answer with what every answer of ours carries: X-Correlation-ID, Cache-Control. */
void request_reply(struct request *r, unsigned status);
/* Ends it; if that fails, a bare 500 (or nothing, without memory) stands in its place. */
enum step request_end(struct request *r, struct sv type, struct sv body);

/* Asks the broker: fn is called with r, as broker_send() says. ERR_LIMIT when a field is over its
 * maximum, or what broker_send() says. */
WARN_UNUSED enum err request_ask(struct request *r, const struct ipc_message *m,
				 enum ipc_number answer, int64_t timeout_ms, broker_fn fn);
struct sv request_correlation(const struct request *r);
/* The traceparent that a trusted peer gave; looked for when asked, which the hot path never does.
 */
struct trace request_trace(const struct request *r);
/* A FAILURE's content, for reason_of_broker(). */
void request_keep_failure(struct request *r, const struct ipc_failure *m);
/* form_parse() into memory of the request's; may be called for query and body. */
WARN_UNUSED enum err request_form(struct request *r, struct sv text, struct form_field *fields,
				  size_t n);
/* The same of the body: ERR_UNSUPPORTED unless it says that it is a form. A body over
 * REQUEST_BODY_MAX was not read and is empty here. */
WARN_UNUSED enum err request_body_form(struct request *r, struct form_field *fields, size_t n);
/* The one value of a field, or empty. */
struct sv request_field(const struct request *r, enum http_name name);

#endif
