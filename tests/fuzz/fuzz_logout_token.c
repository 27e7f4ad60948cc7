/* The payload of a logout token whose signature held. What passes names somebody and may be
 * remembered; nothing that passes would pass as an ID token. */
#include <assert.h>

#include "broker/id_token.h"
#include "broker/logout_token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct logout_token_rules rules = {.issuer = SV_INIT("https://idp.example"),
							.client_id = SV_INIT("app"),
							.typ = SV_INIT("logout+jwt"),
							.now_s = 1700000000};
	static const struct id_token_rules id_rules = {.issuer = SV_INIT("https://idp.example"),
						       .client_id = SV_INIT("app"),
						       .alg = ALG_RS256,
						       .subject_claim = SV_INIT("sub"),
						       .now_s = 1700000000};
	struct sv payload = sv_of((const char *)data, size);
	struct logout_token t = {.payload = NULL};
	struct id_token id = {.payload = NULL};

	if (logout_token_check(payload, &rules, &t) == JWT_NONE) {
		assert(t.sub.n > 0 || t.sid.n > 0);
		assert(t.sub.n <= JWT_SUB_MAX && t.sid.n <= JWT_SUB_MAX);
		assert(t.jti.n > 0 && t.jti.n <= LOGOUT_JTI_MAX);
		assert(t.replayable_until_s > rules.now_s);
		assert(t.replayable_until_s <= rules.now_s + JWT_SKEW_S + JWT_IAT_PAST_S + 1);
		assert(id_token_check(payload, &id_rules, &id) != JWT_NONE);
	}
	logout_token_done(&t);
	id_token_done(&id);
	return 0;
}
