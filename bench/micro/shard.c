#include "bench/micro/shard.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/micro/mail.h"
#include "bench/micro/micro.h"
#include "proto/base/bytes.h"
#include "proto/base/mem.h"
#include "replication/volume.h"
#include "storage/apply/entry.h"
#include "storage/kv/kv_lmdb.h"
#include "storage/kv/kv_mem.h"
#include "storage/mailbox/pb.h"
#include "storage/mailbox/read_cache.h"
#include "storage/method/method_run.h"
#include "storage/method/pop3_locks.h"

#define OP_BYTES_MAX ((size_t)64 * 1024)
#define REPLY_BYTES_MAX ((size_t)1 << 20)
#define ARENA_BYTES_MAX ((size_t)64 << 20)
#define CACHE_BYTES ((size_t)4 << 20)
#define CHECKPOINT_BYTES ((uint64_t)64 << 20)
#define MAP_BYTES ((uint64_t)1 << 30)
#define COPY_MAX 1000
#define HOUR_MS 3600000 /* for a new account's requests the shard is looked at too: not the rule */

/* A clock that its owner moves. */
struct still_clock {
    struct clock base; /* first */
    uint64_t ms;
};

struct write {
    struct proposal p; /* first */
    struct buf entry;
    bool answered;
};

struct shard {
    struct kv *kv;
    char folder[64]; /* of LMDB, removed at the end */
    struct still_clock clock;
    struct rng rng;
    struct volume *volume;
    struct storage_fsm *fsm;
    uint8_t prefix[5];
    struct read_cache *cache;
    struct pop3_locks *pop3;
    struct arena arena;
    struct write writes[SHARD_BATCH];
    uint32_t n_writes;
    uint64_t n_requests;
};

static const struct shard_id shard_number = {1};

static uint64_t still_mono(struct clock *c)
{
    return ((struct still_clock *)(void *)c)->ms;
}

static uint64_t still_wall(struct clock *c)
{
    return UINT64_C(1795169742000) + ((struct still_clock *)(void *)c)->ms;
}

/* Memory behind the file, where there is such a place: what a disk does is not what is measured. */
static void open_lmdb(struct shard *s)
{
    struct stat st;
    const char *base = stat("/dev/shm", &st) == 0 && access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    char path[sizeof(s->folder) + 16];
    struct buf why;
    buf_init(&why, 4096);
    snprintf(s->folder, sizeof(s->folder), "%s/pillarbox-micro-XXXXXX", base);
    MICRO_MUST(mkdtemp(s->folder) != NULL);
    snprintf(path, sizeof(path), "%s/volume", s->folder);
    /* Checkpoints by bytes of log, not by the clock of the machine. */
    struct kv_lmdb_config cfg = {
        .path = path, .map_bytes = MAP_BYTES, .checkpoint_bytes = CHECKPOINT_BYTES, .checkpoint_inline = true};
    MICRO_OK(kv_lmdb_open(&cfg, &s->kv, &why));
    buf_fini(&why);
}

static void remove_lmdb(struct shard *s)
{
    static const char *const files[] = {"", "-lock", "-wal0", "-wal1", "-checkpoint"};
    char path[sizeof(s->folder) + 32];
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        snprintf(path, sizeof(path), "%s/volume%s", s->folder, files[i]);
        (void)unlink(path);
    }
    (void)rmdir(s->folder);
}

static void create_account(struct shard *s)
{
    Pb__OpAccountCreate op = PB__OP_ACCOUNT_CREATE__INIT;
    Pb__Credentials c = PB__CREDENTIALS__INIT;
    c.argon2id = pb_bytes(slice_str("$argon2id$x"));
    op.account = SHARD_ACCOUNT;
    op.name = (char *)"bob@example.test";
    op.credentials = &c;
    shard_write(s, METHOD_ACCOUNT_CREATE, &op.base, slice_str(""));
    shard_turn(s);
}

