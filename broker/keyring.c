#include "broker/keyring.h"

#include <stdlib.h>

#include "common/b64.h"
#include "common/crypt.h"

struct ring_key {
	struct keyring_entry entry;
	unsigned char key[KEYRING_KEY_LEN];
};

struct keyring {
	struct ring_key keys[KEYRING_KEYS_MAX];
	size_t n;
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

static enum err add_key(struct keyring *k, struct sv id, struct sv key, const char **ret_why)
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
		if (k->keys[i].entry.id == number || memcmp(k->keys[i].key, slot->key, len) == 0) {
			*ret_why = "key id or key stands twice";
			return ERR_CONFIG;
		}
	}
	slot->entry.id = (uint32_t)number;
	slot->entry.state = KEY_PENDING;
	*ret_why = "fingerprint";
	k->n++;
	return crypt_hkdf_sha256(sv_of((const char *)slot->key, sizeof slot->key), SV("bff"),
				 SV("fingerprint"), slot->entry.print, sizeof slot->entry.print);
}

static enum err parse_line(struct keyring *k, struct sv line, const char **ret_why)
{
	struct sv id = next_word(&line);
	struct sv key = next_word(&line);

	if (id.n == 0 || id.p[0] == '#')
		return ERR_OK;
	if (sv_trim(line).n != 0) {
		*ret_why = "expected: id key";
		return ERR_CONFIG;
	}
	return add_key(k, id, key, ret_why);
}

enum err keyring_parse(struct sv text, const char *path, struct keyring **ret, struct errmsg *e)
{
	struct keyring *k = calloc(1, sizeof *k);
	unsigned line_number = 0;
	enum err rc = ERR_OK;

	if (k == NULL)
		return errmsg_set(e, ERR_NOMEM, "%s: out of memory", path);
	while (text.n > 0 && rc == ERR_OK) {
		size_t eol = sv_find(text, '\n');
		const char *why = NULL;

		line_number++;
		rc = parse_line(k, sv_cut(text, 0, eol), &why);
		if (rc != ERR_OK)
			(void)errmsg_set(e, rc, "%s:%u: %s", path, line_number, why);
		text = sv_cut(text, eol + 1, text.n);
	}
	if (rc == ERR_OK && k->n == 0)
		rc = errmsg_set(e, ERR_CONFIG, "%s: no key: expected at least one", path);
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

void keyring_set_state(struct keyring *k, uint32_t id, enum key_state to)
{
	for (size_t i = 0; i < k->n; i++) {
		struct keyring_entry *e = &k->keys[i].entry;

		if (e->id == id)
			e->state = to;
		else if (to == KEY_PRIMARY && e->state == KEY_PRIMARY)
			e->state = KEY_DECRYPT_ONLY;
	}
}

static struct sv bytes_of(const struct ring_key *r)
{
	return sv_of((const char *)r->key, sizeof r->key);
}

enum err keyring_primary(const struct keyring *k, uint32_t *ret_id, struct sv *ret)
{
	for (size_t i = 0; i < k->n; i++) {
		if (k->keys[i].entry.state == KEY_PRIMARY) {
			*ret_id = k->keys[i].entry.id;
			*ret = bytes_of(&k->keys[i]);
			return ERR_OK;
		}
	}
	return ERR_UNAVAILABLE;
}

enum err keyring_find(const struct keyring *k, uint32_t id, struct sv *ret)
{
	for (size_t i = 0; i < k->n; i++) {
		if (k->keys[i].entry.id == id && k->keys[i].entry.state != KEY_RETIRED) {
			*ret = bytes_of(&k->keys[i]);
			return ERR_OK;
		}
	}
	return ERR_NO_KEY;
}

size_t keyring_count(const struct keyring *k)
{
	return k->n;
}

struct keyring_entry keyring_entry(const struct keyring *k, size_t i)
{
	return k->keys[i].entry;
}

enum err keyring_fresh_line(uint32_t id, struct buf *out)
{
	unsigned char key[KEYRING_KEY_LEN];
	char text[B64URL_LEN(KEYRING_KEY_LEN)];
	enum err rc = crypt_random(key, sizeof key);

	if (rc == ERR_OK) {
		size_t n = b64url_encode(key, sizeof key, text);

		buf_add_u64(out, id);
		buf_add_char(out, ' ');
		buf_add(out, sv_of(text, n));
		buf_add_char(out, '\n');
		if (!buf_ok(out))
			rc = ERR_NOMEM;
	}
	explicit_bzero(key, sizeof key);
	explicit_bzero(text, sizeof text);
	return rc;
}
