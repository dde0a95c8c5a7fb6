#include "storage/kv/kv_pages.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/assert.h"
#include "proto/base/bytes.h"
#include "proto/base/kv.h"
#include "proto/base/mem.h"

/* LMDB 0.9 on 64 bits, as mdb.c has it (struct MDB_page, MDB_node, MDB_meta, MDB_db):
 *
 *   page   number(8) pad(2) flags(2) [lower(2) upper(2) | pages(4)], node offsets (2 each) up to lower, nodes from
 * upper node   low(2) high(2) flags(2) key size(2) key; a branch's first six bytes are the child's number, a leaf's
 * first four the value's size, its value following the key, or the number of its overflow page meta   magic(4)
 * version(4) address(8) map size(8), free list's and main tree's db, last page(8), transaction(8) db     pad(4; the
 * page size in the first) flags(2) depth(2) branches(8) leaves(8) overflow pages(8) rows(8) root(8)
 */
#define PAGE_HEAD 16
#define NODE_HEAD 8
#define META_BYTES 136
#define META_DBS 24
#define DB_BYTES 48
#define MAGIC 0xBEEFC0DEU
#define VERSION 1
#define P_BRANCH 0x01
#define P_LEAF 0x02
#define P_OVERFLOW 0x04
#define P_META 0x08
#define F_BIGDATA 0x01
#define INTEGER_KEYS 0x08
#define NO_PAGE UINT64_MAX
#define DEPTH_MAX 32
#define PAGE_BYTES_MIN 512
#define PAGE_BYTES_MAX 65536

struct tree {
    bool free_list;
    uint16_t depth;
    uint64_t branches;
    uint64_t leaves;
    uint64_t overflow;
    uint64_t rows;
    uint64_t root;
};

struct meta {
    uint32_t page_bytes;
    uint64_t last_page;
    uint64_t txn;
    struct tree trees[2]; /* free list, main */
};

struct walk {
    const struct kv_pages_config *cfg;
    struct kv_pages_totals *totals;
    int fd;
    uint32_t page_bytes;
    uint64_t file_pages;
    uint64_t last_page;
    uint8_t *seen;    /* a bit a page of the file */
    uint8_t *levels;  /* a page for each level of a tree, one more for a value */
    struct tree *now; /* counts of the tree in hand */
    /* The walk goes in the order of the keys: the next one is greater than this one, or the same after a branch's. */
    uint8_t last_key[KV_KEY_BYTES_MAX];
    size_t last_key_n;
    bool have_last;
    bool same_allowed;
};

static void finding(struct walk *w, uint64_t page, const char *what)
{
    w->totals->findings++;
    if (w->cfg->finding != NULL) {
        w->cfg->finding(w->cfg->ctx, page, what);
    }
}

/* --- pages --- */

static bool page_read(struct walk *w, uint64_t page, uint8_t *out)
{
    if (pread(w->fd, out, w->page_bytes, (off_t)(page * w->page_bytes)) != (ssize_t)w->page_bytes) {
        finding(w, page, "cannot be read");
        return false;
    }
    return true;
}

/* Whether pages may belong here: within the file, and nobody's yet. They are somebody's from now on. */
static bool pages_take(struct walk *w, uint64_t first, uint64_t n, uint64_t referrer)
{
    if (n == 0 || first < 2 || first > w->last_page || n > w->last_page - first + 1 || first >= w->file_pages ||
        n > w->file_pages - first) {
        finding(w, referrer, "refers to a page outside the file");
        return false;
    }
    for (uint64_t i = first; i < first + n; i++) {
        uint8_t bit = (uint8_t)(1U << (i & 7));
        if ((w->seen[i >> 3] & bit) != 0) {
            finding(w, i, "is used twice");
            return false;
        }
        w->seen[i >> 3] |= bit;
    }
    w->totals->pages += n;
    return true;
}

static bool page_load(struct walk *w, uint64_t page, uint16_t kind, uint64_t referrer, uint8_t *out)
{
    if (!pages_take(w, page, 1, referrer) || !page_read(w, page, out)) {
        return false;
    }
    if (get_le64(out) != page || get_le16(out + 10) != kind) {
        finding(w, page, "is not the page that it should be");
        return false;
    }
    uint16_t lower = get_le16(out + 12);
    uint16_t upper = get_le16(out + 14);
    if (lower < PAGE_HEAD || lower > upper || upper > w->page_bytes || (lower - PAGE_HEAD) % 2 != 0 ||
        lower == PAGE_HEAD) {
        finding(w, page, "has impossible bounds");
        return false;
    }
    return true;
}

