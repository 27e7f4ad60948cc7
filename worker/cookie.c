#include "worker/cookie.h"

#include <assert.h>

#include "common/b64.h"
#include "common/crypt.h"
#include "worker/cookie_keys.h"

#define SECRET_TEXT_LEN B64URL_LEN(COOKIE_SECRET_LEN)
#define TAG_TEXT_LEN B64URL_LEN(COOKIE_TAG_LEN)
#define DAY_MAX 999999 /* the year 4707: six digits */
#define DAY_S (24 * 60 * 60)

#define CLIENT_TEXT_LEN B64URL_LEN(COOKIE_CLIENT_LEN)

static_assert(3 + 6 + 1 + SECRET_TEXT_LEN + 1 + CLIENT_TEXT_LEN + 1 + TAG_TEXT_LEN <=
		  COOKIE_VALUE_MAX,
	      "fits");

/* Walks the pieces of all Cookie fields: the bytes between two ';'. */
struct pieces {
	struct http_fields f;
	size_t next; /* of the Cookie fields */
	struct sv rest;
	bool in_field;
};

/* Trimmed name and value; without '=' all of it is the name. */
struct piece {
	struct sv whole, name, value;
	bool is_pair;
};

static bool next_field(struct pieces *p)
{
	const struct http_field *field;

	if (p->next > 0 && (p->f.twice >> HTTP_COOKIE & 1) == 0)
		return false; /* that was the only one */
	field = http_fields_nth(p->f, HTTP_COOKIE, p->next);
	if (field == NULL)
		return false;
	p->next++;
	p->rest = field->value;
	p->in_field = true;
	return true;
}

static bool next_piece(struct pieces *p, struct piece *ret)
{
	size_t end, eq;

	if (!p->in_field && !next_field(p))
		return false;
	end = sv_find(p->rest, ';');
	ret->whole = sv_of(p->rest.p, end);
	p->in_field = end < p->rest.n;
	p->rest = sv_cut(p->rest, end + 1, p->rest.n);
	eq = sv_find(ret->whole, '=');
	ret->is_pair = eq < end;
	ret->name = sv_trim(sv_of(ret->whole.p, eq));
	ret->value = sv_trim(sv_cut(ret->whole, eq + 1, end));
	return true;
}

/* The value of the next pair called `name`; a pair without '=' has none and does not count. */
static bool next_value(struct pieces *p, struct sv name, struct sv *ret)
{
	struct piece piece;

	while (next_piece(p, &piece)) {
		if (!piece.is_pair || !sv_eq(piece.name, name))
			continue;
		*ret = piece.value;
		return true;
	}
	return false;
}

enum cookie_outcome cookie_find(struct http_fields f, struct sv name, struct sv *ret)
{
	struct pieces p = {.f = f};
	struct sv value, second;

	if (!next_value(&p, name, &value))
		return COOKIE_NONE;
	if (next_value(&p, name, &second))
		return COOKIE_AMBIGUOUS;
	*ret = value;
	return COOKIE_OK;
}

enum cookie_outcome cookie_login_find(struct http_fields f, const struct config_origin *origin,
				      unsigned char ret[COOKIE_SECRET_LEN])
{
	struct sv value;
	enum cookie_outcome outcome = cookie_find(f, cookie_login_name(origin), &value);
	size_t n;

	if (outcome != COOKIE_OK)
		return outcome;
	if (value.n != SECRET_TEXT_LEN ||
	    b64url_decode(value, ret, COOKIE_SECRET_LEN, &n) != ERR_OK)
		return COOKIE_BAD;
	return COOKIE_OK;
}

static void tag_of(const struct crypt_hmac_key *key, struct sv text, char out[TAG_TEXT_LEN])
{
	unsigned char mac[CRYPT_SHA256_LEN];

	crypt_hmac_keyed(key, text, mac);
	(void)b64url_encode(mac, COOKIE_TAG_LEN, out); /* fills out exactly */
	explicit_bzero(mac, sizeof mac);
}

static bool tag_is_good(const struct cookie_keys *k, struct sv text, struct sv tag)
{
	const struct crypt_hmac_key *key;
	char want[TAG_TEXT_LEN];
	bool good = false;

	for (size_t i = 0; !good && (key = cookie_keys_nth(k, i)) != NULL; i++) {
		tag_of(key, text, want);
		good = crypt_equal(tag, sv_of(want, sizeof want));
	}
	explicit_bzero(want, sizeof want);
	return good;
}

/* Cuts the bytes before the next '.' off *rest. */
static struct sv next_part(struct sv *rest)
{
	size_t end = sv_find(*rest, '.');
	struct sv part = sv_cut(*rest, 0, end);

	*rest = sv_cut(*rest, end + 1, rest->n);
	return part;
}

static bool day_is_good(struct sv text, int64_t now_s, int64_t absolute_ms, uint32_t *ret)
{
	int64_t oldest = (now_s - absolute_ms / 1000 - DAY_S) / DAY_S;
	uint64_t day;

	if (sv_u64(text, DAY_MAX, &day) != ERR_OK || (text.n > 1 && text.p[0] == '0'))
		return false;
	*ret = (uint32_t)day;
	/* The broker's clock may be a little ahead at midnight. */
	return (int64_t)day >= oldest && (int64_t)day * DAY_S <= now_s + COOKIE_CLOCK_SKEW_S;
}

static bool read_one(struct sv value, int64_t now_s, int64_t absolute_ms,
		     struct cookie_candidate *ret)
{
	struct cookie_session *s = &ret->session;
	struct sv rest = value, version, day, secret, client = SV_NONE;
	size_t n;

