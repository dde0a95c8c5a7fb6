/* What devices do with the mail: one call at a time, chosen from what the ledger knows. */
#include <algorithm>

#include "../storage/wire.h"
#include "post.h"
#include "proto/rpc/flags.h"

namespace post
{

constexpr uint64_t ROW = REPL_BODY_CHUNK_DATA;
constexpr int PICKS_MAX = 5;
constexpr int READER_WRITE_PERCENT = 4; /* each third device looks for new mail, and does little else */

void Post::use(Device *d)
{
    d->next_at = now() + 1 + below(post.pause_ms);
    for (int i = 0; i < PICKS_MAX && !d->busy; i++) {
        bool write = chance(d->number % 3 == 2 ? READER_WRITE_PERCENT : post.write_percent);
        bool folders = write && chance(post.folder_percent);
        bool remove = write && !folders && chance(post.remove_percent);
        bool done = folders ? change_folders(d) : remove ? remove_mail(d) : write ? write_mail(d) : read_mail(d);
        if (done) {
            return;
        }
    }
}

/* --- what to name --- */

/* One that is not known to be gone. */
Box *Post::some_box(Account *a, bool births)
{
    std::vector<Box *> all;
    for (auto &[id, b] : a->boxes) {
        bool inbox = b.names.count("INBOX") != 0;
        if (inbox && chance(40)) {
            return &b;
        }
        if (b.gone == NEVER && (!births || b.kind == Kind::BIRTH)) {
            all.push_back(&b);
        }
    }
    return all.empty() ? nullptr : all[below(all.size())];
}

/* A name that it may have now. */
std::string Post::name_of(const Account &, const Box &b)
{
    std::vector<std::string> all;
    for (const auto &[name, over] : b.names) {
        if (over == NEVER) {
            all.push_back(name);
        }
    }
    return all.empty() ? "" : all[below(all.size())];
}

std::vector<uint32_t> Post::some_uids(const Box &b, size_t max, bool known_mail)
{
    std::vector<uint32_t> all;
    for (const auto &[uid, r] : b.rows) {
        if (r.gone == NEVER && (!known_mail || r.marker != 0) && chance(50)) {
            all.push_back(uid);
        }
    }
    while (all.size() > max) {
        all.erase(all.begin() + static_cast<long>(below(all.size())));
    }
    return all;
}

/* --- choice --- */

bool Post::write_mail(Device *d)
{
    uint64_t pick = below(100);
    Box *b = some_box(d->account, false);
    if (chance(post.staged_percent)) {
        upload(d);
    } else if (pick < 30) {
        deliver(d);
    } else if (pick < 50) {
        append(d, nullptr);
    } else if (pick < 85) {
        store(d, b);
    } else {
        copy(d, some_box(d->account, true), false);
    }
    return d->busy;
}

bool Post::remove_mail(Device *d)
{
    if (chance(60)) {
        expunge(d, some_box(d->account, false));
    } else {
        copy(d, some_box(d->account, true), true);
    }
    return d->busy;
}

static bool is_ours(const Box &b)
{
    return b.kind == Kind::BIRTH && !b.names.empty() && b.names.begin()->first[0] == 'm';
}

bool Post::change_folders(Device *d)
{
    Box *b = some_box(d->account, true);
    uint64_t pick = below(100);
    if (pick < 30) {
        create(d);
    } else if (!is_ours(*b)) {
        return false;
    } else if (pick < 65) {
        rename(d, b);
    } else {
        remove_box(d, b);
    }
    return d->busy;
}

bool Post::read_mail(Device *d)
{
    uint64_t pick = below(100);
    Box *b = some_box(d->account, false);
    if (d->session.valid && pick < 40) {
        sync(d);
    } else if (pick < 60) {
        select(d, b);
    } else if (pick < 75) {
        fetch(d, b);
    } else if (pick < 93) {
        body(d, b);
    } else {
        list(d);
    }
    return d->busy;
}

/* --- writes --- */

/* The device waits for the answer. */
#define ASK(d, c, ...)                                                                                                 \
    do {                                                                                                               \
        (d)->busy = true;                                                                                              \
        (c)->done = [=](const Answer &r, Span s) {                                                                     \
            (d)->busy = false;                                                                                         \
            (void)s;                                                                                                   \
            __VA_ARGS__;                                                                                               \
        };                                                                                                             \
        start(c);                                                                                                      \
    } while (0)

static size_t mail_bytes(Post *p, uint64_t draw)
{
    return draw % 8 == 0 ? draw % (4 * p->post.mail_max) : draw % (p->post.mail_max / 4 + 1);
}

void Post::deliver(Device *d)
{
    uint64_t marker = next_marker_++;
    const Mail &m = ledger.mail(marker, mail_bytes(this, below(1 << 20)));
    std::vector<Account *> to = {d->account};
    uint32_t shard = believed(*d, *d->account);
    for (auto &[id, a] : accounts_) {
        if (post.move_per_min != 0 && a.get() != d->account && chance(5)) {
            uint32_t now_in = where(*a, nullptr); /* the directory has told */
            d->shards[id] = now_in != 0 ? now_in : believed(*d, *a);
        }
        if (believed(*d, *a) == shard && a.get() != d->account && chance(30)) {
            to.push_back(a.get());
        }
    }
    std::vector<Pb__Recipient> list(to.size());
    std::vector<Pb__Recipient *> refs;
    for (size_t i = 0; i < to.size(); i++) {
        pb__recipient__init(&list[i]);
        list[i].account = to[i]->id;
        refs.push_back(&list[i]);
        to[i]->fates[marker];
    }
    Pb__OpDeliver op = PB__OP_DELIVER__INIT;
    Pb__BodySource source = PB__BODY_SOURCE__INIT;
    source.size = static_cast<uint32_t>(m.body.size());
    op.recipients = refs.data();
    op.n_recipients = refs.size();
    op.body = &source;
    op.record = mail::bytes_of(m.record);
    CallRef c = call(d, METHOD_DELIVER, &op.base);
    c->body = m.body;
    ASK(d, c, delivered(to, marker, r, s));
}

void Post::append(Device *d, const Upload *u)
{
    Account *a = d->account;
    Box *b = some_box(a, true);
    std::string name = name_of(*a, *b);
    uint64_t box = b->id;
    uint64_t marker = u != nullptr ? u->marker : next_marker_++;
    const Mail &m = ledger.mail(marker, u != nullptr ? u->size : mail_bytes(this, below(1 << 20)));
    Pb__OpAppend op = PB__OP_APPEND__INIT;
    Pb__BodySource source = PB__BODY_SOURCE__INIT;
    source.size = static_cast<uint32_t>(m.body.size());
    source.staged_index = u != nullptr ? u->index : 0;
    op.account = a->id;
    op.mailbox = mail::text(name);
    op.body = &source;
    op.record = mail::bytes_of(m.record);
    op.flags = below(2) == 0 ? FLAG_SEEN : 0;
    a->fates[marker];
    CallRef c = call(d, METHOD_APPEND, &op.base);
    if (u != nullptr) {
        c->stays = true;
        c->shard = u->shard;
    }
    c->body = u != nullptr ? "" : m.body;
    ASK(d, c, appended(a, marker, box, r, s));
}

/* A large body in pieces; a device that gives up leaves its reservation. */
void Post::upload(Device *d)
{
    auto u = std::make_shared<Upload>();
    u->marker = next_marker_++;
    u->size = static_cast<uint32_t>(1 + below(5 * ROW));
    Pb__OpStageBegin op = PB__OP_STAGE_BEGIN__INIT;
    op.account = d->account->id;
    op.size = static_cast<uint32_t>(ledger.mail(u->marker, u->size).body.size());
    CallRef c = call(d, METHOD_STAGE_BEGIN, &op.base);
    ASK(d, c, {
        if (r.status == OK) {
            u->index = mail::unpack<Pb__OpStageBeginResult>(r.meta)->staged_index;
            u->shard = c->shard;
            upload_more(d, u);
        }
    });
}

void Post::upload_more(Device *d, const std::shared_ptr<Upload> &u)
{
    const std::string &body = ledger.mail(u->marker, u->size).body;
    if (u->sent == body.size()) {
        append(d, u.get());
        return;
    }
    Pb__OpStageChunk op = PB__OP_STAGE_CHUNK__INIT;
    op.account = d->account->id;
    op.staged_index = u->index;
    op.offset = static_cast<uint32_t>(u->sent);
    CallRef c = call(d, METHOD_STAGE_CHUNK, &op.base);
    c->stays = true;
    c->shard = u->shard;
    c->staged_index = u->index;
    c->staged_offset = u->sent;
    c->body = body.substr(u->sent, ROW * (1 + below(2)));
    size_t n = c->body.size();
    ASK(d, c, {
        if (r.status == OK) {
            u->sent += n;
            upload_more(d, u);
        }
    });
}

void Post::store(Device *d, Box *b)
{
    std::vector<uint32_t> uids = some_uids(*b, 1 + below(8), false);
    if (uids.empty()) {
        return;
    }
    Account *a = d->account;
    uint64_t box = b->id;
    std::string packed = mail::pack_uids(uids);
    Pb__OpStore op = PB__OP_STORE__INIT;
    op.account = a->id;
    op.mailbox = box;
    op.uids = mail::bytes_of(packed);
    op.mode = static_cast<Pb__OpStore__Mode>(below(3));
    op.flags = chance(30) ? FLAG_DELETED : below(32);
    op.has_unchanged_since = chance(15);
    op.unchanged_since = op.has_unchanged_since ? b->modseq.last() : 0;
    int mode = op.mode;
    uint64_t flags = op.flags;
    CallRef c = call(d, METHOD_STORE, &op.base);
    ASK(d, c, stored(a, box, uids, mode, flags, r, s));
}

void Post::expunge(Device *d, Box *b)
{
    std::vector<uint32_t> uids = some_uids(*b, 1 + below(6), false);
    if (uids.empty()) {
        return;
    }
    Account *a = d->account;
    uint64_t box = b->id;
    bool all = chance(50);
    std::string packed = mail::pack_uids(uids);
    Pb__OpExpunge op = PB__OP_EXPUNGE__INIT;
    op.account = a->id;
    op.mailbox = box;
    op.uids = mail::bytes_of(packed);
    op.only_deleted = !all;
    CallRef c = call(d, METHOD_EXPUNGE, &op.base);
    uint64_t number = c->number;
    for (uint32_t uid : uids) {
        b->rows[uid].removals.insert(number);
    }
    ASK(d, c, expunged(a, box, uids, number, all, r, s));
}

/* Copies go to the archive, moves to the trash. */
void Post::copy(Device *d, Box *b, bool move)
{
    std::vector<uint32_t> uids = some_uids(*b, 1 + below(4), true);
    if (uids.empty()) {
        return;
    }
    Account *a = d->account;
    uint64_t box = b->id;
    std::string packed = mail::pack_uids(uids);
    std::string to = move ? "Trash" : "Archive";
    Pb__OpCopy copy = PB__OP_COPY__INIT;
    Pb__OpMove moving = PB__OP_MOVE__INIT;
    copy.account = moving.account = a->id;
    copy.mailbox = moving.mailbox = box;
    copy.uids = moving.uids = mail::bytes_of(packed);
    copy.to = moving.to = mail::text(to);
    CallRef c = move ? call(d, METHOD_MOVE, &moving.base) : call(d, METHOD_COPY, &copy.base);
    uint64_t number = c->number;
    for (uint32_t uid : uids) {
        Fate &f = a->fates[b->rows[uid].marker];
        (move ? f.moves_unsure : f.copies_unsure)++;
        if (move) {
            b->rows[uid].removals.insert(number);
        }
    }
    ASK(d, c, copied(a, box, uids, number, move, r, s));
}

/* --- mailboxes: no name is used twice --- */

void Post::create(Device *d)
{
    Account *a = d->account;
    std::string name = "m" + std::to_string(next_name_++);
    Pb__OpMailboxCreate op = PB__OP_MAILBOX_CREATE__INIT;
    op.account = a->id;
    op.name = mail::text(name);
    CallRef c = call(d, METHOD_MAILBOX_CREATE, &op.base);
    ASK(d, c, {
        if (r.status == OK) {
            auto res = mail::unpack<Pb__OpMailboxCreateResult>(r.meta);
            Shown shown;
            shown.id = res->mailbox;
            shown.uidvalidity = res->uidvalidity;
            shown.uidnext = 1;
            shown.name = name;
            ledger.box(a, s, shown);
        } else {
            EXPECT_TRUE(!r.sure || r.status == ERR_TIMEOUT) << err_name(r.status);
        }
    });
}

void Post::rename(Device *d, Box *b)
{
    Account *a = d->account;
    uint64_t box = b->id;
    std::string from = name_of(*a, *b);
    std::string to = "m" + std::to_string(next_name_++);
    if (from.empty()) {
        return;
    }
    Pb__OpMailboxRename op = PB__OP_MAILBOX_RENAME__INIT;
    op.account = a->id;
    op.from = mail::text(from);
    op.to = mail::text(to);
    CallRef c = call(d, METHOD_MAILBOX_RENAME, &op.base);
    uint64_t number = c->number;
    b->renames.insert(number);
    b->names.emplace(to, NEVER);
    ASK(d, c, {
        Box &now_box = a->boxes.at(box);
        if (r.status == OK) {
            now_box.names[from] = std::min(now_box.names[from], s.ended);
        } else if (r.sure) {
            bool named = now_box.certain(s.begun) && now_box.renames.size() == 1;
            EXPECT_FALSE(r.status == ERR_NOTFOUND && named) << "no mailbox " << box << ", which nobody renamed";
            now_box.names[to] = s.begun;
            now_box.renames.erase(number);
        }
    });
}

void Post::remove_box(Device *d, Box *b)
{
    Account *a = d->account;
    uint64_t box = b->id;
    std::string name = name_of(*a, *b);
    if (name.empty()) {
        return;
    }
    Pb__OpMailboxDelete op = PB__OP_MAILBOX_DELETE__INIT;
    op.account = a->id;
    op.name = mail::text(name);
    CallRef c = call(d, METHOD_MAILBOX_DELETE, &op.base);
    uint64_t number = c->number;
    b->removals.insert(number);
    ASK(d, c, {
        Box &now_box = a->boxes.at(box);
        if (r.status == OK) {
            EXPECT_GE(now_box.gone, s.begun) << "mailbox " << box << " was deleted twice";
            now_box.gone = std::min(now_box.gone, s.ended);
        } else if (r.sure) {
            now_box.removals.erase(number);
        }
    });
}

/* --- reads --- */

void Post::select(Device *d, Box *b)
{
    Account *a = d->account;
    uint64_t box = b->id;
    Pb__ReadSelect op = PB__READ_SELECT__INIT;
    op.account = a->id;
    op.mailbox = box;
    CallRef c = call(d, METHOD_SELECT, &op.base);
    ASK(d, c, selected(a, box, &d->session, r, s));
}

void Post::sync(Device *d)
{
    Account *a = d->account;
    Pb__ReadSync op = PB__READ_SYNC__INIT;
    op.account = a->id;
    op.mailbox = d->session.box;
    op.since = d->session.modseq;
    op.uidvalidity = d->session.uidvalidity;
    CallRef c = call(d, METHOD_SYNC, &op.base);
    ASK(d, c, synced(a, &d->session, r, s));
}

void Post::fetch(Device *d, Box *b)
{
    Account *a = d->account;
    uint64_t box = b->id;
    std::vector<uint32_t> uids = some_uids(*b, 12, false);
    if (uids.empty()) {
        return;
    }
    std::string packed = mail::pack_uids(uids);
    Pb__ReadFetch op = PB__READ_FETCH__INIT;
    op.account = a->id;
    op.mailbox = box;
    op.uids = mail::bytes_of(packed);
    op.columns = FETCH_COL_FLAGS | FETCH_COL_MODSEQ;
    CallRef c = call(d, METHOD_FETCH, &op.base);
    ASK(d, c, fetched(a, box, uids, r, s));
}

void Post::body(Device *d, Box *b)
{
    Account *a = d->account;
    uint64_t box = b->id;
    std::vector<uint32_t> uids = some_uids(*b, 1, false);
    if (uids.empty()) {
        return;
    }
    uint32_t uid = uids[0];
    Pb__ReadBody op = PB__READ_BODY__INIT;
    op.account = a->id;
    op.mailbox = box;
    op.uid = uid;
    op.length = UINT32_MAX;
    CallRef c = call(d, METHOD_BODY, &op.base);
    ASK(d, c, read_body(a, box, uid, r, s));
}

void Post::list(Device *d)
{
    Account *a = d->account;
    Pb__ReadMailboxes op = PB__READ_MAILBOXES__INIT;
    op.account = a->id;
    CallRef c = call(d, METHOD_MAILBOXES, &op.base);
    ASK(d, c, listed(a, r, s));
}

} // namespace post
