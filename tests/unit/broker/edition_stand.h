/*
 * edition_stand - a configuration in files, and what is made of it without a provider
 *
 * stand_open() makes a directory of its own with bff.conf, a client secret and a key ring, and
 * stand.editions, still empty. Providers are counted instead of made; what is logged stands in
 * stand.log, an event a line with its `why`. The Makefile links each __wrap_NAME below in place of
 * NAME. Nothing here opens a socket.
 */
#ifndef BFF_TEST_EDITION_STAND_H
#define BFF_TEST_EDITION_STAND_H

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/client_credential.h"
#include "broker/edition.h"
#include "common/clock.h"
#include "common/config_digest.h"
#include "common/log.h"
#include "tests/unit/broker/ring.h"
#include "tests/unit/common/config_text.h"

#define STAND_NOW_MS 1000000

struct stand_provider {
	const struct config_provider *config;
};

static struct {
	char dir[32], path[64];
	struct editions editions;
	unsigned made, loads; /* providers so far; readings of the file */
	int alive;	      /* providers */
	enum err refuses;     /* what making one says */
	char log[8192];
} stand;

/* ---- what is played ----------------------------------------------------------------------- */

enum err __wrap_provider_new(struct event_base *base, struct http_client *http,
			     const struct config_provider *config,
			     struct client_credential **credential, struct provider **ret);
enum err __wrap_provider_new(struct event_base *base, struct http_client *http,
			     const struct config_provider *config,
			     struct client_credential **credential, struct provider **ret)
{
	struct stand_provider *p;

	(void)base, (void)http;
	assert_non_null(*credential);
	if (stand.refuses != ERR_OK)
		return stand.refuses;
	p = malloc(sizeof *p);
	if (p == NULL)
		return ERR_NOMEM;
	p->config = config;
	client_credential_free(credential); /* taken */
	stand.made++;
	stand.alive++;
	*ret = (struct provider *)p;
	return ERR_OK;
}

void __wrap_provider_free(struct provider **p);
void __wrap_provider_free(struct provider **p)
{
	if (*p != NULL)
		stand.alive--;
	free(*p);
	*p = NULL;
}

enum err __real_config_load(const char *path, struct config **ret, struct errmsg *e);
enum err __wrap_config_load(const char *path, struct config **ret, struct errmsg *e);
enum err __wrap_config_load(const char *path, struct config **ret, struct errmsg *e)
{
	stand.loads++;
	return __real_config_load(path, ret, e);
}

static inline void stand_log(const char *event, const struct log_field *f, size_t n)
{
	size_t at = strlen(stand.log);

	at += (size_t)snprintf(stand.log + at, sizeof stand.log - at, "%s", event);
	for (size_t i = 0; i < n && at < sizeof stand.log; i++)
		if (strcmp(f[i].key, "why") == 0)
			at += (size_t)snprintf(stand.log + at, sizeof stand.log - at, " " SV_FMT,
					       SV_ARG(f[i].s));
	if (at + 1 < sizeof stand.log)
		(void)strcpy(stand.log + at, "\n");
}

void __wrap_log_write(enum log_level level, const char *event, const struct log_field *f, size_t n);
void __wrap_log_write(enum log_level level, const char *event, const struct log_field *f, size_t n)
{
	(void)level;
	stand_log(event, f, n);
}

void __wrap_log_write_peer(enum log_level level, const char *event, const struct log_field *f,
			   size_t n);
void __wrap_log_write_peer(enum log_level level, const char *event, const struct log_field *f,
			   size_t n)
{
	__wrap_log_write(level, event, f, n);
}

/* It was logged since the last time that something was looked for here. */
#define assert_logged(what)                                                                        \
	do {                                                                                       \
		if (strstr(stand.log, what) == NULL)                                               \
			fail_msg("not logged: %s, but: %s", what, stand.log);                      \
		stand.log[0] = '\0';                                                               \
	} while (0)

/* ---- files -------------------------------------------------------------------------------- */

/* The name of a file of the stand: valid until the next call. */
static inline const char *stand_file(const char *name)
{
	static char path[64];

	(void)snprintf(path, sizeof path, "%s/%s", stand.dir, name);
	return path;
}

