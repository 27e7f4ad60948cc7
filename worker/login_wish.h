/*
 * login_wish - what a request to /auth/login asks for
 *
 * Our own pages send return_to, prompt, provider, login_hint, acr_values and max_age. A third party
 * (OIDC Core 4) sends iss, login_hint and target_link_uri, and may choose nothing else. Both at
 * once, or a value that is not understood, is refused. Pure.
 */
#ifndef BFF_LOGIN_WISH_H
#define BFF_LOGIN_WISH_H

#include "common/config.h"
#include "worker/form.h"

#define LOGIN_HINT_MAX 256
#define LOGIN_ACR_VALUES_MAX CONFIG_MAX_ACR
#define LOGIN_MAX_AGE_DIGITS 9 /* seconds; some thirty years */

/* What a failed prompt=none adds to its target's query. */
#define LOGIN_REQUIRED_MARK SV("login=required")

enum login_parameter {
	LOGIN_RETURN_TO,
	LOGIN_PROMPT,
	LOGIN_PROVIDER,
	LOGIN_HINT,
	LOGIN_ACR_VALUES,
	LOGIN_MAX_AGE,
	LOGIN_ISS,
	LOGIN_TARGET_LINK_URI,
	LOGIN_NPARAMETERS
};

/* Views into the parsed form. */
struct login_wish {
	bool third_party;
	struct sv target; /* of either kind, not judged yet; may be empty */
	struct sv prompt, login_hint, acr_values;
	struct sv max_age; /* as written; empty: none */
	uint32_t max_age_s;
};

/* Fills in the names to look for. */
void login_wish_names(struct form_field params[LOGIN_NPARAMETERS]);

/* NULL, or a constant word naming what is wrong. */
const char *login_wish_read(const struct config_app *app,
			    const struct form_field params[LOGIN_NPARAMETERS],
			    struct login_wish *ret);

/* Whether a target's query says that a silent login has failed there: another one from the same
 * page would be a loop. */
bool login_target_marked(struct sv target);

#endif
