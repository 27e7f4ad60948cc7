#include "worker/identity.h"

#include <json-c/json.h>
#include <stdlib.h>

#include "worker/claim.h"

#define MAX_BYTES_DEFAULT 1024

/* Written in this order: the first three are about the session, the others about the request. */
static const struct sv fixed[] = {SV_INIT("X-Session-ID"),  SV_INIT("X-Auth-Time"),
				  SV_INIT("X-Auth-Acr"),    SV_INIT("X-Correlation-ID"),
				  SV_INIT("Authorization"), SV_INIT("Cookie")};

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

struct identity_table {
	const struct config_identity *standard; /* for routes that name no set */
	struct sv *names;			/* those of the sets, then `fixed` */
	size_t nsets, n;
	size_t max_block; /* bytes */
};

static bool is_known(const struct sv *names, size_t n, struct sv name)
{
	for (size_t i = 0; i < n; i++)
		if (sv_eq_nocase(names[i], name))
			return true;
	return false;
}

static void add_set(struct identity_table *t, const struct config_identity *set)
{
	for (size_t i = 0; i < set->nheaders; i++) {
		struct sv name = set->headers[i].name;

		if (!is_known(t->names, t->n, name) && !is_known(fixed, ARRAY_LEN(fixed), name))
			t->names[t->n++] = name;
	}
}

enum err identity_table_new(const struct config *c, struct identity_table **ret)
{
	struct identity_table *t = calloc(1, sizeof *t);
	size_t n = ARRAY_LEN(fixed) + ARRAY_LEN(default_headers);

	if (t == NULL)
		return ERR_NOMEM;
	t->standard = &default_set;
	t->max_block = c->web.max_answer - IDENTITY_REST;
	for (size_t i = 0; i < c->nidentities; i++) {
		n += c->identities[i].nheaders;
		if (sv_eq(c->identities[i].name, default_set.name))
			t->standard = &c->identities[i];
	}
	t->names = calloc(n, sizeof *t->names);
	if (t->names == NULL) {
		free(t);
		return ERR_NOMEM;
	}
	add_set(t, t->standard);
	for (size_t i = 0; i < c->nidentities; i++)
		add_set(t, &c->identities[i]);
	t->nsets = t->n;
	memcpy(t->names + t->n, fixed, sizeof fixed);
	t->n += ARRAY_LEN(fixed);
	*ret = t;
	return ERR_OK;
}

void identity_table_free(struct identity_table **t)
{
	if (*t != NULL)
		free((*t)->names);
	free(*t);
	*t = NULL;
}

const struct sv *identity_names(const struct identity_table *t, size_t *ret_n)
{
	*ret_n = t->n;
	return t->names;
}

/* Appends s with everything percent-encoded that could be taken for something else; also space at
 * either end, which parsers of headers would drop, and the byte `also` unless it is 0. */
static void append_encoded(struct buf *out, struct sv s, char also)
{
	size_t done = 0;

	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		bool at_end = i == 0 || i == s.n - 1;

		if (c >= ' ' && c <= 0x7e && c != '%' && (c != ' ' || !at_end) &&
		    (also == 0 || s.p[i] != also))
			continue;
		buf_add(out, sv_cut(s, done, i));
		buf_add_escaped(out, s.p[i]);
		done = i + 1;
	}
	buf_add(out, sv_cut(s, done, s.n));
}

static bool only_lists(const struct config_list *only, struct sv text)
{
	return only->n == 0 || config_list_has(only, text);
}

/* False: a value of a type that has no text. */
static bool append_list(const struct config_header *h, struct json_object *list, struct buf *out)
{
	size_t n = json_object_array_length(list);
	char separator = h->separator.n == 0 ? ',' : h->separator.p[0];
	bool first = true;
	struct sv text;

	for (size_t i = 0; i < n; i++) {
		if (!claim_text(json_object_array_get_idx(list, i), &text))
			return false;
		if (!only_lists(&h->only, text))
			continue;
		if (!first)
			buf_add(out, h->separator.n == 0 ? SV(",") : h->separator);
		append_encoded(out, text, separator);
		first = false;
	}
	return true;
}

