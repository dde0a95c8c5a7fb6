/* SEARCH programs over a small mailbox: the request's bytes as they come, or a tree of keys built from them. What a key
 * finds and what its NOT finds are all messages, each once; a run that goes on later finds the rest. */
#include <cstdlib>
#include <cstring>

#include "proto/base/uidset.h"
#include "proto/schema/read.pb-c.h"
#include "storage/method/method_run.h"
#include "tests/fuzz/proto_build.hh"
#include "tests/fuzz/shard_build.hh"

namespace
{

using namespace proto_build;
using namespace shard_build;

constexpr uint64_t kDeadlineMs = 30000;

struct Found {
    enum err status;
    uint32_t next = 0;
    uidset uids;
    Found()
    {
        uidset_init(&uids);
    }
    ~Found()
    {
        uidset_fini(&uids);
    }
    Found(const Found &) = delete;
};

void found_decode(const buf *meta, Found *out)
{
    slice s = buf_slice(meta);
    Pb__ReadSearchResult *r = pb__read_search_result__unpack(nullptr, s.n, s.p);
    must(r != nullptr);
    must(r->uids.len == 0 || uidset_decode(&out->uids, slice_make(r->uids.data, r->uids.len), SIZE_MAX) == OK);
    out->next = r->next_uid;
    pb__read_search_result__free_unpacked(r, nullptr);
}

void search(Shard *s, const std::string &request, Found *out)
{
    arena a;
    buf meta;
    buf attach;
    arena_init(&a, 64 << 20);
    buf_init(&meta, 1 << 18);
    buf_init(&attach, 1 << 18);
    read_context rc;
    memset(&rc, 0, sizeof(rc));
    rc.txn = s->t;
    memcpy(rc.prefix, s->prefix, sizeof(rc.prefix));
    rc.shard.v = s->number;
    rc.deadline_ms = kDeadlineMs;
    rc.arena = &a;
    out->status = storage_method_run(&rc, METHOD_SEARCH, slice_make(request.data(), request.size()), &meta, &attach);
    must(out->status != ERR_CORRUPT && out->status != ERR_IO && out->status != ERR_NOMEM);
    if (out->status == OK) {
        found_decode(&meta, out);
    }
    buf_fini(&meta);
    buf_fini(&attach);
    arena_fini(&a);
}

void message_put(std::string *out, unsigned field, const std::string &packed_message)
{
    varint(out, field << 3 | 2);
    varint(out, packed_message.size());
    *out += packed_message;
}

std::string request_of(const std::string &key, uint32_t from_uid)
{
    std::string r;
    varint(&r, 1 << 3);
    varint(&r, kAlice);
    varint(&r, 2 << 3);
    varint(&r, kInbox);
    message_put(&r, 3, key);
    varint(&r, 4 << 3);
    varint(&r, from_uid);
    return r;
}

std::string node(Pb__SearchKey__Op op, const std::vector<std::string> &children)
{
    std::string k;
    varint(&k, 1 << 3);
    varint(&k, op);
    for (const std::string &c : children) {
        message_put(&k, 2, c);
    }
    return k;
}

bool whole(const Found &f)
{
    return f.status == OK && f.next == 0;
}

/* b has exactly the members of a that are at least `from`. */
void must_be_rest(const Found &a, const Found &b, uint32_t from)
{
    uint32_t before = uidset_rank(&a.uids, from);
    must(uidset_count(&a.uids) - before == uidset_count(&b.uids));
    for (uint32_t i = 0; i < uidset_count(&b.uids); i++) {
        must(uidset_at(&b.uids, i) == uidset_at(&a.uids, before + i));
    }
}

void laws(Shard *s, const std::string &key, uint32_t from)
{
    Found all;
    Found yes;
    Found no;
    Found twice;
    Found rest;
    search(s, request_of(node(PB__SEARCH_KEY__OP__ALL, {}), 0), &all);
    search(s, request_of(key, 0), &yes);
    if (!whole(all) || !whole(yes)) {
        return;
    }
    search(s, request_of(node(PB__SEARCH_KEY__OP__NOT, {key}), 0), &no);
    if (whole(no)) {
        must(uidset_count(&yes.uids) + uidset_count(&no.uids) == uidset_count(&all.uids));
        must(uidset_union(&no.uids, &yes.uids) == OK);
        must_be_rest(all, no, 0);
    }
    search(s, request_of(node(PB__SEARCH_KEY__OP__AND, {key, key}), 0), &twice);
    if (whole(twice)) {
        must_be_rest(yes, twice, 0);
    }
    search(s, request_of(key, from), &rest);
    if (whole(rest)) {
        must_be_rest(yes, rest, from);
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static Shard *s = new Shard(1);
    Input in = {data, size};
    uint8_t how = in.u8();
    s->begin();
    if (how == 0) {
        Found f;
        search(s, in.bytes(in.n), &f);
    } else {
        laws(s, build(&pb__search_key__descriptor, &in, words(), 120), how % 16);
    }
    s->forget();
    return 0;
}
