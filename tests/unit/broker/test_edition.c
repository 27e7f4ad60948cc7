#include "broker/edition.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "tests/unit/unit.h"

/* Real files; the providers are played: each is a number. */
static struct {
	char dir[64], path[96], secret[96];
	struct editions e;
	unsigned made, freed;
	enum err refuses;
} t;

struct provider {
	unsigned number;
};

enum err __wrap_provider_new(struct event_base *base, struct http_client *http,
			     const struct config_provider *config,
			     struct client_credential **credential, struct provider **ret);
enum err __wrap_provider_new(struct event_base *base, struct http_client *http,
			     const struct config_provider *config,
			     struct client_credential **credential, struct provider **ret)
{
	struct provider *p = calloc(1, sizeof *p);

	(void)base, (void)http, (void)config, (void)credential;
	assert_non_null(p);
	if (t.refuses != ERR_OK) {
		free(p);
		return t.refuses;
	}
	p->number = ++t.made;
	*ret = p;
	return ERR_OK;
}

void __wrap_provider_free(struct provider **p);
void __wrap_provider_free(struct provider **p)
{
	if (*p == NULL)
		return;
	t.freed++;
	free(*p);
	*p = NULL;
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd != -1);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	(void)close(fd);
}

/* What differs from edition to edition is the issuer of p, and how long sessions last. */
static void write_config(const char *issuer, unsigned hours)
{
	char text[4096];

	snprintf(text, sizeof text,
		 "database { conninfo = \"dbname=bff\" }\nweb { cookie_keys = \"/c\" }\n"
		 "broker { key_ring = \"/r\" }\n"
		 "listen \"public\" { kind = public address = \"127.0.0.1:1\"\n"
		 "	trusted_peers = {\"::1/128\"} }\n"
		 "listen \"verify\" { kind = verify address = \"127.0.0.1:2\" edge = traefik\n"
		 "	trusted_peers = {\"::1/128\"} }\n"
		 "provider \"p\" { issuer = \"%s\" client_id = \"c\" client_secret_file = \"%s\" "
		 "scopes = {openid, offline_access} }\n"
		 "app \"a\" { provider = p origins = {\"https://a.example.com\"}\n"
		 "	idle_timeout = \"1h\" absolute_timeout = \"%uh\" }\n"
		 "identity \"default\" { header \"X-User-ID\" { claim = subject } }\n"
		 "service \"s\" { provider = p grant = session }\n"
		 "route \"r\" { app = a path = \"/api/\" service = s }\n"
		 "route \"page\" { app = a path = \"/\" }\n",
		 issuer, t.secret, hours);
	write_file(t.path, text);
}

static enum err add(struct errmsg *msg)
{
	struct config *c = NULL;

	if (config_load(t.path, &c, msg) != ERR_OK)
		fail_msg("%s", msg->text);
	return editions_add(&t.e, &c, msg);
}

static struct edition *added(const char *issuer, unsigned hours)
{
	struct errmsg msg;

	write_config(issuer, hours);
	if (add(&msg) != ERR_OK)
		fail_msg("%s", msg.text);
	return t.e.newest;
}

static int setup(void **state)
{
	(void)state;
	log_set_level(LOG_ERROR + 1);
	memset(&t, 0, sizeof t);
	snprintf(t.dir, sizeof t.dir, "/tmp/bff-edition-XXXXXX");
	assert_non_null(mkdtemp(t.dir));
	snprintf(t.path, sizeof t.path, "%s/bff.conf", t.dir);
	snprintf(t.secret, sizeof t.secret, "%s/secret", t.dir);
	write_file(t.secret, "secret\n");
	t.e.path = t.path;
	clock_set(100000, 1700000000);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (struct edition *ed = t.e.newest; ed != NULL; ed = ed->next)
		edition_stop(ed);
	editions_done(&t.e);
	assert_int_equal(t.made, t.freed);
	(void)unlink(t.path);
	(void)unlink(t.secret);
	(void)rmdir(t.dir);
	clock_unset();
	return 0;
}

static struct sv digest_of(const struct edition *ed)
{
	return sv_of((const char *)ed->digest, sizeof ed->digest);
}

static void found_by_digest_and_by_name(void **state)
{
	struct edition *one = added("https://one.example", 1);
	struct edition *two = added("https://two.example", 1);

	(void)state;
	assert_int_equal(t.e.n, 2);
	assert_ptr_equal(editions_find(&t.e, digest_of(one)), one);
	assert_ptr_equal(editions_find(&t.e, digest_of(two)), two);
	assert_ptr_equal(edition_provider(one, SV("p")), one->providers[0]);
	assert_null(edition_provider(one, SV("q")));
	assert_ptr_equal(editions_provider(&t.e, SV("p")), two->providers[0]);
	assert_null(editions_provider(&t.e, SV("q")));
	assert_non_null(edition_uses_find(&one->uses, SV("a"), SV("s")));
}

