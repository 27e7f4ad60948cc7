/*
 * log - one line per event, logfmt, to stderr (journald or the terminal)
 *
 *	log_info("login_started", K("app", "company"), KU("listen", 3));
 *	=> level=info role=worker pid=412 gen=3 event=login_started app=company listen=3
 *
 * The event is a constant word, variables are fields. Text from a peer goes through K()
 * like everything else: it is escaped and cut at LOG_VALUE_MAX. A struct secret has no K.
 * Lines that a stranger can cause are written with log_peer(), which passes at most
 * LOG_PEER_PER_SECOND of them, LOG_PEER_IN_FLOOD where the second before had more than that to say,
 * and counts the rest (event log_lines_dropped, with the next line that passes).
 * Only process-level code logs; libraries return errors. Writing never blocks for long and
 * a failure to write is ignored: there is nowhere to say it.
 */
#ifndef BFF_LOG_H
#define BFF_LOG_H

#include "common/sv.h"

#define LOG_VALUE_MAX 256
#define LOG_LINE_MAX 2048
#define LOG_PEER_PER_SECOND 50
#define LOG_PEER_IN_FLOOD 5 /* some 150 MB a day */

enum log_level { LOG_DEBUG = 1, LOG_INFO, LOG_WARN, LOG_ERROR };

struct log_field {
	const char *key;
	enum { LOG_FIELD_SV, LOG_FIELD_IF, LOG_FIELD_I64 } kind;
	struct sv s;
	int64_t i;
};

#define KS(k, sv_) ((struct log_field){.key = (k), .kind = LOG_FIELD_SV, .s = (sv_)})
#define K(k, cstr) KS(k, sv_str(cstr))
/* The same, but no field where it is empty. */
#define KS_IF(k, sv_) ((struct log_field){.key = (k), .kind = LOG_FIELD_IF, .s = (sv_)})
#define KI(k, v) ((struct log_field){.key = (k), .kind = LOG_FIELD_I64, .i = (int64_t)(v)})
#define KU(k, v) KI(k, v)

/* Once, at start: the role ("bffd", "worker", "broker") and the generation (0 = none). */
void log_init(const char *role, unsigned generation);
void log_set_level(enum log_level least);

COLD void log_write(enum log_level level, const char *event, const struct log_field *f, size_t n);
COLD void log_write_peer(enum log_level level, const char *event, const struct log_field *f,
			 size_t n);

/* Lines of log_write_peer() left out so far. */
uint64_t log_suppressed(void);

#define LOG_FIELDS(...)                                                                            \
	(const struct log_field[])                                                                 \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}
#define LOG_CALL(fn, level, event, ...)                                                            \
	fn(level, event, LOG_FIELDS(__VA_ARGS__),                                                  \
	   sizeof(LOG_FIELDS(__VA_ARGS__)) / sizeof(struct log_field))

/* Every call gives at least one field. */
#define log_error(event, ...) LOG_CALL(log_write, LOG_ERROR, event, __VA_ARGS__)
#define log_warn(event, ...) LOG_CALL(log_write, LOG_WARN, event, __VA_ARGS__)
#define log_info(event, ...) LOG_CALL(log_write, LOG_INFO, event, __VA_ARGS__)
#define log_debug(event, ...) LOG_CALL(log_write, LOG_DEBUG, event, __VA_ARGS__)
#define log_peer(level, event, ...) LOG_CALL(log_write_peer, level, event, __VA_ARGS__)

#endif
