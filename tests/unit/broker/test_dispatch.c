#include "broker/dispatch.h"

#include "broker/count.h"
#include "broker/token_memory.h"
#include "common/log.h"
#include "tests/unit/unit.h"

/* The handlers, the peer and its log are played here. */
static struct {
	struct peer peer;
	char called[64]; /* the handler, or nothing */
	unsigned calls, requests, dropped;
	uint32_t id;
	char correlation[IPC_NAME_MAX + 1];
	enum err takes; /* what peer_request() and peer_hello() say */
	bool remembers; /* token_memory_answer() */
	struct request *request;
	char why[64];
} t;

#define CORRELATION "c-1"
#define TRACEPARENT "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

void __wrap_log_write_peer(enum log_level level, const char *event, const struct log_field *f,
			   size_t n);
void __wrap_log_write_peer(enum log_level level, const char *event, const struct log_field *f,
			   size_t n)
{
	assert_int_equal(level, LOG_WARN);
	assert_string_equal(event, "peer_dropped");
	(void)snprintf(t.why, sizeof t.why, SV_FMT, SV_ARG(f[n - 1].s));
	t.dropped++;
}

static void called(const char *what)
{
	(void)snprintf(t.called, sizeof t.called, "%s", what);
	t.calls++;
}

enum err __wrap_peer_hello(struct peer *p, uint32_t id, const struct ipc_hello *m);
enum err __wrap_peer_hello(struct peer *p, uint32_t id, const struct ipc_hello *m)
{
	assert_ptr_equal(p, &t.peer);
	assert_int_equal(m->fingerprint, 99);
	t.id = id;
	called("hello");
	return t.takes;
}

enum err __wrap_peer_request(struct peer *p, const struct ipc_message *m, struct sv correlation,
			     struct request **ret);
enum err __wrap_peer_request(struct peer *p, const struct ipc_message *m, struct sv correlation,
			     struct request **ret)
{
	assert_ptr_equal(p, &t.peer);
	t.requests++;
	t.id = m->id;
	(void)snprintf(t.correlation, sizeof t.correlation, SV_FMT, SV_ARG(correlation));
	if (t.takes == ERR_OK)
		*ret = t.request;
	return t.takes;
}

bool __wrap_token_memory_answer(struct peer *p, uint32_t id, const struct ipc_token_get *m);
bool __wrap_token_memory_answer(struct peer *p, uint32_t id, const struct ipc_token_get *m)
{
	assert_ptr_equal(p, &t.peer);
	assert_sv_equal(m->correlation, SV(CORRELATION));
	t.id = id;
	return t.remembers;
}

void __wrap_count_tell(struct peer *p, uint32_t id, const struct ipc_metrics_get *m);
void __wrap_count_tell(struct peer *p, uint32_t id, const struct ipc_metrics_get *m)
{
	assert_ptr_equal(p, &t.peer);
	assert_int_equal(m->cursor, 0);
	t.id = id;
	called("metrics_get");
}