static inline void stand_write(const char *name, const char *text, mode_t mode)
{
	int fd = open(stand_file(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd != -1);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	(void)close(fd);
}

/* bff.conf: `provider` are further options of provider p, `broker` of the broker section, `more`
 * further sections; DIR in any of them is the directory. */
static inline void stand_config(const char *provider, const char *broker, const char *more)
{
	static char text[65536];
	char raw[32768], *at;

	(void)snprintf(
	    raw, sizeof raw,
	    "%s%s"
	    "broker { key_ring = \"DIR/ring\" socket = \"DIR/socket\" peer_user = \"%u\" %s }\n"
	    "listen \"public\" { kind = public address = \"127.0.0.1:1\"\n"
	    "	trusted_peers = {\"127.0.0.1/32\"} }\n"
	    "listen \"verify\" { kind = verify address = \"127.0.0.1:2\" edge = traefik\n"
	    "	trusted_peers = {\"127.0.0.1/32\"} }\n"
	    "provider \"p\" { issuer = \"https://p.example\" client_id = \"c\"\n"
	    "	client_secret_file = \"DIR/secret\" %s }\n"
	    "app \"a\" { provider = p origins = {\"https://a.example.com\"} "
	    "}\n" CONFIG_TEXT_IDENTITY "route \"a\" { app = a path = \"/\" }\n%s",
	    strstr(more, "database {") != NULL ? "" : CONFIG_TEXT_DATABASE, CONFIG_TEXT_WEB,
	    (unsigned)geteuid(), broker, provider, more);
	text[0] = '\0';
	for (const char *p = raw; (at = strstr(p, "DIR/")) != NULL; p = at + 3)
		(void)strcat(strncat(text, p, (size_t)(at - p)), stand.dir);
	for (at = raw; strstr(at, "DIR/") != NULL; at = strstr(at, "DIR/") + 3)
		;
	(void)strcat(text, at);
	stand_write("bff.conf", text, 0600);
}

static inline struct config *stand_load(void)
{
	struct config *c = NULL;
	struct errmsg e = {0};

	if (__real_config_load(stand.path, &c, &e) != ERR_OK)
		fail_msg("%s", e.text);
	return c;
}

/* A further provider, with an app of its own. */
#define STAND_Q                                                                                    \
	"provider \"q\" { issuer = \"https://q.example\" client_id = \"c\"\n"                      \
	"	client_secret_file = \"DIR/secret\" }\n"                                                 \
	"app \"q\" { provider = q origins = {\"https://q.example.com\"} }\n"                       \
	"route \"q\" { app = q path = \"/\" }\n"

/* Makes what the file says now the newest edition, if it can be. */
static inline enum err stand_try(struct errmsg *e)
{
	struct config *c = stand_load();
	enum err rc = editions_add(&stand.editions, &c, e);

	assert_null(c); /* taken also on failure */
	return rc;
}

static inline struct edition *stand_add(void)
{
	struct errmsg e = {0};

	if (stand_try(&e) != ERR_OK)
		fail_msg("%s", e.text);
	return stand.editions.newest;
}

static inline struct sv stand_digest(const struct edition *ed)
{
	return sv_of((const char *)ed->digest, sizeof ed->digest);
}

/* A further app, by number, makes it another configuration. */
static inline void stand_config_number(unsigned n)
{
	char more[256];

	(void)snprintf(more, sizeof more,
		       "app \"n%u\" { provider = p origins = {\"https://n%u.example.com\"} }\n"
		       "route \"n%u\" { app = n%u path = \"/\" }\n",
		       n, n, n, n);
	stand_config("", "", more);
}

/* ---- a test's begin and end --------------------------------------------------------------- */

static inline int stand_open(void **state)
{
	(void)state;
	memset(&stand, 0, sizeof stand);
	(void)strcpy(stand.dir, "/tmp/edition.XXXXXX");
	assert_non_null(mkdtemp(stand.dir));
	(void)snprintf(stand.path, sizeof stand.path, "%s/bff.conf", stand.dir);
	stand_write("secret", "a client secret\n", 0600);
	stand_write("ring", "1 " RING_KEY_A "\n", 0600);
	stand_config("", "", "");
	clock_set(STAND_NOW_MS, 1700000000);
	editions_init(&stand.editions, NULL, NULL, stand.path);
	return 0;
}

/* Every file of the directory is the stand's own. */
static inline int stand_close(void **state)
{
	static const char *const files[] = {"bff.conf", "secret", "secret2", "ring",
					    "password", "socket", "key.pem"};

	(void)state;
	editions_done(&stand.editions);
	assert_int_equal(stand.editions.n, 0);
	assert_int_equal(stand.alive, 0);
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		(void)unlink(stand_file(files[i]));
	assert_int_equal(rmdir(stand.dir), 0);
	clock_unset();
	return 0;
}

#define STAND(fn) cmocka_unit_test_setup_teardown(fn, stand_open, stand_close)

#endif
