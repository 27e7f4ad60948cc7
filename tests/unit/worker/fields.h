/* Header fields from text, and an app to judge with: what the tests of the request modules share.
 */
#ifndef BFF_TEST_FIELDS_H
#define BFF_TEST_FIELDS_H

#include "common/config.h"
#include "tests/unit/unit.h"
#include "worker/http_field.h"

#define FIELDS_MAX 64

struct fields_text {
	struct http_field v[FIELDS_MAX];
};

/* "Name: value" lines separated by '\n'; the last one may end with it. Borrows text. */
static inline struct http_fields fields_of(struct fields_text *t, struct sv text)
{
	size_t n = 0;

	while (text.n > 0) {
		size_t end = sv_find(text, '\n');
		struct sv line = sv_cut(text, 0, end);
		size_t colon = sv_find(line, ':');

		assert_true(n < FIELDS_MAX);
		t->v[n].name = sv_cut(line, 0, colon);
		t->v[n++].value = sv_trim(sv_cut(line, colon + 1, line.n));
		text = sv_cut(text, end + 1, text.n);
	}
	return http_fields_of(t->v, n);
}

static const struct config_origin app_origins[] = {
    {SV_INIT("https://portal.example.com"), SV_INIT("https"), SV_INIT("portal.example.com"), 443},
    {SV_INIT("https://desk.example.com:8443"), SV_INIT("https"), SV_INIT("desk.example.com"), 8443},
};

static const struct config_origin app_return_to[] = {
    {SV_INIT("https://partner.example.org"), SV_INIT("https"), SV_INIT("partner.example.org"), 443},
};

static const struct config_app test_app = {
    .name = SV_INIT("company"),
    .origins = {app_origins, ARRAY_LEN(app_origins)},
    .login_origin = {SV_INIT("https://login.example.com"), SV_INIT("https"),
		     SV_INIT("login.example.com"), 443},
    .auth_path = SV_INIT("/auth"),
    .cookie_name = SV_INIT("bff_session"),
    .cookie_domain = SV_INIT("example.com"),
    .same_site = SAME_SITE_LAX,
    .absolute_timeout_ms = 12 * 3600 * 1000,
    .return_to = {app_return_to, ARRAY_LEN(app_return_to)},
};

#endif
