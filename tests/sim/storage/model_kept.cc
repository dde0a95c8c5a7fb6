#include "model.h"

#include "proto/rpc/flags.h"

namespace mail
{

constexpr size_t KEYWORDS = 200;  /* of a mailbox */
constexpr size_t DROP_MAX = 1000; /* an entry */
constexpr size_t ROW = 12;        /* of OpUndelete.rows */

/* Before it goes. */
void Model::keep(const Entry &e, Account &a, const MailboxRef &m, const std::vector<uint32_t> &uids)
{
    for (const auto &[name, there] : a.tree) {
        if (there != m) {
            continue;
        }
        for (uint32_t uid : uids) {
            a.kept[{e.entry_ms, m->id, uid}] = {m->messages.at(uid), name};
        }
    }
}

/* Where to: an error, a mailbox, or (null) the name of one to be made. */
enum err Model::undelete_to(const Account &a, const Pb__OpUndelete &req, const std::string &old_name, MailboxRef *out,
                            std::string *out_name) const
{
    *out = req.into[0] == '\0' ? by_id(a, req.mailbox) : nullptr;
    if (*out != nullptr) {
        return OK;
    }
    std::string name = req.into[0] == '\0' ? old_name : req.into;
    enum err e = name_check(name);
    if (e == OK) {
        *out_name = name_canonical(name);
        auto it = a.tree.find(*out_name);
        *out = it == a.tree.end() ? nullptr : it->second;
    }
    return e;
}

Outcome Model::undelete(const Entry &e)
{
    auto req = unpack<Pb__OpUndelete>(e.op);
    Outcome o;
    AccountRef a = find(e, req->account);
    if (a == nullptr) {
        o.status = ERR_NOTFOUND;
        return o;
    }
    std::vector<std::pair<KeptKey, Kept>> found;
    std::set<std::string> keywords;
    std::string old_name;
    uint64_t old_ms = 0;
    uint64_t bytes = 0;
    for (size_t i = 0; i < req->rows.len / ROW; i++) {
        auto it =
            a->kept.find({get_le64(req->rows.data + i * ROW), req->mailbox, get_le32(req->rows.data + i * ROW + 8)});
        if (it == a->kept.end()) {
            continue;
        }
        const Kept &k = it->second;
        found.emplace_back(*it);
        bytes += k.message.email->content->body.size();
        keywords.insert(k.message.flags.keywords.begin(), k.message.flags.keywords.end());
        if (old_name.empty() || std::get<0>(it->first) >= old_ms) {
            old_name = k.name;
            old_ms = std::get<0>(it->first);
        }
    }
    if (found.empty()) {
        return o;
    }
    std::string name;
    o.status = quota(*a, found.size(), bytes);
    o.status = o.status == OK ? undelete_to(*a, *req, old_name, &o.mailbox, &name) : o.status;
    if (o.status == OK && o.mailbox != nullptr) {
        std::set<std::string> all = o.mailbox->keywords;
        all.insert(keywords.begin(), keywords.end());
        o.status = all.size() > KEYWORDS ? ERR_LIMIT : OK;
    }
    if (o.status != OK || e.dry) {
        return o;
    }
    if (o.mailbox == nullptr) {
        make_parents(*a, name);
        o.mailbox = make(*a, name, 0);
    }
    o.mailbox->keywords.insert(keywords.begin(), keywords.end());
    for (const auto &[key, k] : found) {
        Message m = k.message;
        m.flags.system &= ~FLAG_DELETED;
        m.save_s = static_cast<int64_t>(e.entry_ms / 1000);
        o.dest.push_back(o.mailbox->uidnext);
        add(*a, *o.mailbox, m);
        a->kept.erase(key);
    }
    o.modseq = a->modseq;
    o.changed = true;
    return o;
}

/* The shard's oldest first. */
Outcome Model::kept_drop(const Entry &e)
{
    auto req = unpack<Pb__OpKeptDrop>(e.op);
    Outcome o;
    std::map<std::pair<uint64_t, uint64_t>, std::vector<KeptKey>> by_time;
    for (const auto &[id, a] : shards[e.shard].accounts) {
        for (const auto &[key, k] : a->kept) {
            if (std::get<0>(key) < req->before_ms) {
                by_time[{std::get<0>(key), id}].push_back(key);
            }
        }
    }
    size_t left = DROP_MAX;
    for (const auto &[at, keys] : by_time) {
        for (size_t i = 0; i < keys.size() && left > 0; i++, left--) {
            shards[e.shard].accounts.at(at.second)->kept.erase(keys[i]);
            o.changed = true;
        }
    }
    return o;
}

} // namespace mail
