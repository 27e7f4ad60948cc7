#include "worker/login_loop.h"

#include <stdio.h>

#include "worker/cookie.h"

/* "<count>.<second of the first one>" */
static unsigned parse(struct http_fields f, const struct config_origin *origin, int64_t now_s,
		      uint64_t *since)
{
	uint64_t count;
	struct sv value;
	size_t dot;

	if (cookie_find(f, cookie_loop_name(origin), &value) != COOKIE_OK)
		return 0;
	dot = sv_find(value, '.');
	if (sv_u64(sv_cut(value, 0, dot), LOGIN_LOOP_MAX, &count) != ERR_OK ||
	    sv_u64(sv_cut(value, dot + 1, value.n), (uint64_t)now_s, since) != ERR_OK ||
	    now_s - (int64_t)*since > LOGIN_LOOP_WINDOW_S)
		return 0;
	return (unsigned)count;
}

unsigned login_loop_count(struct http_fields f, const struct config_origin *origin, int64_t now_s)
{
	uint64_t since;

	return parse(f, origin, now_s, &since);
}

struct sv login_loop_next(struct http_fields f, const struct config_origin *origin, int64_t now_s,
			  char out[LOGIN_LOOP_VALUE_MAX])
{
	uint64_t since = (uint64_t)now_s;
	unsigned count = parse(f, origin, now_s, &since);
	int n;

	if (count == 0)
		since = (uint64_t)now_s;
	n = snprintf(out, LOGIN_LOOP_VALUE_MAX, "%u.%llu",
		     count < LOGIN_LOOP_MAX ? count + 1 : LOGIN_LOOP_MAX,
		     (unsigned long long)since);
	return n > 0 && n < LOGIN_LOOP_VALUE_MAX ? sv_of(out, (size_t)n) : SV_NONE;
}

const char *login_loop_cause(enum reason why)
{
	static const struct {
		enum reason why;
		const char *cause;
	} causes[] = {
	    {REASON_NO_COOKIE,
	     "Your browser does not send the session cookie back. It may block this site's "
	     "cookies; "
	     "or the site is reached under a name or over plain http that the cookie is not meant "
	     "for; or a proxy in between drops it."},
	    {REASON_TAG,
	     "The session cookie that comes back was not made here. Another installation may use "
	     "the same cookie name under the same domain, or the servers of this one have "
	     "different "
	     "cookie keys."},
	    {REASON_AMBIGUOUS,
	     "Your browser sends two session cookies. Two installations may use the same cookie "
	     "name under the same domain. Deleting this site's cookies helps."},
	    {REASON_UNKNOWN,
	     "The session cookie comes back, but its session is not known. The servers may use "
	     "different databases."},
	    {REASON_OTHER_APP, "The session cookie that comes back is another application's. Two "
			       "applications may use "
			       "the same cookie name under the same domain."},
	    {REASON_CLIENT,
	     "The session was made for another browser or network than your requests come from. A "
	     "network address that changes may be the cause."},
	};

	for (size_t i = 0; i < ARRAY_LEN(causes); i++)
		if (causes[i].why == why)
			return causes[i].cause;
	return NULL;
}
