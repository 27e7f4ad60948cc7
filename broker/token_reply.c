#include "broker/token_reply.h"

#include <curl/curl.h>

#include "broker/json_strict.h"
#include "broker/token_audience.h"
#include "broker/token_request.h"
#include "common/preset.h"

/*
 * research: A.3. The first row whose status range, error, suberror, text somewhere in the body and
 * dialect fit decides; an empty word fits any. A 5xx says nothing about the token, whatever its
 * body says.
 */
struct error_row {
	int from, to;
	const char *error, *suberror, *text;
	enum preset_dialect dialect;
	enum token_outcome outcome;
	const char *detail;
};
static const struct error_row errors[] = {
    {429, 429, "", "", "", DIALECT_PLAIN, TOKEN_THROTTLED, "throttled"},
    {500, 599, "", "", "", DIALECT_PLAIN, TOKEN_UNKNOWN, "server_error"},
    {300, 399, "", "", "", DIALECT_PLAIN, TOKEN_UNKNOWN, "redirect"},
    {201, 299, "", "", "", DIALECT_PLAIN, TOKEN_UNKNOWN, "status"},
    /* Entra says more: the token is good, but not for this without the person. */
    {400, 499, "invalid_grant", "consent_required", "", DIALECT_ENTRA, TOKEN_INTERACTION,
     "consent_required"},
    {400, 499, "invalid_grant", "basic_action", "", DIALECT_ENTRA, TOKEN_INTERACTION,
     "basic_action"},
    {400, 499, "invalid_grant", "additional_action", "", DIALECT_ENTRA, TOKEN_INTERACTION,
     "additional_action"},
    {400, 499, "invalid_grant", "message_only", "", DIALECT_ENTRA, TOKEN_INTERACTION,
     "message_only"},
    /* Its loop guard speaks of the requests, not of the token. */
    {400, 499, "invalid_grant", "", "AADSTS50196", DIALECT_ENTRA, TOKEN_TOO_OFTEN, "loop_guard"},
    /* The grant. Dex says so for expired and reused tokens; a token exchange is told so of its
     * subject token (RFC 8693 2.2.2). */
    {400, 499, "invalid_grant", "", "", DIALECT_PLAIN, TOKEN_DEAD, "invalid_grant"},
    {400, 400, "invalid_request", "", "", DIALECT_DEX | DIALECT_EXCHANGE, TOKEN_DEAD,
     "invalid_request"},
    /* The service's mapping. */
    {400, 499, "invalid_scope", "", "", DIALECT_PLAIN, TOKEN_MISCONFIGURED, "invalid_scope"},
    {400, 499, "invalid_target", "", "", DIALECT_PLAIN, TOKEN_MISCONFIGURED, "invalid_target"},
    {400, 499, "invalid_resource", "", "", DIALECT_PLAIN, TOKEN_MISCONFIGURED, "invalid_resource"},
    /* The person. */
    {400, 499, "interaction_required", "", "", DIALECT_PLAIN, TOKEN_INTERACTION,
     "interaction_required"},
    {400, 499, "login_required", "", "", DIALECT_PLAIN, TOKEN_INTERACTION, "login_required"},
    {400, 499, "consent_required", "", "", DIALECT_PLAIN, TOKEN_INTERACTION, "consent_required"},
    {400, 499, "account_selection_required", "", "", DIALECT_PLAIN, TOKEN_INTERACTION,
     "account_selection_required"},
    {400, 499, "access_denied", "", "", DIALECT_PLAIN, TOKEN_INTERACTION, "access_denied"},
    /* Us. */
    {400, 499, "invalid_client", "", "", DIALECT_PLAIN, TOKEN_CLIENT_BROKEN, "invalid_client"},
    {400, 499, "unauthorized_client", "", "", DIALECT_PLAIN, TOKEN_CLIENT_BROKEN,
     "unauthorized_client"},
    {400, 499, "unsupported_grant_type", "", "", DIALECT_PLAIN, TOKEN_CLIENT_BROKEN,
     "unsupported_grant_type"},
    {400, 499, "invalid_request", "", "", DIALECT_PLAIN, TOKEN_CLIENT_BROKEN, "invalid_request"},
    {400, 499, "use_dpop_nonce", "", "", DIALECT_PLAIN, TOKEN_CLIENT_BROKEN, "dpop_wanted"},
    {400, 499, "invalid_dpop_proof", "", "", DIALECT_PLAIN, TOKEN_CLIENT_BROKEN, "dpop_wanted"},
    /* Later. */
    {400, 499, "slow_down", "", "", DIALECT_PLAIN, TOKEN_THROTTLED, "slow_down"},
    {400, 499, "temporarily_unavailable", "", "", DIALECT_PLAIN, TOKEN_THROTTLED,
     "temporarily_unavailable"},
    /* A page of some proxy in between, or a word nobody registered. */
    {0, 999, "", "", "", DIALECT_PLAIN, TOKEN_UNKNOWN, "unknown_error"},
};

#define SLOW_DOWN_S 5 /* RFC 8628 3.5 */

