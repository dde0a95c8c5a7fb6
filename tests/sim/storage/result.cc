#include "proto/rpc/flags.h"
#include "reads.h"
#include "storage/apply/entry.h"

namespace mail
{

Flags flags_of(uint64_t bits, const uint8_t *overflow, char *const *table, size_t n)
{
    Flags f;
    f.system = bits & FLAG_SYSTEM_MASK;
    for (size_t i = 0; i < n; i++) {
        bool set;
        if (i < FLAG_KEYWORDS_MAX) {
            set = (bits >> (FLAG_KEYWORD_SHIFT + i) & 1) != 0;
        } else {
            size_t bit = i - FLAG_KEYWORDS_MAX;
            set = overflow != nullptr && (overflow[bit / 8] >> (bit % 8) & 1) != 0;
        }
        if (set) {
            f.keywords.insert(lower(table[i]));
        }
    }
    for (size_t i = n; i < FLAG_KEYWORDS_MAX; i++) {
        EXPECT_EQ(bits >> (FLAG_KEYWORD_SHIFT + i) & 1, 0u) << "a keyword without a name";
    }
    return f;
}

void check_keywords(Mailbox &m, char *const *table, size_t n)
{
    std::set<std::string> seen;
    ASSERT_GE(n, m.table.size()) << "the keyword table shrank";
    for (size_t i = 0; i < n; i++) {
        EXPECT_TRUE(seen.insert(lower(table[i])).second) << "a keyword twice";
        if (i < m.table.size()) {
            EXPECT_EQ(m.table[i], table[i]);
        } else {
            m.table.push_back(table[i]);
        }
    }
    for (const std::string &k : m.keywords) {
        EXPECT_EQ(seen.count(k), 1u) << k;
    }
}

void learn_mailbox(Account &a, const MailboxRef &m, uint64_t id, uint32_t uidvalidity)
{
    if (m->id == 0) {
        EXPECT_NE(id, 0u);
        EXPECT_TRUE(a.by_id.emplace(id, m).second) << "mailbox id " << id << " came again";
        m->id = id;
    }
    EXPECT_EQ(m->id, id);
    if (m->uidvalidity == 0) {
        EXPECT_GT(uidvalidity, m->uidvalidity_above) << "UIDVALIDITY does not rise";
        EXPECT_TRUE(a.uidvalidities.insert(uidvalidity).second) << "UIDVALIDITY came again";
        m->uidvalidity = uidvalidity;
    }
    EXPECT_EQ(m->uidvalidity, uidvalidity);
}

void learn_email(Model *model, Email &e, const std::string &emailid, const std::string &threadid)
{
    if (e.objectid.empty()) {
        EXPECT_TRUE(model->emailids.insert(emailid).second) << "EMAILID came again";
        e.objectid = emailid + threadid;
    } else if (e.objectid.size() == 16 && threadid.size() == 16) {
        e.objectid += threadid; /* an APPEND told the first half only */
    }
    EXPECT_EQ(e.objectid.substr(0, 16), emailid);
    if (threadid.size() == 16) {
        EXPECT_EQ(e.objectid.substr(16), threadid);
    }
}

namespace
{

struct Check {
    Model *model;
    const Entry &e;
    Outcome &o;
    const std::string &bytes; /* of the message */

