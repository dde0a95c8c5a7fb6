#include "storage/apply/op.h"

/* A name that this very request adds. */
static int fresh_find(const struct op_keywords *p, struct slice name)
{
    for (size_t i = 0; i < p->n_fresh; i++) {
        if (slice_ieq(p->fresh[i], name)) {
            return (int)(p->first_fresh + i);
        }
    }
    return -1;
}

static enum err plan_one(const struct keyword_table *table, struct slice name, bool make, struct op_keywords *p)
{
    enum err e = keyword_check(name);
    if (e != OK) {
        return e;
    }
    int number = keyword_find(table, name);
    if (number < 0) {
        number = fresh_find(p, name);
    }
    if (number < 0 && !make) {
        return OK;
    }
    if (number < 0) {
        if (table->n + p->n_fresh >= KEYWORDS_MAX) {
            return ERR_LIMIT;
        }
        number = (int)(table->n + p->n_fresh);
        p->fresh[p->n_fresh++] = name;
    }
    p->numbers[p->n++] = (uint16_t)number;
    return OK;
}

enum err op_keywords_plan(struct op_context *ox, const struct op_mailbox *m, const struct slice *names, size_t n,
                          bool make, struct op_keywords *out)
{
    struct keyword_table table;
    memset(out, 0, sizeof(*out));
    if (n == 0) {
        return OK;
    }
    if (n > KEYWORDS_MAX) {
        return ERR_LIMIT;
    }
    enum err e = keyword_table_get(&ox->store, m->account->id, m->id, m->row.keywords, ox->arena, &table);
    if (e != OK) {
        return e;
    }
    out->first_fresh = (uint16_t)table.n;
    out->numbers = arena_calloc(ox->arena, n, sizeof(*out->numbers));
    out->fresh = arena_calloc(ox->arena, n, sizeof(*out->fresh));
    if (out->numbers == NULL || out->fresh == NULL) {
        return ERR_NOMEM;
    }
    for (size_t i = 0; e == OK && i < n; i++) {
        e = plan_one(&table, names[i], make, out);
    }
    return e;
}

enum err op_keywords_commit(struct op_context *ox, struct op_mailbox *m, const struct op_keywords *plan)
{
    for (size_t i = 0; i < plan->n_fresh; i++) {
        ASSERT(m->row.keywords == plan->first_fresh + i);
        enum err e = keyword_put(&ox->store, m->account->id, m->id, (uint16_t)m->row.keywords, plan->fresh[i]);
        if (e != OK) {
            return e;
        }
        m->row.keywords++;
        m->dirty = true;
        ox->changed = true;
    }
    return OK;
}
