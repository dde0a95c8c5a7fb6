#include "reads.h"

#include "proto/base/rng.h"
#include "proto/rpc/flags.h"
#include "world.h"

namespace mail
{

constexpr size_t CALL_ARENA_BYTES = 16 << 20;

Reader::Reader(Model *m, uint32_t shard, struct kv_txn *t, const uint8_t prefix[5], struct read_cache *cache,
               uint64_t term)
    : model_(m), shard_(shard), t_(t), cache_(cache), term_(term)
{
    memcpy(prefix_, prefix, sizeof(prefix_));
}

enum err Reader::call(enum method m, const ProtobufCMessage *req, std::string *meta, std::string *attach)
{
    struct arena arena;
    struct buf meta_buf;
    struct buf attach_buf;
    struct read_context rc = {};
    std::string packed = pack(req);
    arena_init(&arena, CALL_ARENA_BYTES);
    buf_init(&meta_buf, SIZE_MAX / 2);
    buf_init(&attach_buf, SIZE_MAX / 2);
    rc.txn = t_;
    memcpy(rc.prefix, prefix_, sizeof(rc.prefix));
    rc.shard.v = shard_;
    rc.term = term_;
    rc.deadline_ms = UINT64_MAX;
    rc.cache = cache_;
    rc.arena = &arena;
    enum err e = storage_method_run(&rc, m, slice_make(packed.data(), packed.size()), &meta_buf, &attach_buf);
    if (e == OK) {
        EXPECT_LE(meta_buf.len + attach_buf.len, 256u * 1024 - 128) << "a reply is larger than a frame";
    }
    meta->assign(reinterpret_cast<const char *>(buf_slice(&meta_buf).p), meta_buf.len);
    if (attach != nullptr) {
        attach->assign(reinterpret_cast<const char *>(buf_slice(&attach_buf).p), attach_buf.len);
    }
    buf_fini(&meta_buf);
    buf_fini(&attach_buf);
    arena_fini(&arena);
    return e;
}

void Reader::check_account(Account &a, bool bodies, struct rng *r)
{
    SCOPED_TRACE("account " + std::to_string(a.id));
    check_row(a);
    if (!a.live) {
        return;
    }
    check_kept(a);
    check_folders(a);
    for (const auto &[name, m] : a.tree) {
        if (m != nullptr && !testing::Test::HasFailure()) {
            SCOPED_TRACE("mailbox " + name);
            check_mailbox(a, name, *m, bodies, r);
        }
    }
}

void Reader::check_row(Account &a)
{
    Pb__ReadAccount req = PB__READ_ACCOUNT__INIT;
    std::string meta;
    req.account = a.id;
    enum err e = call(METHOD_ACCOUNT, &req.base, &meta, nullptr);
    if (!a.live) {
        EXPECT_EQ(e, ERR_NOTFOUND);
        return;
    }
    ASSERT_EQ(e, OK) << "the account is not there";
    auto res = unpack<Pb__ReadAccountResult>(meta);
    EXPECT_EQ(res->name, a.name);
    EXPECT_EQ(res->quota_bytes, a.quota_bytes);
    EXPECT_EQ(res->quota_messages, a.quota_messages);
    EXPECT_EQ(res->used_bytes, a.used_bytes());
    EXPECT_EQ(res->used_messages, a.used_messages());
    EXPECT_EQ(res->modseq, a.modseq);
}

/* Page by page, three rows at a time if they are few. */
void Reader::check_kept(const Account &a)
{
    Pb__ReadKept req = PB__READ_KEPT__INIT;
    req.account = a.id;
    req.max_rows = a.kept.size() < 30 ? 3 : 0;
    auto at = a.kept.begin();
    for (bool more = true; more && !testing::Test::HasFailure();) {
        std::string meta;
        ASSERT_EQ(call(METHOD_KEPT, &req.base, &meta, nullptr), OK);
        auto r = unpack<Pb__ReadKeptResult>(meta);
        for (size_t i = 0; i < r->rows; i++, ++at) {
            ASSERT_TRUE(at != a.kept.end()) << "more is kept than was expunged";
            KeptKey key = {get_le64(r->time_ms.data + 8 * i), get_le32(r->mailbox.data + 4 * i),
                           get_le32(r->uid.data + 4 * i)};
            EXPECT_EQ(key, at->first);
            EXPECT_EQ(get_le32(r->size.data + 4 * i), at->second.message.email->content->body.size());
            EXPECT_EQ(get_le64(r->flags.data + 8 * i), at->second.message.flags.system);
            EXPECT_EQ(static_cast<int64_t>(get_le64(r->internal_s.data + 8 * i)), at->second.message.internal_s);
        }
        more = r->more;
        req.from_ms = r->next_ms;
        req.from_mailbox = r->next_mailbox;
        req.from_uid = r->next_uid;
    }
    EXPECT_TRUE(at == a.kept.end()) << "a kept message is gone";
}

/* --- folders --- */

void Reader::check_folders(Account &a)
{
    std::set<std::string> left;
    uint32_t from = 0;
    for (const auto &[name, m] : a.tree) {
        left.insert(name);
    }
    left.insert(a.subscribed.begin(), a.subscribed.end());
    do {
        Pb__ReadMailboxes req = PB__READ_MAILBOXES__INIT;
        std::string meta;
        req.account = a.id;
        req.from = from;
        ASSERT_EQ(call(METHOD_MAILBOXES, &req.base, &meta, nullptr), OK);
        auto res = unpack<Pb__ReadMailboxesResult>(meta);
        EXPECT_EQ(res->modseq, a.modseq);
        for (size_t i = 0; i < res->n_mailboxes; i++) {
            folder(a, *res->mailboxes[i], &left);
        }
        from = res->next;
    } while (from != 0);
    for (const std::string &name : left) {
        ADD_FAILURE() << "folder " << name << " of account " << a.id << " is not listed";
    }
    a.unseen_folders = false;
}

void Reader::folder(Account &a, const Pb__MailboxInfo &info, std::set<std::string> *left)
{
    std::string name = info.name;
    SCOPED_TRACE("folder " + name);
    auto it = a.tree.find(name);
    EXPECT_EQ(left->erase(name), 1u) << "unknown, or listed twice";
    EXPECT_EQ(info.subscribed != 0, a.subscribed.count(name) != 0);
    EXPECT_EQ(info.nonexistent != 0, it == a.tree.end());
    if (it == a.tree.end()) {
        return;
    }
    auto next = a.tree.lower_bound(name + "/");
    bool children = next != a.tree.end() && next->first.compare(0, name.size() + 1, name + "/") == 0;
    EXPECT_EQ(info.has_children != 0, children);
    EXPECT_EQ(info.noselect != 0, it->second == nullptr);
    if (it->second != nullptr && !info.noselect) {
        learn_mailbox(a, it->second, info.mailbox, info.uidvalidity);
        this->info(a, *it->second, info);
    }
}

void Reader::info(Account &, Mailbox &m, const Pb__MailboxInfo &info)
{
    uint32_t unseen = 0;
    uint32_t deleted = 0;
    uint32_t recent = 0;
    uint64_t bytes = 0;
    for (const auto &[uid, msg] : m.messages) {
        unseen += (msg.flags.system & FLAG_SEEN) == 0;
        deleted += (msg.flags.system & FLAG_DELETED) != 0;
        recent += uid >= m.recent_uid;
        bytes += msg.email->content->body.size();
    }
    std::string objectid = string_of(info.objectid);
    if (m.objectid.empty()) {
        m.objectid = objectid;
    }
    EXPECT_EQ(m.objectid == objectid, true) << "MAILBOXID changed";
    EXPECT_EQ(info.mailbox, m.id);
    EXPECT_EQ(info.special_use, m.special_use);
    EXPECT_EQ(info.uidvalidity, m.uidvalidity);
    EXPECT_EQ(info.uidnext, m.uidnext);
    EXPECT_EQ(info.highestmodseq, m.modseq);
    EXPECT_EQ(info.messages, m.messages.size());
    EXPECT_EQ(info.unseen, unseen);
    EXPECT_EQ(info.deleted, deleted);
    EXPECT_EQ(info.recent_uid, m.recent_uid);
    EXPECT_EQ(info.recent, recent);
    EXPECT_EQ(info.size_bytes, bytes);
}

/* --- a mailbox --- */

void Reader::check_mailbox(Account &a, const std::string &name, Mailbox &m, bool bodies, struct rng *r)
{
    select(a, name, m, r);
    fetch(a, m, 0, r);
    fetch(a, m, 1 + rng_below(r, m.modseq), r);
    vanished(a, m, r);
    for (const auto &[uid, msg] : m.messages) {
        if ((bodies || rng_below(r, 10) == 0) && !testing::Test::HasFailure()) {
            body(a, m, uid, msg, r);
        }
    }
}

void Reader::select(Account &a, const std::string &name, Mailbox &m, struct rng *r)
{
    Pb__ReadSelect req = PB__READ_SELECT__INIT;
    std::string meta;
    req.account = a.id;
    req.name = text(name);
    req.mailbox = rng_below(r, 2) == 0 ? m.id : 0;
    ASSERT_EQ(call(METHOD_SELECT, &req.base, &meta, nullptr), OK);
    auto res = unpack<Pb__ReadSelectResult>(meta);
    std::vector<uint32_t> uids;
    uint32_t first_unseen = 0;
    for (const auto &[uid, msg] : m.messages) {
        uids.push_back(uid);
        if (first_unseen == 0 && (msg.flags.system & FLAG_SEEN) == 0) {
            first_unseen = uid;
        }
    }
    EXPECT_EQ(uids_of(res->uids), uids);
    EXPECT_EQ(res->first_unseen_uid, first_unseen);
    EXPECT_EQ(res->info->name, name);
    info(a, m, *res->info);
    check_keywords(m, res->keywords, res->n_keywords);
    EXPECT_EQ(res->n_keywords, m.keywords.size());
}

void Reader::fetch(Account &a, Mailbox &m, uint64_t changed_since, struct rng *r)
{
    auto at = m.messages.cbegin();
    std::string all = pack_range(1, UINT32_MAX);
    uint32_t from = 0;
    SCOPED_TRACE("fetch");
    do {
        Pb__ReadFetch req = PB__READ_FETCH__INIT;
        std::string meta;
        std::string attach;
        req.account = a.id;
        req.mailbox = m.id;
        req.uids = bytes_of(all);
        req.from_uid = from;
        req.changed_since = changed_since;
        req.columns = FETCH_COL_FLAGS | FETCH_COL_MODSEQ | FETCH_COL_INTERNAL | FETCH_COL_SAVED | FETCH_COL_SIZE |
                      FETCH_COL_OBJECTID | FETCH_COL_RECORD;
        req.max_bytes = rng_below(r, 3) == 0 ? static_cast<uint32_t>(1 + rng_below(r, 4000)) : 0;
        ASSERT_EQ(call(METHOD_FETCH, &req.base, &meta, &attach), OK);
        auto page = unpack<Pb__ReadFetchResult>(meta);
        check_keywords(m, page->keywords, page->n_keywords);
        fetch_rows(m, changed_since, *page, attach, &at);
        ASSERT_TRUE(page->next_uid == 0 || page->next_uid > from) << "no progress";
        from = page->next_uid;
    } while (from != 0 && !testing::Test::HasFailure());
    while (at != m.messages.cend() && at->second.modseq <= changed_since) {
        ++at;
    }
    EXPECT_TRUE(at == m.messages.cend()) << "UID " << at->first << " is missing";
}

void Reader::fetch_rows(Mailbox &m, uint64_t changed_since, const Pb__ReadFetchResult &page, const std::string &attach,
                        std::map<uint32_t, Message>::const_iterator *at)
{
    size_t text_at = 0;
    size_t over = 0;
    size_t n = page.rows;
    ASSERT_TRUE(page.uid.len == n * 4 && page.flags.len == n * 8 && page.modseq.len == n * 8 &&
                page.internal_s.len == n * 8 && page.save_s.len == n * 8 && page.size.len == n * 4 &&
                page.objectid.len == n * 32 && page.lens.len == n * 4);
    for (size_t i = 0; i < n; i++) {
        while (*at != m.messages.cend() && (*at)->second.modseq <= changed_since) {
            ++*at;
        }
        uint32_t uid = get_le32(page.uid.data + i * 4);
        ASSERT_TRUE(*at != m.messages.cend()) << "UID " << uid << " should not be there";
        const Message &msg = (*at)->second;
        uint64_t bits = get_le64(page.flags.data + i * 8);
        ASSERT_EQ(uid, (*at)->first);
        SCOPED_TRACE("uid " + std::to_string(uid));
        EXPECT_EQ(get_le64(page.modseq.data + i * 8), msg.modseq);
        EXPECT_EQ(static_cast<int64_t>(get_le64(page.internal_s.data + i * 8)), msg.internal_s);
        EXPECT_EQ(static_cast<int64_t>(get_le64(page.save_s.data + i * 8)), msg.save_s);
        EXPECT_EQ(get_le32(page.size.data + i * 4), msg.email->content->body.size());
        const uint8_t *overflow = nullptr;
        if ((bits & FLAG_OVERFLOW) != 0) {
            ASSERT_LE(over + 24, page.overflow.len);
            overflow = page.overflow.data + over;
            over += 24;
        }
        Flags f = flags_of(bits, overflow, page.keywords, page.n_keywords);
        EXPECT_EQ(f.system, msg.flags.system);
        EXPECT_EQ(f.keywords, msg.flags.keywords);
        std::string ids(reinterpret_cast<const char *>(page.objectid.data) + i * 32, 32);
        learn_email(model_, *msg.email, ids.substr(0, 16), ids.substr(16));
        uint32_t len = get_le32(page.lens.data + i * 4);
        ASSERT_LE(text_at + len, attach.size());
        EXPECT_TRUE(attach.compare(text_at, len, msg.email->content->record) == 0) << "another record";
        text_at += len;
        ++*at;
    }
    EXPECT_EQ(text_at, attach.size());
    EXPECT_EQ(over, page.overflow.len);
}

void Reader::vanished(Account &a, Mailbox &m, struct rng *r)
{
    Pb__ReadVanished req = PB__READ_VANISHED__INIT;
    std::string meta;
    uint64_t since = 1 + rng_below(r, m.modseq);
    uint32_t last = static_cast<uint32_t>(1 + rng_below(r, m.uidnext));
    std::string known = pack_range(1, last);
    bool within = rng_below(r, 2) == 0;
    req.account = a.id;
    req.mailbox = m.id;
    req.since = since;
    if (within) {
        req.known = bytes_of(known);
    }
    ASSERT_EQ(call(METHOD_VANISHED, &req.base, &meta, nullptr), OK);
    auto res = unpack<Pb__ReadVanishedResult>(meta);
    Uids got(res->vanished);
    for (const auto &[modseq, uid] : m.gone) {
        if (modseq > since && (!within || uid <= last)) {
            EXPECT_TRUE(got.has(uid)) << "UID " << uid << " vanished at " << modseq << " after " << since;
        }
    }
    for (uint32_t uid : got.list()) {
        EXPECT_TRUE(uid < m.uidnext && m.messages.count(uid) == 0 && (!within || uid <= last)) << "UID " << uid;
    }
}

void Reader::body(Account &a, Mailbox &m, uint32_t uid, const Message &msg, struct rng *r)
{
    const std::string &want = msg.email->content->body;
    std::string got;
    SCOPED_TRACE("body of uid " + std::to_string(uid));
    while (got.size() < want.size()) {
        Pb__ReadBody req = PB__READ_BODY__INIT;
        std::string meta;
        std::string attach;
        req.account = a.id;
        req.mailbox = m.id;
        req.uid = uid;
        req.offset = static_cast<uint32_t>(got.size());
        req.length = rng_below(r, 3) == 0 ? static_cast<uint32_t>(1 + rng_below(r, 6000)) : UINT32_MAX;
        ASSERT_EQ(call(METHOD_BODY, &req.base, &meta, &attach), OK);
        auto res = unpack<Pb__ReadBodyResult>(meta);
        ASSERT_EQ(res->size, want.size());
        ASSERT_GT(attach.size(), 0u);
        got += attach;
    }
    EXPECT_TRUE(got == want) << "another body";
}

/* --- a session catches up --- */

void Reader::sync_flags(Session *s, const std::vector<uint32_t> &uids)
{
    std::string packed = pack_uids(uids);
    uint32_t from = 0;
    do {
        Pb__ReadFetch req = PB__READ_FETCH__INIT;
        std::string meta;
        size_t over = 0;
        req.account = s->account->id;
        req.mailbox = s->mailbox->id;
        req.uids = bytes_of(packed);
        req.from_uid = from;
        req.columns = FETCH_COL_FLAGS | FETCH_COL_MODSEQ;
        ASSERT_EQ(call(METHOD_FETCH, &req.base, &meta, nullptr), OK);
        auto page = unpack<Pb__ReadFetchResult>(meta);
        for (size_t i = 0; i < page->rows; i++) {
            uint64_t bits = get_le64(page->flags.data + i * 8);
            const uint8_t *overflow = (bits & FLAG_OVERFLOW) != 0 ? page->overflow.data + 24 * over++ : nullptr;
            s->rows[get_le32(page->uid.data + i * 4)] = {flags_of(bits, overflow, page->keywords, page->n_keywords),
                                                         get_le64(page->modseq.data + i * 8)};
        }
        from = page->next_uid;
    } while (from != 0);
}

static void sync_changed(Session *s, const Pb__ReadSyncResult &r)
{
    size_t over = 0;
    std::vector<uint32_t> uids = uids_of(r.changed_uids);
    ASSERT_EQ(r.changed_flags.len, uids.size() * 8);
    ASSERT_EQ(r.changed_modseqs.len, uids.size() * 8);
    for (size_t i = 0; i < uids.size(); i++) {
        uint64_t bits = get_le64(r.changed_flags.data + i * 8);
        const uint8_t *overflow = nullptr;
        if ((bits & FLAG_OVERFLOW) != 0) {
            ASSERT_LE(24 * over + 24, r.changed_overflow.len);
            overflow = r.changed_overflow.data + 24 * over++;
        }
        EXPECT_EQ(s->rows.count(uids[i]), 1u) << "changed UID " << uids[i] << " was not there";
        s->rows[uids[i]] = {flags_of(bits, overflow, r.keywords, r.n_keywords),
                            get_le64(r.changed_modseqs.data + i * 8)};
    }
}

void Reader::sync(Session *s, struct rng *)
{
    SCOPED_TRACE("session on mailbox " + std::to_string(s->mailbox->id) + " of account " +
                 std::to_string(s->account->id) + " since " + std::to_string(s->modseq));
    bool more = true;
    for (int page = 0; more && !testing::Test::HasFailure(); page++) {
        Pb__ReadSync req = PB__READ_SYNC__INIT;
        std::string meta;
        req.account = s->account->id;
        req.mailbox = s->mailbox->id;
        req.since = s->modseq;
        req.uidvalidity = s->mailbox->uidvalidity;
        ASSERT_EQ(call(METHOD_SYNC, &req.base, &meta, nullptr), OK);
        auto res = unpack<Pb__ReadSyncResult>(meta);
        EXPECT_EQ(res->deleted != 0, s->mailbox->deleted || !s->account->live);
        if (res->deleted) {
            return;
        }
        ASSERT_LT(page, 100);
        std::vector<uint32_t> fresh = uids_of(res->full ? res->uids : res->new_uids);
        if (res->full) {
            s->rows.clear();
        }
        sync_flags(s, fresh);
        sync_changed(s, *res);
        for (uint32_t uid : uids_of(res->vanished)) {
            s->rows.erase(uid);
        }
        EXPECT_TRUE(res->modseq >= s->modseq);
        s->modseq = res->modseq;
        more = res->more;
    }
    EXPECT_EQ(s->rows.size(), s->mailbox->messages.size());
    for (const auto &[uid, msg] : s->mailbox->messages) {
        auto it = s->rows.find(uid);
        ASSERT_TRUE(it != s->rows.end()) << "the session misses UID " << uid;
        EXPECT_EQ(it->second.first.system, msg.flags.system) << "of UID " << uid;
        EXPECT_EQ(it->second.first.keywords, msg.flags.keywords) << "of UID " << uid;
        EXPECT_EQ(it->second.second, msg.modseq) << "of UID " << uid;
    }
}

/* --- the directory --- */

/* Whose mail it is; aliases may name aliases, also in a circle. */
static std::set<std::string> expand(const Model &m, const std::string &name)
{
    std::set<std::string> seen = {name};
    std::set<std::string> out;
    std::vector<std::string> work = {name};
    while (!work.empty()) {
        std::string at = work.back();
        work.pop_back();
        if (m.names.count(at) != 0) {
            out.insert(at);
        }
        auto alias = m.aliases.find(at);
        for (const std::string &t : alias == m.aliases.end() ? std::set<std::string>() : alias->second) {
            if (seen.insert(t).second) {
                work.push_back(t);
            }
        }
    }
    return out;
}

void Reader::check_directory()
{
    std::set<std::string> all;
    for (const auto &[name, n] : model_->names) {
        all.insert(name);
    }
    for (const auto &[name, t] : model_->aliases) {
        all.insert(name);
    }
    all.insert("nobody@sim.test");
    for (const std::string &name : all) {
        SCOPED_TRACE("address " + name);
        Pb__ReadResolve req = PB__READ_RESOLVE__INIT;
        std::string meta;
        std::string mixed = name;
        mixed[0] = static_cast<char>(toupper(mixed[0]));
        req.address = text(mixed);
        ASSERT_EQ(call(METHOD_RESOLVE, &req.base, &meta, nullptr), OK);
        auto res = unpack<Pb__ReadResolveResult>(meta);
        std::set<std::string> want = expand(*model_, name);
        std::set<std::string> got;
        for (size_t i = 0; i < res->n_targets; i++) {
            auto known = model_->names.find(res->targets[i]->name);
            ASSERT_TRUE(known != model_->names.end()) << res->targets[i]->name;
            DirName &n = known->second;
            got.insert(res->targets[i]->name);
            if (n.account == 0) {
                EXPECT_TRUE(model_->accounts_seen.insert(res->targets[i]->account).second) << "account id came again";
                n.account = res->targets[i]->account;
                n.shard = res->targets[i]->shard;
            }
            EXPECT_EQ(res->targets[i]->account, n.account);
            EXPECT_EQ(res->targets[i]->shard, n.shard);
        }
        EXPECT_EQ(got, want);
        bool local = model_->domains.count(name.substr(name.find('@') + 1)) != 0;
        EXPECT_EQ(res->kind, !local         ? PB__READ_RESOLVE_RESULT__KIND__NOT_LOCAL
                             : want.empty() ? PB__READ_RESOLVE_RESULT__KIND__NO_SUCH_USER
                                            : PB__READ_RESOLVE_RESULT__KIND__LOCAL);
    }
}

} // namespace mail
