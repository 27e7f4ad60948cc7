#include <stdlib.h>

#include "common/config_source.h"

/* What the last token leaves us waiting for; only as much grammar as tells a name from a value.
 * All else is libconfuse's to judge. */
enum expect { EXPECT_NAME = 1, EXPECT_AFTER_NAME, EXPECT_VALUE, EXPECT_ITEM };

struct lexer {
	struct config_source *s;
	struct sv in;
	size_t at;
	unsigned file, line, depth;
	unsigned frame; /* section we are in */
	unsigned nesting;
	enum expect expect;
	size_t name; /* token of the last option, or of the section around it; SIZE_MAX: neither */
};

static bool is_word_char(char c)
{
	return sv_is_alnum(c) || c == '_' || c == '-' || c == '.';
}

static bool peek(const struct lexer *x, struct sv text)
{
	return sv_starts(sv_cut(x->in, x->at, x->in.n), text);
}

/* What is being read, for messages. */
static const char *subject(const struct lexer *x)
{
	return x->name == SIZE_MAX ? "file" : x->s->tokens[x->name].text.p;
}

__attribute__((format(printf, 2, 3))) static enum err fail(struct lexer *x, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap); /* cut is fine: it is a sentence */
	va_end(ap);
	return errmsg_set(x->s->e, ERR_CONFIG, "%s:%u: %s: %s", x->s->files[x->file], x->line,
			  subject(x), text);
}

static enum err add_token(struct lexer *x, char kind, struct sv text)
{
	struct config_source *s = x->s;

	if (!config_source_grow((void **)&s->tokens, s->ntokens, &s->tokens_cap, sizeof *s->tokens))
		return ERR_NOMEM;
	s->tokens[s->ntokens++] = (struct config_token){
	    .kind = kind, .frame = x->frame, .file = x->file, .line = x->line, .text = text};
	return ERR_OK;
}

/* ${NAME} or ${NAME:-default} at x->at. */
static enum err expand(struct lexer *x, struct buf *out)
{
	struct sv rest = sv_cut(x->in, x->at + 2, x->in.n), inner, name, value;
	size_t end = sv_find(rest, '}'), colon;
	const char *env;
	char cname[128];

	inner = sv_cut(rest, 0, end);
	if (end == rest.n || sv_find(inner, '\n') < inner.n)
		return fail(x, "expected } at the end of ${...}");
	x->at += 2 + end + 1;
	colon = sv_find(inner, ':');
	name = sv_cut(inner, 0, colon);
	for (size_t i = 0; i < name.n; i++)
		if (!is_word_char(name.p[i]) || name.p[i] == '-' || name.p[i] == '.' ||
		    (i == 0 && name.p[i] >= '0' && name.p[i] <= '9'))
			name.n = 0;
	if (name.n == 0 || name.n >= sizeof cname ||
	    (colon < inner.n && !sv_starts(sv_cut(inner, colon, inner.n), SV(":-"))))
		return fail(x, "expected ${NAME} or ${NAME:-default}");
	memcpy(cname, name.p, name.n);
	cname[name.n] = '\0';
	env = getenv(cname);
	value = sv_str(env);
	if (colon < inner.n && value.n == 0)
		value = sv_cut(inner, colon + 2, inner.n);
	else if (env == NULL)
		return fail(x,
			    "expected the environment to have %s: it is unset and has no default "
			    "(${%s:-default})",
			    cname, cname);
	buf_add(out, value);
	return ERR_OK;
}

/* A backslash and what follows, in a string. */
static enum err escape(struct lexer *x, struct buf *out)
{
	static const char from[] = "\"\\$nrt", to[] = "\"\\$\n\r\t";
	char c = x->at + 1 < x->in.n ? x->in.p[x->at + 1] : '\0';
	const char *found = c == '\0' ? NULL : strchr(from, c);
	int byte;

	if (found != NULL) {
		buf_add_char(out, to[found - from]);
		x->at += 2;
		return ERR_OK;
	}
	byte = c == 'x' ? sv_hex_byte(x->in, x->at + 2) : -1;
	if (byte <= 0)
		return fail(x, "expected \\\", \\\\, \\$, \\n, \\r, \\t or \\x01 to \\xff after a "
			       "backslash");
	buf_add_char(out, (char)(unsigned char)byte);
	x->at += 4;
	return ERR_OK;
}

