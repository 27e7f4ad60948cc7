/*
 * config_table - config.def as data
 *
 * For the files of config. Pure and constant.
 */
#ifndef BFF_CONFIG_TABLE_H
#define BFF_CONFIG_TABLE_H

#include "common/config.h"

enum config_repeats { CONFIG_ONE = 1, CONFIG_TITLED, CONFIG_NESTED };

enum config_section_id {
#define SECTION(id, type, repeats) CONFIG_SECTION_##id,
#define OPT(section, option, kind, member, def, limits, text)
#include "common/config.def"
#undef SECTION
#undef OPT
	CONFIG_SECTIONS
};

enum config_option_id {
#define SECTION(id, type, repeats)
#define OPT(section, option, kind, member, def, limits, text) CONFIG_OPT_##section##_##option,
#include "common/config.def"
#undef SECTION
#undef OPT
	CONFIG_OPTIONS
};

enum config_kind {
	CONFIG_STRING = 1, /* struct sv */
	CONFIG_SECRET,	   /* struct sv: credential:NAME or an absolute path */
	CONFIG_PATH,	   /* struct sv: an absolute path */
	CONFIG_ADDRESS,	   /* struct sv: address and port */
	CONFIG_BOOL,	   /* bool */
	CONFIG_SWITCH,	   /* bool, spelled with two words */
	CONFIG_COUNT,	   /* unsigned */
	CONFIG_BYTES,	   /* size_t, written as a bare number */
	CONFIG_SIZE,	   /* size_t, written with a unit */
	CONFIG_DURATION,   /* int64_t milliseconds */
	CONFIG_WORD,	   /* an enum */
	CONFIG_MASK,	   /* unsigned: list of words, ORed */
	CONFIG_LIST,	   /* struct config_list */
	CONFIG_HOSTS,	   /* struct config_list, lower-cased hosts */
	CONFIG_ORIGIN,	   /* struct config_origin */
	CONFIG_ORIGINS,	   /* struct config_origins */
	CONFIG_CIDRS,	   /* pointer, then count */
	CONFIG_PROVIDER,   /* pointers to the section of that name */
	CONFIG_APP,
	CONFIG_SERVICE,
	CONFIG_IDENTITY,
	CONFIG_RULE, /* struct config_require: op and one value */
	CONFIG_RULES /* struct config_require: op and a list */
};

struct config_word {
	const char *name; /* NULL ends a table */
	int value;
};

struct config_option {
	enum config_section_id section;
	const char *name;
	enum config_kind kind;
	size_t offset;
	const char *def; /* NULL: required */
	int64_t min, max;
	const struct config_word *words;
	const char *text;
};

struct config_section {
	const char *name;
	enum config_repeats repeats;
	size_t size; /* of its struct */
};

extern const struct config_section config_sections[CONFIG_SECTIONS];
extern const struct config_option config_options[CONFIG_OPTIONS];

/* Of a list option a file may give several values, in braces. */
bool config_option_is_list(const struct config_option *o);

/* The word of a value, NULL when there is none; the value of a word, false when there is none. */
const char *config_word_name(const struct config_word *words, int value);
bool config_word_value(const struct config_word *words, struct sv name, int *ret);

/* The operator that an option of `require` stands for. */
enum config_require_op config_require_op(enum config_option_id id);

#endif