static void a_provider_that_did_not_change_is_shared(void **state)
{
	struct edition *one = added("https://one.example", 1);
	struct edition *two = added("https://one.example", 2);
	struct edition *three = added("https://one.example", 3);
	struct edition *four = added("https://other.example", 3);

	(void)state;
	assert_int_equal(t.made, 2);
	assert_ptr_equal(two->providers[0], one->providers[0]);
	assert_ptr_equal(three->providers[0], one->providers[0]);
	assert_ptr_not_equal(four->providers[0], one->providers[0]);
	assert_int_equal(one->refs, 2); /* it lends */
}

static void an_unknown_digest_has_the_file_read_again_but_not_at_once(void **state)
{
	struct edition *one = added("https://one.example", 1), *two;
	unsigned char digest[CRYPT_SHA256_LEN];

	(void)state;
	two = added("https://two.example", 1);
	memcpy(digest, two->digest, sizeof digest);
	edition_stop(two);
	t.e.newest = one; /* as if nobody had read that yet */
	t.e.n = 1;
	one->next = NULL;
	two->next = NULL;
	editions_done(&(struct editions){.newest = two, .n = 1});
	assert_null(editions_find(&t.e, sv_of((char *)digest, sizeof digest)));
	clock_set(100000 + EDITION_REREAD_MS, 1700000000);
	two = editions_find(&t.e, sv_of((char *)digest, sizeof digest));
	assert_non_null(two);
	assert_ptr_equal(t.e.newest, two);
	/* One that the file is not of, or a file that does not load, change nothing. */
	clock_set(100000 + 2 * EDITION_REREAD_MS, 1700000000);
	digest[0] ^= 1;
	assert_null(editions_find(&t.e, sv_of((char *)digest, sizeof digest)));
	write_file(t.path, "nonsense");
	clock_set(100000 + 3 * EDITION_REREAD_MS, 1700000000);
	assert_null(editions_find(&t.e, sv_of((char *)digest, sizeof digest)));
	assert_int_equal(t.e.n, 2);
}

static void those_that_nobody_uses_go_oldest_first(void **state)
{
	struct edition *held = added("https://0.example", 1), *ed;
	char issuer[64];
	unsigned n = 0;

	(void)state;
	edition_ref(held);
	for (unsigned i = 1; i < 2 * EDITIONS_MAX; i++) {
		snprintf(issuer, sizeof issuer, "https://%u.example", i);
		added(issuer, 1);
	}
	assert_int_equal(t.e.n, EDITIONS_MAX);
	for (ed = t.e.newest; ed->next != NULL; ed = ed->next)
		n++;
	assert_int_equal(n, EDITIONS_MAX - 1);
	assert_ptr_equal(ed, held); /* in use, so that it stays */
	assert_int_equal(t.made - t.freed, EDITIONS_MAX);
	edition_unref(&held);
	assert_null(held);
	edition_unref(&held);
}

static void what_cannot_be_used_changes_nothing(void **state)
{
	struct edition *one = added("https://one.example", 1);
	struct errmsg msg = {0};
	struct config *c = NULL;

	(void)state;
	write_config("https://two.example", 1);
	t.refuses = ERR_NOMEM;
	assert_int_equal(add(&msg), ERR_NOMEM);
	t.refuses = ERR_OK;
	assert_int_equal(chmod(t.secret, 0644), 0);
	assert_int_equal(add(&msg), ERR_CONFIG);
	assert_non_null(strstr(msg.text, t.secret));
	assert_ptr_equal(t.e.newest, one);
	assert_int_equal(t.e.n, 1);
	assert_int_equal(config_load(t.path, &c, &msg), ERR_OK);
	assert_int_equal(edition_check_secrets(c, &msg), ERR_CONFIG);
	assert_int_equal(chmod(t.secret, 0600), 0);
	assert_int_equal(edition_check_secrets(c, &msg), ERR_OK);
	config_free(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	    CASE(found_by_digest_and_by_name),
	    CASE(a_provider_that_did_not_change_is_shared),
	    CASE(an_unknown_digest_has_the_file_read_again_but_not_at_once),
	    CASE(those_that_nobody_uses_go_oldest_first),
	    CASE(what_cannot_be_used_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
