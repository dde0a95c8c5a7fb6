#include "storage/kv/mem_tree.h"

#include "proto/base/hash.h"
#include "proto/base/mem.h"

struct mem_value {
    uint32_t refs;
    size_t n;
    uint8_t bytes[];
};

struct mem_node {
    uint32_t refs;
    uint64_t priority;
    struct mem_node *left;
    struct mem_node *right;
    struct mem_value *value;
    size_t key_n;
    uint8_t key[];
};

/* --- references --- */

static void value_unref(struct mem_value *v)
{
    if (v != NULL && --v->refs == 0) {
        mem_free(v);
    }
}

struct mem_node *mem_tree_ref(struct mem_node *root)
{
    if (root != NULL) {
        root->refs++;
    }
    return root;
}

/* The depth of the recursion is the tree's: logarithmic, as priorities are hashes. */
void mem_tree_unref(struct mem_node *root)
{
    if (root == NULL || --root->refs > 0) {
        return;
    }
    mem_tree_unref(root->left);
    mem_tree_unref(root->right);
    value_unref(root->value);
    mem_free(root);
}

static struct mem_value *value_new(size_t n)
{
    struct mem_value *v = mem_alloc(sizeof(*v) + n);
    if (v != NULL) {
        v->refs = 1;
        v->n = n;
    }
    return v;
}

static struct mem_node *node_new(struct slice key)
{
    struct mem_node *n = mem_zalloc(sizeof(*n) + key.n);
    if (n != NULL) {
        n->refs = 1;
        n->priority = hash_stable(key.p, key.n);
        n->key_n = key.n;
        memcpy(n->key, key.p, key.n);
    }
    return n;
}

/* Makes *link safe to change: a node that other versions share is copied. The tree stays whole when memory is out. */
static bool make_own(struct mem_node **link)
{
    struct mem_node *n = *link;
    if (n->refs == 1) {
        return true;
    }
    struct mem_node *copy = node_new(mem_node_key(n));
    if (copy == NULL) {
        return false;
    }
    copy->left = mem_tree_ref(n->left);
    copy->right = mem_tree_ref(n->right);
    copy->value = n->value;
    copy->value->refs++;
    n->refs--;
    *link = copy;
    return true;
}

/* --- look-ups --- */

struct slice mem_node_key(const struct mem_node *n)
{
    return slice_make(n->key, n->key_n);
}

struct slice mem_node_value(const struct mem_node *n)
{
    return slice_make(n->value->bytes, n->value->n);
}

const struct mem_node *mem_tree_find(const struct mem_node *root, struct slice key)
{
    const struct mem_node *n = mem_tree_at_or_after(root, key);
    return n != NULL && slice_eq(mem_node_key(n), key) ? n : NULL;
}

/* First node whose key compares >= bound with the given key: bound 0 = at or after, 1 = after. */
static const struct mem_node *lower_bound(const struct mem_node *root, struct slice key, int bound)
{
    const struct mem_node *best = NULL;
    for (const struct mem_node *n = root; n != NULL;) {
        int c = slice_cmp(mem_node_key(n), key);
        if (c > 0 || (c == 0 && bound == 0)) {
            best = n;
            n = n->left;
        } else {
            n = n->right;
        }
    }
    return best;
}

const struct mem_node *mem_tree_at_or_after(const struct mem_node *root, struct slice key)
{
    return lower_bound(root, key, 0);
}

const struct mem_node *mem_tree_after(const struct mem_node *root, struct slice key)
{
    return lower_bound(root, key, 1);
}

const struct mem_node *mem_tree_before(const struct mem_node *root, struct slice key)
{
    const struct mem_node *best = NULL;
    for (const struct mem_node *n = root; n != NULL;) {
        if (slice_cmp(mem_node_key(n), key) < 0) {
            best = n;
            n = n->right;
        } else {
            n = n->left;
        }
    }
    return best;
}

const struct mem_node *mem_tree_first(const struct mem_node *root)
{
    while (root != NULL && root->left != NULL) {
        root = root->left;
    }
    return root;
}

const struct mem_node *mem_tree_last(const struct mem_node *root)
{
    while (root != NULL && root->right != NULL) {
        root = root->right;
    }
    return root;
}

/* --- changes --- */

