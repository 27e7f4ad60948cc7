#include "broker/lease.h"

#include "broker/holdoff.h"

enum lease_start lease_judge_start(struct lease *l, const struct lease_row *row,
				   const struct provider_traits *traits)
{
	int64_t grace_left_ms = traits->grace_ms - LEASE_GRACE_MARGIN_MS - row->since_first_ms;

	l->attempts = row->attempts;
	l->grace_until_ms = 0;
	l->last = traits->rotates && row->attempts >= LEASE_ATTEMPTS_MAX;
	/* Not past the end of the grace period, after which it would not be worth much. */
	l->spared = traits->rotates && row->attempts == LEASE_ATTEMPTS_MAX &&
		    (grace_left_ms <= 0 || grace_left_ms > HOLDOFF_SPARE_MS);
	if (!row->live)
		return LEASE_ENDED;
	if (!row->leased)
		return LEASE_LOST;
	if (!traits->rotates || row->attempts <= LEASE_ATTEMPTS_MAX)
		return LEASE_SEND;
	if (grace_left_ms <= 0)
		return LEASE_EXHAUSTED;
	l->grace_until_ms = l->asked_at_ms + grace_left_ms;
	return LEASE_SEND;
}

bool lease_judge_previous(struct lease *l, int64_t superseded_ms, int64_t asked_at_ms,
			  const struct provider_traits *traits)
{
	int64_t left_ms = traits->grace_ms - LEASE_GRACE_MARGIN_MS - superseded_ms;

	l->attempts++;
	l->grace_until_ms = asked_at_ms + left_ms;
	return left_ms > 0;
}

bool lease_may_send(const struct lease *l, int64_t now_ms)
{
	return lease_left_ms(l, now_ms) > TIMEOUT_IDP_MS + LEASE_MARGIN_MS &&
	       (l->grace_until_ms == 0 || now_ms < l->grace_until_ms);
}

int64_t lease_left_ms(const struct lease *l, int64_t now_ms)
{
	int64_t left = l->asked_at_ms + TIMEOUT_LEASE_MS - now_ms;

	return left > 0 ? left : 0;
}

struct lease_verdict lease_judge_reply(const struct token_reply *reply, bool rotates)
{
	switch (reply->outcome) {
	case TOKEN_OK:
		return (struct lease_verdict){LEASE_COMMIT, IPC_ERROR_NONE, LEASE_HOLDOFF_NONE};
	case TOKEN_NOT_SENT:
		return (struct lease_verdict){LEASE_UNUSED, IPC_ERROR_PROVIDER_DOWN,
					      LEASE_HOLDOFF_PROVIDER};
	case TOKEN_UNKNOWN:
		return (struct lease_verdict){rotates ? LEASE_UNKNOWN : LEASE_UNUSED,
					      IPC_ERROR_PROVIDER_DOWN, LEASE_HOLDOFF_PROVIDER};
	case TOKEN_DEAD:
		return (struct lease_verdict){LEASE_END_GRANT, IPC_ERROR_REAUTHENTICATE,
					      LEASE_HOLDOFF_NONE};
	case TOKEN_MISCONFIGURED:
		/* With a successor it was no refusal, and says nothing about other grants. */
		if (reply->refresh_token.n > 0)
			return (struct lease_verdict){LEASE_COMMIT, IPC_ERROR_UPSTREAM,
						      LEASE_HOLDOFF_GRANT};
		return (struct lease_verdict){rotates ? LEASE_SUSPECT : LEASE_UNUSED,
					      IPC_ERROR_UPSTREAM, LEASE_HOLDOFF_SERVICE};
	case TOKEN_INTERACTION:
		return (struct lease_verdict){LEASE_UNUSED, IPC_ERROR_REAUTHENTICATE,
					      LEASE_HOLDOFF_GRANT};
	case TOKEN_CLIENT_BROKEN:
		return (struct lease_verdict){LEASE_UNUSED, IPC_ERROR_UPSTREAM,
					      LEASE_HOLDOFF_PROVIDER};
	case TOKEN_THROTTLED:
		return (struct lease_verdict){LEASE_UNUSED, IPC_ERROR_PROVIDER_DOWN,
					      LEASE_HOLDOFF_THROTTLE};
	case TOKEN_TOO_OFTEN:
		return (struct lease_verdict){LEASE_UNUSED, IPC_ERROR_PROVIDER_DOWN,
					      LEASE_HOLDOFF_GRANT};
	}
	/* No such outcome: treat the token as sent. */
	return (struct lease_verdict){LEASE_UNKNOWN, IPC_ERROR_INTERNAL, LEASE_HOLDOFF_PROVIDER};
}

struct sv lease_fate_word(enum lease_next next)
{
	switch (next) {
	case LEASE_UNUSED:
		return SV("unused");
	case LEASE_SUSPECT:
		return SV("suspect");
	case LEASE_COMMIT:
	case LEASE_UNKNOWN:
	case LEASE_END_GRANT:
		break;
	}
	return SV("unknown");
}
