#include "broker/edition.h"

#include "tests/unit/broker/certificates.h"
#include "tests/unit/broker/edition_stand.h"
#include "tests/unit/torture.h"

static void an_unchanged_provider_is_shared(void **state)
{
	struct edition *first = stand_add(), *second;

	(void)state;
	assert_int_equal(stand.made, 1);
	assert_null(first->lenders[0]);
	stand_write("secret2", "for q", 0600);
	assert_int_equal(unlink(stand_file("secret")), 0); /* not read again */
	stand_config("", "",
		     "provider \"q\" { issuer = \"https://q.example\" client_id = \"c\"\n"
		     "	client_secret_file = \"DIR/secret2\" }\n");
	second = stand_add();
	assert_int_equal(stand.made, 2); /* q alone */
	assert_ptr_equal(edition_provider(second, SV("p")), edition_provider(first, SV("p")));
	assert_non_null(edition_provider(second, SV("q")));
	assert_null(edition_provider(first, SV("q")));
	assert_int_equal(first->refs, 1);
	assert_ptr_equal(second->lenders[0], first);
	assert_null(second->lenders[1]);
}

static void it_is_borrowed_from_whom_that_has_it(void **state)
{
	struct edition *first = stand_add(), *second, *third;

	(void)state;
	stand_config_number(1);
	second = stand_add();
	stand_config_number(2);
	third = stand_add();
	assert_ptr_equal(third->lenders[0], first);
	assert_int_equal(first->refs, 2);
	assert_int_equal(second->refs, 0);
	assert_int_equal(stand.made, 1);
}

/* A reload while a provider is away forgets nothing, nor does what is learnt later stay away from
 * the workers of before. */
static void what_is_held_off_is_shared_with_it(void **state)
{
	struct edition *first = stand_add(), *second;
	const struct config_provider *p = &first->config->providers[0], *again;
	struct holdoffs *h = edition_holdoffs(first, &p);

	(void)state;
	assert_ptr_equal(h, &first->holdoffs);
	assert_ptr_equal(p, &first->config->providers[0]);
	stand_config_number(1);
	second = stand_add();
	assert_int_equal(stand.made, 1);
	again = &second->config->providers[0];
	assert_ptr_equal(edition_holdoffs(second, &again), h);
	assert_ptr_equal(again, p);
}

static void write_pem(const char *name, bool private)
{
	EVP_PKEY *key = signer_key(ALG_ES256);
	X509 *x = certificate_new("an authority", key, NULL, NULL);
	struct buf pem;

	buf_init(&pem, 65536);
	if (private)
		put_key(&pem, key, NULL);
	put_certificate(&pem, x);
	buf_add_char(&pem, '\0');
	stand_write(name, pem.p, 0600);
	buf_done(&pem);
	X509_free(x);
	EVP_PKEY_free(key);
}

/* Each option of the section makes it another provider; its place does not. */
static void a_changed_option_makes_another(void **state)
{
	static const char *const options[] = {
	    "preset = auth0",
	    "client_auth = client_secret_post",
	    "signing_alg = ES256",
	    "scopes = {openid, email}",
	    "subject_claim = oid",
	    "claims_from = {id_token, userinfo}",
	    "keep_claims = {name}",
	    "response_mode = form_post",
	    "grace = \"3s\"",
	    "insecure_loopback = yes",
	    "ca_file = \"DIR/key.pem\"",
	};

	(void)state;
	write_pem("key.pem", false);
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		unsigned made;

		stand_config("", "", "");
		(void)stand_add();
		made = stand.made;
		stand_config(options[i], "", ""); /* this alone */
		if (stand_add()->lenders[0] != NULL || stand.made != made + 1)
			fail_msg("shared all the same: %s", options[i]);
		stand_config(options[i], "", STAND_Q);
		(void)stand_add();
		assert_int_equal(stand.made, made + 2);
	}
}

#define SECRET(file) "client_secret_file = \"DIR/" file "\""
#define KEY(file)                                                                                  \
	"client_auth = private_key_jwt signing_alg = ES256 client_key_file = \"DIR/" file "\""

