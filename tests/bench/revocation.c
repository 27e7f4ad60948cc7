/*
 * revocation - from a revocation by SQL to its refusal, next to what a bare LISTEN client sees
 *
 *	revocation CONNINFO PORT HEAD SESSIONS CONNECTIONS
 *
 * SESSIONS has a line for each session: its reference, a tab, its cookie. HEAD is a request as
 * load.c takes it. Once all HTTP connections were let in it prints `ready` and waits for a line on
 * standard input; the end of that ends it. For each session: all of them ask until they are let
 * in; the revocation is sent; they go on asking until each is refused. Prints two numbers a
 * session, both in microseconds from the sending of the statement: when the last connection was
 * refused, and when the LISTEN client heard of it. A connection that is let in after it was
 * refused is a failure. Not a test: run by bench_revocation.py.
 */
#include <libpq-fe.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNS_MAX 32
#define BYTES_MAX 16384
#define PAUSE_US 10000
#define ANSWER_MS 5000

static const char MARK[] = "@COOKIE@";

struct asker {
	int fd;
	size_t n;
	bool refused;
	char in[BYTES_MAX];
};

struct run {
	PGconn *act, *listen;
	struct asker askers[CONNS_MAX];
	nfds_t n;
	char head[BYTES_MAX], request[BYTES_MAX];
	size_t request_n;
};

static void fail(const char *what)
{
	(void)fprintf(stderr, "revocation: %s\n", what);
	exit(1);
}

static int64_t now_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static void ask(const struct run *r, struct asker *a)
{
	a->n = 0;
	if (send(a->fd, r->request, r->request_n, MSG_NOSIGNAL) != (ssize_t)r->request_n)
		fail("send");
}

/* The status of a whole answer, 0 if there is more to come. */
static int hear(struct asker *a)
{
	ssize_t n = recv(a->fd, a->in + a->n, sizeof a->in - 1 - a->n, MSG_DONTWAIT);
	const char *end, *length;

	if (n <= 0)
		fail("a connection was closed");
	a->n += (size_t)n;
	a->in[a->n] = '\0';
	end = strstr(a->in, "\r\n\r\n");
	if (end == NULL)
		return 0;
	length = strcasestr(a->in, "\r\ncontent-length:");
	if (length == NULL || length > end)
		fail("an answer without a length");
	if (a->n < (size_t)(end + 4 - a->in) + strtoul(length + 17, NULL, 10))
		return 0;
	return atoi(a->in + 9);
}

