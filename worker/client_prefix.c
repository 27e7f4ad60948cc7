#include "worker/client_prefix.h"

#include <stdio.h>

#include "common/address.h"

#define V4_BITS 24
#define V6_BITS 48

struct sv client_prefix(struct sv address, char out[CLIENT_PREFIX_MAX])
{
	unsigned char a[ADDRESS_LEN];
	char text[ADDRESS_TEXT];
	size_t keep;
	bool v4;
	int n;

	if (address_parse(address, a) != ERR_OK)
		return SV("unknown");
	v4 = address_is_v4(a);
	keep = v4 ? ADDRESS_V4_AT + V4_BITS / 8 : V6_BITS / 8;
	memset(a + keep, 0, sizeof a - keep);
	address_text(a, text);
	n = snprintf(out, CLIENT_PREFIX_MAX, "%s/%d", text, v4 ? V4_BITS : V6_BITS);
	return sv_of(out, (size_t)n);
}
