#include "broker/token_reply.h"

#include <curl/curl.h>

#include "broker/json_strict.h"
#include "broker/token_audience.h"

/*
 * research: A.3. The first row whose status range, error and preset fit decides; an empty error
 * fits any. A 5xx says nothing about the token, whatever its body says.
 */
#define ANY_PRESET 0
struct error_row {
	int from, to;
	const char *error;
	enum config_preset preset;
	enum token_outcome outcome;
	const char *detail;
};
static const struct error_row errors[] = {
    {429, 429, "", ANY_PRESET, TOKEN_THROTTLED, "throttled"},
    {500, 599, "", ANY_PRESET, TOKEN_UNKNOWN, "server_error"},
    {300, 399, "", ANY_PRESET, TOKEN_UNKNOWN, "redirect"},
    {201, 299, "", ANY_PRESET, TOKEN_UNKNOWN, "status"},
    /* The grant. Dex says so for expired and reused tokens. */
    {400, 499, "invalid_grant", ANY_PRESET, TOKEN_DEAD, "invalid_grant"},
    {400, 400, "invalid_request", PRESET_DEX, TOKEN_DEAD, "invalid_request"},
    /* The service's mapping. */
    {400, 499, "invalid_scope", ANY_PRESET, TOKEN_MISCONFIGURED, "invalid_scope"},
    {400, 499, "invalid_target", ANY_PRESET, TOKEN_MISCONFIGURED, "invalid_target"},
    {400, 499, "invalid_resource", ANY_PRESET, TOKEN_MISCONFIGURED, "invalid_resource"},
    /* The person. */
    {400, 499, "interaction_required", ANY_PRESET, TOKEN_INTERACTION, "interaction_required"},
    {400, 499, "login_required", ANY_PRESET, TOKEN_INTERACTION, "login_required"},
    {400, 499, "consent_required", ANY_PRESET, TOKEN_INTERACTION, "consent_required"},
    {400, 499, "account_selection_required", ANY_PRESET, TOKEN_INTERACTION,
     "account_selection_required"},
    {400, 499, "access_denied", ANY_PRESET, TOKEN_INTERACTION, "access_denied"},
    /* Us. */
    {400, 499, "invalid_client", ANY_PRESET, TOKEN_CLIENT_BROKEN, "invalid_client"},
    {400, 499, "unauthorized_client", ANY_PRESET, TOKEN_CLIENT_BROKEN, "unauthorized_client"},
    {400, 499, "unsupported_grant_type", ANY_PRESET, TOKEN_CLIENT_BROKEN, "unsupported_grant_type"},
    {400, 499, "invalid_request", ANY_PRESET, TOKEN_CLIENT_BROKEN, "invalid_request"},
    {400, 499, "use_dpop_nonce", ANY_PRESET, TOKEN_CLIENT_BROKEN, "dpop_wanted"},
    {400, 499, "invalid_dpop_proof", ANY_PRESET, TOKEN_CLIENT_BROKEN, "dpop_wanted"},
    /* Later. */
    {400, 499, "slow_down", ANY_PRESET, TOKEN_THROTTLED, "slow_down"},
    {400, 499, "temporarily_unavailable", ANY_PRESET, TOKEN_THROTTLED, "temporarily_unavailable"},
    /* A page of some proxy in between, or a word nobody registered. */
    {0, 999, "", ANY_PRESET, TOKEN_UNKNOWN, "unknown_error"},
};

#define SLOW_DOWN_S 5 /* RFC 8628 3.5 */

/* The members we read; all strings but expires_in. */
enum member { ACCESS, REFRESH, ID, TYPE, SCOPE, ERROR, MEMBERS };
static const struct {
	const char *name;
	size_t max;
} members[MEMBERS] = {
    [ACCESS] = {"access_token", TOKEN_ACCESS_MAX},
    [REFRESH] = {"refresh_token", TOKEN_REFRESH_MAX},
    [ID] = {"id_token", 32768},
    [TYPE] = {"token_type", 64},
    [SCOPE] = {"scope", 8192},
    [ERROR] = {"error", 128},
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
		return e;
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
	r->access_token = r->id_token = SV_NONE;
}

static void read_success(const struct fields *f, const struct config_service *service,
			 struct token_reply *r)
{
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
	if (!token_audience_ok(service, r->access_token))
		fail(r, TOKEN_MISCONFIGURED, "wrong_audience");
	else if (!token_scope_ok(service, r->scope))
		fail(r, TOKEN_MISCONFIGURED, "missing_scope");
}

static void read_error(const struct http_response *h, const struct fields *f,
		       enum config_preset preset, struct token_reply *r)
{
	const struct error_row *row = errors;

	while (h->status < row->from || h->status > row->to ||
	       (row->error[0] != '\0' && !sv_eq(f->v[ERROR], sv_str(row->error))) ||
	       (row->preset != ANY_PRESET && row->preset != preset))
		row++; /* the last row fits everything */
	fail(r, row->outcome, row->detail);
	if (h->status == 503 && r->retry_after_s > 0)
		fail(r, TOKEN_THROTTLED, "throttled");
	/* The loop guard of Entra speaks of the requests, not of the token. */
	if (r->outcome == TOKEN_DEAD && preset == PRESET_ENTRA && h->body.n > 0 &&
	    memmem(h->body.p, h->body.n, "AADSTS50196", 11) != NULL)
		fail(r, TOKEN_THROTTLED, "loop_guard");
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
	r->retry_after_s = token_retry_after(h->retry_after, now_s);
	buf_init(&ret->text, TOKEN_REPLY_MAX);
	if (h->body.n <= TOKEN_REPLY_MAX && buf_reserve(&ret->text, h->body.n) == NULL)
		e = ERR_NOMEM;
	else
		e = json_strict_object(h->body, TOKEN_REPLY_MAX, on_member, &f);
	if (e != ERR_OK)
		f = (struct fields){.text = NULL}; /* what it saw does not count */
	if (h->status != 200)
		read_error(h, &f, preset, r);
	else if (e != ERR_OK)
		fail(r, TOKEN_UNKNOWN, "bad_json");
	else
		read_success(&f, service, r);
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
