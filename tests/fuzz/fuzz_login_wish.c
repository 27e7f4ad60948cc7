/* login_wish: what is taken of a query is within its limits, and a third party's holds no more than
 * it may. */
#include <assert.h>
#include <stdlib.h>

#include "worker/login_wish.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct config_provider idp = {.name = SV_INIT("idp"),
						   .issuer = SV_INIT("https://i.example")};
	static const struct config_app app = {.provider = &idp};
	struct form_field params[LOGIN_NPARAMETERS];
	struct sv query = sv_of((const char *)data, size);
	char *scratch = malloc(size + 1);
	struct login_wish w;

	assert(scratch != NULL);
	login_wish_names(params);
	if (form_parse(query, params, LOGIN_NPARAMETERS, scratch) == ERR_OK &&
	    login_wish_read(&app, params, &w) == NULL) {
		assert(w.prompt.n == 0 || sv_eq(w.prompt, SV("none")));
		assert(w.login_hint.n <= LOGIN_HINT_MAX);
		assert(w.acr_values.n <= LOGIN_ACR_VALUES_MAX);
		for (size_t i = 0; i < w.acr_values.n; i++)
			assert(w.acr_values.p[i] >= ' ' && w.acr_values.p[i] <= '~');
		assert(w.max_age.n <= LOGIN_MAX_AGE_DIGITS && w.max_age_s < 1000000000);
		assert(!w.third_party || w.prompt.n + w.acr_values.n + w.max_age.n == 0);
		assert(!w.third_party || sv_eq(params[LOGIN_ISS].value, idp.issuer));
		(void)login_target_marked(w.target);
	}
	(void)login_target_marked(query);
	free(scratch);
	return 0;
}
