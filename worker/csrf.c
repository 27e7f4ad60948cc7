#include "worker/csrf.h"

#include <assert.h>

#include "common/b64.h"
#include "common/crypt.h"

#define LABEL SV("bff csrf v1")

static_assert(B64URL_LEN(CRYPT_SHA256_LEN) == CSRF_TOKEN_LEN, "a token is one whole MAC");

enum err csrf_token(struct sv secret, char out[CSRF_TOKEN_LEN])
{
	unsigned char mac[CRYPT_SHA256_LEN];
	enum err e = crypt_hmac_sha256(secret, LABEL, mac);

	if (e == ERR_OK)
		(void)b64url_encode(mac, sizeof mac, out); /* its length is asserted above */
	explicit_bzero(mac, sizeof mac);
	return e;
}

bool csrf_token_is(struct sv secret, struct sv got)
{
	char want[CSRF_TOKEN_LEN];
	bool same;

	if (got.n != CSRF_TOKEN_LEN || csrf_token(secret, want) != ERR_OK)
		return false;
	same = crypt_equal(got, sv_of(want, sizeof want));
	explicit_bzero(want, sizeof want);
	return same;
}

bool csrf_method_is_safe(struct sv method)
{
	return sv_eq(method, SV("GET")) || sv_eq(method, SV("HEAD")) ||
	       sv_eq(method, SV("OPTIONS"));
}

bool csrf_origin_is_own(const struct config_app *app, struct sv origin)
{
	return config_origins_have(&app->origins, origin) ||
	       (app->login_origin.text.n > 0 && sv_eq(app->login_origin.text, origin));
}

/* Origin and Sec-Fetch-Site; what is not there cannot speak against the request. */
static bool origin_is_fine(const struct config_app *app, struct http_fields f, bool must_be_there)
{
	struct sv origin = SV_NONE, site = SV_NONE;
	enum err has_origin = http_fields_one(f, HTTP_ORIGIN, &origin);
	enum err has_site = http_fields_one(f, HTTP_SEC_FETCH_SITE, &site);

	if (has_origin == ERR_EXISTS || has_site == ERR_EXISTS)
		return false;
	if (has_origin == ERR_OK && !csrf_origin_is_own(app, origin))
		return false;
	if (has_origin != ERR_OK && must_be_there)
		return false;
	if (has_site != ERR_OK || sv_eq(site, SV("same-origin")))
		return true;
	return has_origin == ERR_OK && sv_eq(site, SV("same-site"));
}

enum csrf_outcome csrf_check(const struct config_app *app, struct sv method, bool websocket,
			     struct http_fields f, struct sv secret)
{
	struct sv token;

	if (websocket)
		return origin_is_fine(app, f, true) ? CSRF_OK : CSRF_ORIGIN;
	if (csrf_method_is_safe(method))
		return CSRF_OK;
	if (!origin_is_fine(app, f, false))
		return CSRF_ORIGIN;
	if (http_fields_one(f, HTTP_X_CSRF_TOKEN, &token) != ERR_OK)
		return CSRF_TOKEN;
	return csrf_token_is(secret, token) ? CSRF_OK : CSRF_TOKEN;
}
