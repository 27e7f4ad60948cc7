#include "broker/request.h"

#include "broker/peer.h"
#include "common/log.h"
#include "tests/unit/broker/answer_copy.h"

/* The peer and the loop are played here. */
static struct {
	struct broker broker;
	struct peer peer;
	struct edition edition;
	unsigned sent, drained;
	char packet[IPC_FRAME_MAX];
	struct ipc_message answer; /* borrows packet */
	enum ipc_number refused;   /* which answer the peer does not take, with why */
	enum err why;
	unsigned refusals;
} t;

enum err __wrap_peer_answer(struct peer *p, uint32_t id, const struct ipc_message *m);
enum err __wrap_peer_answer(struct peer *p, uint32_t id, const struct ipc_message *m)
{
	assert_ptr_equal(p, &t.peer);
	if (m->number == t.refused) {
		t.refusals++;
		return t.why;
	}
	t.answer = answer_copy(t.packet, id, m);
	t.sent++;
	return ERR_OK;
}

void __wrap_broker_drained(struct broker *b);
void __wrap_broker_drained(struct broker *b)
{
	assert_ptr_equal(b, &t.broker);
	t.drained++;
}

static int set_up(void **state)
{
	(void)state;
	log_set_level(LOG_ERROR);
	memset(&t, 0, sizeof t);
	t.peer.broker = &t.broker;
	return 0;
}

/* As peer_request() makes them. */
static struct request *request_new(uint32_t id)
{
	struct request *r = calloc(1, sizeof *r);

	assert_non_null(r);
	*r = (struct request){.broker = &t.broker,
			      .peer = &t.peer,
			      .edition = &t.edition,
			      .id = id,
			      .name = "token_get",
			      .correlation = "c-1",
			      .next = t.peer.requests,
			      .prev = &t.peer.requests};
	if (r->next != NULL)
		r->next->prev = &r->next;
	t.peer.requests = r;
	t.peer.nrequests++;
	edition_ref(&t.edition);
	return r;
}

static const struct ipc_message token = {
    .number = IPC_TOKEN,
    .u.token = {.access_token = SV_INIT("secret token"), .expires_in_ms = 1000}};

static void an_answer_goes_out_once(void **state)
{
	struct request *r = request_new(7);

	(void)state;
	request_answer(&r, &token);
	assert_null(r);
	assert_int_equal(t.sent, 1);
	assert_int_equal(t.answer.number, IPC_TOKEN);
	assert_int_equal(t.answer.id, 7);
	assert_sv_equal(t.answer.u.token.access_token, SV("secret token"));
	assert_int_equal(t.edition.refs, 0);
	assert_int_equal(t.peer.nrequests, 0);
	assert_null(t.peer.requests);
	assert_int_equal(t.drained, 0);
}

static void what_was_not_encoded_is_a_failure(void **state)
{
	struct request *r = request_new(8);

	(void)state;
	t.refused = IPC_TOKEN;
	t.why = ERR_LIMIT;
	request_answer(&r, &token);
	assert_null(r);
	assert_int_equal(t.refusals, 1);
	assert_int_equal(t.sent, 1);
	assert_int_equal(t.answer.number, IPC_FAILURE);
	assert_int_equal(t.answer.id, 8);
	assert_int_equal(t.answer.u.failure.code, IPC_ERROR_INTERNAL);
	assert_sv_equal(t.answer.u.failure.detail, SV("answer_not_encoded"));
	assert_int_equal(t.edition.refs, 0);
}

static void a_gone_peer_gets_nothing(void **state)
{
	struct request *r = request_new(7), *failing = request_new(8), *lost = request_new(9);

	(void)state;
	r->peer = failing->peer = lost->peer = NULL; /* as peer_free() does */
	memset(&t.peer, 0xee, sizeof t.peer);	     /* and whatever is there now */
	request_answer(&r, &token);
	request_fail(&failing, IPC_ERROR_STORE, request_detail("x"));
	request_fail_store(&lost, ERR_TIMEOUT);
	assert_true(r == NULL && failing == NULL && lost == NULL);
	assert_int_equal(t.sent + t.refusals, 0);
	assert_int_equal(t.edition.refs, 0);
	assert_int_equal(t.peer.nrequests, (size_t)0xeeeeeeeeeeeeeeee);
}

