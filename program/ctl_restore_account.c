#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "program/ctl_restore.h"
#include "proto/base/mem.h"
#include "storage/backup/backup_restore.h"
#include "storage/directory/directory.h"
#include "storage/kv/kv_lmdb.h"
#include "storage/mailbox/pb.h"
#include "storage/method/method_run.h"

#define ARENA_BYTES (64 * 1024 * 1024)
#define REPLY_BYTES_MAX ((size_t)1 << 20)

struct account_run {
    struct ctl *ctl;
    const struct backup_set *set;
    const struct restore_asked *asked;
    char dir[1024]; /* of the temporary store */
    struct kv *kv;
    struct arena arena; /* of replies from the backup */
    struct arena names;
    struct mail_side from;
    struct mail_side to;
    struct buf why;
};

static enum err explain(struct account_run *r, enum err e, const char *what, const char *name)
{
    if (r->why.len == 0) {
        enum err ignored = buf_printf(&r->why, "%s%s%s", what, name[0] != '\0' ? " " : "", name);
        (void)ignored; /* a courtesy: the error says enough */
    }
    return e;
}

/* --- either side --- */

static enum err ask_saved(const struct mail_side *s, enum method method, struct slice packed,
                          ProtobufCMessage **out_reply, struct buf *attach)
{
    struct buf meta;
    struct buf ignored;
    struct read_context rc = {.txn = s->saved, .shard = s->shard, .deadline_ms = UINT64_MAX, .arena = s->arena};
    memcpy(rc.prefix, s->prefix, sizeof(rc.prefix));
    buf_init(&meta, REPLY_BYTES_MAX);
    buf_init(&ignored, REPLY_BYTES_MAX);
    enum err e = storage_method_run(&rc, method, packed, &meta, attach == NULL ? &ignored : attach);
    if (e == OK) {
        e = pb_unpack(method_info(method)->reply, buf_slice(&meta), s->arena, out_reply);
    }
    buf_fini(&meta);
    buf_fini(&ignored);
    return e;
}

enum err mail_ask(const struct mail_side *s, enum method method, const ProtobufCMessage *message, struct slice body,
                  ProtobufCMessage **out_reply, struct buf *attach)
{
    if (attach != NULL) {
        buf_reset(attach);
    }
    if (s->saved == NULL) {
        const struct ctl_exchange x = {.shard = s->shard,
                                       .account = s->account,
                                       .method = method,
                                       .message = message,
                                       .attach = body,
                                       .out_reply = out_reply,
                                       .out_attach = attach};
        arena_reset(&s->ctl->arena);
        return ctl_exchange(s->ctl, &x);
    }
    size_t n = protobuf_c_message_get_packed_size(message);
    uint8_t *packed = arena_alloc(s->arena, n + 1);
    if (packed == NULL) {
        return ERR_NOMEM;
    }
    protobuf_c_message_pack(message, packed);
    return ask_saved(s, method, slice_make(packed, n), out_reply, attach);
}

/* --- the backup's side --- */

static enum err store_open(struct account_run *r)
{
    char path[1100];
    snprintf(r->dir, sizeof(r->dir), "%s/pillarbox-restore-XXXXXX", r->asked->tmp);
    if (mkdtemp(r->dir) == NULL) {
        r->dir[0] = '\0';
        return explain(r, ERR_IO, r->asked->tmp, strerror(errno));
    }
    snprintf(path, sizeof(path), "%s/volume.mdb", r->dir);
    const struct kv_lmdb_config kc = {.path = path, .map_bytes = r->ctl->map_bytes};
    return kv_lmdb_open(&kc, &r->kv, &r->why);
}

static void store_remove(struct account_run *r)
{
    static const char *const files[] = {"volume.mdb", "volume.mdb-wal0", "volume.mdb-wal1", "volume.mdb-checkpoint",
                                        "volume.mdb-lock"};
    if (r->from.saved != NULL) {
        kv_abort(r->from.saved);
    }
    if (r->kv != NULL) {
        kv_close(r->kv);
    }
    for (size_t i = 0; r->dir[0] != '\0' && i < sizeof(files) / sizeof(files[0]); i++) {
        char path[1100];
        snprintf(path, sizeof(path), "%s/%s", r->dir, files[i]);
        (void)unlink(path);
    }
    if (r->dir[0] != '\0') {
        (void)rmdir(r->dir);
    }
}