static void rotate_right(struct mem_node **link)
{
    struct mem_node *n = *link;
    struct mem_node *l = n->left;
    n->left = l->right;
    l->right = n;
    *link = l;
}

static void rotate_left(struct mem_node **link)
{
    struct mem_node *n = *link;
    struct mem_node *r = n->right;
    n->right = r->left;
    r->left = n;
    *link = r;
}

/* On the way back up everything on the path is our own, so rotations need no memory. */
static bool insert(struct mem_node **link, struct mem_node *fresh)
{
    struct mem_node *n = *link;
    if (n == NULL) {
        *link = fresh;
        return true;
    }
    if (!make_own(link)) {
        return false;
    }
    n = *link;
    if (slice_cmp(mem_node_key(fresh), mem_node_key(n)) < 0) {
        if (!insert(&n->left, fresh)) {
            return false;
        }
        if (n->left->priority > n->priority) {
            rotate_right(link);
        }
        return true;
    }
    if (!insert(&n->right, fresh)) {
        return false;
    }
    if (n->right->priority > n->priority) {
        rotate_left(link);
    }
    return true;
}

/* Link to the node with the key, everything on the way made our own; NULL when memory is out. The key is there. */
static struct mem_node **own_path(struct mem_node **link, struct slice key)
{
    for (;;) {
        if (!make_own(link)) {
            return NULL;
        }
        int c = slice_cmp(key, mem_node_key(*link));
        if (c == 0) {
            return link;
        }
        link = c < 0 ? &(*link)->left : &(*link)->right;
    }
}

static enum err replace_value(struct mem_node **root, struct slice key, struct mem_value *value, int64_t *changed_bytes)
{
    struct mem_node **link = own_path(root, key);
    if (link == NULL) {
        value_unref(value);
        return ERR_NOMEM;
    }
    *changed_bytes = (int64_t)value->n - (int64_t)(*link)->value->n;
    value_unref((*link)->value);
    (*link)->value = value;
    return OK;
}

enum err mem_tree_put(struct mem_node **root, struct slice key, size_t value_n, uint8_t **out_value,
                      int64_t *changed_bytes)
{
    struct mem_value *value = value_new(value_n);
    if (value == NULL) {
        return ERR_NOMEM;
    }
    if (mem_tree_find(*root, key) != NULL) {
        enum err e = replace_value(root, key, value, changed_bytes);
        if (e == OK) {
            *out_value = value->bytes;
        }
        return e;
    }
    struct mem_node *fresh = node_new(key);
    if (fresh == NULL) {
        value_unref(value);
        return ERR_NOMEM;
    }
    fresh->value = value;
    if (!insert(root, fresh)) {
        mem_tree_unref(fresh);
        return ERR_NOMEM;
    }
    *changed_bytes = (int64_t)(key.n + value_n);
    *out_value = value->bytes;
    return OK;
}

/* Joins two trees, every key of l below every key of r; takes both references. */
static bool join(struct mem_node **out, struct mem_node *l, struct mem_node *r)
{
    *out = l == NULL ? r : l;
    if (l == NULL || r == NULL) {
        return true;
    }
    bool left_on_top = l->priority > r->priority;
    *out = left_on_top ? l : r;
    if (!make_own(out)) {
        mem_tree_unref(left_on_top ? r : l);
        return false;
    }
    struct mem_node **inner = left_on_top ? &(*out)->right : &(*out)->left;
    struct mem_node *down = *inner;
    *inner = NULL;
    return left_on_top ? join(inner, down, r) : join(inner, l, down);
}

enum err mem_tree_del(struct mem_node **root, struct slice key, int64_t *changed_bytes)
{
    if (mem_tree_find(*root, key) == NULL) {
        return ERR_NOTFOUND;
    }
    struct mem_node **link = own_path(root, key);
    if (link == NULL) {
        return ERR_NOMEM;
    }
    struct mem_node *n = *link;
    struct mem_node *left = n->left;
    struct mem_node *right = n->right;
    *changed_bytes = -(int64_t)(n->key_n + n->value->n);
    n->left = NULL;
    n->right = NULL;
    *link = NULL;
    mem_tree_unref(n);
    return join(link, left, right) ? OK : ERR_NOMEM;
}
