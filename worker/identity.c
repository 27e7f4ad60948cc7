#include "worker/identity.h"

#include <stdlib.h>

#include "worker/claim.h"

#define MAX_BYTES_DEFAULT 1024

/* Written in this order: the first three are about the session, the others about the request. */
#define SESSION_ID "X-Session-ID"
#define AUTH_TIME "X-Auth-Time"
#define AUTH_ACR "X-Auth-Acr"
#define CORRELATION "X-Correlation-ID"
#define AUTHORIZATION "Authorization"
#define COOKIE "Cookie"
static const struct sv fixed[] = {SV_INIT(SESSION_ID),	SV_INIT(AUTH_TIME),	SV_INIT(AUTH_ACR),
				  SV_INIT(CORRELATION), SV_INIT(AUTHORIZATION), SV_INIT(COOKIE)};

static const struct config_header default_headers[] = {
    {SV_INIT("X-User-ID"), SV_INIT("subject"), SV_INIT(","), {NULL, 0}, MAX_BYTES_DEFAULT},
    {SV_INIT("X-User-Email"), SV_INIT("email"), SV_INIT(","), {NULL, 0}, MAX_BYTES_DEFAULT},
    {SV_INIT("X-User-Name"), SV_INIT("name"), SV_INIT(","), {NULL, 0}, MAX_BYTES_DEFAULT},
    {SV_INIT("X-User-Groups"), SV_INIT("groups"), SV_INIT(","), {NULL, 0}, MAX_BYTES_DEFAULT},
};

static const struct config_identity default_set = {
    .name = SV_INIT("default"),
    .headers = default_headers,
    .nheaders = ARRAY_LEN(default_headers),
};

/* One header of a set, and where in the table's text its value goes. */
struct slot {
	size_t at;
	const struct config_header *header;
	bool of_subject;
};

struct plan {
	const struct config_identity *set;
	const struct slot *slots; /* as they stand in the text */
	size_t n;
};

struct identity_table {
	struct plan *plans; /* of each set; the first is for routes that name none */
	struct slot *slots; /* of all plans */
	struct sv *names;   /* those of the sets, then `fixed` */
	struct buf text;    /* "Name: \r\n" of each name of the sets */
	size_t nplans, n;
	size_t max_block; /* bytes */
};

static bool is_known(const struct sv *names, size_t n, struct sv name)
{
	for (size_t i = 0; i < n; i++)
		if (sv_eq_nocase(names[i], name))
			return true;
	return false;
}

static void add_names(struct identity_table *t, const struct config_identity *set)
{
	for (size_t i = 0; i < set->nheaders; i++) {
		struct sv name = set->headers[i].name;

		if (!is_known(t->names, t->n, name) && !is_known(fixed, ARRAY_LEN(fixed), name))
			t->names[t->n++] = name;
	}
}

static const struct config_header *header_of(const struct config_identity *set, struct sv name)
{
	for (size_t i = 0; i < set->nheaders; i++)
		if (sv_eq_nocase(set->headers[i].name, name))
			return &set->headers[i];
	return NULL;
}

/* The slots of a set go next to each other; returns where the next set's go. */
static struct slot *add_slots(const struct identity_table *t, struct plan *p, struct slot *to)
{
	size_t at = 0;

	p->slots = to;
	for (size_t i = 0; i < t->n; i++) {
		const struct config_header *h = header_of(p->set, t->names[i]);

		at += t->names[i].n + SV(": ").n;
		if (h != NULL)
			*to++ = (struct slot){at, h, sv_eq(h->claim, SV("subject"))};
		at += SV("\r\n").n;
	}
	p->n = (size_t)(to - p->slots);
	return to;
}

static void add_text(struct identity_table *t)
{
	for (size_t i = 0; i < t->n; i++) {
		buf_add(&t->text, t->names[i]);
		buf_add(&t->text, SV(": \r\n"));
	}
}

/* The plans' sets: the default one, then the others. */
static void add_plans(struct identity_table *t, const struct config *c)
{
	t->plans[t->nplans++].set = &default_set;
	for (size_t i = 0; i < c->nidentities; i++) {
		if (sv_eq(c->identities[i].name, default_set.name))
			t->plans[0].set = &c->identities[i];
		else
			t->plans[t->nplans++].set = &c->identities[i];
	}
}

