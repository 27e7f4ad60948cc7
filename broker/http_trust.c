#include "broker/http_trust.h"

#include <dirent.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdlib.h>

struct http_trust {
	X509_STORE *store; /* NULL: the system's */
	bool by_hash;	   /* the system's directory names each of them by its hash */
	EVP_PKEY *key;	   /* NULL: no certificate */
	X509 *certificate;
	STACK_OF(X509) * chain;
	CURLSH *sessions;
};

/* The key is never asked for a passphrase. */
static int no_passphrase(char *buf, int size, int writing, void *arg)
{
	(void)buf, (void)size, (void)writing, (void)arg;
	return -1;
}

static enum err read_authorities(struct http_trust *t, struct sv pem)
{
	BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
	bool good = bio != NULL && (t->store = X509_STORE_new()) != NULL;
	size_t count = 0;
	X509 *x;

	/* An intermediate alone will do, as libcurl has it. */
	good = good && X509_STORE_set_flags(t->store, X509_V_FLAG_PARTIAL_CHAIN) == 1;
	while (good && (x = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL)) != NULL) {
		good = X509_STORE_add_cert(t->store, x) == 1;
		X509_free(x);
		count++;
	}
	BIO_free(bio);
	ERR_clear_error();
	return good && count > 0 ? ERR_OK : ERR_CONFIG;
}

static enum err read_client(struct http_trust *t, struct sv pem)
{
	BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
	bool good;
	X509 *x;

	t->key = bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
	BIO_free(bio);
	bio = BIO_new_mem_buf(pem.p, (int)pem.n);
	t->certificate = bio == NULL ? NULL : PEM_read_bio_X509(bio, NULL, no_passphrase, NULL);
	t->chain = sk_X509_new_null();
	good = t->key != NULL && t->certificate != NULL && t->chain != NULL &&
	       X509_check_private_key(t->certificate, t->key) == 1;
	while (good && (x = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL)) != NULL) {
		good = sk_X509_push(t->chain, x) > 0;
		if (!good)
			X509_free(x);
	}
	BIO_free(bio);
	ERR_clear_error();
	return good ? ERR_OK : ERR_CONFIG;
}

/* As openssl-rehash(1) makes them; images that took the bundle alone have none. */
static bool has_hashes(const char *folder)
{
	DIR *d = folder == NULL ? NULL : opendir(folder);
	const struct dirent *e;
	bool found = false;

	while (d != NULL && !found && (e = readdir(d)) != NULL)
		found =
		    strspn(e->d_name, "0123456789abcdef") == 8 && strcmp(e->d_name + 8, ".0") == 0;
	if (d != NULL)
		(void)closedir(d); /* was only read */
	return found;
}

enum err http_trust_new(struct sv ca, struct sv client, struct http_trust **ret)
{
	struct http_trust *t = calloc(1, sizeof *t);
	enum err e = ERR_OK;

	if (t == NULL)
		return ERR_NOMEM;
	if (ca.n > INT32_MAX || client.n > INT32_MAX)
		e = ERR_CONFIG;
	if (ca.n > 0 && e == ERR_OK)
		e = read_authorities(t, ca);
	else if (ca.n == 0)
		t->by_hash = has_hashes(curl_version_info(CURLVERSION_NOW)->capath);
	if (e == ERR_OK && client.n > 0)
		e = read_client(t, client);
	if (e == ERR_OK && ((t->sessions = curl_share_init()) == NULL ||
			    curl_share_setopt(t->sessions, CURLSHOPT_SHARE,
					      CURL_LOCK_DATA_SSL_SESSION) != CURLSHE_OK))
		e = ERR_NOMEM;
	if (e != ERR_OK) {
		http_trust_free(&t);
		return e;
	}
	*ret = t;
	return ERR_OK;
}

void http_trust_free(struct http_trust **t)
{
	if (*t == NULL)
		return;
	X509_STORE_free((*t)->store);
	EVP_PKEY_free((*t)->key);
	X509_free((*t)->certificate);
	sk_X509_pop_free((*t)->chain, X509_free);
	if ((*t)->sessions != NULL)
		(void)curl_share_cleanup((*t)->sessions); /* no handle uses it any more */
	free(*t);
	*t = NULL;
}

bool http_trust_shows_certificate(const struct http_trust *t)
{
	return t != NULL && t->certificate != NULL;
}

static CURLcode on_context(CURL *easy, void *context, void *arg)
{
	const struct http_trust *t = arg;
	SSL_CTX *ctx = context;

	(void)easy;
	if (t->store != NULL)
		SSL_CTX_set1_cert_store(ctx, t->store);
	if (t->certificate != NULL &&
	    (SSL_CTX_use_certificate(ctx, t->certificate) != 1 ||
	     SSL_CTX_use_PrivateKey(ctx, t->key) != 1 || SSL_CTX_set1_chain(ctx, t->chain) != 1)) {
		ERR_clear_error();
		return CURLE_SSL_CERTPROBLEM;
	}
	return CURLE_OK;
}

/* The system's authorities are those of the directory, each found when it is needed: the bundle,
 * where there is nothing else, is read as a whole for every connection. */
enum err http_trust_set(const struct http_trust *t, CURL *easy)
{
	union {
		const struct http_trust *in;
		void *out;
	} arg = {.in = t}; /* curl_easy_setopt() takes no const; on_context() only reads */

	if (curl_easy_setopt(easy, CURLOPT_SHARE, t->sessions) != CURLE_OK ||
	    ((t->store != NULL || t->by_hash) &&
	     curl_easy_setopt(easy, CURLOPT_CAINFO, NULL) != CURLE_OK) ||
	    (!t->by_hash && curl_easy_setopt(easy, CURLOPT_CAPATH, NULL) != CURLE_OK) ||
	    curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, on_context) != CURLE_OK ||
	    curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, arg.out) != CURLE_OK)
		return ERR_NOMEM;
	return ERR_OK;
}
