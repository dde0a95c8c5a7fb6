#include "toy.h"

#include "proto/base/bytes.h"

/* Entry: kind(1) id(8) argument(8) filler.
 *   W  write; its body, if any, lives            X  refused: its body is dead at once
 *   K  kill the body of entry `argument`         R  reserve this index for a staged body
 *   C  the body staged at `argument` lives from now on
 * State: 'e' index -> id(8) term(8) of the entry; 't' index -> its kind; 'b' index -> id(8) bytes(8) of a living body;
 * 'k' index -> a body died. */

namespace
{

constexpr size_t HEAD = 17;
constexpr size_t STAGED_CHUNKS_MAX = 6;

struct Key {
    uint8_t b[14];
    struct slice s() const
    {
        return slice_make(b, sizeof(b));
    }
};

Key row_key(const uint8_t prefix[5], char kind, uint64_t index)
{
    Key k;
    memcpy(k.b, prefix, 5);
    k.b[5] = static_cast<uint8_t>(kind);
    put_be64(k.b + 6, index);
    return k;
}

enum err put_pair(struct kv_txn *t, const Key &k, uint64_t a, uint64_t b)
{
    uint8_t row[16];
    put_be64(row, a);
    put_be64(row + 8, b);
    return kv_put(t, k.s(), slice_make(row, sizeof(row)));
}

std::string entry(char kind, uint64_t id, uint64_t argument, size_t filler)
{
    uint8_t head[HEAD];
    head[0] = static_cast<uint8_t>(kind);
    put_be64(head + 1, id);
    put_be64(head + 9, argument);
    return std::string(reinterpret_cast<char *>(head), HEAD) + std::string(filler, static_cast<char>(id));
}

enum err kill_body(struct kv_txn *t, const uint8_t prefix[5], uint64_t index)
{
    enum err e = kv_del(t, row_key(prefix, 'b', index).s());
    if (e == ERR_NOTFOUND) {
        return OK; /* killed before */
    }
    if (e == OK) {
        e = kv_put(t, row_key(prefix, 'k', index).s(), slice_make("", 0));
    }
    return e == OK ? repl_body_kill(t, prefix, index, 0, 0) : e;
}

void committed(void *ctx)
{
    ToyShard *s = static_cast<ToyShard *>(ctx);
    EXPECT_GT(s->open_applies, 0);
    s->open_applies = 0;
}

} // namespace

std::string Toy::body_of(uint64_t id, size_t n)
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

enum err Toy::apply(void *ctx, struct kv_txn *t, struct repl_position pos, struct slice data, uint32_t body_bytes,
                    struct buf *result)
{
    ToyShard *s = static_cast<ToyShard *>(ctx);
    s->open_applies++;
    if (data.n < HEAD) {
        return ERR_CORRUPT;
    }
    uint64_t id = get_be64(data.p + 1);
    uint64_t argument = get_be64(data.p + 9);
    enum err e = put_pair(t, row_key(s->prefix, 'e', pos.index), id, pos.term);
    if (e == OK) {
        e = kv_put(t, row_key(s->prefix, 't', pos.index).s(), slice_make(data.p, 1));
    }
    if (e == OK && body_bytes > 0) {
        e = put_pair(t, row_key(s->prefix, 'b', pos.index), id, body_bytes);
    }
    if (e == OK && data.p[0] == 'C') {
        uint64_t bytes = 0;
        e = repl_body_bytes(t, s->prefix, argument, 0, &bytes);
        if (e == OK) {
            e = put_pair(t, row_key(s->prefix, 'b', argument), argument, bytes);
        }
    }
    if (e == OK && data.p[0] == 'K') {
        e = kill_body(t, s->prefix, argument);
    }
    if (e == OK && data.p[0] == 'X' && body_bytes > 0) {
        e = kill_body(t, s->prefix, pos.index);
    }
    uint8_t position[16];
    put_be64(position, pos.index);
    put_be64(position + 8, pos.term);
    return e == OK ? buf_append(result, position, sizeof(position)) : e;
}

struct repl_fsm Toy::open(uint32_t shard)
{
    shards_[shard] = ToyShard();
    struct repl_fsm fsm = {&shards_[shard], apply, committed, committed, nullptr, nullptr};
    return fsm;
}

void Toy::prefix(uint32_t shard, const uint8_t prefix[5])
{
    memcpy(shards_[shard].prefix, prefix, 5);
}

