#include "common/ipc.h"

#include <assert.h>

#define HEAD_LEN 8 /* u16 number, u16 zero, u32 id */

enum field_type { TYPE_str = 1, TYPE_secret, TYPE_u32, TYPE_u64 };

struct field {
	enum field_type type;
	const char *name;
	size_t max;
	size_t offset; /* in the message's struct */
};

struct message {
	enum ipc_number number;
	enum ipc_direction direction;
	enum ipc_phase phase;
	const char *name;
	const struct field *fields;
	size_t nfields;
};

#define FIELD_ROW(type, field, max) {TYPE_##type, #field, (max), offsetof(self, field)},
#define DIRECTION_TO_BROKER IPC_TO_BROKER
#define DIRECTION_TO_WORKER IPC_TO_WORKER
#define IPC_MESSAGE(name, NAME, number, direction, phase)                                          \
	static const struct message *message_##name(void)                                          \
	{                                                                                          \
		typedef struct ipc_##name self;                                                    \
		static const struct field fields[] = {IPC_FIELDS_##name(FIELD_ROW)};               \
		static const struct message m = {IPC_##NAME,  DIRECTION_##direction,               \
						 IPC_##phase, #name,                               \
						 fields,      ARRAY_LEN(fields)};                  \
		return &m;                                                                         \
	}
#include "common/ipc.def"
#undef IPC_MESSAGE

static const struct message *message_of(unsigned number)
{
	switch (number) {
#define IPC_MESSAGE(name, NAME, number, direction, phase)                                          \
	case number:                                                                               \
		return message_##name();
#include "common/ipc.def"
#undef IPC_MESSAGE
	}
	return NULL;
}

const char *ipc_error_word(uint32_t code)
{
	switch (code) {
#define WORD_CASE(name, word)                                                                      \
	case IPC_ERROR_##name:                                                                     \
		return word;
		IPC_ERRORS(WORD_CASE)
#undef WORD_CASE
	}
	return NULL;
}

static uint64_t number_from(const char *p, size_t n)
{
	uint64_t v = 0;

	while (n-- > 0)
		v = (v << 8) | (unsigned char)p[n];
	return v;
}

static char *number_to(char *at, uint64_t v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		at[i] = (char)(unsigned char)(v >> (8 * i));
	return at + n;
}

/* The members are reached by offset, so all copying goes through memcpy. */
static struct sv field_sv(const struct field *f, const char *m)
{
	struct sv s;

	memcpy(&s, m + f->offset, sizeof s);
	return s;
}

static uint64_t field_number(const struct field *f, const char *m)
{
	uint64_t v64;
	uint32_t v32;

	if (f->type == TYPE_u64) {
		memcpy(&v64, m + f->offset, sizeof v64);
		return v64;
	}
	memcpy(&v32, m + f->offset, sizeof v32);
	return v32;
}

static bool is_bytes(const struct field *f)
{
	return f->type == TYPE_str || f->type == TYPE_secret;
}

static size_t number_len(const struct field *f)
{
	return f->type == TYPE_u64 ? 8 : 4;
}

static enum err decode_field(const struct field *f, struct sv *rest, char *m)
{
	size_t len = is_bytes(f) ? 4 : number_len(f);
	uint64_t v;
	uint32_t v32;
	struct sv s;

	if (rest->n < len)
		return ERR_PROTOCOL;
	v = number_from(rest->p, len);
	*rest = sv_cut(*rest, len, rest->n);
	if (is_bytes(f)) {
		if (v > f->max || v > rest->n)
			return ERR_PROTOCOL;
		s = sv_cut(*rest, 0, (size_t)v);
		*rest = sv_cut(*rest, (size_t)v, rest->n);
		memcpy(m + f->offset, &s, sizeof s);
		return ERR_OK;
	}
	v32 = (uint32_t)v;
	if (f->type == TYPE_u64)
		memcpy(m + f->offset, &v, sizeof v);
	else
		memcpy(m + f->offset, &v32, sizeof v32);
	return ERR_OK;
}

enum err ipc_decode(struct sv packet, struct ipc_message *ret)
{
	struct ipc_message got = {0};
	const struct message *m;
	struct sv rest;

	if (packet.n < HEAD_LEN || packet.n > IPC_FRAME_MAX)
		return ERR_PROTOCOL;
	m = message_of((unsigned)number_from(packet.p, 2));
	if (m == NULL || number_from(packet.p + 2, 2) != 0)
		return ERR_PROTOCOL;
	got.number = m->number;
	got.id = (uint32_t)number_from(packet.p + 4, 4);
	got.direction = m->direction;
	got.phase = m->phase;
	got.name = m->name;
	rest = sv_cut(packet, HEAD_LEN, packet.n);
	for (size_t i = 0; i < m->nfields; i++)
		if (decode_field(&m->fields[i], &rest, (char *)&got.u) != ERR_OK)
			return ERR_PROTOCOL;
	if (rest.n != 0)
		return ERR_PROTOCOL;
	*ret = got;
	return ERR_OK;
}

static enum err encode(struct buf *b, uint32_t id, const struct message *m, const char *from)
{
	size_t total = HEAD_LEN;
	char *start, *at;

	for (size_t i = 0; i < m->nfields; i++) {
		const struct field *f = &m->fields[i];

		if (!is_bytes(f)) {
			total += number_len(f);
			continue;
		}
		if (field_sv(f, from).n > f->max)
			return ERR_LIMIT;
		total += 4 + field_sv(f, from).n;
	}
	assert(total <= IPC_FRAME_MAX); /* the maxima of ipc.h say so; a test adds them up */
	start = at = buf_reserve(b, total);
	if (at == NULL)
		return ERR_NOMEM;
	at = number_to(at, (uint64_t)m->number, 2);
	at = number_to(at, 0, 2);
	at = number_to(at, id, 4);
	for (size_t i = 0; i < m->nfields; i++) {
		const struct field *f = &m->fields[i];
		struct sv s;

		if (!is_bytes(f)) {
			at = number_to(at, field_number(f, from), number_len(f));
			continue;
		}
		s = field_sv(f, from);
		at = number_to(at, s.n, 4);
		if (s.n > 0)
			memcpy(at, s.p, s.n);
		at += s.n;
	}
	b->n += (size_t)(at - start);
	return ERR_OK;
}

#define IPC_MESSAGE(name, NAME, number, direction, phase)                                          \
	enum err ipc_encode_##name(struct buf *b, uint32_t id, const struct ipc_##name *m)         \
	{                                                                                          \
		return encode(b, id, message_##name(), (const char *)m);                           \
	}
#include "common/ipc.def"
#undef IPC_MESSAGE

enum err ipc_encode(struct buf *b, uint32_t id, const struct ipc_message *m)
{
	const struct message *row = message_of((unsigned)m->number);

	assert(row != NULL);
	return encode(b, id, row, (const char *)&m->u);
}

static void print_str(struct buf *b, struct sv s)
{
	buf_add_char(b, '"');
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c < 0x20 || c > 0x7e || c == '"' || c == '\\')
			buf_addf(b, "\\x%02x", (unsigned)c);
		else
			buf_add_char(b, (char)c);
	}
	buf_add_char(b, '"');
}

