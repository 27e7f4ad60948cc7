/*
 * config_source - the words of bff.conf and its includes, each with its file and line
 *
 * Reads the files, expands ${VAR} and include(), and cuts the text into tokens, so that what
 * libconfuse gets to see is free of the places where it is lax: an unset variable would become
 * empty there, an option given twice keep its last value, an include be looked up in the
 * working directory, and its own line count goes wrong across includes. libconfuse then parses
 * config_source_text(), in which token i stands alone on line i + 1: its line numbers are token
 * numbers, and from those file and line are known exactly.
 */
#ifndef BFF_CONFIG_SOURCE_H
#define BFF_CONFIG_SOURCE_H

#include "common/buf.h"
#include "common/config.h"
#include "common/config_arena.h"

#define CONFIG_MAX_INCLUDE_DEPTH 8
#define CONFIG_MAX_FILES 1000
#define CONFIG_MAX_SECTIONS 25000		      /* of all kinds */
#define CONFIG_MAX_OPTIONS 64			      /* options in one section */
#define CONFIG_MAX_NESTING 4			      /* sections in sections */
#define CONFIG_MAX_VALUE 8192			      /* bytes of one string, variables expanded */
#define CONFIG_MAX_TEXT (4 * (size_t)CONFIG_MAX_DUMP) /* config_source_text() */

struct config_token {
	char kind;	/* '"' for a word or string, '=', '{', '}', ',' or ' ' for nothing */
	bool is_name;	/* of an option or a section */
	bool closes;	/* a brace that ends the section `frame` */
	unsigned frame; /* which section it stands in */
	unsigned file, line;
	struct sv text; /* of a word or string */
};

/* One section as written. Frame 0 is the top level. */
struct config_frame {
	unsigned open; /* its name's token */
	unsigned parent;
	unsigned noptions;
};

enum config_expand { CONFIG_EXPAND = 1, CONFIG_LITERAL };

struct config_source {
	struct config_arena *arena; /* of the names of files, which outlive the source */
	struct config_arena text;   /* of everything else */
	enum config_expand expand;  /* CONFIG_LITERAL: neither ${VAR} nor include() */
	const char **files;
	size_t nfiles, files_cap;
	struct config_token *tokens;
	size_t ntokens, tokens_cap;
	struct config_frame *frames;
	size_t nframes, frames_cap;
	size_t bytes, max_bytes; /* of all files */
	struct errmsg *e;
};

/* Reads path and all that it includes; the names of files live in `names`. ERR_CONFIG with a
 * sentence, ERR_NOMEM. The source is to be freed with config_source_done() in any case. */
WARN_UNUSED enum err config_source_load(struct config_source *s, struct config_arena *names,
					const char *path, struct errmsg *e);

/* The same from a descriptor, without expansion or includes. */
WARN_UNUSED enum err config_source_load_fd(struct config_source *s, struct config_arena *names,
					   int fd, const char *path, struct errmsg *e);

/* The text for libconfuse, NUL-terminated. ERR_NOMEM. */
WARN_UNUSED enum err config_source_text(const struct config_source *s, struct buf *out);

/* "FILE:LINE: OPTION: " and the sentence, for the place of a token; SIZE_MAX is the start of the
 * main file, any other one beyond the last is the end. Returns ERR_CONFIG. */
__attribute__((format(printf, 4, 5))) enum err config_source_error(const struct config_source *s,
								   size_t token, const char *option,
								   const char *fmt, ...);

/* The token that names an option of this section, or SIZE_MAX where it is not written. */
size_t config_source_option(const struct config_source *s, unsigned frame, struct sv name);

/* The token of the i-th value of the option named by token `name`. */
size_t config_source_value(const struct config_source *s, size_t name, size_t i);

void config_source_done(struct config_source *s);

/* Of config_lex.c: cuts `text`, the content of file number `file`, into tokens; `depth` counts
 * includes. Calls config_source_include(). */
WARN_UNUSED enum err config_lex(struct config_source *s, unsigned file, struct sv text,
				unsigned depth);
WARN_UNUSED enum err config_source_include(struct config_source *s, size_t token, struct sv pattern,
					   unsigned depth);

/* Room for one more element in an array; false when memory is out. */
bool config_source_grow(void **v, size_t n, size_t *cap, size_t size);

#endif
