/*
 * client_credential - what one provider registration authenticates with, and whom it trusts
 *
 * Read from the files that the configuration names when the provider is made, and kept as long as
 * it: a client secret, or private keys (client_key.h); for mutual TLS and for access tokens that
 * are bound to a certificate (RFC 8705 2 and 3) key and certificate; and the certificate
 * authorities of ca_file.
 */
#ifndef BFF_CLIENT_CREDENTIAL_H
#define BFF_CLIENT_CREDENTIAL_H

#include "broker/client_key.h"
#include "broker/http_trust.h"
#include "common/secret.h"

#define CLIENT_CA_FILE_MAX (1024 * 1024)

struct client_credential {
	struct secret *secret;	  /* of client_secret_* */
	struct client_keys *keys; /* of private_key_jwt */
	struct http_trust *trust;
};

/* What stands in the files. */
struct client_files {
	struct sv secret;      /* client_secret_file or client_key_file */
	struct sv certificate; /* client_certificate_file, or empty */
	struct sv ca;	       /* ca_file, or empty */
};

/* Copies what it needs. ERR_CONFIG: "FILE:LINE: OPTION: ..." in *msg; ERR_NOMEM. */
WARN_UNUSED enum err client_credential_new(const struct config_provider *p,
					   const struct client_files *files,
					   struct client_credential **ret, struct errmsg *msg);

/* The same from the files that the provider's section names. */
WARN_UNUSED enum err client_credential_read(const struct config *c, const struct config_provider *p,
					    struct client_credential **ret, struct errmsg *msg);

/* Wipes. Accepts NULL. */
void client_credential_free(struct client_credential **c);

#endif