/* The rest of the section: what the stand's text has once already. */
static void another_name_issuer_client_secret_or_key_makes_another(void **state)
{
	static const struct {
		const char *name, *issuer, *client_id, *credential;
		unsigned want_made;
	} rows[] = {
	    {"q", "https://q.example", "c", SECRET("secret"), 1}, /* the first of all */
	    {"q", "https://q.example", "c", SECRET("secret"), 0}, /* the same */
	    {"r", "https://q.example", "c", SECRET("secret"), 1},
	    {"r", "https://r.example", "c", SECRET("secret"), 1},
	    {"r", "https://r.example", "d", SECRET("secret"), 1},
	    {"r", "https://r.example", "d", SECRET("secret2"), 1},
	    {"r", "https://r.example", "d", KEY("key.pem"), 1},
	    {"r", "https://r.example", "d", KEY("password"), 1},
	    {"r", "https://r.example", "d", KEY("password") " assertion_audience = token_endpoint",
	     1},
	    {"r", "https://r.example", "d",
	     KEY("password") " assertion_audience = token_endpoint "
			     "client_certificate_file = \"DIR/key.pem\"",
	     1},
	};

	(void)state;
	stand_write("secret2", "another", 0600);
	write_pem("key.pem", true);
	write_pem("password", true);
	(void)stand_add();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		unsigned made = stand.made;
		char more[512];

		(void)snprintf(more, sizeof more,
			       "provider \"%s\" { issuer = \"%s\" client_id = \"%s\" %s }\n",
			       rows[i].name, rows[i].issuer, rows[i].client_id, rows[i].credential);
		stand_config("", "", more);
		(void)stand_add();
		if (stand.made - made != rows[i].want_made)
			fail_msg("row %zu: %u providers made", i, stand.made - made);
	}
}

static void editions_beyond_the_limit_go_oldest_first(void **state)
{
	struct edition *first = stand_add(), *ed;

	(void)state;
	for (unsigned i = 1; i < EDITIONS_MAX; i++) {
		stand_config_number(i);
		(void)stand_add();
	}
	assert_int_equal(stand.editions.n, EDITIONS_MAX);
	for (ed = stand.editions.newest; ed->next != NULL && ed->next->next != NULL;)
		ed = ed->next;
	assert_ptr_equal(ed->next, first); /* the lender of all */
	edition_ref(ed);		   /* the second oldest is in use */
	stand_config_number(EDITIONS_MAX);
	(void)stand_add();
	assert_int_equal(stand.editions.n, EDITIONS_MAX);
	assert_non_null(editions_find(&stand.editions, stand_digest(first)));
	assert_non_null(editions_find(&stand.editions, stand_digest(ed)));
	stand_config_number(2); /* the third oldest: gone, and so made anew */
	assert_ptr_not_equal(stand_add(), ed);
	assert_int_equal(stand.editions.n, EDITIONS_MAX);
	assert_int_equal(stand.made, 1);
	edition_unref(&ed);
	assert_null(ed);
}

static void editions_in_use_stay_beyond_the_limit(void **state)
{
	struct edition *held[EDITIONS_MAX + 2];

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(held); i++) {
		stand_config_number(i);
		held[i] = stand_add();
		edition_ref(held[i]);
	}
	assert_int_equal(stand.editions.n, ARRAY_LEN(held));
	for (unsigned i = 0; i < ARRAY_LEN(held); i++)
		edition_unref(&held[i]);
	assert_int_equal(stand.editions.n, ARRAY_LEN(held)); /* the next one sweeps */
	stand_config_number(ARRAY_LEN(held));
	(void)stand_add();
	assert_int_equal(stand.editions.n, EDITIONS_MAX);
}

static void an_edition_that_goes_takes_its_providers_along(void **state)
{
	(void)state;
	for (unsigned i = 0; i <= EDITIONS_MAX + 1; i++) {
		char option[64];

		(void)snprintf(option, sizeof option, "grace = \"%us\"", i + 1);
		stand_config(option, "", "");
		(void)stand_add();
	}
	assert_int_equal(stand.made, EDITIONS_MAX + 2);
	assert_int_equal(stand.alive, EDITIONS_MAX);
}

