#include "worker/route.h"

#include <stdlib.h>

/* One route on one host. */
struct entry {
	const struct config_app *app;
	struct sv host;
	struct sv path; /* decoded; in route_table.paths */
	const struct config_route *route;
};

/* The entries of one path at one host, which stand together: what a lookup finds by its hash. With
 * an empty path: the host itself. */
struct group {
	uint64_t hash;
	const struct config_app *app;
	struct sv host, path;
	bool exact;
	const struct entry *v;
	size_t n;
	size_t deepest; /* of a host: bytes of its longest path */
};

struct origin {
	const struct config_app *app;
	const struct config_origin *origin;
};

struct route_table {
	struct entry *entries;
	size_t nentries;
	struct group *groups;
	size_t ngroups;
	uint32_t
	    *slots;    /* numbers of groups, from 1; 0: free. Open addressing, at most half full */
	size_t nslots; /* a power of two */
	struct origin *origins;
	size_t norigins;
	char *paths;
};

/* Byte by byte, so that one pass over a path gives the hash of each of its prefixes. The keys are
 * the configuration's, so nobody can choose them to collide. */
static uint64_t hash_byte(uint64_t h, char c)
{
	return sv_hash(h, sv_of(&c, 1));
}

/* Eight bytes at a time, by an odd number: of a host nobody asks for prefixes. */
static uint64_t hash_host(const struct config_app *app, struct sv host)
{
	uint64_t h = SV_HASH_START ^ (uintptr_t)app;

	for (size_t i = 0; i < host.n; i += sizeof h) {
		h = (h ^ sv_load64(host.p + i, host.n - i)) * SV_HASH_START;
		h ^= h >> 32;
	}
	return h;
}

/* The low bits of FNV-1a choose the slot, and hang together for keys that differ in their last
 * bytes alone. */
static size_t slot_of(const struct route_table *t, uint64_t h)
{
	return (size_t)(h ^ h >> 29) & (t->nslots - 1);
}

static int compare_host(const struct config_app *app_a, struct sv a, const struct config_app *app_b,
			struct sv b)
{
	int d = (app_a > app_b) - (app_a < app_b); /* of one array */

	return d != 0 ? d : sv_compare(a, b);
}

static int compare_path(struct sv a, bool exact_a, struct sv b, bool exact_b)
{
	int d = sv_compare(a, b);

	return d != 0 ? d : (int)exact_a - (int)exact_b;
}

static int compare_entries(const void *pa, const void *pb)
{
	const struct entry *a = pa, *b = pb;
	int d = compare_host(a->app, a->host, b->app, b->host);

	if (d == 0)
		d = compare_path(a->path, a->route->exact, b->path, b->route->exact);
	return d != 0 ? d : (a->route > b->route) - (a->route < b->route);
}

static int compare_origins(const void *pa, const void *pb)
{
	const struct origin *a = pa, *b = pb;

	return sv_compare(a->origin->text, b->origin->text);
}

static struct group *add_group(struct route_table *t, struct group g)
{
	size_t at;

	g.hash = hash_host(g.app, g.host);
	for (size_t i = 0; i < g.path.n; i++)
		g.hash = hash_byte(g.hash, g.path.p[i]);
	t->groups[t->ngroups++] = g;
	for (at = slot_of(t, g.hash); t->slots[at] != 0;)
		at = (at + 1) & (t->nslots - 1);
	t->slots[at] = (uint32_t)t->ngroups;
	return &t->groups[t->ngroups - 1];
}

/* Of the sorted entries. */
static void group_entries(struct route_table *t)
{
	struct group *host = NULL, *path = NULL;

	for (size_t i = 0; i < t->nentries; i++) {
		const struct entry *x = &t->entries[i];
		struct group g = {.app = x->app, .host = x->host};

		if (host == NULL || compare_host(host->app, host->host, x->app, x->host) != 0) {
			host = add_group(t, g);
			path = NULL;
		}
		if (x->path.n > host->deepest)
			host->deepest = x->path.n;
		if (path == NULL ||
		    compare_path(path->path, path->exact, x->path, x->route->exact)) {
			g.path = x->path;
			g.exact = x->route->exact;
			g.v = x;
			path = add_group(t, g);
		}
		path->n++;
	}
}

static enum err add_route(struct route_table *t, const struct config_route *r, char **at,
			  struct errmsg *e)
{
	const char *reason;
	struct url url;
	struct sv path;

	if (url_parse(r->path, &url, &reason) != ERR_OK || url.query.p != NULL || url.encoded_slash)
		return errmsg_set(
		    e, ERR_CONFIG,
		    "%s:%u: path: expected a canonical path without query, got \"" SV_FMT "\"",
		    r->place.file, r->place.line, SV_ARG(r->path));
	path = url_decode_path(r->path, *at);
	*at += path.n;
	for (size_t i = 0; i < r->hosts.n; i++)
		t->entries[t->nentries++] = (struct entry){r->app, r->hosts.v[i], path, r};
	return ERR_OK;
}

static void add_origins(struct route_table *t, const struct config *c)
{
	for (size_t i = 0; i < c->napps; i++) {
		const struct config_app *app = &c->apps[i];

		for (size_t j = 0; j < app->origins.n; j++)
			t->origins[t->norigins++] = (struct origin){app, &app->origins.v[j]};
		if (app->login_origin.text.n > 0)
			t->origins[t->norigins++] = (struct origin){app, &app->login_origin};
	}
	qsort(t->origins, t->norigins, sizeof *t->origins, compare_origins);
}

static enum err allocate(struct route_table *t, const struct config *c)
{
	size_t entries = 1, bytes = 1, origins = 1; /* calloc(0) may be NULL */