void ipc_print(struct buf *b, const struct ipc_message *m)
{
	const struct message *row = message_of((unsigned)m->number);
	const char *from = (const char *)&m->u;

	if (row == NULL)
		return;
	buf_addf(b, "%s id=%u", row->name, (unsigned)m->id);
	for (size_t i = 0; i < row->nfields; i++) {
		const struct field *f = &row->fields[i];

		buf_addf(b, " %s=", f->name);
		switch (f->type) {
		case TYPE_str:
			print_str(b, field_sv(f, from));
			break;
		case TYPE_secret:
			buf_addf(b, "<%zu bytes>", field_sv(f, from).n);
			break;
		case TYPE_u32:
		case TYPE_u64:
			buf_add_u64(b, field_number(f, from));
			break;
		}
	}
}

static uint64_t mix_row(uint64_t h, const char *name, uint64_t a, uint64_t b, uint64_t c)
{
	char numbers[24];

	(void)number_to(number_to(number_to(numbers, a, 8), b, 8), c, 8);
	h = sv_hash(h, sv_of(name, strlen(name) + 1));
	return sv_hash(h, sv_of(numbers, sizeof numbers));
}

static uint64_t mix_message(uint64_t h, const struct message *m)
{
	h = mix_row(h, m->name, (uint64_t)m->number, (uint64_t)m->direction, (uint64_t)m->phase);
	for (size_t i = 0; i < m->nfields; i++)
		h = mix_row(h, m->fields[i].name, (uint64_t)m->fields[i].type, m->fields[i].max, i);
	return h;
}

uint64_t ipc_fingerprint(void)
{
	uint64_t h = SV_HASH_START;

#define IPC_MESSAGE(name, NAME, number, direction, phase) h = mix_message(h, message_##name());
#include "common/ipc.def"
#undef IPC_MESSAGE
#define MIX_ERROR(name, word) h = mix_row(h, word, IPC_ERROR_##name, 0, 0);
	IPC_ERRORS(MIX_ERROR)
#undef MIX_ERROR
	return h;
}

unsigned ipc_packet_number(struct sv packet)
{
	return packet.n < 2
		   ? 0
		   : (unsigned char)packet.p[0] | (unsigned)(unsigned char)packet.p[1] << 8;
}
