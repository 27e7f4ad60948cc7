/*
 * page_dir - a directory of pages, made by the test
 *
 *	page_dir_make();  page_dir_write("login-failed.html", SV("..."));  page_dir_remove();
 */
#ifndef BFF_TESTS_PAGE_DIR_H
#define BFF_TESTS_PAGE_DIR_H

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/unit.h"

static char page_dir[32];

static inline void page_dir_make(void)
{
	(void)strcpy(page_dir, "/tmp/bff-pages-XXXXXX");
	assert_non_null(mkdtemp(page_dir));
}

/* "<page_dir>/name", until the next call. */
static inline const char *page_dir_path(const char *name)
{
	static char path[512];

	(void)snprintf(path, sizeof path, "%s/%s", page_dir, name);
	return path;
}

static inline void page_dir_write(const char *name, struct sv text)
{
	FILE *f = fopen(page_dir_path(name), "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text.p, 1, text.n, f), text.n);
	assert_int_equal(fclose(f), 0);
}

static inline void page_dir_clear(void)
{
	DIR *d = opendir(page_dir);
	const struct dirent *entry;

	assert_non_null(d);
	while ((entry = readdir(d)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			assert_int_equal(remove(page_dir_path(entry->d_name)), 0);
	(void)closedir(d);
}

static inline void page_dir_remove(void)
{
	page_dir_clear();
	assert_int_equal(rmdir(page_dir), 0);
}

#endif
