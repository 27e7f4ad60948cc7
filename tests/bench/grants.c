/*
 * grants - rows of sessions, grants and tokens as the broker would have made them, for COPY
 *
 *	grants RING DIRECTORY FIRST COUNT ISSUER TOKEN_BYTES TTL_MS LEFT_MIN_MS LEFT_MAX_MS
 *
 * Writes session, session_activity, grants and token to files of these names, and `secrets`: the
 * 32 bytes of each session. The login's own access token lasts between LEFT_MIN_MS and LEFT_MAX_MS
 * from now; LEFT_MAX_MS 0: there is none. Not a test: run by bench_broker.py.
 */
#include <stdlib.h>
#include <time.h>

#include "broker/token_seal.h"

struct files {
	FILE *session, *session_activity, *grants, *token, *secrets;
};

static void fail(const char *what)
{
	(void)fprintf(stderr, "grants: %s\n", what);
	exit(1);
}

static FILE *open_in(const char *dir, const char *name)
{
	char path[4096];
	FILE *f;

	(void)snprintf(path, sizeof path, "%s/%s", dir, name);
	f = fopen(path, "w");
	if (f == NULL)
		fail(path);
	return f;
}

static void put_hex(FILE *f, const void *p, size_t n)
{
	(void)fputs("\\\\x", f);
	for (size_t i = 0; i < n; i++)
		(void)fprintf(f, "%02x", ((const unsigned char *)p)[i]);
}

static void put_time(FILE *f, int64_t ms)
{
	time_t s = (time_t)(ms / 1000);
	struct tm tm;
	char text[64];

	(void)gmtime_r(&s, &tm);
	(void)strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &tm);
	(void)fprintf(f, "%s.%03d+00", text, (int)(ms % 1000));
}

static struct keyring *read_ring(const char *path)
{
	struct secret *text = NULL;
	struct keyring *ring = NULL;
	struct errmsg e;

	if (secret_read_file(path, SECRET_FILE_STRICT, &text, &e) != ERR_OK ||
	    keyring_parse(secret_view(text), path, &ring, &e) != ERR_OK)
		fail(e.text);
	secret_free(&text);
	keyring_set_state(ring, keyring_entry(ring, 0).id, KEY_PRIMARY);
	return ring;
}

struct plan {
	struct keyring *ring;
	const char *issuer;
	size_t token_bytes;
	int64_t ttl_ms, left_min_ms, left_max_ms, now_ms;
};

static void put_session(const struct files *f, const struct plan *p, unsigned n,
			const unsigned char *hash, const unsigned char *id)
{
	put_hex(f->session, hash, CRYPT_SHA256_LEN);
	(void)fprintf(f->session, "\tbench%u\tdemo\tidp\t%s\tu%u\t\tu%u\t\t\t{}\t\t0\t", n,
		      p->issuer, n, n);
	put_time(f->session, p->now_ms);
	(void)fputc('\t', f->session);
	put_time(f->session, p->now_ms + 36000000);
	(void)fputs("\t2 hours\t", f->session);
	put_hex(f->session, id, 16);
	(void)fputs("\t\t\n", f->session);
	put_hex(f->session_activity, hash, CRYPT_SHA256_LEN);
	(void)fputc('\t', f->session_activity);
	put_time(f->session_activity, p->now_ms);
	(void)fputc('\t', f->session_activity);
	put_time(f->session_activity, p->now_ms + 7200000);
	(void)fputc('\n', f->session_activity);
}

static void put_grant(const struct files *f, const struct plan *p, unsigned n,
		      const unsigned char *hash, const unsigned char *id)
{
	struct sv grant_id = sv_of((const char *)id, 16);
	struct vault_label label = token_refresh_label(grant_id, 1);
	char refresh[64];
	struct buf sealed;

	buf_init(&sealed, VAULT_PLAIN_MAX);
	(void)snprintf(refresh, sizeof refresh, "refresh-token-of-grant-%u-1", n);
	if (vault_seal(p->ring, &label, sv_str(refresh), &sealed) != ERR_OK)
		fail("cannot seal");
	put_hex(f->grants, id, 16);
	(void)fprintf(f->grants, "\tidp\t%s\tu%u\t", p->issuer, n);
	put_hex(f->grants, hash, CRYPT_SHA256_LEN);
	(void)fputc('\t', f->grants);
	put_hex(f->grants, sealed.p, sealed.n);
	(void)fputc('\n', f->grants);
	buf_done(&sealed);
}

static void put_token(const struct files *f, const struct plan *p, unsigned n,
		      const unsigned char *id)
{
	int64_t spread = p->left_max_ms - p->left_min_ms;
	char *token = malloc(p->token_bytes + 1);
	struct buf sealed;

	if (token == NULL)
		fail("memory");
	(void)snprintf(token, p->token_bytes, "first-token-of-%u-", n);
	memset(token + strlen(token), 'x', p->token_bytes - strlen(token));
	buf_init(&sealed, VAULT_PLAIN_MAX);
	if (token_seal(p->ring, sv_of((const char *)id, 16), TOKEN_SESSION_SERVICE, 1,
		       sv_of(token, p->token_bytes), p->ttl_ms, &sealed) != ERR_OK)
		fail("cannot seal");
	put_hex(f->token, id, 16);
	(void)fputs("\t@session\t", f->token);
	put_hex(f->token, sealed.p, sealed.n);
	(void)fputs("\t1\t", f->token);
	put_time(f->token, p->now_ms + p->left_min_ms + (int64_t)n * 7919 % (spread + 1));
	(void)fputc('\n', f->token);
	buf_done(&sealed);
	free(token);
}

int main(int argc, char **argv)
{
	unsigned first, count;
	struct timespec ts;
	struct plan p;
	struct files f;

	if (argc != 10)
		fail("nine arguments, see the source");
	(void)clock_gettime(CLOCK_REALTIME, &ts);
	first = (unsigned)strtoul(argv[3], NULL, 10);
	count = (unsigned)strtoul(argv[4], NULL, 10);
	p = (struct plan){.ring = read_ring(argv[1]),
			  .issuer = argv[5],
			  .token_bytes = strtoul(argv[6], NULL, 10),
			  .ttl_ms = strtoll(argv[7], NULL, 10),
			  .left_min_ms = strtoll(argv[8], NULL, 10),
			  .left_max_ms = strtoll(argv[9], NULL, 10),
			  .now_ms = (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000};
	f = (struct files){open_in(argv[2], "session"), open_in(argv[2], "session_activity"),
			   open_in(argv[2], "grants"), open_in(argv[2], "token"),
			   open_in(argv[2], "secrets")};
	for (unsigned n = first; n < first + count; n++) {
		unsigned char secret[32], id[16], hash[CRYPT_SHA256_LEN];

		if (crypt_random(secret, sizeof secret) != ERR_OK ||
		    crypt_random(id, sizeof id) != ERR_OK ||
		    crypt_sha256(sv_of((const char *)secret, sizeof secret), hash) != ERR_OK)
			fail("randomness");
		(void)fwrite(secret, 1, sizeof secret, f.secrets);
		put_session(&f, &p, n, hash, id);
		put_grant(&f, &p, n, hash, id);
		if (p.left_max_ms > 0)
			put_token(&f, &p, n, id);
	}
	keyring_free(&p.ring);
	return fclose(f.session) + fclose(f.session_activity) + fclose(f.grants) + fclose(f.token) +
	       fclose(f.secrets);
}
