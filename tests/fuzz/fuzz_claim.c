/* claim: what it takes json-c takes too, with the same value under every name and path. */
#include "tests/unit/worker/claim_reference.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sv text = sv_of((const char *)data, size);
	struct claims c;

	if (size > CLAIM_JSON_MAX || memmem(data, size, "\\u0000", 6) != NULL) {
		/* Not to be compared: json-c ends a name there. */
		if (claims_parse(text, &c))
			claims_done(&c);
		return 0;
	}
	(void)reference_compare(text);
	return 0;
}
