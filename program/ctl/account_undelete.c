#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "program/ctl.h"
#include "program/ctl_time.h"
#include "proto/base/bytes.h"
#include "proto/base/clock.h"
#include "proto/message/message.h"
#include "proto/rpc/flags.h"
#include "storage/mailbox/name.h"

#define ROW_BYTES 12 /* OpUndelete.rows: le64 ms, le32 UID */
#define FOUND_BYTES_MAX ((size_t)1 << 30)

/* A message that can come back. */
struct found {
    uint64_t ms;
    uint32_t mailbox;
    uint32_t uid;
};

struct undelete {
    struct ctl *ctl;
    const char *user;
    struct shard_id shard;
    struct account_id account;
    const char *mailbox;
    const char *into;
    uint64_t since_ms;
    uint64_t until_ms;
    bool list;
    struct buf found; /* struct found each */
    struct buf text;
};

/* --- what there is --- */

/* A header's value as it may stand in a terminal's line. */
static void print_text(struct undelete *u, struct slice raw, bool header)
{
    buf_reset(&u->text);
    enum err e = header ? msg_header_decode(raw, &u->text) : buf_append_slice(&u->text, raw);
    struct slice s = e == OK ? buf_slice(&u->text) : slice_make(NULL, 0);
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t')) {
        s = slice_sub(s, 1, s.n);
    }
    for (size_t i = 0; i < s.n; i++) {
        bool c1 = s.p[i] == 0xc2 && i + 1 < s.n && s.p[i + 1] < 0xa0;
        putchar(s.p[i] < 0x20 || s.p[i] == 0x7f || c1 ? '?' : s.p[i]);
    }
}

static void print_row(struct undelete *u, const Pb__ReadKeptResult *r, size_t i, const struct slice texts[3])
{
    char gone[32];
    char date[32];
    ctl_time_format((int64_t)(get_le64(r->time_ms.data + 8 * i) / 1000), gone);
    ctl_time_format((int64_t)get_le64(r->internal_s.data + 8 * i), date);
    printf("%s\t", gone);
    print_text(u, texts[0], false);
    printf("\t%s\t%u\t", date, get_le32(r->size.data + 4 * i));
    print_text(u, texts[1], true);
    putchar('\t');
    print_text(u, texts[2], true);
    putchar('\n');
}

static bool page_sound(const Pb__ReadKeptResult *r)
{
    size_t n = r->rows;
    return r->time_ms.len == 8 * n && r->mailbox.len == 4 * n && r->uid.len == 4 * n && r->internal_s.len == 8 * n &&
           r->size.len == 4 * n && r->lens.len == 12 * n;
}

static enum err take_page(struct undelete *u, const Pb__ReadKeptResult *r)
{
    size_t at = 0;
    if (!page_sound(r)) {
        return ERR_CORRUPT;
    }
    for (size_t i = 0; i < r->rows; i++) {
        struct found f = {get_le64(r->time_ms.data + 8 * i), get_le32(r->mailbox.data + 4 * i),
                          get_le32(r->uid.data + 4 * i)};
        struct slice texts[3];
        for (size_t t = 0; t < 3; t++) {
            size_t n = get_le32(r->lens.data + 12 * i + 4 * t);
            texts[t] = slice_sub(slice_make(r->texts.data, r->texts.len), at, at + n);
            at += n;
        }
        enum err e = buf_append(&u->found, &f, sizeof(f));
        if (e != OK) {
            return e;
        }
        if (u->list) {
            print_row(u, r, i, texts);
        }
    }
    return OK;
}

static enum err find(struct undelete *u)
{
    Pb__ReadKept req = PB__READ_KEPT__INIT;
    req.account = u->account.v;
    req.name = (char *)(uintptr_t)u->mailbox;
    req.since_ms = u->since_ms;
    req.until_ms = u->until_ms;
    for (bool more = true; more;) {
        ProtobufCMessage *reply = NULL;
        enum err e = ctl_call(u->ctl, u->shard, u->account, METHOD_KEPT, &req.base, &reply);
        const Pb__ReadKeptResult *r = (const Pb__ReadKeptResult *)(const void *)reply;
        if (e == OK) {
            e = take_page(u, r);
        }
        if (e != OK) {
            return e;
        }
        more = r->more;
        req.from_ms = r->next_ms;
        req.from_mailbox = r->next_mailbox;
        req.from_uid = r->next_uid;
        arena_reset(&u->ctl->arena);
    }
    return OK;
}

/* --- bringing it back --- */

