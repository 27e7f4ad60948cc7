#include "broker/keyring.h"

#include <stdlib.h>

#include "common/b64.h"
#include "common/crypt.h"

struct ring_key {
	uint32_t id;
	unsigned char key[KEYRING_KEY_LEN];
};

struct keyring {
	struct ring_key keys[KEYRING_KEYS_MAX];
	size_t n;
	size_t primary; /* index; KEYRING_KEYS_MAX = none yet */
};

/* The next run of non-blanks of *line, which is moved behind it. */
static struct sv next_word(struct sv *line)
{
	struct sv s = sv_trim(*line), word;
	size_t n = 0;

	while (n < s.n && s.p[n] != ' ' && s.p[n] != '\t')
		n++;
	word = sv_cut(s, 0, n);
	*line = sv_cut(s, n, s.n);
	return word;
}

static enum err add_key(struct keyring *k, struct sv id, struct sv state, struct sv key,
			const char **ret_why)
{
	struct ring_key *slot = &k->keys[k->n];
	size_t len = 0;
	uint64_t number = 0;

	if (k->n == KEYRING_KEYS_MAX) {
		*ret_why = "too many keys";
		return ERR_CONFIG;
	}
	if (sv_u64(id, UINT32_MAX, &number) != ERR_OK || number == 0) {
		*ret_why = "key id: expected a number from 1 to 4294967295";
		return ERR_CONFIG;
	}
	if (b64url_decode(key, slot->key, sizeof slot->key, &len) != ERR_OK ||
	    len != sizeof slot->key) {
		*ret_why = "key: expected 43 characters of base64url (32 bytes)";
		return ERR_CONFIG;
	}
	for (size_t i = 0; i < k->n; i++) {
		if (k->keys[i].id == number || memcmp(k->keys[i].key, slot->key, len) == 0) {
			*ret_why = "key id or key stands twice";
			return ERR_CONFIG;
		}
	}
	if (sv_eq(state, SV("primary"))) {
		if (k->primary != KEYRING_KEYS_MAX) {
			*ret_why = "second primary key: exactly one is expected";
			return ERR_CONFIG;
		}
		k->primary = k->n;
	} else if (!sv_eq(state, SV("decrypt-only")) && !sv_eq(state, SV("pending"))) {
		*ret_why = "state: expected primary, decrypt-only or pending";
		return ERR_CONFIG;
	}
	slot->id = (uint32_t)number;
	k->n++;
	return ERR_OK;
}

static enum err parse_line(struct keyring *k, struct sv line, const char **ret_why)
{
	struct sv id = next_word(&line);
	struct sv state = next_word(&line);
	struct sv key = next_word(&line);

	if (id.n == 0 || id.p[0] == '#')
		return ERR_OK;
	if (sv_trim(line).n != 0) {
		*ret_why = "expected: id state key";
		return ERR_CONFIG;
	}
	return add_key(k, id, state, key, ret_why);
}

enum err keyring_parse(struct sv text, const char *path, struct keyring **ret, struct errmsg *e)
{
	struct keyring *k = calloc(1, sizeof *k);
	unsigned line_number = 0;
	enum err rc = ERR_OK;

	if (k == NULL)
		return errmsg_set(e, ERR_NOMEM, "%s: out of memory", path);
	k->primary = KEYRING_KEYS_MAX;
	while (text.n > 0 && rc == ERR_OK) {
		size_t eol = sv_find(text, '\n');
		const char *why = NULL;

		line_number++;
		rc = parse_line(k, sv_cut(text, 0, eol), &why);
		if (rc != ERR_OK)
			(void)errmsg_set(e, rc, "%s:%u: %s", path, line_number, why);
		text = sv_cut(text, eol + 1, text.n);
	}
	if (rc == ERR_OK && k->primary == KEYRING_KEYS_MAX)
		rc = errmsg_set(e, ERR_CONFIG, "%s: no primary key: exactly one is expected", path);
	if (rc != ERR_OK) {
		keyring_free(&k);
		return rc;
	}
	*ret = k;
	return ERR_OK;
}

void keyring_free(struct keyring **k)
{
	if (*k == NULL)
		return;
	explicit_bzero(*k, sizeof **k);
	free(*k);
	*k = NULL;
}

struct sv keyring_primary(const struct keyring *k, uint32_t *ret_id)
{
	const struct ring_key *p = &k->keys[k->primary];

	*ret_id = p->id;
	return sv_of((const char *)p->key, sizeof p->key);
}

enum err keyring_find(const struct keyring *k, uint32_t id, struct sv *ret)
{
	for (size_t i = 0; i < k->n; i++) {
		if (k->keys[i].id == id) {
			*ret = sv_of((const char *)k->keys[i].key, sizeof k->keys[i].key);
			return ERR_OK;
		}
	}
	return ERR_NOT_FOUND;
}

size_t keyring_count(const struct keyring *k)
{
	return k->n;
}

enum err keyring_fresh_line(uint32_t id, struct buf *out)
{
	unsigned char key[KEYRING_KEY_LEN];
	char text[B64URL_LEN(KEYRING_KEY_LEN)];
	enum err rc = crypt_random(key, sizeof key);

	if (rc == ERR_OK) {
		size_t n = b64url_encode(key, sizeof key, text);

		buf_add_u64(out, id);
		buf_add(out, SV(" primary "));
		buf_add(out, sv_of(text, n));
		buf_add_char(out, '\n');
		if (!buf_ok(out))
			rc = ERR_NOMEM;
	}
	explicit_bzero(key, sizeof key);
	explicit_bzero(text, sizeof text);
	return rc;
}
