/* What answers tell. An answer that is not sure tells nothing: whatever the call asked may still happen. */
#include <algorithm>

#include "../storage/wire.h"
#include "post.h"
#include "proto/rpc/flags.h"

namespace post
{

using mail::unpack;

static Shown shown_of(const Pb__MailboxInfo &i)
{
    Shown s;
    s.id = i.mailbox;
    s.name = i.name;
    s.uidvalidity = i.uidvalidity;
    s.uidnext = i.uidnext;
    s.modseq = i.highestmodseq;
    return s;
}

static std::set<uint32_t> set_of(ProtobufCBinaryData b)
{
    std::vector<uint32_t> list = mail::uids_of(b);
    return std::set<uint32_t>(list.begin(), list.end());
}

/* --- mail comes --- */

void Post::delivered(const std::vector<Account *> &to, uint64_t marker, const Answer &a, Span s)
{
    if (a.status != OK) {
        for (Account *account : to) {
            account->fates[marker].impossible = a.sure;
        }
        EXPECT_TRUE(!a.sure || a.status == ERR_TIMEOUT) << "a delivery was refused: " << err_name(a.status);
        return;
    }
    auto r = unpack<Pb__OpDeliverResult>(a.meta);
    ASSERT_EQ(r->n_recipients, to.size());
    for (size_t i = 0; i < to.size(); i++) {
        const Pb__DeliverStatus *st = r->recipients[i];
        Fate &f = to[i]->fates[marker];
        ASSERT_EQ(st->err, static_cast<uint32_t>(OK));
        f.acked = true;
        f.box = st->mailbox;
        f.uid = st->uid;
        if (st->mailbox == 0) {
            EXPECT_TRUE(r->handed_off);
            happened["recipients that had moved"]++;
            continue; /* it comes later, and nobody is told under which UID */
        }
        ledger.made(to[i], s, st->mailbox, st->uidvalidity, st->uid, marker);
    }
}

/* box: which the device meant by the name. */
void Post::appended(Account *a, uint64_t marker, uint64_t box, const Answer &r, Span s)
{
    Fate &f = a->fates[marker];
    if (r.status == OK) {
        auto res = unpack<Pb__OpAppendResult>(r.meta);
        f.acked = true;
        f.box = res->mailbox;
        f.uid = res->uid;
        EXPECT_EQ(res->mailbox, box) << "a name led to another mailbox";
        ledger.made(a, s, res->mailbox, res->uidvalidity, res->uid, marker);
        return;
    }
    f.impossible = r.sure;
    const Box &b = a->boxes.at(box);
    bool named = b.certain(s.begun) && b.renames.empty();
    EXPECT_FALSE(r.sure && r.status == ERR_NOTFOUND && named) << "no mailbox " << box << ", which nobody renamed";
}

/* --- mail changes --- */

void Post::stored(Account *a, uint64_t box, const std::vector<uint32_t> &uids, int mode, uint64_t flags,
                  const Answer &r, Span s)
{
    if (r.status == ERR_NOTFOUND && r.sure) {
        ledger.saw_box_gone(a, s, box);
    }
    if (r.status != OK) {
        return;
    }
    auto res = unpack<Pb__OpStoreResult>(r.meta);
    Box *b = &a->boxes.at(box);
    std::vector<uint32_t> changed = mail::uids_of(res->changed_uids);
    std::set<uint32_t> left(uids.begin(), uids.end());
    ASSERT_TRUE(res->flags.len == changed.size() * 8 && res->modseqs.len == changed.size() * 8);
    ledger.saw_modseq(a, s, res->modseq);
    for (size_t i = 0; i < changed.size(); i++) {
        uint64_t has = get_le64(res->flags.data + i * 8) & FLAG_SYSTEM_MASK;
        uint64_t want = mode == PB__OP_STORE__MODE__ADD      ? has | flags
                        : mode == PB__OP_STORE__MODE__REMOVE ? has & ~flags
                                                             : flags;
        EXPECT_EQ(has, want) << "of UID " << changed[i];
        EXPECT_EQ(left.erase(changed[i]), 1u) << "UID " << changed[i] << " was not asked for";
        ledger.saw_row(b, s, changed[i], get_le64(res->modseqs.data + i * 8), has);
    }
    std::set<uint32_t> modified = set_of(res->modified_uids);
    for (uint32_t uid : left) {
        if (modified.count(uid) == 0) {
            ledger.saw_row_gone(b, s, uid);
        }
    }
}

/* A call that removes rows was answered: `gone` it did, the others it did not. all: what it did not remove was not
 * there. */
void Post::removed(Account *a, uint64_t box, const std::vector<uint32_t> &uids, uint64_t call,
                   const std::set<uint32_t> &gone, bool all, Span s)
{
    Box *b = &a->boxes.at(box);
    for (uint32_t uid : uids) {
        Row &r = b->rows[uid];
        if (gone.count(uid) != 0) {
            EXPECT_GE(r.gone, s.begun) << "UID " << uid << " of mailbox " << box << " was removed twice";
            r.seen = std::min(r.seen, s.ended);
            r.gone = std::min(r.gone, s.ended);
            continue;
        }
        r.removals.erase(call);
        if (all) {
            ledger.saw_row_gone(b, s, uid);
        }
    }
    for (uint32_t uid : gone) {
        EXPECT_TRUE(std::find(uids.begin(), uids.end(), uid) != uids.end()) << "UID " << uid << " was not asked for";
    }
}

void Post::expunged(Account *a, uint64_t box, const std::vector<uint32_t> &uids, uint64_t call, bool all,
                    const Answer &r, Span s)
{
    if (r.status == OK) {
        auto res = unpack<Pb__OpExpungeResult>(r.meta);
        ledger.saw_modseq(a, s, res->modseq);
        removed(a, box, uids, call, set_of(res->uids), all, s);
    } else if (r.sure) {
        if (r.status == ERR_NOTFOUND) {
            ledger.saw_box_gone(a, s, box);
        }
        removed(a, box, uids, call, {}, false, s);
    }
}

void Post::copied(Account *a, uint64_t box, const std::vector<uint32_t> &uids, uint64_t call, bool move,
                  const Answer &r, Span s)
{
    Box *b = &a->boxes.at(box);
    auto unsure = [&](uint32_t uid) -> unsigned & {
        Fate &f = a->fates[b->rows.at(uid).marker];
        return move ? f.moves_unsure : f.copies_unsure;
    };
    if (r.status != OK && !r.sure) {
        return;
    }
    for (uint32_t uid : uids) {
        unsure(uid)--;
    }
    if (r.status != OK) {
        if (r.status == ERR_STALE || r.status == ERR_NOTFOUND) {
            ledger.saw_box_gone(a, s, box);
        }
        if (move) {
            removed(a, box, uids, call, {}, false, s);
        }
        return;
    }
    auto res = unpack<Pb__OpCopyResult>(r.meta);
    std::vector<uint32_t> from = mail::uids_of(res->source_uids);
    std::vector<uint32_t> to = mail::uids_of(res->dest_uids);
    ASSERT_EQ(from.size(), to.size());
    ledger.saw_modseq(a, s, res->modseq);
    std::set<uint32_t> done(from.begin(), from.end());
    for (size_t i = 0; i < from.size(); i++) {
        ledger.made(a, s, res->to_mailbox, res->uidvalidity, to[i], b->rows[from[i]].marker);
    }
    if (move) {
        removed(a, box, uids, call, done, true, s);
        return;
    }
    for (uint32_t uid : uids) {
        if (done.count(uid) == 0) {
            ledger.saw_row_gone(b, s, uid);
        } else {
            EXPECT_GE(b->rows[uid].gone, s.begun) << "UID " << uid << " was copied after it was gone";
        }
    }
}

/* --- reads --- */

void Post::listed(Account *a, const Answer &r, Span s)
{
    if (r.status != OK) {
        return;
    }
    auto res = unpack<Pb__ReadMailboxesResult>(r.meta);
    std::vector<Shown> all;
    ASSERT_EQ(res->next, 0u);
    for (size_t i = 0; i < res->n_mailboxes; i++) {
        all.push_back(shown_of(*res->mailboxes[i]));
    }
    ledger.saw_modseq(a, s, res->modseq);
    ledger.saw_list(a, s, all);
}

void Post::selected(Account *a, uint64_t box, Session *session, const Answer &r, Span s)
{
    if (r.status == ERR_NOTFOUND) {
        ledger.saw_box_gone(a, s, box);
    }
    if (r.status != OK) {
        return;
    }
    auto res = unpack<Pb__ReadSelectResult>(r.meta);
    Shown shown = shown_of(*res->info);
    std::set<uint32_t> uids = set_of(res->uids);
    EXPECT_EQ(shown.id, box);
    EXPECT_EQ(res->info->messages, uids.size());
    ledger.saw_all(ledger.box(a, s, shown), s, shown, uids);
    if (session != nullptr) {
        *session = {box, shown.uidvalidity, shown.modseq, true, uids};
    }
}

void Post::synced(Account *a, Session *session, const Answer &r, Span s)
{
    if (r.status != OK) {
        return;
    }
    auto res = unpack<Pb__ReadSyncResult>(r.meta);
    if (res->deleted) {
        ledger.saw_box_gone(a, s, session->box);
        session->valid = false;
        return;
    }
    EXPECT_GE(res->modseq, session->modseq) << "SYNC of mailbox " << session->box << " went back";
    Shown shown = shown_of(*res->info);
    Box *b = ledger.box(a, s, shown);
    std::vector<uint32_t> changed = mail::uids_of(res->changed_uids);
    std::set<uint32_t> uids = res->full ? set_of(res->uids) : session->uids;
    for (uint32_t uid : mail::uids_of(res->new_uids)) {
        uids.insert(uid);
    }
    for (size_t i = 0; i < changed.size(); i++) {
        uint64_t modseq = get_le64(res->changed_modseqs.data + i * 8);
        EXPECT_GT(modseq, session->modseq);
        ledger.saw_row(b, s, changed[i], modseq, get_le64(res->changed_flags.data + i * 8) & FLAG_SYSTEM_MASK);
    }
    for (uint32_t uid : mail::uids_of(res->vanished)) {
        uids.erase(uid);
    }
    session->uids = uids;
    session->modseq = res->modseq;
    if (!res->more) {
        EXPECT_EQ(shown.modseq, res->modseq);
        ledger.saw_all(b, s, shown, uids);
    }
}

void Post::fetched(Account *a, uint64_t box, const std::vector<uint32_t> &uids, const Answer &r, Span s)
{
    if (r.status == ERR_NOTFOUND) {
        ledger.saw_box_gone(a, s, box);
    }
    if (r.status != OK) {
        return;
    }
    auto res = unpack<Pb__ReadFetchResult>(r.meta);
    Box *b = &a->boxes.at(box);
    std::set<uint32_t> left(uids.begin(), uids.end());
    ASSERT_EQ(res->next_uid, 0u);
    for (size_t i = 0; i < res->rows; i++) {
        uint32_t uid = get_le32(res->uid.data + i * 4);
        left.erase(uid);
        ledger.saw_row(b, s, uid, get_le64(res->modseq.data + i * 8),
                       get_le64(res->flags.data + i * 8) & FLAG_SYSTEM_MASK);
    }
    for (uint32_t uid : left) {
        ledger.saw_row_gone(b, s, uid);
    }
}

void Post::read_body(Account *a, uint64_t box, uint32_t uid, const Answer &r, Span s)
{
    if (r.status == ERR_NOTFOUND) {
        ledger.saw_box_gone(a, s, box);
    } else if (r.status == ERR_EXPUNGED) {
        ledger.saw_row_gone(&a->boxes.at(box), s, uid);
    } else if (r.status == OK) {
        auto res = unpack<Pb__ReadBodyResult>(r.meta);
        EXPECT_EQ(res->size, r.attach.size());
        ledger.saw_content(&a->boxes.at(box), s, uid, r.attach);
    }
}

} // namespace post
