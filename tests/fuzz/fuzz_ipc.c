/* ipc: no packet crashes the decoder; what decodes encodes to the same bytes. */
#include <assert.h>
#include <stdlib.h>

#include "common/ipc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sv packet = sv_of((const char *)data, size);
	struct ipc_message m;
	struct buf b;

	if (ipc_decode(packet, &m) != ERR_OK)
		return 0;
	buf_init(&b, IPC_FRAME_MAX);
	if (ipc_encode(&b, m.id, &m) != ERR_OK || !sv_eq(buf_sv(&b), packet))
		abort();
	buf_done(&b);
	buf_init(&b, IPC_FRAME_MAX * 8);
	ipc_print(&b, &m);
	assert(buf_ok(&b));
	buf_done(&b);
	return 0;
}
