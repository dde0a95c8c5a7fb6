/* What a disk gives back: every decoder of a stored row must take any bytes. The first byte chooses the decoder. */
#include <cstdlib>
#include <cstring>

#include "proto/base/b64.h"
#include "proto/base/uidset.h"
#include "proto/message/message.h"
#include "replication/key.h"
#include "replication/log.h"
#include "storage/apply/entry.h"
#include "storage/kv/kv_mem.h"

namespace
{

void must(bool x)
{
    if (!x) {
        abort();
    }
}

/* What decodes is a sound set, and encodes to something that decodes to the same. */
void uids(slice bytes)
{
    uidset a;
    uidset b;
    buf text;
    uidset_init(&a);
    uidset_init(&b);
    buf_init(&text, size_t{1} << 20);
    if (uidset_decode(&a, bytes, 10000) == OK) {
        uint32_t n = uidset_count(&a);
        must(n == 0 || (uidset_has(&a, uidset_max(&a)) && uidset_at(&a, n - 1) == uidset_max(&a)));
        must(uidset_encode(&a, &text) == OK);
        must(uidset_decode(&b, buf_slice(&text), 10000) == OK);
        must(uidset_count(&b) == n && a.n == b.n);
        for (size_t i = 1; i < a.n; i++) {
            must(a.runs[i].first > a.runs[i - 1].last + 1);
        }
    }
    buf_fini(&text);
    uidset_fini(&a);
    uidset_fini(&b);
}

void message(slice bytes)
{
    msg_record r;
    if (msg_record_decode(bytes, &r) != OK) {
        return;
    }
    for (uint32_t i = 0; i < r.n_parts; i++) {
        msg_part p;
        must(msg_part_at(&r, i, &p) != OK || p.body_off <= r.size_bytes);
    }
}

void entry(slice bytes)
{
    entry_head h;
    slice op;
    if (entry_decode(bytes, &h, &op) != OK) {
        return;
    }
    must(op.n + ENTRY_HEAD_BYTES == bytes.n);
    uint8_t head[ENTRY_HEAD_BYTES];
    entry_head_encode(&h, head);
    must(memcmp(head, bytes.p, sizeof(head)) == 0);
}

void base64(slice bytes)
{
    buf plain;
    buf text;
    buf_init(&plain, size_t{1} << 20);
    buf_init(&text, size_t{1} << 20);
    if (b64_decode(&plain, bytes) == OK) {
        must(b64_encode(&text, buf_slice(&plain)) == OK);
        must(slice_eq(buf_slice(&text), bytes));
    }
    buf_fini(&plain);
    buf_fini(&text);
}

/* The rows of a replica's log, each with the given bytes: read as a start and a catch-up would. */
void log_rows(slice bytes)
{
    kv *store = nullptr;
    kv_txn *t = nullptr;
    must(kv_mem_new(&store) == OK);
    must(kv_begin(store, true, &t) == OK);
    const repl_key keys[] = {key_head(1, 'M'), key_index(1, 'L', 1), key_log_chunk(1, 1, 1), key_index(1, 'T', 1),
                             key_index(1, 'C', 1)};
    for (const repl_key &k : keys) {
        must(kv_put(t, key_slice(&k), bytes) == OK);
    }
    buf scratch;
    buf_init(&scratch, REPL_ENTRY_BYTES_MAX);
    repl_meta meta;
    memset(&meta, 0, sizeof(meta));
    log_entry e;
    volatile bool any = log_meta_get(t, 1, &meta) == OK || log_entry_get(t, 1, 1, &e, &scratch) == OK;
    (void)any;
    meta.log_first = 1;
    meta.log_last = 1;
    log_index x;
    memset(&x, 0, sizeof(x));
    volatile bool loaded = log_index_load(t, 1, &meta, &x) == OK;
    (void)loaded;
    log_index_fini(&x);
    buf_fini(&scratch);
    kv_abort(t);
    store->ops->close(store);
}

void configuration(slice bytes)
{
    raft_server_info servers[RAFT_SERVERS_MAX];
    size_t n = 0;
    volatile bool good =
        raft_configuration_get(bytes, servers, &n) == OK && raft_configuration_is_sole(servers, n, node_id{1});
    (void)good;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const decoders[])(slice) = {uids, message, entry, base64, log_rows, configuration};
    if (size > 0) {
        decoders[data[0] % (sizeof(decoders) / sizeof(decoders[0]))](slice_make(data + 1, size - 1));
    }
    return 0;
}