/* The members we read; all strings but expires_in. */
enum member { ACCESS, REFRESH, ID, TYPE, ISSUED, SCOPE, ERROR, SUBERROR, CLAIMS, MEMBERS };
static const struct {
	const char *name;
	size_t max;
} members[MEMBERS] = {
    [ACCESS] = {"access_token", TOKEN_ACCESS_MAX},
    [REFRESH] = {"refresh_token", TOKEN_REFRESH_MAX},
    [ID] = {"id_token", 32768},
    [TYPE] = {"token_type", 64},
    [SCOPE] = {"scope", 8192},
    [ISSUED] = {"issued_token_type", 128},
    [ERROR] = {"error", 128},
    [SUBERROR] = {"suberror", 128},
    [CLAIMS] = {"claims", TOKEN_CLAIMS_MAX},
};

struct fields {
	struct buf *text; /* as large as the body: never moves */
	struct sv v[MEMBERS];
	bool has_expires;
	int64_t expires_in_s;
};

static enum err read_seconds(struct sv value, int64_t *ret)
{
	uint64_t v;
	enum err e = sv_u64(value, JSON_INT_MAX, &v);

	if (e == ERR_RANGE)
		v = TOKEN_TTL_MAX_S;
	else if (e != ERR_OK)
		return ERR_SYNTAX;
	*ret = v > TOKEN_TTL_MAX_S ? TOKEN_TTL_MAX_S : v < 1 ? 1 : (int64_t)v;
	return ERR_OK;
}

static enum err on_member(void *arg, struct sv key, struct sv value)
{
	struct fields *f = arg;

	if (sv_find(key, '\\') != key.n)
		return ERR_SYNTAX; /* an escaped spelling would hide a member from us */
	if (sv_eq(key, SV("expires_in"))) {
		f->has_expires = true;
		return read_seconds(value, &f->expires_in_s);
	}
	for (size_t i = 0; i < MEMBERS; i++) {
		char *at;
		size_t n = 0;
		enum err e;

		if (!sv_eq(key, sv_str(members[i].name)))
			continue;
		at = buf_reserve(f->text, value.n);
		if (at == NULL)
			return ERR_NOMEM;
		e = json_strict_string(value, at, value.n, &n);
		if (e == ERR_OK && n > members[i].max)
			e = ERR_LIMIT;
		if (e == ERR_OK) {
			f->v[i] = sv_of(at, n);
			f->text->n += n;
		}
		/* A demand that cannot be passed on makes the answer no less of a refusal. */
		return i == CLAIMS && e != ERR_NOMEM ? ERR_OK : e;
	}
	return ERR_OK;
}

/* VSCHAR without space (RFC 6749 A.12, A.17): it goes into a header field. */
static bool token_ok(struct sv s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] > '~')
			return false;
	return true;
}

static void fail(struct token_reply *r, enum token_outcome outcome, const char *detail)
{
	r->outcome = outcome;
	r->detail = detail;
	r->access_token = r->id_token = r->claims = SV_NONE;
}

/* RFC 8693 2.2.1: required, and not always what was asked for. */
static bool issued_ok(struct sv issued, enum config_preset preset,
		      const struct config_service *service)
{
	struct sv urn = SV(TOKEN_TYPE_URN), type = sv_cut(issued, urn.n, issued.n);

	if (service == NULL || service->grant != GRANT_EXCHANGE)
		return true;
	return sv_starts(issued, urn) && (sv_eq(type, SV("access_token")) ||
					  sv_eq(type, sv_str(token_exchange_type(preset))));
}

/* Whether the tokens of a success are for whom they were asked for; NULL: they are. */
static const char *not_for(const struct fields *f, enum config_preset preset,
			   const struct config_service *service)
{
	enum token_opaque opaque = preset_of(preset)->ignores_unknown_audience
				       ? TOKEN_OPAQUE_REFUSED
				       : TOKEN_OPAQUE_PASSES;

	if (!issued_ok(f->v[ISSUED], preset, service))
		return "issued_token_type";
	if (!token_audience_ok(service, opaque, f->v[ACCESS]))
		return "wrong_audience";
	if (!token_scope_ok(service, f->v[SCOPE]))
		return "missing_scope";
	return NULL;
}

static void read_success(const struct fields *f, enum config_preset preset,
			 const struct config_service *service, struct token_reply *r)
{
	const char *foreign;

	if (f->v[ACCESS].n == 0 || !token_ok(f->v[ACCESS]) || !token_ok(f->v[REFRESH]) ||
	    !token_ok(f->v[ID])) {
		fail(r, TOKEN_UNKNOWN, "bad_token");
		return;
	}
	if (!sv_eq_nocase(f->v[TYPE], SV("Bearer"))) {
		fail(r, TOKEN_UNKNOWN, "token_type");
		return;
	}
	r->outcome = TOKEN_OK;
	r->detail = "";
	r->access_token = f->v[ACCESS];
	r->refresh_token = f->v[REFRESH];
	r->id_token = f->v[ID];
	r->scope = f->v[SCOPE];
	r->expires_in_s = f->has_expires ? f->expires_in_s : TOKEN_DEFAULT_TTL_S;
	foreign = not_for(f, preset, service);
	if (foreign != NULL)
		fail(r, TOKEN_MISCONFIGURED, foreign);
}

