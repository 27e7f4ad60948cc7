#include "common/config_table.h"

static const struct config_word words_secret_files[] = {
    {"strict", SECRET_FILE_STRICT}, {"container", SECRET_FILE_CONTAINER}, {NULL, 0}};
static const struct config_word words_listen[] = {
    {"public", LISTEN_PUBLIC}, {"verify", LISTEN_VERIFY}, {"metrics", LISTEN_METRICS}, {NULL, 0}};
static const struct config_word words_edge[] = {{"none", EDGE_NONE},
						{"traefik", EDGE_TRAEFIK},
						{"caddy", EDGE_CADDY},
						{"nginx", EDGE_NGINX},
						{"haproxy", EDGE_HAPROXY},
						{"envoy", EDGE_ENVOY},
						{NULL, 0}};
static const struct config_word words_preset[] = {
#define PRESET(id, word, ...) {word, PRESET_##id},
#include "common/preset.def"
#undef PRESET
    {NULL, 0}};
static const struct config_word words_client_auth[] = {{"client_secret_basic", CLIENT_SECRET_BASIC},
						       {"client_secret_post", CLIENT_SECRET_POST},
						       {"private_key_jwt", CLIENT_PRIVATE_KEY_JWT},
						       {"tls", CLIENT_TLS},
						       {NULL, 0}};
static const struct config_word words_assertion_audience[] = {
    {"issuer", AUDIENCE_ISSUER}, {"token_endpoint", AUDIENCE_TOKEN_ENDPOINT}, {NULL, 0}};
static const struct config_word words_alg[] = {{"RS256", ALG_RS256},
					       {"PS256", ALG_PS256},
					       {"ES256", ALG_ES256},
					       {"EdDSA", ALG_EDDSA},
					       {NULL, 0}};
static const struct config_word words_claims_from[] = {
    {"id_token", CLAIMS_ID_TOKEN}, {"userinfo", CLAIMS_USERINFO}, {NULL, 0}};
static const struct config_word words_response_mode[] = {
    {"query", RESPONSE_QUERY}, {"form_post", RESPONSE_FORM_POST}, {NULL, 0}};
static const struct config_word words_same_site[] = {
    {"lax", SAME_SITE_LAX}, {"strict", SAME_SITE_STRICT}, {NULL, 0}};
static const struct config_word words_bind_session[] = {
    {"user_agent", BIND_USER_AGENT}, {"address", BIND_ADDRESS}, {NULL, 0}};
static const struct config_word words_revocations[] = {
    {"listen", REVOCATIONS_LISTEN}, {"poll", REVOCATIONS_POLL}, {NULL, 0}};
static const struct config_word words_logout_method[] = {
    {"get", LOGOUT_GET}, {"post", LOGOUT_POST}, {NULL, 0}};
static const struct config_word words_grant[] = {{"session", GRANT_SESSION},
						 {"id_token", GRANT_ID_TOKEN},
						 {"resource", GRANT_RESOURCE},
						 {"audience", GRANT_AUDIENCE},
						 {"scope", GRANT_SCOPE},
						 {"exchange", GRANT_EXCHANGE},
						 {"obo", GRANT_OBO},
						 {"client_credentials", GRANT_CLIENT_CREDENTIALS},
						 {NULL, 0}};
static const struct config_word words_session[] = {{"required", SESSION_REQUIRED},
						   {"optional", SESSION_OPTIONAL},
						   {"none", SESSION_NONE},
						   {NULL, 0}};
static const struct config_word words_authorization[] = {
    {"service", AUTHORIZATION_SERVICE}, {"pass", AUTHORIZATION_PASS}, {NULL, 0}};
static const struct config_word words_no_login[] = {
    {"auto", NO_LOGIN_AUTO}, {"redirect", NO_LOGIN_REDIRECT}, {"401", NO_LOGIN_401}, {NULL, 0}};
static const struct config_word words_encoded_slash[] = {{"refuse", 0}, {"allow", 1}, {NULL, 0}};
static const struct config_word words_upgrade[] = {{"none", 0}, {"websocket", 1}, {NULL, 0}};
static const struct config_word words_preflight[] = {{"refuse", 0}, {"pass", 1}, {NULL, 0}};

const struct config_section config_sections[CONFIG_SECTIONS] = {
#define SECTION(id, type, repeats) {#id, CONFIG_##repeats, sizeof(type)},
#define OPT(section, option, kind, member, def, limits, text)
#include "common/config.def"
#undef SECTION
#undef OPT
};

/* offsetof needs the struct's name, which a row of OPT has only through its section. */
#define SECTION(id, type, repeats) typedef type section_##id;
#define OPT(section, option, kind, member, def, limits, text)
#include "common/config.def"
#undef SECTION
#undef OPT

#define REQUIRED NULL
#define RANGE(from, to) .min = (from), .max = (to)
#define LENGTH(n) .max = (n)
#define WORDS(table) .words = words_##table
#define NONE .max = 0
const struct config_option config_options[CONFIG_OPTIONS] = {
#define SECTION(id, type, repeats)
#define OPT(sec, option, kind_, member, def_, limits, text_)                                       \
	{.section = CONFIG_SECTION_##sec,                                                          \
	 .name = #option,                                                                          \
	 .kind = CONFIG_##kind_,                                                                   \
	 .offset = offsetof(section_##sec, member),                                                \
	 .def = def_,                                                                              \
	 .text = text_,                                                                            \
	 limits},
#include "common/config.def"
#undef SECTION
#undef OPT
};

bool config_option_is_list(const struct config_option *o)
{
	return o->kind == CONFIG_MASK || o->kind == CONFIG_LIST || o->kind == CONFIG_HOSTS ||
	       o->kind == CONFIG_ORIGINS || o->kind == CONFIG_CIDRS || o->kind == CONFIG_RULES;
}

const char *config_word_name(const struct config_word *words, int value)
{
	for (; words->name != NULL; words++)
		if (words->value == value)
			return words->name;
	return NULL;
}

bool config_word_value(const struct config_word *words, struct sv name, int *ret)
{
	for (; words->name != NULL; words++)
		if (sv_eq(sv_str(words->name), name)) {
			*ret = words->value;
			return true;
		}
	return false;
}

enum config_require_op config_require_op(enum config_option_id id)
{
	switch ((int)id) {
	case CONFIG_OPT_require_equals:
		return REQUIRE_EQUALS;
	case CONFIG_OPT_require_contains:
		return REQUIRE_CONTAINS;
	case CONFIG_OPT_require_any:
		return REQUIRE_ANY;
	case CONFIG_OPT_require_all:
		return REQUIRE_ALL;
	}
	return REQUIRE_DOMAIN;
}
