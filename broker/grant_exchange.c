#include "broker/grant_exchange.h"

#include "broker/grant.h"
#include "broker/http_client.h"
#include "broker/token_reply.h"
#include "common/log.h"

bool exchange_judge(const struct token_reply *reply, enum exchange_subject subject,
		    struct lease_verdict *ret)
{
	static const struct lease_verdict refused = {LEASE_UNUSED, IPC_ERROR_UPSTREAM,
						     LEASE_HOLDOFF_GRANT},
					  mapping = {LEASE_UNUSED, IPC_ERROR_UPSTREAM,
						     LEASE_HOLDOFF_SERVICE};

	switch (reply->outcome) {
	case TOKEN_DEAD:
		*ret = refused;
		return subject == EXCHANGE_SUBJECT_FOUND;
	case TOKEN_CLIENT_BROKEN: /* unauthorized_client: for this grant type, not for refreshes */
	case TOKEN_MISCONFIGURED:
		*ret = mapping;
		return false;
	case TOKEN_OK:
	case TOKEN_NOT_SENT:
	case TOKEN_UNKNOWN:
	case TOKEN_INTERACTION:
	case TOKEN_THROTTLED:
	case TOKEN_TOO_OFTEN:
		break;
	}
	*ret = lease_judge_reply(reply, false);
	return false;
}

static void on_reply(void *arg, enum err e, const struct token_reply *reply)
{
	static const struct token_reply not_sent = {.outcome = TOKEN_NOT_SENT,
						    .detail = "no_metadata"};
	struct grant_job *j = arg;
	bool renew;

	if (e == ERR_CANCELED) {
		grant_job_fail(j, IPC_ERROR_PROVIDER_DOWN, "stopping", 1);
		return;
	}
	if (e != ERR_OK)
		reply = &not_sent;
	renew = exchange_judge(reply,
			       j->subject_age == SUBJECT_RENEWED ? EXCHANGE_SUBJECT_RENEWED
								 : EXCHANGE_SUBJECT_FOUND,
			       &j->verdict);
	j->detail = reply->detail;
	j->retry_after_s = reply->retry_after_s;
	if (j->verdict.answer == IPC_ERROR_PROVIDER_DOWN && j->retry_after_s == 0)
		j->retry_after_s = 1;
	if (reply->outcome != TOKEN_OK)
		LOG_CALL(log_write, token_outcome_level(reply->outcome), "exchange_failed",
			 KS("provider", j->service->provider->name),
			 KS("service", j->service->name), K("why", reply->detail),
			 K("answer", ipc_error_word(j->verdict.answer)),
			 K("then", renew ? "the login's own token is renewed first" : "answered"));
	if (renew) {
		j->subject = true;
		j->subject_age = SUBJECT_TO_RENEW;
		grant_read(j);
		return;
	}
	grant_job_note(j, &j->verdict, reply->retry_after_s);
	if (reply->outcome == TOKEN_OK)
		grant_store_reply(j, reply);
	else
		grant_refused(j, reply);
}

void grant_exchange_begin(struct grant_job *j, const struct token_row *row, struct sv subject_token)
{
	uint32_t left_s = 0;
	enum ipc_error held;
	enum err rc;

	j->subject = false;
	j->leased = false;
	j->lease = (struct lease){.generation = row->generation};
	grant_job_unhold(j);
	held = grant_job_admit(j, HOLDOFF_ANY, &left_s);
	if (held != IPC_ERROR_NONE) {
		grant_job_fail(j, held, "held_off", left_s);
		return;
	}
	grant_job_set_state(j, GRANT_EXCHANGING);
	http_client_trace(j->grant->broker->http, &j->trace);
	rc = provider_exchange(grant_job_provider(j), subject_token, j->service, on_reply, j);
	http_client_trace(j->grant->broker->http, NULL);
	if (rc != ERR_OK)
		on_reply(j, rc == ERR_CANCELED ? ERR_UNAVAILABLE : rc, NULL);
}
