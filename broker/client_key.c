#include "broker/client_key.h"

#include <json-c/json.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>

#include "common/b64.h"
#include "common/crypt.h"

#define JTI_BYTES 16
#define ASSERTION_HEADER_MAX 256

/* One block of the file: what it is called between the dashes, its header lines, its bytes. */
typedef enum err (*block_fn)(void *arg, const char *name, const char *header,
			     const unsigned char *data, long n);

static enum err each_block(struct sv pem, block_fn fn, void *arg)
{
	BIO *bio;
	unsigned char *data = NULL;
	char *name = NULL, *header = NULL;
	long n = 0;
	enum err e = ERR_OK;

	if (pem.n == 0 || pem.n > INT32_MAX)
		return ERR_CONFIG;
	bio = BIO_new_mem_buf(pem.p, (int)pem.n);
	if (bio == NULL)
		return ERR_NOMEM;
	while (e == ERR_OK && PEM_read_bio(bio, &name, &header, &data, &n) == 1) {
		e = fn(arg, name, header, data, n);
		OPENSSL_free(name);
		OPENSSL_free(header);
		OPENSSL_clear_free(data, (size_t)n);
	}
	/* Anything but "no further block" is a block that does not end or is no base64. */
	if (e == ERR_OK && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		e = ERR_CONFIG;
	ERR_clear_error();
	BIO_free(bio);
	return e;
}

struct reading {
	struct client_keys *keys;
	bool certificate_seen;
	const char *why;
};

static enum err refuse(struct reading *r, const char *why)
{
	r->why = why;
	return ERR_CONFIG;
}

static bool strong(const struct client_key *k)
{
	int bits = EVP_PKEY_get_bits(k->pkey);

	return k->type != JOSE_KEY_RSA || (bits >= JOSE_RSA_BITS_MIN && bits <= JOSE_RSA_BITS_MAX);
}

static enum err on_key(void *arg, const char *name, const char *header, const unsigned char *data,
		       long n)
{
	struct reading *r = arg;
	struct client_keys *all = r->keys;
	struct client_key *k = &all->keys[all->n];

	if (strcmp(name, "CERTIFICATE") == 0 || strcmp(name, "EC PARAMETERS") == 0)
		return ERR_OK;
	if (strstr(name, "ENCRYPTED") != NULL || header[0] != '\0')
		return refuse(r, "expected keys without a passphrase: the file's mode guards them");
	if (strcmp(name, "PRIVATE KEY") != 0 && strcmp(name, "RSA PRIVATE KEY") != 0 &&
	    strcmp(name, "EC PRIVATE KEY") != 0)
		return refuse(r, "expected private keys and certificates alone");
	if (all->n == CLIENT_KEYS_MAX)
		return refuse(r, "expected at most 8 private keys");
	k->pkey = d2i_AutoPrivateKey(NULL, &data, n);
	if (k->pkey == NULL)
		return refuse(r, "expected private keys in PEM, one cannot be read");
	all->n++; /* it is freed with the others from here on */
	k->type = jose_key_type_of(k->pkey);
	if (k->type == 0 || !strong(k))
		return refuse(r, "expected keys of RSA (2048 to 8192 bits), EC P-256 or Ed25519");
	return jwk_thumbprint(k->pkey, k->kid);
}

static enum err on_certificate(void *arg, const char *name, const char *header,
			       const unsigned char *data, long n)
{
	unsigned char hash[CRYPT_SHA256_LEN];
	struct sv der = sv_of((const char *)data, (size_t)n);
	struct reading *r = arg;
	struct client_keys *all = r->keys;
	X509 *x;
	enum err e = ERR_OK;

	(void)header;
	if (strcmp(name, "CERTIFICATE") != 0)
		return ERR_OK;
	x = d2i_X509(NULL, &data, n);
	if (x == NULL)
		return refuse(r, "expected certificates in PEM, one cannot be read");
	for (size_t i = 0; i < all->n && e == ERR_OK; i++) {
		struct client_key *k = &all->keys[i];

		if (k->has_certificate || X509_check_private_key(x, k->pkey) != 1)
			continue;
		e = crypt_sha256(der, hash);
		(void)b64url_encode(hash, sizeof hash, k->x5t);
		k->has_certificate = true;
		all->certificate_first = all->certificate_first || (i == 0 && !r->certificate_seen);
	}
	r->certificate_seen = true;
	X509_free(x);
	return e;
}

enum err client_keys_read(struct sv pem, struct client_keys **ret, const char **ret_why)
{
	struct reading r = {.keys = calloc(1, sizeof *r.keys),
			    .why = "expected private keys in PEM"};
	enum err e = r.keys == NULL ? ERR_NOMEM : each_block(pem, on_key, &r);

