/* What clients ask for, drawn from the seed and the committed state. */
#include "proto/message/message.h"
#include "proto/rpc/flags.h"
#include "world.h"

namespace mail
{

constexpr uint64_t ROW = REPL_BODY_CHUNK_DATA;
constexpr size_t UPLOADS_MAX = 4;
constexpr size_t SESSIONS_MAX = 6;

void World::clients(struct kv_txn *t)
{
    for (uint32_t s = 0; s < options_.shards && !testing::Test::HasFailure(); s++) {
        Reader rd = reader(s, t);
        for (const auto &[id, a] : model.shards[s].accounts) {
            if (a->live && (a->unseen_folders || chance(6))) {
                a->unseen_folders || chance(70) ? rd.check_folders(*a) : rd.check_account(*a, false, &rng_);
            }
        }
        for (Session &sess : sessions_) {
            if (sess.account->shard == s && chance(25)) {
                rd.sync(&sess, &rng_);
            }
        }
    }
    for (const auto &[name, n] : model.names) {
        if (n.account == 0) {
            reader(0, t).check_directory();
            break;
        }
    }
    for (size_t i = 0; i < sessions_.size(); i++) {
        if (sessions_[i].mailbox->deleted || !sessions_[i].account->live || chance(3)) {
            sessions_.erase(sessions_.begin() + static_cast<long>(i--));
        }
    }
    uint64_t n = quiet_ ? 0 : below(static_cast<uint64_t>(options_.ops_per_step) + 1);
    for (; n > 0; n--) {
        client_op();
    }
}

void World::client_op()
{
    uint32_t shard = static_cast<uint32_t>(1 + below(options_.shards - 1));
    AccountRef a = some_account(shard);
    if (a == nullptr || chance(4)) {
        op_account();
        return;
    }
    if (chance(3)) {
        op_directory();
        return;
    }
    if (options_.bulk && chance(60)) {
        op_bulk(a);
        return;
    }
    if (sessions_.size() < SESSIONS_MAX && chance(20)) {
        std::string name;
        Session s;
        s.account = a;
        s.mailbox = some_mailbox(*a, &name);
        if (s.mailbox != nullptr && s.mailbox->id != 0) {
            sessions_.push_back(s);
        }
    }
    static void (World::*const more[])(const AccountRef &) = {
        &World::op_store, &World::op_store,  &World::op_expunge, &World::op_copy,  &World::op_copy,
        &World::op_move,  &World::op_folder, &World::op_misc,    &World::op_store, &World::op_undelete};
    uint64_t pick = below(100);
    if (pick < 22) {
        op_deliver(a, nullptr);
    } else if (pick < 32) {
        op_append(a, nullptr);
    } else if (pick < 46) {
        op_upload(shard);
    } else {
        (this->*more[below(sizeof(more) / sizeof(more[0]))])(a);
    }
}

/* --- what to name --- */

AccountRef World::some_account(uint32_t shard)
{
    std::vector<AccountRef> live;
    for (const auto &[id, a] : model.shards[shard].accounts) {
        if (a->live) {
            live.push_back(a);
        }
    }
    return live.empty() ? nullptr : live[below(live.size())];
}

MailboxRef World::some_mailbox(const Account &a, std::string *out_name)
{
    auto it = a.tree.begin();
    if (chance(50)) {
        it = a.tree.find("INBOX");
    } else {
        std::advance(it, static_cast<long>(below(a.tree.size())));
    }
    *out_name = it->first;
    return it->second;
}

std::string World::some_name(const Account &a)
{
    static const char *const fresh[] = {"a",
                                        "b",
                                        "a/x",
                                        "a/x/y",
                                        "b/z",
                                        "INBOX/sub",
                                        "inbox/Sub2",
                                        "Inbox",
                                        "k\xc3\xa4se",
                                        "a/k\xc3\xa4se/deep",
                                        "Archive/2024",
                                        "b/z/1/2/3",
                                        "inbox"};
    std::string name;
    if (chance(2)) {
        static const std::string bad[] = {
            "", "a//b", "/a", "a/", std::string(256, 'x'), "a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q"};
        return bad[below(6)];
    }
    if (chance(40)) {
        some_mailbox(a, &name);
        return name;
    }
    if (chance(15)) {
        some_mailbox(a, &name);
        return name.size() < 150 ? name + "/c" + std::to_string(below(3)) : name;
    }
    return fresh[below(sizeof(fresh) / sizeof(fresh[0]))];
}

std::string World::some_uids(const Mailbox &m)
{
    std::vector<uint32_t> uids;
    if (chance(15)) {
        return pack_range(1, UINT32_MAX);
    }
    uint64_t percent = 5 + below(60);
    uint32_t first = m.uidnext > 1000 ? static_cast<uint32_t>(m.uidnext - 1000) : 1; /* a request names 1,000 at most */
    for (uint32_t uid = first; uid <= m.uidnext; uid++) {
        if (below(100) < percent) {
            uids.push_back(uid); /* also UIDs that are gone, and one that is not yet given */
        }
    }
    return pack_uids(uids);
}

std::vector<std::string> World::some_keywords()
{
    std::vector<std::string> out;
    uint64_t n = chance(60) ? 0 : chance(options_.keywords_percent) ? below(70) : 1 + below(3);
    for (; n > 0; n--) {
        out.push_back((chance(20) ? "KW" : "kw") + std::to_string(below(chance(85) ? 90 : 260)));
    }
    return out;
}

static std::shared_ptr<const Content> make_content(const std::string &body)
{
    auto c = std::make_shared<Content>();
    struct msg_parser *p;
    struct buf record;
    c->body = body;
    buf_init(&record, SIZE_MAX / 2);
    EXPECT_EQ(msg_parser_new(&msg_limits_default, &p), OK);
    EXPECT_EQ(msg_parser_feed(p, slice_make(body.data(), body.size())), OK);
    EXPECT_EQ(msg_parser_finish(p, &record), OK);
    c->record.assign(reinterpret_cast<const char *>(buf_slice(&record).p), record.len);
    msg_parser_free(p);
    buf_fini(&record);
    return c;
}

std::shared_ptr<const Content> World::some_content(bool large)
{
    uint64_t n = next_id_++;
    std::string body = "Message-ID: <" + std::to_string(n) + "@sim.test>\r\nSubject: " + (chance(50) ? "Re: " : "") +
                       "topic " + std::to_string(below(4)) + "\r\nFrom: <a@sim.test>\r\n";
    if (n > 1 && chance(50)) {
        body += "In-Reply-To: <" + std::to_string(1 + below(n - 1)) + "@sim.test>\r\n";
    }
    if (chance(5)) { /* a record of several rows */
        for (int i = 0; i < 60; i++) {
            body += "To: <" + std::string(60, 'r') + std::to_string(i) + "@sim.test>\r\n";
        }
    }
    body += "\r\n";
    size_t bytes = large ? 1 + below(5 * ROW) : below(chance(20) ? 9000 : 400);
    uint64_t x = n * 0x9e3779b97f4a7c15u + 1;
    for (size_t i = 0; i < bytes; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        body += i % 70 == 69 ? '\n' : static_cast<char>(x >> 56);
    }
    return make_content(body);
}

/* --- mail --- */

void World::op_deliver(const AccountRef &a, Upload *u)
{
    std::map<uint32_t, std::vector<Pb__Recipient>> by_shard;
    std::list<std::string> names;
    auto add = [&](uint32_t shard, uint64_t account, const std::string &mailbox) {
        Pb__Recipient r = PB__RECIPIENT__INIT;
        r.account = account;
        r.mailbox = text(names.emplace_back(mailbox));
        r.flags = below(3) == 0 ? below(32) : 0;
        r.address = text(names.emplace_back("r" + std::to_string(account) + "@sim.test"));
        by_shard[shard].push_back(r);
    };
    if (u != nullptr || chance(95)) {
        add(a->shard, a->id, chance(70) ? "" : some_name(*a));
    }
    for (uint64_t n = chance(50) ? 0 : below(5); n > 0; n--) {
        uint32_t shard = static_cast<uint32_t>(1 + below(options_.shards - 1));
        const auto &all = model.shards[shard].accounts;
        auto it = all.begin();
        if (!all.empty()) {
            std::advance(it, static_cast<long>(below(all.size())));
            add(shard, chance(5) ? 999999 : it->first, chance(80) ? "" : some_name(*it->second)); /* removed ones too */
        }
    }
    std::vector<Pb__Recipient *> mine;
    std::list<std::vector<Pb__Recipient *>> theirs;
    std::list<Pb__Handoff> handoffs;
    std::vector<Pb__Handoff *> handoff_list;
    for (auto &[shard, list] : by_shard) {
        std::vector<Pb__Recipient *> refs;
        for (Pb__Recipient &r : list) {
            refs.push_back(&r);
        }
        if (shard == a->shard) {
            mine = refs;
            continue;
        }
        theirs.push_back(refs);
        Pb__Handoff h = PB__HANDOFF__INIT;
        h.shard = shard;
        h.recipients = theirs.back().data();
        h.n_recipients = theirs.back().size();
        handoffs.push_back(h);
        handoff_list.push_back(&handoffs.back());
    }
    if (mine.empty() && handoff_list.empty()) {
        return;
    }
    auto content = u == nullptr ? some_content(false) : u->content;
    Pb__OpDeliver op = PB__OP_DELIVER__INIT;
    Pb__BodySource source = PB__BODY_SOURCE__INIT;
    source.size = static_cast<uint32_t>(content->body.size());
    source.staged_index = u == nullptr ? 0 : u->index;
    op.recipients = mine.data();
    op.n_recipients = mine.size();
    op.body = &source;
    op.record = bytes_of(content->record);
    op.reverse_path = text(names.emplace_back("s@sim.test"));
    op.handoffs = handoff_list.data();
    op.n_handoffs = handoff_list.size();
    RequestRef r = request(a->shard, METHOD_DELIVER, !mine.empty() && chance(70) ? mine[0]->account : 0, &op.base);
    r->content = content;
    r->body = u == nullptr ? content->body : "";
    submit(r);
}

void World::op_append(const AccountRef &a, Upload *u)
{
    auto content = u == nullptr ? some_content(false) : u->content;
    std::string name = some_name(*a);
    std::vector<std::string> keywords = some_keywords();
    std::vector<char *> list;
    for (std::string &k : keywords) {
        list.push_back(text(k));
    }
    Pb__OpAppend op = PB__OP_APPEND__INIT;
    Pb__BodySource source = PB__BODY_SOURCE__INIT;
    source.size = static_cast<uint32_t>(content->body.size());
    source.staged_index = u == nullptr ? 0 : u->index;
    op.account = a->id;
    op.mailbox = text(name);
    op.body = &source;
    op.record = bytes_of(content->record);
    op.flags = below(32);
    op.keywords = list.data();
    op.n_keywords = list.size();
    op.internal_s = chance(50) ? 0 : static_cast<int64_t>(below(2000000000)) - 100000;
    RequestRef r = request(a->shard, METHOD_APPEND, a->id, &op.base);
    r->content = content;
    r->body = u == nullptr ? content->body : "";
    submit(r);
}

void World::op_store(const AccountRef &a)
{
    std::string name;
    MailboxRef m = some_mailbox(*a, &name);
    if (m == nullptr) {
        return;
    }
    std::string uids = some_uids(*m);
    std::vector<std::string> keywords = some_keywords();
    std::vector<char *> list;
    for (std::string &k : keywords) {
        list.push_back(text(k));
    }
    Pb__OpStore op = PB__OP_STORE__INIT;
    op.account = a->id;
    op.mailbox = chance(97) ? m->id : 1000000;
    op.uids = bytes_of(uids);
    op.mode = static_cast<Pb__OpStore__Mode>(below(3));
    op.flags = below(3) == 0 ? FLAG_DELETED : below(32);
    op.keywords = list.data();
    op.n_keywords = list.size();
    op.has_unchanged_since = chance(25);
    op.unchanged_since = below(m->modseq + 1);
    submit(request(a->shard, METHOD_STORE, a->id, &op.base));
}

void World::op_expunge(const AccountRef &a)
{
    std::string name;
    MailboxRef m = some_mailbox(*a, &name);
    if (m == nullptr) {
        return;
    }
    std::string uids = some_uids(*m);
    Pb__OpExpunge op = PB__OP_EXPUNGE__INIT;
    op.account = a->id;
    op.mailbox = m->id;
    op.uids = bytes_of(uids);
    op.only_deleted = chance(70);
    op.pop3_term = chance(20) ? runs_[a->shard].term - below(2) : 0;
    submit(request(a->shard, METHOD_EXPUNGE, a->id, &op.base));
}

/* Some of what one mailbox has lost; also what never was. */
void World::op_undelete(const AccountRef &a)
{
    if (a->kept.empty()) {
        return;
    }
    auto from = a->kept.begin();
    std::advance(from, static_cast<long>(below(a->kept.size())));
    uint64_t mailbox = std::get<1>(from->first);
    std::map<uint32_t, uint64_t> chosen;
    for (const auto &[key, k] : a->kept) {
        if (std::get<1>(key) == mailbox && chosen.size() < 900 && chance(60)) {
            chosen[std::get<2>(key)] = std::get<0>(key);
        }
    }
    if (chance(10)) {
        chosen[static_cast<uint32_t>(1 + below(50))] = node.clock.wall_ms;
    }
    std::string rows;
    for (const auto &[uid, ms] : chosen) {
        uint8_t row[12];
        put_le64(row, ms);
        put_le32(row + 8, uid);
        rows.append(reinterpret_cast<char *>(row), sizeof(row));
    }
    std::string into = chance(30) ? some_name(*a) : "";
    Pb__OpUndelete op = PB__OP_UNDELETE__INIT;
    op.account = a->id;
    op.mailbox = mailbox;
    op.rows = bytes_of(rows);
    op.into = text(into);
    submit(request(a->shard, METHOD_UNDELETE, a->id, &op.base));
}

/* One step, or one of several that share a copy_id: then the next is a later call's, or nobody's. */
void World::op_copy(const AccountRef &a)
{
    std::string name;
    MailboxRef m = some_mailbox(*a, &name);
    std::string to = some_name(*a);
    std::string copy_id;
    if (m == nullptr) {
        return;
    }
    Pb__OpCopy op = PB__OP_COPY__INIT;
    if (!a->copies.empty() && chance(50)) {
        copy_id = a->copies.begin()->first;
        for (const auto &[path, box] : a->tree) {
            to = box == a->copies.begin()->second.to && chance(95) ? path : to;
        }
        op.last = chance(35);
        op.undo = !op.last && chance(20);
    } else if (chance(35)) {
        struct u128 id = rng_u128(&rng_);
        copy_id.assign(reinterpret_cast<const char *>(id.b), sizeof(id.b));
    }
    std::string uids = some_uids(*m);
    op.account = a->id;
    op.mailbox = m->id;
    op.uids = bytes_of(uids);
    op.to = text(to);
    op.copy_id = bytes_of(copy_id);
    submit(request(a->shard, METHOD_COPY, a->id, &op.base));
}

/* Ranges of up to 1,000 messages, and sometimes more than an entry may touch. */
void World::op_bulk(const AccountRef &a)
{
    MailboxRef m = a->tree.at("INBOX");
    uint32_t first = static_cast<uint32_t>(1 + below(m->uidnext));
    std::string uids = pack_range(first, m->messages.size() > 1000 ? first + 900 : UINT32_MAX);
    Pb__OpCopy op = PB__OP_COPY__INIT;
    std::string copy_id = a->copies.empty() ? "0123456789abcdef" : a->copies.begin()->first;
    std::string to = chance(70) ? "INBOX" : "Archive";
    op.account = a->id;
    op.mailbox = m->id;
    op.uids = bytes_of(uids);
    op.to = text(to);
    op.copy_id = bytes_of(copy_id);
    op.undo = m->messages.size() > 3000 || chance(4);
    op.last = !op.undo && chance(10);
    submit(request(a->shard, METHOD_COPY, a->id, &op.base));
}

void World::op_move(const AccountRef &a)
{
    std::string name;
    MailboxRef m = some_mailbox(*a, &name);
    if (m == nullptr) {
        return;
    }
    std::string to = some_name(*a);
    std::string uids = some_uids(*m);
    Pb__OpMove op = PB__OP_MOVE__INIT;
    op.account = a->id;
    op.mailbox = m->id;
    op.uids = bytes_of(uids);
    op.to = text(to);
    submit(request(a->shard, METHOD_MOVE, a->id, &op.base));
}

/* --- uploads --- */

void World::op_upload(uint32_t shard)
{
    std::vector<std::shared_ptr<Upload>> mine;
    for (size_t i = 0; i < uploads_.size(); i++) {
        if (uploads_[i]->over) {
            uploads_.erase(uploads_.begin() + static_cast<long>(i--));
        } else if (uploads_[i]->shard == shard) {
            mine.push_back(uploads_[i]);
        }
    }
    if (mine.size() < UPLOADS_MAX && (mine.empty() || chance(30))) {
        upload_begin(shard);
        return;
    }
    std::shared_ptr<Upload> u = mine[below(mine.size())];
    AccountRef a = model.shards[shard].accounts.at(u->account);
    if (chance(3)) {
        u->over = true; /* the client is gone */
    } else if (u->busy || u->index == 0) {
        return;
    } else if (chance(4)) {
        Pb__OpStageAbort op = PB__OP_STAGE_ABORT__INIT;
        op.account = u->account;
        op.staged_index = u->index;
        submit(request(shard, METHOD_STAGE_ABORT, u->account, &op.base));
        u->over = true;
    } else if (u->acked < u->content->body.size()) {
        upload_chunk(u);
    } else if (a->live) {
        u->over = true;
        chance(50) ? op_append(a, u.get()) : op_deliver(a, u.get());
    }
}

void World::upload_begin(uint32_t shard)
{
    AccountRef a = some_account(shard);
    auto u = std::make_shared<Upload>();
    u->shard = shard;
    u->account = a->id;
    u->content = some_content(true);
    u->reserved = static_cast<uint32_t>(u->content->body.size() + (chance(50) ? 0 : below(10000)));
    Pb__OpStageBegin op = PB__OP_STAGE_BEGIN__INIT;
    op.account = a->id;
    op.size = u->reserved;
    RequestRef r = request(shard, METHOD_STAGE_BEGIN, a->id, &op.base);
    r->done = [u](enum err status, const std::string &result) {
        if (status == OK && result.size() > APPLY_RESULT_HEAD_BYTES) {
            auto res = unpack<Pb__OpStageBeginResult>(result.substr(APPLY_RESULT_HEAD_BYTES));
            u->index = res->staged_index;
        } else if (status == OK || status == ERR_EXPIRED) {
            u->over = u->index == 0;
        }
    };
    uploads_.push_back(u);
    submit(r);
}

void World::upload_chunk(const std::shared_ptr<Upload> &u)
{
    Pb__OpStageChunk op = PB__OP_STAGE_CHUNK__INIT;
    op.account = u->account;
    op.staged_index = u->index;
    op.offset = static_cast<uint32_t>(u->acked);
    RequestRef r = request(u->shard, METHOD_STAGE_CHUNK, u->account, &op.base);
    r->staged_index = u->index;
    r->staged_offset = u->acked;
    u->next = u->next != 0 ? u->next : ROW * (1 + below(3));
    r->body = u->content->body.substr(u->acked, u->next);
    r->done = [u, n = r->body.size()](enum err status, const std::string &) {
        u->busy = false;
        if (status == OK) {
            u->acked += n;
            u->next = 0;
        } else if (status == ERR_NOTFOUND || status == ERR_STALE || status == ERR_EXPIRED) {
            u->over = true;
        } else {
            EXPECT_TRUE(status == ERR_FULL || status == ERR_OVERLOAD || status == ERR_UNAVAILABLE) << err_name(status);
        }
    };
    u->busy = true;
    queue_.push_back(r);
}

} // namespace mail
