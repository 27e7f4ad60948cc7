/* main - bff-broker: the daemon that holds refresh tokens, client secrets and sealing keys. */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "broker/broker.h"
#include "broker/client_credential.h"
#include "broker/jwks.h"
#include "common/contract.h"
#include "common/log.h"
#include "common/notify.h"
#include "common/sandbox.h"

#define DEFAULT_CONFIG "/etc/bff/bff.conf"

enum mode { MODE_RUN = 1, MODE_TEST, MODE_VERSION, MODE_KEY, MODE_JWKS };

static const char usage[] =
    "usage: bff-broker [-c FILE]      run in the foreground\n"
    "       bff-broker -t [-c FILE]   check the configuration and the secrets\n"
    "       bff-broker -j PROVIDER [-c FILE]\n"
    "                                 print the public keys to register at the provider\n"
    "       bff-broker -k             print a fresh line for the key ring\n"
    "       bff-broker -V             print the version\n";

static int fatal(const char *event, const struct errmsg *e, enum err rc)
{
	log_error(event, K("why", e->text));
	return rc == ERR_CONFIG ? CONTRACT_EXIT_CONFIG : CONTRACT_EXIT_ERROR;
}

/* The id is random too: two rings that were made apart can be put into one file. */
static int print_key(void)
{
	struct buf line;
	uint32_t id = 0;
	bool ok;

	buf_init(&line, 256);
	broker_random(&id, sizeof id);
	id = id % 999999 + 1;
	ok = keyring_fresh_line(id, &line) == ERR_OK &&
	     fwrite(line.p, 1, line.n, stdout) == line.n && fflush(stdout) == 0;
	buf_done(&line);
	return ok ? CONTRACT_EXIT_OK : CONTRACT_EXIT_ERROR;
}

static enum err write_jwks(const struct config *c, const char *name, struct buf *out,
			   struct errmsg *e)
{
	const struct config_provider *p = config_provider(c, sv_str(name));
	struct client_credential *credential = NULL;
	enum err rc;

	if (p == NULL)
		return errmsg_set(e, ERR_CONFIG, "there is no provider \"%s\"", name);
	if (p->client_auth != CLIENT_PRIVATE_KEY_JWT)
		return errmsg_set(
		    e, ERR_CONFIG,
		    "%s:%u: client_auth: expected private_key_jwt, no other has keys to "
		    "publish",
		    p->place.file, p->place.line);
	rc = client_credential_read(c, p, &credential, e);
	if (rc != ERR_OK)
		return rc;
	rc = client_keys_print(credential->keys, out);
	client_credential_free(&credential);
	return rc == ERR_OK ? rc : errmsg_set(e, rc, "%s", err_text(rc));
}

static int print_jwks(const char *path, const char *name)
{
	struct config *c = NULL;
	struct buf out;
	struct errmsg e;
	enum err rc = config_load(path, &c, &e);

	buf_init(&out, JWKS_BYTES_MAX);
	if (rc == ERR_OK)
		rc = write_jwks(c, name, &out, &e);
	config_free(&c);
	if (rc == ERR_OK)
		(void)printf(SV_FMT "\n", SV_ARG(buf_sv(&out)));
	else
		(void)fprintf(stderr, "bff-broker: %s\n", e.text);
	buf_done(&out);
	if (rc != ERR_OK)
		return CONTRACT_EXIT_CONFIG;
	return fflush(stdout) == 0 ? CONTRACT_EXIT_OK : CONTRACT_EXIT_ERROR;
}

static int test_config(const char *path)
{
	struct config *c = NULL;
	struct errmsg e;
	enum err rc = config_load(path, &c, &e);

	if (rc == ERR_OK)
		rc = broker_check(c, &e);
	config_free(&c);
	if (rc != ERR_OK) {
		(void)fprintf(stderr, "bff-broker: %s\n", e.text);
		return CONTRACT_EXIT_CONFIG;
	}
	(void)fprintf(stderr, "bff-broker: %s and the broker's secrets are fine\n", path);
	return CONTRACT_EXIT_OK;
}

static int run(const char *path)
{
	struct config *c = NULL;
	struct broker *b = NULL;
	struct notify notify = {.fd = -1};
	struct notify_fds inherited = {0};
	int fds[NOTIFY_FDS_MAX];
	struct errmsg e;
	enum err rc = config_load(path, &c, &e);

	if (rc != ERR_OK)
		return fatal("config", &e, rc);
	rc = notify_open(&notify, &e);
	if (rc == ERR_OK)
		rc = notify_listen_fds(&inherited, &e);
	for (size_t i = 0; i < inherited.n; i++)
		fds[i] = NOTIFY_FDS_FIRST + (int)i;
	if (rc == ERR_OK)
		rc = broker_new(path, &c, fds, inherited.n, &b, &e);
	config_free(&c); /* taken unless something failed before */
	if (rc != ERR_OK)
		return fatal("start", &e, rc);
	log_info("started", K("version", BFF_VERSION), K("config", path),
		 KU("inherited", inherited.n));
	(void)notify_send(&notify, "READY=1\nSTATUS=serving");
	broker_run(b);
	(void)notify_send(&notify, "STOPPING=1");
	notify_close(&notify);
	broker_free(&b);
	log_info("stopped", K("version", BFF_VERSION));
	return CONTRACT_EXIT_OK;
}

int main(int argc, char **argv)
{
	const char *path = DEFAULT_CONFIG, *provider = NULL;
	enum mode mode = MODE_RUN;
	struct errmsg e;
	int option;

	log_init("broker", 0);
	if (sandbox_harden(&e) != ERR_OK)
		return fatal("sandbox", &e, ERR_IO);
	(void)signal(SIGPIPE, SIG_IGN);
	while ((option = getopt(argc, argv, "c:j:tkV")) != -1) {
		switch (option) {
		case 'c':
			path = optarg;
			break;
		case 'j':
			provider = optarg;
			mode = MODE_JWKS;
			break;
		case 't':
			mode = MODE_TEST;
			break;
		case 'k':
			mode = MODE_KEY;
			break;
		case 'V':
			mode = MODE_VERSION;
			break;
		default:
			(void)fputs(usage, stderr);
			return CONTRACT_EXIT_USAGE;
		}
	}
	if (optind != argc) {
		(void)fputs(usage, stderr);
		return CONTRACT_EXIT_USAGE;
	}
	switch (mode) {
	case MODE_KEY:
		return print_key();
	case MODE_JWKS:
		return print_jwks(path, provider);
	case MODE_TEST:
		return test_config(path);
	case MODE_VERSION:
		(void)printf("bff-broker %s\n", BFF_VERSION);
		return CONTRACT_EXIT_OK;
	case MODE_RUN:
		return run(path);
	}
	return CONTRACT_EXIT_ERROR;
}
