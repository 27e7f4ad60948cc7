/* metrics_label - what the labels of metrics say; see metrics.h. */
#include <stdio.h>

#include "common/metrics_memory.h"

#define METRICS_WORD(word) word,
#define METRICS_ERROR_WORD(name, word) word,
#define METRICS_LIST(label)                                                                        \
	static const char *const label##_words[] = {METRICS_WORDS_##label(METRICS_WORD)};
METRICS_LIST(result)
METRICS_LIST(exit)
METRICS_LIST(outcome)
METRICS_LIST(waited)
METRICS_LIST(code)
METRICS_LIST(failure)
METRICS_LIST(way)
METRICS_LIST(wait)
METRICS_LIST(key)
METRICS_LIST(request)
METRICS_LIST(http)
METRICS_LIST(token)
static const char *const answer_words[] = {"ok", IPC_ERRORS(METRICS_ERROR_WORD) "timeout",
					   "unavailable"};
static const char *const endpoint_words[] = {
    "none",
#define ENDPOINT(name, word) word,
#include "worker/endpoint.def"
#undef ENDPOINT
};
static const char *const reason_words[] = {
    "none",
#define REASON(name, word, denial) word,
#include "worker/reason.def"
#undef REASON
};
static const char *const message_words[] = {
#define IPC_MESSAGE(name, NAME, number, direction, phase) #name,
#include "common/ipc.def"
#undef IPC_MESSAGE
};
static const char *const NONE_words[] = {""};

