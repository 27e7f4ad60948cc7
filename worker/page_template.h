/*
 * page_template - the text of a page, and the few places in it that are filled
 *
 *	{{correlation_id}}	of this request, on every page
 *	{{cause}}		of a login loop, on that page alone
 *	{{form}}		with the button, exactly once on a page that has one, nowhere else
 *
 * A template is HTML as somebody wrote it: UTF-8 without NUL, where "{{" begins a placeholder and
 * nothing else. It is judged once, when it is read, and composed without an error afterwards. What
 * is filled in is escaped for text and for attributes in quotes; the form alone is HTML, and ours.
 * A page with a form has no other <form: ours must neither stand in it nor come second, for its
 * script submits the first one. Pure.
 */
#ifndef BFF_PAGE_TEMPLATE_H
#define BFF_PAGE_TEMPLATE_H

#include "common/buf.h"

#define PAGE_PLACEHOLDERS_MAX 8 /* of one page */

enum page {
	PAGE_NONE, /* of every other there is a row */
#define PAGE(name, file, status, takes) PAGE_##name,
#include "worker/page.def"
#undef PAGE
	PAGE_COUNT
};

struct page_values {
	struct sv correlation_id, cause;
	struct sv form; /* HTML */
};

/* ERR_CONFIG with a sentence that names the line, of text as that page. */
WARN_UNUSED enum err page_template_check(enum page page, struct sv text, struct errmsg *e);

/* Appends a text that was judged good, filled in. */
void page_template_fill(struct sv text, const struct page_values *v, struct buf *out);

/* Appends s as text of HTML, or of an attribute in quotes. */
void page_escape(struct buf *out, struct sv s);

#endif
