#include "broker/request.h"

#include "broker/peer.h"
#include "common/log.h"
#include "tests/unit/unit.h"

static struct {
	struct broker broker;
	struct edition edition;
	struct peer peer;
	unsigned sent, drained;
	char packet[IPC_FRAME_MAX];
	struct ipc_message m;
} t;

void __wrap_peer_send(struct peer *p, struct sv packet);
void __wrap_peer_send(struct peer *p, struct sv packet)
{
	assert_ptr_equal(p, &t.peer);
	memcpy(t.packet, packet.p, packet.n);
	assert_int_equal(ipc_decode(sv_of(t.packet, packet.n), &t.m), ERR_OK);
	t.sent++;
}

void __wrap_broker_drained(struct broker *b);
void __wrap_broker_drained(struct broker *b)
{
	assert_ptr_equal(b, &t.broker);
	t.drained++;
}

static int setup(void **state)
{
	(void)state;
	log_set_level(LOG_ERROR + 1);
	memset(&t, 0, sizeof t);
	t.peer.broker = &t.broker;
	return 0;
}

static struct request *make(uint32_t id)
{
	struct request *r = calloc(1, sizeof *r);

	assert_non_null(r);
	*r = (struct request){.broker = &t.broker,
			      .peer = &t.peer,
			      .edition = &t.edition,
			      .id = id,
			      .name = "logout",
			      .next = t.peer.requests,
			      .prev = &t.peer.requests};
	if (r->next != NULL)
		r->next->prev = &r->next;
	t.peer.requests = r;
	t.peer.nrequests++;
	edition_ref(&t.edition);
	return r;
}

static void answer(struct request **r)
{
	struct ipc_logged_out m = {.redirect_url = SV("https://a.example/"), .sessions = 1};
	struct buf b;
	enum err e;

	buf_init(&b, IPC_FRAME_MAX);
	e = ipc_encode_logged_out(&b, (*r)->id, &m);
	request_answer(r, e, &b);
	assert_null(b.p);
}

static void one_answer_of_its_id_and_nothing_is_left(void **state)
{
	struct request *one = make(1), *two = make(2), *three = make(3);

	(void)state;
	answer(&two);
	assert_null(two);
	assert_int_equal(t.sent, 1);
	assert_int_equal(t.m.number, IPC_LOGGED_OUT);
	assert_int_equal(t.m.id, 2);
	assert_int_equal(t.peer.nrequests, 2);
	assert_int_equal(t.edition.refs, 2);
	assert_ptr_equal(t.peer.requests, three);
	assert_ptr_equal(three->next, one);
	answer(&three);
	answer(&one);
	assert_null(t.peer.requests);
	assert_int_equal(t.edition.refs, 0);
	assert_int_equal(t.drained, 0);
}

static void a_failure_says_why(void **state)
{
	struct request *r = make(9);

	(void)state;
	request_fail(&r, IPC_ERROR_STALE,
		     (struct request_failure){.retry_after_s = 3,
					      .return_to = SV("https://a.example/x"),
					      .detail = "used"});
	assert_null(r);
	assert_int_equal(t.m.number, IPC_FAILURE);
	assert_int_equal(t.m.id, 9);
	assert_int_equal(t.m.u.failure.code, IPC_ERROR_STALE);
	assert_int_equal(t.m.u.failure.retry_after_s, 3);
	assert_sv_equal(t.m.u.failure.return_to, SV("https://a.example/x"));
	assert_sv_equal(t.m.u.failure.detail, SV("used"));
	r = make(10);
	request_fail_store(&r, ERR_TIMEOUT);
	assert_int_equal(t.m.u.failure.code, IPC_ERROR_STORE);
	assert_int_equal(t.m.u.failure.retry_after_s, 1);
	assert_int_equal(t.edition.refs, 0);
}

static void what_was_not_encoded_is_a_failure(void **state)
{
	struct request *r = make(4);
	struct buf b;

	(void)state;
	buf_init(&b, IPC_FRAME_MAX);
	request_answer(&r, ERR_LIMIT, &b);
	assert_null(r);
	assert_int_equal(t.sent, 1);
	assert_int_equal(t.m.u.failure.code, IPC_ERROR_INTERNAL);
	assert_int_equal(t.edition.refs, 0);
}

static void without_its_peer_it_just_ends(void **state)
{
	struct request *r = make(4), *s = make(5);

	(void)state;
	r->peer = s->peer = NULL; /* as peer_free() does */
	t.peer.requests = NULL;
	answer(&r);
	request_fail(&s, IPC_ERROR_INTERNAL, request_detail("x"));
	assert_int_equal(t.sent, 0);
	assert_int_equal(t.edition.refs, 0);
}

static void a_drain_hears_of_each_end(void **state)
{
	struct request *r = make(4), *s = make(5);

	(void)state;
	t.broker.draining = true;
	answer(&r);
	request_fail(&s, IPC_ERROR_INTERNAL, request_detail("x"));
	assert_int_equal(t.drained, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(one_answer_of_its_id_and_nothing_is_left, setup),
	    cmocka_unit_test_setup(a_failure_says_why, setup),
	    cmocka_unit_test_setup(what_was_not_encoded_is_a_failure, setup),
	    cmocka_unit_test_setup(without_its_peer_it_just_ends, setup),
	    cmocka_unit_test_setup(a_drain_hears_of_each_end, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
