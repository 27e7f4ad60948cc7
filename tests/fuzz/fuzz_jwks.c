/* A key set from a stranger; every key that is kept has the type it says. */
#include <assert.h>
#include <openssl/evp.h>

#include "broker/jwks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum config_alg algs[] = {ALG_RS256, ALG_PS256, ALG_ES256, ALG_EDDSA};
	struct jwks *s = NULL;

	if (jwks_parse(sv_of((const char *)data, size), &s) != ERR_OK)
		return 0;
	assert(jwks_count(s) <= JWKS_ELEMENTS_MAX);
	for (size_t i = 0; i < ARRAY_LEN(algs); i++) {
		struct jose_header h = {.alg = algs[i]};
		const struct jwk *k;
		size_t at = 0;

		while ((k = jwks_next(s, &h, &at)) != NULL) {
			assert(k->type == jose_key_type(algs[i]));
			assert(EVP_PKEY_get_bits(k->pkey) >= 253); /* Ed25519 says 253 or 256 */
		}
	}
	jwks_free(&s);
	return 0;
}
