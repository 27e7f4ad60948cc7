/* Whom a listener believes: networks, users of a Unix socket, holders of a certificate. */

#include "common/address.h"
#include "common/config_build.h"
#include "common/config_value.h"

struct row {
	enum config_option_id id;
	bool is_set;
};

/* The first that is set, which `why` says has no effect. */
static enum err refuse_set(const struct config_build *b, size_t i, const struct row *rows, size_t n,
			   const char *why)
{
	for (size_t k = 0; k < n; k++)
		if (rows[k].is_set)
			return config_build_error(b, rows[k].id, i, "%s", why);
	return ERR_OK;
}

static enum err check_unix(const struct config_build *b, size_t i)
{
	const struct config_listen *l = &b->c->listens[i];
	const struct row rows[] = {
	    {CONFIG_OPT_listen_trusted_peers, l->ntrusted_peers > 0},
	    {CONFIG_OPT_listen_tls_certificate, l->tls_certificate.n > 0},
	    {CONFIG_OPT_listen_tls_key, l->tls_key.n > 0},
	    {CONFIG_OPT_listen_tls_client_ca, l->tls_client_ca.n > 0},
	    {CONFIG_OPT_listen_tls_client_names, l->tls_client_names.n > 0},
	};

	if (l->kind != LISTEN_METRICS && l->peer_users.n == 0)
		return config_build_error(b, CONFIG_OPT_listen_peer_users, i,
					  "expected the users the edge runs as, as this kind of "
					  "listener believes what it is told");
	if (l->peer_users.n > CONFIG_MAX_PEER_USERS)
		return config_build_error(b, CONFIG_OPT_listen_peer_users, i,
					  "expected at most %d users", CONFIG_MAX_PEER_USERS);
	return refuse_set(b, i, rows, ARRAY_LEN(rows),
			  "expected with an address of the network alone: whom a Unix socket "
			  "believes is said by peer_users");
}

static bool is_ip(struct sv s)
{
	unsigned char addr[ADDRESS_LEN];

	return s.p[0] == '[' || address_parse(s, addr) == ERR_OK;
}

static enum err check_tls(const struct config_build *b, size_t i)
{
	const struct config_listen *l = &b->c->listens[i];

	if (l->tls_certificate.n > 0 && l->tls_key.n == 0)
		return config_build_error(b, CONFIG_OPT_listen_tls_key, i,
					  "expected a file, tls_certificate needs it");
	if (l->tls_certificate.n == 0 && l->tls_key.n > 0)
		return config_build_error(b, CONFIG_OPT_listen_tls_certificate, i,
					  "expected a file, tls_key needs it");
	if (l->tls_certificate.n == 0 && l->tls_client_ca.n > 0)
		return config_build_error(b, CONFIG_OPT_listen_tls_client_ca, i,
					  "expected with tls_certificate alone, it has no effect "
					  "here");
	if (l->tls_client_ca.n == 0 && l->tls_client_names.n > 0)
		return config_build_error(b, CONFIG_OPT_listen_tls_client_names, i,
					  "expected with tls_client_ca alone, it has no effect "
					  "here");
	for (size_t k = 0; k < l->tls_client_names.n; k++)
		if (is_ip(l->tls_client_names.v[k]))
			return config_build_error(b, CONFIG_OPT_listen_tls_client_names, i,
						  "expected DNS names, no addresses");
	return ERR_OK;
}

enum err config_check_listen(const struct config_build *b, size_t i)
{
	const struct config_listen *l = &b->c->listens[i];
	const struct row rows[] = {
	    {CONFIG_OPT_listen_peer_users, l->peer_users.n > 0},
	    {CONFIG_OPT_listen_socket_group, l->socket_group.n > 0},
	};
	enum err err;

	if (config_unix_path(l->address).n > 0)
		return check_unix(b, i);
	err = refuse_set(b, i, rows, ARRAY_LEN(rows),
			 "expected with the address of a Unix socket alone, it has no effect "
			 "here");
	if (err == ERR_OK)
		err = check_tls(b, i);
	if (err == ERR_OK && l->kind != LISTEN_METRICS && l->ntrusted_peers == 0 &&
	    l->tls_client_ca.n == 0)
		err =
		    config_build_error(b, CONFIG_OPT_listen_trusted_peers, i,
				       "expected the edge's addresses (or tls_client_ca), as this "
				       "kind of listener believes what it is told");
	return err;
}
