#include "worker/client_prefix.h"

#include <arpa/inet.h>
#include <stdio.h>

static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static struct sv write_v4(const unsigned char *a, char out[CLIENT_PREFIX_MAX])
{
	int n = snprintf(out, CLIENT_PREFIX_MAX, "%u.%u.%u.0/24", a[0], a[1], a[2]);

	return sv_of(out, (size_t)n);
}

struct sv client_prefix(struct sv address, char out[CLIENT_PREFIX_MAX])
{
	char text[INET6_ADDRSTRLEN] = "";
	unsigned char a[16];
	size_t n;

	if (address.n >= sizeof text || sv_find(address, '\0') < address.n)
		return SV("unknown");
	if (address.n > 0)
		memcpy(text, address.p, address.n);
	if (inet_pton(AF_INET, text, a) == 1)
		return write_v4(a, out);
	if (inet_pton(AF_INET6, text, a) != 1)
		return SV("unknown");
	if (memcmp(a, mapped, sizeof mapped) == 0)
		return write_v4(a + 12, out);
	memset(a + 6, 0, sizeof a - 6);
	if (inet_ntop(AF_INET6, a, out, INET6_ADDRSTRLEN) == NULL)
		return SV("unknown");
	n = strlen(out);
	memcpy(out + n, "/48", 3);
	return sv_of(out, n + 3);
}