static enum preset_dialect dialect_of(enum config_preset preset,
				      const struct config_service *service)
{
	enum preset_dialect d = preset_of(preset)->errors;

	return service != NULL && service->grant == GRANT_EXCHANGE ? d | DIALECT_EXCHANGE : d;
}

static bool fits(const char *want, struct sv got)
{
	return want[0] == '\0' || sv_eq(got, sv_str(want));
}

static bool row_fits(const struct error_row *row, const struct http_response *h,
		     const struct fields *f, enum preset_dialect dialect)
{
	return h->status >= row->from && h->status <= row->to && fits(row->error, f->v[ERROR]) &&
	       fits(row->suberror, f->v[SUBERROR]) &&
	       (row->text[0] == '\0' ||
		memmem(h->body.p, h->body.n, row->text, strlen(row->text)) != NULL) &&
	       (row->dialect == DIALECT_PLAIN || (row->dialect & dialect) != 0);
}

static void read_error(const struct http_response *h, const struct fields *f,
		       enum preset_dialect dialect, struct token_reply *r)
{
	const struct error_row *row = errors;

	while (!row_fits(row, h, f, dialect))
		row++; /* the last row fits everything */
	fail(r, row->outcome, row->detail);
	if (r->outcome == TOKEN_INTERACTION &&
	    json_strict_object(f->v[CLAIMS], TOKEN_CLAIMS_MAX, NULL, NULL) == ERR_OK)
		r->claims = f->v[CLAIMS];
	if (h->status == 503 && r->retry_after_s > 0)
		fail(r, TOKEN_THROTTLED, "throttled");
	if (r->outcome == TOKEN_THROTTLED && r->retry_after_s == 0)
		r->retry_after_s = SLOW_DOWN_S;
}

void token_reply_read(const struct http_response *h, enum config_preset preset,
		      const struct config_service *service, int64_t now_s, struct token_answer *ret)
{
	struct fields f = {.text = &ret->text};
	struct token_reply *r = &ret->reply;
	enum err e;

	*ret = (struct token_answer){.reply = {.expires_in_s = TOKEN_DEFAULT_TTL_S}};
	if (h->outcome != HTTP_ANSWERED) {
		fail(r, h->outcome == HTTP_NOT_SENT ? TOKEN_NOT_SENT : TOKEN_UNKNOWN, h->detail);
		return;
	}
	r->answered = true;
	r->retry_after_s = token_retry_after(h->retry_after, now_s);
	buf_init(&ret->text, TOKEN_REPLY_MAX);
	if (h->body.n <= TOKEN_REPLY_MAX && buf_reserve(&ret->text, h->body.n) == NULL)
		e = ERR_NOMEM;
	else
		e = json_strict_object(h->body, TOKEN_REPLY_MAX, on_member, &f);
	if (e != ERR_OK)
		f = (struct fields){.text = NULL}; /* what it saw does not count */
	if (h->status != 200)
		read_error(h, &f, dialect_of(preset, service), r);
	else if (e != ERR_OK)
		fail(r, TOKEN_UNKNOWN, "bad_json");
	else
		read_success(&f, preset, service, r);
}

void token_answer_done(struct token_answer *a)
{
	buf_done(&a->text);
	a->reply = (struct token_reply){.detail = ""};
}

uint32_t token_retry_after(struct sv value, int64_t now_s)
{
	char date[HTTP_RETRY_AFTER_MAX + 1];
	uint64_t s;
	time_t at;
	enum err e = value.n == 0 ? ERR_SYNTAX : sv_u64(value, TOKEN_RETRY_AFTER_MAX_S, &s);

	if (e == ERR_OK)
		return (uint32_t)s;
	if (e == ERR_RANGE)
		return TOKEN_RETRY_AFTER_MAX_S;
	if (value.n == 0 || value.n >= sizeof date || memchr(value.p, '\0', value.n) != NULL)
		return 0;
	memcpy(date, value.p, value.n);
	date[value.n] = '\0';
	at = curl_getdate(date, NULL);
	if (at == -1 || at <= now_s)
		return 0;
	return at - now_s > TOKEN_RETRY_AFTER_MAX_S ? TOKEN_RETRY_AFTER_MAX_S
						    : (uint32_t)(at - now_s);
}

enum log_level token_outcome_level(enum token_outcome outcome)
{
	switch (outcome) {
	case TOKEN_MISCONFIGURED:
	case TOKEN_CLIENT_BROKEN:
		return LOG_ERROR;
	case TOKEN_OK:
	case TOKEN_NOT_SENT:
	case TOKEN_UNKNOWN:
	case TOKEN_DEAD:
	case TOKEN_INTERACTION:
	case TOKEN_THROTTLED:
	case TOKEN_TOO_OFTEN:
		break;
	}
	return LOG_WARN;
}
