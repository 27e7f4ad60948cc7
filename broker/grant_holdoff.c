/* grant_holdoff - whom a job may ask, and what its outcome means for those who ask next. */
#include "broker/grant.h"
#include "broker/grant_table.h"
#include "common/clock.h"

static unsigned char random_byte(void)
{
	unsigned char b;

	broker_random(&b, sizeof b);
	return b;
}

/* Grant ids are random and digests are digests: a few bytes of each tell them apart. */
static uint64_t key_of(struct sv id, const unsigned char *digest)
{
	uint64_t a = 0, b = 0;

	memcpy(&a, id.p, id.n < sizeof a ? id.n : sizeof a);
	memcpy(&b, digest, sizeof b);
	return (a ^ b) | 1; /* never 0 */
}

static uint64_t job_key(const struct grant_job *j)
{
	return key_of(grant_id(j->grant), j->digest);
}

static enum ipc_error held(struct edition *ed, const struct refusals *refused, uint64_t key,
			   const struct config_provider *p, const struct config_service *s,
			   uint32_t *ret_left_s)
{
	const struct holdoffs *h = edition_holdoffs(ed, &p);
	int64_t now = clock_boot_ms();
	enum ipc_error e = refusal_judge(refused, key, now, ret_left_s);

	if (e == IPC_ERROR_NONE && s != NULL)
		e = holdoff_judge(&ed->holdoffs, s, now, ret_left_s);
	if (e == IPC_ERROR_NONE)
		e = holdoff_judge(h, p, now, ret_left_s);
	return e;
}

/* Holdoffs are told apart by where a section stands in the configuration; the login's own service
 * is none of it. */
static const struct config_service *held_service(const struct grant_job *j)
{
	const struct config_service *s = grant_job_wants(j);

	return s == &j->own ? NULL : s;
}

enum ipc_error grant_held(struct grant_table *t, const struct grant_ask *ask, uint32_t *ret_left_s)
{
	return held(ask->edition, grant_table_refusals(t), key_of(ask->grant_id, ask->digest),
		    ask->service->provider, ask->service, ret_left_s);
}

enum ipc_error grant_job_held(const struct grant_job *j, uint32_t *ret_left_s)
{
	return held(j->edition, grant_table_refusals(j->grant->table), job_key(j),
		    j->service->provider, held_service(j), ret_left_s);
}

enum ipc_error grant_job_admit(struct grant_job *j, enum holdoff_asker asker, uint32_t *ret_left_s)
{
	const struct config_provider *p = j->service->provider;
	struct holdoffs *h = edition_holdoffs(j->edition, &p);
	const struct config_service *s = held_service(j);
	int64_t now = clock_boot_ms();
	enum ipc_error e = holdoff_admit(h, p, asker, now, ret_left_s);

	if (e == IPC_ERROR_NONE && s != NULL)
		e = holdoff_admit(&j->edition->holdoffs, s, HOLDOFF_ANY, now, ret_left_s);
	return e;
}

enum ipc_error grant_job_unasked(const struct grant_job *j, enum ipc_error code)
{
	return j->kind == GRANT_JOB_CHECK && code == IPC_ERROR_REAUTHENTICATE
		   ? IPC_ERROR_PROVIDER_DOWN
		   : code;
}

void grant_job_note(struct grant_job *j, const struct lease_verdict *v, uint32_t retry_after_s)
{
	const struct config_provider *provider = j->service->provider;
	struct holdoffs *h = edition_holdoffs(j->edition, &provider),
			*services = &j->edition->holdoffs;
	const struct config_service *s = held_service(j);
	int64_t now = clock_boot_ms();
	int64_t wait_s = retry_after_s == 0 ? 1 : retry_after_s;

	switch (v->holdoff) {
	case LEASE_HOLDOFF_PROVIDER:
		holdoff_failed(h, provider, v->answer, now, random_byte());
		return;
	case LEASE_HOLDOFF_THROTTLE:
		if (wait_s > HOLDOFF_THROTTLE_MAX_S)
			wait_s = HOLDOFF_THROTTLE_MAX_S;
		holdoff_for(h, provider, v->answer, now, 1000 * wait_s, random_byte());
		return;
	case LEASE_HOLDOFF_SERVICE:
		if (s != NULL)
			holdoff_for(services, s, v->answer, now, HOLDOFF_SERVICE_MS, random_byte());
		grant_job_refuse(j, v->answer);
		break;
	case LEASE_HOLDOFF_GRANT:
		grant_job_refuse(j, v->answer);
		break;
	case LEASE_HOLDOFF_NONE:
		if (v->answer != IPC_ERROR_NONE)
			break;
		if (s != NULL)
			holdoff_clear(services, s);
		if (!j->subject)
			refusal_clear(grant_table_refusals(j->grant->table), job_key(j));
		break;
	}
	holdoff_well(h, provider, now); /* it answered, whatever it said */
}

void grant_job_refuse(struct grant_job *j, enum ipc_error answer)
{
	refusal_failed(grant_table_refusals(j->grant->table), job_key(j), answer, clock_boot_ms(),
		       random_byte());
}
