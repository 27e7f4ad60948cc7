#include "broker/dispatch.h"

#include "broker/token_memory.h"
#include "common/log.h"
#include "tests/unit/unit.h"

/* The handlers, the peer and memory are played here: who was called, with a request or without. */
static struct {
	char called[32];
	bool from_memory; /* what memory says */
	bool full;	  /* peer_request() has answered already */
	struct request request;
} t;

#define HANDLER(name)                                                                              \
	void __wrap_##name(struct request **r, const struct ipc_##name *m);                        \
	void __wrap_##name(struct request **r, const struct ipc_##name *m)                         \
	{                                                                                          \
		(void)m;                                                                           \
		assert_ptr_equal(*r, &t.request);                                                  \
		assert_string_equal(t.called, "");                                                 \
		snprintf(t.called, sizeof t.called, #name);                                        \
	}
HANDLER(login_begin)
HANDLER(login_finish)
HANDLER(login_park)
HANDLER(token_get)
HANDLER(logout)
HANDLER(backchannel)

enum err __wrap_peer_hello(struct peer *p, uint32_t id, const struct ipc_hello *m);
enum err __wrap_peer_hello(struct peer *p, uint32_t id, const struct ipc_hello *m)
{
	(void)p, (void)m;
	assert_int_equal(id, 5);
	snprintf(t.called, sizeof t.called, "hello");
	return ERR_OK;
}

enum err __wrap_peer_request(struct peer *p, const struct ipc_message *m, struct sv correlation,
			     struct request **ret);
enum err __wrap_peer_request(struct peer *p, const struct ipc_message *m, struct sv correlation,
			     struct request **ret)
{
	(void)p, (void)m, (void)correlation;
	if (t.full)
		return ERR_LIMIT;
	*ret = &t.request;
	return ERR_OK;
}

bool __wrap_token_memory_answer(struct peer *p, uint32_t id, const struct ipc_token_get *m);
bool __wrap_token_memory_answer(struct peer *p, uint32_t id, const struct ipc_token_get *m)
{
	(void)p, (void)m;
	assert_int_equal(id, 5);
	return t.from_memory;
}

#define IPC_MESSAGE(name, NAME, number, direction, phase)                                          \
	static enum err ipc_encode_empty_##name(struct buf *b)                                     \
	{                                                                                          \
		return ipc_encode_##name(b, 5, &(struct ipc_##name){0});                           \
	}
#include "common/ipc.def"
#undef IPC_MESSAGE

#define DIRECTION_TO_BROKER true
#define DIRECTION_TO_WORKER false
static const struct {
	const char *name;
	enum err (*encode)(struct buf *b);
	bool to_broker;
	enum ipc_phase phase;
} messages[] = {
#define IPC_MESSAGE(name, NAME, number, direction, phase)                                          \
	{#name, ipc_encode_empty_##name, DIRECTION_##direction, IPC_##phase},
#include "common/ipc.def"
#undef IPC_MESSAGE
};

static enum err dispatch(size_t i, enum ipc_phase phase)
{
	struct peer p = {.phase = phase};
	struct buf b;
	enum err e;

	buf_init(&b, IPC_FRAME_MAX);
	assert_int_equal(messages[i].encode(&b), ERR_OK);
	t.called[0] = '\0';
	e = dispatch_packet(&p, buf_sv(&b));
	buf_done(&b);
	return e;
}

/* Every message of the protocol, in either phase: those of this side in theirs, no other. */
static void each_message_in_its_phase_alone(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(messages); i++) {
		for (int phase = IPC_PHASE_HELLO; phase <= IPC_PHASE_OPEN; phase++) {
			bool want =
			    messages[i].to_broker && messages[i].phase == (enum ipc_phase)phase;

			assert_int_equal(dispatch(i, (enum ipc_phase)phase),
					 want ? ERR_OK : ERR_PROTOCOL);
			assert_string_equal(t.called, want ? messages[i].name : "");
		}
	}
}

static void what_does_not_decode(void **state)
{
	struct peer p = {.phase = IPC_PHASE_OPEN};

	(void)state;
	t.called[0] = '\0';
	assert_int_equal(dispatch_packet(&p, SV("")), ERR_PROTOCOL);
	assert_int_equal(dispatch_packet(&p, SV("\xff\xff\0\0\1\0\0\0")), ERR_PROTOCOL);
	assert_string_equal(t.called, "");
}

static void memory_comes_before_a_request(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(messages); i++) {
		if (strcmp(messages[i].name, "token_get") != 0)
			continue;
		t.from_memory = true;
		assert_int_equal(dispatch(i, IPC_PHASE_OPEN), ERR_OK);
		assert_string_equal(t.called, "");
		t.from_memory = false;
		assert_int_equal(dispatch(i, IPC_PHASE_OPEN), ERR_OK);
		assert_string_equal(t.called, "token_get");
	}
}

static void one_that_was_answered_already_keeps_the_peer(void **state)
{
	(void)state;
	t.full = true;
	for (size_t i = 0; i < ARRAY_LEN(messages); i++) {
		if (!messages[i].to_broker || messages[i].phase != IPC_PHASE_OPEN)
			continue;
		assert_int_equal(dispatch(i, IPC_PHASE_OPEN), ERR_OK);
		assert_string_equal(t.called, "");
	}
	t.full = false;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_message_in_its_phase_alone),
	    cmocka_unit_test(what_does_not_decode),
	    cmocka_unit_test(memory_comes_before_a_request),
	    cmocka_unit_test(one_that_was_answered_already_keeps_the_peer),
	};

	log_set_level(LOG_ERROR + 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
