#include "worker/explain.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "common/log.h"
#include "worker/claim.h"
#include "worker/csrf.h"
#include "worker/denial.h"
#include "worker/handlers.h"
#include "worker/worker.h"

#define OUT_MAX (256 * 1024)
#define FILE_MAX (CLAIM_JSON_MAX + 1) /* one byte more shows that there are too many */
#define FORWARDED 5		      /* fields of the edge */
#define OF_PAGE 2		      /* Origin, X-CSRF-Token */

/* One explanation; the request's done-argument, so that the phases here find it. */
struct scene {
	const struct explain_ask *ask;
	struct worker w;
	struct config_listen listen;
	struct http_field fields[FORWARDED + EXPLAIN_FIELDS_MAX + OF_PAGE];
	struct http_request head;
	struct buf target; /* Envoy's: the URI behind its prefix */
	struct buf text;   /* the file of claims */
	bool has_claims;
	struct claims all; /* in it */
	struct buf kept;   /* what a login would keep of them */
	struct buf subject;
	char csrf[CSRF_TOKEN_LEN];
	struct buf out;
	struct errmsg *e;
	enum err err;
};

/* ---- the phases that stand in ------------------------------------------------------------ */

static enum step give_up(struct scene *s, enum err err, const char *what, struct sv name)
{
	s->err = errmsg_set(s->e, err, "%s: expected %s \"" SV_FMT "\"", s->ask->claims, what,
			    SV_ARG(name));
	return STEP_ANSWER;
}

static void keep(struct scene *s, struct sv name)
{
	struct sv value = claim_top(&s->all, name).json;

	if (value.n == 0)
		return;
	buf_add(&s->kept, s->kept.n == 0 ? SV("{") : SV(","));
	http_json_string(&s->kept, name);
	buf_add(&s->kept, SV(":"));
	buf_add(&s->kept, value);
}

/* As a login keeps them. */
static void keep_claims(struct scene *s, const struct config_provider *p)
{
	for (size_t i = 0; i < p->keep_claims.n; i++) {
		struct sv name = p->keep_claims.v[i];

		keep(s, name);
		if (sv_eq(name, SV("email")))
			keep(s, SV("email_verified"));
	}
	buf_add(&s->kept, s->kept.n == 0 ? SV("{}") : SV("}"));
}

/* Unless the caller gave that field. */
static void add_field(struct request *r, struct sv name, struct sv value)
{
	if (http_fields_nth(r->fields, http_name_known(name), 0) != NULL)
		return;
	r->from.fields[r->fields.n] = (struct http_field){.name = name, .value = value};
	r->fields = http_fields_of(r->from.fields, r->fields.n + 1);
}

/* False: not there is 0, but something else is no time. */
static bool auth_time(struct scene *s, int64_t *ret)
{
	struct claim v = claim_top(&s->all, SV("auth_time"));
	uint64_t seconds = 0;
	struct sv text;

	if (claim_kind(v) != CLAIM_NONE &&
	    (claim_kind(v) != CLAIM_NUMBER || !claim_text(&s->all, v, &text) ||
	     sv_u64(text, INT64_MAX, &seconds) != ERR_OK))
		return false;
	*ret = (int64_t)seconds;
	return true;
}

static enum step explain_session(struct request *r)
{
	struct scene *s = r->arg;
	const struct config_provider *p = r->app->provider;
	struct request_session *live = &r->session;
	struct sv text;

	if (r->preflight || r->route->session == SESSION_NONE || !s->has_claims)
		return STEP_NEXT; /* no cookie, as request_new() left it */
	if (!claim_text(&s->all, claim_get(&s->all, p->subject_claim), &text))
		return give_up(s, ERR_SYNTAX, "the provider's subject_claim", p->subject_claim);
	buf_add(&s->subject, text);
	keep_claims(s, p);
	if (!buf_ok(&s->subject) || !buf_ok(&s->kept))
		return give_up(s, ERR_NOMEM, "more memory for", SV("claims"));
	if (!auth_time(s, &live->auth_time_s))
		return give_up(s, ERR_SYNTAX, "seconds since 1970 as", SV("auth_time"));
	if (!claim_text(&s->all, claim_top(&s->all, SV("acr")), &live->acr))
		live->acr = SV_NONE;
	live->subject = buf_sv(&s->subject);
	live->claims = buf_sv(&s->kept);
	live->ref = SV("explained");
	live->live = true;
	r->session_why = REASON_NONE;
	if (csrf_token(sv_of((const char *)r->cookie.secret, sizeof r->cookie.secret), s->csrf) !=
	    ERR_OK)
		return give_up(s, ERR_CRYPTO, "a token of", SV("csrf"));
	if (r->fw.websocket || !csrf_method_is_safe(r->fw.method)) {
		add_field(r, SV("Origin"), r->fw.origin);
		add_field(r, SV("X-CSRF-Token"), sv_of(s->csrf, sizeof s->csrf));
	}
	return STEP_NEXT;
}

