#include "storage/mailbox/tree.h"

#define ENTRY_BYTES 8

static void child_key(struct key *k, const struct store *s, struct account_id a, uint32_t parent, struct slice name)
{
    key_mailbox(k, s, a, ACCOUNT_TREE, parent);
    key_bytes(k, name.p, name.n);
}

static enum err entry_decode(struct slice v, struct tree_entry *out)
{
    if (v.n != ENTRY_BYTES) {
        return ERR_CORRUPT;
    }
    out->node = get_le32(v.p);
    out->mailbox = get_le32(v.p + 4);
    return out->node == 0 ? ERR_CORRUPT : OK;
}

enum err tree_child(const struct store *s, struct account_id a, uint32_t parent, struct slice name,
                    struct tree_entry *out)
{
    struct key k;
    struct slice v;
    struct tree_entry entry;
    child_key(&k, s, a, parent, name);
    enum err e = store_get(s, &k, &v);
    if (e == OK) {
        e = entry_decode(v, &entry);
    }
    if (e == OK) {
        *out = entry;
    }
    return e;
}

enum err tree_descend(const struct store *s, struct account_id a, const struct name_path *path, size_t *out_depth,
                      struct tree_entry *out, uint32_t *out_parent)
{
    struct tree_entry at = {0, 0};
    uint32_t parent = 0;
    size_t depth = 0;
    while (depth < path->n) {
        struct tree_entry next;
        enum err e = tree_child(s, a, at.node, path->part[depth], &next);
        if (e == ERR_NOTFOUND) {
            break;
        }
        if (e != OK) {
            return e;
        }
        parent = at.node;
        at = next;
        depth++;
    }
    *out_depth = depth;
    *out = at;
    *out_parent = parent;
    return OK;
}

enum err tree_find(const struct store *s, struct account_id a, const struct name_path *path, struct tree_entry *out,
                   uint32_t *out_parent)
{
    size_t depth;
    struct tree_entry entry;
    uint32_t parent;
    enum err e = tree_descend(s, a, path, &depth, &entry, &parent);
    if (e != OK) {
        return e;
    }
    if (depth < path->n) {
        return ERR_NOTFOUND;
    }
    *out = entry;
    *out_parent = parent;
    return OK;
}

enum err tree_has_children(const struct store *s, struct account_id a, uint32_t node, bool *out)
{
    struct key k;
    bool empty;
    key_mailbox(&k, s, a, ACCOUNT_TREE, node);
    enum err e = store_range_empty(s, &k, &empty);
    if (e == OK) {
        *out = !empty;
    }
    return e;
}

/* --- the way up --- */

static enum err node_up(const struct store *s, struct account_id a, uint32_t node, uint32_t *out_parent,
                        struct slice *out_name)
{
    struct key k;
    struct slice v;
    key_mailbox(&k, s, a, ACCOUNT_NODES, node);
    enum err e = store_get(s, &k, &v);
    if (e == ERR_NOTFOUND || (e == OK && (v.n <= 4 || v.n > 4 + NAME_COMPONENT_BYTES_MAX))) {
        return ERR_CORRUPT;
    }
    if (e != OK) {
        return e;
    }
    *out_parent = get_le32(v.p);
    *out_name = slice_sub(v, 4, v.n);
    return OK;
}

enum err tree_path(const struct store *s, struct account_id a, uint32_t node, struct buf *out)
{
    struct slice part[NAME_DEPTH_MAX];
    size_t n = 0;
    while (node != 0) {
        if (n == NAME_DEPTH_MAX) {
            return ERR_CORRUPT;
        }
        enum err e = node_up(s, a, node, &node, &part[n]);
        if (e != OK) {
            return e;
        }
        n++;
    }
    enum err e = OK;
    while (e == OK && n > 0) {
        e = buf_append_slice(out, part[--n]);
        if (e == OK && n > 0) {
            e = buf_append_u8(out, '/');
        }
    }
    return e;
}

enum err tree_is_below(const struct store *s, struct account_id a, uint32_t node, uint32_t under, bool *out)
{
    for (size_t up = 0; up <= NAME_DEPTH_MAX; up++) {
        struct slice name;
        if (node == under || node == 0) {
            *out = node == under;
            return OK;
        }
        enum err e = node_up(s, a, node, &node, &name);
        if (e != OK) {
            return e;
        }
    }
    return ERR_CORRUPT;
}

/* --- changes --- */

enum err tree_put(const struct store *s, struct account_id a, uint32_t parent, struct slice name,
                  struct tree_entry entry)
{
    struct key k;
    uint8_t v[4 + NAME_COMPONENT_BYTES_MAX];
    child_key(&k, s, a, parent, name);
    put_le32(v, entry.node);
    put_le32(v + 4, entry.mailbox);
    enum err e = store_put(s, &k, slice_make(v, ENTRY_BYTES));
    if (e != OK) {
        return e;
    }
    ASSERT(name.n > 0 && name.n <= NAME_COMPONENT_BYTES_MAX);
    key_mailbox(&k, s, a, ACCOUNT_NODES, entry.node);
    put_le32(v, parent);
    memcpy(v + 4, name.p, name.n);
    return store_put(s, &k, slice_make(v, 4 + name.n));
}