	if (e == ERR_OK && r.keys->n == 0)
		e = ERR_CONFIG;
	if (e == ERR_OK)
		e = each_block(pem, on_certificate, &r);
	if (e != ERR_OK) {
		client_keys_free(&r.keys);
		*ret_why = r.why;
		return e == ERR_NOMEM ? ERR_NOMEM : ERR_CONFIG;
	}
	*ret = r.keys;
	return ERR_OK;
}

void client_keys_free(struct client_keys **k)
{
	if (*k == NULL)
		return;
	for (size_t i = 0; i < (*k)->n; i++)
		EVP_PKEY_free((*k)->keys[i].pkey);
	free(*k);
	*k = NULL;
}

static enum err on_authority(void *arg, const char *name, const char *header,
			     const unsigned char *data, long n)
{
	size_t *count = arg;
	X509 *x;

	(void)header;
	if (strcmp(name, "CERTIFICATE") != 0)
		return ERR_CONFIG;
	x = d2i_X509(NULL, &data, n);
	*count += x != NULL;
	X509_free(x);
	return x == NULL ? ERR_CONFIG : ERR_OK;
}

enum err client_certificates_check(struct sv pem)
{
	size_t count = 0;
	enum err e = each_block(pem, on_authority, &count);

	return e == ERR_OK && count == 0 ? ERR_CONFIG : e;
}

enum err client_keys_print(const struct client_keys *k, struct buf *out)
{
	enum err e = ERR_OK;

	buf_add(out, SV("{\"keys\":["));
	for (size_t i = 0; i < k->n && e == ERR_OK; i++) {
		if (i > 0)
			buf_add_char(out, ',');
		e = jwk_write(k->keys[i].pkey, sv_of(k->keys[i].kid, JWK_THUMBPRINT_LEN), out);
	}
	buf_add(out, SV("]}"));
	return e == ERR_OK && !buf_ok(out) ? ERR_NOMEM : e;
}

static enum config_alg alg_of(const struct client_key *k, enum config_alg rsa)
{
	switch (k->type) {
	case JOSE_KEY_RSA:
		return rsa;
	case JOSE_KEY_P256:
		return ALG_ES256;
	case JOSE_KEY_ED25519:
		return ALG_EDDSA;
	}
	return 0;
}

static bool add_text(struct json_object *o, const char *name, struct sv value)
{
	struct json_object *v = json_object_new_string_len(value.p, (int)value.n);

	return v != NULL && json_object_object_add(o, name, v) == 0;
}

static bool add_time(struct json_object *o, const char *name, int64_t at_s)
{
	struct json_object *v = json_object_new_int64(at_s);

	return v != NULL && json_object_object_add(o, name, v) == 0;
}

static enum err claims(struct json_object *o, struct sv client_id, struct sv audience,
		       int64_t now_s)
{
	unsigned char random[JTI_BYTES];
	char jti[B64URL_LEN(JTI_BYTES)];
	enum err e = crypt_random(random, sizeof random);

	if (e != ERR_OK)
		return e;
	(void)b64url_encode(random, sizeof random, jti);
	if (!add_text(o, "iss", client_id) || !add_text(o, "sub", client_id) ||
	    !add_text(o, "aud", audience) || !add_text(o, "jti", sv_of(jti, sizeof jti)) ||
	    !add_time(o, "iat", now_s) || !add_time(o, "exp", now_s + CLIENT_ASSERTION_TTL_S))
		return ERR_NOMEM;
	return ERR_OK;
}

enum err client_assertion(const struct client_keys *k, enum config_alg rsa, struct sv client_id,
			  struct sv audience, int64_t now_s, struct buf *out)
{
	const struct client_key *key = &k->keys[0];
	struct json_object *o = json_object_new_object();
	enum config_alg alg = alg_of(key, rsa);
	const char *payload;
	struct buf header;
	enum err e = o == NULL ? ERR_NOMEM : claims(o, client_id, audience, now_s);

	buf_init(&header, ASSERTION_HEADER_MAX);
	buf_addf(&header, "{\"alg\":\"%s\",\"typ\":\"JWT\",\"kid\":\"%.*s\"", jws_alg_name(alg),
		 JWK_THUMBPRINT_LEN, key->kid);
	if (key->has_certificate)
		buf_addf(&header, ",\"x5t#S256\":\"%.*s\"", JWK_THUMBPRINT_LEN, key->x5t);
	buf_add_char(&header, '}');
	payload = e == ERR_OK ? json_object_to_json_string_ext(
				    o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)
			      : NULL;
	if (e == ERR_OK && (payload == NULL || !buf_ok(&header)))
		e = ERR_NOMEM;
	if (e == ERR_OK)
		e = jws_sign(key->pkey, alg, buf_sv(&header), sv_str(payload), out);
	buf_done(&header);
	(void)json_object_put(o);
	return e;
}