sim::Op Toy::write(uint32_t shard, size_t data_bytes, size_t body_bytes)
{
    sim::Op op;
    op.shard = shard;
    op.tag = next_id_++;
    op.data = entry('W', op.tag, 0, data_bytes);
    op.body = body_of(op.tag, body_bytes);
    return op;
}

/* --- proposals --- */

bool Toy::propose_kill(uint32_t shard, struct kv_txn *t, struct rng *r, sim::Op *out)
{
    const ToyFacts &f = facts_[shard];
    struct slice row;
    if (f.last_acked_index == 0) {
        return false;
    }
    uint64_t index = 1 + rng_below(r, f.last_acked_index);
    if (kv_get(t, row_key(shards_[shard].prefix, 'b', index).s(), &row) != OK) {
        return false;
    }
    out->tag = next_id_++;
    out->data = entry('K', out->tag, index, 0);
    return true;
}

/* Reserve, then chunks in order, then the commit once everything acknowledged adds up. */
bool Toy::propose_staged(uint32_t shard, struct kv_txn *, struct rng *r, sim::Op *out)
{
    ToyFacts &f = facts_[shard];
    out->tag = next_id_++;
    if (f.reserved == 0) {
        out->data = entry('R', out->tag, 0, 0);
        return true;
    }
    if (f.staged >= (STAGED_CHUNKS_MAX - 2) * REPL_BODY_CHUNK_DATA) {
        out->data = entry('C', out->tag, f.reserved, 0);
        f.reserved = 0;
        f.staged = 0;
        return true;
    }
    size_t n = (1 + rng_below(r, 2)) * REPL_BODY_CHUNK_DATA;
    out->staged_index = f.reserved;
    out->staged_offset = f.staged;
    out->body = body_of(f.reserved, f.staged + n).substr(f.staged);
    return true;
}

bool Toy::propose(uint32_t shard, struct kv_txn *t, struct rng *r, sim::Op *out)
{
    uint64_t kind = rng_below(r, 10);
    if (kind < 2) {
        return propose_kill(shard, t, r, out);
    }
    if (kind < 4) {
        return propose_staged(shard, t, r, out);
    }
    size_t data = rng_below(r, 20) == 0 ? rng_below(r, 20000) : rng_below(r, data_max_);
    size_t body = rng_below(r, 3) == 0 ? 0 : rng_below(r, 3 * REPL_BODY_CHUNK_DATA);
    *out = write(shard, data, body);
    if (kind == 9) {
        out->data[0] = 'X';
    }
    return true;
}

void Toy::answered(const sim::Op &op, enum err status, const std::string &result)
{
    ToyFacts &f = facts_[op.shard];
    answers++;
    if (op.staged_index != 0) {
        if (status == OK && op.staged_index == f.reserved && op.staged_offset + op.body.size() > f.staged) {
            f.staged = op.staged_offset + op.body.size();
        }
        return;
    }
    if (status != OK) {
        EXPECT_TRUE(status == ERR_FULL || status == ERR_OVERLOAD || status == ERR_UNAVAILABLE) << err_name(status);
        if (status != ERR_UNAVAILABLE) {
            f.refused.insert(op.tag);
        }
        return;
    }
    acks++;
    ASSERT_EQ(result.size(), 16u);
    uint64_t index = get_be64(reinterpret_cast<const uint8_t *>(result.data()));
    uint64_t term = get_be64(reinterpret_cast<const uint8_t *>(result.data()) + 8);
    EXPECT_GT(index, f.last_acked_index) << "answers come in the order of the log";
    f.last_acked_index = index;
    EXPECT_TRUE(f.acked.emplace(op.tag, std::make_pair(index, term)).second) << "answered twice";
    if (op.data[0] == 'R') {
        f.reserved = index;
        f.staged = 0;
    }
}

void Toy::lost(const sim::Op &)
{
}

/* --- checks --- */

void Toy::check_bodies(uint32_t shard, struct kv_txn *t)
{
    const uint8_t *prefix = shards_[shard].prefix;
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
        uint64_t stored = 0;
        ASSERT_EQ(repl_body_bytes(t, prefix, index, 0, &stored), OK);
        ASSERT_EQ(stored, bytes) << "shard " << shard << " index " << index;
        buf_reset(&body);
        ASSERT_EQ(repl_body_read(t, prefix, index, 0, 0, bytes, &body), OK);
        ASSERT_TRUE(slice_eq(buf_slice(&body), slice_make(expected.data(), expected.size())));
        uint64_t at = bytes / 3;
        buf_reset(&body);
        ASSERT_EQ(repl_body_read(t, prefix, index, 0, at, bytes - at, &body), OK);
        ASSERT_TRUE(slice_eq(buf_slice(&body), slice_make(expected.data() + at, expected.size() - at)));
    }
    kv_cursor_close(c);
    buf_fini(&body);
}

