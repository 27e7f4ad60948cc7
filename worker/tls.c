#include "worker/tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

struct tls {
	SSL_CTX *ctx;
	struct sv name;
};

static const char *first_error(void)
{
	unsigned long error = ERR_peek_error();
	const char *text = ERR_SYSTEM_ERROR(error) ? strerror(ERR_GET_REASON(error))
						   : ERR_reason_error_string(error);

	return text == NULL ? "not understood" : text;
}

static enum err refuse(const struct config_listen *l, const char *option, const char *file,
		       struct errmsg *e)
{
	enum err rc =
	    errmsg_set(e, ERR_CONFIG, "%s:%u: listen " SV_FMT ": %s: %s: %s", l->place.file,
		       l->place.line, SV_ARG(l->name), option, file, first_error());

	ERR_clear_error();
	return rc;
}

/* SECURITY: a key under a passphrase is refused; without this OpenSSL would ask a terminal. */
static int no_passphrase(char *buf, int size, int writing, void *arg)
{
	(void)buf;
	(void)size;
	(void)writing;
	(void)arg;
	return -1;
}

static enum err use_key(SSL_CTX *ctx, const struct config_listen *l, enum secret_file_mode mode,
			struct errmsg *e)
{
	char path[4096];
	struct secret *file = NULL;
	EVP_PKEY *key = NULL;
	BIO *bio;
	struct errmsg why;
	enum err rc = config_secret_path(l->tls_key, path, sizeof path);

	if (rc != ERR_OK)
		return errmsg_set(e, rc, "listen " SV_FMT ": tls_key: too long", SV_ARG(l->name));
	rc = secret_read_file(path, mode, &file, &why);
	if (rc != ERR_OK)
		return errmsg_set(e, rc, "%s:%u: listen " SV_FMT ": tls_key: %s", l->place.file,
				  l->place.line, SV_ARG(l->name), why.text);
	bio = BIO_new_mem_buf(secret_view(file).p, (int)secret_view(file).n);
	if (bio != NULL)
		key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
	/* The certificate is there already: a key of another one is refused here. */
	if (key == NULL || SSL_CTX_use_PrivateKey(ctx, key) != 1)
		rc = refuse(l, "tls_key", path, e);
	EVP_PKEY_free(key);
	BIO_free(bio);
	secret_free(&file);
	return rc;
}

static enum err ask_clients(SSL_CTX *ctx, const struct config_listen *l, struct errmsg *e)
{
	X509_VERIFY_PARAM *param = SSL_CTX_get0_param(ctx);
	STACK_OF(X509_NAME) * names;

	if (l->tls_client_ca.n == 0)
		return ERR_OK;
	names = SSL_load_client_CA_file(l->tls_client_ca.p);
	if (names == NULL || SSL_CTX_load_verify_file(ctx, l->tls_client_ca.p) != 1) {
		sk_X509_NAME_pop_free(names, X509_NAME_free);
		return refuse(l, "tls_client_ca", l->tls_client_ca.p, e);
	}
	SSL_CTX_set_client_CA_list(ctx, names); /* takes them */
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT |
						   X509_CHECK_FLAG_NO_WILDCARDS);
	for (size_t i = 0; i < l->tls_client_names.n; i++)
		if (X509_VERIFY_PARAM_add1_host(param, l->tls_client_names.v[i].p,
						l->tls_client_names.v[i].n) != 1)
			return errmsg_set(e, ERR_NOMEM, "tls: out of memory");
	return ERR_OK;
}

/* A client that offers protocols must offer ours; one that offers none is taken. */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_n,
			   const unsigned char *in, unsigned in_n, void *arg)
{
	static const unsigned char ours[] = "\x08http/1.1";
	unsigned char *chosen;

	(void)ssl;
	(void)arg;
	if (SSL_select_next_proto(&chosen, out_n, ours, sizeof ours - 1, in, in_n) !=
	    OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = chosen;
	return SSL_TLSEXT_ERR_OK;
}

static bool restrict_protocol(SSL_CTX *ctx)
{
	SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
				     SSL_OP_NO_TICKET | SSL_OP_CIPHER_SERVER_PREFERENCE);
	(void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	/* Buffers while bytes are in them; and one read for a whole record. */
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
				  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_read_ahead(ctx, 1);
	SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
	return SSL_CTX_set_num_tickets(ctx, 0) == 1 &&
	       SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
	       SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20") == 1;
}

enum err tls_new(const struct config_listen *l, enum secret_file_mode mode, struct tls **ret,
		 struct errmsg *e)
{
	struct tls *t = calloc(1, sizeof *t);
	enum err rc = ERR_OK;

	if (t == NULL)
		return errmsg_set(e, ERR_NOMEM, "tls: out of memory");
	t->name = l->name;
	t->ctx = SSL_CTX_new(TLS_server_method());
	ERR_clear_error();
	if (t->ctx == NULL || !restrict_protocol(t->ctx))
		rc = errmsg_set(e, ERR_NOMEM, "tls: out of memory");
	if (rc == ERR_OK && SSL_CTX_use_certificate_chain_file(t->ctx, l->tls_certificate.p) != 1)
		rc = refuse(l, "tls_certificate", l->tls_certificate.p, e);
	if (rc == ERR_OK)
		rc = use_key(t->ctx, l, mode, e);
	if (rc == ERR_OK)
		rc = ask_clients(t->ctx, l, e);
	if (rc != ERR_OK) {
		tls_free(&t);
		return rc;
	}
	SSL_CTX_set_app_data(t->ctx, t);
	*ret = t;
	return ERR_OK;
}

void tls_free(struct tls **t)
{
	if (*t == NULL)
		return;
	SSL_CTX_free((*t)->ctx);
	free(*t);
	*t = NULL;
}

bool tls_is_flooded(const SSL *ssl)
{
	return (uintptr_t)SSL_get_app_data(ssl) > TLS_RECORDS_MAX;
}

/* SECURITY: see TLS_RECORDS_MAX. A version's records say what they are in different places; where
 * nothing can be read any more the read that runs now ends, and fails. */
static void on_record(int is_write, int version, int what, const void *buf, size_t n, SSL *ssl,
		      void *arg)
{
	bool typed = what == SSL3_RT_HEADER || what == SSL3_RT_INNER_CONTENT_TYPE;

	(void)version;
	(void)arg;
	if (is_write != 0 || !typed || n == 0 ||
	    *(const unsigned char *)buf == SSL3_RT_APPLICATION_DATA)
		return;
	/* Its place was made in tls_accept(). */
	(void)SSL_set_app_data(ssl, (void *)((uintptr_t)SSL_get_app_data(ssl) + 1));
	if (tls_is_flooded(ssl))
		SSL_set0_rbio(ssl, BIO_new(BIO_s_null()));
}

enum err tls_accept(struct tls *t, int fd, SSL **ret)
{
	SSL *ssl = SSL_new(t->ctx);

	if (ssl == NULL || SSL_set_fd(ssl, fd) != 1 || SSL_set_app_data(ssl, NULL) != 1) {
		SSL_free(ssl);
		ERR_clear_error();
		return ERR_NOMEM;
	}
	SSL_set_msg_callback(ssl, on_record);
	SSL_set_accept_state(ssl);
	*ret = ssl;
	return ERR_OK;
}

const char *tls_reason(const SSL *ssl)
{
	long verified = SSL_get_verify_result(ssl);

	if (tls_is_flooded(ssl))
		return "too many records that say nothing";
	return verified == X509_V_OK ? first_error() : X509_verify_cert_error_string(verified);
}

struct sv tls_name(const SSL *ssl)
{
	const struct tls *t = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

	return t->name;
}