static void open_volume(struct shard *s)
{
    struct volume_config cfg = {.kv = s->kv, .clock = &s->clock.base, .rng = &s->rng};
    struct storage_fsm_config fsm_cfg = {.shard = shard_number, .dedupe_ms = 15 * 60 * 1000};
    struct repl_fsm fsm;
    MICRO_OK(volume_open(&cfg, &s->volume));
    MICRO_OK(storage_fsm_new(&fsm_cfg, &s->fsm));
    storage_fsm_bind(s->fsm, &fsm);
    MICRO_OK(volume_replica_open(s->volume, shard_number, (struct node_id){7}, &fsm));
    MICRO_OK(volume_state_prefix(s->volume, shard_number, s->prefix));
    storage_fsm_set_prefix(s->fsm, s->prefix);
    shard_turn(s);
}

struct shard *shard_open(enum shard_kv kind)
{
    struct shard *s = mem_zalloc(sizeof(*s));
    MICRO_MUST(s != NULL);
    s->clock = (struct still_clock){.base = {.wall_ms = still_wall, .mono_ms = still_mono}, .ms = 1000};
    rng_seeded_init(&s->rng, 1);
    arena_init(&s->arena, ARENA_BYTES_MAX);
    for (uint32_t i = 0; i < SHARD_BATCH; i++) {
        buf_init(&s->writes[i].entry, OP_BYTES_MAX);
    }
    if (kind == SHARD_KV_LMDB) {
        open_lmdb(s);
    } else {
        MICRO_OK(kv_mem_new(&s->kv));
    }
    MICRO_OK(read_cache_new(CACHE_BYTES, &s->cache));
    MICRO_OK(pop3_locks_new(&s->pop3));
    open_volume(s);
    create_account(s);
    s->clock.ms += HOUR_MS;
    return s;
}

void shard_close(struct shard *s)
{
    volume_close(s->volume);
    storage_fsm_free(s->fsm);
    pop3_locks_free(s->pop3);
    read_cache_free(s->cache);
    kv_close(s->kv);
    if (s->folder[0] != '\0') {
        remove_lmdb(s);
    }
    for (uint32_t i = 0; i < SHARD_BATCH; i++) {
        buf_fini(&s->writes[i].entry);
    }
    arena_fini(&s->arena);
    mem_free(s);
}

static void answered(struct proposal *p, enum err status, struct slice result)
{
    struct write *w = (struct write *)(void *)p;
    MICRO_OK(status);
    MICRO_MUST(result.n >= APPLY_RESULT_HEAD_BYTES);
    MICRO_OK(err_from_wire(get_le32(result.p)));
    w->answered = true;
}

void shard_write(struct shard *s, enum method m, const ProtobufCMessage *op, struct slice body)
{
    MICRO_MUST(s->n_writes < SHARD_BATCH);
    struct write *w = &s->writes[s->n_writes++];
    struct entry_head h = {.method = (uint16_t)m,
                           .shard = shard_number,
                           .account = {SHARD_ACCOUNT},
                           .entry_ms = clock_wall_ms(&s->clock.base),
                           .issue_ms = clock_wall_ms(&s->clock.base),
                           .request_id = rng_u128(&s->rng)};
    uint8_t head[ENTRY_HEAD_BYTES];
    rng_fill(&s->rng, h.random, sizeof(h.random));
    entry_head_encode(&h, head);
    buf_reset(&w->entry);
    MICRO_OK(buf_append(&w->entry, head, sizeof(head)));
    MICRO_OK(pb_pack(op, &w->entry));
    w->answered = false;
    w->p = (struct proposal){.shard = shard_number.v, .grows = true, .done = answered, .body = body};
    w->p.data = buf_slice(&w->entry);
    if (s->n_writes > 1) {
        s->writes[s->n_writes - 2].p.node.next = &w->p.node;
    }
}

