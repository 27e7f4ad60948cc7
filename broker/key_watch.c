#include "broker/key_watch.h"

#include <stdio.h>
#include <stdlib.h>

#include "broker/reseal.h"
#include "common/clock.h"
#include "common/log.h"

#define ARRAY_TEXT_MAX (KEYRING_KEYS_MAX * 32)

struct key_watch {
	struct broker *broker;
	struct event *timer;
	bool reporting;
	bool reported; /* once, in this process */
	char name[KEY_WATCH_NAME_MAX];
	size_t name_len;
	uint32_t primary; /* as last heard; 0: never */
	uint32_t missing; /* a primary key that is not ours, as last complained about; 0: none */
	int64_t pass_at_ms;
};

static void schedule(struct key_watch *w, int64_t ms)
{
	const struct timeval tv = clock_timeval(ms);

	(void)evtimer_add(w->timer, &tv); /* fails without memory alone */
}

static const struct state_word {
	const char *word;
	enum key_state state;
} words[] = {{"pending", KEY_PENDING},
	     {"primary", KEY_PRIMARY},
	     {"decrypt-only", KEY_DECRYPT_ONLY},
	     {"retired", KEY_RETIRED},
	     /* Somebody else's key under our id: what it sealed is not ours to open. */
	     {"other", KEY_RETIRED}};

static const struct state_word *word_of(struct sv word)
{
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (sv_eq(word, sv_str(words[i].word)))
			return &words[i];
	return NULL;
}

static enum key_state state_of(const struct keyring *ring, uint32_t id)
{
	for (size_t i = 0; i < keyring_count(ring); i++)
		if (keyring_entry(ring, i).id == id)
			return keyring_entry(ring, i).state;
	return KEY_RETIRED;
}

static void complain(struct key_watch *w, uint32_t id)
{
	if (w->missing == id)
		return;
	w->missing = id;
	log_error("key_ring_lacks_primary", KU("key", id),
		  K("then", "nothing is sealed here: put it into the key ring file and restart"));
}

/* One key's state as the database has it. */
static void take(struct key_watch *w, uint32_t id, struct sv word)
{
	struct keyring *ring = w->broker->ring;
	const struct state_word *s = word_of(word);

	if (sv_eq(word, SV("missing"))) {
		keyring_set_state(ring, id, KEY_PRIMARY); /* elsewhere: ours no longer seals */
		complain(w, id);
		return;
	}
	if (s == NULL || (w->reported && state_of(ring, id) == s->state))
		return;
	if (sv_eq(word, SV("other")))
		log_error("sealing_key_differs", KU("key", id),
			  K("why", "another host holds another key under this id"),
			  K("then", "ours is not used: make a new one with bff-broker -k"));
	else
		log_info("sealing_key", KU("key", id), KS("state", word));
	keyring_set_state(ring, id, s->state);
}

/* Whether re-sealing has to look again: another primary key, or one that is being replaced. */
static void follow(struct key_watch *w, bool replaced)
{
	int64_t now = clock_boot_ms();
	uint32_t id = 0;
	struct sv key;

	if (keyring_primary(w->broker->ring, &id, &key) != ERR_OK)
		return;
	w->missing = 0;
	if (w->primary == id && (!replaced || now < w->pass_at_ms))
		return;
	if (replaced || w->primary != 0)
		reseal_start(w->broker->reseal);
	w->primary = id;
	w->pass_at_ms = now + KEY_WATCH_PASS_MS;
}

static void on_reported(void *arg, enum err e, const struct pg_rows *rows)
{
	struct key_watch *w = arg;
	bool replaced = false;

	w->reporting = false;
	if (w->broker->stopping)
		return;
	schedule(w, KEY_WATCH_EVERY_MS);
	if (e != ERR_OK) {
		log_warn("keys_not_reported", K("why", err_text(e)), K("then", "tried again"));
		return;
	}
	for (size_t i = 0; i < pg_rows_count(rows); i++) {
		struct sv word = pg_rows_sv(rows, i, 1);

		take(w, (uint32_t)pg_rows_i64(rows, i, 0), word);
		replaced = replaced || sv_eq(word, SV("decrypt-only"));
	}
	w->reported = true;
	follow(w, replaced);
}

/* {1,2} and {"\\x00..","\\x00.."} */
static void add_keys(const struct keyring *ring, struct buf *ids, struct buf *prints)
{
	for (size_t i = 0; i < keyring_count(ring); i++) {
		struct keyring_entry e = keyring_entry(ring, i);

		buf_add(ids, i == 0 ? SV("{") : SV(","));
		buf_add_u64(ids, e.id);
		buf_add(prints, i == 0 ? SV("{\"\\\\x") : SV(",\"\\\\x"));
		buf_add_hex(prints, sv_of((const char *)e.print, sizeof e.print));
		buf_add_char(prints, '"');
	}
	buf_add_char(ids, '}');
	buf_add_char(prints, '}');
}

static void report(struct key_watch *w)
{
	struct buf ids, prints;
	enum err rc = ERR_NOMEM;

	buf_init(&ids, ARRAY_TEXT_MAX);
	buf_init(&prints, ARRAY_TEXT_MAX);
	add_keys(w->broker->ring, &ids, &prints);
	if (buf_ok(&ids) && buf_ok(&prints)) {
		const struct pg_param params[] = {PG_SV(sv_of(w->name, w->name_len)),
						  PG_SV(SV(BFF_VERSION)), sql_bool(!w->reported),
						  PG_SV(buf_sv(&ids)), PG_SV(buf_sv(&prints))};

		rc = pg_query(w->broker->pg, SQL_KEYS_REPORT, params, on_reported, w, NULL);
	}
	buf_done(&ids);
	buf_done(&prints);
	w->reporting = rc == ERR_OK;
	if (rc != ERR_OK)
		schedule(w, KEY_WATCH_EVERY_MS); /* or when the database is back */
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct key_watch *w = arg;

	(void)fd;
	(void)what;
	if (!w->reporting)
		report(w);
}

void key_watch_kick(struct key_watch *w)
{
	if (!w->reporting)
		report(w);
}

enum err key_watch_new(struct broker *b, struct sv name, struct key_watch **ret)
{
	struct key_watch *w = calloc(1, sizeof *w);

	if (w == NULL)
		return ERR_NOMEM;
	w->broker = b;
	w->name_len = name.n < sizeof w->name ? name.n : sizeof w->name;
	memcpy(w->name, name.p, w->name_len);
	w->timer = evtimer_new(b->base, on_timer, w);
	if (w->timer == NULL) {
		free(w);
		return ERR_NOMEM;
	}
	*ret = w;
	return ERR_OK;
}

void key_watch_free(struct key_watch **w)
{
	if (*w == NULL)
		return;
	event_free((*w)->timer);
	free(*w);
	*w = NULL;
}

void key_watch_machine(const char *path, struct buf *out)
{
	unsigned char hash[CRYPT_SHA256_LEN];
	char id[64];
	FILE *f = fopen(path, "re");
	size_t n;

	if (f == NULL)
		return;
	n = fread(id, 1, sizeof id, f);
	(void)fclose(f); /* read only: nothing to lose */
	if (n == 0 || crypt_hmac_sha256(sv_of(id, n), SV("bff.hosts"), hash) != ERR_OK)
		return;
	for (size_t i = 0; i < KEY_WATCH_MACHINE_BYTES; i++)
		buf_addf(out, "%02x", hash[i]);
}
