/* What the outside knows of the mail, from calls and their answers only: when each began and ended, and what it saw.
 * Nothing here looks into a store. Times are stamps: every beginning and every end has its own, so that of two calls
 * it is always known whether one ended before the other began.
 *
 * A row (mailbox, UID) is a register: its versions are MODSEQs, its last value is "gone". Since the store tells each
 * version with each value, linearizability is a matter of order: a version has one value; a call sees no version older
 * than what calls that ended before it began have seen; a row that is known and that nobody may have removed is there;
 * one that is known to be gone stays gone. The same holds of mailboxes, and of a mailbox as a whole: its MODSEQ names
 * one set of UIDs. */
#ifndef TESTS_SIM_MAIL_LEDGER_H
#define TESTS_SIM_MAIL_LEDGER_H

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace post
{

constexpr uint64_t NEVER = UINT64_MAX;

/* A call, from its beginning to its answer. */
struct Span {
    uint64_t begun;
    uint64_t ended;
};

/* A number that grows: what calls saw of it. */
class Ascending
{
  public:
    void saw(uint64_t ended, uint64_t value)
    {
        if (steps_.empty() || value > steps_.back().second) {
            steps_.emplace_back(ended, value);
        }
    }
    /* The most that a call which ended before `begun` saw. */
    uint64_t before(uint64_t begun) const;
    uint64_t last() const
    {
        return steps_.empty() ? 0 : steps_.back().second;
    }

  private:
    std::vector<std::pair<uint64_t, uint64_t>> steps_;
};

/* Something that is made once, is there, and goes once. */
struct Thing {
    uint64_t seen = NEVER;       /* a call that ended then saw it */
    uint64_t gone = NEVER;       /* a call that ended then saw that it is gone */
    std::set<uint64_t> removals; /* calls that may remove it, or have */
    /* No call that ended by now can have found it missing when it began at `begun`. */
    bool certain(uint64_t begun) const
    {
        return seen < begun && gone == NEVER && removals.empty();
    }
};

struct Row : Thing {
    uint64_t marker = 0;                /* of its mail; 0: nobody has looked yet */
    bool explained = false;             /* an acknowledged call says that it made it */
    std::map<uint64_t, uint64_t> flags; /* by MODSEQ */
    Ascending modseq;
};

/* Mail comes to birth mailboxes only, copies to the archive only, what is moved to the trash only: so each can be
 * counted. */
enum class Kind { BIRTH, ARCHIVE, TRASH };

struct Box : Thing {
    uint64_t id = 0;
    Kind kind = Kind::BIRTH;
    uint32_t uidvalidity = 0;
    std::map<std::string, uint64_t> names; /* that it was asked to have: since when that is over for certain */
    std::set<uint64_t> renames;            /* calls that may rename it, or have */
    std::map<uint32_t, Row> rows;
    Ascending modseq;
    Ascending uidnext;
    Ascending complete;                               /* UIDNEXT of calls that saw all UIDs */
    std::map<uint64_t, std::set<uint32_t>> snapshots; /* by MODSEQ */
    bool listed(const std::string &name, uint64_t begun) const;
};

/* What is known of a mail in one account. */
struct Fate {
    bool acked = false;
    bool impossible = false; /* refused for certain, or never taken */
    uint64_t box = 0;        /* where, when acknowledged */
    uint32_t uid = 0;
    unsigned copies_unsure = 0; /* copies of it that nobody knows about */
    unsigned moves_unsure = 0;
};

struct Mail {
    std::string body;
    std::string record;
};

struct Account {
    uint64_t id = 0;
    uint32_t shard = 0;
    std::map<uint64_t, Box> boxes;
    std::map<std::string, uint64_t> named; /* names that were once seen: no name is used twice */
    std::map<uint64_t, Fate> fates;        /* by marker */
    Ascending modseq;
};

/* A mailbox as an answer shows it. */
struct Shown {
    uint64_t id = 0;
    std::string name;
    uint32_t uidvalidity = 0;
    uint32_t uidnext = 0;
    uint64_t modseq = 0;
};

class Ledger
{
  public:
    /* Deterministic in the number. Made before it is sent. */
    const Mail &mail(uint64_t marker, size_t bytes);

    /* --- what calls saw --- */
    /* A message that an acknowledged call made. */
    void made(Account *a, Span s, uint64_t box, uint32_t uidvalidity, uint32_t uid, uint64_t marker);
    Box *box(Account *a, Span s, const Shown &shown);
    void saw_box_gone(Account *a, Span s, uint64_t box);
    void saw_row(Box *b, Span s, uint32_t uid, uint64_t modseq, uint64_t flags);
    void saw_row_gone(Box *b, Span s, uint32_t uid);
    void saw_content(Box *b, Span s, uint32_t uid, const std::string &body);
    /* All UIDs. */
    void saw_all(Box *b, Span s, const Shown &shown, const std::set<uint32_t> &uids);
    void saw_list(Account *a, Span s, const std::vector<Shown> &list);
    void saw_modseq(Account *a, Span s, uint64_t modseq);

    /* --- the end: every row was seen and read --- */
    void count(const Account &a);

  private:
    void exists(Box *b, Span s, uint32_t uid);
    void count_mail(const Account &a, uint64_t marker, const Fate &f,
                    const std::vector<std::pair<const Box *, uint32_t>> &rows);
    std::map<uint64_t, Mail> mails_;
};

} // namespace post

#endif /* TESTS_SIM_MAIL_LEDGER_H */
