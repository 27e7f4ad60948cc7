/* return_to: whatever is wished for, the result stays on an origin of the app. */
#include <assert.h>
#include <stdlib.h>

#include "worker/return_to.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct config_origin origins[] = {
	    {SV_INIT("https://a.example"), SV_INIT("https"), SV_INIT("a.example"), 443},
	    {SV_INIT("https://b.example:8443"), SV_INIT("https"), SV_INIT("b.example"), 8443}};
	static const struct config_app app = {.origins = {origins, 2}};
	struct sv got;
	struct buf b;
	bool taken;

	buf_init(&b, RETURN_TO_MAX + 300);
	taken = return_to_judge(&app, &origins[1], sv_of((const char *)data, size), &b);
	assert(buf_ok(&b));
	got = buf_sv(&b);
	assert(sv_starts(got, SV("https://a.example/")) ||
	       sv_starts(got, SV("https://b.example:8443/")));
	assert(taken || sv_eq(got, SV("https://b.example:8443/")));
	for (size_t i = 0; i < got.n; i++)
		assert(got.p[i] > ' ' && got.p[i] < 0x7f && got.p[i] != '\\');
	buf_done(&b);
	return 0;
}
