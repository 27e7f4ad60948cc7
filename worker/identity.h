/*
 * identity - from claims to the headers that a 200 carries
 *
 * Every header of every identity set is always written, empty where the route's set does not
 * name it or the claim is not there: some edges let a client's own header survive a missing
 * one. So are X-Session-ID, X-Auth-Time, X-Auth-Acr, X-Correlation-ID, Authorization and
 * Cookie.
 *
 * Values: a string, an integer or other finite number as JSON writes it, true or false; an array of
 * those joined by the separator, less what `only` does not list; anything else counts as
 * unset. The claim called "subject" is the session's subject; a name may be a path (claim.h).
 * Printable ASCII stays; all other bytes, '%', and the separator inside an array's element are
 * percent-encoded, so that nothing can pass for two values and CR or LF cannot occur. A value over
 * max_bytes is left empty, never cut: half a list of groups is another list. All together are at
 * most web.max_answer: what its buffer does not take, an edge answers with an error of its own.
 */
#ifndef BFF_IDENTITY_H
#define BFF_IDENTITY_H

#include "common/buf.h"
#include "common/config.h"

#define IDENTITY_REST 256 /* bytes of a 200 that are not written here */

struct identity_table;

/* The configuration must outlive it. A configuration without a set "default" gets the built-in one:
 * X-User-ID (subject), X-User-Email (email), X-User-Name (name), X-User-Groups (groups).
 * ERR_NOMEM. */
WARN_UNUSED enum err identity_table_new(const struct config *c, struct identity_table **ret);
void identity_table_free(struct identity_table **t);

/* Every name that identity_write() writes, each once: what an edge must strip, and injected_of()
 * takes. Valid as long as the table. */
const struct sv *identity_names(const struct identity_table *t, size_t *ret_n);

struct identity_values {
	bool session;			   /* false: all up to auth_time counts as empty */
	const struct config_identity *set; /* the configuration's; NULL: "default" */
	struct sv claims;		   /* a JSON object */
	struct sv subject, session_ref, acr;
	int64_t auth_time; /* seconds; 0: unknown */
	/* What an earlier call appended first for this session and set (identity_note.session_n):
	 * goes out as it is, and nothing above counts. Empty: there is none. */
	struct sv ready;
	struct sv correlation;
	/* An access token: "Bearer " goes before it. SECURITY: it was seen to have no control
	 * character when it came, once, and not for each answer. */
	struct sv bearer;
	struct sv authorization; /* the client's own, passed back; only without bearer */
	struct sv cookie;	 /* the remaining cookies */
};

/* What was left out, for the log; header.n == 0: nothing. The first one counts. After ERR_LIMIT,
 * reason is what the answer has most of: "identity", "token", "authorization", "cookie". */
struct identity_note {
	struct sv header;
	const char *reason; /* "too_long", "type" */
	size_t session_n;   /* the first bytes appended, which session and set alone decide */
};

/* Appends "Name: value\r\n" for every name. ERR_SYNTAX: claims are no JSON object, or take more
 * memory to read than there is, or a value that is passed through (authorization, cookie,
 * correlation) has a control character: nothing usable was written, refuse. ERR_LIMIT: longer than
 * web.max_answer, or no memory; *ret_note is written then, too. */
WARN_UNUSED enum err identity_write(const struct identity_table *t, const struct identity_values *v,
				    struct buf *out, struct identity_note *ret_note);

#endif
