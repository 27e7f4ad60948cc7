#include "common/preset.h"

#include "tests/unit/unit.h"

/* The facts that a wrong row would cost dearly for. */
static void the_rows_say_what_the_products_do(void **state)
{
	static const struct {
		enum config_preset preset;
		const char *word;
		enum preset_rotation rotation;
		enum preset_offline offline;
		enum preset_scope scope;
		enum preset_dialect errors;
		bool has_grace, ignores_audience, shares_id_tokens, moves_auth_time;
	} rows[] = {
	    {PRESET_GENERIC, "generic", ROTATION_SINGLE_USE, OFFLINE_CONSENT, SCOPE_NARROW,
	     DIALECT_PLAIN, true, false, false, false},
	    {PRESET_OIDC_PROVIDER, "oidc-provider", ROTATION_SINGLE_USE, OFFLINE_CONSENT,
	     SCOPE_NARROW, DIALECT_PLAIN, true, false, false, false},
	    {PRESET_KEYCLOAK, "keycloak", ROTATION_SINGLE_USE, OFFLINE_SCOPE, SCOPE_NARROW,
	     DIALECT_PLAIN, false, false, false, true},
	    {PRESET_AUTH0, "auth0", ROTATION_SINGLE_USE, OFFLINE_SCOPE, SCOPE_NARROW, DIALECT_PLAIN,
	     true, true, false, false},
	    {PRESET_OKTA, "okta", ROTATION_SINGLE_USE, OFFLINE_SCOPE, SCOPE_NARROW, DIALECT_PLAIN,
	     true, false, false, false},
	    {PRESET_ENTRA, "entra", ROTATION_REPLACE, OFFLINE_SCOPE, SCOPE_ALWAYS, DIALECT_ENTRA,
	     false, false, false, false},
	    {PRESET_GOOGLE, "google", ROTATION_NONE, OFFLINE_ACCESS_TYPE, SCOPE_NARROW,
	     DIALECT_PLAIN, false, false, false, false},
	    {PRESET_ZITADEL, "zitadel", ROTATION_SINGLE_USE, OFFLINE_SCOPE, SCOPE_NARROW,
	     DIALECT_PLAIN, false, false, true, false},
	    {PRESET_CURITY, "curity", ROTATION_SINGLE_USE, OFFLINE_SCOPE, SCOPE_NARROW,
	     DIALECT_PLAIN, true, false, false, false},
	    {PRESET_PING, "ping", ROTATION_SINGLE_USE, OFFLINE_SCOPE, SCOPE_NARROW, DIALECT_PLAIN,
	     true, false, false, false},
	    {PRESET_DEX, "dex", ROTATION_SINGLE_USE, OFFLINE_SCOPE, SCOPE_NARROW, DIALECT_DEX, true,
	     false, true, false},
	    {PRESET_AUTHENTIK, "authentik", ROTATION_SINGLE_USE, OFFLINE_SCOPE, SCOPE_ALWAYS,
	     DIALECT_PLAIN, false, false, false, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct preset *p = preset_of(rows[i].preset);

		if (strcmp(preset_word(rows[i].preset), rows[i].word) != 0 ||
		    p->rotation != rows[i].rotation || p->offline != rows[i].offline ||
		    p->scope != rows[i].scope || p->errors != rows[i].errors ||
		    p->has_grace != rows[i].has_grace ||
		    p->ignores_unknown_audience != rows[i].ignores_audience ||
		    p->shares_id_tokens != rows[i].shares_id_tokens ||
		    p->moves_auth_time != rows[i].moves_auth_time)
			fail_msg("%s", rows[i].word);
	}
}

static void grants_are_those_of_the_product(void **state)
{
	static const struct {
		enum config_preset preset;
		enum config_grant grant;
		bool want;
	} rows[] = {
	    {PRESET_GENERIC, GRANT_OBO, true},
	    {PRESET_KEYCLOAK, GRANT_EXCHANGE, true},
	    {PRESET_KEYCLOAK, GRANT_RESOURCE, false},
	    {PRESET_AUTH0, GRANT_AUDIENCE, true},
	    {PRESET_OKTA, GRANT_AUDIENCE, false},
	    {PRESET_ENTRA, GRANT_OBO, true},
	    {PRESET_ENTRA, GRANT_EXCHANGE, false},
	    {PRESET_GOOGLE, GRANT_CLIENT_CREDENTIALS, false},
	    {PRESET_ZITADEL, GRANT_RESOURCE, false},
	    {PRESET_CURITY, GRANT_RESOURCE, true},
	    {PRESET_PING, GRANT_EXCHANGE, true},
	    {PRESET_DEX, GRANT_EXCHANGE, false},
	    {PRESET_AUTHENTIK, GRANT_SCOPE, false},
	    {PRESET_AUTHENTIK, GRANT_SESSION, true},
	    {PRESET_GOOGLE, GRANT_ID_TOKEN, true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (preset_has_grant(preset_of(rows[i].preset), rows[i].grant) != rows[i].want)
			fail_msg("%s %d", preset_word(rows[i].preset), rows[i].grant);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_rows_say_what_the_products_do),
	    cmocka_unit_test(grants_are_those_of_the_product),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
