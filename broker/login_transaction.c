#include "broker/login_transaction.h"

#define SEALED_MAX (2 * LOGIN_WORD_LEN + 1 + 8192)

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
	if (buf_ok(&plain))
		rc = vault_seal(ring, &label, buf_sv(&plain), out);
	buf_done(&plain);
	return rc;
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
	ret->issuer = sv_cut(plain, fixed, plain.n);
	return ERR_OK;
}
