#include "broker/client_credential.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "broker/http_client.h"
#include "broker/provider.h"
#include "tests/unit/broker/tls_server.h"

#include <event2/event.h>

static const struct config_place place = {.file = "bff.conf", .line = 7};

static void refused(struct config_provider *p, struct sv secret, struct sv ca, const char *want)
{
	struct client_credential *c = NULL;
	struct errmsg msg = {""};

	assert_int_equal(
	    client_credential_new(p, &(struct client_files){.secret = secret, .ca = ca}, &c, &msg),
	    ERR_CONFIG);
	assert_null(c);
	if (strncmp(msg.text, want, strlen(want)) != 0)
		fail_msg("want %s, got %s", want, msg.text);
}

/* What is wanted where, and whose fault it is. */
static void files_are_judged_by_what_they_are_for(void **state)
{
	EVP_PKEY *key = signer_key(ALG_ES256), *other = signer_key(ALG_ES256);
	X509 *x = certificate_new("app", key, NULL, NULL);
	struct config_provider p = {.place = place, .client_auth = CLIENT_PRIVATE_KEY_JWT};
	struct client_credential *c = NULL;
	struct client_files files;
	struct errmsg msg;
	struct buf keys, both, certificate;

	(void)state;
	buf_init(&keys, 10000);
	buf_init(&both, 10000);
	buf_init(&certificate, 10000);
	put_key(&keys, other, NULL);
	put_key(&both, key, NULL);
	put_certificate(&both, x);
	put_certificate(&certificate, x);
	refused(&p, SV("secret"), SV_NONE, "bff.conf:7: client_key_file: expected private keys");
	assert_int_equal(
	    client_credential_new(
		&p, &(struct client_files){.secret = buf_sv(&keys), .ca = SV_NONE}, &c, &msg),
	    ERR_OK);
	assert_non_null(c->keys);
	assert_null(c->secret); /* the text is not kept */
	client_credential_free(&c);
	client_credential_free(&c);

	p.client_auth = CLIENT_TLS;
	refused(&p, buf_sv(&keys), SV_NONE, "bff.conf:7: client_key_file: expected a private key");
	buf_add(&keys, buf_sv(&certificate));
	refused(&p, buf_sv(&keys), SV_NONE, "bff.conf:7: client_key_file: expected a private key");
	refused(&p, buf_sv(&certificate), SV_NONE, "bff.conf:7: client_key_file: expected");
	assert_int_equal(
	    client_credential_new(
		&p, &(struct client_files){.secret = buf_sv(&both), .ca = SV_NONE}, &c, &msg),
	    ERR_OK);
	assert_null(c->secret);
	assert_true(http_trust_shows_certificate(c->trust));
	client_credential_free(&c);

	/* Beside any other authentication: for tokens that are bound to it. */
	p.client_auth = CLIENT_PRIVATE_KEY_JWT;
	files = (struct client_files){.secret = buf_sv(&both), .certificate = buf_sv(&keys)};
	assert_int_equal(client_credential_new(&p, &files, &c, &msg), ERR_CONFIG);
	assert_string_equal(msg.text, "bff.conf:7: client_certificate_file: expected a private key "
				      "and then its certificate and chain");
	files = (struct client_files){.secret = SV("secret"), .certificate = buf_sv(&both)};
	p.client_auth = CLIENT_SECRET_BASIC;
	assert_int_equal(client_credential_new(&p, &files, &c, &msg), ERR_OK);
	assert_sv_equal(secret_view(c->secret), SV("secret"));
	assert_true(http_trust_shows_certificate(c->trust));
	client_credential_free(&c);

	p.client_auth = CLIENT_SECRET_POST;
	refused(&p, SV("s"), SV("x"), "bff.conf:7: ca_file: expected certificates");
	refused(&p, SV("s"), buf_sv(&both), "bff.conf:7: ca_file: expected certificates");
	assert_int_equal(client_credential_new(
			     &p,
			     &(struct client_files){.secret = SV("s"), .ca = buf_sv(&certificate)},
			     &c, &msg),
			 ERR_OK);
	assert_sv_equal(secret_view(c->secret), SV("s"));
	assert_false(http_trust_shows_certificate(c->trust));
	client_credential_free(&c);
	buf_done(&keys);
	buf_done(&both);
	buf_done(&certificate);
	X509_free(x);
	EVP_PKEY_free(key);
	EVP_PKEY_free(other);
}

static void put_file(const char *path, mode_t mode, struct sv text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	assert_true(fd != -1);
	assert_int_equal(write(fd, text.p, text.n), (ssize_t)text.n);
	close(fd);
}

