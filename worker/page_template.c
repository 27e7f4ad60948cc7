#include "worker/page_template.h"

enum takes { TAKES_NOTHING, TAKES_CAUSE, TAKES_FORM };

static const enum takes takes[PAGE_COUNT] = {
#define PAGE(name, file, status, what) [PAGE_##name] = TAKES_##what,
#include "worker/page.def"
#undef PAGE
};

enum placeholder { END = 1, UNKNOWN, CORRELATION_ID, CAUSE, FORM };

static const struct {
	struct sv text;
	enum placeholder is;
} placeholders[] = {
    {SV_INIT("{{correlation_id}}"), CORRELATION_ID},
    {SV_INIT("{{cause}}"), CAUSE},
    {SV_INIT("{{form}}"), FORM},
};

/* Takes what stands before the next placeholder from *rest, and the placeholder. */
static enum placeholder next(struct sv *rest, struct sv *ret_before)
{
	const char *at = rest->n == 0 ? NULL : memmem(rest->p, rest->n, "{{", 2);
	size_t before = at == NULL ? rest->n : (size_t)(at - rest->p);

	*ret_before = sv_cut(*rest, 0, before);
	*rest = sv_cut(*rest, before, rest->n);
	if (at == NULL)
		return END;
	for (size_t i = 0; i < ARRAY_LEN(placeholders); i++)
		if (sv_starts(*rest, placeholders[i].text)) {
			*rest = sv_cut(*rest, placeholders[i].text.n, rest->n);
			return placeholders[i].is;
		}
	return UNKNOWN;
}

static unsigned line_of(struct sv text, size_t at)
{
	unsigned line = 1;

	for (size_t i = 0; i < at; i++)
		line += text.p[i] == '\n';
	return line;
}

static enum err check_bytes(struct sv text, struct errmsg *e)
{
	size_t n;

	for (size_t i = 0; i < text.n; i += n) {
		n = text.p[i] == '\0' ? 0 : sv_utf8_len(sv_cut(text, i, text.n));
		if (n == 0)
			return errmsg_set(e, ERR_CONFIG, "line %u: expected UTF-8 without NUL",
					  line_of(text, i));
	}
	return ERR_OK;
}

static enum err check_forms(struct sv text, struct errmsg *e)
{
	static const struct sv form = SV_INIT("<form");

	for (size_t i = 0; i < text.n; i++)
		if (sv_eq_nocase(sv_cut(text, i, i + form.n), form))
			return errmsg_set(e, ERR_CONFIG,
					  "line %u: expected no <form beside {{form}}",
					  line_of(text, i));
	return ERR_OK;
}

static bool is_taken(enum page page, enum placeholder what)
{
	return what == CORRELATION_ID || (what == CAUSE && takes[page] == TAKES_CAUSE) ||
	       (what == FORM && takes[page] == TAKES_FORM);
}

static const char *expected(enum page page)
{
	switch (takes[page]) {
	case TAKES_NOTHING:
		return "{{correlation_id}} alone";
	case TAKES_CAUSE:
		return "{{correlation_id}} or {{cause}}";
	case TAKES_FORM:
		return "{{correlation_id}} or {{form}}";
	}
	return "";
}

enum err page_template_check(enum page page, struct sv text, struct errmsg *e)
{
	struct sv rest = text, before;
	unsigned n = 0, forms = 0;
	enum placeholder what;
	enum err err = check_bytes(text, e);

	while (err == ERR_OK && (what = next(&rest, &before)) != END) {
		if (!is_taken(page, what))
			err = errmsg_set(e, ERR_CONFIG, "line %u: {{: expected %s",
					 line_of(text, (size_t)(before.p + before.n - text.p)),
					 expected(page));
		forms += what == FORM;
		n++;
	}
	if (err == ERR_OK && n > PAGE_PLACEHOLDERS_MAX)
		err = errmsg_set(e, ERR_CONFIG, "expected at most %d placeholders",
				 PAGE_PLACEHOLDERS_MAX);
	if (err != ERR_OK || takes[page] != TAKES_FORM)
		return err;
	if (forms != 1)
		return errmsg_set(e, ERR_CONFIG, "expected {{form}} once");
	return check_forms(text, e);
}

void page_escape(struct buf *out, struct sv s)
{
	for (size_t i = 0; i < s.n; i++) {
		switch (s.p[i]) {
		case '&':
		case '<':
		case '>':
		case '"':
		case '\'':
			buf_addf(out, "&#%d;", s.p[i]);
			break;
		default:
			buf_add_char(out, s.p[i]);
		}
	}
}

void page_template_fill(struct sv text, const struct page_values *v, struct buf *out)
{
	struct sv before;

	for (;;) {
		enum placeholder what = next(&text, &before);

		buf_add(out, before);
		switch (what) {
		case CORRELATION_ID:
			page_escape(out, v->correlation_id);
			break;
		case CAUSE:
			page_escape(out, v->cause);
			break;
		case FORM:
			buf_add(out, v->form);
			break;
		case END:
		case UNKNOWN: /* nothing that was judged has it */
			return;
		}
	}
}
