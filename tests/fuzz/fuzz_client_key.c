/* A file of private keys. What is read can be published: a set that we would take ourselves, a key
 * for each that was read, and none of their private halves in it. */
#include <assert.h>

#include "broker/client_key.h"
#include "broker/jwks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sv pem = sv_of((const char *)data, size);
	struct client_keys *k = NULL;
	struct jwks *set = NULL;
	const char *why = NULL;
	struct buf out;

	(void)!client_certificates_check(pem);
	if (client_keys_read(pem, &k, &why) != ERR_OK) {
		assert(k == NULL && why != NULL);
		return 0;
	}
	assert(k->n >= 1 && k->n <= CLIENT_KEYS_MAX);
	buf_init(&out, JWKS_BYTES_MAX);
	if (client_keys_print(k, &out) == ERR_OK) {
		assert(memmem(out.p, out.n, "\"d\"", 3) == NULL);
		assert(jwks_parse(buf_sv(&out), &set) == ERR_OK);
		assert(jwks_count(set) <= k->n);
		jwks_free(&set);
	}
	buf_done(&out);
	client_keys_free(&k);
	return 0;
}
