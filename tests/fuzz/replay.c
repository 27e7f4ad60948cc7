/*
 * replay - runs a fuzz target over its stored corpus, as a plain test
 *
 * Linked with one fuzz_NAME.c in place of libFuzzer; arguments are files. Prints what make test
 * counts.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REPLAY_MAX (1024 * 1024)

static int replay(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *data = malloc(REPLAY_MAX), *exact = NULL;
	size_t n = 0;
	int rc = -1;

	if (f == NULL || data == NULL)
		goto out;
	n = fread(data, 1, REPLAY_MAX, f);
	exact = malloc(n == 0 ? 1 : n); /* its own size, so that ASan sees one byte too far */
	if (exact == NULL || ferror(f) != 0)
		goto out;
	memcpy(exact, data, n);
	rc = LLVMFuzzerTestOneInput(exact, n) == 0 ? 0 : -1;
out:
	if (rc == -1)
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
	free(exact);
	free(data);
	if (f != NULL)
		(void)fclose(f); /* read only */
	return rc;
}

int main(int argc, char **argv)
{
	int failed = 0;

	for (int i = 1; i < argc; i++)
		failed += replay(argv[i]) == -1;
	printf("%d passed, %d failed\n", argc - 1 - failed, failed);
	return failed > 0 || argc < 2;
}
