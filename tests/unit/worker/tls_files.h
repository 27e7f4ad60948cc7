/*
 * tls_files - an authority, a server's and a client's certificate as files, made by the test
 *
 *	tls_files_make();  tf.server, tf.server_key, tf.ca, ...  tls_files_remove();
 */
#ifndef BFF_TESTS_TLS_FILES_H
#define BFF_TESTS_TLS_FILES_H

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/config.h"
#include "tests/unit/unit.h"

#define TLS_FILES_PATH 64

static struct {
	char dir[32];
	char ca[TLS_FILES_PATH], server[TLS_FILES_PATH], server_key[TLS_FILES_PATH],
	    client[TLS_FILES_PATH], client_key[TLS_FILES_PATH], junk[TLS_FILES_PATH],
	    locked[TLS_FILES_PATH];
	EVP_PKEY *authority;
	X509 *authority_cert;
} tf;

static inline X509 *tls_files_cert(const char *name, EVP_PKEY *key, const char *alt)
{
	X509 *cert = X509_new();
	X509_NAME *subject = X509_get_subject_name(cert);
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(
	    NULL, NULL, alt == NULL ? NID_basic_constraints : NID_subject_alt_name,
	    alt == NULL ? "critical,CA:TRUE" : alt);

	assert_int_equal(X509_set_version(cert, 2), 1);
	assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(cert), 1), 1);
	assert_non_null(X509_gmtime_adj(X509_getm_notBefore(cert), -3600));
	assert_non_null(X509_gmtime_adj(X509_getm_notAfter(cert), 3600));
	assert_int_equal(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
						    (const unsigned char *)name, -1, -1, 0),
			 1);
	assert_int_equal(X509_set_issuer_name(cert, tf.authority_cert == NULL
							? subject
							: X509_get_subject_name(tf.authority_cert)),
			 1);
	assert_int_equal(X509_set_pubkey(cert, key), 1);
	assert_int_equal(X509_add_ext(cert, ext, -1), 1);
	X509_EXTENSION_free(ext);
	assert_true(X509_sign(cert, tf.authority, EVP_sha256()) > 0);
	return cert;
}

static inline FILE *tls_files_open(const char *name, char path[TLS_FILES_PATH])
{
	FILE *f;

	(void)snprintf(path, TLS_FILES_PATH, "%s/%s", tf.dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fchmod(fileno(f), 0600), 0);
	return f;
}

static inline void tls_files_pair(const char *name, const char *alt, char cert_path[TLS_FILES_PATH],
				  char key_path[TLS_FILES_PATH])
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = tls_files_cert(name, key, alt);
	char file[32], passphrase[] = "x";
	FILE *f = tls_files_open(name, cert_path);

	assert_int_equal(PEM_write_X509(f, cert), 1);
	(void)fclose(f);
	(void)snprintf(file, sizeof file, "%s-key", name);
	f = tls_files_open(file, key_path);
	assert_int_equal(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL), 1);
	(void)fclose(f);
	if (tf.locked[0] == '\0') {
		f = tls_files_open("locked", tf.locked);
		assert_int_equal(
		    PEM_write_PrivateKey(f, key, EVP_aes_128_cbc(), NULL, 0, NULL, passphrase), 1);
		(void)fclose(f);
	}
	X509_free(cert);
	EVP_PKEY_free(key);
}

static inline void tls_files_make(void)
{
	FILE *f;

	memset(&tf, 0, sizeof tf);
	(void)snprintf(tf.dir, sizeof tf.dir, "/tmp/bff-tls.XXXXXX");
	assert_non_null(mkdtemp(tf.dir));
	tf.authority = EVP_EC_gen("P-256");
	tf.authority_cert = tls_files_cert("authority", tf.authority, NULL);
	f = tls_files_open("ca", tf.ca);
	assert_int_equal(PEM_write_X509(f, tf.authority_cert), 1);
	(void)fclose(f);
	tls_files_pair("server", "DNS:server.test", tf.server, tf.server_key);
	tls_files_pair("client", "DNS:edge.test", tf.client, tf.client_key);
	f = tls_files_open("junk", tf.junk);
	(void)fputs("no PEM\n", f);
	(void)fclose(f);
}

static inline void tls_files_remove(void)
{
	const char *const all[] = {tf.ca,	  tf.server, tf.server_key, tf.client,
				   tf.client_key, tf.junk,   tf.locked};

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		(void)unlink(all[i]);
	(void)rmdir(tf.dir);
	X509_free(tf.authority_cert);
	EVP_PKEY_free(tf.authority);
}

/* A listener of the server's certificate; the client asks for none of ours unless told. */
static inline struct config_listen tls_files_listen(void)
{
	return (struct config_listen){.name = SV("edge"),
				      .tls_certificate = sv_str(tf.server),
				      .tls_key = sv_str(tf.server_key),
				      .place = {.file = "bff.conf", .line = 7}};
}

static inline SSL *tls_files_client(int fd)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl;

	assert_non_null(ctx);
	assert_int_equal(SSL_CTX_load_verify_file(ctx, tf.ca), 1);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	ssl = SSL_new(ctx);
	SSL_CTX_free(ctx); /* the connection has its own reference */
	assert_int_equal(SSL_set1_host(ssl, "server.test"), 1);
	assert_int_equal(SSL_set_fd(ssl, fd), 1);
	SSL_set_connect_state(ssl);
	return ssl;
}

#endif