	*s = (struct cookie_session){0};
	if (value.n > COOKIE_VALUE_MAX)
		return false;
	version = next_part(&rest);
	day = next_part(&rest);
	secret = next_part(&rest);
	s->bound = sv_eq(version, SV("v2"));
	if (s->bound)
		client = next_part(&rest);
	ret->tag = rest; /* a further part would be in it, and make it too long */
	if ((!s->bound && !sv_eq(version, SV("v1"))) || secret.n != SECRET_TEXT_LEN ||
	    ret->tag.n != TAG_TEXT_LEN || (s->bound && client.n != CLIENT_TEXT_LEN))
		return false;
	ret->text = sv_cut(value, 0, value.n - TAG_TEXT_LEN - 1);
	return day_is_good(day, now_s, absolute_ms, &s->day) &&
	       b64url_decode(secret, s->secret, sizeof s->secret, &n) == ERR_OK &&
	       (!s->bound || b64url_decode(client, s->client, sizeof s->client, &n) == ERR_OK);
}

void cookie_session_read(struct http_fields f, struct sv name, int64_t now_s, int64_t absolute_ms,
			 struct cookie_candidates *ret)
{
	struct pieces p = {.f = f};
	struct sv value;

	ret->seen = ret->n = 0;
	while (next_value(&p, name, &value)) {
		if (++ret->seen > COOKIE_SAME_NAME_MAX)
			return;
		if (read_one(value, now_s, absolute_ms, &ret->v[ret->n]))
			ret->n++;
		else
			cookie_session_wipe(&ret->v[ret->n].session);
	}
}

enum cookie_outcome cookie_session_check(const struct cookie_keys *k, struct cookie_candidates *c,
					 struct cookie_session *ret)
{
	enum cookie_outcome outcome = c->seen == 0 ? COOKIE_NONE : COOKIE_BAD;
	const struct cookie_candidate *good = NULL;

	if (c->seen > COOKIE_SAME_NAME_MAX)
		outcome = COOKIE_AMBIGUOUS;
	for (size_t i = 0; i < c->n && outcome != COOKIE_AMBIGUOUS; i++) {
		if (!tag_is_good(k, c->v[i].text, c->v[i].tag))
			continue;
		outcome = good == NULL ? COOKIE_OK : COOKIE_AMBIGUOUS;
		good = &c->v[i];
	}
	if (outcome == COOKIE_OK)
		*ret = good->session;
	explicit_bzero(c->v, c->n * sizeof c->v[0]);
	return outcome;
}

void cookie_session_wipe(struct cookie_session *s)
{
	explicit_bzero(s, sizeof *s);
}

enum err cookie_session_make(const struct cookie_keys *k, const struct cookie_session *s,
			     struct buf *out)
{
	size_t start = out->n;
	const struct crypt_hmac_key *key = cookie_keys_nth(k, 0);
	char *at;

	if (s->day > DAY_MAX || key == NULL)
		return ERR_RANGE;
	buf_addf(out, "v%d.%u.", s->bound ? 2 : 1, (unsigned)s->day);
	at = buf_reserve(out, SECRET_TEXT_LEN + 1 + CLIENT_TEXT_LEN + 1 + TAG_TEXT_LEN);
	if (at == NULL)
		return ERR_NOMEM;
	out->n += b64url_encode(s->secret, sizeof s->secret, at);
	if (s->bound) {
		buf_add_char(out, '.');
		out->n += b64url_encode(s->client, sizeof s->client, out->p + out->n);
	}
	tag_of(key, sv_cut(buf_sv(out), start, out->n), out->p + out->n + 1);
	buf_add_char(out, '.');
	out->n += TAG_TEXT_LEN;
	return ERR_OK;
}

static bool is_one_of(struct sv name, const struct sv *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (sv_eq(names[i], name))
			return true;
	return false;
}

size_t cookie_names(const struct config *c, struct sv *ret)
{
	size_t n = 0;

	ret[n++] = SV(COOKIE_CSRF);
	ret[n++] = SV(COOKIE_LOGIN);
	ret[n++] = SV(COOKIE_LOGIN_PLAIN);
	ret[n++] = SV(COOKIE_LOOP);
	ret[n++] = SV(COOKIE_LOOP_PLAIN);
	ret[n++] = SV(COOKIE_LOGOUT);
	ret[n++] = SV(COOKIE_LOGOUT_DOMAIN);
	ret[n++] = SV(COOKIE_LOGOUT_PLAIN);
	for (size_t i = 0; i < c->napps; i++)
		if (!is_one_of(c->apps[i].cookie_name, ret, n))
			ret[n++] = c->apps[i].cookie_name;
	return n;
}

void cookie_strip(struct http_fields f, const struct sv *names, size_t nnames, struct buf *out)
{
	struct pieces p = {.f = f};
	size_t field = 0;
	bool first = true;
	struct piece piece;

	while (next_piece(&p, &piece)) {
		bool other_field = p.next != field;
		struct sv s = piece.whole;

		field = p.next;
		/* Without '=' the whole piece is its name: some servers read it so. */
		if (is_one_of(piece.name, names, nnames) || sv_has_control(s))
			continue;
		if (first || other_field)
			while (s.n > 0 && s.p[0] == ' ')
				s = sv_cut(s, 1, s.n);
		if (!first)
			buf_add(out, other_field ? SV("; ") : SV(";"));
		buf_add(out, s);
		first = false;
	}
}
