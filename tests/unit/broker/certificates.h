/* certificates - an authority of the test's own, and certificates by it */
#ifndef BFF_TEST_CERTIFICATES_H
#define BFF_TEST_CERTIFICATES_H

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "tests/unit/broker/signer.h"

static inline void certificate_extend(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *e;

	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	assert_non_null(e);
	assert_int_equal(X509_add_ext(x, e, -1), 1);
	X509_EXTENSION_free(e);
}

/* ca NULL: signs itself and is an authority; else for 127.0.0.1, as server and as client. */
static inline X509 *certificate_new(const char *name, EVP_PKEY *key, X509 *ca, EVP_PKEY *ca_key)
{
	static long serial;
	X509 *x = X509_new(), *issuer = ca == NULL ? x : ca;

	assert_non_null(x);
	assert_int_equal(X509_set_version(x, 2), 1);
	assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(x), ++serial), 1);
	assert_non_null(X509_gmtime_adj(X509_getm_notBefore(x), -3600));
	assert_non_null(X509_gmtime_adj(X509_getm_notAfter(x), 3600));
	assert_int_equal(X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_UTF8,
						    (const unsigned char *)name, -1, -1, 0),
			 1);
	assert_int_equal(X509_set_issuer_name(x, X509_get_subject_name(issuer)), 1);
	assert_int_equal(X509_set_pubkey(x, key), 1);
	certificate_extend(x, issuer, NID_basic_constraints,
			   ca == NULL ? "critical,CA:TRUE" : "critical,CA:FALSE");
	if (ca != NULL)
		certificate_extend(x, issuer, NID_subject_alt_name, "IP:127.0.0.1");
	if (ca == NULL)
		ca_key = key;
	assert_true(X509_sign(x, ca_key, EVP_PKEY_is_a(ca_key, "ED25519") ? NULL : EVP_sha256()) >
		    0);
	return x;
}

static inline void take_bio(struct buf *b, BIO *bio)
{
	char *p;
	long n = BIO_get_mem_data(bio, &p);

	assert_true(n > 0);
	buf_add(b, sv_of(p, (size_t)n));
	assert_true(buf_ok(b));
	BIO_free(bio);
}

static inline void put_certificate(struct buf *b, X509 *x)
{
	BIO *bio = BIO_new(BIO_s_mem());

	assert_int_equal(PEM_write_bio_X509(bio, x), 1);
	take_bio(b, bio);
}

/* passphrase NULL: in the clear. */
static inline void put_key(struct buf *b, EVP_PKEY *key, const char *passphrase)
{
	BIO *bio = BIO_new(BIO_s_mem());

	assert_int_equal(PEM_write_bio_PKCS8PrivateKey(
			     bio, key, passphrase == NULL ? NULL : EVP_aes_256_cbc(), passphrase,
			     passphrase == NULL ? 0 : (int)strlen(passphrase), NULL, NULL),
			 1);
	take_bio(b, bio);
}

/* As OpenSSL wrote keys before PKCS #8: RSA PRIVATE KEY, EC PRIVATE KEY. */
static inline void put_old_key(struct buf *b, EVP_PKEY *key)
{
	BIO *bio = BIO_new(BIO_s_mem());

	assert_int_equal(PEM_write_bio_PrivateKey_traditional(bio, key, NULL, NULL, 0, NULL, NULL),
			 1);
	take_bio(b, bio);
}

#endif
