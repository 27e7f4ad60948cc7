/* The source itself: the tables that the macros make are what is tested here. */
#include "common/ipc.c"

#include "tests/unit/unit.h"

static const struct message *const *all(size_t *ret_n)
{
	static const struct message *v[64];
	size_t n = 0;

#define IPC_MESSAGE(name, NAME, number, direction, phase) v[n++] = message_##name();
#include "common/ipc.def"
#undef IPC_MESSAGE
	*ret_n = n;
	return v;
}

static char filler[IPC_FRAME_MAX + 1];

static size_t len_of(const struct field *f, size_t less)
{
	return f->max > less ? f->max - less : 0;
}

/* Sets every field of a message: texts and secrets `less` bytes under their maximum. */
static void fill(const struct message *m, char *at, size_t less)
{
	memset(filler, 'x', sizeof filler);
	for (size_t i = 0; i < m->nfields; i++) {
		const struct field *f = &m->fields[i];
		struct sv s = sv_of(filler, len_of(f, less));
		uint64_t v64 = 0x1122334455667788U + i;
		uint32_t v32 = 0x99aabbccU + (uint32_t)i;

		if (is_bytes(f))
			memcpy(at + f->offset, &s, sizeof s);
		else if (f->type == TYPE_u64)
			memcpy(at + f->offset, &v64, sizeof v64);
		else
			memcpy(at + f->offset, &v32, sizeof v32);
	}
}

static void assert_same(const struct message *m, const char *a, const char *b)
{
	for (size_t i = 0; i < m->nfields; i++) {
		const struct field *f = &m->fields[i];

		if (is_bytes(f))
			assert_sv_equal(field_sv(f, a), field_sv(f, b));
		else
			assert_int_equal(field_number(f, a), field_number(f, b));
	}
}

static void every_message_round_trips(void **state)
{
	static const size_t less[] = {0, 1, 15, IPC_FRAME_MAX};
	const struct message *const *v;
	size_t n;

	(void)state;
	v = all(&n);
	for (size_t i = 0; i < n * ARRAY_LEN(less); i++) {
		const struct message *m = v[i / ARRAY_LEN(less)];
		struct ipc_message want = {0}, got = {0};
		struct buf b;

		buf_init(&b, IPC_FRAME_MAX);
		fill(m, (char *)&want.u, less[i % ARRAY_LEN(less)]);
		assert_int_equal(encode(&b, 0xfedcba98U, m, (const char *)&want.u), ERR_OK);
		assert_int_equal(ipc_decode(buf_sv(&b), &got), ERR_OK);
		assert_int_equal(got.number, m->number);
		assert_int_equal(got.id, 0xfedcba98U);
		assert_int_equal(got.direction, m->direction);
		assert_int_equal(got.phase, m->phase);
		assert_string_equal(got.name, m->name);
		assert_same(m, (const char *)&got.u, (const char *)&want.u);
		buf_done(&b);
	}
}

/* In memory of their own size, so that ASan sees a read too far. */
static enum err decode_copy(struct sv packet)
{
	struct ipc_message got;
	char *p = malloc(packet.n == 0 ? 1 : packet.n);
	enum err e;

	assert_non_null(p);
	if (packet.n > 0)
		memcpy(p, packet.p, packet.n);
	e = ipc_decode(sv_of(p, packet.n), &got);
	free(p);
	return e;
}

static void every_truncation_and_a_trailing_byte_are_refused(void **state)
{
	const struct message *const *v;
	size_t n;

	(void)state;
	v = all(&n);
	for (size_t i = 0; i < n; i++) {
		struct ipc_message m = {0};
		struct buf b;

		buf_init(&b, IPC_FRAME_MAX + 1);
		fill(v[i], (char *)&m.u, 0);
		for (size_t j = 0; j < v[i]->nfields; j++) { /* short texts: all cuts, quickly */
			struct sv s = SV("abc");

			if (is_bytes(&v[i]->fields[j]))
				memcpy((char *)&m.u + v[i]->fields[j].offset, &s, sizeof s);
		}
		assert_int_equal(encode(&b, 1, v[i], (const char *)&m.u), ERR_OK);
		for (size_t cut = 0; cut < b.n; cut++)
			assert_int_equal(decode_copy(sv_of(b.p, cut)), ERR_PROTOCOL);
		assert_int_equal(decode_copy(buf_sv(&b)), ERR_OK);
		buf_add_char(&b, '\0');
		assert_int_equal(decode_copy(buf_sv(&b)), ERR_PROTOCOL);
		buf_done(&b);
	}
}

