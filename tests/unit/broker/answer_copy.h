/*
 * answer_copy - an answer as the worker reads it
 *
 * What peer_answer() and request_answer() are given borrows what is gone after the call, and may
 * break a maximum of ipc.h. So who stands in for them encodes it, and keeps what decodes from that.
 */
#ifndef BFF_TEST_ANSWER_COPY_H
#define BFF_TEST_ANSWER_COPY_H

#include "common/ipc.h"
#include "tests/unit/unit.h"

/* Borrows room, which has IPC_FRAME_MAX bytes. */
static inline struct ipc_message answer_copy(char *room, uint32_t id, const struct ipc_message *m)
{
	struct ipc_message copy;
	struct buf packet;

	buf_init(&packet, IPC_FRAME_MAX);
	assert_int_equal(ipc_encode(&packet, id, m), ERR_OK);
	memcpy(room, packet.p, packet.n);
	assert_int_equal(ipc_decode(sv_of(room, packet.n), &copy), ERR_OK);
	buf_done(&packet);
	return copy;
}

#endif
