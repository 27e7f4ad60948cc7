#include "broker/vault.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "common/crypt.h"

#define VERSION 1
#define NONCE_AT 5
#define NONCE_LEN 12
#define BODY_AT (NONCE_AT + NONCE_LEN)
#define TAG_LEN 16
#define AAD_MAX (2 + VAULT_PURPOSE_MAX + 2 + 64 + 8)

static void put_be(struct buf *b, uint64_t v, unsigned bytes)
{
	while (bytes-- > 0)
		buf_add_char(b, (char)(unsigned char)(v >> (8 * bytes)));
}

/* Every part with its length: no two labels give the same bytes. */
static enum err aad_of(const struct vault_label *label, struct buf *aad)
{
	if (label->purpose.n == 0 || label->purpose.n > VAULT_PURPOSE_MAX || label->object.n == 0)
		return ERR_RANGE;
	put_be(aad, label->purpose.n, 2);
	buf_add(aad, label->purpose);
	put_be(aad, label->object.n, 2);
	buf_add(aad, label->object);
	put_be(aad, (uint64_t)label->generation, 8);
	return buf_ok(aad) ? ERR_OK : ERR_LIMIT;
}

static EVP_CIPHER_CTX *cipher_new(struct sv ring_key, const struct vault_label *label,
				  const unsigned char *nonce, int seal)
{
	unsigned char key[32];
	EVP_CIPHER_CTX *ctx = NULL;

	if (crypt_hkdf_sha256(ring_key, label->object, label->purpose, key, sizeof key) == ERR_OK)
		ctx = EVP_CIPHER_CTX_new();
	if (ctx != NULL && EVP_CipherInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, nonce, seal) != 1) {
		EVP_CIPHER_CTX_free(ctx);
		ctx = NULL;
	}
	OPENSSL_cleanse(key, sizeof key);
	return ctx;
}

/* One pass over aad and text; out has room for in.n bytes. */
static bool run(EVP_CIPHER_CTX *ctx, struct sv aad, struct sv in, unsigned char *out)
{
	int n = 0;

	if (EVP_CipherUpdate(ctx, NULL, &n, (const unsigned char *)aad.p, (int)aad.n) != 1)
		return false;
	if (in.n > 0 && EVP_CipherUpdate(ctx, out, &n, (const unsigned char *)in.p, (int)in.n) != 1)
		return false;
	return EVP_CipherFinal_ex(ctx, out + in.n, &n) == 1;
}

enum err vault_seal(const struct keyring *ring, const struct vault_label *label, struct sv plain,
		    struct buf *out)
{
	struct buf aad;
	EVP_CIPHER_CTX *ctx = NULL;
	uint32_t id = 0;
	struct sv key = SV_NONE;
	unsigned char nonce[NONCE_LEN], *p;
	enum err rc = ERR_LIMIT;

	buf_init(&aad, AAD_MAX);
	if (plain.n > VAULT_PLAIN_MAX)
		goto out;
	rc = keyring_primary(ring, &id, &key);
	if (rc == ERR_OK)
		rc = aad_of(label, &aad);
	if (rc != ERR_OK)
		goto out;
	rc = crypt_random(nonce, sizeof nonce);
	if (rc != ERR_OK)
		goto out;
	p = (unsigned char *)buf_reserve(out, VAULT_OVERHEAD + plain.n);
	rc = ERR_NOMEM;
	if (p == NULL)
		goto out;
	rc = ERR_CRYPTO;
	ctx = cipher_new(key, label, nonce, 1);
	if (ctx == NULL || !run(ctx, buf_sv(&aad), plain, p + BODY_AT) ||
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, p + BODY_AT + plain.n) != 1)
		goto out;
	p[0] = VERSION;
	for (unsigned i = 0; i < 4; i++)
		p[1 + i] = (unsigned char)(id >> (24 - 8 * i));
	memcpy(p + NONCE_AT, nonce, sizeof nonce);
	out->n += VAULT_OVERHEAD + plain.n;
	rc = ERR_OK;
out:
	EVP_CIPHER_CTX_free(ctx);
	buf_done(&aad);
	return rc;
}

static enum err open_body(struct sv key, const struct vault_label *label, struct sv sealed,
			  struct sv aad, struct buf *plain)
{
	const unsigned char *s = (const unsigned char *)sealed.p;
	struct sv body = sv_cut(sealed, BODY_AT, sealed.n - TAG_LEN);
	unsigned char tag[TAG_LEN];
	unsigned char *p = (unsigned char *)buf_reserve(plain, body.n + 1);
	EVP_CIPHER_CTX *ctx;
	bool ok;

	if (p == NULL)
		return ERR_NOMEM;
	ctx = cipher_new(key, label, s + NONCE_AT, 0);
	memcpy(tag, s + sealed.n - TAG_LEN, sizeof tag);
	ok = ctx != NULL && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, tag) == 1 &&
	     run(ctx, aad, body, p);
	plain->n = body.n; /* also on failure: buf_done() wipes what was written */
	EVP_CIPHER_CTX_free(ctx);
	return ok ? ERR_OK : ERR_CRYPTO;
}

enum err vault_open(const struct keyring *ring, const struct vault_label *label, struct sv sealed,
		    struct secret **ret)
{
	const unsigned char *s = (const unsigned char *)sealed.p;
	struct buf aad, plain;
	struct sv key = SV_NONE;
	uint32_t id = 0;
	enum err rc;

	if (sealed.n < VAULT_OVERHEAD || sealed.n > VAULT_OVERHEAD + VAULT_PLAIN_MAX)
		return ERR_CRYPTO;
	if (s[0] != VERSION)
		return ERR_UNSUPPORTED;
	for (unsigned i = 0; i < 4; i++)
		id = id << 8 | s[1 + i];
	rc = keyring_find(ring, id, &key);
	if (rc != ERR_OK)
		return rc;
	buf_init(&aad, AAD_MAX);
	buf_init(&plain, VAULT_PLAIN_MAX + 1);
	rc = aad_of(label, &aad);
	if (rc == ERR_OK)
		rc = open_body(key, label, sealed, buf_sv(&aad), &plain);
	if (rc == ERR_OK)
		rc = secret_new(buf_sv(&plain), ret);
	buf_done(&aad);
	buf_done(&plain);
	return rc;
}