enum err identity_table_new(const struct config *c, struct identity_table **ret)
{
	struct identity_table *t = calloc(1, sizeof *t);
	size_t n = ARRAY_LEN(fixed) + ARRAY_LEN(default_headers);
	struct slot *to;

	if (t == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < c->nidentities; i++)
		n += c->identities[i].nheaders;
	t->max_block = c->web.max_answer - IDENTITY_REST;
	buf_init(&t->text, SIZE_MAX);
	t->plans = calloc(c->nidentities + 1, sizeof *t->plans);
	t->slots = calloc(n, sizeof *t->slots);
	t->names = calloc(n, sizeof *t->names);
	if (t->plans == NULL || t->slots == NULL || t->names == NULL) {
		identity_table_free(&t);
		return ERR_NOMEM;
	}
	add_plans(t, c);
	for (size_t i = 0; i < t->nplans; i++)
		add_names(t, t->plans[i].set);
	to = t->slots;
	for (size_t i = 0; i < t->nplans; i++)
		to = add_slots(t, &t->plans[i], to);
	add_text(t);
	memcpy(t->names + t->n, fixed, sizeof fixed);
	t->n += ARRAY_LEN(fixed);
	if (!buf_ok(&t->text)) {
		identity_table_free(&t);
		return ERR_NOMEM;
	}
	*ret = t;
	return ERR_OK;
}

void identity_table_free(struct identity_table **t)
{
	if (*t != NULL) {
		free((*t)->plans);
		free((*t)->slots);
		free((*t)->names);
		buf_done(&(*t)->text);
	}
	free(*t);
	*t = NULL;
}

const struct sv *identity_names(const struct identity_table *t, size_t *ret_n)
{
	*ret_n = t->n;
	return t->names;
}

COLD static void append_escaping(struct buf *out, struct sv s, char also)
{
	size_t done = 0;

	for (size_t i = 0; i < s.n; i++) {
		bool at_end = i == 0 || i == s.n - 1;
		char c = s.p[i];

		if (c >= ' ' && c <= '~' && c != '%' && c != also && (c != ' ' || !at_end))
			continue;
		buf_add(out, sv_cut(s, done, i));
		buf_add_escaped(out, c);
		done = i + 1;
	}
	buf_add(out, sv_cut(s, done, s.n));
}

/* Appends s with everything percent-encoded that could be taken for something else; also space at
 * either end, which parsers of headers would drop, and the ASCII `also`. */
static void append_encoded(struct buf *out, struct sv s, char also)
{
	bool spaced = s.n > 0 && (s.p[0] == ' ' || s.p[s.n - 1] == ' ');

	if (spaced || sv_find_special(s, '%', also) < s.n)
		append_escaping(out, s, also);
	else
		buf_add(out, s);
}

static bool only_lists(const struct config_list *only, struct sv text)
{
	return only->n == 0 || config_list_has(only, text);
}

/* False: a value of a type that has no text. */
static bool append_list(const struct config_header *h, struct claims *claims, struct claim list,
			struct buf *out)
{
	struct sv separator = h->separator.n == 0 ? SV(",") : h->separator, text;
	/* Beyond ASCII all is encoded anyway. */
	char also = (unsigned char)separator.p[0] < 0x80 ? separator.p[0] : '%';
	struct claim_walk w = claim_walk(list);
	struct claim element;
	bool first = true;

	while (claim_walk_next(&w, &element)) {
		if (!claim_text(claims, element, &text))
			return false;
		if (!only_lists(&h->only, text))
			continue;
		if (!first)
			buf_add(out, separator);
		append_encoded(out, text, also);
		first = false;
	}
	return true;
}

static bool append_value(const struct slot *slot, const struct identity_values *v,
			 struct claims *claims, struct buf *out)
{
	const struct config_header *h = slot->header;
	struct claim claim;
	struct sv text;

	if (slot->of_subject) {
		text = v->subject;
	} else {
		claim = claim_get(claims, h->claim);
		if (claim_kind(claim) == CLAIM_NONE)
			return true;
		if (claim_kind(claim) == CLAIM_ARRAY)
			return append_list(h, claims, claim, out);
		if (!claim_text(claims, claim, &text))
			return false;
	}
	if (only_lists(&h->only, text))
		append_encoded(out, text, '%');
	return true;
}

static void note(struct identity_note *n, struct sv header, const char *reason)
{
	if (n->header.n == 0)
		*n = (struct identity_note){header, reason, 0};
}

