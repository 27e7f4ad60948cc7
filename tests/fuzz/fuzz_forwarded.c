/* forwarded: "Name: value" lines; what is accepted is in its one spelling. */
#include <assert.h>
#include <stdlib.h>

#include "worker/field_rules.h"
#include "worker/forwarded.h"

#define FIELDS 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void judge(enum config_edge edge, struct http_fields f)
{
	static const struct sv names[] = {SV_INIT("X-User-ID"), SV_INIT("X-User-Groups")};
	const struct injected injected = injected_of(names, ARRAY_LEN(names));
	struct forwarded got, again = {.https = false};
	const char *reason = NULL;

	if (forwarded_verify(edge, SV("GET"), SV("/auth/verify/a?b"), f, &injected, &got,
			     &reason) != ERR_OK) {
		assert(reason != NULL);
		return;
	}
	assert(got.method.n > 0 && got.url.path.n > 0 && got.client.n > 0 && got.port > 0);
	assert(field_rules_break(f, &injected) == NULL);
	again.https = got.https;
	assert(forwarded_host(sv_cut(got.origin, got.https ? 8 : 7, got.origin.n), &again) ==
	       ERR_OK);
	assert(sv_eq(again.origin, got.origin) && sv_eq(again.host, got.host));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sv rest = sv_of((const char *)data, size);
	struct http_field v[FIELDS];
	size_t n = 0;

	while (rest.n > 0 && n < FIELDS) {
		size_t end = sv_find(rest, '\n'), colon;
		struct sv line = sv_cut(rest, 0, end);

		colon = sv_find(line, ':');
		v[n++] = (struct http_field){.name = sv_cut(line, 0, colon),
					     .value = sv_trim(sv_cut(line, colon + 1, line.n))};
		rest = sv_cut(rest, end + 1, rest.n);
	}
	for (enum config_edge edge = EDGE_NONE; edge <= EDGE_ENVOY; edge++)
		judge(edge, http_fields_of(v, n));
	return 0;
}
