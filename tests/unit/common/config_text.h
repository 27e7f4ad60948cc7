/*
 * config_text - a configuration from a string, for tests
 *
 * The text goes into a memfd, which config_load() opens by its /proc path. CONFIG_TEXT_* are
 * one-line sections that together are a whole configuration.
 */
#ifndef BFF_TESTS_CONFIG_TEXT_H
#define BFF_TESTS_CONFIG_TEXT_H

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/config.h"

#define CONFIG_TEXT_DATABASE "database { conninfo = \"dbname=bff\" }\n"
#define CONFIG_TEXT_WEB "web { cookie_keys = \"credential:cookie\" }\n"
#define CONFIG_TEXT_BROKER "broker { key_ring = \"credential:ring\" }\n"
#define CONFIG_TEXT_PROVIDER                                                                       \
	"provider \"p\" { issuer = \"https://idp.example\" client_id = \"c\" client_secret_file "  \
	"= "                                                                                       \
	"\"/s\" keep_claims = {name, groups} }\n"
#define CONFIG_TEXT_APP                                                                            \
	"app \"a\" { provider = p origins = {\"https://a.example.com\", "                          \
	"\"https://b.example.com\"} }\n"
#define CONFIG_TEXT_IDENTITY "identity \"default\" { header \"X-User-ID\" { claim = subject } }\n"
#define CONFIG_TEXT_SERVICE "service \"s\" { provider = p grant = resource resource = \"urn:s\" }\n"
#define CONFIG_TEXT_ROUTE "route \"r\" { app = a path = \"/api/\" service = s }\n"

/* config_load() of n bytes; path_n is the length of the name it had, for messages. */
static inline enum err config_text_load(const char *p, size_t n, struct config **ret,
					struct errmsg *e, size_t *path_n)
{
	char path[64];
	int fd = memfd_create("config", MFD_CLOEXEC);
	enum err err = ERR_IO;

	*path_n = (size_t)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	if (fd != -1 && write(fd, p, n) == (ssize_t)n)
		err = config_load(path, ret, e);
	(void)close(fd);
	return err;
}

#endif
