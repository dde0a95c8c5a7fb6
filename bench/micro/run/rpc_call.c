/* What a call costs beside its transport, whose threads no two runs share alike: the request packed, framed, taken
 * apart and unpacked, the same of the reply. */
#include "bench/micro/mail.h"
#include "bench/micro/micro.h"
#include "proto/base/arena.h"
#include "proto/base/mem.h"
#include "proto/rpc/frame.h"
#include "proto/rpc/method.h"
#include "proto/schema/op.pb-c.h"
#include "storage/mailbox/pb.h"

#define BYTES_MAX ((size_t)RPC_FRAME_BYTES_MAX)

struct call {
    struct buf mail;
    struct buf record;
    struct buf meta;
    struct buf frame;
    struct arena arena;
};

static void *call_open(void)
{
    struct call *c = mem_zalloc(sizeof(*c));
    MICRO_MUST(c != NULL);
    buf_init(&c->mail, BYTES_MAX);
    buf_init(&c->record, BYTES_MAX);
    buf_init(&c->meta, BYTES_MAX);
    buf_init(&c->frame, BYTES_MAX);
    arena_init(&c->arena, BYTES_MAX);
    mail_plain(&c->mail);
    mail_record(buf_slice(&c->mail), &c->record);
    return c;
}

static void transfer(struct call *c, bool reply, const ProtobufCMessage *m, struct slice attach)
{
    struct rpc_head h = {.method = METHOD_DELIVER, .reply = reply, .shard = {1}, .account = {11}, .budget_ms = 30000};
    struct slice meta;
    uint8_t head[RPC_HEAD_BYTES];
    ProtobufCMessage *out;
    buf_reset(&c->meta);
    buf_reset(&c->frame);
    MICRO_OK(pb_pack(m, &c->meta));
    h.meta_bytes = (uint32_t)c->meta.len;
    h.attach_bytes = (uint32_t)attach.n;
    rpc_head_encode(&h, head);
    MICRO_OK(buf_append(&c->frame, head, sizeof(head)));
    MICRO_OK(buf_append_slice(&c->frame, buf_slice(&c->meta)));
    MICRO_OK(buf_append_slice(&c->frame, attach));
    MICRO_OK(rpc_frame_decode(buf_slice(&c->frame), &h, &meta, &attach));
    const struct method_info *info = method_info(h.method);
    MICRO_MUST(info != NULL);
    MICRO_OK(pb_unpack(reply ? info->reply : info->request, meta, &c->arena, &out));
}

static void call_run(void *state)
{
    struct call *c = state;
    Pb__OpDeliver op = PB__OP_DELIVER__INIT;
    Pb__BodySource source = PB__BODY_SOURCE__INIT;
    Pb__Recipient recipient = PB__RECIPIENT__INIT;
    Pb__Recipient *recipients[] = {&recipient};
    Pb__OpDeliverResult result = PB__OP_DELIVER_RESULT__INIT;
    Pb__DeliverStatus status = PB__DELIVER_STATUS__INIT;
    Pb__DeliverStatus *statuses[] = {&status};
    recipient.account = 11;
    recipient.address = (char *)"bob@example.test";
    source.size = (uint32_t)c->mail.len;
    op.recipients = recipients;
    op.n_recipients = 1;
    op.body = &source;
    op.record = pb_bytes(buf_slice(&c->record));
    op.reverse_path = (char *)"alice.liddell@mail.example.org";
    transfer(c, false, &op.base, buf_slice(&c->mail));
    status.mailbox = 1;
    status.uid = 12345;
    status.uidvalidity = 1795169742;
    result.recipients = statuses;
    result.n_recipients = 1;
    transfer(c, true, &result.base, slice_str(""));
    arena_reset(&c->arena);
}

static void call_close(void *state)
{
    struct call *c = state;
    buf_fini(&c->mail);
    buf_fini(&c->record);
    buf_fini(&c->meta);
    buf_fini(&c->frame);
    arena_fini(&c->arena);
    mem_free(c);
}

MICRO(rpc_call) = {
    .name = "rpc_call",
    .op = "encode and decode a DELIVER of 4 KiB and its reply",
    .iterations = 50,
    .open = call_open,
    .run = call_run,
    .close = call_close,
};
