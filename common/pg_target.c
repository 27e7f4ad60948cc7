#include <stdlib.h>

#include "common/pg_internal.h"

/* Options of one conninfo, and the places in the arrays where a host's own go. The name of a host
 * is resolved by libpq inside PQconnectStartParams, which blocks: a Unix socket, an IP address or
 * hostaddr beside the name does not. */
struct pg_target {
	PQconninfoOption *options; /* owns most values */
	const char **keys, **values;
	size_t n;
	char *host[PG_HOSTS_MAX], *hostaddr[PG_HOSTS_MAX], *port[PG_HOSTS_MAX];
	char *name[PG_HOSTS_MAX];
	size_t nhosts;
	char *user, *application_name;
	size_t at_host, at_hostaddr, at_port, at_password;
};

/* What is ours whatever the conninfo says, and what it may say otherwise. */
static const struct {
	const char *key, *value;
	bool forced;
} DEFAULTS[] = {
    {"target_session_attrs", "read-write", true}, /* never a standby: it lags */
    {"client_encoding", "UTF8", true},
    {"gssencmode", "disable", false}, /* saves a round trip nobody uses */
    {"keepalives_idle", "5", false},
    {"keepalives_interval", "2", false},
    {"keepalives_count", "3", false},
    {"tcp_user_timeout", "3000", false},
};

static const char *option(const struct pg_target *t, const char *key)
{
	for (const PQconninfoOption *o = t->options; o->keyword != NULL; o++)
		if (strcmp(o->keyword, key) == 0)
			return o->val;
	return NULL;
}

/* Splits at commas into at most PG_HOSTS_MAX parts; 0 of an unset list. */
static enum err split(const char *list, char **parts, size_t *ret_n, struct errmsg *e)
{
	size_t n = 0;

	*ret_n = 0;
	while (list != NULL) {
		size_t len = strcspn(list, ",");

		if (n == PG_HOSTS_MAX)
			return errmsg_set(e, ERR_CONFIG, "conninfo: more than %d hosts",
					  PG_HOSTS_MAX);
		parts[n] = strndup(list, len);
		if (parts[n] == NULL)
			return errmsg_set(e, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
		*ret_n = ++n;
		list = list[len] == ',' ? list + len + 1 : NULL;
	}
	return ERR_OK;
}

static enum err split_hosts(struct pg_target *t, struct errmsg *e)
{
	size_t nhost, naddr, nport;
	enum err rc;

	if ((rc = split(option(t, "host"), t->host, &nhost, e)) != ERR_OK ||
	    (rc = split(option(t, "hostaddr"), t->hostaddr, &naddr, e)) != ERR_OK ||
	    (rc = split(option(t, "port"), t->port, &nport, e)) != ERR_OK)
		return rc;
	t->nhosts = nhost > naddr ? nhost : naddr;
	if (t->nhosts == 0)
		t->nhosts = 1;
	if (nhost > 0 && naddr > 0 && nhost != naddr)
		return errmsg_set(e, ERR_CONFIG, "conninfo: %zu hosts, but %zu hostaddr", nhost,
				  naddr);
	if (nport > 1 && nport != t->nhosts)
		return errmsg_set(e, ERR_CONFIG, "conninfo: %zu hosts, but %zu ports", t->nhosts,
				  nport);
	for (size_t i = 0; i < t->nhosts; i++) {
		const char *host = t->host[i] != NULL ? t->host[i] : t->hostaddr[i];
		const char *port = t->port[nport > 1 ? i : 0];

		if (asprintf(&t->name[i], "%s%s%s", host == NULL ? "default" : host,
			     port == NULL ? "" : ":", port == NULL ? "" : port) == -1) {
			t->name[i] = NULL;
			return errmsg_set(e, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
		}
	}
	return ERR_OK;
}

static size_t put(struct pg_target *t, const char *key, const char *value)
{
	t->keys[t->n] = key;
	t->values[t->n] = value;
	return t->n++;
}

static bool is_ours(const char *key)
{
	static const char *const OURS[] = {"host", "hostaddr",	       "port",
					   "user", "application_name", "password"};

	for (size_t i = 0; i < ARRAY_LEN(OURS); i++)
		if (strcmp(key, OURS[i]) == 0)
			return true;
	for (size_t i = 0; i < ARRAY_LEN(DEFAULTS); i++)
		if (DEFAULTS[i].forced && strcmp(key, DEFAULTS[i].key) == 0)
			return true;
	return false;
}

static enum err fill(struct pg_target *t, const struct pg_options *o, struct errmsg *e)
{
	size_t max = 8 + ARRAY_LEN(DEFAULTS);

