#include "broker/client_credential.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

static enum err complain(const struct config_provider *p, const char *option, const char *text,
			 struct errmsg *msg)
{
	return errmsg_set(msg, ERR_CONFIG, "%s:%u: %s: %s", p->place.file, p->place.line, option,
			  text);
}

static enum err take_keys(const struct config_provider *p, struct sv pem,
			  struct client_credential *c, struct errmsg *msg)
{
	const char *why = "";
	enum err e = client_keys_read(pem, &c->keys, &why);

	if (e == ERR_CONFIG)
		return complain(p, "client_key_file", why, msg);
	return e;
}

static enum err check_certificate(const struct config_provider *p, const char *option,
				  struct sv pem, struct errmsg *msg)
{
	struct client_keys *keys = NULL;
	const char *why = "expected a private key and then its certificate and chain";
	enum err e = client_keys_read(pem, &keys, &why);

	if (e == ERR_CONFIG || (e == ERR_OK && !keys->certificate_first))
		e = complain(p, option, why, msg);
	client_keys_free(&keys);
	return e;
}

static enum err take_trust(const struct config_provider *p, const struct client_files *files,
			   struct client_credential *c, struct errmsg *msg)
{
	bool tls = p->client_auth == CLIENT_TLS;
	struct sv certificate = tls ? files->secret : files->certificate;
	enum err e = ERR_OK;

	if (tls || certificate.n > 0)
		e = check_certificate(p, tls ? "client_key_file" : "client_certificate_file",
				      certificate, msg);
	if (e == ERR_OK && files->ca.n > 0 && client_certificates_check(files->ca) != ERR_OK)
		e = complain(p, "ca_file", "expected certificates in PEM, and nothing else", msg);
	if (e == ERR_OK)
		e = http_trust_new(files->ca, certificate, &c->trust);
	return e;
}

static enum err take(const struct config_provider *p, const struct client_files *files,
		     struct client_credential *c, struct errmsg *msg)
{
	enum err e = ERR_UNSUPPORTED;

	switch (p->client_auth) {
	case CLIENT_SECRET_BASIC:
	case CLIENT_SECRET_POST:
		e = secret_new(files->secret, &c->secret);
		break;
	case CLIENT_PRIVATE_KEY_JWT:
		e = take_keys(p, files->secret, c, msg);
		break;
	case CLIENT_TLS:
		e = ERR_OK;
		break;
	}
	return e == ERR_OK ? take_trust(p, files, c, msg) : e;
}

enum err client_credential_new(const struct config_provider *p, const struct client_files *files,
			       struct client_credential **ret, struct errmsg *msg)
{
	struct client_credential *c = calloc(1, sizeof *c);
	enum err e;

	(void)errmsg_set(msg, ERR_NOMEM, "out of memory");
	if (c == NULL)
		return ERR_NOMEM;
	e = take(p, files, c, msg);
	if (e == ERR_OK)
		*ret = c;
	else
		client_credential_free(&c);
	return e;
}

/* Public, so its mode does not matter. */
static enum err read_ca(const struct config_provider *p, struct buf *out, struct errmsg *msg)
{
	FILE *f;
	char *at;

	if (p->ca_file.n == 0)
		return ERR_OK;
	f = fopen(p->ca_file.p, "re"); /* NUL-terminated: config.h */
	if (f == NULL)
		return complain(p, "ca_file", strerror(errno), msg);
	at = buf_reserve(out, CLIENT_CA_FILE_MAX);
	if (at != NULL)
		out->n = fread(at, 1, CLIENT_CA_FILE_MAX, f);
	if (at != NULL && (ferror(f) != 0 || out->n == 0 || fgetc(f) != EOF))
		at = NULL;
	(void)fclose(f); /* read only: nothing to lose */
	return at != NULL ? ERR_OK
			  : complain(p, "ca_file", "expected a file of 1 byte to 1 MiB", msg);
}

static enum err read_secret(const struct config *c, const struct config_provider *p,
			    const char *option, struct sv file, struct secret **ret,
			    struct errmsg *msg)
{
	char path[PATH_MAX];

	if (config_secret_path(file, path, sizeof path) != ERR_OK)
		return complain(p, option, "path too long", msg);
	return secret_read_file(path, c->broker.secret_files, ret, msg);
}

enum err client_credential_read(const struct config *c, const struct config_provider *p,
				struct client_credential **ret, struct errmsg *msg)
{
	bool by_key = p->client_key_file.n > 0;
	struct secret *secret = NULL, *certificate = NULL;
	struct client_files files;
	struct buf ca;
	enum err e = read_secret(c, p, by_key ? "client_key_file" : "client_secret_file",
				 by_key ? p->client_key_file : p->client_secret_file, &secret, msg);

	buf_init(&ca, CLIENT_CA_FILE_MAX);
	if (e == ERR_OK && p->client_certificate_file.n > 0)
		e = read_secret(c, p, "client_certificate_file", p->client_certificate_file,
				&certificate, msg);
	if (e == ERR_OK)
		e = read_ca(p, &ca, msg);
	files = (struct client_files){secret_view(secret), secret_view(certificate), buf_sv(&ca)};
	if (e == ERR_OK)
		e = client_credential_new(p, &files, ret, msg);
	buf_done(&ca);
	secret_free(&secret);
	secret_free(&certificate);
	return e;
}

void client_credential_free(struct client_credential **c)
{
	if (*c == NULL)
		return;
	secret_free(&(*c)->secret);
	client_keys_free(&(*c)->keys);
	http_trust_free(&(*c)->trust);
	free(*c);
	*c = NULL;
}
