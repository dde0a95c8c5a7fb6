/* The outside view of the mail store: a plain model of what every entry does to accounts, folders and messages, written
 * from the promises (ARCHITECTURE, sections 1, 5, 5a, 6), not from the rows. The simulator applies an entry here when
 * it was answered, or when the log's length says that it was applied before a crash; then results and read methods must
 * agree with the model.
 *
 * What the store chooses itself (ids of mailboxes, UIDVALIDITY, EMAILID, THREADID) is unknown here until it is first
 * seen, and must never change or come again afterwards. */
#ifndef TESTS_SIM_STORAGE_MODEL_H
#define TESTS_SIM_STORAGE_MODEL_H

#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "wire.h"

namespace mail
{

struct Flags {
    uint64_t system = 0;
    std::set<std::string> keywords; /* in lower case */
    bool operator==(const Flags &o) const
    {
        return system == o.system && keywords == o.keywords;
    }
    bool operator!=(const Flags &o) const
    {
        return !(*this == o);
    }
};

/* What was sent; messages that share an email have one content (and one EMAILID, THREADID). */
struct Content {
    std::string body;
    std::string record;
};

struct Email {
    std::shared_ptr<const Content> content;
    std::string objectid; /* EMAILID, THREADID; empty: not seen yet */
};

struct Message {
    std::shared_ptr<Email> email;
    Flags flags;
    uint64_t modseq = 0;
    uint64_t created = 0;
    int64_t internal_s = 0;
    int64_t save_s = 0;
};

struct Mailbox {
    uint64_t id = 0; /* 0: not seen yet */
    std::string objectid;
    uint32_t uidvalidity = 0;
    uint32_t uidvalidity_above = 0; /* what the account had given before it was made */
    uint32_t special_use = 0;
    uint32_t uidnext = 1;
    uint32_t recent_uid = 1;
    uint64_t modseq = 0;
    bool deleted = false;
    std::map<uint32_t, Message> messages;
    std::set<std::string> keywords; /* ever used, in lower case */
    std::vector<std::string> table; /* as last seen */
    std::vector<std::pair<uint64_t, uint32_t>> gone;
};
using MailboxRef = std::shared_ptr<Mailbox>;

struct Copy {
    MailboxRef to;
    std::vector<uint32_t> made;
    uint64_t entry_ms = 0;
    bool undoing = false;
};

/* Expunged, and can be brought back. */
using KeptKey = std::tuple<uint64_t, uint64_t, uint32_t>; /* entry time, mailbox, UID */
struct Kept {
    Message message;
    std::string name; /* of the mailbox then */
};

struct Account {
    uint64_t id = 0;
    uint32_t shard = 0;
    std::string name;
    bool live = true;
    bool purging = false; /* a step of its purge was made */
    uint64_t modseq = 0;
    uint64_t quota_bytes = 0;
    uint64_t quota_messages = 0;
    std::map<std::string, MailboxRef> tree; /* by full name; null: \NoSelect */
    std::map<uint64_t, MailboxRef> by_id;   /* that were seen, deleted ones too */
    std::set<std::string> subscribed;
    std::map<std::string, Copy> copies;
    std::map<KeptKey, Kept> kept;
    std::set<uint32_t> uidvalidities; /* seen */
    bool unseen_folders = true;       /* something of the tree was not read yet */
    uint64_t used_messages() const;
    uint64_t used_bytes() const;
};
using AccountRef = std::shared_ptr<Account>;

struct Stage {
    uint64_t account = 0;
    uint64_t entry_ms = 0;
    uint32_t size = 0;
    std::map<uint64_t, size_t> chunks; /* by offset: bytes */
    size_t staged() const;
};

struct Owed {
    std::shared_ptr<const Content> content;
    std::vector<uint64_t> accounts;
};

struct DirName {
    uint64_t account = 0; /* 0: not seen yet */
    uint32_t shard = 0;
};

/* One entry of the log. */
struct Entry {
    uint32_t shard = 0;
    enum method method = METHOD_PURGE;
    uint64_t account = 0;
    std::string id;
    uint64_t entry_ms = 0;
    std::string op;
    size_t body_bytes = 0;
    std::shared_ptr<const Content> content; /* of the mail it carries */
    uint64_t index = 0;
    uint64_t term = 0;
    bool keep = false; /* what it expunges */
    bool dry = false;  /* only the status is wanted: nothing changes */
};

struct Delivered {
    enum err status = OK;
    MailboxRef mailbox;
    uint32_t uid = 0;
};

struct RowOutcome {
    uint32_t uid = 0;
    Flags flags;
    uint64_t modseq = 0;
};

/* What the entry must have answered. */
struct Outcome {
    enum err status = OK;
    bool changed = false;
    bool recorded = true; /* whoever asks again gets the same answer */
    uint64_t modseq = 0;
    uint64_t index = 0;
    MailboxRef mailbox;
    uint32_t uid = 0;
    std::vector<uint32_t> uids; /* expunged; or of the source */
    std::vector<uint32_t> dest;
    std::vector<uint32_t> modified;
    std::vector<RowOutcome> rows;
    std::vector<Delivered> recipients;
    std::shared_ptr<Email> email;
    std::vector<std::string> names; /* directory: whose accounts the result has */
    uint64_t entry_ms = 0;
    std::string result; /* as first seen, when it was */
};

struct ShardFacts {
    std::map<uint64_t, Stage> staged;
    std::map<std::string, Outcome> done;                /* by request id: what they answered */
    std::map<std::pair<uint64_t, uint32_t>, Owed> owed; /* handoffs: (index, to) */
    std::map<uint64_t, AccountRef> accounts;
};

/* "" and nothing else is no name; canonical spelling of INBOX. */
enum err name_check(const std::string &name);
std::string name_canonical(const std::string &name);
std::string lower(const std::string &s);

class Model
{
  public:
    explicit Model(uint32_t n_shards) : shards(n_shards)
    {
    }
    /* A request that was done already changes nothing and has the outcome it had. */
    Outcome apply(const Entry &e);
    /* A chunk of a staged body: what it must have been answered. */
    enum err chunk(uint32_t shard, uint64_t staged_index, uint64_t offset, size_t bytes);