/* words == NULL: names, from `first` of the memory's. */
static const struct label {
	const char *shown;
	const char *const *words;
	unsigned n;
	size_t first;
} labels[] = {
#define METRICS_LABEL_WORDS(label_, shown_)                                                        \
	[METRICS_##label_] = {                                                                     \
	    .shown = (shown_), .words = label_##_words, .n = ARRAY_LEN(label_##_words)},
#define METRICS_LABEL_NAMES(label_, max_)                                                          \
	[METRICS_##label_] = {.n = (max_), .first = offsetof(struct metrics_names_lie, label_)},
    METRICS_LABELS(METRICS_LABEL_WORDS, METRICS_LABEL_NAMES)
#undef METRICS_LABEL_WORDS
#undef METRICS_LABEL_NAMES
};

/* ---- names --------------------------------------------------------------------------------- */

static unsigned count_of(const struct metrics *m, enum metrics_label label)
{
	unsigned n = __atomic_load_n(&m->memory->nnames[label], __ATOMIC_ACQUIRE);

	return n < labels[label].n ? n : labels[label].n;
}

static struct sv text_of(const struct metrics *m, enum metrics_label label, unsigned number)
{
	const struct metrics_text *t = &m->memory->names[labels[label].first + number];
	uint32_t n = __atomic_load_n(&t->n, __ATOMIC_RELAXED);

	return sv_of(t->p, n <= METRICS_NAME_MAX ? n : 0);
}

static unsigned find(const struct metrics *m, enum metrics_label label, struct sv text)
{
	unsigned n = count_of(m, label);

	for (unsigned i = 1; i < n; i++)
		if (sv_eq(text_of(m, label, i), text))
			return i;
	return 0;
}

unsigned metrics_name_put(struct metrics *m, enum metrics_label label, struct sv text)
{
	unsigned n = count_of(m, label), found;
	struct metrics_text *t;

	if (labels[label].words != NULL)
		return 0;
	found = find(m, label, text);
	if (found != 0 || n >= labels[label].n || text.n > METRICS_NAME_MAX)
		return found;
	t = &m->memory->names[labels[label].first + n];
	if (text.n > 0)
		memcpy(t->p, text.p, text.n);
	t->n = (uint32_t)text.n;
	__atomic_store_n(&m->memory->nnames[label], n + 1, __ATOMIC_RELEASE);
	return n;
}

/* Made without allocating. */
struct making {
	char p[METRICS_NAME_MAX];
	size_t n;
	bool is_over;
};

static void put_char(struct making *t, char c)
{
	if (t->n == sizeof t->p)
		t->is_over = true;
	else
		t->p[t->n++] = c;
}

/* A label's value in quotes: of what could end it, an escape; of what is not ASCII, '?' (a title is
 * of any bytes, the text has to be UTF-8). */
static void put_value(struct making *t, const char *shown, struct sv value)
{
	for (; *shown != '\0'; shown++)
		put_char(t, *shown);
	put_char(t, '=');
	put_char(t, '"');
	for (size_t i = 0; i < value.n; i++) {
		char c = value.p[i];

		if (c == '"' || c == '\\')
			put_char(t, '\\');
		put_char(t, c < ' ' || c > '~' ? '?' : c);
	}
	put_char(t, '"');
}

static const char *shown_of(enum metrics_label label)
{
	return label == METRICS_listen	   ? "listen"
	       : label == METRICS_provider ? "provider"
					   : "route";
}

/* Empty: too long. */
static struct sv name_text(struct making *t, enum metrics_label label, struct sv name,
			   struct sv rule)
{
	t->n = 0;
	t->is_over = false;
	put_value(t, shown_of(label), name);
	if (label == METRICS_rule) {
		put_char(t, ',');
		put_value(t, "rule", rule);
	}
	return t->is_over ? SV_NONE : sv_of(t->p, t->n);
}

unsigned metrics_name(const struct metrics *m, enum metrics_label label, struct sv name)
{
	struct making t;

	return m == NULL ? 0 : find(m, label, name_text(&t, label, name, SV_NONE));
}

unsigned metrics_rule(const struct metrics *m, struct sv route, struct sv rule)
{
	struct making t;

	return m == NULL ? 0 : find(m, METRICS_rule, name_text(&t, METRICS_rule, route, rule));
}

static bool put(struct metrics *m, enum metrics_label label, struct sv name, struct sv rule)
{
	struct making t;
	struct sv text = name_text(&t, label, name, rule);

	return text.n > 0 && metrics_name_put(m, label, text) != 0;
}

bool metrics_add_names(struct metrics *m, const struct config *c)
{
	bool ok = true;

	if (m == NULL)
		return true;
	for (size_t i = 0; i < c->nlistens; i++)
		ok = put(m, METRICS_listen, c->listens[i].name, SV_NONE) && ok;
	for (size_t i = 0; i < c->nproviders; i++)
		ok = put(m, METRICS_provider, c->providers[i].name, SV_NONE) && ok;
	for (size_t i = 0; i < c->nroutes; i++) {
		const struct config_route *r = &c->routes[i];

		ok = put(m, METRICS_route, r->name, SV_NONE) && ok;
		for (size_t k = 0; k < r->nrequires; k++)
			ok = put(m, METRICS_rule, r->name, r->requires[k].name) && ok;
		if (r->acr.n > 0)
			ok = put(m, METRICS_rule, r->name, SV("acr")) && ok;
		if (r->max_age_ms > 0)
			ok = put(m, METRICS_rule, r->name, SV("max_age")) && ok;
	}
	return ok;
}

/* ---- texts --------------------------------------------------------------------------------- */

unsigned metrics_label_count(const struct metrics *m, enum metrics_label label)
{
	return labels[label].words != NULL ? labels[label].n : count_of(m, label);
}

/* Takes one `shown="value"` as put_value() makes it off *s. */
static bool take_value(struct sv *s, const char *shown)
{
	struct sv name = sv_str(shown);
	size_t i = name.n + 2;

	if (!sv_starts(*s, name) || !sv_starts(sv_cut(*s, name.n, s->n), SV("=\"")))
		return false;
	for (; i < s->n && s->p[i] != '"'; i++)
		if (s->p[i] == '\\' && i + 1 < s->n && (s->p[i + 1] == '"' || s->p[i + 1] == '\\'))
			i++;
		else if (s->p[i] == '\\' || s->p[i] < ' ' || s->p[i] > '~')
			return false;
	if (i >= s->n)
		return false;
	*s = sv_cut(*s, i + 1, s->n);
	return true;
}

static bool is_name_text(enum metrics_label label, struct sv s)
{
	return take_value(&s, shown_of(label)) &&
	       (label != METRICS_rule || take_value(&s, ",rule")) && s.n == 0;
}

/* None, or one beyond the limit. */
static struct sv none_text(enum metrics_label label, char room[METRICS_NAME_MAX])
{
	int n = snprintf(room, METRICS_NAME_MAX, "%s=\"-\"%s", shown_of(label),
			 label == METRICS_rule ? ",rule=\"-\"" : "");

	return sv_of(room, n < 0 ? 0 : (size_t)n);
}

struct sv metrics_label_text(const struct metrics *m, enum metrics_label label, unsigned number,
			     char room[METRICS_NAME_MAX])
{
	struct sv text;
	int n;

	if (label == METRICS_NONE || number >= metrics_label_count(m, label))
		return SV_NONE;
	if (labels[label].words != NULL) {
		n = snprintf(room, METRICS_NAME_MAX, "%s=\"%s\"", labels[label].shown,
			     labels[label].words[number]);
		return sv_of(room, n < 0 ? 0 : (size_t)n);
	}
	if (number == 0)
		return none_text(label, room);
	text = text_of(m, label, number);
	memcpy(room, text.p, text.n);
	/* SECURITY: what another process may have written there would break the whole text. */
	return is_name_text(label, sv_of(room, text.n)) ? sv_of(room, text.n)
							: none_text(label, room);
}

/* ---- words --------------------------------------------------------------------------------- */

unsigned metrics_code(unsigned status)
{
	return status >= 100 && status < 600 ? status / 100 - 1 : 4;
}

unsigned metrics_answer(enum err waited, uint32_t ipc_error)
{
	if (waited == ERR_TIMEOUT)
		return METRICS_N_answer - 2;
	if (waited != ERR_OK || ipc_error >= METRICS_N_answer - 2)
		return METRICS_N_answer - 1;
	return ipc_error;
}

unsigned metrics_message(unsigned ipc_number)
{
	static const unsigned numbers[] = {
#define IPC_MESSAGE(name, NAME, number, direction, phase) (number),
#include "common/ipc.def"
#undef IPC_MESSAGE
	};

	for (unsigned i = 0; i < ARRAY_LEN(numbers); i++)
		if (numbers[i] == ipc_number)
			return i;
	return 0;
}

unsigned metrics_failure(enum err e)
{
	static const enum err errors[] = {ERR_TIMEOUT, ERR_UNAVAILABLE, ERR_CONFLICT, ERR_DENIED,
					  ERR_CANCELED};
	unsigned i = 0;

	while (i < ARRAY_LEN(errors) && errors[i] != e)
		i++;
	return i;
}

static void mix(uint64_t *h, const void *p, size_t n)
{
	*h = sv_hash(*h, sv_of(p, n));
}

uint64_t metrics_fingerprint(void)
{
	uint64_t h = SV_HASH_START;

	mix(&h, BFF_VERSION, sizeof BFF_VERSION);
	for (unsigned i = 0; i < METRICS_END; i++) {
		const struct metrics_row *row = metrics_row(i);

		mix(&h, row->name, strlen(row->name) + 1);
		mix(&h, &row->kind, sizeof row->kind);
		mix(&h, row->n, sizeof row->n);
		mix(&h, row->labels, sizeof row->labels);
		mix(&h, &row->at, sizeof row->at);
	}
	for (unsigned i = 0; i < ARRAY_LEN(labels); i++)
		for (unsigned k = 0; labels[i].words != NULL && k < labels[i].n; k++)
			mix(&h, labels[i].words[k], strlen(labels[i].words[k]) + 1);
	return h;
}