#define HANDLER(name)                                                                              \
	void __wrap_##name(struct request **r, const struct ipc_##name *m);                        \
	void __wrap_##name(struct request **r, const struct ipc_##name *m)                         \
	{                                                                                          \
		assert_ptr_equal(*r, t.request);                                                   \
		assert_sv_equal(m->correlation, SV(CORRELATION));                                  \
		assert_sv_equal(trace_text(&(*r)->trace), SV(TRACEPARENT));                        \
		*r = NULL;                                                                         \
		called(#name);                                                                     \
	}
HANDLER(login_begin)
HANDLER(login_finish)
HANDLER(login_park)
HANDLER(token_get)
HANDLER(logout)
HANDLER(backchannel)

/* One packet of each message of the protocol, whole and within its limits. */
struct sample {
	const char *name;
	enum ipc_number number;
	enum ipc_direction direction;
	enum ipc_phase phase;
	struct buf packet;
};

enum {
#define IPC_MESSAGE(name, NAME, number, direction, phase) SAMPLE_##NAME,
#include "common/ipc.def"
#undef IPC_MESSAGE
	SAMPLES
};
static struct sample samples[SAMPLES];

/* The members that the players above look at, where a message has them. */
static void fill(struct ipc_message *m, enum ipc_number number)
{
	memset(m, 0, sizeof *m);
	switch (number) {
	case IPC_HELLO:
		m->u.hello.fingerprint = 99;
		break;
	case IPC_LOGIN_BEGIN:
		m->u.login_begin.correlation = SV(CORRELATION);
		m->u.login_begin.traceparent = SV(TRACEPARENT);
		break;
	case IPC_LOGIN_FINISH:
		m->u.login_finish.correlation = SV(CORRELATION);
		m->u.login_finish.traceparent = SV(TRACEPARENT);
		break;
	case IPC_LOGIN_PARK:
		m->u.login_park.correlation = SV(CORRELATION);
		m->u.login_park.traceparent = SV(TRACEPARENT);
		break;
	case IPC_TOKEN_GET:
		m->u.token_get.correlation = SV(CORRELATION);
		m->u.token_get.traceparent = SV(TRACEPARENT);
		break;
	case IPC_LOGOUT:
		m->u.logout.correlation = SV(CORRELATION);
		m->u.logout.traceparent = SV(TRACEPARENT);
		break;
	case IPC_BACKCHANNEL:
		m->u.backchannel.correlation = SV(CORRELATION);
		m->u.backchannel.traceparent = SV(TRACEPARENT);
		break;
	case IPC_WELCOME:
	case IPC_FAILURE:
	case IPC_LOGIN_BEGUN:
	case IPC_LOGIN_FINISHED:
	case IPC_LOGIN_PARKED:
	case IPC_TOKEN:
	case IPC_LOGGED_OUT:
	case IPC_BACKCHANNEL_DONE:
	case IPC_METRICS_GET:
	case IPC_METRICS:
		break;
	}
}

static int make_samples(void **state)
{
	struct ipc_message m;

	(void)state;
#define IPC_MESSAGE(name_, NAME, number_, direction_, phase_)                                      \
	samples[SAMPLE_##NAME] = (struct sample){.name = #name_,                                   \
						 .number = (number_),                              \
						 .direction = IPC_##direction_,                    \
						 .phase = IPC_##phase_};                           \
	buf_init(&samples[SAMPLE_##NAME].packet, IPC_FRAME_MAX);                                   \
	fill(&m, (number_));                                                                       \
	assert_int_equal(ipc_encode_##name_(&samples[SAMPLE_##NAME].packet, 7, &m.u.name_), ERR_OK);
#include "common/ipc.def"
#undef IPC_MESSAGE
	return 0;
}

static int free_samples(void **state)
{
	(void)state;
	for (size_t i = 0; i < SAMPLES; i++)
		buf_done(&samples[i].packet);
	return 0;
}

static int set_up(void **state)
{
	static struct request request;

	(void)state;
	memset(&t, 0, sizeof t);
	t.request = &request;
	return 0;
}

static enum err dispatch(enum ipc_phase phase, struct sv packet)
{
	t.peer.phase = phase;
	t.calls = t.requests = t.dropped = t.id = 0;
	t.called[0] = t.why[0] = t.correlation[0] = '\0';
	return dispatch_packet(&t.peer, packet);
}

static void assert_refused(const char *what, enum err got)
{
	if (got != ERR_PROTOCOL || t.calls != 0 || t.requests != 0 || t.dropped != 1)
		fail_msg("%s: %s, %u calls, %u requests, %u lines", what, err_text(got), t.calls,
			 t.requests, t.dropped);
}

static void each_message_has_its_side_its_phase_and_its_handler(void **state)
{
	static const enum ipc_phase phases[] = {IPC_PHASE_HELLO, IPC_PHASE_OPEN};

	(void)state;
	for (size_t i = 0; i < SAMPLES; i++)
		for (size_t k = 0; k < ARRAY_LEN(phases); k++) {
			enum err got = dispatch(phases[k], buf_sv(&samples[i].packet));

			if (samples[i].direction != IPC_TO_BROKER ||
			    samples[i].phase != phases[k]) {
				assert_refused(samples[i].name, got);
				assert_string_equal(t.why,
						    "not a message of this side or this phase");
				continue;
			}
			assert_int_equal(got, ERR_OK);
			assert_int_equal(t.calls, 1);
			assert_string_equal(t.called, samples[i].name);
			assert_int_equal(t.dropped, 0);
			assert_int_equal(t.id, 7);
			if (phases[k] == IPC_PHASE_HELLO || samples[i].number == IPC_METRICS_GET)
				continue; /* no request of a configuration */
			assert_int_equal(t.requests, 1);
			assert_string_equal(t.correlation, CORRELATION);
		}
}

static void unknown_numbers_are_refused(void **state)
{
	const struct buf *token_get = &samples[SAMPLE_TOKEN_GET].packet;
	char packet[IPC_FRAME_MAX];

	(void)state;
	memcpy(packet, token_get->p, token_get->n);
	for (unsigned number = 0; number <= UINT16_MAX; number++) {
		bool known = false;

		for (size_t i = 0; i < SAMPLES; i++)
			known = known || (unsigned)samples[i].number == number;
		if (known)
			continue;
		packet[0] = (char)(number & 0xff);
		packet[1] = (char)(number >> 8);
		assert_refused("unknown", dispatch(IPC_PHASE_OPEN, sv_of(packet, token_get->n)));
	}
	assert_string_equal(t.why, "packet does not decode");
}

static void what_is_too_short_or_too_long_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < SAMPLES; i++) {
		const struct buf *b = &samples[i].packet;
		char packet[IPC_FRAME_MAX] = {0};

		memcpy(packet, b->p, b->n);
		for (size_t n = 0; n < b->n; n++)
			assert_refused(samples[i].name,
				       dispatch(samples[i].phase, sv_of(packet, n)));
		assert_refused(samples[i].name,
			       dispatch(samples[i].phase, sv_of(packet, b->n + 1)));
		packet[2] = 1; /* reserved */
		assert_refused(samples[i].name, dispatch(samples[i].phase, sv_of(packet, b->n)));
		assert_string_equal(t.why, "packet does not decode");
	}
}

static void a_request_that_is_not_taken_reaches_no_handler_and_drops_nobody(void **state)
{
	static const enum err codes[] = {ERR_LIMIT, ERR_UNAVAILABLE, ERR_CONFIG, ERR_NOMEM};

	(void)state;
	for (size_t i = 0; i < SAMPLES; i++)
		for (size_t k = 0; k < ARRAY_LEN(codes); k++) {
			if (samples[i].direction != IPC_TO_BROKER ||
			    samples[i].phase != IPC_PHASE_OPEN ||
			    samples[i].number == IPC_METRICS_GET)
				continue;
			t.takes = codes[k];
			assert_int_equal(dispatch(IPC_PHASE_OPEN, buf_sv(&samples[i].packet)),
					 ERR_OK);
			assert_int_equal(t.requests, 1);
			assert_int_equal(t.calls + t.dropped, 0);
		}
}

static void a_hello_that_is_refused_drops_the_peer(void **state)
{
	(void)state;
	t.takes = ERR_PROTOCOL;
	assert_int_equal(dispatch(IPC_PHASE_HELLO, buf_sv(&samples[SAMPLE_HELLO].packet)),
			 ERR_PROTOCOL);
	assert_string_equal(t.called, "hello");
}

static void a_token_from_memory_makes_no_request(void **state)
{
	(void)state;
	t.remembers = true;
	assert_int_equal(dispatch(IPC_PHASE_OPEN, buf_sv(&samples[SAMPLE_TOKEN_GET].packet)),
			 ERR_OK);
	assert_int_equal(t.id, 7);
	assert_int_equal(t.requests + t.calls, 0);
	assert_int_equal(dispatch(IPC_PHASE_OPEN, buf_sv(&samples[SAMPLE_LOGOUT].packet)), ERR_OK);
	assert_string_equal(t.called, "logout");
	/* Not even of memory before the hello. */
	assert_refused("token_get",
		       dispatch(IPC_PHASE_HELLO, buf_sv(&samples[SAMPLE_TOKEN_GET].packet)));
}

#define WITH(fn) cmocka_unit_test_setup(fn, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH(each_message_has_its_side_its_phase_and_its_handler),
	    WITH(unknown_numbers_are_refused),
	    WITH(what_is_too_short_or_too_long_is_refused),
	    WITH(a_request_that_is_not_taken_reaches_no_handler_and_drops_nobody),
	    WITH(a_hello_that_is_refused_drops_the_peer),
	    WITH(a_token_from_memory_makes_no_request),
	};

	return cmocka_run_group_tests(tests, make_samples, free_samples);
}