static void the_file_is_read_again_for_an_unknown_digest(void **state)
{
	unsigned char digest[CRYPT_SHA256_LEN];
	struct edition *first = stand_add(), *found;
	struct config *c;
	struct sv want = sv_of((const char *)digest, sizeof digest);

	(void)state;
	stand_config_number(1);
	c = stand_load();
	assert_int_equal(config_digest(c, digest), ERR_OK);
	config_free(&c);
	assert_ptr_equal(editions_find(&stand.editions, stand_digest(first)), first);
	assert_int_equal(stand.loads, 0); /* known: not read */
	found = editions_find(&stand.editions, want);
	assert_ptr_equal(found, stand.editions.newest);
	assert_sv_equal(stand_digest(found), want);
	assert_int_equal(found->refs, 0);
	assert_int_equal(stand.loads, 1);
	assert_int_equal(stand.editions.n, 2);
}

static void unknown_digests_read_a_few_times_then_once_a_second(void **state)
{
	struct edition *ed = stand_add();

	(void)state;
	for (int i = 0; i < 2 * EDITION_REREADS; i++)
		assert_null(editions_find(&stand.editions, SV("0123456789abcdef0123456789abcdef")));
	assert_int_equal(stand.loads, EDITION_REREADS);
	for (int64_t ms = 0; ms <= 3 * EDITION_REREAD_MS; ms += EDITION_REREAD_MS / 4) {
		clock_set(STAND_NOW_MS + ms, 0);
		assert_null(editions_find(&stand.editions, SV("0123456789abcdef0123456789abcdef")));
	}
	assert_int_equal(stand.loads, EDITION_REREADS + 3);
	assert_logged("config_not_the_workers");
	assert_ptr_equal(stand.editions.newest, ed); /* not another one of the same file */
	assert_int_equal(stand.editions.n, 1);
	assert_null(editions_find(&stand.editions, SV_NONE));
}

static void a_file_that_does_not_load_changes_nothing(void **state)
{
	struct edition *ed = stand_add();
	unsigned char digest[CRYPT_SHA256_LEN];
	struct sv want = sv_of((const char *)digest, sizeof digest);
	struct config *c;

	(void)state;
	stand_write("bff.conf", "provider {", 0600);
	clock_set(STAND_NOW_MS + EDITION_REREAD_MS, 0);
	assert_null(editions_find(&stand.editions, SV("0123456789abcdef0123456789abcdef")));
	assert_logged("config_not_loaded");
	stand_config("subject_claim = oid", "", "");
	c = stand_load();
	assert_int_equal(config_digest(c, digest), ERR_OK);
	config_free(&c);
	assert_int_equal(unlink(stand_file("secret")), 0);
	clock_set(STAND_NOW_MS + 2 * EDITION_REREAD_MS, 0);
	assert_null(editions_find(&stand.editions, want));
	assert_logged("config_not_loaded");
	stand_write("secret", "again", 0600);
	stand.refuses = ERR_NOMEM;
	clock_set(STAND_NOW_MS + 3 * EDITION_REREAD_MS, 0);
	assert_null(editions_find(&stand.editions, want));
	assert_logged("config_not_loaded");
	assert_ptr_equal(stand.editions.newest, ed);
	assert_int_equal(stand.editions.n, 1);
	assert_int_equal(stand.alive, 1);
	stand.refuses = ERR_OK; /* and once it loads it is known */
	clock_set(STAND_NOW_MS + 4 * EDITION_REREAD_MS, 0);
	assert_non_null(editions_find(&stand.editions, want));
}

static void what_fails_says_what_and_leaves_nothing(void **state)
{
	struct errmsg e = {0};
	struct edition *ed = stand_add();

	(void)state;
	stand_config("subject_claim = oid", "", STAND_Q);
	stand.refuses = ERR_CRYPTO;
	assert_int_equal(stand_try(&e), ERR_CRYPTO);
	assert_non_null(strstr(e.text, stand.path));
	assert_non_null(strstr(e.text, "provider"));
	stand.refuses = ERR_OK;
	stand_config("", "", STAND_Q); /* p is borrowed, then q fails */
	stand.refuses = ERR_NOMEM;
	assert_int_equal(stand_try(&e), ERR_NOMEM);
	assert_ptr_equal(stand.editions.newest, ed);
	assert_int_equal(stand.editions.n, 1);
	assert_int_equal(ed->refs, 0); /* given back */
	assert_int_equal(stand.alive, 1);
}