	for (const PQconninfoOption *x = t->options; x->keyword != NULL; x++)
		max++;
	t->keys = calloc(max, sizeof *t->keys);
	t->values = calloc(max, sizeof *t->values);
	t->user = o->user == NULL ? NULL : strdup(o->user);
	t->application_name = o->application_name == NULL ? NULL : strdup(o->application_name);
	if (t->keys == NULL || t->values == NULL || (o->user != NULL && t->user == NULL) ||
	    (o->application_name != NULL && t->application_name == NULL))
		return errmsg_set(e, ERR_NOMEM, "%s", err_text(ERR_NOMEM));

	for (const PQconninfoOption *x = t->options; x->keyword != NULL; x++)
		if (x->val != NULL && !is_ours(x->keyword))
			(void)put(t, x->keyword, x->val);
	for (size_t i = 0; i < ARRAY_LEN(DEFAULTS); i++)
		if (DEFAULTS[i].forced || option(t, DEFAULTS[i].key) == NULL)
			(void)put(t, DEFAULTS[i].key, DEFAULTS[i].value);
	(void)put(t, "user", t->user != NULL ? t->user : option(t, "user"));
	(void)put(t, "application_name",
		  t->application_name != NULL ? t->application_name
					      : option(t, "application_name"));
	t->at_host = put(t, "host", NULL);
	t->at_hostaddr = put(t, "hostaddr", NULL);
	t->at_port = put(t, "port", NULL);
	t->at_password = put(t, "password", NULL);
	return split_hosts(t, e);
}

enum err pg_target_new(const struct pg_options *o, struct pg_target **ret, struct errmsg *e)
{
	struct pg_target *t = calloc(1, sizeof *t);
	char *wrong = NULL;
	enum err rc;

	if (t == NULL)
		return errmsg_set(e, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
	t->options = PQconninfoParse(o->conninfo, &wrong);
	if (t->options == NULL) {
		rc = wrong == NULL ? errmsg_set(e, ERR_NOMEM, "%s", err_text(ERR_NOMEM))
				   : errmsg_set(e, ERR_CONFIG, "conninfo: %.*s",
						(int)strcspn(wrong, "\n"), wrong);
		PQfreemem(wrong);
	} else {
		rc = fill(t, o, e);
	}
	if (rc != ERR_OK) {
		pg_target_free(&t);
		return rc;
	}
	*ret = t;
	return ERR_OK;
}

void pg_target_free(struct pg_target **t)
{
	struct pg_target *x = *t;

	if (x == NULL)
		return;
	for (size_t i = 0; i < PG_HOSTS_MAX; i++) {
		free(x->host[i]);
		free(x->hostaddr[i]);
		free(x->port[i]);
		free(x->name[i]);
	}
	free(x->keys);
	free(x->values);
	free(x->user);
	free(x->application_name);
	PQconninfoFree(x->options);
	free(x);
	*t = NULL;
}

size_t pg_target_hosts(const struct pg_target *t)
{
	return t->nhosts;
}

const char *pg_target_name(const struct pg_target *t, size_t host)
{
	return t->name[host];
}

PGconn *pg_target_connect(struct pg_target *t, size_t host, const char *password)
{
	PGconn *pq;

	t->values[t->at_host] = t->host[host];
	t->values[t->at_hostaddr] = t->hostaddr[host];
	t->values[t->at_port] = t->port[host] != NULL ? t->port[host] : t->port[0];
	t->values[t->at_password] = password != NULL ? password : option(t, "password");
	pq = PQconnectStartParams(t->keys, t->values, 0);
	t->values[t->at_password] = NULL;
	return pq;
}
