/* A token is taken apart under each pin and tried on a key of each type; none may verify, because
 * nobody has the private halves. */
#include <assert.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "broker/jose.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static EVP_PKEY *const *keys(void)
{
	/* Rule Zero: made once for all inputs. */
	static EVP_PKEY *k[3];

	if (k[0] == NULL) {
		k[0] = EVP_RSA_gen(2048);
		k[1] = EVP_EC_gen("P-256");
		k[2] = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
		assert(k[0] != NULL && k[1] != NULL && k[2] != NULL);
	}
	return k;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum config_alg algs[] = {ALG_RS256, ALG_PS256, ALG_ES256, ALG_EDDSA};
	struct sv jwt = sv_of((const char *)data, size);

	for (size_t i = 0; i < ARRAY_LEN(algs); i++) {
		struct jose_token t;
		struct buf payload;

		if (jose_parse(jwt, algs[i], &t) != JWT_NONE)
			continue;
		for (size_t k = 0; k < 3; k++)
			assert(jose_verify(&t, keys()[k]) != ERR_OK);
		buf_init(&payload, JOSE_TOKEN_MAX);
		if (jose_payload(&t, &payload) == ERR_OK)
			assert(payload.n <= JOSE_TOKEN_MAX);
		buf_done(&payload);
	}
	return 0;
}
