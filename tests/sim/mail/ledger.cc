#include "ledger.h"

#include <algorithm>

#include "proto/message/message.h"

namespace post
{

uint64_t Ascending::before(uint64_t begun) const
{
    auto it = std::lower_bound(steps_.begin(), steps_.end(), std::make_pair(begun, uint64_t{0}));
    return it == steps_.begin() ? 0 : std::prev(it)->second;
}

/* It may have this name in the eyes of a call that began then. */
bool Box::listed(const std::string &name, uint64_t begun) const
{
    auto it = names.find(name);
    return it != names.end() && it->second >= begun;
}

/* --- mail --- */

static const char HEAD[] = "Message-ID: <";

static std::string body_of(uint64_t marker, size_t bytes)
{
    std::string body = HEAD + std::to_string(marker) + "@sim.test>\r\nSubject: topic " + std::to_string(marker % 5) +
                       "\r\nFrom: <a@sim.test>\r\n\r\n";
    uint64_t x = marker * 0x9e3779b97f4a7c15u + 1;
    body.reserve(body.size() + bytes);
    for (size_t i = 0; i < bytes; i++) {
        if (i % 8 == 0) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
        }
        body += i % 70 == 69 ? '\n' : static_cast<char>(x >> (i % 8 * 8));
    }
    return body;
}

static uint64_t marker_of(const std::string &body)
{
    size_t n = sizeof(HEAD) - 1;
    return body.compare(0, n, HEAD) == 0 ? strtoull(body.c_str() + n, nullptr, 10) : 0;
}

const Mail &Ledger::mail(uint64_t marker, size_t bytes)
{
    Mail &m = mails_[marker];
    struct msg_parser *p;
    struct buf record;
    m.body = body_of(marker, bytes);
    buf_init(&record, SIZE_MAX / 2);
    EXPECT_EQ(msg_parser_new(&msg_limits_default, &p), OK);
    EXPECT_EQ(msg_parser_feed(p, slice_make(m.body.data(), m.body.size())), OK);
    EXPECT_EQ(msg_parser_finish(p, &record), OK);
    m.record.assign(reinterpret_cast<const char *>(buf_slice(&record).p), record.len);
    msg_parser_free(p);
    buf_fini(&record);
    return m;
}

/* --- rows --- */

static std::string at(const Box &b, uint32_t uid)
{
    return "UID " + std::to_string(uid) + " of mailbox " + std::to_string(b.id);
}

/* The row is there. */
void Ledger::exists(Box *b, Span s, uint32_t uid)
{
    auto [it, fresh] = b->rows.try_emplace(uid);
    Row &r = it->second;
    EXPECT_GE(r.gone, s.begun) << at(*b, uid) << " is there again after it was gone";
    EXPECT_TRUE(!fresh || uid >= b->complete.before(s.begun))
        << at(*b, uid) << " is there though a call that saw all of them did not see it";
    r.seen = std::min(r.seen, s.ended);
}

void Ledger::saw_row(Box *b, Span s, uint32_t uid, uint64_t modseq, uint64_t flags)
{
    exists(b, s, uid);
    Row &r = b->rows[uid];
    auto known = r.flags.emplace(modseq, flags);
    EXPECT_EQ(known.first->second, flags) << at(*b, uid) << " has other flags at the same MODSEQ " << modseq;
    EXPECT_GE(modseq, r.modseq.before(s.begun)) << at(*b, uid) << ": a read went back";
    r.modseq.saw(s.ended, modseq);
}

void Ledger::saw_row_gone(Box *b, Span s, uint32_t uid)
{
    auto it = b->rows.find(uid);
    if (it == b->rows.end()) {
        return;
    }
    EXPECT_FALSE(it->second.certain(s.begun) && b->removals.empty())
        << at(*b, uid) << " (mail " << it->second.marker << ") is lost: nobody removed it";
    it->second.gone = std::min(it->second.gone, s.ended);
}

