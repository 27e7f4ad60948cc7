#include "worker/listeners.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

struct listener {
	struct tls *tls;
	uid_t uids[CONFIG_MAX_PEER_USERS];
	size_t nuids;
};

struct listeners {
	const struct config_listen *first;
	size_t n;
	struct listener v[];
};

static enum err find_user(struct sv name, uid_t *ret)
{
	const struct passwd *pw;
	uint64_t number;

	if (sv_u64(name, UINT32_MAX - 1, &number) == ERR_OK) {
		*ret = (uid_t)number;
		return ERR_OK;
	}
	pw = getpwnam(name.p);
	if (pw == NULL)
		return ERR_NOT_FOUND;
	*ret = pw->pw_uid;
	return ERR_OK;
}

static enum err find_users(struct listener *l, const struct config_listen *listen, struct errmsg *e)
{
	for (size_t i = 0; i < listen->peer_users.n; i++) {
		struct sv name = listen->peer_users.v[i];
		const char *why = "there is no such user";

		if (find_user(name, &l->uids[i]) == ERR_OK)
			why = l->uids[i] == LISTENERS_NOBODY
				  ? "every user of another user namespace looks like that one"
				  : NULL;
		if (why != NULL)
			return errmsg_set(e, ERR_CONFIG,
					  "%s:%u: listen " SV_FMT ": peer_users: " SV_FMT ": %s",
					  listen->place.file, listen->place.line,
					  SV_ARG(listen->name), SV_ARG(name), why);
		l->nuids++;
	}
	return ERR_OK;
}

enum err listeners_new(const struct config *c, struct listeners **ret, struct errmsg *e)
{
	struct listeners *l = calloc(1, sizeof *l + c->nlistens * sizeof l->v[0]);
	enum err rc = ERR_OK;

	if (l == NULL)
		return errmsg_set(e, ERR_NOMEM, "listeners: out of memory");
	l->first = c->listens;
	l->n = c->nlistens;
	for (size_t i = 0; rc == ERR_OK && i < l->n; i++) {
		rc = find_users(&l->v[i], &c->listens[i], e);
		if (rc == ERR_OK && c->listens[i].tls_certificate.n > 0)
			rc = tls_new(&c->listens[i], c->broker.secret_files, &l->v[i].tls, e);
	}
	if (rc != ERR_OK)
		listeners_free(&l);
	else
		*ret = l;
	return rc;
}

void listeners_free(struct listeners **p)
{
	struct listeners *l = *p;

	if (l == NULL)
		return;
	for (size_t i = 0; i < l->n; i++)
		tls_free(&l->v[i].tls);
	free(l);
	*p = NULL;
}

struct tls *listeners_tls(const struct listeners *l, const struct config_listen *listen)
{
	return l == NULL ? NULL : l->v[listen - l->first].tls;
}

bool listeners_trust(const struct listeners *l, const struct config_listen *listen,
		     const unsigned char peer[PEER_LEN])
{
	uid_t uid;

	if (listen->kind == LISTEN_METRICS && listen->ntrusted_peers == 0 &&
	    listen->peer_users.n == 0)
		return true;
	if (peer_is_user(peer, &uid)) {
		const struct listener *at = l == NULL ? NULL : &l->v[listen - l->first];

		for (size_t i = 0; at != NULL && i < at->nuids; i++)
			if (at->uids[i] == uid)
				return true;
		return false;
	}
	for (size_t i = 0; i < listen->ntrusted_peers; i++)
		if (peer_is_within(peer, &listen->trusted_peers[i]))
			return true;
	return listen->ntrusted_peers == 0 && listen->tls_client_ca.n > 0;
}
