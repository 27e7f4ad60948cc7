/*
 * route - which route a request belongs to
 *
 * Compiled once from a configuration, which must outlive the table. The origin decides the
 * app (an origin belongs to one app); then app and host; then the longest path on whole
 * segments; then the method among the routes of exactly that path: a method that none of them
 * names is refused, never left to a shorter path.
 *
 *	"/api/crm/"	 is "/api/crm/" and all below, not "/api/crm"
 *	"/api/crm"	 is itself and "/api/crm/" and all below, not "/api/crmx"
 *	exact "/a"	 is "/a" alone, and goes before a "/a" that is not exact
 *
 * Paths compare by their meaning (url_decode_path()), case-sensitive. A lookup allocates nothing
 * and costs the same however many routes there are: one pass over the path, as deep as the host's
 * deepest route, and two looks into a hash table for each segment.
 */
#ifndef BFF_ROUTE_H
#define BFF_ROUTE_H

#include "common/config.h"
#include "worker/url.h"

struct route_table;

/* ERR_NOMEM; ERR_CONFIG with FILE:LINE when a route's path is not canonical. That no two routes
 * claim the same, and none lies below one with encoded_slash, is config_check_overlap()'s. */
WARN_UNUSED enum err route_table_new(const struct config *c, struct route_table **ret,
				     struct errmsg *e);
void route_table_free(struct route_table **t);

/* The app one of whose origins this is (as config_origin.text and forwarded.origin are
 * written; its login_origin counts too), and that origin; NULL: an unknown host. */
const struct config_app *route_app(const struct route_table *t, struct sv origin,
				   const struct config_origin **ret_origin);

enum route_outcome {
	ROUTE_OK = 1,
	ROUTE_NO_HOST,	     /* the app has no route on this host */
	ROUTE_NO_PATH,	     /* no route for this path */
	ROUTE_NO_METHOD,     /* the path has routes, none of them for this method */
	ROUTE_ENCODED_SLASH, /* an escaped slash, and the route does not allow it */
};

/* *ret is written for ROUTE_OK, and for ROUTE_ENCODED_SLASH (the route that refuses). The url is
 * an accepted one. */
enum route_outcome route_lookup(const struct route_table *t, const struct config_app *app,
				struct sv host, const struct url *url, struct sv method,
				const struct config_route **ret);

/* The constant word for the log: "no_host", "no_path", "no_method", "encoded_slash", "ok". */
const char *route_outcome_word(enum route_outcome o);

#endif
