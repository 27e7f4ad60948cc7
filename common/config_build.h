/*
 * config_build - from tokens through libconfuse to a struct config
 *
 * config_build() fills in every option of config.def, by value alone; what options mean to each
 * other is config_check()'s. Both report at the exact place, which struct config_build keeps.
 */
#ifndef BFF_CONFIG_BUILD_H
#define BFF_CONFIG_BUILD_H

#include "common/config_arena.h"
#include "common/config_source.h"
#include "common/config_table.h"

#define CONFIG_MAX_LIST 256	 /* values of one list */
#define CONFIG_MAX_HEADERS 64	 /* different names over all identity sets */
#define CONFIG_MAX_PLACES 100000 /* routes times their hosts */
#define CONFIG_MAX_TITLE 128	 /* title of `require`, which is free text */

struct config_build {
	struct config *c;
	struct config_arena *arena;
	const struct config_source *source;
	struct errmsg *e;
	/* Of each section all instances, one after the other, and where each was written. Those of
	 * NESTED sections too, in the order of their parents. */
	struct config_items {
		char *v;
		unsigned *frame;
		size_t n;
	} items[CONFIG_SECTIONS];
};

/* A section that stands nowhere in the file, so all its options have their defaults. */
#define CONFIG_NO_FRAME UINT32_MAX

/* Parses source->tokens into b->c. ERR_CONFIG with a sentence, ERR_NOMEM. */
WARN_UNUSED enum err config_build(struct config_build *b);

/* The sentence about option `id` of the i-th section of its kind, at the line of the option or,
 * where that is not written, of the section. Returns ERR_CONFIG. */
__attribute__((format(printf, 4, 5))) enum err config_build_error(const struct config_build *b,
								  enum config_option_id id,
								  size_t i, const char *fmt, ...);

/* Of config_convert.c: one option from its text. `name` is its token, SIZE_MAX where the default
 * is taken; `at` its place in the section's struct. */
struct config_values {
	const struct config_option *option;
	size_t token, section_token;
	struct sv *v;
	size_t n;
	char *at, *section;
};
WARN_UNUSED enum err config_convert(struct config_build *b, const struct config_values *v);

/* Of config_place.c: routes without `hosts` get all of their app's origins. */
WARN_UNUSED enum err config_default_hosts(struct config_build *b);

/* Of config_check*.c: the rules between options. */
WARN_UNUSED enum err config_check(const struct config_build *b);
WARN_UNUSED enum err config_check_listen(const struct config_build *b, size_t i);
WARN_UNUSED enum err config_check_apps(const struct config_build *b);
WARN_UNUSED enum err config_check_headers(const struct config_build *b);
WARN_UNUSED enum err config_check_routes(const struct config_build *b);
/* The rules of one route; first: theirs among those of all routes. */
WARN_UNUSED enum err config_check_requires(const struct config_build *b, size_t route,
					   size_t first);
WARN_UNUSED enum err config_check_overlap(const struct config_build *b);

/* The provider hands this claim on to sessions; a name that starts with / is a path (RFC 6901),
 * whose first name counts. */
bool config_claim_is_kept(const struct config_provider *p, struct sv claim);

#endif
