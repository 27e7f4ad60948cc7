#include "broker/login_transaction.h"

#include "broker/id_token.h"

#define SEALED_MAX (2 * LOGIN_WORD_LEN + 1 + 8192)
#define MAX_AGE_DIGITS 10

static struct vault_label label_of(struct sv state_hash)
{
	return (struct vault_label){.purpose = SV("login"), .object = state_hash, .generation = 0};
}

enum err login_random_word(char out[LOGIN_WORD_LEN])
{
	unsigned char bytes[32];
	enum err rc = crypt_random(bytes, sizeof bytes);

	if (rc == ERR_OK)
		(void)b64url_encode(bytes, sizeof bytes, out);
	explicit_bzero(bytes, sizeof bytes);
	return rc;
}

enum err login_transaction_new(struct login_transaction *ret)
{
	enum err rc = login_random_word(ret->nonce);

	return rc == ERR_OK ? login_random_word(ret->verifier) : rc;
}

void login_transaction_wipe(struct login_transaction *t)
{
	explicit_bzero(t, sizeof *t);
}

enum err login_challenge(const struct login_transaction *t, char out[LOGIN_WORD_LEN])
{
	unsigned char hash[CRYPT_SHA256_LEN];
	enum err rc = crypt_sha256(sv_of(t->verifier, sizeof t->verifier), hash);

	if (rc == ERR_OK)
		(void)b64url_encode(hash, sizeof hash, out);
	return rc;
}

enum err login_transaction_seal(const struct keyring *ring, struct sv state_hash,
				const struct login_transaction *t, struct buf *out)
{
	struct vault_label label = label_of(state_hash);
	struct buf plain;
	enum err rc = ERR_LIMIT;

	buf_init(&plain, SEALED_MAX);
	buf_add(&plain, sv_of(t->nonce, sizeof t->nonce));
	buf_add(&plain, sv_of(t->verifier, sizeof t->verifier));
	buf_add_char(&plain, t->silent ? 's' : '-');
	buf_add(&plain, t->issuer);
	/* Only where there is something to say: a broker of the version before reads the rest. */
	if (t->acr_values.n > 0 || t->has_max_age) {
		buf_add_char(&plain, '\0');
		buf_add(&plain, t->acr_values);
		buf_add_char(&plain, '\0');
		if (t->has_max_age)
			buf_add_u64(&plain, t->max_age_s);
	}
	if (buf_ok(&plain))
		rc = vault_seal(ring, &label, buf_sv(&plain), out);
	buf_done(&plain);
	return rc;
}

/* "issuer", or "issuer NUL acr_values NUL max_age", of which the last may be empty. */
static enum err read_words(struct sv words, struct login_transaction *ret)
{
	size_t issuer_end = sv_find(words, '\0'), acr_end;
	uint64_t max_age;

	ret->issuer = sv_cut(words, 0, issuer_end);
	ret->acr_values = SV_NONE;
	ret->has_max_age = false;
	ret->max_age_s = 0;
	if (issuer_end == words.n)
		return ERR_OK;
	words = sv_cut(words, issuer_end + 1, words.n);
	acr_end = sv_find(words, '\0');
	if (acr_end == words.n)
		return ERR_SYNTAX;
	ret->acr_values = sv_cut(words, 0, acr_end);
	words = sv_cut(words, acr_end + 1, words.n);
	if (words.n == 0)
		return ERR_OK;
	if (words.n > MAX_AGE_DIGITS || sv_u64(words, UINT32_MAX, &max_age) != ERR_OK)
		return ERR_SYNTAX;
	ret->has_max_age = true;
	ret->max_age_s = (uint32_t)max_age;
	return ERR_OK;
}

enum err login_transaction_open(const struct keyring *ring, struct sv state_hash, struct sv sealed,
				struct secret **room, struct login_transaction *ret)
{
	struct vault_label label = label_of(state_hash);
	const size_t fixed = 2 * LOGIN_WORD_LEN + 1;
	struct sv plain;
	enum err rc = vault_open(ring, &label, sealed, room);

	if (rc != ERR_OK)
		return rc;
	plain = secret_view(*room);
	if (plain.n < fixed)
		return ERR_SYNTAX;
	memcpy(ret->nonce, plain.p, sizeof ret->nonce);
	memcpy(ret->verifier, plain.p + LOGIN_WORD_LEN, sizeof ret->verifier);
	ret->silent = plain.p[fixed - 1] == 's';
	return read_words(sv_cut(plain, fixed, plain.n), ret);
}

const char *login_transaction_unmet(const struct login_transaction *t,
				    const struct id_token_claims *claims, int64_t begun_s)
{
	if (t->acr_values.n > 0 && !sv_has_word(t->acr_values, claims->acr))
		return claims->acr.n == 0 ? "acr_missing" : "acr_unmet";
	if (!t->has_max_age)
		return NULL;
	if (!claims->has_auth_time)
		return "auth_time_missing";
	if (claims->auth_time_s < begun_s - (int64_t)t->max_age_s - JWT_SKEW_S)
		return "max_age_unmet";
	return NULL;
}
