#include "broker/token_seal.h"

#include <assert.h>

#include "broker/json_strict.h"
#include "broker/token_reply.h"
#include "common/b64.h"

#define TTL_LEN 8 /* bytes before a sealed access token: its lifetime in ms, big-endian */
#define PURPOSE_ACCESS SV("access:")

struct sv token_filed_as(const struct config_service *s)
{
	bool own = s->grant == GRANT_SESSION || s->grant == GRANT_ID_TOKEN;

	return own ? TOKEN_SESSION_SERVICE : s->name;
}

static void add_part(struct buf *b, struct sv s)
{
	buf_add_u64(b, s.n);
	buf_add_char(b, ':');
	buf_add(b, s);
}

enum err token_config_digest(const struct config_service *s, unsigned char out[CRYPT_SHA256_LEN])
{
	struct buf b;
	enum err rc = ERR_NOMEM;

	buf_init(&b, CONFIG_MAX_BYTES);
	add_part(&b, s->provider->name);
	add_part(&b, s->provider->issuer);
	add_part(&b, s->provider->client_id);
	add_part(&b, token_filed_as(s));
	if (s->grant != GRANT_SESSION && s->grant != GRANT_ID_TOKEN) {
		buf_add_u64(&b, (uint64_t)s->grant);
		add_part(&b, s->resource);
		add_part(&b, s->audience);
		for (size_t i = 0; i < s->scope.n; i++)
			add_part(&b, s->scope.v[i]);
	}
	if (buf_ok(&b))
		rc = crypt_sha256(buf_sv(&b), out);
	buf_done(&b);
	return rc;
}

static struct vault_label access_label(struct sv grant_id, struct sv filed_as, int64_t generation,
				       char purpose[VAULT_PURPOSE_MAX])
{
	size_t n = PURPOSE_ACCESS.n;

	memcpy(purpose, PURPOSE_ACCESS.p, n);
	if (filed_as.n <= VAULT_PURPOSE_MAX - n) {
		memcpy(purpose + n, filed_as.p, filed_as.n);
		n += filed_as.n;
	} else {
		n = 0; /* CONFIG_NAME_MAX is less; the vault refuses an empty purpose */
	}
	return (struct vault_label){
	    .purpose = sv_of(purpose, n), .object = grant_id, .generation = generation};
}

static_assert(CONFIG_NAME_MAX + 7 <= VAULT_PURPOSE_MAX, "a service's name fits its purpose");

enum err token_seal(const struct keyring *ring, struct sv grant_id, struct sv filed_as,
		    int64_t generation, struct sv token, int64_t ttl_ms, struct buf *out)
{
	char purpose[VAULT_PURPOSE_MAX];
	struct vault_label label = access_label(grant_id, filed_as, generation, purpose);
	struct buf plain;
	enum err rc = ERR_NOMEM;

	buf_init(&plain, TTL_LEN + IPC_TOKEN_MAX);
	for (int i = TTL_LEN - 1; i >= 0; i--)
		buf_add_char(&plain, (char)(unsigned char)((uint64_t)ttl_ms >> (8 * i)));
	buf_add(&plain, token);
	if (buf_ok(&plain))
		rc = vault_seal(ring, &label, buf_sv(&plain), out);
	buf_done(&plain);
	return rc;
}

static int64_t capped_ms(int64_t s)
{
	return 1000 * (s > TOKEN_TTL_MAX_S ? TOKEN_TTL_MAX_S : s);
}

/* Milliseconds until `exp`, and from `iat` to it, which may be any number that JSON has; the
 * signature was checked when it came. */
static struct token_held id_token_times(struct sv jwt, int64_t wall_s)
{
	struct token_held held = {0};
	size_t from = sv_find(jwt, '.') + 1, n = 0;
	struct sv rest = sv_cut(jwt, from, jwt.n);
	struct sv payload = sv_cut(rest, 0, sv_find(rest, '.'));
	struct json_object *o = NULL;
	struct buf text;
	char *room;
	int64_t exp = 0, iat = 0;

