/* ring - a key ring for tests, with its states: lines of `id state key`. */
#ifndef BFF_TEST_RING_H
#define BFF_TEST_RING_H

#include "broker/keyring.h"
#include "tests/unit/unit.h"

#define RING_KEY_A "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define RING_KEY_B "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBA"
#define RING_ONE "1 primary " RING_KEY_A "\n"

static inline enum key_state ring_state(const char *word)
{
	return strcmp(word, "primary") == 0	   ? KEY_PRIMARY
	       : strcmp(word, "decrypt-only") == 0 ? KEY_DECRYPT_ONLY
	       : strcmp(word, "retired") == 0	   ? KEY_RETIRED
						   : KEY_PENDING;
}

static inline struct keyring *ring_of(const char *text)
{
	struct keyring *k = NULL;
	struct errmsg e;
	struct buf file;
	unsigned id[8];
	char state[8][16], key[64];
	int used = 0;
	size_t n = 0;

	buf_init(&file, 4096);
	for (; sscanf(text, "%u %15s %63s\n%n", &id[n], state[n], key, &used) == 3; text += used) {
		buf_add_u64(&file, id[n]);
		buf_add_char(&file, ' ');
		buf_add(&file, sv_str(key));
		buf_add_char(&file, '\n');
		n++;
		if (n == ARRAY_LEN(id))
			break;
	}
	assert_int_equal(keyring_parse(buf_sv(&file), "ring", &k, &e), ERR_OK);
	for (size_t i = 0; i < n; i++)
		keyring_set_state(k, id[i], ring_state(state[i]));
	buf_done(&file);
	return k;
}

#endif