static void every_field_over_its_maximum_is_refused(void **state)
{
	const struct message *const *v;
	size_t n, total;

	(void)state;
	v = all(&n);
	for (size_t i = 0; i < n; i++) {
		total = HEAD_LEN;
		for (size_t j = 0; j < v[i]->nfields; j++) {
			const struct field *f = &v[i]->fields[j];
			struct ipc_message m = {0};
			struct sv s = sv_of(filler, f->max + 1);
			struct field wider = *f;
			struct message one = *v[i];
			struct buf b;

			total += is_bytes(f) ? 4 + f->max : number_len(f);
			if (!is_bytes(f))
				continue;
			buf_init(&b, IPC_FRAME_MAX * 2);
			memcpy((char *)&m.u + f->offset, &s, sizeof s);
			assert_int_equal(encode(&b, 1, v[i], (const char *)&m.u), ERR_LIMIT);
			assert_int_equal(b.n, 0);
			/* The same bytes from a peer that allows itself more. */
			wider.max++;
			one.fields = &wider;
			one.nfields = 1;
			assert_int_equal(encode(&b, 1, &one, (const char *)&m.u), ERR_OK);
			assert_int_equal(decode_copy(buf_sv(&b)), ERR_PROTOCOL);
			buf_done(&b);
		}
		assert_true(total <= IPC_FRAME_MAX);
	}
}

static void odd_heads_are_refused(void **state)
{
	struct ipc_message got;
	struct ipc_hello hello = {.build = SV("1")};
	struct buf b;

	(void)state;
	buf_init(&b, IPC_FRAME_MAX * 2);
	assert_int_equal(ipc_encode_hello(&b, 7, &hello), ERR_OK);
	for (unsigned number = 0; number <= UINT16_MAX; number++) {
		(void)number_to(b.p, number, 2);
		if (message_of(number) == NULL)
			assert_int_equal(ipc_decode(buf_sv(&b), &got), ERR_PROTOCOL);
	}
	(void)number_to(b.p, IPC_HELLO, 2);
	assert_int_equal(ipc_decode(buf_sv(&b), &got), ERR_OK);
	b.p[2] = 1;
	assert_int_equal(ipc_decode(buf_sv(&b), &got), ERR_PROTOCOL);
	b.p[2] = 0;
	b.p[3] = 1;
	assert_int_equal(ipc_decode(buf_sv(&b), &got), ERR_PROTOCOL);
	assert_int_equal(ipc_decode(SV_NONE, &got), ERR_PROTOCOL);
	memset(filler, 0, sizeof filler);
	assert_int_equal(ipc_decode(sv_of(filler, sizeof filler), &got), ERR_PROTOCOL);
	buf_done(&b);
}

static void a_length_near_the_end_of_numbers_is_refused(void **state)
{
	struct ipc_welcome m = {.build = SV("1")};
	struct ipc_message got;
	struct buf b;

	(void)state;
	buf_init(&b, IPC_FRAME_MAX);
	assert_int_equal(ipc_encode_welcome(&b, 7, &m), ERR_OK);
	memset(b.p + HEAD_LEN + 8, 0xff, 4);
	assert_int_equal(ipc_decode(buf_sv(&b), &got), ERR_PROTOCOL);
	buf_done(&b);
}

static void a_buffer_that_is_full_stays_as_it_was(void **state)
{
	struct ipc_welcome m = {.build = SV("123456789")};
	struct buf b;

	(void)state;
	buf_init(&b, 12);
	assert_int_equal(ipc_encode_welcome(&b, 7, &m), ERR_NOMEM);
	assert_int_equal(b.n, 0);
	buf_done(&b);
}

static void the_wire_is_little_endian(void **state)
{
	static const char want[] = "\x21\x00\x00\x00\x04\x03\x02\x01\x01\x00\x00\x00"
				   "\x08\x07\x06\x05\x03\x00\x00\x00xyz";
	struct ipc_message m = {
	    .number = IPC_BACKCHANNEL_DONE,
	    .u.backchannel_done = {.accepted = 1, .sessions = 0x05060708, .why = SV("xyz")},
	};
	struct buf b;

	(void)state;
	buf_init(&b, IPC_FRAME_MAX);
	assert_int_equal(ipc_encode_backchannel_done(&b, 0x01020304, &m.u.backchannel_done),
			 ERR_OK);
	assert_sv_equal(buf_sv(&b), sv_of(want, sizeof want - 1));
	buf_clear(&b);
	assert_int_equal(ipc_encode(&b, 0x01020304, &m), ERR_OK);
	assert_sv_equal(buf_sv(&b), sv_of(want, sizeof want - 1));
	buf_done(&b);
}

static void phase_and_direction_come_from_the_table(void **state)
{
	(void)state;
	assert_int_equal(message_hello()->phase, IPC_PHASE_HELLO);
	assert_int_equal(message_hello()->direction, IPC_TO_BROKER);
	assert_int_equal(message_welcome()->phase, IPC_PHASE_HELLO);
	assert_int_equal(message_welcome()->direction, IPC_TO_WORKER);
	assert_int_equal(message_token_get()->phase, IPC_PHASE_OPEN);
	assert_int_equal(message_token_get()->direction, IPC_TO_BROKER);
	assert_int_equal(message_token()->direction, IPC_TO_WORKER);
}