    std::vector<ShardFacts> shards;
    std::set<std::string> domains;
    std::map<std::string, DirName> names;
    std::map<std::string, std::set<std::string>> aliases;
    std::set<uint64_t> accounts_seen; /* ids that the directory gave */
    std::set<std::string> emailids;   /* seen */

  private:
    Outcome run(const Entry &e);
    AccountRef find(const Entry &e, uint64_t account) const;
    enum err named(const Account &a, const std::string &name, MailboxRef *out) const;
    MailboxRef by_id(const Account &a, uint64_t mailbox) const;
    uint64_t tick(Account &a);
    enum err quota(const Account &a, uint64_t messages, uint64_t bytes) const;
    enum err source(const Entry &e, const Pb__BodySource *s, const std::vector<uint64_t> &accounts) const;
    void use_body(const Entry &e, const Pb__BodySource *s);
    void add(Account &a, Mailbox &m, Message msg);
    void expunge(Account &a, Mailbox &m, const std::vector<uint32_t> &uids);
    MailboxRef make(Account &a, const std::string &name, uint32_t special_use);
    void make_parents(Account &a, const std::string &name);
    void fill(const Entry &e, const Pb__OpAccountCreate &req);

    Outcome domain_set(const Entry &e);
    Outcome dir_account_add(const Entry &e);
    Outcome dir_account_add_many(const Entry &e);
    Outcome dir_account_remove(const Entry &e);
    Outcome alias_set(const Entry &e);
    enum err dir_free(const std::string &name) const;

    Outcome account_create(const Entry &e);
    Outcome account_create_many(const Entry &e);
    Outcome account_remove(const Entry &e);
    Outcome quota_set(const Entry &e);
    Outcome mailbox_create(const Entry &e);
    Outcome mailbox_delete(const Entry &e);
    Outcome mailbox_rename(const Entry &e);
    Outcome mailbox_subscribe(const Entry &e);
    Outcome recent_claim(const Entry &e);

    Outcome deliver(const Entry &e);
    Outcome append(const Entry &e);
    Outcome store(const Entry &e);
    Outcome expunge(const Entry &e);
    Outcome copy(const Entry &e);
    Outcome copy_undo(const Entry &e, Account &a, const std::string &copy_id);
    Outcome move(const Entry &e);
    enum err plan_copy(const Account &a, uint64_t mailbox, ProtobufCBinaryData uids, const char *to, bool moving,
                       MailboxRef *out_from, MailboxRef *out_to, std::vector<uint32_t> *out_uids) const;
    void do_copy(const Entry &e, Account &a, Mailbox &from, Mailbox &to, bool moving, Outcome *o);
    Outcome handoff_done(const Entry &e);
    void keep(const Entry &e, Account &a, const MailboxRef &m, const std::vector<uint32_t> &uids);
    enum err undelete_to(const Account &a, const Pb__OpUndelete &req, const std::string &old_name, MailboxRef *out,
                         std::string *out_name) const;
    Outcome undelete(const Entry &e);
    Outcome kept_drop(const Entry &e);

    Outcome stage_begin(const Entry &e);
    Outcome stage_abort(const Entry &e);
    Outcome purge(const Entry &e);
    void stage_drop(uint32_t shard, uint64_t index);

    std::set<uint64_t> ticked_; /* accounts of this entry */
};

} // namespace mail

#endif /* TESTS_SIM_STORAGE_MODEL_H */
