#include "worker/conn_internal.h"

#include <assert.h>
#include <errno.h>

#include "worker/session_events.h"

void conn_stream(struct conn *c)
{
	bool silent = !c->eof && c->in.n == c->head_len;

	c->stream = c->request->stream;
	c->request->stream = NULL;
	request_free(&c->request);
	if (!silent) { /* whoever says more, or nothing ever, does not listen */
		conn_close(c);
		return;
	}
	conn_release(c);
	(void)event_del(c->ev_timer);
	c->armed_ms = 0;
	conn_set_state(c, CONN_STREAM);
	conn_resume_reading(c);
	session_stream_begin(c->stream, c);
}

/* Bytes, the end, or a failure: all the same. Of TLS there may be records that are not for us. */
void conn_stream_read(struct conn *c)
{
	char dropped[64];
	ssize_t n = conn_io_read(&c->io, dropped, sizeof dropped);

	if (n == -1 && errno == EAGAIN) {
		if (conn_io_read_wants_write(&c->io))
			(void)event_add(c->ev_write, NULL);
		return;
	}
	conn_close(c);
}

enum err conn_stream_write(struct conn *c, struct sv text)
{
	assert(c->state == CONN_STREAM);
	if (conn_io_write(&c->io, text.p, text.n) == (ssize_t)text.n)
		return ERR_OK;
	conn_close(c);
	return ERR_IO;
}
