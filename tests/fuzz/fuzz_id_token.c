/* The payload of a token whose signature held. What passes has its people and its limits. */
#include <assert.h>

#include "broker/id_token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct sv keep[] = {SV_INIT("email"), SV_INIT("roles")};
	static const struct id_token_rules rules = {.issuer = SV_INIT("https://idp.example"),
						    .client_id = SV_INIT("app"),
						    .alg = ALG_RS256,
						    .subject_claim = SV_INIT("sub"),
						    .keep_claims = {keep, 2},
						    .now_s = 1700000000};
	struct id_token t = {.payload = NULL};

	if (id_token_check(sv_of((const char *)data, size), &rules, &t) == JWT_NONE) {
		assert(t.claims.sub.n > 0 && t.claims.sub.n <= JWT_SUB_MAX);
		assert(t.claims.subject.n > 0 && t.claims.subject.n <= JWT_SUB_MAX);
		assert(t.claims.claims.n >= 2 && t.claims.claims.n <= ID_TOKEN_CLAIMS_MAX);
		assert(t.claims.iat_s >= 0 && t.claims.auth_time_s >= 0);
	}
	id_token_done(&t);
	return 0;
}