void Toy::check(uint32_t shard, struct kv_txn *t)
{
    ToyFacts &f = facts_[shard];
    Key from = row_key(shards_[shard].prefix, 'e', 0);
    std::map<uint64_t, uint64_t> index_of;
    struct kv_cursor *c;
    struct slice k;
    struct slice v;
    uint64_t last_term = 0;
    ASSERT_EQ(kv_cursor_open(t, &c), OK);
    enum err e = kv_cursor_seek(c, from.s(), &k, &v);
    for (; e == OK && k.n == 14 && memcmp(k.p, from.b, 6) == 0; e = kv_cursor_next(c, &k, &v)) {
        uint64_t index = get_be64(k.p + 6);
        uint64_t id = get_be64(v.p);
        uint64_t term = get_be64(v.p + 8);
        EXPECT_GE(term, last_term);
        last_term = term;
        EXPECT_TRUE(index_of.emplace(id, index).second) << "entry " << id << " applied twice";
        EXPECT_EQ(f.refused.count(id), 0u) << "entry " << id << " was refused and is there";
        auto seen = f.seen.emplace(index, std::make_pair(id, term));
        EXPECT_EQ(seen.first->second, std::make_pair(id, term)) << "index " << index << " was another entry before";
    }
    kv_cursor_close(c);
    for (const auto &[id, position] : f.acked) {
        auto found = index_of.find(id);
        ASSERT_NE(found, index_of.end()) << "acknowledged entry " << id << " of shard " << shard << " is lost";
        EXPECT_EQ(found->second, position.first);
        EXPECT_EQ(f.seen[position.first].second, position.second);
    }
    EXPECT_EQ(f.seen.size(), index_of.size()) << "an entry that was there is gone";
    check_bodies(shard, t);
}

/* The log moves on until no entry of a dead body is in it: then chunks and dead rows must be gone. */
void Toy::finish(sim::Node *n)
{
    uint64_t acks_before = acks;
    for (int i = 0; i < 40; i++) {
        for (uint32_t s = 0; s < shards_.size(); s++) {
            n->submit(write(s, 10, 0));
        }
        n->turn();
    }
    EXPECT_EQ(acks, acks_before + 40 * shards_.size()) << "without faults every write is taken";
    n->advance(10 * 60000);
    n->settle();
    struct kv_txn *t;
    struct kv_cursor *c;
    struct slice k;
    struct slice v;
    ASSERT_EQ(kv_begin(n->kv, false, &t), OK);
    ASSERT_EQ(kv_cursor_open(t, &c), OK);
    for (uint32_t s = 0; s < shards_.size(); s++) {
        uint8_t prefix[5];
        memcpy(prefix, shards_[s].prefix, 5);
        prefix[4] = 'Q';
        enum err e = kv_cursor_seek(c, slice_make(prefix, 5), &k, &v);
        EXPECT_FALSE(e == OK && memcmp(k.p, prefix, 5) == 0) << "a dead body of shard " << s << " stays";
        prefix[4] = 'B';
        e = kv_cursor_seek(c, slice_make(prefix, 5), &k, &v);
        for (; e == OK && memcmp(k.p, prefix, 5) == 0; e = kv_cursor_next(c, &k, &v)) {
            const uint8_t *state = shards_[s].prefix;
            uint64_t index = get_be64(k.p + 5);
            if (get_be16(k.p + 13) == REPL_ORDINAL_PIECE) {
                continue; /* its rows are repl_check's to follow */
            }
            struct slice kind;
            struct slice row;
            bool lives = kv_get(t, row_key(state, 'b', index).s(), &row) == OK;
            bool died = kv_get(t, row_key(state, 'k', index).s(), &row) == OK;
            ASSERT_EQ(kv_get(t, row_key(state, 't', index).s(), &kind), OK) << "chunks of no entry";
            /* a reservation whose use was never committed keeps its chunks: nothing aborts it in this workload */
            EXPECT_TRUE(lives || (kind.p[0] == 'R' && !died)) << "chunks of a dead body of shard " << s << " stay";
        }
    }
    kv_cursor_close(c);
    kv_abort(t);
    n->check();
}
