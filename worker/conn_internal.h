/*
 * conn_internal - what the parts of conn share
 *
 * conn.c moves bytes, keeps time and owns the connection's life; conn_request.c makes requests of
 * the bytes and answers of the requests; conn_stream.c is for answers that last. Nobody else
 * includes this.
 */
#ifndef BFF_CONN_INTERNAL_H
#define BFF_CONN_INTERNAL_H

#include "common/buf.h"
#include "common/config.h"
#include "worker/conn.h"
#include "worker/conn_io.h"
#include "worker/http_request.h"
#include "worker/request.h"

enum conn_state {
	CONN_IDLE = 1, /* nothing of a request yet */
	CONN_HEAD,     /* some of its head */
	CONN_BODY,     /* its head, and some of a body that is wanted */
	CONN_BUSY,     /* request.c has it */
	CONN_WRITE,    /* the kernel has not taken all of the answer */
	CONN_STREAM,   /* its answer lasts, until somebody closes it */
	CONN_LINGER,   /* answered, write side shut, dropping what still comes */
	CONN_DEAD,
};

struct conn {
	TAILQ_ENTRY(conn) link;
	struct worker *w;
	const struct config_listen *listen;
	unsigned char peer[16];
	struct conn_io io;
	enum conn_state state;
	bool reading;	 /* the read event is armed */
	bool eof;	 /* the client will send no more */
	bool last;	 /* close after the answer under way */
	bool unread;	 /* of a body that was not read: linger */
	bool more;	 /* conn_run() is to look again */
	bool running;	 /* within conn_run() */
	size_t lingered; /* bytes dropped */
	size_t head_len, body_len;
	int64_t deadline_ms, armed_ms; /* clock_tick_ms(); the timer's, 0: it is not set */
	struct http_scan scan;
	struct buf in, out;
	size_t sent; /* of out */
	struct event *ev_read, *ev_write, *ev_timer;
	struct http_request head;
	struct http_field *fields;
	struct request *request;
	struct session_stream *stream;
};

/* conn.c */
/* Memory from the worker's pools for a buffer that has none. */
WARN_UNUSED enum err conn_lend(struct conn *c, struct buf *b);
void conn_set_state(struct conn *c, enum conn_state to);
/* For a head, from its first bytes on, of which not all are here. */
void conn_set_head_deadline(struct conn *c);
/* All memory but the connection's own. */
void conn_release(struct conn *c);
void conn_resume_reading(struct conn *c);
/* Sends what stands in c->out; when all is taken, on to the next request or the end. */
void conn_write(struct conn *c);

/* conn_request.c */
/* As far as the bytes in c->in go. */
void conn_run(struct conn *c);
/* Answers what never became a request, and ends the connection. */
COLD void conn_refuse(struct conn *c, unsigned status, const char *word);

/* conn_stream.c */
/* The head of the answer of c->request, which lasts, is written. */
void conn_stream(struct conn *c);
void conn_stream_read(struct conn *c);

#endif
