#include "common/config_digest.h"

#include <stdlib.h>

enum err config_digest(const struct config *c, unsigned char out[CRYPT_SHA256_LEN])
{
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);
	enum err err;

	if (f == NULL)
		return ERR_NOMEM;
	err = config_dump(c, CONFIG_PRINT_BROKERED, f);
	if (fclose(f) == EOF && err == ERR_OK)
		err = ERR_NOMEM;
	if (err == ERR_OK)
		err = crypt_sha256(sv_of(text, n), out);
	free(text);
	return err;
}
