#include "common/secret.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/torture.h"

static char path[64];

static int temp_file(void **state)
{
	int fd;

	(void)state;
	(void)snprintf(path, sizeof path, "/tmp/bff-test-secret-XXXXXX");
	fd = mkstemp(path);
	return fd == -1 ? -1 : close(fd);
}

static int temp_gone(void **state)
{
	(void)state;
	return unlink(path);
}

static void fill(const char *data, size_t n, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_TRUNC);

	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, data, n), n);
	assert_int_equal(fchmod(fd, mode), 0);
	assert_int_equal(close(fd), 0);
}

static void one_trailing_newline_is_dropped(void **state)
{
	struct secret *s = NULL;
	struct errmsg e;

	(void)state;
	fill("pass word\n\n", 11, 0600);
	assert_int_equal(secret_read_file(path, SECRET_FILE_STRICT, &s, &e), ERR_OK);
	assert_sv_equal(secret_view(s), SV("pass word\n"));
	secret_free(&s);
	assert_null(s);
	secret_free(&s);
}

static void what_others_may_read_is_refused(void **state)
{
	static const struct {
		mode_t mode;
		enum secret_file_mode how;
		enum err want;
	} rows[] = {
	    {0600, SECRET_FILE_STRICT, ERR_OK},	       {0400, SECRET_FILE_STRICT, ERR_OK},
	    {0640, SECRET_FILE_STRICT, ERR_CONFIG},    {0604, SECRET_FILE_STRICT, ERR_CONFIG},
	    {0644, SECRET_FILE_STRICT, ERR_CONFIG},    {0444, SECRET_FILE_STRICT, ERR_CONFIG},
	    {0644, SECRET_FILE_CONTAINER, ERR_OK},     {0444, SECRET_FILE_CONTAINER, ERR_OK},
	    {0666, SECRET_FILE_CONTAINER, ERR_CONFIG}, {0664, SECRET_FILE_CONTAINER, ERR_CONFIG},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct secret *s = NULL;
		struct errmsg e = {""};

		fill("x", 1, 0600);
		assert_int_equal(chmod(path, rows[i].mode), 0);
		if (geteuid() != 0 && (rows[i].mode & 0400) == 0)
			continue;
		assert_int_equal(secret_read_file(path, rows[i].how, &s, &e), rows[i].want);
		if (rows[i].want != ERR_OK)
			assert_non_null(strstr(e.text, path));
		secret_free(&s);
		assert_int_equal(chmod(path, 0600), 0);
	}
}

static void empty_missing_large_and_special_are_refused(void **state)
{
	struct secret *s = NULL;
	struct errmsg e;
	char *large = calloc(1, SECRET_FILE_MAX + 2);

	(void)state;
	fill("", 0, 0600);
	assert_int_equal(secret_read_file(path, SECRET_FILE_STRICT, &s, &e), ERR_CONFIG);
	fill("\n", 1, 0600);
	assert_int_equal(secret_read_file(path, SECRET_FILE_STRICT, &s, &e), ERR_CONFIG);
	assert_non_null(large);
	fill(large, SECRET_FILE_MAX + 1, 0600);
	assert_int_equal(secret_read_file(path, SECRET_FILE_STRICT, &s, &e), ERR_CONFIG);
	free(large);
	assert_int_equal(secret_read_file("/nonexistent/x", SECRET_FILE_STRICT, &s, &e),
			 ERR_CONFIG);
	assert_int_equal(secret_read_file("/dev/null", SECRET_FILE_STRICT, &s, &e), ERR_CONFIG);
	assert_int_equal(secret_read_file("/tmp", SECRET_FILE_STRICT, &s, &e), ERR_CONFIG);
	assert_null(s);
}

static enum err attempt(void *arg)
{
	struct secret *s = NULL;
	struct errmsg e;
	enum err err = secret_read_file(path, SECRET_FILE_STRICT, &s, &e);

	(void)arg;
	assert_true((s != NULL) == (err == ERR_OK));
	secret_free(&s);
	return err;
}

static void without_memory_there_is_none(void **state)
{
	(void)state;
	fill("x", 1, 0600);
	assert_int_equal(torture(attempt, NULL), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(one_trailing_newline_is_dropped, temp_file, temp_gone),
	    cmocka_unit_test_setup_teardown(what_others_may_read_is_refused, temp_file, temp_gone),
	    cmocka_unit_test_setup_teardown(empty_missing_large_and_special_are_refused, temp_file,
					    temp_gone),
	    cmocka_unit_test_setup_teardown(without_memory_there_is_none, temp_file, temp_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
