#include "model.h"

#include "proto/rpc/flags.h"

namespace mail
{

constexpr size_t KEYWORDS = 200;  /* of a mailbox */
constexpr size_t MESSAGES = 1000; /* an entry touches */

static size_t count(const Mailbox &m, const Uids &uids)
{
    size_t n = 0;
    for (const auto &[uid, msg] : m.messages) {
        n += uids.has(uid);
    }
    return n;
}

static std::set<std::string> names_of(char *const *names, size_t n)
{
    std::set<std::string> out;
    for (size_t i = 0; i < n; i++) {
        out.insert(lower(names[i]));
    }
    return out;
}

static enum err keyword_room(const Mailbox &m, const std::set<std::string> &wanted)
{
    size_t n = m.keywords.size();
    for (const std::string &k : wanted) {
        n += m.keywords.count(k) == 0;
    }
    return n > KEYWORDS ? ERR_LIMIT : OK;
}

/* --- into a mailbox --- */

Outcome Model::deliver(const Entry &e)
{
    auto req = unpack<Pb__OpDeliver>(e.op);
    Outcome o;
    std::vector<uint64_t> accounts = {e.account};
    for (size_t i = 0; i < req->n_recipients; i++) {
        accounts.push_back(req->recipients[i]->account);
    }
    o.status = source(e, req->body, accounts);
    if (o.status != OK || e.dry) {
        return o;
    }
    for (size_t i = 0; i < req->n_recipients; i++) {
        const Pb__Recipient &r = *req->recipients[i];
        Delivered d;
        AccountRef a = find(e, r.account);
        d.status = a == nullptr ? ERR_NOTFOUND : quota(*a, 1, e.content->body.size());
        if (d.status == OK) {
            if (r.mailbox[0] == '\0' || named(*a, r.mailbox, &d.mailbox) != OK) {
                d.mailbox = a->tree.at("INBOX");
            }
            Message m;
            m.email = std::make_shared<Email>();
            m.email->content = e.content;
            m.flags.system = r.flags & FLAG_SYSTEM_MASK;
            m.internal_s = static_cast<int64_t>(e.entry_ms / 1000);
            m.save_s = m.internal_s;
            d.uid = d.mailbox->uidnext;
            add(*a, *d.mailbox, m);
            o.changed = true;
        }
        o.recipients.push_back(d);
    }
    for (size_t i = 0; i < req->n_handoffs; i++) {
        Owed owed;
        owed.content = e.content;
        for (size_t k = 0; k < req->handoffs[i]->n_recipients; k++) {
            owed.accounts.push_back(req->handoffs[i]->recipients[k]->account);
        }
        shards[e.shard].owed[{e.index, req->handoffs[i]->shard}] = owed;
        o.changed = true;
    }
    if (o.changed) {
        use_body(e, req->body);
        return o;
    }
    bool same = true;
    for (const Delivered &d : o.recipients) {
        same = same && d.status == o.recipients[0].status;
    }
    o.status = same ? o.recipients[0].status : OK;
    return o;
}

Outcome Model::append(const Entry &e)
{
    auto req = unpack<Pb__OpAppend>(e.op);
    Outcome o;
    AccountRef a = find(e, req->account);
    std::set<std::string> keywords = names_of(req->keywords, req->n_keywords);
    o.status = a == nullptr ? ERR_NOTFOUND : named(*a, req->mailbox, &o.mailbox);
    o.status = o.status == OK ? source(e, req->body, {req->account}) : o.status;
    o.status = o.status == OK ? quota(*a, 1, e.content->body.size()) : o.status;
    o.status = o.status == OK ? keyword_room(*o.mailbox, keywords) : o.status;
    if (o.status != OK || e.dry) {
        return o;
    }
    Message m;
    m.email = std::make_shared<Email>();
    m.email->content = e.content;
    m.flags.system = req->flags & FLAG_SYSTEM_MASK;
    m.flags.keywords = keywords;
    m.save_s = static_cast<int64_t>(e.entry_ms / 1000);
    m.internal_s = req->internal_s != 0 ? req->internal_s : m.save_s;
    o.uid = o.mailbox->uidnext;
    o.email = m.email;
    o.mailbox->keywords.insert(keywords.begin(), keywords.end());
    add(*a, *o.mailbox, m);
    use_body(e, req->body);
    o.changed = true;
    return o;
}

/* --- in a mailbox --- */

static Flags stored(const Pb__OpStore &req, const std::set<std::string> &keywords, const Flags &had)
{
    Flags f = had;
    uint64_t bits = req.flags & FLAG_SYSTEM_MASK;
    if (req.mode == PB__OP_STORE__MODE__REPLACE) {
        f.system = bits;
        f.keywords = keywords;
    } else if (req.mode == PB__OP_STORE__MODE__ADD) {
        f.system |= bits;
        f.keywords.insert(keywords.begin(), keywords.end());
    } else {
        f.system &= ~bits;
        for (const std::string &k : keywords) {
            f.keywords.erase(k);
        }
    }
    return f;
}

Outcome Model::store(const Entry &e)
{
    auto req = unpack<Pb__OpStore>(e.op);
    Outcome o;
    AccountRef a = find(e, req->account);
    MailboxRef m = a == nullptr ? nullptr : by_id(*a, req->mailbox);
    std::set<std::string> keywords = names_of(req->keywords, req->n_keywords);
    bool makes = req->mode != PB__OP_STORE__MODE__REMOVE;
    Uids uids(req->uids);
    o.status = m == nullptr ? ERR_NOTFOUND : count(*m, uids) > MESSAGES ? ERR_LIMIT : OK;
    o.status = o.status == OK && makes ? keyword_room(*m, keywords) : o.status;
    if (o.status != OK || e.dry) {
        return o;
    }
    o.mailbox = m;
    for (auto &[uid, msg] : m->messages) {
        if (!uids.has(uid)) {
            continue;
        }
        if (req->has_unchanged_since && msg.modseq > req->unchanged_since) {
            o.modified.push_back(uid);
            continue;
        }
        Flags f = stored(*req, keywords, msg.flags);
        if (f != msg.flags) {
            msg.flags = f;
            msg.modseq = tick(*a);
            m->modseq = msg.modseq;
            o.changed = true;
            o.modseq = msg.modseq;
        }
        o.rows.push_back({uid, msg.flags, msg.modseq});
    }
    if (makes && !o.rows.empty()) {
        m->keywords.insert(keywords.begin(), keywords.end());
    }
    return o;
}

Outcome Model::expunge(const Entry &e)
{
    auto req = unpack<Pb__OpExpunge>(e.op);
    Outcome o;
    AccountRef a = find(e, req->account);
    MailboxRef m = a == nullptr ? nullptr : by_id(*a, req->mailbox);
    if (req->pop3_term != 0 && req->pop3_term != e.term && !e.dry) {
        o.status = ERR_STALE;
        return o;
    }
    Uids uids(req->uids);
    o.status = m == nullptr ? ERR_NOTFOUND : count(*m, uids) > MESSAGES ? ERR_LIMIT : OK;
    if (o.status != OK || e.dry) {
        return o;
    }
    for (const auto &[uid, msg] : m->messages) {
        if (uids.has(uid) && (!req->only_deleted || (msg.flags.system & FLAG_DELETED) != 0)) {
            o.uids.push_back(uid);
        }
    }
    if (e.keep) {
        keep(e, *a, m, o.uids);
    }
    expunge(*a, *m, o.uids);
    o.changed = !o.uids.empty();
    o.modseq = o.changed ? a->modseq : 0;
    return o;
}

/* --- between mailboxes --- */

enum err Model::plan_copy(const Account &a, uint64_t mailbox, ProtobufCBinaryData uids, const char *to, bool moving,
                          MailboxRef *out_from, MailboxRef *out_to, std::vector<uint32_t> *out_uids) const
{
    *out_from = by_id(a, mailbox);
    if (*out_from == nullptr) {
        return ERR_STALE;
    }
    enum err e = named(a, to, out_to);
    if (e != OK) {
        return e;
    }
    Uids set(uids);
    if (count(**out_from, set) > MESSAGES) {
        return ERR_LIMIT;
    }
    uint64_t bytes = 0;
    std::set<std::string> keywords;
    for (const auto &[uid, msg] : (*out_from)->messages) {
        if (set.has(uid)) {
            out_uids->push_back(uid);
            bytes += msg.email->content->body.size();
            keywords.insert(msg.flags.keywords.begin(), msg.flags.keywords.end());
        }
    }
    if (!moving && !out_uids->empty()) {
        e = quota(a, out_uids->size(), bytes);
    }
    return e == OK ? keyword_room(**out_to, keywords) : e;
}

void Model::do_copy(const Entry &e, Account &a, Mailbox &from, Mailbox &to, bool moving, Outcome *o)
{
    for (uint32_t uid : o->uids) {
        Message m = from.messages.at(uid);
        m.save_s = static_cast<int64_t>(e.entry_ms / 1000);
        to.keywords.insert(m.flags.keywords.begin(), m.flags.keywords.end());
        o->dest.push_back(to.uidnext);
        add(a, to, m);
    }
    if (moving) {
        expunge(a, from, o->uids);
    }
    o->changed = !o->uids.empty();
    o->modseq = o->changed ? a.modseq : 0;
}

Outcome Model::move(const Entry &e)
{
    auto req = unpack<Pb__OpMove>(e.op);
    Outcome o;
    MailboxRef from;
    AccountRef a = find(e, req->account);
    o.status =
        a == nullptr ? ERR_NOTFOUND : plan_copy(*a, req->mailbox, req->uids, req->to, true, &from, &o.mailbox, &o.uids);
    if (o.status == OK && !e.dry) {
        do_copy(e, *a, *from, *o.mailbox, true, &o);
    }
    return o;
}

Outcome Model::copy_undo(const Entry &e, Account &a, const std::string &copy_id)
{
    Outcome o;
    auto it = a.copies.find(copy_id);
    if (it == a.copies.end() || e.dry) {
        return o;
    }
    constexpr size_t STEP = 1000;
    std::vector<uint32_t> &made = it->second.made;
    size_t keep = made.size() > STEP ? made.size() - STEP : 0;
    o.mailbox = it->second.to;
    if (o.mailbox->deleted) {
        keep = 0;
    } else {
        for (size_t i = keep; i < made.size(); i++) {
            if (o.mailbox->messages.count(made[i]) != 0) {
                o.dest.push_back(made[i]);
            }
        }
        expunge(a, *o.mailbox, o.dest);
    }
    o.modseq = o.dest.empty() ? 0 : a.modseq;
    o.changed = true;
    made.resize(keep);
    it->second.undoing = true;
    if (keep == 0) {
        a.copies.erase(it);
    }
    return o;
}

Outcome Model::copy(const Entry &e)
{
    auto req = unpack<Pb__OpCopy>(e.op);
    Outcome o;
    MailboxRef from;
    AccountRef a = find(e, req->account);
    std::string copy_id = string_of(req->copy_id);
    if (a == nullptr) {
        o.status = ERR_NOTFOUND;
        return o;
    }
    if (req->undo) {
        return copy_undo(e, *a, copy_id);
    }
    o.status = plan_copy(*a, req->mailbox, req->uids, req->to, false, &from, &o.mailbox, &o.uids);
    auto it = a->copies.find(copy_id);
    bool recorded = !copy_id.empty() && it != a->copies.end();
    if (o.status == OK && recorded && (it->second.undoing || it->second.to != o.mailbox)) {
        o.status = ERR_STALE;
    }
    if (o.status != OK || e.dry) {
        return o;
    }
    do_copy(e, *a, *from, *o.mailbox, false, &o);
    if (copy_id.empty()) {
        return o;
    }
    o.changed = o.changed || recorded || !req->last;
    if (req->last) {
        a->copies.erase(copy_id);
        return o;
    }
    Copy &c = a->copies[copy_id];
    c.to = o.mailbox;
    c.made.insert(c.made.end(), o.dest.begin(), o.dest.end());
    c.entry_ms = e.entry_ms;
    return o;
}

} // namespace mail