void shard_turn(struct shard *s)
{
    (void)volume_turn(s->volume, s->n_writes > 0 ? &s->writes[0].p : NULL, NULL);
    size_t n_events;
    (void)storage_fsm_events(s->fsm, &n_events);
    for (uint32_t i = 0; i < s->n_writes; i++) {
        MICRO_MUST(s->writes[i].answered);
    }
    s->n_writes = 0;
    s->clock.ms++;
}

void shard_read(struct shard *s, enum method m, const ProtobufCMessage *request, struct buf *meta, struct buf *attach)
{
    struct kv_txn *t;
    struct buf packed;
    buf_init(&packed, OP_BYTES_MAX);
    MICRO_OK(pb_pack(request, &packed));
    MICRO_OK(kv_begin(s->kv, false, &t));
    struct read_context rc = {.txn = t,
                              .shard = shard_number,
                              .term = 1,
                              .now_ms = s->clock.ms,
                              .deadline_ms = s->clock.ms + 1000,
                              .cache = s->cache,
                              .pop3 = s->pop3,
                              .arena = &s->arena};
    memcpy(rc.prefix, s->prefix, sizeof(rc.prefix));
    buf_reset(meta);
    buf_reset(attach);
    MICRO_OK(storage_method_run(&rc, m, buf_slice(&packed), meta, attach));
    kv_abort(t);
    arena_reset(&s->arena);
    buf_fini(&packed);
}

ProtobufCBinaryData shard_uids(uint32_t first, uint32_t last, struct buf *memory)
{
    struct uidset set;
    uidset_init(&set);
    buf_reset(memory);
    MICRO_OK(uidset_add_range(&set, first, last));
    MICRO_OK(uidset_encode(&set, memory));
    uidset_fini(&set);
    return pb_bytes(buf_slice(memory));
}

uint64_t shard_inbox(struct shard *s)
{
    Pb__ReadSelect q = PB__READ_SELECT__INIT;
    struct buf meta;
    struct buf attach;
    buf_init(&meta, REPLY_BYTES_MAX);
    buf_init(&attach, REPLY_BYTES_MAX);
    q.account = SHARD_ACCOUNT;
    q.name = (char *)"INBOX";
    shard_read(s, METHOD_SELECT, &q.base, &meta, &attach);
    Pb__ReadSelectResult *r = pb__read_select_result__unpack(NULL, meta.len, buf_slice(&meta).p);
    MICRO_MUST(r != NULL);
    uint64_t id = r->info->mailbox;
    pb__read_select_result__free_unpacked(r, NULL);
    buf_fini(&meta);
    buf_fini(&attach);
    return id;
}

/* Copies of the same message share its email row, as they would when a client copies: good enough for what reads rows.
 */
void shard_fill(struct shard *s, uint32_t n, struct slice mail)
{
    struct buf record;
    struct buf uids;
    Pb__OpAppend append = PB__OP_APPEND__INIT;
    Pb__BodySource source = PB__BODY_SOURCE__INIT;
    Pb__OpCopy copy = PB__OP_COPY__INIT;
    buf_init(&record, OP_BYTES_MAX);
    buf_init(&uids, OP_BYTES_MAX);
    mail_record(mail, &record);
    source.size = (uint32_t)mail.n;
    append.account = SHARD_ACCOUNT;
    append.mailbox = (char *)"INBOX";
    append.body = &source;
    append.record = pb_bytes(buf_slice(&record));
    shard_write(s, METHOD_APPEND, &append.base, mail);
    shard_turn(s);
    copy.account = SHARD_ACCOUNT;
    copy.mailbox = shard_inbox(s);
    copy.to = (char *)"INBOX";
    for (uint32_t have = 1; have < n;) {
        uint32_t add = n - have < have ? n - have : have;
        add = add < COPY_MAX ? add : COPY_MAX;
        copy.uids = shard_uids(1, add, &uids);
        shard_write(s, METHOD_COPY, &copy.base, slice_str(""));
        shard_turn(s);
        have += add;
    }
    buf_fini(&record);
    buf_fini(&uids);
}
