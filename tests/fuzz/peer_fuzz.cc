/* What a peer may send to a volume: messages of any bytes, and of sound form with any content, to replicas in several
 * states. Peers trust each other, so what it does to the shard is open; but the node goes on: no assertion, no memory
 * fault, and rows that check clean as long as no copy brought them. The first byte chooses. */
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "proto/base/bytes.h"
#include "proto/base/log.h"
#include "replication/body.h"
#include "replication/check.h"
#include "replication/key.h"
#include "replication/log.h"
#include "replication/message.h"
#include "replication/reads.h"
#include "replication/reads_frame.h"
#include "replication/volume.h"
#include "storage/kv/kv_mem.h"

namespace
{

void must(bool x)
{
    if (!x) {
        abort();
    }
}

/* --- one message --- */

void message(slice bytes)
{
    repl_message m;
    if (repl_message_get(bytes, &m) != OK) {
        return;
    }
    buf again;
    buf_init(&again, size_t{1} << 22);
    slice rest = m.entries;
    size_t n = m.n_entries;
    must(n <= REPL_MESSAGE_ENTRIES_MAX);
    m.n_entries = 0;
    must(repl_message_put(&m, &again) == OK);
    for (size_t i = 0; i < n; i++) {
        repl_entry e;
        repl_message_entry(&rest, &e);
        must(e.head.type >= REPL_ENTRY_COMMAND && e.head.type <= REPL_ENTRY_TYPE_MAX);
        must(repl_message_put_entry(&again, 0, &e) == OK);
    }
    must(rest.n == 0);
    repl_message twice;
    must(repl_message_get(buf_slice(&again), &twice) == OK && twice.n_entries == n && again.len == bytes.n);
    buf_fini(&again);
}

/* --- a volume --- */

constexpr uint64_t SELF = 1;
constexpr uint8_t FRAME_MODE = 254; /* the others by their remainder */
constexpr shard_id SHARD = {0};

enum Kind { VOTERS, JOINER, SOLE, COMPACTED, STANDBY, KINDS };

struct Clock {
    struct clock base; /* first */
    uint64_t ms;
};

uint64_t clock_ms(struct clock *c)
{
    return reinterpret_cast<Clock *>(c)->ms;
}

/* The fuzzer's bytes, zeros behind their end. */
struct Bytes {
    slice s;
    uint8_t byte()
    {
        uint8_t b = s.n > 0 ? s.p[0] : 0;
        s = slice_sub(s, s.n > 0 ? 1 : 0, s.n);
        return b;
    }
    slice some(size_t n)
    {
        n = n < s.n ? n : s.n;
        slice head = slice_sub(s, 0, n);
        s = slice_sub(s, n, s.n);
        return head;
    }
};

struct Mail {
    repl_received r; /* first */
    std::string bytes;
};

size_t mail_held;

void release(repl_received *r)
{
    delete reinterpret_cast<Mail *>(r);
    mail_held--;
}

struct Write {
    proposal p; /* first */
    std::string data;
};

void write_done(proposal *p, enum err, slice)
{
    p->shard = UINT32_MAX; /* answered */
}

class Node
{
  public:
    explicit Node(Kind kind) : kind_(kind)
    {
        clock_.base.mono_ms = clock_ms;
        clock_.base.wall_ms = clock_ms;
        clock_.ms = 1000;
        rng_seeded_init(&rng_, 1);
        must(kv_mem_new(&kv_) == OK);
        open();
        if (kind != SOLE && kind != JOINER) {
            turn("");
            volume_close(volume_);
            rewrite();
            open();
        }
        turn("");
    }
    ~Node()
    {
        turn("");
        check();
        reopen();
        volume_close(volume_);
        must(mail_held == 0);
        for (Write *w : writes_) {
            delete w;
        }
        kv_close(kv_);
    }
    void reopen()
    {
        volume_close(volume_);
        for (Write *w : writes_) {
            delete w; /* nobody answers any more */
        }
        writes_.clear();
        queued_.clear();
        open();
        turn("");
    }
    bool status(struct volume_status *out)
    {
        return volume_status(volume_, SHARD, out) == OK;
    }
    void pass(uint64_t ms)
    {
        clock_.ms += ms;
    }
    void turn(const std::string &received)
    {
        proposal *list = nullptr;
        for (auto it = queued_.rbegin(); it != queued_.rend(); ++it) {
            (*it)->p.node.next = list == nullptr ? nullptr : &list->node;
            list = &(*it)->p;
        }
        queued_.clear();
        Mail *m = nullptr;
        if (!received.empty()) {
            m = new Mail();
            m->bytes = received;
            m->r.bytes = slice_make(m->bytes.data(), m->bytes.size());
            m->r.from.v = received.size() < 20 ? 2 : get_le64(m->r.bytes.p + 12); /* as its first message says */
            m->r.release = release;
            mail_held++;
        }
        volatile uint64_t wait = volume_turn(volume_, list, m == nullptr ? nullptr : &m->r);
        (void)wait;
    }
    void write(slice data, uint64_t staged)
    {
        Write *w = new Write();
        memset(&w->p, 0, sizeof(w->p));
        w->data.assign(reinterpret_cast<const char *>(data.p), data.n);
        w->p.shard = SHARD.v;
        w->p.done = write_done;
        w->p.staged_index = staged;
        (staged == 0 ? w->p.data : w->p.body) = slice_make(w->data.data(), w->data.size());
        writes_.push_back(w);
        queued_.push_back(w);
    }
    volume *get()
    {
        return volume_;
    }
    bool copied = false;    /* rows of a peer's choice */
    repl_message vote = {}; /* the last one of its type that was sent */
    repl_message append = {};
    repl_message pull = {};