/* From x->at to the end of the word or, after an opening quote, to the closing one. */
static enum err scan(struct lexer *x, char quote, struct buf *out)
{
	while (x->at < x->in.n) {
		char c = x->in.p[x->at];
		enum err err = ERR_OK;

		if (quote == '\0' && !is_word_char(c) && !peek(x, SV("${")))
			return ERR_OK;
		if (quote != '\0' && c == quote) {
			x->at++;
			return ERR_OK;
		}
		if (c == '\n')
			return fail(x, "expected a closing quote on the same line");
		if ((unsigned char)c < 0x20 || c == 0x7f)
			return fail(x, "expected no control characters in a string");
		if (quote != '\'' && x->s->expand == CONFIG_EXPAND && peek(x, SV("${"))) {
			err = expand(x, out);
		} else if (quote == '"' && c == '\\') {
			err = escape(x, out);
		} else {
			buf_add_char(out, c);
			x->at++;
		}
		if (err != ERR_OK)
			return err;
		if (out->n > CONFIG_MAX_VALUE)
			return fail(x, "expected at most %d bytes", CONFIG_MAX_VALUE);
	}
	return quote == '\0' ? ERR_OK : fail(x, "expected a closing quote");
}

static enum err word(struct lexer *x, char quote, struct sv *ret)
{
	struct buf b;
	enum err err;

	buf_init(&b, CONFIG_MAX_BYTES);
	if (quote != '\0')
		x->at++;
	err = scan(x, quote, &b);
	if (err == ERR_OK && !buf_ok(&b))
		err = ERR_NOMEM;
	if (err == ERR_OK)
		err = config_copy(&x->s->text, buf_sv(&b), ret);
	buf_done(&b);
	return err;
}

/* White space and comments: # and // to the end of the line, and C's. */
static enum err skip(struct lexer *x)
{
	while (x->at < x->in.n) {
		char c = x->in.p[x->at];

		if (c == '#' || peek(x, SV("//"))) {
			while (x->at < x->in.n && x->in.p[x->at] != '\n')
				x->at++;
		} else if (peek(x, SV("/*"))) {
			unsigned from = x->line;

			for (x->at += 2; x->at < x->in.n && !peek(x, SV("*/")); x->at++)
				if (x->in.p[x->at] == '\n')
					x->line++;
			if (x->at >= x->in.n) {
				x->line = from;
				return fail(x, "expected */ at the end of a comment");
			}
			x->at += 2;
		} else if (c == '\n' || c == ' ' || c == '\t' || c == '\r') {
			x->line += c == '\n';
			x->at++;
		} else {
			break;
		}
	}
	return ERR_OK;
}

/* x->name turned out to be an option or an untitled section: not twice, and not too many. */
static enum err note_option(struct lexer *x)
{
	struct config_source *s = x->s;
	struct sv name = s->tokens[x->name].text;
	size_t first = config_source_option(s, x->frame, name);

	if (first != x->name)
		return fail(x, "expected once in a section, it is also on line %u of %s",
			    s->tokens[first].line, s->files[s->tokens[first].file]);
	if (++s->frames[x->frame].noptions > CONFIG_MAX_OPTIONS)
		return fail(x, "expected at most %d options in a section", CONFIG_MAX_OPTIONS);
	return ERR_OK;
}

static enum err open_section(struct lexer *x)
{
	struct config_source *s = x->s;
	enum err err = x->name + 2 == s->ntokens ? note_option(x) : ERR_OK;

	if (err != ERR_OK)
		return err;
	if (++x->nesting > CONFIG_MAX_NESTING)
		return fail(x, "expected sections at most %d deep", CONFIG_MAX_NESTING);
	if (s->nframes > CONFIG_MAX_SECTIONS)
		return fail(x, "expected at most %d sections", CONFIG_MAX_SECTIONS);
	if (!config_source_grow((void **)&s->frames, s->nframes, &s->frames_cap, sizeof *s->frames))
		return ERR_NOMEM;
	s->frames[s->nframes] =
	    (struct config_frame){.open = (unsigned)x->name, .parent = x->frame};
	x->frame = (unsigned)s->nframes++;
	x->expect = EXPECT_NAME;
	return ERR_OK;
}

static enum err punctuation(struct lexer *x, char c)
{
	enum err err;