static enum step explain_token(struct request *r)
{
	if (!r->session.live || r->route->service == NULL)
		return STEP_NEXT;
	buf_add(&r->token, SV("<token-of-service-"));
	buf_add(&r->token, r->route->service->name);
	buf_add(&r->token, SV(">"));
	r->waited_for_token = true; /* and there it is */
	return STEP_NEXT;
}

static const request_phase phases[] = {
    verify_forwarded, verify_route, explain_session, verify_policy, explain_token,
    verify_reply,     NULL};

/* ---- what is asked ----------------------------------------------------------------------- */

static void edge_says(struct scene *s, const char *name, struct sv value)
{
	s->fields[s->head.fields.n++] = (struct http_field){.name = sv_str(name), .value = value};
}

static enum err envoy_says(struct scene *s, struct sv scheme, struct sv host, struct sv uri)
{
	buf_add(&s->target, SV(FORWARDED_ENVOY_PREFIX));
	buf_add(&s->target, uri);
	s->head.method = sv_str(s->ask->method);
	s->head.target = buf_sv(&s->target);
	edge_says(s, "Host", host);
	edge_says(s, "X-Forwarded-Proto", scheme);
	edge_says(s, "X-Real-IP", SV("192.0.2.1"));
	return buf_ok(&s->target) ? ERR_OK
				  : errmsg_set(s->e, ERR_LIMIT, "the URL: %s", err_text(ERR_LIMIT));
}

static enum err read_url(struct scene *s)
{
	struct sv url = sv_str(s->ask->url), scheme, rest, host, uri;
	size_t colon = sv_find(url, ':'), end;

	rest = sv_cut(url, colon, url.n);
	if (!sv_starts(rest, SV("://")))
		return errmsg_set(s->e, ERR_SYNTAX, "%s: expected a URL such as https://host/path",
				  s->ask->url);
	rest = sv_cut(rest, 3, rest.n);
	end = sv_find(rest, '/');
	host = sv_cut(rest, 0, end);
	uri = end == rest.n ? SV("/") : sv_cut(rest, end, rest.n);
	scheme = sv_cut(url, 0, colon);
	if (s->listen.edge == EDGE_ENVOY)
		return envoy_says(s, scheme, host, uri);
	edge_says(s, "X-Forwarded-Method", sv_str(s->ask->method));
	edge_says(s, "X-Forwarded-Proto", scheme);
	edge_says(s, "X-Forwarded-Host", host);
	edge_says(s, "X-Forwarded-Uri", uri);
	edge_says(s, "X-Forwarded-For", SV("192.0.2.1"));
	return ERR_OK;
}

static enum err read_fields(struct scene *s)
{
	for (size_t i = 0; i < s->ask->nfields; i++) {
		struct sv field = sv_str(s->ask->fields[i]);
		size_t colon = sv_find(field, ':');

		if (colon == 0 || colon == field.n)
			return errmsg_set(s->e, ERR_SYNTAX, "%s: expected \"Name: value\"",
					  s->ask->fields[i]);
		s->fields[s->head.fields.n++] =
		    (struct http_field){.name = sv_cut(field, 0, colon),
					.value = sv_trim(sv_cut(field, colon + 1, field.n))};
	}
	s->head.fields = http_fields_of(s->fields, s->head.fields.n);
	return ERR_OK;
}

static enum err read_claims(struct scene *s)
{
	const char *path = s->ask->claims;
	char *text;
	struct sv all;
	FILE *f;

	if (path == NULL)
		return ERR_OK;
	text = buf_reserve(&s->text, FILE_MAX);
	if (text == NULL)
		return errmsg_set(s->e, ERR_NOMEM, "%s: %s", path, err_text(ERR_NOMEM));
	f = fopen(path, "re");
	if (f == NULL)
		return errmsg_set(s->e, ERR_IO, "%s: %s", path, strerror(errno));
	all = sv_of(text, fread(text, 1, FILE_MAX, f));
	(void)fclose(f); /* was only read */
	while (all.n > 0 && (all.p[all.n - 1] == '\n' || all.p[all.n - 1] == ' '))
		all.n--;
	s->has_claims = claims_parse(all, &s->all);
	return s->has_claims ? ERR_OK
			     : errmsg_set(s->e, ERR_SYNTAX,
					  "%s: expected one JSON object of at most %d bytes", path,
					  CLAIM_JSON_MAX);
}