static bool append_claim(const struct config_header *h, const struct identity_values *v,
			 struct json_object *claims, struct buf *out)
{
	struct json_object *o;
	struct sv text;

	if (sv_eq(h->claim, SV("subject"))) {
		if (only_lists(&h->only, v->subject))
			append_encoded(out, v->subject, 0);
		return true;
	}
	o = claim_get(claims, h->claim);
	if (o == NULL)
		return true;
	if (json_object_get_type(o) == json_type_array)
		return append_list(h, o, out);
	if (!claim_text(o, &text))
		return false;
	if (only_lists(&h->only, text))
		append_encoded(out, text, 0);
	return true;
}

static void note(struct identity_note *n, struct sv header, const char *reason)
{
	if (n->header.n == 0)
		*n = (struct identity_note){header, reason, 0};
}

static void append_name(struct buf *out, struct sv name)
{
	buf_add(out, name);
	buf_add(out, SV(": "));
}

static const struct config_header *header_of(const struct config_identity *set, struct sv name)
{
	for (size_t i = 0; i < set->nheaders; i++)
		if (sv_eq_nocase(set->headers[i].name, name))
			return &set->headers[i];
	return NULL;
}

static void append_sets(const struct identity_table *t, const struct identity_values *v,
			struct json_object *claims, struct buf *out, struct identity_note *n)
{
	const struct config_identity *set = v->set == NULL ? t->standard : v->set;

	for (size_t i = 0; i < t->nsets; i++) {
		const struct config_header *h = v->session ? header_of(set, t->names[i]) : NULL;
		size_t start;

		append_name(out, t->names[i]);
		start = out->n;
		if (h != NULL) {
			bool typed = append_claim(h, v, claims, out);

			if (!typed || out->n - start > h->max_bytes) {
				note(n, h->name, typed ? "too_long" : "type");
				if (!out->failed)
					out->n = start; /* never cut: see the header */
			}
		}
		buf_add(out, SV("\r\n"));
	}
}

static void append_about_session(const struct identity_values *v, struct buf *out)
{
	append_name(out, fixed[0]);
	if (v->session)
		append_encoded(out, v->session_ref, 0);
	buf_add(out, SV("\r\n"));
	append_name(out, fixed[1]);
	if (v->session && v->auth_time > 0)
		buf_add_u64(out, (uint64_t)v->auth_time);
	buf_add(out, SV("\r\n"));
	append_name(out, fixed[2]);
	if (v->session)
		append_encoded(out, v->acr, 0);
	buf_add(out, SV("\r\n"));
}

static void append_about_request(const struct identity_values *v, struct buf *out)
{
	append_name(out, fixed[3]);
	buf_add(out, v->correlation);
	buf_add(out, SV("\r\n"));
	append_name(out, fixed[4]);
	if (v->bearer.n > 0)
		buf_add(out, SV("Bearer "));
	buf_add(out, v->bearer.n > 0 ? v->bearer : v->authorization);
	buf_add(out, SV("\r\n"));
	append_name(out, fixed[5]);
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

/* False: claims that are none. */
static bool append_session(const struct identity_table *t, const struct identity_values *v,
			   struct buf *out, struct identity_note *n)
{
	const struct config_identity *set = v->set == NULL ? t->standard : v->set;
	struct json_object *claims = NULL;

	if (v->session && set->nheaders > 0) {
		claims = claim_parse(v->claims);
		if (claims == NULL)
			return false;
	}
	append_sets(t, v, claims, out, n);
	append_about_session(v, out);
	json_object_put(claims);
	return true;
}

enum err identity_write(const struct identity_table *t, const struct identity_values *v,
			struct buf *out, struct identity_note *ret_note)
{
	struct identity_note n = {.header = SV_NONE};
	size_t start = out->n;

	if (sv_has_control(v->correlation) || sv_has_control(v->bearer) ||
	    sv_has_control(v->authorization) || sv_has_control(v->cookie))
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
