/*
 * tls - a listener's certificate, and whose certificates it takes
 *
 * TLS 1.2 and 1.3 with forward secrecy and AEAD alone, http/1.1 by ALPN, no compression, no
 * renegotiation. No session is resumed: tickets that all workers can read need one key for all,
 * kept in step over reloads, and a resumed session would outlive its certificate; edges keep their
 * connections.
 *
 * With tls_client_ca a handshake without a certificate of those authorities, for client
 * authentication, in its time and (tls_client_names) with one of those names fails. The files are
 * read once, at the worker's start; a later certificate comes with the next generation of workers.
 */
#ifndef BFF_TLS_H
#define BFF_TLS_H

#include "common/config.h"

/* Records of a connection, its handshake's included, that bring no bytes of a request. More end it:
 * each costs us more than who sends it, and one read takes all that are there. */
#define TLS_RECORDS_MAX 256

struct tls;
struct ssl_st;

/* ERR_CONFIG with a sentence that names the section's place and the file; ERR_NOMEM. */
WARN_UNUSED enum err tls_new(const struct config_listen *l, enum secret_file_mode mode,
			     struct tls **ret, struct errmsg *e);
void tls_free(struct tls **t);

/* A connection on fd, which stays the caller's, before its handshake: reading does that. SSL_free()
 * ends it. ERR_NOMEM. */
WARN_UNUSED enum err tls_accept(struct tls *t, int fd, struct ssl_st **ret);

/* Ended by TLS_RECORDS_MAX. */
bool tls_is_flooded(const struct ssl_st *ssl);

/* Why its handshake failed, or it was ended so, of the calling thread's errors; constant text. */
const char *tls_reason(const struct ssl_st *ssl);

/* The section's name. */
struct sv tls_name(const struct ssl_st *ssl);

#endif
