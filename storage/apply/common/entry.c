#include "storage/apply/entry.h"

#include "proto/base/bytes.h"

#define ENTRY_VERSION 1
#define ENTRY_KEEP 0x80
#define ENTRY_LEVELS 0x7f /* 1 to 127; no program will see the last */

void entry_head_encode(const struct entry_head *h, uint8_t out[ENTRY_HEAD_BYTES])
{
    int level = h->level == 0 ? 1 : h->level < ENTRY_LEVELS ? h->level : ENTRY_LEVELS;
    out[0] = ENTRY_VERSION;
    out[1] = (uint8_t)((level - 1) | (h->keep ? ENTRY_KEEP : 0));
    put_le16(out + 2, h->method);
    put_le32(out + 4, h->shard.v);
    put_le64(out + 8, h->account.v);
    put_le64(out + 16, h->entry_ms);
    put_le64(out + 24, h->issue_ms);
    memcpy(out + 32, h->request_id.b, sizeof(h->request_id.b));
    memcpy(out + 48, h->random, sizeof(h->random));
}

enum err entry_decode(struct slice data, struct entry_head *out, struct slice *out_op)
{
    if (data.n < ENTRY_HEAD_BYTES || data.p[0] != ENTRY_VERSION || (data.p[1] & ~ENTRY_KEEP) == ENTRY_LEVELS) {
        return ERR_CORRUPT;
    }
    out->keep = (data.p[1] & ENTRY_KEEP) != 0;
    out->level = (uint8_t)((data.p[1] & ~ENTRY_KEEP) + 1);
    out->method = get_le16(data.p + 2);
    out->shard.v = get_le32(data.p + 4);
    out->account.v = get_le64(data.p + 8);
    out->entry_ms = get_le64(data.p + 16);
    out->issue_ms = get_le64(data.p + 24);
    memcpy(out->request_id.b, data.p + 32, sizeof(out->request_id.b));
    memcpy(out->random, data.p + 48, sizeof(out->random));
    *out_op = slice_sub(data, ENTRY_HEAD_BYTES, data.n);
    return OK;
}
