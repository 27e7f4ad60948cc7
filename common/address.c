#include "common/address.h"

#include <arpa/inet.h>
#include <assert.h>

static_assert(ADDRESS_TEXT == INET6_ADDRSTRLEN, "room for any address");

static const unsigned char mapped[ADDRESS_V4_AT] = {[10] = 0xff, [11] = 0xff};

enum err address_parse(struct sv s, unsigned char ret[ADDRESS_LEN])
{
	char text[ADDRESS_TEXT];
	unsigned char a[ADDRESS_LEN], four[ADDRESS_LEN - ADDRESS_V4_AT];

	if (s.n == 0 || s.n >= sizeof text || sv_find(s, '\0') < s.n)
		return ERR_SYNTAX;
	memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	if (inet_pton(AF_INET, text, four) == 1)
		address_from_v4(four, a);
	else if (inet_pton(AF_INET6, text, a) != 1)
		return ERR_SYNTAX;
	memcpy(ret, a, ADDRESS_LEN);
	return ERR_OK;
}

void address_from_v4(const void *four, unsigned char ret[ADDRESS_LEN])
{
	memcpy(ret, mapped, sizeof mapped);
	memcpy(ret + ADDRESS_V4_AT, four, ADDRESS_LEN - ADDRESS_V4_AT);
}

bool address_is_v4(const unsigned char a[ADDRESS_LEN])
{
	return memcmp(a, mapped, sizeof mapped) == 0;
}

void address_text(const unsigned char a[ADDRESS_LEN], char out[ADDRESS_TEXT])
{
	bool v4 = address_is_v4(a);

	/* Fails for want of room alone. */
	if (inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? a + ADDRESS_V4_AT : a, out, ADDRESS_TEXT) ==
	    NULL)
		out[0] = '\0';
}
