/* Whatever the strict scan passes, json-c parses too, into the same number of outermost members. */
#include <assert.h>

#include "broker/json_strict.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum err count(void *arg, struct sv key, struct sv value)
{
	char out[4096];
	size_t n;

	(void)key;
	/* A string the scan passed is unescaped or too long, never malformed. */
	if (value.p[0] == '"')
		assert(json_strict_string(value, out, sizeof out, &n) != ERR_SYNTAX);
	++*(int *)arg;
	return ERR_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sv text = sv_of((const char *)data, size);
	struct json_object *o = NULL;
	int members = 0;

	if (json_strict_object(text, 65536, count, &members) != ERR_OK)
		return 0;
	assert(json_strict_scan(text, 65536) == ERR_OK);
	assert(json_strict_parse(text, 65536, &o) == ERR_OK);
	assert(json_object_object_length(o) == members);
	json_object_put(o);
	return 0;
}
