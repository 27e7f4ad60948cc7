#include "worker/route.h"

#include <stdlib.h>

/* One route on one host. */
struct entry {
	const struct config_app *app;
	struct sv host;
	struct sv path; /* decoded; in route_table.paths */
	const struct config_route *route;
};

/* The entries of one app on one host, which stand together. */
struct host {
	const struct config_app *app;
	struct sv name;
	const struct entry *v;
	size_t n;
	size_t deepest; /* bytes of the longest path */
};

struct origin {
	const struct config_app *app;
	const struct config_origin *origin;
};

struct route_table {
	struct entry *entries;
	size_t nentries;
	struct host *hosts;
	size_t nhosts;
	struct origin *origins;
	size_t norigins;
	char *paths;
};

static int compare_sv(struct sv a, struct sv b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int d = n == 0 ? 0 : memcmp(a.p, b.p, n);

	return d != 0 ? d : (a.n > b.n) - (a.n < b.n);
}

static int compare_host(const struct config_app *app_a, struct sv a, const struct config_app *app_b,
			struct sv b)
{
	int d = (app_a > app_b) - (app_a < app_b); /* of one array */

	return d != 0 ? d : compare_sv(a, b);
}

static int compare_path(struct sv a, bool exact_a, struct sv b, bool exact_b)
{
	int d = compare_sv(a, b);

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

	return compare_sv(a->origin->text, b->origin->text);
}

static bool names_method(const struct config_route *r, struct sv method)
{
	for (size_t i = 0; i < r->methods.n; i++)
		if (sv_eq(r->methods.v[i], method))
			return true;
	return false;
}

static bool methods_clash(const struct config_route *a, const struct config_route *b)
{
	if (a->methods.n == 0 || b->methods.n == 0)
		return a->methods.n == b->methods.n;
	for (size_t i = 0; i < a->methods.n; i++)
		if (names_method(b, a->methods.v[i]))
			return true;
	return false;
}

static enum err refuse(const struct config_route *r, const struct config_route *other,
		       const char *why, struct errmsg *e)
{
	return errmsg_set(e, ERR_CONFIG, "%s:%u: route \"" SV_FMT "\": %s (route \"" SV_FMT "\")",
			  r->place.file, r->place.line, SV_ARG(r->name), why, SV_ARG(other->name));
}

/* Is `path` below `top`, on whole segments? */
static bool is_below(struct sv path, struct sv top)
{
	return sv_starts(path, top) && path.n > top.n &&
	       (top.p[top.n - 1] == '/' || path.p[top.n] == '/');
}

/* The entries after number i of its host, as far as they can have to do with it. */
static enum err check_entry(const struct host *h, size_t i, struct errmsg *e)
{
	const struct entry *a = &h->v[i];

	for (size_t j = i + 1; j < h->n && sv_starts(h->v[j].path, a->path); j++) {
		const struct entry *b = &h->v[j];

		if (sv_eq(a->path, b->path) && a->route->exact == b->route->exact &&
		    methods_clash(a->route, b->route))
			return refuse(b->route, a->route,
				      "host, path and method belong to another route already", e);
		if (a->route->encoded_slash && !a->route->exact && is_below(b->path, a->path))
			return refuse(b->route, a->route,
				      "lies below a route with encoded_slash = allow", e);
		/* Without either question the walk would be quadratic for a route at "/". */
		if (!a->route->encoded_slash && !sv_eq(a->path, b->path))
			break;
	}
	return ERR_OK;
}

static enum err group_hosts(struct route_table *t, struct errmsg *e)
{
	for (size_t i = 0; i < t->nentries; i++) {
		struct entry *x = &t->entries[i];
		struct host *h = t->nhosts == 0 ? NULL : &t->hosts[t->nhosts - 1];

		if (h == NULL || compare_host(h->app, h->name, x->app, x->host) != 0) {
			h = &t->hosts[t->nhosts++];
			*h = (struct host){.app = x->app, .name = x->host, .v = x};
		}
		h->n++;
		if (x->path.n > h->deepest)
			h->deepest = x->path.n;
	}
	for (size_t i = 0; i < t->nhosts; i++) {
		for (size_t j = 0; j < t->hosts[i].n; j++) {
			enum err got = check_entry(&t->hosts[i], j, e);

			if (got != ERR_OK)
				return got;
		}
	}
	return ERR_OK;
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
	t->hosts = calloc(entries, sizeof *t->hosts);
	t->origins = calloc(origins, sizeof *t->origins);
	t->paths = malloc(bytes);
	if (t->entries == NULL || t->hosts == NULL || t->origins == NULL || t->paths == NULL)
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
		got = group_hosts(t, e);
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
		free((*t)->hosts);
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
		int d = compare_sv(origin, t->origins[mid].origin->text);

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

static const struct host *find_host(const struct route_table *t, const struct config_app *app,
				    struct sv name)
{
	size_t low = 0, high = t->nhosts;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		const struct host *h = &t->hosts[mid];
		int d = compare_host(app, name, h->app, h->name);

		if (d == 0)
			return h;
		if (d < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return NULL;
}

/* The first entry of exactly this path; NULL: none. Those of the same path follow it. */
static const struct entry *find_path(const struct host *h, struct sv path, bool exact)
{
	size_t low = 0, high = h->n;

	if (path.n > h->deepest)
		return NULL;
	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (compare_path(h->v[mid].path, h->v[mid].route->exact, path, exact) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low < h->n && h->v[low].route->exact == exact && sv_eq(h->v[low].path, path)
		   ? &h->v[low]
		   : NULL;
}

/* The routes of the longest path that the request's is or lies below. */
static const struct entry *find_longest(const struct host *h, struct sv path)
{
	const struct entry *x = find_path(h, path, true);

	if (x == NULL)
		x = find_path(h, path, false);
	for (size_t i = path.n; x == NULL && i-- > 0;) {
		if (path.p[i] != '/')
			continue;
		x = find_path(h, sv_cut(path, 0, i + 1), false);
		if (x == NULL && i > 0)
			x = find_path(h, sv_cut(path, 0, i), false);
	}
	return x;
}

/* Among the routes of one path: the one that names the method, else the one that names none. */
static const struct config_route *choose(const struct host *h, const struct entry *first,
					 struct sv method)
{
	const struct config_route *any = NULL;

	for (const struct entry *x = first; x < h->v + h->n; x++) {
		if (x->route->exact != first->route->exact || !sv_eq(x->path, first->path))
			break;
		if (names_method(x->route, method))
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
	const struct host *h = find_host(t, app, host);
	const struct config_route *route;
	const struct entry *first;
	char decoded[URL_TARGET_MAX];

	if (h == NULL)
		return ROUTE_NO_HOST;
	if (url->path.n > sizeof decoded)
		return ROUTE_NO_PATH;
	first = find_longest(h, url_decode_path(url->path, decoded));
	if (first == NULL)
		return ROUTE_NO_PATH;
	route = choose(h, first, method);
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
