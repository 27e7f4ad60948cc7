/* url: no target crashes it; an accepted one is its own canonical form. */
#include <assert.h>
#include <stdlib.h>

#include "worker/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sv target = sv_of((const char *)data, size), meaning;
	const char *reason = NULL;
	char out[URL_TARGET_MAX];
	struct url u, again;

	if (url_parse(target, &u, &reason) != ERR_OK) {
		assert(reason != NULL);
		return 0;
	}
	assert(sv_eq(u.target, target) && u.path.n > 0 && u.path.p[0] == '/');
	assert(u.path.n + (u.query.p == NULL ? 0 : 1 + u.query.n) == size);
	assert(url_parse(u.path, &again, &reason) == ERR_OK);
	assert(sv_eq(again.path, u.path) && again.encoded_slash == u.encoded_slash);
	meaning = url_decode_path(u.path, out);
	assert(meaning.n <= u.path.n && sv_find(meaning, '\\') == meaning.n);
	for (size_t i = 1; i < meaning.n; i++)
		assert(meaning.p[i] != '/' || meaning.p[i - 1] != '/');
	return 0;
}