static void a_failure_has_all_its_fields(void **state)
{
	static const struct {
		enum ipc_error code;
		struct request_failure why;
		const char *want_detail, *want_return_to;
	} rows[] = {
	    {IPC_ERROR_STALE,
	     {.return_to = SV_INIT("https://a.example/x"), .detail = "used"},
	     "used",
	     "https://a.example/x"},
	    {IPC_ERROR_PROVIDER_DOWN,
	     {.retry_after_s = 30, .detail = "throttled"},
	     "throttled",
	     ""},
	    {IPC_ERROR_LIMITED, {.retry_after_s = UINT32_MAX}, "", ""},
	    {IPC_ERROR_ACCESS_DENIED, {0}, "", ""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct request *r = request_new((uint32_t)(i + 1));

		request_fail(&r, rows[i].code, rows[i].why);
		assert_null(r);
		assert_int_equal(t.sent, i + 1);
		assert_int_equal(t.answer.number, IPC_FAILURE);
		assert_int_equal(t.answer.id, i + 1);
		assert_int_equal(t.answer.u.failure.code, rows[i].code);
		assert_int_equal(t.answer.u.failure.retry_after_s, rows[i].why.retry_after_s);
		assert_sv_equal(t.answer.u.failure.detail, sv_str(rows[i].want_detail));
		assert_sv_equal(t.answer.u.failure.return_to, sv_str(rows[i].want_return_to));
		assert_int_equal(t.edition.refs, 0);
	}
}

static void a_query_that_failed_is_store_whatever_it_was(void **state)
{
	static const enum err codes[] = {ERR_UNAVAILABLE, ERR_TIMEOUT, ERR_DENIED, ERR_PROTOCOL,
					 ERR_CANCELED};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
		struct request *r = request_new(3);

		request_fail_store(&r, codes[i]);
		assert_null(r);
		assert_int_equal(t.answer.u.failure.code, IPC_ERROR_STORE);
		assert_int_equal(t.answer.u.failure.retry_after_s, 1);
		assert_sv_equal(t.answer.u.failure.detail, sv_str(err_text(codes[i])));
	}
}

/* The next of each `next` must be where its `prev` points. */
static void assert_linked(size_t n)
{
	struct request **at = &t.peer.requests;
	size_t seen = 0;

	for (; *at != NULL; at = &(*at)->next, seen++)
		assert_ptr_equal((*at)->prev, at);
	assert_int_equal(seen, n);
	assert_int_equal(t.peer.nrequests, n);
}

static void requests_end_in_any_order(void **state)
{
	static const unsigned orders[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
					     {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(orders); i++) {
		struct request *r[3];

		for (uint32_t k = 0; k < 3; k++)
			r[k] = request_new(k);
		for (size_t k = 0; k < 3; k++) {
			request_fail(&r[orders[i][k]], IPC_ERROR_STORE, request_detail("x"));
			assert_int_equal(t.answer.id, orders[i][k]);
			assert_linked(2 - k);
		}
	}
}

static void the_drain_is_told_of_every_end(void **state)
{
	struct request *r = request_new(1);

	(void)state;
	t.broker.draining = true;
	request_answer(&r, &token);
	assert_int_equal(t.drained, 1);
	r = request_new(2);
	request_fail(&r, IPC_ERROR_STORE, request_detail("x"));
	assert_int_equal(t.drained, 2);
	r = request_new(3);
	r->peer = NULL;
	request_fail(&r, IPC_ERROR_STORE, request_detail("x"));
	assert_int_equal(t.drained, 3);
}

/* The worker's own timeout is what is left then. */
static void without_memory_for_a_failure_the_request_ends_all_the_same(void **state)
{
	struct request *r = request_new(1);

	(void)state;
	t.refused = IPC_FAILURE;
	t.why = ERR_NOMEM;
	request_fail(&r, IPC_ERROR_STORE, request_detail("x"));
	assert_null(r);
	assert_int_equal(t.refusals, 1);
	assert_int_equal(t.sent, 0);
	assert_int_equal(t.edition.refs, 0);
	assert_linked(0);
}

#define WITH(fn) cmocka_unit_test_setup(fn, set_up)

static void ends_are_counted(void **state)
{
	struct request *a, *b;

	(void)state;
	assert_int_equal(metrics_new(NULL, &t.broker.metrics), ERR_OK);
	a = request_new(1);
	b = request_new(2);
	a->message = b->message = metrics_message(IPC_TOKEN_GET);
	request_answer(&a, &token);
	request_fail(&b, IPC_ERROR_UPSTREAM, request_detail("word"));
	assert_int_equal(metrics_sum(t.broker.metrics, METRIC_B_REQUESTS,
				     METRICS_AT(metrics_message(IPC_TOKEN_GET), 0)),
			 1);
	assert_int_equal(metrics_sum(t.broker.metrics, METRIC_B_REQUESTS,
				     METRICS_AT(metrics_message(IPC_TOKEN_GET),
						metrics_answer(ERR_OK, IPC_ERROR_UPSTREAM))),
			 1);
	metrics_free(&t.broker.metrics);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH(an_answer_goes_out_once),
	    WITH(what_was_not_encoded_is_a_failure),
	    WITH(a_gone_peer_gets_nothing),
	    WITH(a_failure_has_all_its_fields),
	    WITH(a_query_that_failed_is_store_whatever_it_was),
	    WITH(requests_end_in_any_order),
	    WITH(ends_are_counted),
	    WITH(the_drain_is_told_of_every_end),
	    WITH(without_memory_for_a_failure_the_request_ends_all_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
