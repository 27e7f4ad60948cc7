#include "broker/lease.h"

enum lease_start lease_judge_start(const struct lease_row *row, bool rotates)
{
	if (!row->live)
		return LEASE_ENDED;
	if (!row->leased)
		return LEASE_LOST;
	if (rotates && row->attempts > LEASE_ATTEMPTS_MAX)
		return LEASE_EXHAUSTED;
	return LEASE_SEND;
}

bool lease_may_send(const struct lease *l, int64_t now_ms)
{
	return lease_left_ms(l, now_ms) > TIMEOUT_IDP_MS + LEASE_MARGIN_MS;
}

int64_t lease_left_ms(const struct lease *l, int64_t now_ms)
{
	int64_t left = l->asked_at_ms + TIMEOUT_LEASE_MS - now_ms;

	return left > 0 ? left : 0;
}

struct lease_verdict lease_judge_outcome(enum token_outcome outcome, int64_t attempts, bool rotates)
{
	switch (outcome) {
	case TOKEN_OK:
		return (struct lease_verdict){LEASE_COMMIT, IPC_ERROR_NONE, LEASE_HOLDOFF_NONE};
	case TOKEN_NOT_SENT:
		return (struct lease_verdict){LEASE_GIVE_BACK, IPC_ERROR_PROVIDER_DOWN,
					      LEASE_HOLDOFF_PROVIDER};
	case TOKEN_UNKNOWN:
		if (!rotates)
			return (struct lease_verdict){LEASE_GIVE_BACK, IPC_ERROR_PROVIDER_DOWN,
						      LEASE_HOLDOFF_PROVIDER};
		if (attempts >= LEASE_ATTEMPTS_MAX)
			return (struct lease_verdict){LEASE_END_GRANT, IPC_ERROR_REAUTHENTICATE,
						      LEASE_HOLDOFF_PROVIDER};
		return (struct lease_verdict){LEASE_GIVE_UP, IPC_ERROR_PROVIDER_DOWN,
					      LEASE_HOLDOFF_PROVIDER};
	case TOKEN_DEAD:
		return (struct lease_verdict){LEASE_END_GRANT, IPC_ERROR_REAUTHENTICATE,
					      LEASE_HOLDOFF_NONE};
	case TOKEN_MISCONFIGURED:
		return (struct lease_verdict){LEASE_GIVE_UP, IPC_ERROR_UPSTREAM,
					      LEASE_HOLDOFF_SERVICE};
	case TOKEN_INTERACTION:
		return (struct lease_verdict){LEASE_GIVE_BACK, IPC_ERROR_REAUTHENTICATE,
					      LEASE_HOLDOFF_NONE};
	case TOKEN_CLIENT_BROKEN:
		return (struct lease_verdict){LEASE_GIVE_BACK, IPC_ERROR_UPSTREAM,
					      LEASE_HOLDOFF_PROVIDER};
	case TOKEN_THROTTLED:
		return (struct lease_verdict){LEASE_GIVE_BACK, IPC_ERROR_PROVIDER_DOWN,
					      LEASE_HOLDOFF_THROTTLE};
	}
	/* No such outcome: treat the token as sent. */
	return (struct lease_verdict){LEASE_GIVE_UP, IPC_ERROR_INTERNAL, LEASE_HOLDOFF_PROVIDER};
}
