#include "toy.h"

#include "proto/base/bytes.h"

namespace cluster
{

namespace
{

constexpr size_t HEAD = 17;

struct Key {
    uint8_t b[14];
    struct slice s() const
    {
        return slice_make(b, sizeof(b));
    }
};

Key row_key(const uint8_t prefix[5], char kind, uint64_t n)
{
    Key k;
    memcpy(k.b, prefix, 5);
    k.b[5] = static_cast<uint8_t>(kind);
    put_be64(k.b + 6, n);
    return k;
}

enum err put_pair(struct kv_txn *t, const Key &k, uint64_t a, uint64_t b)
{
    uint8_t row[16];
    put_be64(row, a);
    put_be64(row + 8, b);
    return kv_put(t, k.s(), slice_make(row, sizeof(row)));
}

enum err del_if_there(struct kv_txn *t, const Key &k, bool *there)
{
    enum err e = kv_del(t, k.s());
    *there = e == OK;
    return e == ERR_NOTFOUND ? OK : e;
}

enum err kill_body(struct kv_txn *t, const uint8_t prefix[5], char kind, uint64_t index)
{
    bool there;
    enum err e = del_if_there(t, row_key(prefix, kind, index), &there);
    return e == OK && there ? repl_body_kill(t, prefix, index, 0, 0) : e;
}

/* What was counted chunk by chunk is what there is, on every replica. */
enum err use_staged(struct kv_txn *t, const uint8_t prefix[5], uint64_t staged)
{
    uint64_t bytes = 0;
    struct slice row;
    enum err e = kv_get(t, row_key(prefix, 's', staged).s(), &row);
    if (e != OK) {
        return e == ERR_NOTFOUND ? OK : e;
    }
    uint64_t counted = get_be64(row.p + 8);
    e = kv_del(t, row_key(prefix, 's', staged).s());
    if (e == OK) {
        e = repl_body_bytes(t, prefix, staged, 0, &bytes);
    }
    if (e == OK) {
        EXPECT_EQ(counted, bytes) << "staged body " << staged;
    }
    return e == OK ? put_pair(t, row_key(prefix, 'b', staged), staged, bytes) : e;
}

} // namespace

std::string entry(char kind, uint64_t id, uint64_t argument, size_t filler)
{
    uint8_t head[HEAD];
    head[0] = static_cast<uint8_t>(kind);
    put_be64(head + 1, id);
    put_be64(head + 9, argument);
    return std::string(reinterpret_cast<char *>(head), HEAD) + std::string(filler, static_cast<char>(id));
}

std::string body_of(uint64_t id, size_t n)
{
    std::string body(n, '\0');
    uint64_t x = id * 0x9e3779b97f4a7c15u + 1;
    for (char &c : body) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        c = static_cast<char>(x >> 56);
    }
    return body;
}

enum err Machine::apply(void *ctx, struct kv_txn *t, struct repl_position pos, struct slice data, uint32_t body_bytes,
                        struct buf *result)
{
    Machine *m = static_cast<Machine *>(ctx);
    const uint8_t *prefix = m->prefix;
    if (data.n < HEAD) {
        return ERR_CORRUPT;
    }
    uint64_t id = get_be64(data.p + 1);
    uint64_t argument = get_be64(data.p + 9);
    uint64_t where = pos.index;
    uint8_t row[8];
    struct slice before;
    enum err e = kv_get(t, row_key(prefix, 'd', id).s(), &before);
    if (e == OK) { /* a retry: answered from its record, its body is dead */
        where = get_be64(before.p);
        e = body_bytes > 0 ? repl_body_kill(t, prefix, pos.index, 0, 0) : OK;
        put_be64(row, where);
        return e == OK ? buf_append(result, row, sizeof(row)) : e;
    }
    e = e == ERR_NOTFOUND ? OK : e;
    put_be64(row, where);
    if (e == OK) {
        e = kv_put(t, row_key(prefix, 'd', id).s(), slice_make(row, sizeof(row)));
    }
    if (e == OK) {
        e = put_pair(t, row_key(prefix, 'e', pos.index), id, pos.term);
    }
    if (e == OK && body_bytes > 0) {
        e = put_pair(t, row_key(prefix, 'b', pos.index), id, body_bytes);
    }
    if (e == OK && data.p[0] == 'K') {
        e = kill_body(t, prefix, 'b', argument);
    }
    if (e == OK && data.p[0] == 'R') {
        e = put_pair(t, row_key(prefix, 's', pos.index), id, 0);
    }
    if (e == OK && data.p[0] == 'C') {
        e = use_staged(t, prefix, argument);
    }
    if (e == OK && data.p[0] == 'A') {
        e = kill_body(t, prefix, 's', argument);
    }
    m->open.push_back({pos.index, id, pos.term});
    return e == OK ? buf_append(result, row, sizeof(row)) : e;
}

