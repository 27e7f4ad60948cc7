#include "common/log.h"

#include <unistd.h>

#include "common/clock.h"

/* The logger is one of the two places allowed to hold file-static state. */
static struct {
	const char *role;
	unsigned generation;
	enum log_level least;
	int64_t peer_second;
	unsigned peer_lines, peer_dropped, peer_limit;
	uint64_t suppressed;
} logger = {.role = "bff", .least = LOG_INFO, .peer_limit = LOG_PEER_PER_SECOND};

struct line {
	char p[LOG_LINE_MAX];
	size_t n;
};

void log_init(const char *role, unsigned generation)
{
	logger.role = role;
	logger.generation = generation;
}

void log_set_level(enum log_level least)
{
	logger.least = least;
}

static const char *level_name(enum log_level level)
{
	switch (level) {
	case LOG_DEBUG:
		return "debug";
	case LOG_INFO:
		return "info";
	case LOG_WARN:
		return "warn";
	case LOG_ERROR:
		return "error";
	}
	return "error";
}

/* Leaves room for the newline. */
static void put(struct line *l, const char *p, size_t n)
{
	if (n > sizeof l->p - 1 - l->n)
		n = sizeof l->p - 1 - l->n;
	memcpy(l->p + l->n, p, n);
	l->n += n;
}

static void put_str(struct line *l, const char *s)
{
	put(l, s, strlen(s));
}

static void put_i64(struct line *l, int64_t v)
{
	char digits[24];
	int n = snprintf(digits, sizeof digits, "%lld", (long long)v);

	put(l, digits, (size_t)n);
}

static bool plain(struct sv s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] >= 0x7f || s.p[i] == '"' || s.p[i] == '\\' ||
		    s.p[i] == '=')
			return false;
	return s.n > 0;
}

static void put_value(struct line *l, struct sv s)
{
	bool cut = s.n > LOG_VALUE_MAX;

	if (cut)
		s.n = LOG_VALUE_MAX;
	if (plain(s) && !cut) {
		put(l, s.p, s.n);
		return;
	}
	put_str(l, "\"");
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		char esc[8];

		if (c == '"' || c == '\\') {
			esc[0] = '\\';
			esc[1] = (char)c;
			put(l, esc, 2);
		} else if (c < ' ' || c >= 0x7f) {
			put(l, esc, (size_t)snprintf(esc, sizeof esc, "\\x%02x", c));
		} else {
			put(l, s.p + i, 1);
		}
	}
	put_str(l, cut ? "...\"" : "\"");
}

static void put_field(struct line *l, const struct log_field *f)
{
	if (f->kind == LOG_FIELD_IF && f->s.n == 0)
		return;
	put_str(l, " ");
	put_str(l, f->key);
	put_str(l, "=");
	if (f->kind == LOG_FIELD_I64)
		put_i64(l, f->i);
	else
		put_value(l, f->s);
}

void log_write(enum log_level level, const char *event, const struct log_field *f, size_t n)
{
	struct line l = {.n = 0};

	if (level < logger.least)
		return;
	put_str(&l, "level=");
	put_str(&l, level_name(level));
	put_field(&l, &K("role", logger.role));
	put_field(&l, &KI("pid", getpid()));
	if (logger.generation != 0)
		put_field(&l, &KI("gen", logger.generation));
	put_field(&l, &K("event", event));
	for (size_t i = 0; i < n; i++)
		put_field(&l, &f[i]);
	l.p[l.n++] = '\n';
	if (write(STDERR_FILENO, l.p, l.n) == -1)
		return; /* nowhere to say it */
}

void log_write_peer(enum log_level level, const char *event, const struct log_field *f, size_t n)
{
	int64_t second = clock_boot_ms() / 1000;

	if (level < logger.least)
		return;
	if (second != logger.peer_second) {
		unsigned dropped = logger.peer_dropped;
		bool flood = second == logger.peer_second + 1 &&
			     logger.peer_lines + dropped > LOG_PEER_PER_SECOND;

		logger.peer_second = second;
		logger.peer_limit = flood ? LOG_PEER_IN_FLOOD : LOG_PEER_PER_SECOND;
		logger.peer_lines = 0;
		logger.peer_dropped = 0;
		if (dropped > 0)
			log_warn("log_lines_dropped", KU("dropped", dropped));
	}
	if (logger.peer_lines >= logger.peer_limit) {
		logger.peer_dropped++;
		logger.suppressed++;
		return;
	}
	logger.peer_lines++;
	log_write(level, event, f, n);
}

uint64_t log_suppressed(void)
{
	return logger.suppressed;
}
