#include "common/config_digest.h"

#include "tests/unit/common/config_text.h"
#include "tests/unit/torture.h"

static void digest(const char *text, unsigned char out[CRYPT_SHA256_LEN])
{
	struct config *c = NULL;
	struct errmsg e = {""};
	size_t path_n;

	if (config_text_load(text, strlen(text), &c, &e, &path_n) != ERR_OK)
		fail_msg("%s", e.text);
	assert_int_equal(config_digest(c, out), ERR_OK);
	config_free(&c);
}

#define TEXT(workers, client, path)                                                                \
	CONFIG_TEXT_DATABASE CONFIG_TEXT_BROKER CONFIG_TEXT_APP                                    \
	    "web { cookie_keys = \"/k\" workers = " workers " }\n"                                 \
	    "provider \"p\" { issuer = \"https://i.example\" client_secret_file = \"/s\" "         \
	    "client_id = " client " }\nroute \"r\" { app = a path = \"" path "\" }\n"

static void test_covers_what_is_brokered(void **state)
{
	unsigned char want[CRYPT_SHA256_LEN], got[CRYPT_SHA256_LEN];

	(void)state;
	digest(TEXT("2", "c", "/x"), want);
	digest(TEXT("3", "c", "/x"), got);
	assert_memory_equal(got, want, sizeof want);
	digest(TEXT("2", "d", "/x"), got);
	assert_memory_not_equal(got, want, sizeof want);
	digest(TEXT("2", "c", "/y"), got);
	assert_memory_not_equal(got, want, sizeof want);
}

static enum err attempt(void *arg)
{
	unsigned char out[CRYPT_SHA256_LEN];

	return config_digest(arg, out);
}

static void test_without_memory(void **state)
{
	static const char text[] = TEXT("2", "c", "/x");
	struct config *c = NULL;
	struct errmsg e = {""};
	size_t path_n;

	(void)state;
	if (config_text_load(text, sizeof text - 1, &c, &e, &path_n) != ERR_OK)
		fail_msg("%s", e.text);
	assert_true(torture(attempt, c) >= 1);
	config_free(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_covers_what_is_brokered),
					   cmocka_unit_test(test_without_memory)};

	return cmocka_run_group_tests_name("config_digest", tests, NULL, NULL);
}