void Machine::committed(void *ctx)
{
    Machine *m = static_cast<Machine *>(ctx);
    for (const Seen &s : m->open) {
        m->see(s);
    }
    m->open.clear();
}

void Machine::see(const Seen &s)
{
    world->see(node, shard, s.index, {s.id, s.term, 0});
}

/* Index of the last entry in the state, 0 = none. */
uint64_t Machine::last_index(struct kv_txn *t)
{
    Key end = row_key(prefix, 'e', UINT64_MAX);
    struct kv_cursor *c;
    struct slice k;
    struct slice v;
    uint64_t index = 0;
    EXPECT_EQ(kv_cursor_open(t, &c), OK);
    enum err e = kv_cursor_seek(c, end.s(), &k, &v);
    EXPECT_TRUE(e == OK || e == ERR_NOTFOUND);
    e = kv_cursor_prev(c, &k, &v);
    if (e == OK && k.n == sizeof(end.b) && memcmp(k.p, end.b, 6) == 0) {
        index = get_be64(k.p + 6);
    }
    kv_cursor_close(c);
    return index;
}

void Machine::aborted(void *ctx)
{
    static_cast<Machine *>(ctx)->open.clear();
}

enum err Machine::staged(void *ctx, struct kv_txn *t, uint64_t index, uint32_t bytes)
{
    const Machine *m = static_cast<Machine *>(ctx);
    Key k = row_key(m->prefix, 's', index);
    struct slice row;
    enum err e = kv_get(t, k.s(), &row);
    return e == OK && bytes > 0 ? put_pair(t, k, get_be64(row.p), get_be64(row.p + 8) + bytes) : e;
}

void Machine::moved(void *ctx, const uint8_t prefix[5])
{
    memcpy(static_cast<Machine *>(ctx)->prefix, prefix, 5);
}

struct repl_fsm Machine::fsm()
{
    struct repl_fsm f = {this, apply, committed, aborted, staged, moved};
    return f;
}

/* What is durable here was committed, also when this process died before it could say so. */
void Machine::check_entries(struct kv_txn *t)
{
    Key from = row_key(prefix, 'e', 0);
    struct kv_cursor *c;
    struct slice k;
    struct slice v;
    ASSERT_EQ(kv_cursor_open(t, &c), OK);
    enum err e = kv_cursor_seek(c, from.s(), &k, &v);
    for (; e == OK && k.n == 14 && memcmp(k.p, from.b, 6) == 0; e = kv_cursor_next(c, &k, &v)) {
        see({get_be64(k.p + 6), get_be64(v.p), get_be64(v.p + 8)});
    }
    kv_cursor_close(c);
}

/* Every living body reads back as it was written. */
void Machine::check_bodies(struct kv_txn *t)
{
    Key from = row_key(prefix, 'b', 0);
    struct kv_cursor *c;
    struct slice k;
    struct slice v;
    struct buf body;
    buf_init(&body, 16 << 20);
    ASSERT_EQ(kv_cursor_open(t, &c), OK);
    enum err e = kv_cursor_seek(c, from.s(), &k, &v);
    for (; e == OK && k.n == 14 && memcmp(k.p, from.b, 6) == 0; e = kv_cursor_next(c, &k, &v)) {
        uint64_t index = get_be64(k.p + 6);
        uint64_t bytes = get_be64(v.p + 8);
        std::string expected = body_of(get_be64(v.p), bytes);
        buf_reset(&body);
        ASSERT_EQ(repl_body_read(t, prefix, index, 0, 0, bytes, &body), OK) << index;
        ASSERT_TRUE(slice_eq(buf_slice(&body), slice_make(expected.data(), expected.size()))) << index;
    }
    kv_cursor_close(c);
    buf_fini(&body);
}

} // namespace cluster