/* --- nodes --- */

struct node {
    const uint8_t *p;
    struct slice key;
    size_t room; /* bytes behind the key in its page */
};

static unsigned nodes_n(const uint8_t *page)
{
    return (get_le16(page + 12) - PAGE_HEAD) / 2U;
}

static bool node_at(struct walk *w, uint64_t number, const uint8_t *page, unsigned i, struct node *out)
{
    uint32_t at = get_le16(page + PAGE_HEAD + 2 * (size_t)i);
    if (at < get_le16(page + 14) || at + NODE_HEAD > w->page_bytes) {
        finding(w, number, "has a node outside of it");
        return false;
    }
    size_t key_n = get_le16(page + at + 6);
    if (key_n > KV_KEY_BYTES_MAX || key_n > w->page_bytes - at - NODE_HEAD) {
        finding(w, number, "has a key of an impossible size");
        return false;
    }
    out->p = page + at;
    out->key = slice_make(page + at + NODE_HEAD, key_n);
    out->room = w->page_bytes - at - NODE_HEAD - key_n;
    return true;
}

static int key_compare(const struct walk *w, struct slice a, struct slice b)
{
    if (w->now->free_list) {
        uint64_t x = get_le64(a.p);
        uint64_t y = get_le64(b.p);
        return x < y ? -1 : x > y;
    }
    return slice_cmp(a, b);
}

static bool key_follows(struct walk *w, uint64_t number, struct slice key, bool of_branch)
{
    if (key.n == 0 || (w->now->free_list && key.n != sizeof(uint64_t))) {
        finding(w, number, "has a key of an impossible size");
        return false;
    }
    if (w->have_last) {
        int order = key_compare(w, slice_make(w->last_key, w->last_key_n), key);
        if (order > 0 || (order == 0 && !w->same_allowed)) {
            finding(w, number, "has keys out of order");
            return false;
        }
    }
    memcpy(w->last_key, key.p, key.n);
    w->last_key_n = key.n;
    w->have_last = true;
    w->same_allowed = of_branch;
    return true;
}

/* --- values --- */

static uint64_t overflow_pages(const struct walk *w, uint32_t value_n)
{
    return ((uint64_t)PAGE_HEAD - 1 + value_n) / w->page_bytes + 1;
}

/* Its first page is left in `scratch`. */
static bool overflow_check(struct walk *w, uint64_t number, uint64_t first, uint32_t value_n, uint8_t *scratch)
{
    if (first >= w->file_pages) {
        finding(w, number, "refers to a page outside the file");
        return false;
    }
    if (!page_read(w, first, scratch)) {
        return false;
    }
    uint32_t n = get_le32(scratch + 12);
    if (get_le64(scratch) != first || get_le16(scratch + 10) != P_OVERFLOW || n < overflow_pages(w, value_n)) {
        finding(w, first, "is not the page of a large value");
        return false;
    }
    w->now->overflow += n;
    return pages_take(w, first, n, number);
}

/* The list of a transaction's free pages: its length, then their numbers, descending (mdb.c, mdb_midl). Free pages may
 * lie beyond the file: allocated and given back before they were written. */
static void free_list_check(struct walk *w, uint64_t number, const uint8_t *list, uint64_t n)
{
    uint64_t before = NO_PAGE;
    for (uint64_t i = 1; i <= n; i++) {
        uint64_t page = get_le64(list + 8 * i);
        if (page >= before || page < 2 || page > w->last_page) {
            finding(w, number, "has a damaged list of free pages");
            return;
        }
        before = page;
        w->totals->free_pages++;
        if (page < w->file_pages && !pages_take(w, page, 1, number)) {
            return;
        }
        w->totals->pages -= page < w->file_pages ? 1 : 0;
    }
}