static enum err shard_restore(struct account_run *r, struct shard_id shard, uint8_t out_prefix[5])
{
    const struct backup_restore_config cfg = {.set = r->set,
                                              .dir = r->asked->from,
                                              .kv = r->kv,
                                              .node = {1},
                                              .until_ms = r->asked->until_ms,
                                              .dedupe_ms = r->ctl->dedupe_ms};
    struct backup_restored done;
    enum err e = backup_restore_shard(&cfg, shard, &done, &r->why);
    memcpy(out_prefix, done.prefix, sizeof(done.prefix));
    return e;
}

/* Who the name was, then. */
static enum err account_find(struct account_run *r, const uint8_t prefix[5])
{
    struct dir_name name;
    struct dir_account account;
    struct store s;
    memcpy(s.prefix, prefix, sizeof(s.prefix));
    enum err e = kv_begin(r->kv, false, &s.t);
    if (e != OK) {
        return e;
    }
    e = dir_name_parse(&r->names, slice_str(r->asked->account), &name);
    if (e == OK) {
        e = dir_account_get(&s, &name, &account);
    }
    kv_abort(s.t);
    if (e == OK) {
        r->from.account = account.account;
        r->from.shard = account.shard;
    }
    return e;
}

static enum err from_open(struct account_run *r)
{
    uint8_t prefix[5];
    enum err e = store_open(r);
    if (e == OK) {
        e = shard_restore(r, (struct shard_id){0}, prefix);
    }
    if (e == OK) {
        e = account_find(r, prefix);
        if (e == ERR_NOTFOUND || e == ERR_INVAL) {
            return explain(r, e, "no such account in the backup at that time:", r->asked->account);
        }
    }
    if (e == OK) {
        e = shard_restore(r, r->from.shard, r->from.prefix);
    }
    return e == OK ? kv_begin(r->kv, false, &r->from.saved) : e;
}

/* --- folders --- */

struct folder {
    char *name;
    uint64_t mailbox;
    bool subscribed;
};

struct folders {
    struct folder *list; /* mem_free; names lie in the run's arena */
    size_t n;
};

static enum err folder_add(struct account_run *r, struct folders *all, const Pb__MailboxInfo *m)
{
    if (m->noselect || m->nonexistent) {
        return OK;
    }
    struct folder *more = mem_realloc(all->list, (all->n + 1) * sizeof(*more));
    if (more == NULL) {
        return ERR_NOMEM;
    }
    all->list = more;
    more[all->n] = (struct folder){
        .name = arena_dup(&r->names, m->name, strlen(m->name) + 1), .mailbox = m->mailbox, .subscribed = m->subscribed};
    return more[all->n++].name == NULL ? ERR_NOMEM : OK;
}

static enum err folders_list(struct account_run *r, struct folders *all)
{
    Pb__ReadMailboxes req = PB__READ_MAILBOXES__INIT;
    enum err e = OK;
    req.account = r->from.account.v;
    do {
        ProtobufCMessage *reply = NULL;
        arena_reset(&r->arena);
        e = mail_ask(&r->from, METHOD_MAILBOXES, &req.base, slice_str(""), &reply, NULL);
        const Pb__ReadMailboxesResult *page = (const Pb__ReadMailboxesResult *)(const void *)reply;
        for (size_t i = 0; e == OK && i < page->n_mailboxes; i++) {
            e = folder_add(r, all, page->mailboxes[i]);
        }
        req.from = e == OK ? page->next : 0;
    } while (e == OK && req.from != 0);
    return e == ERR_NOTFOUND ? explain(r, e, "the account was being made or removed then:", r->asked->account) : e;
}

