/*
 * policy - may this session use this route?
 *
 * Compiled once from a configuration, which must outlive the table. A route's rules (`require`)
 * must all hold; then its acr and max_age. Rules look at the session's claims alone, so what they
 * say stays true as long as the row does: whoever keeps a row keeps the answers beside it, in
 * policy_bits_size() bytes that start as zeros. With them a rule is looked at once per row; after
 * that a judgement is some bit tests, and neither parses nor allocates. Routes that say the same
 * share the answer.
 *
 *	equals	 the claim is one string, number or boolean with exactly this text
 *	contains the claim has this value
 *	any	 the claim has one of these
 *	all	 the claim has all of these
 *	domain	 the claim is one string with exactly one '@', and what follows it is one of these
 *		 whole (letter case aside)
 *
 * About email none holds unless the same claims have email_verified: true.
 * What a claim "has": an array its elements, as they are; a string itself, and the words between
 * its spaces (scope, RFC 6749 3.3); a number or boolean its JSON text; anything else nothing. So
 * equals is the one for free text. The claim "subject" is the session's subject, whole. A claim's
 * name may be a path: see claim.h. Pure.
 */
#ifndef BFF_POLICY_H
#define BFF_POLICY_H

#include "common/config.h"

struct policy_table;

/* ERR_NOMEM. */
WARN_UNUSED enum err policy_table_new(const struct config *c, struct policy_table **ret);
void policy_table_free(struct policy_table **t);

/* Bytes of answers that a row of a session may keep; may be 0. */
size_t policy_bits_size(const struct policy_table *t);

/* Of one session row. */
struct policy_session {
	struct sv subject, claims; /* claims: a JSON object */
	struct sv acr;		   /* empty: unknown */
	int64_t auth_time_s;	   /* 0: unknown, which satisfies no max_age */
};

enum policy_outcome {
	POLICY_OK = 1,
	POLICY_REQUIRE, /* a rule does not hold */
	POLICY_ACR,	/* a stronger login is needed */
	POLICY_MAX_AGE, /* a fresher login is needed */
	POLICY_CLAIMS,	/* the claims cannot be read: no answer at all */
};

/* One route of the table's configuration. now_s: wall clock; CLOCK_SKEW_S is forgiven, as it is
 * when the login is checked, else a login fresh enough for one would loop. bits: see above, of this
 * row alone; NULL: nothing is kept. *ret_rule: the title of the first rule that does not hold,
 * "acr" or "max_age"; written unless the outcome is POLICY_OK or POLICY_CLAIMS. */
enum policy_outcome policy_eval(const struct policy_table *t, const struct config_route *route,
				const struct policy_session *s, int64_t now_s, unsigned char *bits,
				struct sv *ret_rule);

#endif
