/* form: a query or a body; what is found is decoded, within its scratch, and there once. */
#include <assert.h>
#include <stdlib.h>

#include "worker/form.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct form_field fields[] = {
	    {.name = SV("state")}, {.name = SV("code")}, {.name = SV("")}};
	struct sv text = sv_of((const char *)data, size);
	char *scratch = malloc(size == 0 ? 1 : size); /* exactly: ASan sees one byte too far */
	enum err e;

	if (scratch == NULL)
		abort();
	e = form_parse(text, fields, ARRAY_LEN(fields), scratch);
	assert(e == ERR_OK || e == ERR_SYNTAX || e == ERR_EXISTS);
	for (size_t i = 0; e == ERR_OK && i < ARRAY_LEN(fields); i++) {
		struct sv v = fields[i].value;

		for (size_t k = 0; k < v.n; k++)
			assert((unsigned char)v.p[k] >= ' ' && v.p[k] != 0x7f);
		assert(v.n == 0 || (v.p >= scratch && v.p + v.n <= scratch + size));
	}
	free(scratch);
	return 0;
}