	if (c == '}' && x->expect != EXPECT_ITEM && x->frame == 0)
		return fail(x, "expected an option or section, found } without {");
	err = add_token(x, c, SV_NONE);
	x->at++;
	if (err != ERR_OK || c == ',')
		return err;
	if (c == '=') {
		bool named = x->expect == EXPECT_AFTER_NAME;

		err = named ? note_option(x) : ERR_OK;
		x->expect = named ? EXPECT_VALUE : x->expect;
		return err;
	}
	if (c == '{') {
		if (x->expect == EXPECT_VALUE) {
			x->expect = EXPECT_ITEM;
			return ERR_OK;
		}
		return x->expect == EXPECT_AFTER_NAME ? open_section(x)
						      : fail(x, "expected no { here");
	}
	if (x->expect != EXPECT_ITEM) {
		x->s->tokens[x->s->ntokens - 1].closes = true;
		x->frame = x->s->frames[x->frame].parent;
		x->nesting--;
		x->name = x->frame == 0 ? SIZE_MAX : x->s->frames[x->frame].open;
	}
	x->expect = EXPECT_NAME;
	return ERR_OK;
}

/* include("pattern"), of which the word has been read; replaced by what it includes. */
static enum err include(struct lexer *x)
{
	size_t token = x->s->ntokens - 1;
	struct sv pattern;
	enum err err;

	if (x->s->expand == CONFIG_LITERAL || x->frame != 0)
		return fail(x, x->frame != 0 ? "expected outside of sections"
					     : "expected no include here");
	x->at++;
	err = skip(x);
	if (err != ERR_OK)
		return err;
	if (x->at >= x->in.n || (x->in.p[x->at] != '"' && x->in.p[x->at] != '\''))
		return config_source_error(x->s, token, "include", "expected include(\"pattern\")");
	err = word(x, x->in.p[x->at], &pattern);
	if (err == ERR_OK)
		err = skip(x);
	if (err != ERR_OK)
		return err;
	if (!peek(x, SV(")")))
		return config_source_error(x->s, token, "include", "expected include(\"pattern\")");
	x->at++;
	err = config_source_include(x->s, token, pattern, x->depth);
	x->expect = EXPECT_NAME;
	x->name = SIZE_MAX;
	return err;
}

static enum err text(struct lexer *x, char quote)
{
	bool is_name = x->expect == EXPECT_NAME;
	struct sv value = SV_NONE;
	enum err err;

	if (is_name && (quote != '\0' || !is_word_char(x->in.p[x->at])))
		return fail(x, "expected the name of an option or section");
	err = word(x, quote, &value);
	if (err == ERR_OK)
		err = add_token(x, '"', value);
	if (err != ERR_OK)
		return err;
	if (is_name) {
		x->name = x->s->ntokens - 1;
		x->s->tokens[x->name].is_name = true;
		x->expect = EXPECT_AFTER_NAME;
		err = skip(x);
		if (err == ERR_OK && sv_eq(value, SV("include")) && peek(x, SV("("))) {
			x->s->tokens[x->name].is_name = false;
			x->s->tokens[x->name].kind = ' ';
			err = include(x);
		}
		return err;
	}
	if (x->expect == EXPECT_VALUE)
		x->expect = EXPECT_NAME;
	return ERR_OK;
}

enum err config_lex(struct config_source *s, unsigned file, struct sv in, unsigned depth)
{
	struct lexer x = {.s = s,
			  .in = in,
			  .file = file,
			  .line = 1,
			  .depth = depth,
			  .expect = EXPECT_NAME,
			  .name = SIZE_MAX};
	enum err err = skip(&x);

	while (err == ERR_OK && x.at < in.n) {
		char c = in.p[x.at];

		if (c == '=' || c == '{' || c == '}' || c == ',')
			err = punctuation(&x, c);
		else if (c == '"' || c == '\'')
			err = text(&x, c);
		else if (is_word_char(c) || peek(&x, SV("${")))
			err = text(&x, '\0');
		else
			return fail(&x,
				    "expected a name, a value, or quotes around it, found "
				    "character 0x%02x",
				    (unsigned)(unsigned char)c);
		if (err == ERR_OK)
			err = skip(&x);
	}
	if (err == ERR_OK && x.frame != 0)
		err = config_source_error(s, s->frames[x.frame].open,
					  s->tokens[s->frames[x.frame].open].text.p,
					  "expected } at the end of this section");
	else if (err == ERR_OK && x.expect != EXPECT_NAME)
		err = config_source_error(s, x.name, subject(&x),
					  "expected more before the end of the file");
	return err;
}