static void the_files_of_the_section_are_read(void **state)
{
	char dir[] = "/tmp/bff-credential-XXXXXX", secret[64], ca[64];
	struct config config = {.broker.secret_files = SECRET_FILE_STRICT};
	struct config_provider p = {.place = place, .client_auth = CLIENT_SECRET_BASIC};
	EVP_PKEY *key = signer_key(ALG_ES256);
	X509 *x = certificate_new("ca", key, NULL, NULL);
	struct client_credential *c = NULL;
	struct errmsg msg;
	struct buf pem;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(secret, sizeof secret, "%s/secret", dir);
	snprintf(ca, sizeof ca, "%s/ca", dir);
	buf_init(&pem, 10000);
	put_certificate(&pem, x);
	put_file(secret, 0600, SV("s3cret\n"));
	put_file(ca, 0644, buf_sv(&pem));
	p.client_secret_file = sv_str(secret);
	p.ca_file = sv_str(ca);
	p.client_certificate_file = sv_str(ca); /* of another mode, and without a key */
	assert_int_equal(client_credential_read(&config, &p, &c, &msg), ERR_CONFIG);
	assert_non_null(strstr(msg.text, "lets others read it"));
	assert_int_equal(chmod(ca, 0600), 0);
	assert_int_equal(client_credential_read(&config, &p, &c, &msg), ERR_CONFIG);
	assert_non_null(strstr(msg.text, "client_certificate_file: expected private keys"));
	p.client_certificate_file = SV_NONE;
	assert_int_equal(client_credential_read(&config, &p, &c, &msg), ERR_OK);
	assert_sv_equal(secret_view(c->secret), SV("s3cret"));
	assert_non_null(c->trust);
	client_credential_free(&c);

	put_file(ca, 0644, SV(""));
	assert_int_equal(client_credential_read(&config, &p, &c, &msg), ERR_CONFIG);
	assert_non_null(strstr(msg.text, "bff.conf:7: ca_file: expected a file"));
	unlink(ca);
	assert_int_equal(client_credential_read(&config, &p, &c, &msg), ERR_CONFIG);
	assert_non_null(strstr(msg.text, "bff.conf:7: ca_file: No such file"));
	assert_int_equal(chmod(secret, 0644), 0);
	assert_int_equal(client_credential_read(&config, &p, &c, &msg), ERR_CONFIG);
	assert_non_null(strstr(msg.text, "lets others read it"));
	assert_null(c);
	unlink(secret);
	rmdir(dir);
	buf_done(&pem);
	X509_free(x);
	EVP_PKEY_free(key);
}

static struct {
	struct event_base *base;
	struct http_client *http;
	struct tls_server server;
	struct tls_row rows[4];
	struct provider *provider;
	struct config_provider config;
	char issuer[64];
	bool done;
	enum token_outcome outcome;
	char scope[64], detail[64];
} t;

static int set_up(void **state)
{
	(void)state;
	memset(&t, 0, sizeof t);
	tls_server_bind(&t.server);
	snprintf(t.issuer, sizeof t.issuer, "https://127.0.0.1:%u", t.server.port);
	t.rows[0].path = "GET /.well-known/openid-configuration ";
	snprintf(t.rows[0].body, sizeof t.rows[0].body,
		 "{\"issuer\":\"%s\",\"authorization_endpoint\":\"%s/authorize\",\"jwks_uri\":\"%s/"
		 "keys\",\"token_endpoint\":\"%s/token\",\"mtls_endpoint_aliases\":{"
		 "\"token_endpoint\":\"%s/tls/token\"}}",
		 t.issuer, t.issuer, t.issuer, t.issuer, t.issuer);
	t.rows[1] = (struct tls_row){"GET /keys ", "{\"keys\":[]}"};
	t.rows[2] = (struct tls_row){
	    "POST /tls/token ",
	    "{\"access_token\":\"at\",\"token_type\":\"Bearer\",\"scope\":\"%s\"}"};
	tls_server_run(&t.server, t.rows);
	t.base = event_base_new();
	t.config = (struct config_provider){.name = SV("idp"),
					    .preset = PRESET_GENERIC,
					    .issuer = sv_str(t.issuer),
					    .client_id = SV("app"),
					    .client_auth = CLIENT_TLS,
					    .place = place};
	return http_client_new(t.base, &t.http) == ERR_OK ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	provider_free(&t.provider);
	http_client_free(&t.http);
	event_base_free(t.base);
	tls_server_stop(&t.server);
	return 0;
}

static void on_token(void *arg, enum err e, const struct token_reply *r)
{
	(void)arg;
	t.done = true;
	assert_int_equal(e, ERR_OK);
	t.outcome = r->outcome;
	snprintf(t.scope, sizeof t.scope, SV_FMT, SV_ARG(r->scope));
	snprintf(t.detail, sizeof t.detail, "%s", r->detail);
}

static void start(struct sv secret, struct sv ca)
{
	struct client_credential *c = NULL;
	struct errmsg msg = {""};

	if (client_credential_new(&t.config, &(struct client_files){.secret = secret, .ca = ca}, &c,
				  &msg) != ERR_OK)
		fail_msg("%s", msg.text);
	assert_int_equal(provider_new(t.base, t.http, &t.config, &c, &t.provider), ERR_OK);
	assert_null(c);
}

/* RFC 8705: our certificate is shown, at the alias; the authority is the file's. */
static void mutual_tls_shows_the_certificate_at_the_alias(void **state)
{
	struct buf pem, ca;

	(void)state;
	buf_init(&pem, 10000);
	buf_init(&ca, 10000);
	tls_client_pem(&t.server, "the client", &pem);
	put_certificate(&ca, t.server.ca);
	start(buf_sv(&pem), buf_sv(&ca));
	while (provider_metadata(t.provider) == NULL)
		assert_int_equal(event_base_loop(t.base, EVLOOP_ONCE), 0);
	assert_int_equal(provider_code(t.provider, SV("c"), SV("u"), SV("v"), on_token, NULL),
			 ERR_OK);
	while (!t.done)
		assert_int_equal(event_base_loop(t.base, EVLOOP_ONCE), 0);
	assert_string_equal(t.detail, "");
	assert_int_equal(t.outcome, TOKEN_OK);
	assert_string_equal(t.scope, "the client");
	buf_done(&pem);
	buf_done(&ca);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(files_are_judged_by_what_they_are_for),
	    cmocka_unit_test(the_files_of_the_section_are_read),
	    cmocka_unit_test_setup_teardown(mutual_tls_shows_the_certificate_at_the_alias, set_up,
					    tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