static bool wanted(const struct account_run *r, const struct folder *f)
{
    const char *only = r->asked->mailbox;
    return only == NULL || strcmp(f->name, only) == 0 ||
           (strcasecmp(f->name, "INBOX") == 0 && strcasecmp(only, "INBOX") == 0);
}

static enum err folder_make(struct account_run *r, const struct folder *f, const char *name)
{
    Pb__OpMailboxCreate create = PB__OP_MAILBOX_CREATE__INIT;
    Pb__OpMailboxSubscribe subscribe = PB__OP_MAILBOX_SUBSCRIBE__INIT;
    create.account = r->to.account.v;
    create.name = (char *)(uintptr_t)name;
    enum err e = mail_ask(&r->to, METHOD_MAILBOX_CREATE, &create.base, slice_str(""), NULL, NULL);
    e = e == ERR_EXISTS ? OK : e;
    if (e == OK && f->subscribed) {
        subscribe.account = r->to.account.v;
        subscribe.name = create.name;
        subscribe.subscribed = true;
        e = mail_ask(&r->to, METHOD_MAILBOX_SUBSCRIBE, &subscribe.base, slice_str(""), NULL, NULL);
    }
    return e;
}

static enum err folder_restore(struct account_run *r, const struct folder *f)
{
    struct mail_counts counts = {0};
    const char *prefix = r->asked->prefix;
    char *name = arena_printf(&r->names, "%s%s%s", prefix, prefix[0] != '\0' ? "/" : "", f->name);
    if (name == NULL) {
        return ERR_NOMEM;
    }
    enum err e = folder_make(r, f, name);
    if (e != OK) {
        return explain(r, e, "the folder cannot be made:", name);
    }
    e = ctl_restore_mail(&r->from, f->mailbox, &r->to, name, &counts, &r->why);
    printf("%s\t%llu restored\t%llu already there\t%llu bytes\n", name, (unsigned long long)counts.messages,
           (unsigned long long)counts.there, (unsigned long long)counts.bytes);
    fflush(stdout);
    return e == OK ? OK : explain(r, e, "in", name);
}

static enum err folders_restore(struct account_run *r)
{
    struct folders all = {0};
    size_t n = 0;
    enum err e = folders_list(r, &all);
    for (size_t i = 0; e == OK && i < all.n; i++) {
        if (wanted(r, &all.list[i])) {
            e = folder_restore(r, &all.list[i]);
            n++;
        }
    }
    mem_free(all.list);
    return e == OK && n == 0 ? explain(r, ERR_NOTFOUND, "no such mailbox in the backup at that time:",
                                       r->asked->mailbox == NULL ? "" : r->asked->mailbox)
                             : e;
}

/* --- the whole --- */

static enum err run(struct account_run *r)
{
    enum err e = ctl_account(r->ctl, r->asked->to, &r->to.shard, &r->to.account);
    if (e != OK) {
        return explain(r, e,
                       e == ERR_NOTFOUND ? "there is no such account to restore to (make it, or name one by --to):"
                                         : "the account to restore to:",
                       r->asked->to);
    }
    e = from_open(r);
    return e == OK ? folders_restore(r) : e;
}

int ctl_restore_account(struct ctl *c, const struct backup_set *set, const struct restore_asked *a)
{
    struct account_run r = {.ctl = c, .set = set, .asked = a};
    r.from.ctl = r.to.ctl = c;
    r.from.arena = &r.arena;
    buf_init(&r.why, 8192);
    arena_init(&r.arena, ARENA_BYTES);
    arena_init(&r.names, ARENA_BYTES);
    enum err e = run(&r);
    if (e != OK) {
        struct slice w = buf_slice(&r.why);
        fprintf(stderr, "pillarbox ctl: restore: %.*s%s%s\n", (int)w.n, (const char *)w.p, w.n > 0 ? ": " : "",
                err_text(e));
    }
    store_remove(&r);
    arena_fini(&r.arena);
    arena_fini(&r.names);
    buf_fini(&r.why);
    return e == OK ? 0 : 1;
}
