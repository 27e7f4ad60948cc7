/*
 * err - the error codes of this project
 *
 * A function that can fail returns enum err; ERR_OK is 0. Three classes never mix:
 * a bug aborts (assert, kept in release), the environment or a peer returns a code,
 * and "cannot start" is fatal in a main.c only. Start-up and configuration functions
 * also take a struct errmsg, last, for one sentence to a human. And what a declaration says of how
 * a function is called.
 */
#ifndef BFF_ERR_H
#define BFF_ERR_H

#include <stdarg.h>
#include <stdio.h>

enum err {
	ERR_OK = 0,
#define ERR(name, text) ERR_##name,
#include "common/err.def"
#undef ERR
};

/* The constant text of a code; never NULL. */
const char *err_text(enum err e);

#define ERRMSG_MAX 1024

/* One sentence for the operator; `text` is NUL-terminated, cut at ERRMSG_MAX. */
struct errmsg {
	char text[ERRMSG_MAX];
};

/* Writes the sentence and returns `code`, so that callers can `return errmsg_set(...)`. */
__attribute__((format(printf, 3, 4))) enum err errmsg_set(struct errmsg *m, enum err code,
							  const char *fmt, ...);

#define WARN_UNUSED __attribute__((warn_unused_result))
/* Of what is seldom called, mostly because something is wrong: its callers expect not to. */
#define COLD __attribute__((cold, noinline))
/* Of what every verify goes through, its head's parser and its phases: what they call is inlined,
 * and what that calls, so that a hit is a few long functions in the place of a hundred short ones
 * (4 % of its CPU). */
#define FLAT __attribute__((flatten))

#endif