static int by_mailbox_and_uid(const void *a, const void *b)
{
    const struct found *x = a;
    const struct found *y = b;
    if (x->mailbox != y->mailbox) {
        return x->mailbox < y->mailbox ? -1 : 1;
    }
    return x->uid < y->uid ? -1 : x->uid > y->uid;
}

/* Up to 1,000 of one mailbox. */
static enum err bring_back(struct undelete *u, const struct found *list, size_t n, uint64_t *io_done)
{
    uint8_t rows[OP_UIDS_MAX * ROW_BYTES];
    Pb__OpUndelete op = PB__OP_UNDELETE__INIT;
    ProtobufCMessage *reply = NULL;
    for (size_t i = 0; i < n; i++) {
        put_le64(rows + i * ROW_BYTES, list[i].ms);
        put_le32(rows + i * ROW_BYTES + 8, list[i].uid);
    }
    op.account = u->account.v;
    op.mailbox = list[0].mailbox;
    op.rows.data = rows;
    op.rows.len = n * ROW_BYTES;
    op.into = (char *)(uintptr_t)u->into;
    enum err e = ctl_call(u->ctl, u->shard, u->account, METHOD_UNDELETE, &op.base, &reply);
    if (e == OK) {
        *io_done += ((const Pb__OpUndeleteResult *)(const void *)reply)->messages;
    }
    arena_reset(&u->ctl->arena);
    return e;
}

static int bring_back_all(struct undelete *u)
{
    struct found *all = (struct found *)(void *)(uintptr_t)buf_slice(&u->found).p; /* allocated, so aligned */
    size_t n = u->found.len / sizeof(*all);
    uint64_t done = 0;
    enum err e = OK;
    if (n > 0) {
        qsort(all, n, sizeof(*all), by_mailbox_and_uid);
    }
    for (size_t from = 0; e == OK && from < n;) {
        size_t to = from + 1;
        while (to < n && to - from < OP_UIDS_MAX && all[to].mailbox == all[from].mailbox) {
            to++;
        }
        e = bring_back(u, all + from, to - from, &done);
        from = to;
    }
    printf("%llu of %zu messages are back\n", (unsigned long long)done, n);
    return e == OK ? 0 : ctl_fail("account undelete", u->user, e);
}

/* --- the command --- */

static bool time_option(const char *text, uint64_t *out_ms)
{
    if (text == NULL || ctl_time_parse(text, clock_wall_ms(clock_system()), out_ms) == OK) {
        return true;
    }
    fprintf(stderr,
            "pillarbox ctl: account undelete: '%s' is no time: 2026-11-30, \"2026-11-30 14:05\" (this machine's zone; "
            "2026-11-30T14:05Z is UTC), or how long ago: 2h, 3d\n",
            text);
    return false;
}

static int work(struct undelete *u)
{
    enum err e = ctl_account(u->ctl, u->user, &u->shard, &u->account);
    if (e == OK) {
        e = find(u);
    }
    if (e != OK) {
        return ctl_fail("account undelete", u->user, e);
    }
    return u->list ? 0 : bring_back_all(u);
}

static int run(struct ctl *c, int argc, char **argv)
{
    struct undelete u = {.ctl = c, .list = ctl_flag(&argc, argv, "--list")};
    const char *mailbox = ctl_option(&argc, argv, "--mailbox");
    const char *into = ctl_option(&argc, argv, "--into");
    const char *since = ctl_option(&argc, argv, "--since");
    const char *until = ctl_option(&argc, argv, "--until");
    if (argc != 1 || argv[0][0] == '-') {
        return CTL_USAGE;
    }
    if (!time_option(since, &u.since_ms) || !time_option(until, &u.until_ms)) {
        return CTL_USAGE;
    }
    if (into != NULL && (into[0] == '\0' || name_check_nfc(&c->arena, slice_str(into)) != OK)) {
        fputs("pillarbox ctl: account undelete: a folder's name is UTF-8 in NFC\n", stderr);
        return CTL_USAGE;
    }
    u.user = argv[0];
    u.mailbox = mailbox == NULL ? "" : mailbox;
    u.into = into == NULL ? "" : into;
    buf_init(&u.found, FOUND_BYTES_MAX);
    buf_init(&u.text, SIZE_MAX / 2);
    int rc = work(&u);
    buf_fini(&u.found);
    buf_fini(&u.text);
    return rc;
}

CTL_CMD(account_undelete) = {
    .name = "account undelete",
    .args = "ADDRESS [--list] [--mailbox NAME] [--since TIME] [--until TIME] [--into FOLDER]",
    .help = "bring back what was expunged, or list it (when, mailbox, date, size, From, Subject)",
    .run = run,
};