enum err tree_del(const struct store *s, struct account_id a, uint32_t parent, struct slice name, uint32_t node)
{
    struct key k;
    child_key(&k, s, a, parent, name);
    enum err e = store_del_must(s, &k);
    if (e != OK) {
        return e;
    }
    key_mailbox(&k, s, a, ACCOUNT_NODES, node);
    return store_del_must(s, &k);
}

/* --- listing --- */

struct listing {
    struct tree_item *raw; /* by (parent, name), as the rows lie */
    size_t n;
    size_t cap;
    struct tree_list *out;
    struct arena *arena;
};

static enum err grow(struct listing *l)
{
    size_t cap = l->cap == 0 ? 32 : l->cap * 2;
    struct tree_item *raw = arena_alloc(l->arena, cap * sizeof(*raw));
    if (raw == NULL) {
        return ERR_NOMEM;
    }
    if (l->n > 0) {
        memcpy(raw, l->raw, l->n * sizeof(*raw));
    }
    l->raw = raw;
    l->cap = cap;
    return OK;
}

static enum err load_one(struct listing *l, struct slice rest, struct slice value)
{
    if (rest.n <= 4 || rest.n > 4 + NAME_COMPONENT_BYTES_MAX || l->n == TREE_NODES_MAX) {
        return ERR_CORRUPT;
    }
    enum err e = l->n == l->cap ? grow(l) : OK;
    if (e != OK) {
        return e;
    }
    struct tree_item *item = &l->raw[l->n];
    struct slice name = slice_sub(rest, 4, rest.n);
    uint8_t *copy = arena_dup(l->arena, name.p, name.n);
    if (copy == NULL) {
        return ERR_NOMEM;
    }
    memset(item, 0, sizeof(*item));
    item->parent = get_be32(rest.p);
    item->name = slice_make(copy, name.n);
    e = entry_decode(value, &item->entry);
    if (e == OK) {
        l->n++;
    }
    return e;
}

static enum err load(struct listing *l, const struct store *s, struct account_id a)
{
    struct key prefix;
    struct scan sc;
    struct slice rest;
    struct slice value;
    key_account(&prefix, s, a, ACCOUNT_TREE);
    enum err e = scan_open(&sc, s, &prefix);
    if (e != OK) {
        return e;
    }
    for (e = scan_next(&sc, &rest, &value); e == OK; e = scan_next(&sc, &rest, &value)) {
        e = load_one(l, rest, value);
        if (e != OK) {
            break;
        }
    }
    scan_close(&sc);
    return e == ERR_NOTFOUND ? OK : e;
}

/* First raw row with that parent. */
static size_t first_child(const struct listing *l, uint32_t parent)
{
    size_t lo = 0;
    size_t hi = l->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (l->raw[mid].parent < parent) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

static enum err join_path(struct listing *l, const struct tree_item *parent, struct tree_item *item)
{
    if (parent == NULL) {
        item->path = item->name;
        item->depth = 1;
        return OK;
    }
    size_t n = parent->path.n + 1 + item->name.n;
    uint8_t *p = arena_alloc(l->arena, n);
    if (p == NULL) {
        return ERR_NOMEM;
    }
    memcpy(p, parent->path.p, parent->path.n);
    p[parent->path.n] = '/';
    memcpy(p + parent->path.n + 1, item->name.p, item->name.n);
    item->path = slice_make(p, n);
    item->depth = parent->depth + 1;
    return OK;
}

/* Depth first with a stack of positions among siblings. */
static enum err order(struct listing *l, uint32_t root)
{
    struct {
        size_t next;
        uint32_t parent;
        struct tree_item *item;
    } stack[NAME_DEPTH_MAX + 1];
    size_t top = 0;
    stack[0].next = first_child(l, root);
    stack[0].parent = root;
    stack[0].item = NULL;
    for (;;) {
        size_t i = stack[top].next;
        if (i == l->n || l->raw[i].parent != stack[top].parent) {
            if (top == 0) {
                return OK;
            }
            top--;
            continue;
        }
        stack[top].next++;
        if (top == NAME_DEPTH_MAX || l->out->n == l->n) {
            return ERR_CORRUPT;
        }
        struct tree_item *item = &l->out->items[l->out->n++];
        *item = l->raw[i];
        enum err e = join_path(l, stack[top].item, item);
        if (e != OK) {
            return e;
        }
        size_t child = first_child(l, item->entry.node);
        item->has_children = child < l->n && l->raw[child].parent == item->entry.node;
        if (item->has_children) {
            top++;
            stack[top].next = child;
            stack[top].parent = item->entry.node;
            stack[top].item = item;
        }
    }
}

enum err tree_list(const struct store *s, struct account_id a, uint32_t root, struct arena *arena,
                   struct tree_list *out)
{
    struct listing l = {.raw = NULL, .n = 0, .cap = 0, .out = out, .arena = arena};
    out->n = 0;
    enum err e = load(&l, s, a);
    if (e != OK) {
        return e;
    }
    out->items = arena_alloc(arena, (l.n + 1) * sizeof(*out->items));
    return out->items == NULL ? ERR_NOMEM : order(&l, root);
}
