#include "worker/tls.h"

#include <openssl/err.h>

#include "tests/unit/torture.h"
#include "tests/unit/worker/tls_files.h"

static int make(void **state)
{
	(void)state;
	tls_files_make();
	return 0;
}

static int end(void **state)
{
	(void)state;
	tls_files_remove();
	return 0;
}

/* want: NULL for one that is taken, else what the sentence has. */
static void try(const struct config_listen *l, const char *want)
{
	struct errmsg e = {.text = ""};
	struct tls *t = NULL;
	enum err got = tls_new(l, SECRET_FILE_STRICT, &t, &e);

	assert_int_equal(ERR_peek_error(), 0); /* nothing is left for somebody else's call */
	if (want == NULL) {
		if (got != ERR_OK)
			fail_msg("got %s", e.text);
		tls_free(&t);
		assert_null(t);
		return;
	}
	assert_int_equal(got, ERR_CONFIG);
	assert_null(t);
	if (strncmp(e.text, "bff.conf:7: listen edge: ", 25) != 0 || strstr(e.text, want) == NULL)
		fail_msg("want %s, got %s", want, e.text);
	assert_null(strstr(e.text, "PRIVATE"));
}

static void files_are_read_or_refused_with_their_names(void **state)
{
	struct config_listen l = tls_files_listen();

	(void)state;
	try(&l, NULL);
	l.tls_client_ca = sv_str(tf.ca);
	try(&l, NULL);
	l.tls_client_ca = sv_str(tf.junk);
	try(&l, "tls_client_ca: /tmp/");
	l.tls_client_ca = SV("/nonexistent/ca");
	try(&l, "tls_client_ca: /nonexistent/ca: ");
	l = tls_files_listen();
	l.tls_certificate = sv_str(tf.junk);
	try(&l, "/junk: no start line");
	l.tls_certificate = SV("/nonexistent/c");
	try(&l, "tls_certificate: /nonexistent/c: No such file or directory");
	l = tls_files_listen();
	l.tls_key = sv_str(tf.junk);
	try(&l, "tls_key: /tmp/");
	l.tls_key = sv_str(tf.client_key);
	try(&l, "/client-key: key values mismatch");
	l.tls_key = sv_str(tf.locked);
	try(&l, "tls_key: /tmp/");
	l.tls_key = SV("/nonexistent/k");
	try(&l, "tls_key: /nonexistent/k: No such file");
	l.tls_key = sv_str(tf.server_key);
	assert_int_equal(chmod(tf.server_key, 0644), 0);
	try(&l, "lets others read it");
	assert_int_equal(chmod(tf.server_key, 0600), 0);
}

static enum err attempt(void *arg)
{
	struct errmsg e = {.text = ""};
	struct tls *t = NULL;
	enum err got = tls_new(arg, SECRET_FILE_STRICT, &t, &e);

	assert_true((t != NULL) == (got == ERR_OK));
	tls_free(&t);
	return got;
}

static void without_memory_there_is_none(void **state)
{
	struct config_listen l = tls_files_listen();

	(void)state;
	l.tls_client_ca = sv_str(tf.ca);
	assert_true(torture(attempt, &l) >= 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(files_are_read_or_refused_with_their_names),
	    cmocka_unit_test(without_memory_there_is_none),
	};

	return cmocka_run_group_tests(tests, make, end);
}