static void providers_by_name_the_newest_first(void **state)
{
	struct edition *first, *second;

	(void)state;
	stand_config("", "", STAND_Q);
	first = stand_add();
	stand_config("subject_claim = oid", "", "");
	second = stand_add();
	assert_ptr_equal(editions_provider(&stand.editions, SV("p"), SV("https://p.example")),
			 edition_provider(second, SV("p")));
	assert_ptr_not_equal(edition_provider(second, SV("p")), edition_provider(first, SV("p")));
	assert_ptr_equal(editions_provider(&stand.editions, SV("q"), SV("https://q.example")),
			 edition_provider(first, SV("q"))); /* of an older one, still */
	assert_null(editions_provider(&stand.editions, SV("r"), SV("https://p.example")));
	/* Whoever took the name is another. */
	assert_null(editions_provider(&stand.editions, SV("p"), SV("https://other.example")));
}

static void a_stop_ends_the_providers_of_ones_own(void **state)
{
	struct edition *first = stand_add(), *second;

	(void)state;
	stand_config("", "", STAND_Q);
	second = stand_add();
	edition_stop(second);
	assert_int_equal(stand.alive, 1); /* q */
	assert_int_equal(first->refs, 0);
	assert_null(edition_provider(second, SV("p")));
	assert_non_null(edition_provider(first, SV("p")));
	edition_stop(second); /* again */
	edition_stop(first);
	assert_int_equal(stand.alive, 0);
}

static void check_reads_every_secret_and_keeps_none(void **state)
{
	struct config *c;
	struct errmsg e = {0};

	(void)state;
	stand_write("secret2", "another", 0600);
	stand_config("", "",
		     "provider \"q\" { issuer = \"https://q.example\" client_id = \"c\"\n"
		     "	client_secret_file = \"DIR/secret2\" }\n");
	c = stand_load();
	assert_int_equal(edition_check_secrets(c, &e), ERR_OK);
	assert_int_equal(chmod(stand_file("secret2"), 0644), 0);
	assert_int_equal(edition_check_secrets(c, &e), ERR_CONFIG);
	assert_non_null(strstr(e.text, "secret2"));
	assert_int_equal(unlink(stand_file("secret2")), 0);
	assert_int_equal(edition_check_secrets(c, &e), ERR_CONFIG);
	assert_int_equal(stand.made, 0);
	config_free(&c);
}

static enum err attempt(void *arg)
{
	struct edition *before = stand.editions.newest;
	unsigned at = torture_state.at;
	struct errmsg e;
	struct config *c;
	enum err rc;

	(void)arg;
	torture_state.at = 0;
	c = stand_load();
	torture_state.at = at;
	rc = editions_add(&stand.editions, &c, &e);
	assert_null(c);
	assert_int_equal(before->refs, rc == ERR_OK ? 1 : 0);
	assert_true((stand.editions.newest == before) == (rc != ERR_OK));
	return rc;
}

static void without_memory_there_is_none(void **state)
{
	(void)state;
	(void)stand_add();
	stand_config("", "", STAND_Q);
	assert_true(torture(attempt, NULL) >= 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    STAND(an_unchanged_provider_is_shared),
	    STAND(it_is_borrowed_from_whom_that_has_it),
	    STAND(what_is_held_off_is_shared_with_it),
	    STAND(a_changed_option_makes_another),
	    STAND(another_name_issuer_client_secret_or_key_makes_another),
	    STAND(editions_beyond_the_limit_go_oldest_first),
	    STAND(editions_in_use_stay_beyond_the_limit),
	    STAND(an_edition_that_goes_takes_its_providers_along),
	    STAND(the_file_is_read_again_for_an_unknown_digest),
	    STAND(unknown_digests_read_a_few_times_then_once_a_second),
	    STAND(a_file_that_does_not_load_changes_nothing),
	    STAND(what_fails_says_what_and_leaves_nothing),
	    STAND(providers_by_name_the_newest_first),
	    STAND(a_stop_ends_the_providers_of_ones_own),
	    STAND(check_reads_every_secret_and_keeps_none),
	    STAND(without_memory_there_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