	buf_init(&text, VAULT_PLAIN_MAX);
	room = buf_reserve(&text, payload.n);
	if (room != NULL && b64url_decode(payload, room, payload.n, &n) == ERR_OK) {
		text.n = n;
		if (json_strict_parse(buf_sv(&text), VAULT_PLAIN_MAX, &o) == ERR_OK &&
		    json_get_date(o, "exp", &exp) == ERR_OK &&
		    json_get_date(o, "iat", &iat) == ERR_OK && exp > wall_s && exp > iat) {
			held.left_ms = capped_ms(exp - wall_s);
			held.ttl_ms = capped_ms(exp - iat);
		}
	}
	if (o != NULL)
		(void)json_object_put(o);
	buf_done(&text);
	return held;
}

static enum err open_id_token(const struct keyring *ring, const struct token_row *row,
			      int64_t wall_s, struct secret **ret, struct token_held *held)
{
	struct vault_label label = token_id_token_label(row->grant_id, row->id_token_generation);
	enum err rc;

	if (row->id_token_sealed.n == 0)
		return ERR_OK;
	rc = vault_open(ring, &label, row->id_token_sealed, ret);
	if (rc == ERR_OK)
		*held = id_token_times(secret_view(*ret), wall_s);
	return rc;
}

static enum err open_access(const struct keyring *ring, const struct token_row *row,
			    const struct token_ask *ask, struct secret **ret,
			    struct token_held *held)
{
	struct sv filed_as = token_filed_as(ask->service);
	char purpose[VAULT_PURPOSE_MAX];
	struct vault_label label =
	    access_label(row->grant_id, filed_as, row->token_generation, purpose);
	struct sv plain;
	uint64_t ttl = 0;
	enum err rc;

	if (row->token_sealed.n == 0 || row->token_left_ms <= 0)
		return ERR_OK;
	/* A login files without digest: its token is that of its own configuration. */
	if (!sv_eq(row->token_config, ask->config_digest) &&
	    !(row->token_config.n == 0 && sv_eq(filed_as, TOKEN_SESSION_SERVICE)))
		return ERR_OK;
	rc = vault_open(ring, &label, row->token_sealed, ret);
	if (rc != ERR_OK)
		return rc;
	plain = secret_view(*ret);
	if (plain.n <= TTL_LEN)
		return ERR_CRYPTO;
	for (size_t i = 0; i < TTL_LEN; i++)
		ttl = ttl << 8 | (unsigned char)plain.p[i];
	*held = (struct token_held){.left_ms = row->token_left_ms, .ttl_ms = (int64_t)ttl};
	return ERR_OK;
}

void token_open(const struct keyring *ring, const struct token_row *row,
		const struct token_ask *ask, int64_t wall_s, struct secret **ret,
		struct token_held *held, enum err *ret_failure)
{
	*ret = NULL;
	*held = (struct token_held){0};
	*ret_failure = ERR_OK;
	if (!sv_eq(row->state, SV("live")))
		return;
	*ret_failure = ask->service->grant == GRANT_ID_TOKEN
			   ? open_id_token(ring, row, wall_s, ret, held)
			   : open_access(ring, row, ask, ret, held);
	if (held->left_ms <= 0) {
		secret_free(ret);
		*held = (struct token_held){0};
	}
}

struct sv token_view(const struct config_service *s, const struct secret *opened)
{
	struct sv v = secret_view(opened);

	return s->grant == GRANT_ID_TOKEN ? v : sv_cut(v, TTL_LEN, v.n);
}

struct vault_label token_refresh_label(struct sv grant_id, int64_t generation)
{
	return (struct vault_label){
	    .purpose = SV("refresh"), .object = grant_id, .generation = generation};
}

struct vault_label token_id_token_label(struct sv grant_id, int64_t generation)
{
	return (struct vault_label){
	    .purpose = SV("id_token"), .object = grant_id, .generation = generation};
}
