#include "worker/peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "common/ipc_listen.h"

static const unsigned char user[12] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
				       0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

enum err peer_of(int fd, const struct sockaddr_storage *from, unsigned char out[PEER_LEN])
{
	uint32_t number;
	uid_t uid;

	if (from->ss_family == AF_INET6) {
		memcpy(out, &((const struct sockaddr_in6 *)from)->sin6_addr, PEER_LEN);
		return ERR_OK;
	}
	if (from->ss_family == AF_INET) {
		address_from_v4(&((const struct sockaddr_in *)from)->sin_addr, out);
		return ERR_OK;
	}
	if (from->ss_family != AF_UNIX || ipc_peer_uid(fd, &uid) != ERR_OK)
		return ERR_IO;
	number = htonl((uint32_t)uid);
	memcpy(out, user, sizeof user);
	memcpy(out + sizeof user, &number, sizeof number);
	return ERR_OK;
}

bool peer_is_user(const unsigned char peer[PEER_LEN], uid_t *ret)
{
	uint32_t number;

	if (memcmp(peer, user, sizeof user) != 0)
		return false;
	memcpy(&number, peer + sizeof user, sizeof number);
	*ret = ntohl(number);
	return true;
}

bool peer_is_within(const unsigned char peer[PEER_LEN], const struct config_cidr *c)
{
	unsigned whole = c->bits / 8, rest = c->bits % 8;

	if (memcmp(peer, c->addr, whole) != 0)
		return false;
	return rest == 0 || ((peer[whole] ^ c->addr[whole]) & (0xff << (8 - rest)) & 0xff) == 0;
}

void peer_text(const unsigned char peer[PEER_LEN], char out[PEER_TEXT])
{
	uid_t uid;

	if (peer_is_user(peer, &uid))
		(void)snprintf(out, PEER_TEXT, "user %u", (unsigned)uid);
	else
		address_text(peer, out);
}
