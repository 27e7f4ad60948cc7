#include "broker/grant_table.h"

#include <assert.h>
#include <stdlib.h>

struct grant_table {
	struct broker *broker;
	struct grant *chains[GRANT_TABLE_CHAINS];
	size_t n;
	struct refusals refusals;
};

enum err grant_table_new(struct broker *b, struct grant_table **ret)
{
	struct grant_table *t = calloc(1, sizeof *t);

	if (t == NULL)
		return ERR_NOMEM;
	t->broker = b;
	*ret = t;
	return ERR_OK;
}

/* Ids are random bytes of ours: their first ones are hash enough. */
static size_t chain_of(struct sv id)
{
	size_t h = 0;

	for (size_t i = 0; i < id.n && i < 4; i++)
		h = h << 8 | (unsigned char)id.p[i];
	return h % GRANT_TABLE_CHAINS;
}

static struct grant *find(const struct grant_table *t, struct sv id)
{
	for (struct grant *g = t->chains[chain_of(id)]; g != NULL; g = g->next)
		if (sv_eq(grant_id(g), id))
			return g;
	return NULL;
}

static struct grant *add(struct grant_table *t, struct sv id)
{
	struct grant *g;

	if (t->n >= GRANT_TABLE_MAX || id.n == 0 || id.n > sizeof g->id)
		return NULL;
	g = calloc(1, sizeof *g);
	if (g == NULL)
		return NULL;
	g->table = t;
	g->broker = t->broker;
	memcpy(g->id, id.p, id.n);
	g->id_len = id.n;
	g->next = t->chains[chain_of(id)];
	t->chains[chain_of(id)] = g;
	t->n++;
	return g;
}

static void destroy(struct grant *g)
{
	while (g->jobs != NULL)
		grant_job_fail(g->jobs, IPC_ERROR_INTERNAL, "stopping", 1);
	free(g);
}

void grant_table_drop(struct grant *g)
{
	struct grant_table *t = g->table;
	struct grant **p = &t->chains[chain_of(grant_id(g))];

	assert(g->jobs == NULL);
	while (*p != g)
		p = &(*p)->next;
	*p = g->next;
	t->n--;
	destroy(g);
	if (t->broker->draining)
		broker_drained(t->broker);
}

void grant_table_free(struct grant_table **t)
{
	if (*t == NULL)
		return;
	for (size_t i = 0; i < GRANT_TABLE_CHAINS; i++) {
		while ((*t)->chains[i] != NULL) {
			struct grant *g = (*t)->chains[i];

			(*t)->chains[i] = g->next;
			destroy(g);
		}
	}
	free(*t);
	*t = NULL;
}

bool grant_table_busy(const struct grant_table *t, const struct grant_ask *ask)
{
	const struct grant *g = find(t, ask->grant_id);

	return g != NULL && grant_find(g, ask) != NULL;
}

struct refusals *grant_table_refusals(struct grant_table *t)
{
	return &t->refusals;
}

void grant_table_ask(struct grant_table *t, const struct grant_ask *ask, struct request **r)
{
	struct grant *g = find(t, ask->grant_id);

	if (g == NULL)
		g = add(t, ask->grant_id);
	if (g != NULL) {
		grant_ask(g, ask, r);
		return;
	}
	grant_turn_away(ask, r, "too_many_grants");
}

size_t grant_table_count(const struct grant_table *t)
{
	return t->n;
}
