/* A metadata document from a stranger; what passes has the issuer and only places that are allowed.
 */
#include <assert.h>

#include "broker/discovery.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct sv url)
{
	assert(url.n == 0 || http_url_check(url, HTTP_LOOPBACK_TOO) == ERR_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sv body = sv_of((const char *)data, size), issuer = SV("https://idp.example");
	struct discovery *d = NULL;
	const char *detail = NULL;
	enum err e = discovery_parse(body, issuer, HTTP_LOOPBACK_TOO, DISCOVERY_PLAIN, &d, &detail);

	assert(detail != NULL);
	discovery_free(&d);
	e = discovery_parse(body, issuer, HTTP_LOOPBACK_TOO, DISCOVERY_MUTUAL_TLS, &d, &detail);
	if (e != ERR_OK)
		return 0;
	assert(sv_eq(d->metadata.issuer, issuer));
	assert(d->metadata.token_endpoint.n > 0 && d->metadata.authorization_endpoint.n > 0 &&
	       d->metadata.jwks_uri.n > 0);
	check(d->metadata.token_endpoint);
	check(d->metadata.authorization_endpoint);
	check(d->metadata.jwks_uri);
	check(d->metadata.end_session_endpoint);
	check(d->metadata.revocation_endpoint);
	check(d->metadata.userinfo_endpoint);
	check(d->metadata.pushed_authorization_request_endpoint);
	assert(d->assertion_rsa == ALG_PS256 || d->assertion_rsa == ALG_RS256);
	discovery_free(&d);
	return 0;
}