static void dial(struct asker *a, int port)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons((uint16_t)port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int on = 1;

	a->fd = socket(AF_INET, SOCK_STREAM, 0);
	if (a->fd == -1 || connect(a->fd, (struct sockaddr *)&to, sizeof to) == -1)
		fail("connect");
	(void)setsockopt(a->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static PGconn *database(const char *conninfo, const char *sql)
{
	PGconn *c = PQconnectdb(conninfo);
	PGresult *r = PQexec(c, sql);

	if (PQstatus(c) != CONNECTION_OK || PQresultStatus(r) == PGRES_FATAL_ERROR)
		fail(PQerrorMessage(c));
	PQclear(r);
	return c;
}

static void write_request(struct run *r, const char *cookie)
{
	const char *mark = strstr(r->head, MARK);
	int n;

	if (mark == NULL)
		fail("no mark");
	n = snprintf(r->request, sizeof r->request, "%.*s%s%s", (int)(mark - r->head), r->head,
		     cookie, mark + strlen(MARK));
	r->request_n = (size_t)n;
}

static void let_in(struct run *r)
{
	for (nfds_t i = 0; i < r->n; i++) {
		struct asker *a = &r->askers[i];
		struct pollfd p = {.fd = a->fd, .events = POLLIN};
		int status = 0;

		a->refused = false;
		ask(r, a);
		while (status == 0 && poll(&p, 1, ANSWER_MS) == 1)
			status = hear(a);
		if (status != 200)
			fail("a live session was refused");
	}
}

static bool heard(PGconn *c)
{
	PGnotify *n;
	bool any = false;

	if (PQconsumeInput(c) == 0)
		fail(PQerrorMessage(c));
	while ((n = PQnotifies(c)) != NULL) {
		any = true;
		PQfreemem(n);
	}
	return any;
}

static void finish(PGconn *c)
{
	PGresult *r;

	while ((r = PQgetResult(c)) != NULL) {
		if (PQresultStatus(r) != PGRES_TUPLES_OK || PQntuples(r) != 1)
			fail("the revocation failed");
		PQclear(r);
	}
}

/* Every connection asks until it is refused, and one round more; prints the line of this session.
 */
static void revoke_one(struct run *r, const char *ref)
{
	struct pollfd p[CONNS_MAX + 1];
	int64_t begun, refused_at = 0, heard_at = 0;
	nfds_t left = r->n;
	char sql[2048];

	(void)snprintf(sql, sizeof sql, "select * from bff.revoke_session('%s', 'bench')", ref);
	begun = now_us();
	if (PQsendQuery(r->act, sql) != 1 || PQflush(r->act) != 0)
		fail(PQerrorMessage(r->act));
	for (nfds_t i = 0; i < r->n; i++) {
		ask(r, &r->askers[i]);
		p[i] = (struct pollfd){.fd = r->askers[i].fd, .events = POLLIN};
	}
	p[r->n] = (struct pollfd){.fd = PQsocket(r->listen), .events = POLLIN};
	while (left > 0 || heard_at == 0) {
		if (poll(p, r->n + 1, ANSWER_MS) <= 0)
			fail("no refusal, or no notification");
		for (nfds_t i = 0; i < r->n; i++) {
			int status = p[i].revents == 0 ? 0 : hear(&r->askers[i]);

			if (status == 401) {
				refused_at = now_us();
				r->askers[i].refused = true;
				p[i].fd = -1;
				left--;
			} else if (status == 200) {
				ask(r, &r->askers[i]);
			} else if (status != 0) {
				fail("neither 200 nor 401");
			}
		}
		if (p[r->n].revents != 0 && heard(r->listen) && heard_at == 0)
			heard_at = now_us();
	}
	finish(r->act);
	(void)printf("%ld %ld\n", (long)(refused_at - begun), (long)(heard_at - begun));
}

static void stay_out(struct run *r)
{
	for (nfds_t i = 0; i < r->n; i++) {
		struct asker *a = &r->askers[i];
		struct pollfd p = {.fd = a->fd, .events = POLLIN};
		int status = 0;

		ask(r, a);
		while (status == 0 && poll(&p, 1, ANSWER_MS) == 1)
			status = hear(a);
		if (status != 401)
			fail("a session that was refused was let in again");
	}
}

static void await_go(void)
{
	char line[16];

	(void)printf("ready\n");
	(void)fflush(stdout);
	if (fgets(line, sizeof line, stdin) == NULL)
		exit(0);
}

int main(int argc, char **argv)
{
	static struct run r;
	bool first = true;
	char line[1024];
	FILE *f;

	if (argc != 6)
		fail("five arguments, see the source");
	r.act = database(argv[1], "select 1");
	r.listen = database(argv[1], "listen bff_revoked");
	r.n = strtoul(argv[5], NULL, 10);
	f = fopen(argv[3], "r");
	if (f == NULL || r.n == 0 || r.n > CONNS_MAX || fread(r.head, 1, sizeof r.head - 1, f) == 0)
		fail(argv[3]);
	(void)fclose(f);
	for (nfds_t i = 0; i < r.n; i++)
		dial(&r.askers[i], atoi(argv[2]));
	f = fopen(argv[4], "r");
	while (f != NULL && fgets(line, sizeof line, f) != NULL) {
		char *tab = strchr(line, '\t');

		if (tab == NULL)
			fail(argv[4]);
		*tab = '\0';
		tab[strcspn(tab + 1, "\n") + 1] = '\0';
		write_request(&r, tab + 1);
		let_in(&r);
		if (first)
			await_go();
		first = false;
		revoke_one(&r, line);
		stay_out(&r);
		(void)usleep(PAUSE_US);
	}
	return 0;
}