void Ledger::saw_content(Box *b, Span s, uint32_t uid, const std::string &body)
{
    uint64_t marker = marker_of(body);
    exists(b, s, uid);
    Row &r = b->rows[uid];
    auto m = mails_.find(marker);
    ASSERT_TRUE(m != mails_.end()) << at(*b, uid) << " has a body that nobody sent";
    EXPECT_TRUE(m->second.body == body) << at(*b, uid) << ": the body of mail " << marker << " is another";
    EXPECT_TRUE(r.marker == 0 || r.marker == marker)
        << at(*b, uid) << " was mail " << r.marker << " and is mail " << marker << ": the UID was used again";
    r.marker = marker;
}

void Ledger::made(Account *a, Span s, uint64_t id, uint32_t uidvalidity, uint32_t uid, uint64_t marker)
{
    Shown shown;
    shown.id = id;
    shown.uidvalidity = uidvalidity;
    shown.uidnext = uid + 1;
    Box *b = box(a, s, shown);
    EXPECT_GE(uid, b->uidnext.before(s.begun)) << at(*b, uid) << " is given below UIDNEXT";
    bool known = b->rows.count(uid) != 0;
    Row &r = b->rows[uid];
    EXPECT_TRUE(!r.explained || r.marker == marker)
        << at(*b, uid) << " was given to mail " << r.marker << " and to mail " << marker;
    EXPECT_TRUE(r.marker == 0 || r.marker == marker) << at(*b, uid) << " is mail " << r.marker << ", not " << marker;
    EXPECT_TRUE(known || uid >= b->complete.before(s.begun)) << at(*b, uid) << " was not there before";
    r.marker = marker;
    r.explained = true;
    r.seen = std::min(r.seen, s.ended);
}

/* --- mailboxes --- */

Box *Ledger::box(Account *a, Span s, const Shown &shown)
{
    Box &b = a->boxes[shown.id];
    b.id = shown.id;
    b.seen = std::min(b.seen, s.ended);
    EXPECT_GE(b.gone, s.begun) << "mailbox " << b.id << " is there again after it was gone";
    if (b.uidvalidity == 0) {
        b.uidvalidity = shown.uidvalidity;
        for (const auto &[id, other] : a->boxes) {
            EXPECT_TRUE(id == b.id || other.uidvalidity != b.uidvalidity) << "a UIDVALIDITY twice";
        }
    }
    EXPECT_EQ(b.uidvalidity, shown.uidvalidity) << "UIDVALIDITY of mailbox " << b.id << " changed";
    if (shown.modseq != 0) {
        EXPECT_GE(shown.modseq, b.modseq.before(s.begun)) << "mailbox " << b.id << ": a read went back";
        EXPECT_GE(shown.uidnext, b.uidnext.before(s.begun)) << "mailbox " << b.id << ": UIDNEXT went back";
        b.modseq.saw(s.ended, shown.modseq);
    }
    b.uidnext.saw(s.ended, shown.uidnext);
    if (!shown.name.empty()) {
        EXPECT_TRUE(b.names.empty() || b.listed(shown.name, s.begun))
            << "mailbox " << b.id << " has the name " << shown.name << ", which it does not have any more";
        b.names.emplace(shown.name, NEVER);
        a->named[shown.name] = b.id;
    }
    return &b;
}

void Ledger::saw_box_gone(Account *a, Span s, uint64_t id)
{
    auto it = a->boxes.find(id);
    if (it == a->boxes.end()) {
        return;
    }
    EXPECT_FALSE(it->second.certain(s.begun)) << "mailbox " << id << " is lost: nobody deleted it";
    it->second.gone = std::min(it->second.gone, s.ended);
}

