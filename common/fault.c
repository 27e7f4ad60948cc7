#include "common/fault.h"

#ifdef BFF_FAULT_POINTS

#include <signal.h>
#include <stdlib.h>

void fault_point(const char *name)
{
	static uint64_t passages; /* of the one point that is set: test builds alone have it */
	const char *setting = getenv("BFF_FAULT");
	struct sv rest = sv_str(setting == NULL ? "" : setting), point, what;
	size_t end = sv_find(rest, ':');
	uint64_t nth = 1;

	point = sv_cut(rest, 0, end);
	if (!sv_eq(point, sv_str(name)))
		return;
	rest = sv_cut(rest, end + 1, rest.n);
	end = sv_find(rest, ':');
	what = sv_cut(rest, 0, end);
	if (end < rest.n && sv_u64(sv_cut(rest, end + 1, rest.n), UINT32_MAX, &nth) != ERR_OK)
		abort();
	if (++passages != nth)
		return;
	if (sv_eq(what, SV("kill")))
		(void)raise(SIGKILL); /* cannot fail: it is our own process */
	else if (sv_eq(what, SV("stop")))
		(void)raise(SIGSTOP);
	else
		abort();
}

#endif