/* In the dialect of the configuration's own edge. */
static void choose_listen(struct scene *s)
{
	const struct config *c = s->w.config;

	s->listen = (struct config_listen){
	    .name = SV("explain"), .kind = LISTEN_VERIFY, .edge = EDGE_TRAEFIK};
	for (size_t i = 0; i < c->nlistens; i++)
		if (c->listens[i].kind == LISTEN_VERIFY) {
			s->listen = c->listens[i];
			return;
		}
}

/* ---- what is said ------------------------------------------------------------------------ */

static const char *session_word(const struct request *r)
{
	if (r->preflight)
		return "not looked for (a preflight)";
	if (r->route == NULL)
		return "not looked for";
	switch (r->route->session) {
	case SESSION_REQUIRED:
		return r->session.live ? "live (required)" : "none (required)";
	case SESSION_OPTIONAL:
		return r->session.live ? "live (optional)" : "none (optional)";
	case SESSION_NONE:
		return "not looked for (session = none)";
	}
	return "?";
}

static void print_name(FILE *out, const char *what, struct sv name)
{
	(void)fprintf(out, "%-9s" SV_FMT "\n", what, SV_ARG(name.n == 0 ? SV("-") : name));
}

/* Whether it could be written is judged once, by the caller's flush. */
static void print(const struct request *r, const struct scene *s, FILE *out)
{
	const struct config_route *route = r->route;
	bool token = r->denied == REASON_NONE && r->token.n > 0;

	print_name(out, "app", r->app == NULL ? SV_NONE : r->app->name);
	if (route == NULL)
		print_name(out, "route", SV_NONE);
	else
		(void)fprintf(out, "%-9s" SV_FMT " (%s:%u)\n", "route", SV_ARG(route->name),
			      route->place.file, route->place.line);
	print_name(out, "session", sv_str(session_word(r)));
	print_name(out, "decision", r->denied == REASON_NONE ? SV("allowed") : SV("denied"));
	if (r->denied != REASON_NONE)
		(void)fprintf(out, "%-9s%s%s%s\n", "reason", reason_word(r->denied),
			      r->denied_detail == NULL ? "" : ": ",
			      r->denied_detail == NULL ? "" : r->denied_detail);
	if (r->rule.n > 0)
		print_name(out, "rule", r->rule);
	print_name(out, "service", token ? route->service->name : SV_NONE);
	(void)fprintf(out, "\n" SV_FMT "%s", SV_ARG(buf_sv(&s->out)),
		      s->out.n > 0 && s->out.p[s->out.n - 1] == '\n' ? "" : "\n");
}

static enum err run(struct scene *s, FILE *out)
{
	struct request_from from = {.worker = &s->w,
				    .listen = &s->listen,
				    .head = &s->head,
				    .fields = s->fields,
				    .out = &s->out};
	struct request *r = NULL;
	enum err err = request_new(&from, NULL, s, &r);
	enum request_state state;

	if (err != ERR_OK)
		return errmsg_set(s->e, err, "%s", err_text(err));
	r->phases = phases;
	state = request_run(r);
	assert(state == REQUEST_ANSWERED); /* no phase of these waits */
	if (s->err == ERR_OK)
		print(r, s, out);
	request_free(&r);
	return s->err;
}

enum err explain(const struct explain_ask *ask, FILE *out, struct errmsg *e)
{
	struct scene s = {.ask = ask, .e = e};
	enum err err = config_load(ask->config, &s.w.config, e);

	log_set_level(LOG_ERROR); /* what the log would say is printed */
	buf_init(&s.out, OUT_MAX);
	buf_init(&s.target, OUT_MAX);
	buf_init(&s.text, FILE_MAX);
	buf_init(&s.kept, OUT_MAX);
	buf_init(&s.subject, CLAIM_JSON_MAX);
	s.head = (struct http_request){.method = SV("GET"), .target = SV("/auth/verify")};
	if (err == ERR_OK)
		err = worker_tables_make(&s.w, e);
	if (err == ERR_OK) {
		choose_listen(&s);
		err = read_url(&s);
	}
	if (err == ERR_OK)
		err = read_fields(&s);
	if (err == ERR_OK)
		err = read_claims(&s);
	if (err == ERR_OK)
		err = run(&s, out);
	if (s.has_claims)
		claims_done(&s.all);
	buf_done(&s.out);
	buf_done(&s.target);
	buf_done(&s.text);
	buf_done(&s.kept);
	buf_done(&s.subject);
	worker_tables_free(&s.w);
	config_free(&s.w.config);
	return err;
}