/* NULL: no set of the configuration, so that nothing of it is written. */
static const struct plan *plan_of(const struct identity_table *t, const struct config_identity *set)
{
	for (size_t i = 0; i < t->nplans; i++)
		if (set == NULL || t->plans[i].set == set)
			return &t->plans[i];
	return NULL;
}

/* The lines of all sets, with the values of this one. */
static void append_sets(const struct identity_table *t, const struct plan *p,
			const struct identity_values *v, struct claims *claims, struct buf *out,
			struct identity_note *n)
{
	struct sv text = buf_sv(&t->text);
	size_t done = 0;

	for (const struct slot *s = p->slots; s < p->slots + p->n; s++) {
		size_t start;
		bool typed;

		buf_add(out, sv_cut(text, done, s->at));
		done = s->at;
		start = out->n;
		typed = append_value(s, v, claims, out);
		if (!typed || out->n - start > s->header->max_bytes) {
			note(n, s->header->name, typed ? "too_long" : "type");
			if (!out->failed)
				out->n = start; /* never cut: see the header */
		}
	}
	buf_add(out, sv_cut(text, done, text.n));
}

static void append_about_session(const struct identity_values *v, struct buf *out)
{
	buf_add(out, SV(SESSION_ID ": "));
	if (v->session)
		append_encoded(out, v->session_ref, '%');
	buf_add(out, SV("\r\n" AUTH_TIME ": "));
	if (v->session && v->auth_time > 0)
		buf_add_u64(out, (uint64_t)v->auth_time);
	buf_add(out, SV("\r\n" AUTH_ACR ": "));
	if (v->session)
		append_encoded(out, v->acr, '%');
	buf_add(out, SV("\r\n"));
}

static void append_about_request(const struct identity_values *v, struct buf *out)
{
	buf_add(out, SV(CORRELATION ": "));
	buf_add(out, v->correlation);
	buf_add(out, v->bearer.n > 0 ? SV("\r\n" AUTHORIZATION ": Bearer ")
				     : SV("\r\n" AUTHORIZATION ": "));
	buf_add(out, v->bearer.n > 0 ? v->bearer : v->authorization);
	buf_add(out, SV("\r\n" COOKIE ": "));
	buf_add(out, v->cookie);
	buf_add(out, SV("\r\n"));
}

/* What there is most of in an answer that is too long. */
static const char *largest(const struct identity_values *v, size_t sets)
{
	const struct {
		const char *word;
		size_t n;
	} parts[] = {{"identity", sets},
		     {"token", v->bearer.n},
		     {"authorization", v->bearer.n > 0 ? 0 : v->authorization.n},
		     {"cookie", v->cookie.n}};
	size_t most = 0;

	for (size_t i = 1; i < ARRAY_LEN(parts); i++)
		if (parts[i].n > parts[most].n)
			most = i;
	return parts[most].word;
}

/* False: claims that are none, or no memory. */
static bool append_session(const struct identity_table *t, const struct identity_values *v,
			   struct buf *out, struct identity_note *n)
{
	const struct plan *p = v->session ? plan_of(t, v->set) : NULL;
	struct claims claims;
	bool ok = true;

	if (p != NULL && p->set->nheaders > 0) {
		if (!claims_parse(v->claims, &claims))
			return false;
		append_sets(t, p, v, &claims, out, n);
		ok = claims_ok(&claims);
		claims_done(&claims);
	} else {
		buf_add(out, buf_sv(&t->text));
	}
	append_about_session(v, out);
	return ok;
}

enum err identity_write(const struct identity_table *t, const struct identity_values *v,
			struct buf *out, struct identity_note *ret_note)
{
	struct identity_note n = {.header = SV_NONE};
	size_t start = out->n;

	if (sv_has_control(v->correlation) || sv_has_control(v->authorization) ||
	    sv_has_control(v->cookie))
		return ERR_SYNTAX;
	if (v->ready.n > 0)
		buf_add(out, v->ready);
	else if (!append_session(t, v, out, &n))
		return ERR_SYNTAX;
	n.session_n = out->n - start;
	append_about_request(v, out);
	if (!buf_ok(out) || out->n - start > t->max_block)
		n = (struct identity_note){SV_NONE, largest(v, n.session_n), 0};
	*ret_note = n;
	return n.header.n == 0 && n.reason != NULL ? ERR_LIMIT : ERR_OK;
}