void Ledger::saw_all(Box *b, Span s, const Shown &shown, const std::set<uint32_t> &uids)
{
    auto known = b->snapshots.emplace(shown.modseq, uids);
    EXPECT_EQ(known.first->second, uids) << "mailbox " << b->id << " has other UIDs at the same MODSEQ "
                                         << shown.modseq;
    for (uint32_t uid : uids) {
        EXPECT_LT(uid, shown.uidnext);
        exists(b, s, uid);
    }
    for (const auto &[uid, r] : b->rows) {
        if (uids.count(uid) == 0 && r.seen < s.begun) {
            saw_row_gone(b, s, uid);
        }
    }
    b->complete.saw(s.ended, shown.uidnext);
}

void Ledger::saw_list(Account *a, Span s, const std::vector<Shown> &list)
{
    std::set<uint64_t> there;
    for (const Shown &shown : list) {
        box(a, s, shown);
        there.insert(shown.id);
    }
    for (const auto &[id, b] : a->boxes) {
        if (there.count(id) == 0 && b.seen < s.begun) {
            saw_box_gone(a, s, id);
        }
    }
}

void Ledger::saw_modseq(Account *a, Span s, uint64_t modseq)
{
    if (modseq == 0) {
        return; /* of a call that changed nothing */
    }
    EXPECT_GE(modseq, a->modseq.before(s.begun)) << "account " << a->id << ": MODSEQ went back";
    a->modseq.saw(s.ended, modseq);
}

/* Rows that went before anybody read what they were. */
static bool unread(const Account &a)
{
    for (const auto &[id, b] : a.boxes) {
        for (const auto &[uid, r] : b.rows) {
            if (r.marker == 0) {
                return true;
            }
        }
        if (b.gone != NEVER) {
            return true;
        }
    }
    return false;
}

/* --- the end --- */

void Ledger::count_mail(const Account &a, uint64_t marker, const Fate &f,
                        const std::vector<std::pair<const Box *, uint32_t>> &rows)
{
    unsigned born = 0;
    unsigned unexplained[3] = {};
    unsigned trashed = 0;
    SCOPED_TRACE("mail " + std::to_string(marker) + " of account " + std::to_string(a.id));
    for (const auto &[b, uid] : rows) {
        born += b->kind == Kind::BIRTH;
        trashed += b->kind == Kind::TRASH;
        unexplained[static_cast<int>(b->kind)] += !b->rows.at(uid).explained;
    }
    EXPECT_LE(born, 1u) << "it was delivered twice";
    EXPECT_FALSE(f.impossible && born > 0) << "it was refused, and is there";
    EXPECT_LE(trashed, 1u) << "it was moved twice";
    EXPECT_LE(unexplained[static_cast<int>(Kind::ARCHIVE)], f.copies_unsure) << "it was copied twice";
    EXPECT_LE(unexplained[static_cast<int>(Kind::TRASH)], f.moves_unsure) << "it was moved by nobody";
    if (f.acked && f.box == 0) {
        /* Where it came to nobody was told; who removed it before anybody read it, the end cannot know. */
        EXPECT_TRUE(!rows.empty() || unread(a)) << "it is lost";
    } else if (f.acked) {
        const Row &r = a.boxes.at(f.box).rows.at(f.uid);
        EXPECT_EQ(r.marker, marker);
        EXPECT_TRUE(r.gone == NEVER || !r.removals.empty() || !a.boxes.at(f.box).removals.empty()) << "it is lost";
    }
}

/* Each mail of the account, acknowledged or not, in all mailboxes that ever were. */
void Ledger::count(const Account &a)
{
    std::map<uint64_t, std::vector<std::pair<const Box *, uint32_t>>> rows;
    for (const auto &[id, b] : a.boxes) {
        for (const auto &[uid, r] : b.rows) {
            if (r.marker != 0) {
                rows[r.marker].emplace_back(&b, uid);
            }
        }
    }
    for (const auto &[marker, list] : rows) {
        EXPECT_EQ(a.fates.count(marker), 1u)
            << "mail " << marker << " is in account " << a.id << ", where nobody sent it";
    }
    for (const auto &[marker, f] : a.fates) {
        count_mail(a, marker, f, rows[marker]);
    }
}

} // namespace post
