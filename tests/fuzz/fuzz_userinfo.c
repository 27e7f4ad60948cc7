/* UserInfo from a stranger, first byte odd: signed. What passes is about whom we asked for, and
 * holds nothing that is not kept. */
#include <assert.h>

#include "broker/id_token.h"
#include "broker/json_strict.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct sv keep[] = {SV_INIT("email"), SV_INIT("groups")};
	static const struct id_token_rules rules = {.issuer = SV_INIT("https://idp.example"),
						    .client_id = SV_INIT("app"),
						    .alg = ALG_RS256,
						    .typ = SV_INIT("JWT"),
						    .subject_claim = SV_INIT("oid"),
						    .keep_claims = {keep, 2},
						    .expect = {.sub = SV_INIT("alice")},
						    .now_s = 1700000000};
	struct id_token t = {.payload = NULL};
	struct sv body;
	enum jwt_refusal why;

	if (size == 0)
		return 0;
	body = sv_of((const char *)data + 1, size - 1);
	why = data[0] % 2 == 0 ? userinfo_check(body, &rules, &t)
			       : userinfo_check_signed(body, &rules, &t);
	assert(jwt_refusal_word(why)[0] != '\0' || why == JWT_NONE);
	if (why != JWT_NONE) {
		assert(t.payload == NULL && t.kept == NULL);
		return 0;
	}
	assert(sv_eq(t.claims.sub, SV("alice")));
	assert(t.claims.claims.n <= ID_TOKEN_CLAIMS_MAX);
	assert(json_strict_scan(t.claims.claims, ID_TOKEN_CLAIMS_MAX) == ERR_OK);
	assert(json_object_object_length(t.kept) <= 2);
	id_token_done(&t);
	return 0;
}
