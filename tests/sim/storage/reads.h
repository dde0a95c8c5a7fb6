/* The read methods over a snapshot, and how they must agree with the model. */
#ifndef TESTS_SIM_STORAGE_READS_H
#define TESTS_SIM_STORAGE_READS_H

#include <functional>

#include "model.h"
#include "proto/base/rng.h"
#include "storage/method/method_run.h"
#include "storage/mailbox/read_cache.h"

namespace mail
{

struct Session;

class Reader
{
  public:
    Reader(Model *m, uint32_t shard, struct kv_txn *t, const uint8_t prefix[5], struct read_cache *cache,
           uint64_t term);

    /* One call; meta and attachment are the reply's. */
    enum err call(enum method m, const ProtobufCMessage *req, std::string *meta, std::string *attach);

    /* Everything that can be read of an account; bodies: every byte too. */
    void check_account(Account &a, bool bodies, struct rng *r);
    /* The folder list; learns what is new. */
    void check_folders(Account &a);
    void check_directory();
    void sync(Session *s, struct rng *r);

  private:
    void check_row(Account &a);
    void check_kept(const Account &a);
    void folder(Account &a, const Pb__MailboxInfo &info, std::set<std::string> *left);
    void info(Account &a, Mailbox &m, const Pb__MailboxInfo &info);
    void check_mailbox(Account &a, const std::string &name, Mailbox &m, bool bodies, struct rng *r);
    void select(Account &a, const std::string &name, Mailbox &m, struct rng *r);
    void fetch(Account &a, Mailbox &m, uint64_t changed_since, struct rng *r);
    void fetch_rows(Mailbox &m, uint64_t changed_since, const Pb__ReadFetchResult &page, const std::string &attach,
                    std::map<uint32_t, Message>::const_iterator *at);
    void vanished(Account &a, Mailbox &m, struct rng *r);
    void body(Account &a, Mailbox &m, uint32_t uid, const Message &msg, struct rng *r);
    void sync_flags(Session *s, const std::vector<uint32_t> &uids);

    Model *model_;
    uint32_t shard_;
    struct kv_txn *t_;
    uint8_t prefix_[5];
    struct read_cache *cache_;
    uint64_t term_;
};

/* The wire's flags as names. */
Flags flags_of(uint64_t bits, const uint8_t *overflow, char *const *table, size_t n);
/* A keyword table only grows, has no name twice, and has what the model knows. */
void check_keywords(Mailbox &m, char *const *table, size_t n);
/* Is the result of an entry what the model says? Learns ids. */
void check_result(Model *model, const Entry &e, Outcome &expected, const std::string &result);
/* An id that the store chose: the first time it must be new, then the same. */
void learn_mailbox(Account &a, const MailboxRef &m, uint64_t id, uint32_t uidvalidity);
void learn_email(Model *model, Email &e, const std::string &emailid, const std::string &threadid);

} // namespace mail

#endif /* TESTS_SIM_STORAGE_READS_H */
