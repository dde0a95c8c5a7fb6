/* Requests as a frontend could send them, on a small shard: write requests become entries and are applied, read
 * requests are answered. Whatever they say, nothing asserts, no entry fails in a way that would stop the shard, a retry
 * gets the first answer, and the state is sound at the end. On a shard whose rows the input has damaged, nothing
 * asserts.
 */
#include <cstdlib>
#include <cstring>

#include "proto/base/bytes.h"
#include "proto/rpc/flags.h"
#include "proto/rpc/frame.h"
#include "replication/body.h"
#include "replication/volume.h"
#include "storage/apply/entry.h"
#include "storage/apply/op.h"
#include "storage/check/check.h"
#include "storage/kv/kv_mem.h"
#include "storage/mailbox/read_cache.h"
#include "storage/method/method.h"
#include "storage/method/method_run.h"
#include "storage/method/node_info.h"
#include "storage/method/pop3_locks.h"
#include "tests/fuzz/proto_build.hh"
#include "tests/fuzz/shard_build.hh"

namespace
{

using namespace proto_build;
using namespace shard_build;

constexpr unsigned kRequestsMax = 24;

const method kMethods[] = {
#define METHOD_NUMBER(NAME, name, number, req, rep) METHOD_##NAME,
    METHOD_WRITE_LIST(METHOD_NUMBER) METHOD_READ_LIST(METHOD_NUMBER)
#undef METHOD_NUMBER
};

const ProtobufCMessageDescriptor *request_of(method m)
{
    if (m <= METHOD_WRITE_MAX) {
        return storage_op_find(m)->request;
    }
    size_t i = 0;
    while (storage_method_table[i]->method != m) {
        i++;
    }
    return storage_method_table[i]->request;
}

enum how : uint8_t {
    RAW = 1,       /* the request's bytes are the input's */
    AGAIN = 2,     /* sent twice */
    LATER = 4,     /* an hour has passed */
    BODY = 8,      /* with an attachment */
    CHECK = 16,    /* the leader looks first */
    STRANGE = 32,  /* the head is the input's */
    KNOWN_ID = 64, /* a request id that another may have */
    CACHE = 128,   /* the reader has its cache */
};

bool fatal(enum err e)
{
    return e == ERR_CORRUPT || e == ERR_IO || e == ERR_FULL || e == ERR_NOMEM;
}

entry_head head_of(Shard *s, Input *in, method m, uint8_t how)
{
    entry_head h = s->head(m, in->u8() % 4 == 0 ? 0 : in->u8() % 16);
    h.keep = h.random[7] % 2 != 0; /* every other request's */
    if ((how & KNOWN_ID) != 0) {
        memset(h.request_id.b, in->u8() % 3, sizeof(h.request_id.b));
    }
    if ((how & STRANGE) != 0) {
        h.account.v = in->u64();
        h.entry_ms = in->u64();
        h.issue_ms = in->u64();
        h.shard.v = in->u8() % 2;
    }
    return h;
}

/* As storage/node/propose.c: these are looked at by the leader before they may become entries. */
bool needs_check(method m, const std::string &body)
{
    return m == METHOD_STAGE_BEGIN || m == METHOD_STAGE_CHUNK ||
           ((m == METHOD_DELIVER || m == METHOD_APPEND) && body.empty());
}

bool passes(Shard *s, const entry_head &h, const std::string &op, const std::string &body)
{
    buf result;
    bool grows = false;
    bool done = false;
    buf_init(&result, RPC_FRAME_BYTES_MAX);
    enum err e = storage_precheck(s->t, s->prefix, &h, slice_make(op.data(), op.size()),
                                  static_cast<uint32_t>(body.size()), &grows, &done, &result);
    must(!s->sound || (!fatal(e) && (!done || result.len >= APPLY_RESULT_HEAD_BYTES)));
    buf_fini(&result);
    return e == OK && !done;
}

/* Chunks are stored beside the log. */
void chunk_store(Shard *s, const std::string &op, const std::string &body)
{
    Pb__OpStageChunk *c = pb__op_stage_chunk__unpack(nullptr, op.size(), reinterpret_cast<const uint8_t *>(op.data()));
    must(c != nullptr);
    enum err e = s->chunk(c->staged_index, body, c->offset);
    must(e == OK || !s->sound);
    pb__op_stage_chunk__free_unpacked(c, nullptr);
}

void write(Shard *s, Input *in, method m, uint8_t how, const std::string &op, const std::string &body)
{
    entry_head h = head_of(s, in, m, how);
    if ((needs_check(m, body) || (how & CHECK) != 0) && !passes(s, h, op, body)) {
        return;
    }
    if (m == METHOD_STAGE_CHUNK) {
        chunk_store(s, op, body);
        return;
    }
    std::string first = s->apply(h, op, body);
    if ((how & AGAIN) != 0 && !s->stopped) {
        must(s->apply(h, op, body) == first || !s->sound);
    }
}

struct Reply {
    enum err status;
    std::string meta;
    std::string attach;
};

Reply read_once(Shard *s, method m, const std::string &request, read_cache *cache)
{
    static node_info info = node_info_make();
    Reply r;
    arena a;
    buf meta;
    buf attach;
    arena_init(&a, 64 << 20);
    buf_init(&meta, RPC_FRAME_BYTES_MAX);
    buf_init(&attach, RPC_FRAME_BYTES_MAX);
    read_context rc;
    memset(&rc, 0, sizeof(rc));
    rc.txn = s->t;
    memcpy(rc.prefix, s->prefix, sizeof(rc.prefix));
    rc.shard.v = s->number;
    rc.term = kTerm;
    rc.now_ms = 1000;
    rc.deadline_ms = 31000;
    rc.cache = cache;
    rc.node = &info;
    rc.arena = &a;
    must(pop3_locks_new(&rc.pop3) == OK);
    r.status = storage_method_run(&rc, m, slice_make(request.data(), request.size()), &meta, &attach);
    must(!fatal(r.status) || !s->sound || m == METHOD_BACKUP_LOG); /* it reads a log, which this shard has none of */
    must(RPC_HEAD_BYTES + meta.len + attach.len <= RPC_FRAME_BYTES_MAX);
    r.meta.assign(reinterpret_cast<const char *>(buf_slice(&meta).p), meta.len);
    r.attach.assign(reinterpret_cast<const char *>(buf_slice(&attach).p), attach.len);
    pop3_locks_free(rc.pop3);
    buf_fini(&meta);
    buf_fini(&attach);
    arena_fini(&a);
    return r;
}

void read(Shard *s, method m, uint8_t how, const std::string &request)
{
    Reply plain = read_once(s, m, request, nullptr);
    if ((how & CACHE) != 0 && m != METHOD_POP3_LOCK && m != METHOD_SEARCH) {
        read_cache *cache = nullptr;
        must(read_cache_new(1 << 20, &cache) == OK);
        for (int i = 0; i < 2; i++) {
            Reply cached = read_once(s, m, request, cache);
            must(!s->sound || (cached.status == plain.status && (plain.status != OK || cached.meta == plain.meta)));
        }
        read_cache_free(cache);
    }
}

void request(Shard *s, Input *in)
{
    method m = kMethods[in->u8() % (sizeof(kMethods) / sizeof(kMethods[0]))];
    uint8_t how = in->u8();
    std::string body;
    Words &w = words();
    if ((how & BODY) != 0) {
        uint8_t choice = in->u8();
        body = choice < 200 ? mails()[choice % mails().size()].raw : in->bytes(in->u16());
    }
    w.size = body.empty() ? kStagedBytes : body.size();
    std::string op = (how & RAW) != 0 ? in->bytes(in->u16()) : build(request_of(m), in, w, 8);
    s->now_ms += (how & LATER) != 0 ? 3600001 : 1;
    if (m <= METHOD_WRITE_MAX) {
        write(s, in, m, how, op, body);
    } else {
        read(s, m, how, op);
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static Shard *shards[] = {new Shard(0), new Shard(1)};
    if (size == 0) {
        return 0;
    }
    Input in = {data, size};
    uint8_t which = in.u8();
    Shard *s = shards[which % 2];
    s->begin();
    for (unsigned i = 0; i < which / 64u; i++) {
        s->damage(&in);
    }
    for (unsigned i = 0; i < kRequestsMax && !in.done() && !s->stopped; i++) {
        request(s, &in);
    }
    s->check();
    s->forget();
    return 0;
}
