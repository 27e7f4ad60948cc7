#include "worker/page_files.h"

#include "tests/unit/torture.h"
#include "tests/unit/worker/page_dir.h"

static struct config_app apps[3];
static const struct config config = {.apps = apps, .napps = 3};
static struct page_files *files;
static struct errmsg e;

/* The first app has no pages of its own, the second those of page_dir, the third those of etc/. */
static int setup(void **state)
{
	(void)state;
	page_dir_make();
	for (size_t i = 0; i < ARRAY_LEN(apps); i++)
		apps[i] = (struct config_app){.name = SV("a"), .place = {"f", 7}};
	apps[1].pages = sv_str(page_dir);
	apps[2].pages = SV("etc/pages/company");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	page_files_free(&files);
	page_dir_remove();
	return 0;
}

static void load(void)
{
	if (page_files_new(&config, &files, &e) != ERR_OK)
		fail_msg("%s", e.text);
}

/* name: of the file that is at fault, NULL: the directory. */
static void refused(const char *name, const char *why)
{
	char want[1024];

	(void)snprintf(want, sizeof want, "f:7: app a: pages: " SV_FMT "%s%s: %s",
		       SV_ARG(apps[1].pages), name == NULL ? "" : "/", name == NULL ? "" : name,
		       why);
	assert_int_equal(page_files_new(&config, &files, &e), ERR_CONFIG);
	assert_null(files);
	assert_string_equal(e.text, want);
}

static void each_app_has_its_own(void **state)
{
	(void)state;
	page_dir_write("login-failed.html", SV("<p>h\xc3\xa9</p>"));
	page_dir_write("login-refused.html", SV("b"));
	page_dir_write("login-limited.html", SV("c"));
	page_dir_write("login-loop.html", SV("{{cause}}"));
	page_dir_write("unavailable.html", SV("d"));
	page_dir_write("logout.html", SV("e{{form}}"));
	page_dir_write("send-on.html", SV("f{{form}}"));
	load();
	assert_sv_equal(page_files_find(files, &apps[1], PAGE_LOGIN_FAILED),
			SV("<p>h\xc3\xa9</p>"));
	assert_sv_equal(page_files_find(files, &apps[1], PAGE_LOGIN_DENIED), SV("b"));
	assert_sv_equal(page_files_find(files, &apps[1], PAGE_LOGIN_LIMITED), SV("c"));
	assert_sv_equal(page_files_find(files, &apps[1], PAGE_LOGIN_LOOP), SV("{{cause}}"));
	assert_sv_equal(page_files_find(files, &apps[1], PAGE_UNAVAILABLE), SV("d"));
	assert_sv_equal(page_files_find(files, &apps[1], PAGE_LOGOUT), SV("e{{form}}"));
	assert_sv_equal(page_files_find(files, &apps[1], PAGE_SEND_ON), SV("f{{form}}"));
	assert_null(page_files_find(files, &apps[1], PAGE_LOGGED_OUT).p); /* the built-in one */
	for (unsigned page = 1; page < PAGE_COUNT; page++) {
		assert_null(page_files_find(files, &apps[0], (enum page)page).p);
		assert_null(page_files_find(NULL, &apps[1], (enum page)page).p);
	}
}

static void the_example_is_good(void **state)
{
	static const struct sv id = SV_INIT("{{correlation_id}}");
	struct sv text;

	(void)state;
	load();
	text = page_files_find(files, &apps[2], PAGE_LOGIN_FAILED);
	assert_non_null(memmem(text.p, text.n, id.p, id.n));
	assert_non_null(page_files_find(files, &apps[2], PAGE_LOGGED_OUT).p);
	assert_null(page_files_find(files, &apps[2], PAGE_LOGOUT).p);
}

static void the_manual_names_each_file(void **state)
{
	static const char *const names[] = {
#define PAGE(name, file, status, takes) ".B " file "\n(" #status ") ",
#include "worker/page.def"
#undef PAGE
	};
	char text[131072];
	FILE *f = fopen("worker/bff-worker.8", "r");

	(void)state;
	assert_non_null(f);
	text[fread(text, 1, sizeof text - 1, f)] = '\0';
	assert_true(feof(f));
	(void)fclose(f);
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strstr(text, names[i]) == NULL)
			fail_msg("%s", names[i]);
}

static void what_is_no_page_is_named_and_refused(void **state)
{
	(void)state;
	page_dir_write("logout.html", SV("\n{{x}}"));
	refused("logout.html", "line 2: {{: expected {{correlation_id}} or {{form}}");
	page_dir_clear();
	page_dir_write("logged-out.html", SV(""));
	refused("logged-out.html", "empty");
	page_dir_clear();
	page_dir_write("logged_out.html", SV("x"));
	refused("logged_out.html", "there is no page of that name");
	page_dir_clear();
	assert_int_equal(mkdir(page_dir_path("logout.html"), 0700), 0);
	refused("logout.html", "expected a regular file");
	page_dir_clear();
	assert_int_equal(mkfifo(page_dir_path("logout.html"), 0600), 0); /* does not wait */
	refused("logout.html", "expected a regular file");
	page_dir_clear();
	assert_int_equal(symlink("nowhere", page_dir_path("logout.html")), 0);
	refused("logout.html", "No such file or directory");
}

static void a_directory_must_be_there(void **state)
{
	static char path[512];

	(void)state;
	(void)strcpy(path, page_dir_path("nowhere"));
	apps[1].pages = sv_str(path);
	refused(NULL, "No such file or directory");
	page_dir_write("nowhere", SV("x"));
	refused(NULL, "Not a directory");
}

/* As a mounted volume has them. */
static void what_is_none_of_ours_is_left_alone(void **state)
{
	(void)state;
	page_dir_write("..data", SV("bye"));
	page_dir_write(".draft.html", SV("{{"));
	page_dir_write("logout.html~", SV("{{"));
	page_dir_write("style.css", SV("{{"));
	assert_int_equal(symlink("..data", page_dir_path("logged-out.html")), 0);
	load();
	assert_sv_equal(page_files_find(files, &apps[1], PAGE_LOGGED_OUT), SV("bye"));
}

static void a_file_has_a_limit(void **state)
{
	static char text[PAGE_FILE_MAX + 1];

	(void)state;
	memset(text, 'x', sizeof text);
	page_dir_write("logged-out.html", sv_of(text, PAGE_FILE_MAX));
	load();
	assert_int_equal(page_files_find(files, &apps[1], PAGE_LOGGED_OUT).n, PAGE_FILE_MAX);
	page_files_free(&files);
	page_dir_write("logged-out.html", sv_of(text, sizeof text));
	refused("logged-out.html", "larger than 32768 bytes");
}

static enum err attempt(void *arg)
{
	struct page_files *f = NULL;
	enum err rc = page_files_new(&config, &f, &e);

	(void)arg;
	assert_int_equal(f != NULL, rc == ERR_OK);
	assert_true(rc == ERR_OK || rc == ERR_NOMEM);
	page_files_free(&f);
	return rc;
}

static void without_memory(void **state)
{
	(void)state;
	page_dir_write("logged-out.html", SV("x"));
	assert_true(torture(attempt, NULL) > 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	    CASE(each_app_has_its_own),	      CASE(the_example_is_good),
	    CASE(the_manual_names_each_file), CASE(what_is_no_page_is_named_and_refused),
	    CASE(a_directory_must_be_there),  CASE(what_is_none_of_ours_is_left_alone),
	    CASE(a_file_has_a_limit),	      CASE(without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
