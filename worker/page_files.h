/*
 * page_files - the pages that apps have of their own (`pages` of an app: a directory)
 *
 * Read once, at the worker's start, from files named as in page.def; a page without a file is the
 * built-in one. A directory that cannot be read, a file that is no template of its page
 * (page_template.h), larger than PAGE_FILE_MAX, no regular file, or called *.html and otherwise
 * like no page (a misspelt one would never be shown) is an error: so a reload with a bad page
 * leaves the old workers serving. Names that start with a dot, and those of other kinds, are left
 * alone.
 */
#ifndef BFF_PAGE_FILES_H
#define BFF_PAGE_FILES_H

#include "common/config.h"
#include "worker/page_template.h"

#define PAGE_FILE_MAX 32768 /* bytes of one */

struct page_files;

/* ERR_CONFIG with a sentence that names the section's place, the option and the file; ERR_NOMEM. */
WARN_UNUSED enum err page_files_new(const struct config *c, struct page_files **ret,
				    struct errmsg *e);
void page_files_free(struct page_files **f);

/* A template that was judged good, valid until page_files_free(); p == NULL: there is none. f may
 * be NULL; app is one of that configuration's. */
struct sv page_files_find(const struct page_files *f, const struct config_app *app, enum page page);

#endif
