#include "common/metrics.h"

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/metrics_memory.h"

static const struct metrics_row rows[] = {
#define METRIC(id_, name_, kind_, who_, l1, l2, l3, help_)                                         \
	[METRIC_##id_] = {.name = (name_),                                                         \
			  .help = (help_),                                                         \
			  .kind = METRICS_##kind_,                                                 \
			  .who = METRICS_##who_,                                                   \
			  .labels = {METRICS_##l1, METRICS_##l2, METRICS_##l3},                    \
			  .n = {METRICS_N_##l1, METRICS_N_##l2, METRICS_N_##l3},                   \
			  .at = offsetof(struct metrics_slab, id_) / sizeof(uint64_t),             \
			  .size = METRICS_CELLS_##kind_},
#include "common/metrics.def"
#undef METRIC
};

const struct metrics_row *metrics_row(enum metric id)
{
	return &rows[id];
}

/* ---- counting ------------------------------------------------------------------------------ */

size_t metrics_cell(const struct metrics_row *row, struct metrics_at at)
{
	assert(at.a < row->n[0] && at.b < row->n[1] && at.c < row->n[2]);
	return row->at + ((at.a * row->n[1] + at.b) * (size_t)row->n[2] + at.c) * row->size;
}

/* Only we write here, so the addition need not be atomic; each half of it is. */
static void cell_add(struct metrics *m, size_t cell, uint64_t n)
{
	uint64_t *p = &m->cells[cell];

	__atomic_store_n(p, __atomic_load_n(p, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}

void metrics_add(struct metrics *m, enum metric id, struct metrics_at at, uint64_t n)
{
	if (m != NULL)
		cell_add(m, metrics_cell(&rows[id], at), n);
}

void metrics_follow(struct metrics *m, enum metric id, struct metrics_at at, uint64_t now,
		    uint64_t *before)
{
	metrics_add(m, id, at, now - *before);
	*before = now;
}

void metrics_move(struct metrics *m, enum metric id, struct metrics_at at, int by)
{
	assert(rows[id].kind == METRICS_GAUGE);
	metrics_add(m, id, at, (uint64_t)(int64_t)by); /* modulo 2^64, as the sum is */
}

void metrics_set(struct metrics *m, enum metric id, struct metrics_at at, uint64_t value)
{
	assert(rows[id].kind == METRICS_GAUGE);
	if (m != NULL)
		__atomic_store_n(&m->cells[metrics_cell(&rows[id], at)], value, __ATOMIC_RELAXED);
}

/* Bounds belong to the bucket below them (le). */
static unsigned bucket_of(uint64_t us)
{
	unsigned e, b;

	if (us <= 1U << METRICS_BUCKET_FIRST)
		return 0;
	us--;
	e = 63 - (unsigned)__builtin_clzll(us);
	b = 1 + 2 * (e - METRICS_BUCKET_FIRST) + (unsigned)(us >> (e - 1) & 1);
	return b < METRICS_BUCKETS ? b : METRICS_BUCKETS - 1;
}

uint64_t metrics_bound(unsigned bucket)
{
	unsigned e = METRICS_BUCKET_FIRST + (bucket + 1) / 2;

	return bucket % 2 == 0 ? 1ULL << e : 3ULL << (e - 2);
}

void metrics_observe(struct metrics *m, enum metric id, struct metrics_at at, int64_t us)
{
	uint64_t length = us < 0 ? 0 : (uint64_t)us;
	size_t cell;

	assert(rows[id].kind == METRICS_HISTOGRAM);
	if (m == NULL)
		return;
	cell = metrics_cell(&rows[id], at);
	cell_add(m, cell + bucket_of(length), 1);
	cell_add(m, cell + METRICS_BUCKETS, length);
}

/* ---- memory -------------------------------------------------------------------------------- */

static size_t bytes_for(unsigned nslabs)
{
	return sizeof(struct metrics_memory) + nslabs * sizeof(struct metrics_slab);
}

static enum err map(int fd, unsigned nslabs, struct metrics **ret)
{
	struct metrics *m = calloc(1, sizeof *m);
	void *p;

	if (m == NULL)
		return ERR_NOMEM;
	m->nslabs = nslabs;
	m->bytes = bytes_for(nslabs);
	p = mmap(NULL, m->bytes, PROT_READ | PROT_WRITE,
		 fd == -1 ? MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE : MAP_SHARED, fd, 0);
	if (p == MAP_FAILED) {
		free(m);
		return ERR_IO;
	}
	m->memory = p;
	m->cells = (uint64_t *)(void *)&m->memory->slabs[0];
	*ret = m;
	return ERR_OK;
}

static enum err make_memfd(int *ret)
{
	int fd = memfd_create("bff.metrics", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd == -1)
		return ERR_IO;
	if (ftruncate(fd, (off_t)bytes_for(METRICS_SLABS_MAX)) == -1 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW) == -1) {
		(void)close(fd); /* half made, not wanted */
		return ERR_IO;
	}
	*ret = fd;
	return ERR_OK;
}

enum err metrics_new(int *ret_fd, struct metrics **ret)
{
	int fd = -1;
	enum err e = ret_fd == NULL ? ERR_OK : make_memfd(&fd);

	if (e == ERR_OK)
		e = map(fd, ret_fd == NULL ? 1 : METRICS_SLABS_MAX, ret);
	if (e != ERR_OK) {
		if (fd != -1)
			(void)close(fd); /* nobody has it yet */
		return e;
	}
	(*ret)->memory->fingerprint = metrics_fingerprint();
	(*ret)->memory->nslabs = 1;
	for (unsigned label = 0; label < METRICS_LABELS_END; label++)
		(void)metrics_name_put(*ret, label, SV_NONE); /* "-"; of word lists: nothing */
	if (ret_fd != NULL)
		*ret_fd = fd;
	return ERR_OK;
}

enum err metrics_attach(int fd, unsigned slab, struct metrics **ret)
{
	struct metrics *m;
	struct stat st;
	enum err e;

	if (slab >= METRICS_SLABS_MAX)
		return ERR_RANGE;
	if (fstat(fd, &st) == -1)
		return ERR_IO;
	if (st.st_size != (off_t)bytes_for(METRICS_SLABS_MAX))
		return ERR_UNSUPPORTED;
	e = map(fd, METRICS_SLABS_MAX, &m);
	if (e != ERR_OK)
		return e;
	if (m->memory->fingerprint != metrics_fingerprint()) {
		metrics_free(&m);
		return ERR_UNSUPPORTED;
	}
	m->cells = (uint64_t *)(void *)&m->memory->slabs[slab];
	*ret = m;
	return ERR_OK;
}

void metrics_free(struct metrics **m)
{
	if (*m == NULL)
		return;
	(void)munmap((*m)->memory, (*m)->bytes); /* ours, whole */
	free(*m);
	*m = NULL;
}

void metrics_set_owner(struct metrics *m, unsigned slab, int64_t pid)
{
	struct metrics_memory *memory = m->memory;

	assert(slab < m->nslabs);
	__atomic_store_n(&memory->owner[slab], pid, __ATOMIC_RELAXED);
	if (memory->nslabs <= slab)
		__atomic_store_n(&memory->nslabs, slab + 1, __ATOMIC_RELAXED);
}

int64_t metrics_owner(const struct metrics *m, unsigned slab)
{
	return __atomic_load_n(&m->memory->owner[slab], __ATOMIC_RELAXED);
}

void metrics_clear_gauges(struct metrics *m, unsigned slab)
{
	uint64_t *cells;

	assert(slab < m->nslabs);
	cells = (uint64_t *)(void *)&m->memory->slabs[slab];
	for (size_t i = 0; i < METRICS_END; i++) {
		size_t n = (size_t)rows[i].n[0] * rows[i].n[1] * rows[i].n[2];

		for (size_t k = 0; k < n && rows[i].kind == METRICS_GAUGE; k++)
			if (__atomic_load_n(&cells[rows[i].at + k], __ATOMIC_RELAXED) != 0)
				__atomic_store_n(&cells[rows[i].at + k], 0, __ATOMIC_RELAXED);
	}
}

/* ---- reading ------------------------------------------------------------------------------- */

uint64_t metrics_cell_sum(const struct metrics *m, size_t cell)
{
	unsigned n = __atomic_load_n(&m->memory->nslabs, __ATOMIC_RELAXED);
	uint64_t sum = 0;

	for (unsigned i = 0; i < n && i < m->nslabs; i++)
		sum += __atomic_load_n((const uint64_t *)(const void *)&m->memory->slabs[i] + cell,
				       __ATOMIC_RELAXED);
	/* One that counts for itself alone has no place among them. */
	return sum;
}

uint64_t metrics_sum(const struct metrics *m, enum metric id, struct metrics_at at)
{
	const struct metrics_row *row = &rows[id];
	size_t cell = metrics_cell(row, at);
	uint64_t sum = 0;

	if (row->kind != METRICS_HISTOGRAM)
		return metrics_cell_sum(m, cell);
	for (unsigned i = 0; i < METRICS_BUCKETS; i++)
		sum += metrics_cell_sum(m, cell + i);
	return sum;
}