	for (size_t i = 0; i < c->nroutes; i++) {
		entries += c->routes[i].hosts.n;
		bytes += c->routes[i].path.n;
	}
	for (size_t i = 0; i < c->napps; i++)
		origins += c->apps[i].origins.n + 1;
	t->entries = calloc(entries, sizeof *t->entries);
	for (t->nslots = 2; t->nslots < 4 * entries;)
		t->nslots *= 2;
	t->groups = calloc(2 * entries, sizeof *t->groups); /* a host and a path each, at most */
	t->slots = calloc(t->nslots, sizeof *t->slots);
	t->origins = calloc(origins, sizeof *t->origins);
	t->paths = malloc(bytes);
	if (t->entries == NULL || t->groups == NULL || t->slots == NULL || t->origins == NULL ||
	    t->paths == NULL)
		return ERR_NOMEM;
	return ERR_OK;
}

enum err route_table_new(const struct config *c, struct route_table **ret, struct errmsg *e)
{
	struct route_table *t = calloc(1, sizeof *t);
	enum err got = ERR_OK;
	char *at;

	if (t == NULL || allocate(t, c) != ERR_OK) {
		route_table_free(&t);
		return errmsg_set(e, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
	}
	at = t->paths;
	add_origins(t, c);
	for (size_t i = 0; got == ERR_OK && i < c->nroutes; i++)
		got = add_route(t, &c->routes[i], &at, e);
	if (got == ERR_OK) {
		qsort(t->entries, t->nentries, sizeof *t->entries, compare_entries);
		group_entries(t);
	}
	if (got != ERR_OK) {
		route_table_free(&t);
		return got;
	}
	*ret = t;
	return ERR_OK;
}

void route_table_free(struct route_table **t)
{
	if (*t != NULL) {
		free((*t)->entries);
		free((*t)->groups);
		free((*t)->slots);
		free((*t)->origins);
		free((*t)->paths);
	}
	free(*t);
	*t = NULL;
}

const struct config_app *route_app(const struct route_table *t, struct sv origin,
				   const struct config_origin **ret_origin)
{
	size_t low = 0, high = t->norigins;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int d = sv_compare(origin, t->origins[mid].origin->text);

		if (d == 0) {
			*ret_origin = t->origins[mid].origin;
			return t->origins[mid].app;
		}
		if (d < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return NULL;
}

static const struct group *find(const struct route_table *t, uint64_t hash, const struct group *key)
{
	for (size_t at = slot_of(t, hash); t->slots[at] != 0; at = (at + 1) & (t->nslots - 1)) {
		const struct group *g = &t->groups[t->slots[at] - 1];

		if (g->hash == hash && g->exact == key->exact && g->app == key->app &&
		    sv_eq(g->path, key->path) && sv_eq(g->host, key->host))
			return g;
	}
	return NULL;
}

/* The routes of the longest path that the request's is or lies below: one pass, and a look at each
 * end of a segment, with its slash and without. */
static const struct group *find_longest(const struct route_table *t, const struct group *host,
					struct sv path)
{
	struct group key = {.app = host->app, .host = host->host};
	const struct group *longest = NULL, *found;
	uint64_t hash = host->hash;
	size_t i;

	for (i = 0; i < path.n && i < host->deepest; i++) {
		bool slash = path.p[i] == '/';

		key.path = sv_cut(path, 0, i);
		if (slash && i > 0 && (found = find(t, hash, &key)) != NULL)
			longest = found;
		hash = hash_byte(hash, path.p[i]);
		key.path = sv_cut(path, 0, i + 1);
		if (slash && (found = find(t, hash, &key)) != NULL)
			longest = found;
	}
	key.path = sv_cut(path, 0, i);
	if ((i == path.n || path.p[i] == '/') && (found = find(t, hash, &key)) != NULL)
		longest = found;
	key.exact = true;
	if (i == path.n && (found = find(t, hash, &key)) != NULL)
		longest = found;
	return longest;
}

/* Among the routes of one path: the one that names the method, else the one that names none. */
static const struct config_route *choose(const struct group *g, struct sv method)
{
	const struct config_route *any = NULL;

	for (const struct entry *x = g->v; x < g->v + g->n; x++) {
		if (config_list_has(&x->route->methods, method))
			return x->route;
		if (x->route->methods.n == 0)
			any = x->route;
	}
	return any;
}

enum route_outcome route_lookup(const struct route_table *t, const struct config_app *app,
				struct sv host, const struct url *url, struct sv method,
				const struct config_route **ret)
{
	const struct group key = {.app = app, .host = host};
	const struct group *h = find(t, hash_host(app, host), &key), *g;
	const struct config_route *route;
	char decoded[URL_TARGET_MAX];

	if (h == NULL)
		return ROUTE_NO_HOST;
	if (url->path.n > sizeof decoded)
		return ROUTE_NO_PATH;
	g = find_longest(t, h, url_decode_path(url->path, decoded));
	if (g == NULL)
		return ROUTE_NO_PATH;
	route = choose(g, method);
	if (route == NULL)
		return ROUTE_NO_METHOD;
	*ret = route;
	return url->encoded_slash && !route->encoded_slash ? ROUTE_ENCODED_SLASH : ROUTE_OK;
}

const char *route_outcome_word(enum route_outcome o)
{
	switch (o) {
	case ROUTE_OK:
		return "ok";
	case ROUTE_NO_HOST:
		return "no_host";
	case ROUTE_NO_PATH:
		return "no_path";
	case ROUTE_NO_METHOD:
		return "no_method";
	case ROUTE_ENCODED_SLASH:
		return "encoded_slash";
	}
	return "unknown";
}
