#include <stdlib.h>

#include "common/config_build.h"

/* A route at one of its hosts. */
struct place {
	const struct config_route *route;
	struct sv host;
};

/* Apps first: one host may serve two of them, at different ports. Then host and path, so that what
 * is below a path follows it. */
static int same_path(const struct place *a, const struct place *b)
{
	int order = (a->route->app > b->route->app) - (a->route->app < b->route->app);

	if (order == 0)
		order = sv_compare(a->host, b->host);
	if (order == 0)
		order = sv_compare(a->route->path, b->route->path);
	if (order == 0)
		order = a->route->exact - b->route->exact;
	return order;
}

static int by_place(const void *va, const void *vb)
{
	const struct place *a = va, *b = vb;
	int order = same_path(a, b);

	if (order == 0)
		order = (a->route > b->route) - (a->route < b->route);
	return order;
}

/* Without methods a route takes those that have no route of their own. */
static bool methods_overlap(const struct config_list *a, const struct config_list *b)
{
	if (a->n == 0 || b->n == 0)
		return a->n == b->n;
	for (size_t i = 0; i < a->n; i++)
		if (config_list_has(b, a->v[i]))
			return true;
	return false;
}

/* path is below prefix, on whole segments. */
static bool is_deeper(struct sv path, struct sv prefix)
{
	return path.n > prefix.n && sv_starts(path, prefix) &&
	       (prefix.p[prefix.n - 1] == '/' || path.p[prefix.n] == '/');
}

/* The places after i, as far as they matter to it. */
static enum err check_place(const struct config_build *b, const struct place *v, size_t n, size_t i)
{
	const struct config_route *r = v[i].route;

	for (size_t k = i + 1; k < n && v[k].route->app == r->app && sv_eq(v[k].host, v[i].host);
	     k++) {
		const struct config_route *other = v[k].route;
		bool same = sv_eq(other->path, r->path);

		if (same && other->exact == r->exact &&
		    methods_overlap(&other->methods, &r->methods))
			return config_build_error(
			    b, CONFIG_OPT_route_path, (size_t)(other - b->c->routes),
			    "expected host, path and method of its own, route \"" SV_FMT
			    "\" has the same at " SV_FMT,
			    SV_ARG(r->name), SV_ARG(v[i].host));
		if (r->encoded_slash && is_deeper(other->path, r->path))
			return config_build_error(
			    b, CONFIG_OPT_route_encoded_slash, (size_t)(r - b->c->routes),
			    "expected refuse, as route \"" SV_FMT "\" is deeper at " SV_FMT
			    " and an encoded slash could lead past it",
			    SV_ARG(other->name), SV_ARG(v[i].host));
		if (!same && !(r->encoded_slash && sv_starts(other->path, r->path)))
			break;
	}
	return ERR_OK;
}

/* The place of exactly this path at the same host of the same app. */
static bool has_place(const struct place *v, size_t n, const struct place *like, struct sv path,
		      bool exact)
{
	struct config_route route = {.app = like->route->app, .path = path, .exact = exact};
	const struct place key = {&route, like->host};
	size_t low = 0, high = n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		/* The last criterion of by_place() is of no meaning here. */
		if (same_path(&v[mid], &key) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low < n && same_path(&v[low], &key) == 0;
}

/* "/a" is itself and what lies below "/a/". Where an exact "/a" and a "/a/" stand, nothing is left
 * for it, whatever their methods are: the path is chosen first. */
static bool is_shadowed(const struct place *v, size_t n, size_t i)
{
	const struct config_route *r = v[i].route;
	char below[CONFIG_MAX_PATH + 1];

	if (r->exact || r->path.p[r->path.n - 1] == '/' || r->path.n >= sizeof below)
		return false;
	memcpy(below, r->path.p, r->path.n);
	below[r->path.n] = '/';
	return has_place(v, n, &v[i], r->path, true) &&
	       has_place(v, n, &v[i], sv_of(below, r->path.n + 1), false);
}

/* A route that is shadowed at each of its hosts. */
static enum err check_shadows(const struct config_build *b, const struct place *v, size_t n)
{
	const struct config_route *routes = b->c->routes;
	size_t *shadowed = calloc(b->c->nroutes, sizeof *shadowed);
	enum err err = ERR_OK;

	if (shadowed == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < n; i++)
		shadowed[v[i].route - routes] += is_shadowed(v, n, i);
	for (size_t i = 0; err == ERR_OK && i < b->c->nroutes; i++)
		if (shadowed[i] == routes[i].hosts.n)
			err = config_build_error(b, CONFIG_OPT_route_path, i,
						 "expected a path that is left to it: other routes "
						 "have exactly this one, and all that is below it");
	free(shadowed);
	return err;
}

enum err config_check_overlap(const struct config_build *b)
{
	const struct config *c = b->c;
	struct place *v;
	size_t total = 0, n = 0;
	enum err err = ERR_OK;

	for (size_t i = 0; i < c->nroutes; i++) {
		total += c->routes[i].hosts.n;
		if (total > CONFIG_MAX_PLACES)
			return config_build_error(b, CONFIG_OPT_route_hosts, i,
						  "expected at most %d hosts over all routes",
						  CONFIG_MAX_PLACES);
	}
	v = total == 0 ? NULL : calloc(total, sizeof *v);
	if (v == NULL)
		return total == 0 ? ERR_OK : ERR_NOMEM;
	for (size_t i = 0; i < c->nroutes; i++)
		for (size_t k = 0; k < c->routes[i].hosts.n; k++)
			v[n++] = (struct place){&c->routes[i], c->routes[i].hosts.v[k]};
	qsort(v, n, sizeof *v, by_place);
	for (size_t i = 0; err == ERR_OK && i < n; i++)
		err = check_place(b, v, n, i);
	if (err == ERR_OK)
		err = check_shadows(b, v, n);
	free(v);
	return err;
}