    Account &account(uint64_t id) const
    {
        return *model->shards[e.shard].accounts.at(id);
    }
};

void check_names(const Check &c, const Pb__OpDirAccountAddResult &r, const std::string &name)
{
    auto it = c.model->names.find(name);
    if (it == c.model->names.end()) {
        return; /* given back meanwhile: a repeated answer */
    }
    DirName &n = it->second;
    if (n.account == 0) {
        EXPECT_TRUE(c.model->accounts_seen.insert(r.account).second) << "account id came again";
        EXPECT_GE(r.shard, 1u);
        EXPECT_LT(r.shard, c.model->shards.size());
        n.account = r.account;
        n.shard = r.shard;
    }
    EXPECT_EQ(n.account, r.account);
    EXPECT_EQ(n.shard, r.shard);
}

void check_deliver(const Check &c)
{
    auto req = unpack<Pb__OpDeliver>(c.e.op);
    auto r = unpack<Pb__OpDeliverResult>(c.bytes);
    ASSERT_EQ(r->n_recipients, c.o.recipients.size());
    for (size_t i = 0; i < r->n_recipients; i++) {
        const Delivered &d = c.o.recipients[i];
        EXPECT_STREQ(err_name(static_cast<enum err>(r->recipients[i]->err)), err_name(d.status));
        EXPECT_EQ(r->recipients[i]->uid, d.uid);
        if (d.status == OK) {
            learn_mailbox(c.account(req->recipients[i]->account), d.mailbox, r->recipients[i]->mailbox,
                          r->recipients[i]->uidvalidity);
        }
    }
}

void check_store(const Check &c)
{
    auto r = unpack<Pb__OpStoreResult>(c.bytes);
    size_t over = 0;
    EXPECT_EQ(r->modseq, c.o.modseq);
    EXPECT_EQ(uids_of(r->modified_uids), c.o.modified);
    std::vector<uint32_t> uids = uids_of(r->changed_uids);
    ASSERT_EQ(uids.size(), c.o.rows.size());
    ASSERT_EQ(r->flags.len, uids.size() * 8);
    ASSERT_EQ(r->modseqs.len, uids.size() * 8);
    bool there = !c.o.mailbox->deleted && c.account(c.e.account).live;
    if (there) {
        check_keywords(*c.o.mailbox, r->keywords, r->n_keywords);
    }
    for (size_t i = 0; i < uids.size(); i++) {
        const RowOutcome &row = c.o.rows[i];
        uint64_t bits = get_le64(r->flags.data + i * 8);
        const uint8_t *overflow = nullptr;
        if ((bits & FLAG_OVERFLOW) != 0) {
            ASSERT_LE(over + 24, r->overflow.len);
            overflow = r->overflow.data + over;
            over += 24;
        }
        EXPECT_EQ(uids[i], row.uid);
        EXPECT_EQ(get_le64(r->modseqs.data + i * 8), row.modseq);
        if (there) {
            Flags f = flags_of(bits, overflow, r->keywords, r->n_keywords);
            EXPECT_EQ(f.system, row.flags.system);
            EXPECT_EQ(f.keywords, row.flags.keywords);
        }
    }
    EXPECT_EQ(over, r->overflow.len);
}

void check_copy(const Check &c)
{
    auto r = unpack<Pb__OpCopyResult>(c.bytes);
    EXPECT_EQ(uids_of(r->source_uids), c.o.uids);
    EXPECT_EQ(uids_of(r->dest_uids), c.o.dest);
    EXPECT_EQ(r->modseq, c.o.modseq);
    if (c.o.mailbox == nullptr) {
        EXPECT_EQ(r->to_mailbox, 0u);
    } else if (r->uidvalidity != 0) {
        learn_mailbox(c.account(c.e.account), c.o.mailbox, r->to_mailbox, r->uidvalidity);
    }
}

void check_append(const Check &c)
{
    auto r = unpack<Pb__OpAppendResult>(c.bytes);
    EXPECT_EQ(r->uid, c.o.uid);
    learn_mailbox(c.account(c.e.account), c.o.mailbox, r->mailbox, r->uidvalidity);
    learn_email(c.model, *c.o.email, string_of(r->email_objectid), "");
}

void check_expunge(const Check &c)
{
    auto r = unpack<Pb__OpExpungeResult>(c.bytes);
    EXPECT_EQ(uids_of(r->uids), c.o.uids);
    EXPECT_EQ(r->modseq, c.o.modseq);
}

void check_undelete(const Check &c)
{
    auto r = unpack<Pb__OpUndeleteResult>(c.bytes);
    EXPECT_EQ(uids_of(r->uids), c.o.dest);
    EXPECT_EQ(r->messages, c.o.dest.size());
    EXPECT_EQ(r->modseq, c.o.modseq);
    if (!c.o.dest.empty()) {
        learn_mailbox(c.account(c.e.account), c.o.mailbox, r->mailbox, r->uidvalidity);
    }
}

void check_create(const Check &c)
{
    auto r = unpack<Pb__OpMailboxCreateResult>(c.bytes);
    learn_mailbox(c.account(c.e.account), c.o.mailbox, r->mailbox, r->uidvalidity);
    std::string id = string_of(r->mailbox_objectid);
    EXPECT_EQ(id.size(), 16u);
    if (c.o.mailbox->objectid.empty()) {
        c.o.mailbox->objectid = id;
    }
    EXPECT_EQ(c.o.mailbox->objectid, id);
}

void check_claim(const Check &c)
{
    auto r = unpack<Pb__OpRecentClaimResult>(c.bytes);
    EXPECT_EQ(r->recent_uid, c.o.uid);
}

void check_stage_begin(const Check &c)
{
    auto r = unpack<Pb__OpStageBeginResult>(c.bytes);
    EXPECT_EQ(r->staged_index, c.o.index);
}

void check_dir_add(const Check &c)
{
    auto r = unpack<Pb__OpDirAccountAddResult>(c.bytes);
    check_names(c, *r, c.o.names.at(0));
}

void check_dir_add_many(const Check &c)
{
    auto r = unpack<Pb__OpDirAccountAddManyResult>(c.bytes);
    ASSERT_EQ(r->n_accounts, c.o.names.size());
    for (size_t i = 0; i < r->n_accounts; i++) {
        check_names(c, *r->accounts[i], c.o.names[i]);
    }
}

/* Until what OpStore appends for every answer: the keyword table, which may have grown. */
std::string recorded_part(const Entry &e, const std::string &result)
{
    if (e.method != METHOD_STORE || get_le32(reinterpret_cast<const uint8_t *>(result.data())) != OK) {
        return result;
    }
    auto r = unpack<Pb__OpStoreResult>(result.substr(APPLY_RESULT_HEAD_BYTES));
    Pb__OpStoreResult copy = *r;
    copy.n_keywords = 0;
    return result.substr(0, APPLY_RESULT_HEAD_BYTES) + pack(&copy.base);
}

} // namespace

void check_result(Model *model, const Entry &e, Outcome &expected, const std::string &result)
{
    static const std::map<enum method, void (*)(const Check &)> checks = {
        {METHOD_DELIVER, check_deliver},
        {METHOD_APPEND, check_append},
        {METHOD_STORE, check_store},
        {METHOD_EXPUNGE, check_expunge},
        {METHOD_UNDELETE, check_undelete},
        {METHOD_COPY, check_copy},
        {METHOD_MOVE, check_copy},
        {METHOD_MAILBOX_CREATE, check_create},
        {METHOD_RECENT_CLAIM, check_claim},
        {METHOD_STAGE_BEGIN, check_stage_begin},
        {METHOD_DIR_ACCOUNT_ADD, check_dir_add},
        {METHOD_DIR_ACCOUNT_ADD_MANY, check_dir_add_many},
    };
    SCOPED_TRACE(std::string("result of ") + method_name(e.method) + " at " + std::to_string(e.index));
    ASSERT_GE(result.size(), static_cast<size_t>(APPLY_RESULT_HEAD_BYTES));
    enum err status = err_from_wire(get_le32(reinterpret_cast<const uint8_t *>(result.data())));
    ASSERT_STREQ(err_name(status), err_name(expected.status));
    std::string bytes = result.substr(APPLY_RESULT_HEAD_BYTES);
    auto check = checks.find(e.method);
    if (status != OK) {
        EXPECT_TRUE(bytes.empty());
    } else if (check != checks.end()) {
        check->second({model, e, expected, bytes});
    }
    if (!expected.recorded) {
        return;
    }
    Outcome &kept = model->shards[e.shard].done.at(e.id);
    std::string recorded = recorded_part(e, result);
    if (kept.result.empty()) {
        kept.result = recorded;
    }
    EXPECT_EQ(kept.result == recorded, true) << "a retry got another result";
}

} // namespace mail
