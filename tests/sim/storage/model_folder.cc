#include "model.h"

#include "proto/rpc/flags.h"

namespace mail
{

/* --- the directory --- */

static std::string domain_of(const std::string &name)
{
    return name.substr(name.rfind('@') + 1);
}

Outcome Model::domain_set(const Entry &e)
{
    auto req = unpack<Pb__OpDomainSet>(e.op);
    Outcome o;
    std::string domain = lower(req->name);
    bool there = domains.count(domain) != 0;
    if (!req->remove) {
        o.changed = !there;
        if (!e.dry) {
            domains.insert(domain);
        }
        return o;
    }
    bool used = false;
    for (const auto &[name, n] : names) {
        used = used || domain_of(name) == domain;
    }
    for (const auto &[name, t] : aliases) {
        used = used || domain_of(name) == domain;
    }
    o.status = !there ? ERR_NOTFOUND : used ? ERR_NONEMPTY : OK;
    o.changed = o.status == OK;
    if (o.changed && !e.dry) {
        domains.erase(domain);
    }
    return o;
}

enum err Model::dir_free(const std::string &name) const
{
    if (domains.count(domain_of(name)) == 0) {
        return ERR_NOTFOUND;
    }
    return names.count(name) != 0 || aliases.count(name) != 0 ? ERR_EXISTS : OK;
}

Outcome Model::dir_account_add(const Entry &e)
{
    auto req = unpack<Pb__OpDirAccountAdd>(e.op);
    Outcome o;
    std::string name = lower(req->name);
    o.status = dir_free(name);
    if (o.status != OK || e.dry) {
        return o;
    }
    names[name] = DirName();
    o.names = {name};
    o.changed = true;
    return o;
}

Outcome Model::dir_account_add_many(const Entry &e)
{
    auto req = unpack<Pb__OpDirAccountAddMany>(e.op);
    Outcome o;
    for (size_t i = 0; i < req->n_names; i++) {
        std::string name = lower(req->names[i]);
        enum err free = dir_free(name);
        if (free != OK && names.count(name) == 0) {
            o.status = free;
            return o;
        }
        o.names.push_back(name);
    }
    if (e.dry) {
        return o;
    }
    for (const std::string &name : o.names) {
        o.changed = names.emplace(name, DirName()).second || o.changed;
    }
    return o;
}

Outcome Model::dir_account_remove(const Entry &e)
{
    auto req = unpack<Pb__OpDirAccountRemove>(e.op);
    Outcome o;
    std::string name = lower(req->name);
    o.status = names.count(name) != 0 ? OK : ERR_NOTFOUND;
    if (o.status == OK && !e.dry) {
        names.erase(name);
        o.changed = true;
    }
    return o;
}

Outcome Model::alias_set(const Entry &e)
{
    auto req = unpack<Pb__OpAliasSet>(e.op);
    Outcome o;
    std::string name = lower(req->address);
    if (domains.count(domain_of(name)) == 0) {
        o.status = ERR_NOTFOUND;
    } else if (req->remove) {
        o.status = aliases.count(name) != 0 ? OK : ERR_NOTFOUND;
    } else {
        o.status = names.count(name) != 0 ? ERR_EXISTS : OK;
    }
    if (o.status != OK || e.dry) {
        return o;
    }
    aliases.erase(name);
    for (size_t i = 0; i < req->n_targets && !req->remove; i++) {
        aliases[name].insert(lower(req->targets[i]));
    }
    o.changed = true;
    return o;
}

/* --- accounts --- */

void Model::fill(const Entry &e, const Pb__OpAccountCreate &req)
{
    auto a = std::make_shared<Account>();
    a->id = req.account;
    a->shard = e.shard;
    a->name = req.name;
    a->quota_bytes = req.quota_bytes;
    a->quota_messages = req.quota_messages;
    shards[e.shard].accounts[a->id] = a;
    make(*a, "INBOX", SPECIAL_USE_NONE);
    make(*a, "Drafts", SPECIAL_USE_DRAFTS);
    make(*a, "Sent", SPECIAL_USE_SENT);
    make(*a, "Trash", SPECIAL_USE_TRASH);
    make(*a, "Junk", SPECIAL_USE_JUNK);
    make(*a, "Archive", SPECIAL_USE_ARCHIVE);
    for (const auto &[name, m] : a->tree) {
        a->subscribed.insert(name);
    }
}

Outcome Model::account_create(const Entry &e)
{
    auto req = unpack<Pb__OpAccountCreate>(e.op);
    Outcome o;
    o.status = shards[e.shard].accounts.count(req->account) != 0 ? ERR_EXISTS : OK;
    if (o.status == OK && !e.dry) {
        fill(e, *req);
        o.changed = true;
    }
    return o;
}

Outcome Model::account_create_many(const Entry &e)
{
    auto req = unpack<Pb__OpAccountCreateMany>(e.op);
    Outcome o;
    for (size_t i = 0; i < req->n_accounts && !e.dry; i++) {
        if (shards[e.shard].accounts.count(req->accounts[i]->account) == 0) {
            fill(e, *req->accounts[i]);
            o.changed = true;
        }
    }
    return o;
}

Outcome Model::account_remove(const Entry &e)
{
    auto req = unpack<Pb__OpAccountRemove>(e.op);
    Outcome o;
    AccountRef a = find(e, req->account);
    o.status = a == nullptr ? ERR_NOTFOUND : OK;
    if (o.status == OK && !e.dry) {
        a->live = false;
        tick(*a);
        o.changed = true;
    }
    return o;
}

Outcome Model::quota_set(const Entry &e)
{
    auto req = unpack<Pb__OpQuotaSet>(e.op);
    Outcome o;
    AccountRef a = find(e, req->account);
    o.status = a == nullptr ? ERR_NOTFOUND : OK;
    if (o.status == OK && !e.dry) {
        a->quota_bytes = req->quota_bytes;
        a->quota_messages = req->quota_messages;
        o.changed = true;
    }
    return o;
}

/* --- folders --- */

MailboxRef Model::make(Account &a, const std::string &name, uint32_t special_use)
{
    auto m = std::make_shared<Mailbox>();
    m->special_use = special_use;
    m->modseq = tick(a);
    m->uidvalidity_above = a.uidvalidities.empty() ? 0 : *a.uidvalidities.rbegin();
    a.tree[name] = m;
    a.unseen_folders = true;
    return m;
}

void Model::make_parents(Account &a, const std::string &name)
{
    for (size_t at = name.find('/'); at != std::string::npos; at = name.find('/', at + 1)) {
        std::string parent = name.substr(0, at);
        if (a.tree.count(parent) == 0) {
            make(a, parent, 0);
        }
    }
}

static bool has_children(const Account &a, const std::string &name)
{
    auto it = a.tree.upper_bound(name + "/");
    return it != a.tree.end() && it->first.compare(0, name.size() + 1, name + "/") == 0;
}

Outcome Model::mailbox_create(const Entry &e)
{
    auto req = unpack<Pb__OpMailboxCreate>(e.op);
    Outcome o;
    AccountRef a = find(e, req->account);
    o.status = a == nullptr ? ERR_NOTFOUND : name_check(req->name);
    if (o.status != OK) {
        return o;
    }
    std::string name = name_canonical(req->name);
    auto it = a->tree.find(name);
    o.status = it != a->tree.end() && it->second != nullptr ? ERR_EXISTS : OK;
    if (o.status != OK || e.dry) {
        return o;
    }
    make_parents(*a, name);
    o.mailbox = make(*a, name, req->special_use);
    o.changed = true;
    return o;
}

Outcome Model::mailbox_delete(const Entry &e)
{
    auto req = unpack<Pb__OpMailboxDelete>(e.op);
    Outcome o;
    AccountRef a = find(e, req->account);
    o.status = a == nullptr ? ERR_NOTFOUND : name_check(req->name);
    if (o.status != OK) {
        return o;
    }
    std::string name = name_canonical(req->name);
    auto it = a->tree.find(name);
    if (name == "INBOX") {
        o.status = ERR_PERM;
    } else if (it == a->tree.end()) {
        o.status = ERR_NOTFOUND;
    } else if (it->second == nullptr && has_children(*a, name)) {
        o.status = ERR_NONEMPTY;
    }
    if (o.status != OK || e.dry) {
        return o;
    }
    tick(*a);
    o.changed = true;
    if (it->second != nullptr) {
        it->second->deleted = true;
        it->second->messages.clear();
    }
    if (has_children(*a, name)) {
        it->second = nullptr;
    } else {
        a->tree.erase(it);
    }
    return o;
}

static std::string renamed(const std::string &name, const std::string &from, const std::string &to)
{
    return to + name.substr(from.size());
}

static enum err rename_check(const Account &a, const std::string &from, const std::string &to)
{
    if (a.tree.count(from) == 0) {
        return ERR_NOTFOUND;
    }
    if (a.tree.count(to) != 0) {
        return ERR_EXISTS;
    }
    if (from == "INBOX") {
        return OK;
    }
    if (to.compare(0, from.size() + 1, from + "/") == 0) {
        return ERR_INVAL;
    }
    for (const auto &[name, m] : a.tree) {
        if (name.compare(0, from.size() + 1, from + "/") == 0 && name_check(renamed(name, from, to)) != OK) {
            return ERR_LIMIT;
        }
    }
    return OK;
}

Outcome Model::mailbox_rename(const Entry &e)
{
    auto req = unpack<Pb__OpMailboxRename>(e.op);
    Outcome o;
    AccountRef a = find(e, req->account);
    o.status = a == nullptr ? ERR_NOTFOUND : name_check(req->from);
    o.status = o.status == OK ? name_check(req->to) : o.status;
    if (o.status != OK) {
        return o;
    }
    std::string from = name_canonical(req->from);
    std::string to = name_canonical(req->to);
    o.status = rename_check(*a, from, to);
    if (o.status != OK || e.dry) {
        return o;
    }
    uint64_t modseq = tick(*a);
    o.changed = true;
    make_parents(*a, to);
    if (from == "INBOX") {
        a->tree[to] = a->tree[from];
        a->tree[to]->modseq = modseq;
        make(*a, from, SPECIAL_USE_NONE);
        return o;
    }
    std::map<std::string, MailboxRef> next;
    for (const auto &[name, m] : a->tree) {
        bool moves = name == from || name.compare(0, from.size() + 1, from + "/") == 0;
        next[moves ? renamed(name, from, to) : name] = m;
    }
    a->tree = next;
    return o;
}

Outcome Model::mailbox_subscribe(const Entry &e)
{
    auto req = unpack<Pb__OpMailboxSubscribe>(e.op);
    Outcome o;
    AccountRef a = find(e, req->account);
    o.status = a == nullptr ? ERR_NOTFOUND : name_check(req->name);
    if (o.status != OK) {
        return o;
    }
    std::string name = name_canonical(req->name);
    o.changed = (a->subscribed.count(name) != 0) != (req->subscribed != 0);
    if (e.dry || !o.changed) {
        return o;
    }
    tick(*a);
    if (req->subscribed) {
        a->subscribed.insert(name);
    } else {
        a->subscribed.erase(name);
    }
    return o;
}

Outcome Model::recent_claim(const Entry &e)
{
    auto req = unpack<Pb__OpRecentClaim>(e.op);
    Outcome o;
    AccountRef a = find(e, req->account);
    MailboxRef m = a == nullptr ? nullptr : by_id(*a, req->mailbox);
    if (m == nullptr) {
        o.status = ERR_NOTFOUND;
        return o;
    }
    o.uid = m->recent_uid;
    o.changed = m->recent_uid != m->uidnext;
    if (!e.dry) {
        m->recent_uid = m->uidnext;
    }
    return o;
}

} // namespace mail
