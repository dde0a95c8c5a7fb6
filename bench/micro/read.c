#include "bench/micro/read.h"

#include "bench/micro/mail.h"
#include "bench/micro/micro.h"
#include "proto/base/mem.h"

#define BYTES_MAX ((size_t)1 << 20)
#define PAGE_BYTES ((uint32_t)128 * 1024) /* as the frontend asks */

struct read *read_open(uint32_t columns)
{
    struct read *r = mem_zalloc(sizeof(*r));
    struct buf mail;
    MICRO_MUST(r != NULL);
    buf_init(&mail, BYTES_MAX);
    buf_init(&r->uids, BYTES_MAX);
    buf_init(&r->meta, BYTES_MAX);
    buf_init(&r->attach, BYTES_MAX);
    mail_plain(&mail);
    r->shard = shard_open(SHARD_KV_LMDB);
    shard_fill(r->shard, READ_MESSAGES, buf_slice(&mail));
    buf_fini(&mail);
    pb__read_select__init(&r->select);
    r->select.account = SHARD_ACCOUNT;
    r->select.name = (char *)"INBOX";
    pb__read_fetch__init(&r->fetch);
    r->fetch.account = SHARD_ACCOUNT;
    r->fetch.mailbox = shard_inbox(r->shard);
    r->fetch.uids = shard_uids(1, READ_MESSAGES, &r->uids);
    r->fetch.columns = columns;
    r->fetch.max_bytes = PAGE_BYTES;
    return r;
}

void read_fetch(void *state)
{
    struct read *r = state;
    shard_read(r->shard, METHOD_FETCH, &r->fetch.base, &r->meta, &r->attach);
}

void read_select(void *state)
{
    struct read *r = state;
    shard_read(r->shard, METHOD_SELECT, &r->select.base, &r->meta, &r->attach);
}

void read_close(void *state)
{
    struct read *r = state;
    shard_close(r->shard);
    buf_fini(&r->uids);
    buf_fini(&r->meta);
    buf_fini(&r->attach);
    mem_free(r);
}