static void any_change_of_a_row_changes_the_fingerprint(void **state)
{
	const struct message *m = message_login_begin();
	const uint64_t same = mix_message(1, m);
	struct field fields[16];
	struct message other = *m;

	(void)state;
	assert_true(ipc_fingerprint() == ipc_fingerprint());
	assert_true(m->nfields <= ARRAY_LEN(fields));
	other.name = "login_begim";
	assert_true(mix_message(1, &other) != same);
	other = *m;
	other.number++;
	assert_true(mix_message(1, &other) != same);
	other = *m;
	other.direction = IPC_TO_WORKER;
	assert_true(mix_message(1, &other) != same);
	other = *m;
	other.phase = IPC_PHASE_HELLO;
	assert_true(mix_message(1, &other) != same);
	other = *m;
	other.nfields--;
	assert_true(mix_message(1, &other) != same);
	other = *m;
	other.fields = fields;
	for (size_t i = 0; i < m->nfields; i++) {
		memcpy(fields, m->fields, m->nfields * sizeof fields[0]);
		assert_true(mix_message(1, &other) == same);
		fields[i].max++;
		assert_true(mix_message(1, &other) != same);
		fields[i].max--;
		fields[i].name = "other";
		assert_true(mix_message(1, &other) != same);
		fields[i].name = m->fields[i].name;
		fields[i].type = fields[i].type == TYPE_str ? TYPE_secret : TYPE_str;
		assert_true(mix_message(1, &other) != same);
	}
	memcpy(fields, m->fields, m->nfields * sizeof fields[0]);
	fields[0] = m->fields[1];
	fields[1] = m->fields[0];
	assert_true(mix_message(1, &other) != same);
}

static void the_printer_shows_no_secret(void **state)
{
	const struct message *const *v;
	size_t n;
	struct buf b;

	(void)state;
	v = all(&n);
	buf_init(&b, 65536);
	for (size_t i = 0; i < n; i++) {
		struct ipc_message m = {.number = v[i]->number, .name = v[i]->name};
		struct sv secret = SV("QQQQQQQQ"), text = SV("\xff\n\"");

		for (size_t j = 0; j < v[i]->nfields; j++) {
			const struct field *f = &v[i]->fields[j];

			if (is_bytes(f))
				memcpy((char *)&m.u + f->offset,
				       f->type == TYPE_secret ? &secret : &text, sizeof secret);
		}
		ipc_print(&b, &m);
		buf_add_char(&b, '\n');
	}
	buf_add_char(&b, '\0');
	assert_true(buf_ok(&b));
	assert_null(strchr(b.p, 'Q'));
	assert_null(strchr(b.p, '\xff'));
	assert_non_null(strstr(b.p, "token id=0 access_token=<8 bytes> expires_in_ms=0\n"));
	assert_non_null(strstr(b.p, " app=\"\\xff\\x0a\\x22\" "));
	buf_done(&b);
}

static void errors_have_words(void **state)
{
	(void)state;
	assert_null(ipc_error_word(IPC_ERROR_NONE));
	assert_string_equal(ipc_error_word(IPC_ERROR_INTERNAL), "internal");
	assert_string_equal(ipc_error_word(IPC_ERROR_ACCESS_DENIED), "access_denied");
	assert_null(ipc_error_word(IPC_ERROR_ACCESS_DENIED + 1));
	assert_null(ipc_error_word(UINT32_MAX));
}

static void the_number_of_a_packet(void **state)
{
	const struct ipc_metrics_get m = {.cursor = 1};
	struct buf b;

	(void)state;
	buf_init(&b, IPC_FRAME_MAX);
	assert_int_equal(ipc_encode_metrics_get(&b, 1, &m), ERR_OK);
	assert_int_equal(ipc_packet_number(buf_sv(&b)), IPC_METRICS_GET);
	assert_int_equal(ipc_packet_number(SV("\x01\x02")), 0x201);
	assert_int_equal(ipc_packet_number(SV("\x01")), 0);
	buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_message_round_trips),
	    cmocka_unit_test(the_number_of_a_packet),
	    cmocka_unit_test(every_truncation_and_a_trailing_byte_are_refused),
	    cmocka_unit_test(every_field_over_its_maximum_is_refused),
	    cmocka_unit_test(odd_heads_are_refused),
	    cmocka_unit_test(a_length_near_the_end_of_numbers_is_refused),
	    cmocka_unit_test(a_buffer_that_is_full_stays_as_it_was),
	    cmocka_unit_test(the_wire_is_little_endian),
	    cmocka_unit_test(phase_and_direction_come_from_the_table),
	    cmocka_unit_test(any_change_of_a_row_changes_the_fingerprint),
	    cmocka_unit_test(the_printer_shows_no_secret),
	    cmocka_unit_test(errors_have_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
