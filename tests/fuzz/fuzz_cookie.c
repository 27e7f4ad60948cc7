/* cookie: fields separated by newlines; what is stripped holds nothing of ours. */
#include <assert.h>
#include <stdlib.h>

#include "worker/cookie.h"

#define FIELDS 8
#define NOW_S ((int64_t)20600 * 86400 + 3600)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct cookie_keys *one_key(void)
{
	struct cookie_keys *k = NULL;
	struct errmsg e;

	if (cookie_keys_parse(SV("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), &k, &e) != ERR_OK)
		abort();
	return k;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct sv names[] = {SV_INIT("bff_session"), SV_INIT(COOKIE_CSRF)};
	struct sv rest = sv_of((const char *)data, size), value;
	struct http_field v[FIELDS], stripped = {.name = SV("Cookie")};
	struct http_fields f = {.v = v}, one;
	struct cookie_candidates candidates;
	struct cookie_session session;
	struct cookie_keys *k = one_key();
	enum cookie_outcome outcome;
	struct errmsg e;
	struct buf b;

	while (rest.n > 0 && f.n < FIELDS) {
		size_t end = sv_find(rest, '\n');

		v[f.n++] = (struct http_field){.name = SV("Cookie"), .value = sv_cut(rest, 0, end)};
		rest = sv_cut(rest, end + 1, rest.n);
	}
	f = http_fields_of(v, f.n);
	cookie_session_read(f, names[0], NOW_S, (int64_t)12 * 3600 * 1000, &candidates);
	assert(candidates.n <= candidates.seen && candidates.n <= COOKIE_SAME_NAME_MAX);
	outcome = cookie_session_check(k, &candidates, &session);
	assert(outcome >= COOKIE_NONE && outcome <= COOKIE_OK);
	buf_init(&b, size + FIELDS * 2);
	cookie_strip(f, names, ARRAY_LEN(names), &b);
	assert(buf_ok(&b));
	stripped.value = buf_sv(&b);
	one = http_fields_of(&stripped, 1);
	assert(cookie_find(one, names[0], &value) == COOKIE_NONE);
	assert(cookie_find(one, names[1], &value) == COOKIE_NONE);
	buf_done(&b);
	cookie_keys_free(&k);
	if (cookie_keys_parse(sv_of((const char *)data, size), &k, &e) == ERR_OK)
		cookie_keys_free(&k);
	return 0;
}
