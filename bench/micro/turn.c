#include "bench/micro/turn.h"

#include "bench/micro/mail.h"
#include "bench/micro/micro.h"
#include "proto/base/mem.h"
#include "proto/rpc/flags.h"
#include "storage/mailbox/pb.h"

#define BYTES_MAX ((size_t)64 * 1024)
#define MESSAGES 1000

struct turn {
    struct shard *shard;
    uint64_t inbox;
    struct buf mail;
    struct buf record;
    struct buf uids;
    uint32_t uid; /* the last one stored to */
    bool flagged; /* so that every STORE changes something */
};

void *turn_open(enum shard_kv kind)
{
    struct turn *t = mem_zalloc(sizeof(*t));
    MICRO_MUST(t != NULL);
    buf_init(&t->mail, BYTES_MAX);
    buf_init(&t->record, BYTES_MAX);
    buf_init(&t->uids, BYTES_MAX);
    mail_plain(&t->mail);
    mail_record(buf_slice(&t->mail), &t->record);
    t->shard = shard_open(kind);
    shard_fill(t->shard, MESSAGES, buf_slice(&t->mail));
    t->inbox = shard_inbox(t->shard);
    return t;
}

void turn_deliver(void *state)
{
    struct turn *t = state;
    Pb__OpDeliver op = PB__OP_DELIVER__INIT;
    Pb__BodySource source = PB__BODY_SOURCE__INIT;
    Pb__Recipient recipient = PB__RECIPIENT__INIT;
    Pb__Recipient *recipients[] = {&recipient};
    recipient.account = SHARD_ACCOUNT;
    recipient.address = (char *)"bob@example.test";
    source.size = (uint32_t)t->mail.len;
    op.recipients = recipients;
    op.n_recipients = 1;
    op.body = &source;
    op.record = pb_bytes(buf_slice(&t->record));
    op.reverse_path = (char *)"alice.liddell@mail.example.org";
    for (int i = 0; i < SHARD_BATCH; i++) {
        shard_write(t->shard, METHOD_DELIVER, &op.base, buf_slice(&t->mail));
    }
    shard_turn(t->shard);
}

void turn_append(void *state)
{
    struct turn *t = state;
    Pb__OpAppend op = PB__OP_APPEND__INIT;
    Pb__BodySource source = PB__BODY_SOURCE__INIT;
    source.size = (uint32_t)t->mail.len;
    op.account = SHARD_ACCOUNT;
    op.mailbox = (char *)"INBOX";
    op.body = &source;
    op.record = pb_bytes(buf_slice(&t->record));
    op.flags = FLAG_SEEN;
    for (int i = 0; i < SHARD_BATCH; i++) {
        shard_write(t->shard, METHOD_APPEND, &op.base, buf_slice(&t->mail));
    }
    shard_turn(t->shard);
}

/* One message each, in order of UID. */
void turn_store(void *state)
{
    struct turn *t = state;
    Pb__OpStore op = PB__OP_STORE__INIT;
    op.account = SHARD_ACCOUNT;
    op.mailbox = t->inbox;
    op.flags = FLAG_FLAGGED;
    for (int i = 0; i < SHARD_BATCH; i++) {
        if (++t->uid > MESSAGES) {
            t->uid = 1;
            t->flagged = !t->flagged;
        }
        op.mode = t->flagged ? PB__OP_STORE__MODE__REMOVE : PB__OP_STORE__MODE__ADD;
        op.uids = shard_uids(t->uid, t->uid, &t->uids);
        shard_write(t->shard, METHOD_STORE, &op.base, slice_str(""));
    }
    shard_turn(t->shard);
}

/* Of a flag that none of them has. */
void turn_store_same(void *state)
{
    struct turn *t = state;
    Pb__OpStore op = PB__OP_STORE__INIT;
    op.account = SHARD_ACCOUNT;
    op.mailbox = t->inbox;
    op.flags = FLAG_DRAFT;
    op.mode = PB__OP_STORE__MODE__REMOVE;
    for (int i = 0; i < SHARD_BATCH; i++) {
        t->uid = t->uid % MESSAGES + 1;
        op.uids = shard_uids(t->uid, t->uid, &t->uids);
        shard_write(t->shard, METHOD_STORE, &op.base, slice_str(""));
    }
    shard_turn(t->shard);
}

void turn_close(void *state)
{
    struct turn *t = state;
    shard_close(t->shard);
    buf_fini(&t->mail);
    buf_fini(&t->record);
    buf_fini(&t->uids);
    mem_free(t);
}
