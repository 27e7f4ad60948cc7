/*
 * fuzz_config - bff.conf from a stranger
 *
 * Whatever is accepted must print to something that is accepted and prints the same. Input with an
 * include is left out: it would make the result depend on the files of the machine.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static char *dump(const struct config *c, size_t *ret_n)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, ret_n);

	if (f == NULL || config_dump(c, CONFIG_PRINT_ALL, f) != ERR_OK || fclose(f) == EOF)
		abort();
	return text;
}

static int file_of(const void *data, size_t n)
{
	int fd = memfd_create("config", MFD_CLOEXEC);

	if (fd == -1 || write(fd, data, n) != (ssize_t)n)
		abort();
	return fd;
}

static void check(struct config **c)
{
	struct config *again = NULL;
	struct errmsg e;
	size_t want_n, got_n;
	char *want = dump(*c, &want_n), *got;
	int fd = file_of(want, want_n);

	if (config_load_fd(fd, "dump", &again, &e) != ERR_OK)
		abort();
	got = dump(again, &got_n);
	if (got_n != want_n || memcmp(got, want, got_n) != 0)
		abort();
	(void)close(fd); /* holds nothing */
	free(want);
	free(got);
	config_free(&again);
	config_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct config *c = NULL;
	struct errmsg e;
	char path[64];
	int fd;

	if (memmem(data, n, "include", 7) != NULL)
		return 0;
	fd = file_of(data, n);
	if (config_load_fd(fd, "input", &c, &e) == ERR_OK)
		check(&c);
	(void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	if (config_load(path, &c, &e) == ERR_OK)
		check(&c);
	(void)close(fd); /* holds nothing */
	return 0;
}