static void free_row_check(struct walk *w, uint64_t number, const uint8_t *value, uint32_t value_n, uint64_t overflow)
{
    uint8_t *list = mem_alloc(value_n);
    if (list == NULL) {
        finding(w, number, "not enough memory for its list of free pages");
        return;
    }
    off_t at = (off_t)(overflow * w->page_bytes + PAGE_HEAD);
    if (overflow == 0) {
        memcpy(list, value, value_n);
    } else if (pread(w->fd, list, value_n, at) != (ssize_t)value_n) {
        value_n = 0;
    }
    if (value_n < 8 || get_le64(list) > value_n / 8 - 1) {
        finding(w, number, "has a damaged list of free pages");
    } else {
        free_list_check(w, number, list, get_le64(list));
    }
    mem_free(list);
}

static void value_check(struct walk *w, uint64_t number, const struct node *n, uint8_t *scratch)
{
    uint32_t value_n = get_le32(n->p);
    uint16_t flags = get_le16(n->p + 4);
    const uint8_t *value = n->key.p + n->key.n;
    uint64_t overflow = 0;
    if ((flags & ~F_BIGDATA) != 0 || (flags == 0 && value_n > n->room) || (flags != 0 && n->room < sizeof(uint64_t))) {
        finding(w, number, "has a value of an impossible size");
        return;
    }
    if (flags == F_BIGDATA) {
        overflow = get_le64(value);
        if (!overflow_check(w, number, overflow, value_n, scratch)) {
            return;
        }
    }
    if (w->now->free_list) {
        free_row_check(w, number, value, value_n, overflow);
    }
}

/* --- the tree --- */

static void leaf_check(struct walk *w, uint64_t number, const uint8_t *page, uint8_t *scratch)
{
    unsigned n = nodes_n(page);
    struct node node;
    w->now->leaves++;
    for (unsigned i = 0; i < n && node_at(w, number, page, i, &node); i++) {
        if (!key_follows(w, number, node.key, false)) {
            return;
        }
        w->now->rows++;
        value_check(w, number, &node, scratch);
    }
}

/* Recurses to the depth that the meta page tells, which is bounded. */
static void subtree_check(struct walk *w, uint64_t number, uint64_t referrer, unsigned levels_left)
{
    uint8_t *page = w->levels + (size_t)levels_left * w->page_bytes;
    bool leaf = levels_left == 1;
    if (!page_load(w, number, leaf ? P_LEAF : P_BRANCH, referrer, page)) {
        return;
    }
    if (leaf) {
        leaf_check(w, number, page, w->levels);
        return;
    }
    unsigned n = nodes_n(page);
    struct node node;
    w->now->branches++;
    for (unsigned i = 0; i < n && node_at(w, number, page, i, &node); i++) {
        /* A branch's first key is never looked at. */
        if (i > 0 && !key_follows(w, number, node.key, true)) {
            return;
        }
        uint64_t child = get_le32(node.p) | (uint64_t)get_le16(node.p + 4) << 32;
        subtree_check(w, child, number, levels_left - 1);
    }
}

static void tree_check(struct walk *w, const struct tree *said, uint64_t meta_page)
{
    struct tree counted = {.free_list = said->free_list};
    if (said->depth > DEPTH_MAX || (said->root == NO_PAGE) != (said->depth == 0)) {
        finding(w, meta_page, "has a tree of an impossible depth");
        return;
    }
    w->now = &counted;
    w->have_last = false;
    uint64_t before = w->totals->findings;
    if (said->depth > 0) {
        subtree_check(w, said->root, meta_page, said->depth);
    }
    if (w->totals->findings == before && (counted.branches != said->branches || counted.leaves != said->leaves ||
                                          counted.overflow != said->overflow || counted.rows != said->rows)) {
        finding(w, meta_page, "has wrong counters");
    }
    w->totals->rows += said->free_list ? 0 : counted.rows;
}

/* --- meta pages --- */

static enum err refuse(struct buf *why, enum err e, const char *path, const char *what)
{
    enum err ignored = buf_printf(why, "%s: %s", path, what);
    (void)ignored; /* a courtesy: the error says enough */
    return e;
}

static struct tree tree_decode(const uint8_t *db, bool free_list)
{
    return (struct tree){
        .free_list = free_list,
        .depth = get_le16(db + 6),
        .branches = get_le64(db + 8),
        .leaves = get_le64(db + 16),
        .overflow = get_le64(db + 24),
        .rows = get_le64(db + 32),
        .root = get_le64(db + 40),
    };
}

