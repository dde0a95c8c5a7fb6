#include "model.h"

#include "proto/rpc/flags.h"

namespace mail
{

std::string lower(const std::string &s)
{
    std::string out = s;
    for (char &c : out) {
        c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    }
    return out;
}

enum err name_check(const std::string &name)
{
    size_t depth = 0;
    size_t from = 0;
    for (;;) {
        size_t slash = name.find('/', from);
        size_t n = (slash == std::string::npos ? name.size() : slash) - from;
        if (n == 0) {
            return ERR_INVAL;
        }
        if (n > 255 || ++depth > 16) {
            return ERR_LIMIT;
        }
        if (slash == std::string::npos) {
            return OK;
        }
        from = slash + 1;
    }
}

std::string name_canonical(const std::string &name)
{
    size_t n = name.find('/');
    n = n == std::string::npos ? name.size() : n;
    return lower(name.substr(0, n)) == "inbox" ? "INBOX" + name.substr(n) : name;
}

uint64_t Account::used_messages() const
{
    uint64_t n = 0;
    for (const auto &[name, m] : tree) {
        n += m == nullptr ? 0 : m->messages.size();
    }
    return n;
}

uint64_t Account::used_bytes() const
{
    uint64_t n = 0;
    for (const auto &[name, m] : tree) {
        if (m != nullptr) {
            for (const auto &[uid, msg] : m->messages) {
                n += msg.email->content->body.size();
            }
        }
    }
    return n;
}

/* --- what the operations share --- */

/* Records of requests are kept for 15 minutes in steps of five. Clients do not ask again that late, but the courier
 * does. An upload is then begun anew and the old one expires; everything else must still happen once. */
static bool forgotten(const Entry &e, const Outcome &o)
{
    constexpr uint64_t STEP_MS = 300000;
    return e.method == METHOD_STAGE_BEGIN && o.entry_ms / STEP_MS + 3 < e.entry_ms / STEP_MS;
}

/* A handoff to a full mailbox, which its courier brings until there is room. */
static bool tried_again(const Entry &e, const Outcome &o)
{
    return e.method == METHOD_DELIVER && o.status == ERR_QUOTA && unpack<Pb__OpDeliver>(e.op)->handoff;
}

Outcome Model::apply(const Entry &e)
{
    ShardFacts &s = shards[e.shard];
    auto known = s.done.find(e.id);
    if (known != s.done.end() && !forgotten(e, known->second)) {
        return known->second;
    }
    ticked_.clear();
    Outcome o = run(e);
    o.entry_ms = e.entry_ms;
    o.recorded = e.method != METHOD_PURGE && e.method != METHOD_KEPT_DROP && e.method != METHOD_HANDOFF_DONE &&
                 !tried_again(e, o);
    if (!e.dry && o.recorded) {
        s.done[e.id] = o;
    }
    return o;
}

Outcome Model::run(const Entry &e)
{
    static const std::map<enum method, Outcome (Model::*)(const Entry &)> handlers = {
        {METHOD_DOMAIN_SET, &Model::domain_set},
        {METHOD_DIR_ACCOUNT_ADD, &Model::dir_account_add},
        {METHOD_DIR_ACCOUNT_ADD_MANY, &Model::dir_account_add_many},
        {METHOD_DIR_ACCOUNT_REMOVE, &Model::dir_account_remove},
        {METHOD_ALIAS_SET, &Model::alias_set},
        {METHOD_ACCOUNT_CREATE, &Model::account_create},
        {METHOD_ACCOUNT_CREATE_MANY, &Model::account_create_many},
        {METHOD_ACCOUNT_REMOVE, &Model::account_remove},
        {METHOD_QUOTA_SET, &Model::quota_set},
        {METHOD_MAILBOX_CREATE, &Model::mailbox_create},
        {METHOD_MAILBOX_DELETE, &Model::mailbox_delete},
        {METHOD_MAILBOX_RENAME, &Model::mailbox_rename},
        {METHOD_MAILBOX_SUBSCRIBE, &Model::mailbox_subscribe},
        {METHOD_RECENT_CLAIM, &Model::recent_claim},
        {METHOD_DELIVER, &Model::deliver},
        {METHOD_APPEND, &Model::append},
        {METHOD_STORE, &Model::store},
        {METHOD_EXPUNGE, &Model::expunge},
        {METHOD_COPY, &Model::copy},
        {METHOD_MOVE, &Model::move},
        {METHOD_HANDOFF_DONE, &Model::handoff_done},
        {METHOD_STAGE_BEGIN, &Model::stage_begin},
        {METHOD_STAGE_ABORT, &Model::stage_abort},
        {METHOD_PURGE, &Model::purge},
        {METHOD_UNDELETE, &Model::undelete},
        {METHOD_KEPT_DROP, &Model::kept_drop},
    };
    return (this->*handlers.at(e.method))(e);
}

/* Live accounts only. */
AccountRef Model::find(const Entry &e, uint64_t account) const
{
    const auto &all = shards[e.shard].accounts;
    auto it = all.find(account);
    return it == all.end() || !it->second->live ? nullptr : it->second;
}

enum err Model::named(const Account &a, const std::string &name, MailboxRef *out) const
{
    enum err e = name_check(name);
    if (e != OK) {
        return e;
    }
    auto it = a.tree.find(name_canonical(name));
    if (it == a.tree.end() || it->second == nullptr) {
        return ERR_NOTFOUND;
    }
    *out = it->second;
    return OK;
}

MailboxRef Model::by_id(const Account &a, uint64_t mailbox) const
{
    auto it = a.by_id.find(mailbox);
    return it == a.by_id.end() || it->second->deleted ? nullptr : it->second;
}

/* One step an entry. */
uint64_t Model::tick(Account &a)
{
    if (ticked_.insert(a.id).second) {
        a.modseq++;
    }
    return a.modseq;
}

enum err Model::quota(const Account &a, uint64_t messages, uint64_t bytes) const
{
    bool many = a.quota_messages != 0 && a.used_messages() + messages > a.quota_messages;
    bool much = a.quota_bytes != 0 && a.used_bytes() + bytes > a.quota_bytes;
    bool full = a.quota_bytes != 0 && a.used_bytes() >= a.quota_bytes;
    return many || much || full ? ERR_QUOTA : OK;
}

enum err Model::source(const Entry &e, const Pb__BodySource *s, const std::vector<uint64_t> &accounts) const
{
    if (s->staged_index == 0) {
        return s->size == e.body_bytes ? OK : ERR_INVAL;
    }
    auto it = shards[e.shard].staged.find(s->staged_index);
    if (it == shards[e.shard].staged.end()) {
        return ERR_NOTFOUND;
    }
    bool mine = false;
    for (uint64_t a : accounts) {
        mine = mine || a == it->second.account;
    }
    if (!mine) {
        return ERR_NOTFOUND;
    }
    return s->size != it->second.staged() || e.body_bytes != 0 ? ERR_INVAL : OK;
}

void Model::stage_drop(uint32_t shard, uint64_t index)
{
    shards[shard].staged.erase(index);
}

void Model::use_body(const Entry &e, const Pb__BodySource *s)
{
    if (s->staged_index != 0) {
        stage_drop(e.shard, s->staged_index);
    }
}

void Model::add(Account &a, Mailbox &m, Message msg)
{
    msg.modseq = tick(a);
    msg.created = msg.modseq;
    m.modseq = msg.modseq;
    m.messages[m.uidnext++] = msg;
}

void Model::expunge(Account &a, Mailbox &m, const std::vector<uint32_t> &uids)
{
    for (uint32_t uid : uids) {
        m.modseq = tick(a);
        m.gone.emplace_back(m.modseq, uid);
        m.messages.erase(uid);
    }
}

/* --- staged bodies and housekeeping --- */

Outcome Model::stage_begin(const Entry &e)
{
    auto req = unpack<Pb__OpStageBegin>(e.op);
    Outcome o;
    AccountRef a = find(e, req->account);
    o.status = a == nullptr ? ERR_NOTFOUND : quota(*a, 1, 0);
    if (o.status != OK || e.dry) {
        return o;
    }
    shards[e.shard].staged[e.index] = {req->account, e.entry_ms, req->size, {}};
    o.changed = true;
    o.index = e.index;
    return o;
}

size_t Stage::staged() const
{
    return chunks.empty() ? 0 : chunks.rbegin()->first + chunks.rbegin()->second;
}

enum err Model::chunk(uint32_t shard, uint64_t staged_index, uint64_t offset, size_t bytes)
{
    auto it = shards[shard].staged.find(staged_index);
    if (it == shards[shard].staged.end()) {
        return ERR_NOTFOUND;
    }
    Stage &s = it->second;
    auto there = s.chunks.find(offset);
    if (there != s.chunks.end() || offset != s.staged()) {
        return there != s.chunks.end() && there->second == bytes ? OK : ERR_INVAL;
    }
    if (offset + bytes > s.size) {
        return ERR_LIMIT;
    }
    s.chunks[offset] = bytes;
    return OK;
}

Outcome Model::stage_abort(const Entry &e)
{
    auto req = unpack<Pb__OpStageAbort>(e.op);
    const auto &staged = shards[e.shard].staged;
    auto it = staged.find(req->staged_index);
    Outcome o;
    if (it == staged.end()) {
        return o;
    }
    o.status = it->second.account == req->account ? OK : ERR_NOTFOUND;
    if (o.status == OK && !e.dry) {
        o.changed = true;
        stage_drop(e.shard, req->staged_index);
    }
    return o;
}

/* Only what clients can notice: uploads and copies that nobody finishes. */
Outcome Model::purge(const Entry &e)
{
    constexpr uint64_t STAGE_MS = 3600000;
    constexpr uint64_t COPY_MS = 600000;
    auto req = unpack<Pb__OpPurge>(e.op);
    ShardFacts &s = shards[e.shard];
    auto old = [&e](uint64_t since, uint64_t ms) { return e.entry_ms > since && e.entry_ms - since > ms; };
    std::vector<uint64_t> drop;
    for (const auto &[index, st] : s.staged) {
        bool theirs =
            req->account != 0 && req->mailbox == 0 && st.account == req->account && !s.accounts.at(st.account)->live;
        if (theirs || (req->account == 0 && old(st.entry_ms, STAGE_MS))) {
            drop.push_back(index);
        }
    }
    for (uint64_t index : drop) {
        stage_drop(e.shard, index);
    }
    if (req->account != 0) {
        return Outcome();
    }
    for (auto &[id, a] : s.accounts) {
        for (auto &[copy_id, c] : a->copies) {
            if (a->live && (c.undoing || old(c.entry_ms, COPY_MS))) { /* a removed account's go with it */
                copy_undo(e, *a, std::string(copy_id));
                return Outcome();
            }
        }
    }
    return Outcome();
}

Outcome Model::handoff_done(const Entry &e)
{
    auto req = unpack<Pb__OpHandoffDone>(e.op);
    if (!e.dry) {
        shards[e.shard].owed.erase({req->index, req->shard});
    }
    return Outcome();
}

} // namespace mail
