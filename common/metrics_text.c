#include "common/metrics_text.h"

#include "common/metrics_memory.h"

/* The cursor: a row, whether its head was printed, the number of its first label. */
#define CURSOR(row, head, a) ((uint32_t)(row) << 16 | (uint32_t)(head) << 15 | (a))

static void put_head(struct buf *out, const struct metrics_row *row)
{
	static const char *const types[] = {[METRICS_COUNTER] = "counter",
					    [METRICS_COUNTER_US] = "counter",
					    [METRICS_GAUGE] = "gauge",
					    [METRICS_HISTOGRAM] = "histogram"};

	buf_addf(out, "# HELP %s ", row->name);
	for (const char *p = row->help; *p != '\0'; p++) {
		if (*p == '\\')
			buf_add_char(out, '\\');
		buf_add_char(out, *p);
	}
	buf_addf(out, "\n# TYPE %s %s\n", row->name, types[row->kind]);
}

/* Seconds, without zeros at the end. */
static void put_seconds(struct buf *out, uint64_t us)
{
	char text[32];
	int n = snprintf(text, sizeof text, "%llu.%06llu", (unsigned long long)us / 1000000,
			 (unsigned long long)us % 1000000);

	while (text[n - 1] == '0')
		n--;
	if (text[n - 1] == '.')
		n--;
	buf_add(out, sv_of(text, (size_t)n));
}

static void put_name(struct buf *out, const struct metrics_row *row, const char *suffix,
		     struct sv labels)
{
	buf_addf(out, "%s%s", row->name, suffix);
	if (labels.n > 0)
		buf_addf(out, "{" SV_FMT "}", SV_ARG(labels));
	buf_add_char(out, ' ');
}

static void put_histogram(const struct metrics *m, const struct metrics_row *row, size_t cell,
			  struct sv labels, struct buf *out)
{
	const char *comma = labels.n > 0 ? "," : "";
	uint64_t n = 0;

	for (unsigned i = 0; i < METRICS_BUCKETS; i++) {
		n += metrics_cell_sum(m, cell + i);
		buf_addf(out, "%s_bucket{" SV_FMT "%sle=\"", row->name, SV_ARG(labels), comma);
		if (i == METRICS_BUCKETS - 1)
			buf_add(out, SV("+Inf"));
		else
			put_seconds(out, metrics_bound(i));
		buf_addf(out, "\"} %llu\n", (unsigned long long)n);
	}
	put_name(out, row, "_sum", labels);
	put_seconds(out, metrics_cell_sum(m, cell + METRICS_BUCKETS));
	buf_add_char(out, '\n');
	put_name(out, row, "_count", labels);
	buf_addf(out, "%llu\n", (unsigned long long)n);
}

static void put_series(const struct metrics *m, const struct metrics_row *row, size_t cell,
		       struct sv labels, struct buf *out)
{
	uint64_t v;

	if (row->kind == METRICS_HISTOGRAM) {
		put_histogram(m, row, cell, labels, out);
		return;
	}
	v = metrics_cell_sum(m, cell);
	put_name(out, row, "", labels);
	if (row->kind == METRICS_COUNTER_US)
		put_seconds(out, v);
	else if (row->kind == METRICS_GAUGE)
		buf_addf(out, "%lld", (long long)v);
	else
		buf_addf(out, "%llu", (unsigned long long)v);
	buf_add_char(out, '\n');
}

static bool has_counted(const struct metrics *m, const struct metrics_row *row, size_t cell)
{
	for (size_t i = 0; i < row->size; i++)
		if (metrics_cell_sum(m, cell + i) != 0)
			return true;
	return false;
}

/* With one label or none it is there in any case; number 0 of a name is none. */
static bool is_shown(const struct metrics *m, const struct metrics_row *row, unsigned a,
		     size_t cell)
{
	bool names = row->labels[0] >= METRICS_route;

	return (row->labels[1] == METRICS_NONE && !(names && a == 0)) || has_counted(m, row, cell);
}

static void join(const struct metrics *m, const struct metrics_row *row, const unsigned number[3],
		 struct buf *labels)
{
	buf_clear(labels);
	for (unsigned i = 0; i < 3; i++) {
		char room[METRICS_NAME_MAX];
		struct sv text = metrics_label_text(m, row->labels[i], number[i], room);

		if (text.n > 0 && labels->n > 0)
			buf_add_char(labels, ',');
		buf_add(labels, text);
	}
}

/* All of one value of the first label. *head: the row's was printed. */
static void put_piece(const struct metrics *m, const struct metrics_row *row, unsigned a,
		      bool *head, struct buf *out)
{
	struct buf labels;

	buf_init(&labels, sizeof row->labels * METRICS_NAME_MAX);
	if (!*head)
		put_head(out, row);
	*head = true;
	for (unsigned b = 0; b < row->n[1]; b++)
		for (unsigned c = 0; c < row->n[2]; c++) {
			const unsigned number[3] = {a, b, c};
			size_t cell = metrics_cell(row, (struct metrics_at){a, b, c});

			if (!is_shown(m, row, a, cell))
				continue;
			join(m, row, number, &labels);
			put_series(m, row, cell, buf_sv(&labels), out);
		}
	buf_done(&labels);
}

enum err metrics_print(const struct metrics *m, unsigned who, uint32_t *cursor, struct buf *out)
{
	unsigned at = *cursor >> 16, a = *cursor & 0x7fff;
	bool head = (*cursor >> 15 & 1) != 0;
	size_t begun = out->n;

	for (; at < METRICS_END; at++, a = 0, head = false) {
		const struct metrics_row *row = metrics_row(at);
		unsigned n = (row->who & who) == 0 ? 0
			     : row->labels[0] == METRICS_NONE
				 ? 1
				 : metrics_label_count(m, row->labels[0]);

		for (; a < n; a++) {
			size_t before = out->n;
			bool head_before = head;

			put_piece(m, row, a, &head, out);
			if (buf_ok(out))
				continue;
			out->n = before; /* what is there of a piece is taken back */
			out->failed = false;
			*cursor = CURSOR(at, head_before, a);
			return before == begun ? ERR_LIMIT : ERR_OK;
		}
	}
	*cursor = 0;
	return ERR_OK;
}

void metrics_print_one(struct buf *out, enum metric id, struct sv label, uint64_t value)
{
	const struct metrics_row *row = metrics_row(id);

	put_head(out, row);
	put_name(out, row, "", label);
	buf_addf(out, "%llu\n", (unsigned long long)value);
}