static bool meta_decode(const uint8_t *page, struct meta *out)
{
    const uint8_t *m = page + PAGE_HEAD;
    const uint8_t *dbs = m + META_DBS;
    out->page_bytes = get_le32(dbs);
    out->trees[0] = tree_decode(dbs, true);
    out->trees[1] = tree_decode(dbs + DB_BYTES, false);
    out->last_page = get_le64(m + META_DBS + 2 * (size_t)DB_BYTES);
    out->txn = get_le64(m + META_DBS + 2 * (size_t)DB_BYTES + 8);
    return get_le16(page + 10) == P_META && get_le32(m) == MAGIC && get_le32(m + 4) == VERSION &&
           (get_le16(dbs + 4) & INTEGER_KEYS) != 0 && get_le16(dbs + DB_BYTES + 4) == 0 &&
           out->page_bytes >= PAGE_BYTES_MIN && out->page_bytes <= PAGE_BYTES_MAX &&
           (out->page_bytes & (out->page_bytes - 1)) == 0;
}

/* A commit writes the meta page of its number's last bit, so the two are one apart (both 0 in a new file). */
static bool metas_agree(const struct meta m[2])
{
    return m[0].page_bytes == m[1].page_bytes && (m[0].txn & 1) == 0 &&
           (m[1].txn == m[0].txn + 1 || m[1].txn + 1 == m[0].txn || (m[0].txn == 0 && m[1].txn == 0));
}

static bool metas_read(struct walk *w, struct meta out[2])
{
    uint8_t page[PAGE_HEAD + META_BYTES];
    /* Before the first page tells the size of all, the second is where this machine's LMDB would put it. */
    w->page_bytes = (uint32_t)sysconf(_SC_PAGESIZE);
    for (uint64_t i = 0; i < 2; i++) {
        bool good = pread(w->fd, page, sizeof(page), (off_t)(i * w->page_bytes)) == (ssize_t)sizeof(page) &&
                    get_le64(page) == i && meta_decode(page, &out[i]);
        if (!good) {
            finding(w, i, "is not a meta page");
            return false;
        }
        w->page_bytes = out[i].page_bytes;
    }
    if (!metas_agree(out)) {
        finding(w, 0, "and page 1 contradict each other");
        return false;
    }
    return true;
}

/* --- the whole --- */

static enum err walk_all(struct walk *w, const struct meta *newest, uint64_t meta_page)
{
    w->last_page = newest->last_page;
    w->totals->pages = 2;
    w->seen = mem_zalloc((size_t)(w->file_pages / 8 + 1));
    w->levels = mem_calloc(DEPTH_MAX + 1, w->page_bytes);
    if (w->seen == NULL || w->levels == NULL) {
        return ERR_NOMEM;
    }
    tree_check(w, &newest->trees[1], meta_page);
    tree_check(w, &newest->trees[0], meta_page);
    return OK;
}

static enum err verify(struct walk *w, const char *path, struct buf *why)
{
    struct stat st;
    struct meta metas[2];
    if (fstat(w->fd, &st) != 0) {
        return refuse(why, ERR_IO, path, strerror(errno));
    }
    if (!metas_read(w, metas)) {
        return OK;
    }
    w->file_pages = (uint64_t)st.st_size / w->page_bytes;
    uint64_t newest = metas[1].txn > metas[0].txn ? 1 : 0;
    enum err e = walk_all(w, &metas[newest], newest);
    mem_free(w->seen);
    mem_free(w->levels);
    return e == OK ? OK : refuse(why, e, path, err_text(e));
}

enum err kv_pages_verify(const char *path, const struct kv_pages_config *cfg, struct kv_pages_totals *out,
                         struct buf *why)
{
    struct kv_pages_totals totals = {0};
    struct walk w = {.cfg = cfg, .totals = &totals};
    w.fd = open(path, O_RDONLY | O_CLOEXEC);
    if (w.fd < 0) {
        return refuse(why, ERR_IO, path, strerror(errno));
    }
    enum err e = OK;
    if (flock(w.fd, LOCK_SH | LOCK_NB) != 0) {
        e = errno == EWOULDBLOCK ? refuse(why, ERR_LOCKED, path, "another process uses it: stop the node first")
                                 : refuse(why, ERR_IO, path, strerror(errno));
    }
    if (e == OK) {
        e = verify(&w, path, why);
    }
    close(w.fd);
    if (e == OK) {
        *out = totals;
    }
    return e;
}