  private:
    static enum err apply(void *ctx, kv_txn *t, repl_position pos, slice data, uint32_t, buf *result)
    {
        uint8_t key[13];
        memcpy(key, static_cast<Node *>(ctx)->prefix_, 5);
        put_be64(key + 5, pos.index);
        enum err e = kv_put(t, slice_make(key, sizeof(key)), slice_make(data.p, data.n < 100 ? data.n : 100));
        return e == OK ? buf_append_slice(result, slice_make("ok", 2)) : e;
    }
    static void moved(void *ctx, const uint8_t prefix[5])
    {
        memcpy(static_cast<Node *>(ctx)->prefix_, prefix, 5);
    }
    static void send(void *ctx, node_id, bool, slice bytes)
    {
        Node *n = static_cast<Node *>(ctx);
        repl_message m;
        if (repl_message_get(bytes, &m) != OK) {
            must(get_le64(bytes.p + 24) >
                 REPL_MESSAGE_NUMBER_MAX); /* a peer drove the term to its end; else it decodes */
            return;
        }
        m.configuration = slice_make(nullptr, 0);
        if (m.type == REPL_MESSAGE_VOTE) {
            n->vote = m;
        } else if (m.type == REPL_MESSAGE_APPEND) {
            n->append = m;
        } else if (m.type == REPL_MESSAGE_COPY_PULL) {
            n->pull = m;
        }
    }
    void open()
    {
        volume_config c;
        memset(&c, 0, sizeof(c));
        c.kv = kv_;
        c.clock = &clock_.base;
        c.rng = &rng_;
        c.log_entries_max = 16;
        c.send = send;
        c.send_ctx = this;
        repl_fsm fsm = {this, apply, nullptr, nullptr, nullptr, moved};
        must(volume_open(&c, &volume_) == OK);
        enum err e = kind_ == JOINER ? volume_replica_join(volume_, SHARD, {SELF}, &fsm)
                                     : volume_replica_open(volume_, SHARD, {SELF}, &fsm);
        must(e == OK || copied);
        must(volume_state_prefix(volume_, SHARD, prefix_) == OK || copied);
    }
    /* Another log for the founder's: entries 1..8 in terms 1 to 3, of three voters, applied up to 5. */
    void rewrite()
    {
        const raft_server_info servers[] = {{{1}, kind_ == STANDBY ? RAFT_ROLE_STANDBY : RAFT_ROLE_VOTER},
                                            {{2}, RAFT_ROLE_VOTER},
                                            {{3}, RAFT_ROLE_VOTER}};
        uint64_t first = kind_ == COMPACTED ? 4 : 1;
        repl_meta m;
        buf conf;
        kv_txn *t;
        memset(&m, 0, sizeof(m));
        buf_init(&conf, 1000);
        must(raft_configuration_put(servers, 3, &conf) == OK);
        must(kv_begin(kv_, true, &t) == OK);
        wipe(t);
        m.node = SELF;
        m.term = 3;
        m.applied = 5;
        m.log_first = first;
        m.log_last = 8;
        m.last_term = 3;
        if (first > 1) {
            m.snapshot_index = first - 1;
            m.snapshot_term = 1;
            m.snapshot_configuration = 1;
        }
        for (uint64_t i = 1; i <= 8; i++) {
            uint64_t term = i < 4 ? 1 : i < 6 ? 2 : 3;
            log_entry e = {i, term, i == 1 ? REPL_ENTRY_CHANGE : REPL_ENTRY_COMMAND, 0, slice_make("data", 4)};
            e.data = i == 1 ? buf_slice(&conf) : e.data;
            must(i < first || log_entry_put(t, 1, &e) == OK);
            must((i != first && i != 4 && i != 6) || i < first || log_range_put(t, 1, {i, term}) == OK);
        }
        must(log_configuration_put(t, 1, 1, buf_slice(&conf)) == OK);
        must(log_meta_put(t, 1, &m) == OK);
        must(kv_commit(t) == OK);
        buf_fini(&conf);
    }
    static void wipe(kv_txn *t)
    {
        uint8_t from[4];
        kv_cursor *c;
        slice key;
        slice row;
        put_be32(from, 1);
        must(kv_cursor_open(t, &c) == OK);
        for (enum err e = kv_cursor_seek(c, slice_make(from, 4), &key, &row); e == OK;
             e = kv_cursor_next(c, &key, &row)) {
            must(kv_cursor_del(c) == OK);
        }
        kv_cursor_close(c);
    }
    static void problem(void *ctx, const char *what, slice)
    {
        if (!static_cast<Node *>(ctx)->copied) {
            fprintf(stderr, "check: %s\n", what);
            abort();
        }
    }
    static void replica(void *, shard_id, const uint8_t *)
    {
    }
    static void body(void *, const uint8_t *, uint64_t, uint16_t, uint64_t, bool)
    {
    }
    void check()
    {
        const repl_check c = {this, problem, replica, body};
        repl_check_totals totals;
        kv_txn *t;
        must(kv_begin(kv_, false, &t) == OK);
        must(repl_check_run(t, &c, &totals) == OK);
        kv_abort(t);
    }
    Kind kind_;
    Clock clock_;
    rng rng_;
    kv *kv_ = nullptr;
    volume *volume_ = nullptr;
    uint8_t prefix_[5] = {};
    std::vector<Write *> queued_;
    std::vector<Write *> writes_;
};

std::string framed(slice message)
{
    uint8_t n[4];
    put_le32(n, static_cast<uint32_t>(message.n));
    return std::string(reinterpret_cast<char *>(n), 4) +
           std::string(reinterpret_cast<const char *>(message.p), message.n);
}

/* Any bytes, and the timers in between. */
void raw(slice bytes)
{
    Bytes in = {bytes};
    Node node(static_cast<Kind>(in.byte() % KINDS));
    node.copied = true;
    for (int i = 0; i < 16 && in.s.n > 0; i++) {
        slice some = in.some(64 * size_t{in.byte()});
        node.turn(std::string(reinterpret_cast<const char *>(some.p), some.n));
        node.pass(500);
    }
}

/* --- messages of sound form --- */

/* Around what the node has, or any. */
uint64_t number(Bytes *in, uint64_t near)
{
    uint8_t b = in->byte();
    if (b < 250) {
        int64_t d = static_cast<int64_t>(b % 16) - 8;
        return d < 0 && static_cast<uint64_t>(-d) > near ? 0 : near + static_cast<uint64_t>(d);
    }
    static const uint64_t odd[] = {0, 1, UINT32_MAX, REPL_MESSAGE_NUMBER_MAX, UINT64_MAX / 2, UINT64_MAX};
    return odd[b - 250];
}

void configuration(Bytes *in, buf *out)
{
    raft_server_info servers[5];
    uint8_t set = in->byte();
    uint8_t roles = in->byte();
    size_t n = 0;
    for (unsigned i = 0; i < 5; i++) {
        if ((set >> i & 1) != 0) {
            servers[n].node.v = i + 1;
            servers[n++].role = (roles >> i & 1) != 0 ? RAFT_ROLE_STANDBY : RAFT_ROLE_VOTER;
        }
    }
    enum err e = raft_configuration_put(servers, n, out);
    must(e == OK || n == 0);
}

void entry(Bytes *in, uint64_t term, buf *out)
{
    repl_entry e;
    buf conf;
    uint8_t data[BODY_PIECE_BYTES];
    uint8_t what = in->byte();
    memset(&e, 0, sizeof(e));
    buf_init(&conf, 1000);
    e.head.term = term;
    e.head.type = static_cast<enum repl_entry_type>(REPL_ENTRY_COMMAND + what % 4);
    e.head.data = in->some(what >> 4);
    if (e.head.type == REPL_ENTRY_CHANGE) {
        configuration(in, &conf);
        e.head.data = buf_slice(&conf);
    } else if (e.head.type == REPL_ENTRY_CHUNK && (what & 64) == 0) {
        const body_piece p = {number(in, 4), number(in, 0) * 4};
        body_piece_put(&p, data);
        e.head.data = slice_make(data, sizeof(data));
    }
    e.body = in->some(what >> 2 & 3);
    must(repl_message_put_entry(out, 0, &e) == OK);
    buf_fini(&conf);
}

std::string sound(Node *node, Bytes *in)
{
    struct volume_status st;
    repl_message m;
    buf conf;
    buf out;
    memset(&m, 0, sizeof(m));
    memset(&st, 0, sizeof(st));
    buf_init(&conf, 1000);
    buf_init(&out, size_t{1} << 20);
    bool known = node->status(&st);
    uint8_t type = in->byte();
    uint8_t flags = in->byte();
    m.type = static_cast<enum repl_message_type>(REPL_MESSAGE_APPEND + type % 8);
    m.from.v = 2 + (type >> 6);
    m.to.v = SELF;
    m.term = number(in, known ? st.term : 3);
    m.index = number(in, st.log_last);
    m.index_term = number(in, st.term);
    m.pre_vote = (flags & 1) != 0;
    m.disrupt = (flags & 2) != 0;
    m.granted = (flags & 4) != 0;
    m.again = (flags & 8) != 0;
    m.last = (flags & 16) != 0;
    if (m.type == REPL_MESSAGE_APPEND) {
        m.commit = number(in, st.commit);
    } else if (m.type == REPL_MESSAGE_APPEND_RESULT) {
        m.rejected = (flags & 32) != 0 ? number(in, st.log_last) : 0;
    } else if (m.type == REPL_MESSAGE_SNAPSHOT || m.type == REPL_MESSAGE_COPY_ROWS) {
        m.configuration_index = number(in, m.index);
        configuration(in, &conf);
        m.configuration = buf_slice(&conf);
    }
    if (m.type == REPL_MESSAGE_COPY_PULL) {
        m.copy = in->byte();
        m.sequence = in->byte();
        m.attempt = in->byte();
        m.upto = m.sequence + in->byte();
    } else if (m.type == REPL_MESSAGE_COPY_ROWS) {
        node->copied = true;
        m.from = node->pull.to;
        m.copy = node->pull.copy;
        m.attempt = node->pull.attempt;
        m.sequence = node->pull.sequence + 1 + (flags >> 6);
        m.rows = in->some(4 * size_t{in->byte()});
    }
    must(repl_message_put(&m, &out) == OK);
    for (uint8_t n = m.type == REPL_MESSAGE_APPEND ? in->byte() % 8 : 0; n > 0; n--) {
        entry(in, number(in, m.term), &out);
    }
    std::string s = framed(buf_slice(&out));
    buf_fini(&conf);
    buf_fini(&out);
    return s;
}

/* What a good peer answers to the last message of a type. */
std::string answer(Node *node, uint8_t what)
{
    const repl_message *asked = (what & 1) != 0 ? &node->vote : &node->append;
    repl_message m;
    buf out;
    if (asked->type == 0) {
        return "";
    }
    memset(&m, 0, sizeof(m));
    buf_init(&out, 1000);
    m.from = asked->to;
    m.to.v = SELF;
    m.term = asked->term;
    if (asked == &node->vote) {
        m.type = REPL_MESSAGE_VOTE_RESULT;
        m.pre_vote = asked->pre_vote;
        m.granted = true;
    } else {
        m.type = REPL_MESSAGE_APPEND_RESULT;
        m.index = asked->index + asked->n_entries;
    }
    must(repl_message_put(&m, &out) == OK);
    std::string s = framed(buf_slice(&out));
    buf_fini(&out);
    return s;
}

void change(Node *node, Bytes *in)
{
    raft_server_info servers[3] = {{{1}, RAFT_ROLE_VOTER}, {{2}, RAFT_ROLE_VOTER}, {{3}, RAFT_ROLE_VOTER}};
    servers[in->byte() % 3].role = RAFT_ROLE_STANDBY;
    volatile enum err e = volume_change(node->get(), SHARD, servers, 2 + in->byte() % 2);
    (void)e;
}

void control(Node *node, Bytes *in, uint8_t what)
{
    if (what % 4 == 0) {
        volatile enum err e = volume_transfer(node->get(), SHARD, {in->byte() % uint64_t{4}});
        (void)e;
    } else if (what % 4 == 1) {
        change(node, in);
    } else if (what % 4 == 2) {
        node->reopen();
    } else {
        node->write(in->some(in->byte() % 16), in->byte() % 4 == 0 ? 4 : 0);
    }
}

void session(slice bytes)
{
    Bytes in = {bytes};
    Node node(static_cast<Kind>(in.byte() % KINDS));
    for (int turns = 0; turns < 64 && in.s.n > 0; turns++) {
        std::string mail;
        for (uint8_t n = in.byte() % 8; n > 0; n--) {
            uint8_t what = in.byte();
            if (what < 128) {
                mail += sound(&node, &in);
            } else if (what < 192) {
                mail += answer(&node, what);
            } else {
                control(&node, &in, what);
            }
        }
        node.turn(mail);
        node.pass(uint64_t{20} * in.byte());
    }
}

/* Rows of a copy under way, and the last batch. */
void rows(slice bytes)
{
    Bytes in = {bytes};
    Node node(in.byte() % 2 == 0 ? JOINER : VOTERS);
    repl_message m;
    buf conf;
    buf out;
    const raft_server_info servers[] = {{{1}, RAFT_ROLE_VOTER}, {{2}, RAFT_ROLE_VOTER}, {{3}, RAFT_ROLE_VOTER}};
    memset(&m, 0, sizeof(m));
    buf_init(&conf, 1000);
    buf_init(&out, size_t{1} << 20);
    must(raft_configuration_put(servers, 3, &conf) == OK);
    m.type = REPL_MESSAGE_SNAPSHOT;
    m.from.v = 2;
    m.to.v = SELF;
    m.term = 9;
    m.index = 20;
    m.index_term = 9;
    m.configuration_index = 1;
    m.configuration = buf_slice(&conf);
    must(repl_message_put(&m, &out) == OK);
    node.turn(framed(buf_slice(&out)));
    must(node.pull.copy != 0);
    node.copied = true;
    m.type = REPL_MESSAGE_COPY_ROWS;
    m.copy = node.pull.copy;
    for (m.sequence = 1; m.sequence < 5 && !m.last; m.sequence++) {
        m.last = in.byte() % 4 == 0;
        m.rows = in.some(in.byte() * size_t{8});
        buf_reset(&out);
        must(repl_message_put(&m, &out) == OK);
        node.turn(framed(buf_slice(&out)));
    }
    node.turn("");
    buf_fini(&conf);
    buf_fini(&out);
}

/* --- pings and their answers --- */

void answered(void *, node_id, slice frame)
{
    reads_frame f;
    must(reads_frame_get(frame, &f) == OK && f.kind == READS_FRAME_PONG);
}

/* One frame, and what becomes of it in a node. */
void frame(slice bytes)
{
    reads_frame f;
    Node node(VOTERS);
    repl_reads_config cfg = {node.get(), {SELF}, 0, nullptr, answered};
    repl_reads *reads;
    must(repl_reads_new(&cfg, &reads) == OK);
    repl_reads_ping(reads, {2}, bytes);
    repl_reads_pong(reads, {2}, bytes, 1000);
    repl_reads_free(reads);
    if (reads_frame_get(bytes, &f) != OK) {
        return;
    }
    std::string again(reads_frame_bytes(f.n), '\0');
    reads_frame_put_head(reinterpret_cast<uint8_t *>(&again[0]), &f);
    for (size_t i = 0; i < f.n; i++) {
        reads_frame_put_row(reinterpret_cast<uint8_t *>(&again[0]), i, reads_frame_row(&f, i));
    }
    must(slice_eq(slice_make(again.data(), again.size()), bytes));
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const modes[])(slice) = {message, raw, session, rows};
    static const bool quiet = (log_set_level(LOG_LEVEL_ERROR), true);
    (void)quiet;
    if (size > 0 && data[0] == FRAME_MODE) {
        frame(slice_make(data + 1, size - 1));
    } else if (size > 0) {
        modes[data[0] % 4](slice_make(data + 1, size - 1));
    }
    return 0;
}
