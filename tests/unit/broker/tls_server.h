/* tls_server - an HTTPS server in a process of its own: answers every request with the body of the
 * first path that fits, in which %s stands for the name in the client's certificate ("none" without
 * one); Retry-After is 1 where the TLS session was resumed, else 0. Ends with the test's process.
 */
#ifndef BFF_TEST_TLS_SERVER_H
#define BFF_TEST_TLS_SERVER_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/broker/certificates.h"

struct tls_row {
	const char *path; /* with the method: "POST /token"; NULL ends the table */
	char body[1024];
};

struct tls_server {
	pid_t pid;
	int fd;
	uint16_t port;
	EVP_PKEY *ca_key, *key;
	X509 *ca, *certificate;
};

static inline void tls_answer(SSL *ssl, const struct tls_row *rows)
{
	char in[65536], body[1200] = "", name[128] = "none", out[2048];
	X509 *peer = SSL_get0_peer_certificate(ssl);
	int n = 0, k;

	/* Whole: the body of a POST follows its head in a record of its own. */
	do {
		k = SSL_read(ssl, in + n, (int)sizeof in - 1 - n);
		n += k > 0 ? k : 0;
		in[n] = '\0';
	} while (k > 0 && (strstr(in, "\r\n\r\n") == NULL ||
			   (in[0] == 'P' && strstr(in, "\r\n\r\n")[4] == '\0')));
	if (peer != NULL)
		(void)X509_NAME_get_text_by_NID(X509_get_subject_name(peer), NID_commonName, name,
						sizeof name);
	for (; rows->path != NULL; rows++) {
		const char *at = strstr(rows->body, "%s");

		if (strncmp(in, rows->path, strlen(rows->path)) != 0)
			continue;
		if (at == NULL)
			snprintf(body, sizeof body, "%s", rows->body);
		else
			snprintf(body, sizeof body, "%.*s%s%s", (int)(at - rows->body), rows->body,
				 name, at + 2);
		break;
	}
	n = snprintf(out, sizeof out,
		     "HTTP/1.1 %d x\r\nConnection: close\r\nRetry-After: %d\r\nContent-Length: "
		     "%zu\r\n\r\n%s",
		     rows->path == NULL ? 404 : 200, SSL_session_reused(ssl), strlen(body), body);
	(void)SSL_write(ssl, out, n);
	(void)SSL_shutdown(ssl);
}

static inline void tls_serve(struct tls_server *s, const struct tls_row *rows)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)signal(SIGPIPE, SIG_IGN);
	SSL_CTX_use_certificate(ctx, s->certificate);
	SSL_CTX_use_PrivateKey(ctx, s->key);
	X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), s->ca);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL); /* asks, and takes none */
	SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"test", 4);
	for (;;) {
		int fd = accept(s->fd, NULL, NULL);
		SSL *ssl = SSL_new(ctx);

		SSL_set_fd(ssl, fd);
		if (SSL_accept(ssl) == 1)
			tls_answer(ssl, rows);
		SSL_free(ssl);
		close(fd);
	}
}

/* Listens; rows may still be written until tls_server_run(). */
static inline void tls_server_bind(struct tls_server *s)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof in;

	s->ca_key = signer_key(ALG_ES256);
	s->key = signer_key(ALG_ES256);
	s->ca = certificate_new("the test's authority", s->ca_key, NULL, NULL);
	s->certificate = certificate_new("server", s->key, s->ca, s->ca_key);
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(s->fd, (struct sockaddr *)&in, sizeof in), 0);
	assert_int_equal(listen(s->fd, 16), 0);
	assert_int_equal(getsockname(s->fd, (struct sockaddr *)&in, &len), 0);
	s->port = ntohs(in.sin_port);
}

static inline void tls_server_run(struct tls_server *s, const struct tls_row *rows)
{
	s->pid = fork();
	assert_true(s->pid != -1);
	if (s->pid == 0)
		tls_serve(s, rows);
}

static inline void tls_server_stop(struct tls_server *s)
{
	assert_int_equal(kill(s->pid, SIGKILL), 0);
	assert_int_equal(waitpid(s->pid, NULL, 0), s->pid);
	close(s->fd);
	X509_free(s->certificate);
	X509_free(s->ca);
	EVP_PKEY_free(s->key);
	EVP_PKEY_free(s->ca_key);
}

/* Key and certificate of a client that the server's authority knows, or of one that it does not. */
static inline void tls_client_pem(struct tls_server *s, const char *name, struct buf *pem)
{
	EVP_PKEY *key = signer_key(ALG_ES256);
	X509 *x = certificate_new(name, key, s->ca, s->ca_key);

	put_key(pem, key, NULL);
	put_certificate(pem, x);
	put_certificate(pem, s->ca);
	X509_free(x);
	EVP_PKEY_free(key);
}

#endif
