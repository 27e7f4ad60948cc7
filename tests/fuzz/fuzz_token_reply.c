/* First byte: status and preset; the rest is the body. No token leaves a failure, and no outcome is
 * missing. */
#include <assert.h>

#include "broker/token_reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const int statuses[] = {200, 400, 401, 403, 429, 500, 503, 302};
	static const enum config_preset presets[] = {PRESET_GENERIC, PRESET_DEX, PRESET_ENTRA,
						     PRESET_ZITADEL};
	static const struct sv scopes[] = {SV_INIT("read")};
	static const struct config_service service = {.grant = GRANT_RESOURCE,
						      .resource = SV_INIT("https://a.example/"),
						      .scope = {scopes, 1}};
	static const struct config_service exchange = {.grant = GRANT_EXCHANGE,
						       .audience = SV_INIT("urn:a")};
	struct http_response h = {.outcome = HTTP_ANSWERED, .detail = ""};
	struct token_answer a;

	if (size == 0)
		return 0;
	h.status = statuses[data[0] % ARRAY_LEN(statuses)];
	h.body = sv_of((const char *)data + 1, size - 1);
	h.retry_after = sv_cut(h.body, 0, HTTP_RETRY_AFTER_MAX);
	token_reply_read(&h, presets[data[0] / 8 % ARRAY_LEN(presets)],
			 data[0] >= 192	  ? &exchange
			 : data[0] >= 128 ? &service
					  : NULL,
			 1700000000, &a);
	assert(a.reply.outcome >= TOKEN_OK && a.reply.outcome <= TOKEN_TOO_OFTEN);
	assert(a.reply.detail != NULL);
	assert((a.reply.outcome == TOKEN_OK) == (a.reply.access_token.n > 0));
	assert(a.reply.expires_in_s >= 1 && a.reply.expires_in_s <= TOKEN_TTL_MAX_S);
	assert(a.reply.retry_after_s <= TOKEN_RETRY_AFTER_MAX_S);
	if (a.reply.outcome != TOKEN_OK && a.reply.outcome != TOKEN_MISCONFIGURED)
		assert(a.reply.refresh_token.n == 0);
	assert(a.reply.claims.n == 0 ||
	       (a.reply.outcome == TOKEN_INTERACTION && a.reply.claims.n <= TOKEN_CLAIMS_MAX &&
		a.reply.claims.p[a.reply.claims.n - 1] != '\0'));
	token_answer_done(&a);
	return 0;
}
