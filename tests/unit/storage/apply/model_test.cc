/* Thousands of random operations on the store and on plain C++ maps, compared after each; a client that follows by SYNC
 * alone must see the same. */
#include <algorithm>
#include <memory>
#include <set>

#include "tests/unit/storage/apply/shard.h"

using namespace shard_test;

namespace
{

struct ModelMessage {
    int mail;
    uint64_t flags;
    std::set<std::string> keywords;
    bool operator==(const ModelMessage &o) const
    {
        return mail == o.mail && flags == o.flags && keywords == o.keywords;
    }
};

struct ModelMailbox {
    uint32_t uidnext = 1;
    uint32_t recent_uid = 1;
    uint32_t uidvalidity = 0;
    std::map<uint32_t, ModelMessage> messages;
};

/* What a client knows of a mailbox. */
struct Follower {
    uint64_t modseq = 0;
    std::map<uint32_t, std::pair<uint64_t, std::set<std::string>>> messages;
};

class Model
{
  public:
    explicit Model(uint64_t seed) : account(5)
    {
        rng_seeded_init(&rng, seed);
        s.keeps = seed % 2 == 0;
        EXPECT_EQ(OK, s.create_account(account, 400000, 300));
        for (const char *n : {"INBOX", "Drafts", "Sent", "Trash", "Junk", "Archive"}) {
            boxes[n] = std::make_shared<ModelMailbox>();
            adopt(n);
        }
        for (int i = 0; i < 12; i++) {
            mails.push_back(simple_mail(i % 5, std::string(static_cast<size_t>(i * i * 60 + 1), 'x') + "\r\n"));
        }
    }

    uint64_t pick(uint64_t n)
    {
        return rng_below(&rng, n);
    }

    void adopt(const std::string &name)
    {
        Result r = s.select(account, name);
        ASSERT_EQ(OK, r.status) << name;
        auto m = UNPACK(Pb__ReadSelectResult, pb__read_select_result, r);
        boxes[name]->uidvalidity = m->info->uidvalidity;
        EXPECT_TRUE(validities.insert(m->info->uidvalidity).second) << "a UIDVALIDITY came twice";
    }

    std::string any_box()
    {
        auto it = boxes.begin();
        std::advance(it, static_cast<long>(pick(boxes.size())));
        return it->first;
    }

    std::set<std::string> any_keywords()
    {
        std::set<std::string> k;
        for (uint64_t i = pick(4); i > 0; i--) {
            k.insert("$kw" + std::to_string(pick(90)));
        }
        return k;
    }

    std::vector<uint32_t> any_uids(const ModelMailbox &b)
    {
        std::vector<uint32_t> u;
        for (uint64_t i = 1 + pick(6); i > 0; i--) {
            u.push_back(1 + static_cast<uint32_t>(pick(b.uidnext + 1)));
        }
        std::sort(u.begin(), u.end());
        u.erase(std::unique(u.begin(), u.end()), u.end());
        return u;
    }

    uint64_t used_bytes() const
    {
        uint64_t n = 0;
        for (const auto &b : boxes) {
            for (const auto &m : b.second->messages) {
                n += b.second ? mails[static_cast<size_t>(m.second.mail)].raw.size() : 0;
            }
        }
        return n;
    }
    uint64_t used_messages() const
    {
        uint64_t n = 0;
        for (const auto &b : boxes) {
            n += b.second->messages.size();
        }
        return n;
    }
    bool fits(uint64_t messages, uint64_t bytes) const
    {
        return used_messages() + messages <= 300 && used_bytes() + bytes <= 400000;
    }

    void op_append()
    {
        std::string name = any_box();
        int mail = static_cast<int>(pick(mails.size()));
        uint64_t flags = pick(32);
        std::set<std::string> k = any_keywords();
        const Mail &m = mails[static_cast<size_t>(mail)];
        Result r = s.append(account, name, m, flags, std::vector<std::string>(k.begin(), k.end()));
        if (!fits(1, m.raw.size())) {
            ASSERT_EQ(ERR_QUOTA, r.status);
            return;
        }
        ASSERT_EQ(OK, r.status);
        auto res = UNPACK(Pb__OpAppendResult, pb__op_append_result, r);
        ASSERT_EQ(boxes[name]->uidnext, res->uid);
        boxes[name]->messages[boxes[name]->uidnext++] = {mail, flags, k};
        compare(name);
    }

    void op_deliver()
    {
        int mail = static_cast<int>(pick(mails.size()));
        const Mail &m = mails[static_cast<size_t>(mail)];
        Result r = s.deliver({account}, m);
        if (!fits(1, m.raw.size())) {
            ASSERT_EQ(ERR_QUOTA, r.status);
            return;
        }
        ASSERT_EQ(OK, r.status);
        boxes["INBOX"]->messages[boxes["INBOX"]->uidnext++] = {mail, 0, {}};
        compare("INBOX");
    }

    void op_store()
    {
        std::string name = any_box();
        ModelMailbox &b = *boxes[name];
        auto u = any_uids(b);
        int mode = static_cast<int>(pick(3));
        uint64_t flags = pick(32);
        std::set<std::string> k = any_keywords();
        Result r = s.store(account, s.mailbox_id(account, name), uids(u), mode, flags,
                           std::vector<std::string>(k.begin(), k.end()));
        ASSERT_EQ(OK, r.status);
        std::vector<uint32_t> met;
        for (uint32_t uid : u) {
            auto it = b.messages.find(uid);
            if (it == b.messages.end()) {
                continue;
            }
            met.push_back(uid);
            ModelMessage &m = it->second;
            if (mode == 0) {
                m.flags = flags;
                m.keywords = k;
            } else if (mode == 1) {
                m.flags |= flags;
                m.keywords.insert(k.begin(), k.end());
            } else {
                m.flags &= ~flags;
                for (const auto &x : k) {
                    m.keywords.erase(x);
                }
            }
        }
        auto res = UNPACK(Pb__OpStoreResult, pb__op_store_result, r);
        ASSERT_EQ(met, uid_list(str(res->changed_uids)));
        compare(name);
    }

    void op_expunge()
    {
        std::string name = any_box();
        ModelMailbox &b = *boxes[name];
        auto u = any_uids(b);
        bool only_deleted = pick(2) == 0;
        Result r = s.expunge(account, s.mailbox_id(account, name), uids(u), only_deleted);
        ASSERT_EQ(OK, r.status);
        std::vector<uint32_t> gone;
        for (uint32_t uid : u) {
            auto it = b.messages.find(uid);
            if (it != b.messages.end() && (!only_deleted || (it->second.flags & FLAG_DELETED) != 0)) {
                gone.push_back(uid);
                b.messages.erase(it);
            }
        }
        ASSERT_EQ(gone, uid_list(str(UNPACK(Pb__OpExpungeResult, pb__op_expunge_result, r)->uids)));
        compare(name);
    }

    void op_copy_or_move(bool moving)
    {
        std::string from = any_box();
        std::string to = any_box();
        auto u = any_uids(*boxes[from]);
        uint64_t id = s.mailbox_id(account, from);
        Result r = moving ? s.move(account, id, uids(u), to) : s.copy(account, id, uids(u), to);
        std::vector<uint32_t> met;
        uint64_t bytes = 0;
        for (uint32_t uid : u) {
            auto it = boxes[from]->messages.find(uid);
            if (it != boxes[from]->messages.end()) {
                met.push_back(uid);
                bytes += mails[static_cast<size_t>(it->second.mail)].raw.size();
            }
        }
        if (!moving && !met.empty() && !fits(met.size(), bytes)) {
            ASSERT_EQ(ERR_QUOTA, r.status);
            return;
        }
        ASSERT_EQ(OK, r.status);
        auto res = UNPACK(Pb__OpCopyResult, pb__op_copy_result, r);
        ASSERT_EQ(met, uid_list(str(res->source_uids)));
        std::vector<uint32_t> made;
        for (uint32_t uid : met) {
            ModelMessage m = boxes[from]->messages[uid];
            made.push_back(boxes[to]->uidnext);
            boxes[to]->messages[boxes[to]->uidnext++] = m;
            if (moving) {
                boxes[from]->messages.erase(uid);
            }
        }
        ASSERT_EQ(made, uid_list(str(res->dest_uids)));
        compare(from);
        compare(to);
    }

    std::string any_name()
    {
        static const char *const parts[] = {"a", "b", "c", "Sent", "ö"};
        std::string n = parts[pick(5)];
        while (pick(3) == 0) {
            n += std::string("/") + parts[pick(5)];
        }
        return n;
    }

    void make_parents(const std::string &name)
    {
        for (size_t at = name.find('/'); at != std::string::npos; at = name.find('/', at + 1)) {
            std::string parent = name.substr(0, at);
            if (boxes.count(parent) == 0 && noselect.count(parent) == 0) {
                boxes[parent] = std::make_shared<ModelMailbox>();
                adopt(parent);
            }
        }
    }

    bool has_children(const std::string &name) const
    {
        auto below = [&](const std::string &x) { return x.compare(0, name.size() + 1, name + "/") == 0; };
        return std::any_of(boxes.begin(), boxes.end(), [&](const auto &b) { return below(b.first); }) ||
               std::any_of(noselect.begin(), noselect.end(), below);
    }

    void op_create()
    {
        std::string name = any_name();
        Result r = s.create(account, name);
        if (boxes.count(name) != 0) {
            ASSERT_EQ(ERR_EXISTS, r.status);
            return;
        }
        ASSERT_EQ(OK, r.status);
        noselect.erase(name);
        make_parents(name);
        boxes[name] = std::make_shared<ModelMailbox>();
        adopt(name);
    }

    void op_delete()
    {
        std::string name = pick(2) == 0 ? any_name() : any_box();
        Result r = s.remove(account, name);
        if (name == "INBOX") {
            ASSERT_EQ(ERR_PERM, r.status);
        } else if (boxes.count(name) != 0) {
            ASSERT_EQ(OK, r.status);
            if (has_children(name)) {
                noselect.insert(name);
            }
            boxes.erase(name);
            followers.erase(name);
        } else if (noselect.count(name) != 0) {
            ASSERT_EQ(has_children(name) ? ERR_NONEMPTY : OK, r.status);
            if (!has_children(name)) {
                noselect.erase(name);
            }
        } else {
            ASSERT_EQ(ERR_NOTFOUND, r.status);
        }
    }

    void op_rename()
    {
        std::string from = pick(4) == 0 ? "INBOX" : any_name();
        std::string to = any_name();
        Result r = s.rename(account, from, to);
        bool exists = boxes.count(to) != 0 || noselect.count(to) != 0;
        if (boxes.count(from) == 0 && noselect.count(from) == 0) {
            ASSERT_EQ(ERR_NOTFOUND, r.status);
            return;
        }
        if (exists) {
            ASSERT_EQ(ERR_EXISTS, r.status);
            return;
        }
        if (from != "INBOX" && to.compare(0, from.size() + 1, from + "/") == 0) {
            ASSERT_EQ(ERR_INVAL, r.status);
            return;
        }
        ASSERT_EQ(OK, r.status) << from << " " << to;
        followers.clear();
        make_parents(to);
        if (from == "INBOX") {
            boxes[to] = boxes["INBOX"];
            boxes["INBOX"] = std::make_shared<ModelMailbox>();
            adopt("INBOX");
            compare(to);
            return;
        }
        std::map<std::string, std::shared_ptr<ModelMailbox>> moved;
        for (auto it = boxes.begin(); it != boxes.end();) {
            bool in = it->first == from || it->first.compare(0, from.size() + 1, from + "/") == 0;
            if (in) {
                moved[to + it->first.substr(from.size())] = it->second;
                it = boxes.erase(it);
            } else {
                ++it;
            }
        }
        std::set<std::string> nodes;
        for (auto it = noselect.begin(); it != noselect.end();) {
            bool in = *it == from || it->compare(0, from.size() + 1, from + "/") == 0;
            if (in) {
                nodes.insert(to + it->substr(from.size()));
                it = noselect.erase(it);
            } else {
                ++it;
            }
        }
        boxes.insert(moved.begin(), moved.end());
        noselect.insert(nodes.begin(), nodes.end());
    }

    void op_recent()
    {
        std::string name = any_box();
        Pb__OpRecentClaim op = PB__OP_RECENT_CLAIM__INIT;
        op.account = account;
        op.mailbox = s.mailbox_id(account, name);
        Result r = s.apply(METHOD_RECENT_CLAIM, &op.base, account);
        ASSERT_EQ(OK, r.status);
        ASSERT_EQ(boxes[name]->recent_uid, UNPACK(Pb__OpRecentClaimResult, pb__op_recent_claim_result, r)->recent_uid);
        boxes[name]->recent_uid = boxes[name]->uidnext;
        compare(name);
    }

    void step()
    {
        switch (pick(16)) {
        case 0:
        case 1:
        case 2:
            return op_append();
        case 3:
            return op_deliver();
        case 4:
        case 5:
        case 6:
            return op_store();
        case 7:
        case 8:
            return op_expunge();
        case 9:
            return op_copy_or_move(false);
        case 10:
        case 11:
            return op_copy_or_move(true);
        case 12:
            return op_create();
        case 13:
            return op_delete();
        case 14:
            return op_rename();
        default:
            return op_recent();
        }
    }

    /* Flags with keyword names, from columns. */
    static std::set<std::string> names_of(uint64_t flags, const uint8_t *over, char **names, size_t n)
    {
        std::set<std::string> r;
        for (size_t k = 0; k < n; k++) {
            bool has = k < FLAG_KEYWORDS_MAX ? (flags >> (FLAG_KEYWORD_SHIFT + k) & 1) != 0
                                             : over != nullptr && (over[(k - 55) / 8] >> (k - 55) % 8 & 1) != 0;
            if (has) {
                r.insert(names[k]);
            }
        }
        return r;
    }

    void compare(const std::string &name)
    {
        const ModelMailbox &b = *boxes[name];
        Result r = s.select(account, name);
        ASSERT_EQ(OK, r.status) << name;
        auto sel = UNPACK(Pb__ReadSelectResult, pb__read_select_result, r);
        std::vector<uint32_t> want;
        uint32_t unseen = 0;
        uint32_t first_unseen = 0;
        uint32_t recent = 0;
        uint32_t deleted = 0;
        for (const auto &m : b.messages) {
            want.push_back(m.first);
            if ((m.second.flags & FLAG_SEEN) == 0) {
                unseen++;
                first_unseen = first_unseen == 0 ? m.first : first_unseen;
            }
            deleted += (m.second.flags & FLAG_DELETED) != 0;
            recent += m.first >= b.recent_uid;
        }
        EXPECT_EQ(want, uid_list(str(sel->uids))) << name;
        EXPECT_EQ(b.uidnext, sel->info->uidnext);
        EXPECT_EQ(b.uidvalidity, sel->info->uidvalidity);
        EXPECT_EQ(want.size(), sel->info->messages);
        EXPECT_EQ(unseen, sel->info->unseen);
        EXPECT_EQ(deleted, sel->info->deleted);
        EXPECT_EQ(recent, sel->info->recent);
        EXPECT_EQ(first_unseen, sel->first_unseen_uid);
        compare_flags(b, sel->info->mailbox);
        follow(name, sel->info->mailbox);
    }

    void compare_flags(const ModelMailbox &b, uint64_t id)
    {
        Result r = s.fetch(account, id, uid_range(1, UINT32_MAX - 1), FETCH_COL_FLAGS | FETCH_COL_SIZE);
        ASSERT_EQ(OK, r.status);
        auto f = UNPACK(Pb__ReadFetchResult, pb__read_fetch_result, r);
        auto uid = column<uint32_t>(f->uid);
        auto flags = column<uint64_t>(f->flags);
        auto size = column<uint32_t>(f->size);
        const uint8_t *over = f->overflow.data;
        ASSERT_EQ(b.messages.size(), uid.size());
        size_t i = 0;
        for (const auto &m : b.messages) {
            EXPECT_EQ(m.first, uid[i]);
            EXPECT_EQ(m.second.flags, flags[i] & FLAG_SYSTEM_MASK);
            EXPECT_EQ(mails[static_cast<size_t>(m.second.mail)].raw.size(), size[i]);
            const uint8_t *mine = (flags[i] & FLAG_OVERFLOW) != 0 ? over : nullptr;
            over += mine != nullptr ? 24 : 0;
            EXPECT_EQ(m.second.keywords, names_of(flags[i], mine, f->keywords, f->n_keywords));
            i++;
        }
    }

    /* Applies what SYNC says to what the client had. Sometimes it does not look, so that several changes come together.
     */
    void follow(const std::string &name, uint64_t id)
    {
        if (pick(3) == 0) {
            return;
        }
        Follower &c = followers[name];
        Result r = s.sync(account, id, c.modseq);
        ASSERT_EQ(OK, r.status);
        auto y = UNPACK(Pb__ReadSyncResult, pb__read_sync_result, r);
        ASSERT_FALSE(y->deleted);
        ASSERT_FALSE(y->more);
        if (y->full) {
            c.messages.clear();
            for (uint32_t uid : uid_list(str(y->uids))) {
                c.messages[uid];
            }
        } else if (y->modseq > c.modseq) {
            for (uint32_t uid : uid_list(str(y->vanished))) {
                c.messages.erase(uid);
            }
            for (uint32_t uid : uid_list(str(y->new_uids))) {
                EXPECT_EQ(0u, c.messages.count(uid));
                c.messages[uid];
            }
            auto changed = uid_list(str(y->changed_uids));
            auto flags = column<uint64_t>(y->changed_flags);
            const uint8_t *over = y->changed_overflow.data;
            ASSERT_EQ(changed.size(), flags.size());
            for (size_t i = 0; i < changed.size(); i++) {
                EXPECT_EQ(1u, c.messages.count(changed[i]));
                const uint8_t *mine = (flags[i] & FLAG_OVERFLOW) != 0 ? over : nullptr;
                over += mine != nullptr ? 24 : 0;
                c.messages[changed[i]] = {flags[i] & FLAG_SYSTEM_MASK,
                                          names_of(flags[i], mine, y->keywords, y->n_keywords)};
            }
        }
        read_new_flags(c, id, y->full ? std::vector<uint32_t>() : uid_list(str(y->new_uids)), y->full);
        c.modseq = y->modseq;
        const ModelMailbox &b = *boxes[name];
        ASSERT_EQ(b.messages.size(), c.messages.size()) << name;
        for (const auto &m : b.messages) {
            ASSERT_EQ(1u, c.messages.count(m.first));
            EXPECT_EQ(m.second.flags, c.messages[m.first].first) << m.first;
            EXPECT_EQ(m.second.keywords, c.messages[m.first].second);
        }
    }

    void read_new_flags(Follower &c, uint64_t id, const std::vector<uint32_t> &fresh, bool all)
    {
        Result r = s.fetch(account, id, all ? uid_range(1, UINT32_MAX - 1) : uids(fresh), FETCH_COL_FLAGS);
        ASSERT_EQ(OK, r.status);
        auto f = UNPACK(Pb__ReadFetchResult, pb__read_fetch_result, r);
        auto uid = column<uint32_t>(f->uid);
        auto flags = column<uint64_t>(f->flags);
        const uint8_t *over = f->overflow.data;
        for (size_t i = 0; i < uid.size(); i++) {
            const uint8_t *mine = (flags[i] & FLAG_OVERFLOW) != 0 ? over : nullptr;
            over += mine != nullptr ? 24 : 0;
            c.messages[uid[i]] = {flags[i] & FLAG_SYSTEM_MASK, names_of(flags[i], mine, f->keywords, f->n_keywords)};
        }
    }

    void compare_account()
    {
        Pb__ReadAccount q = PB__READ_ACCOUNT__INIT;
        q.account = account;
        Result r = s.read(METHOD_ACCOUNT, &q.base);
        ASSERT_EQ(OK, r.status);
        auto a = UNPACK(Pb__ReadAccountResult, pb__read_account_result, r);
        EXPECT_EQ(used_bytes(), a->used_bytes);
        EXPECT_EQ(used_messages(), a->used_messages);
        Pb__ReadMailboxes l = PB__READ_MAILBOXES__INIT;
        l.account = account;
        r = s.read(METHOD_MAILBOXES, &l.base);
        ASSERT_EQ(OK, r.status);
        auto list = UNPACK(Pb__ReadMailboxesResult, pb__read_mailboxes_result, r);
        std::set<std::string> have;
        for (size_t i = 0; i < list->n_mailboxes; i++) {
            const Pb__MailboxInfo *m = list->mailboxes[i];
            if (m->nonexistent) {
                continue;
            }
            have.insert(m->name);
            EXPECT_EQ(m->noselect, noselect.count(m->name) != 0) << m->name;
            EXPECT_EQ(m->has_children, has_children(m->name)) << m->name;
        }
        std::set<std::string> want(noselect);
        for (const auto &b : boxes) {
            want.insert(b.first);
        }
        EXPECT_EQ(want, have);
    }

    Shard s;
    struct rng rng;
    uint64_t account;
    std::vector<Mail> mails;
    std::map<std::string, std::shared_ptr<ModelMailbox>> boxes;
    std::set<std::string> noselect;
    std::set<uint32_t> validities;
    std::map<std::string, Follower> followers;
};

class ModelRun : public ::testing::TestWithParam<uint64_t>
{
};

TEST_P(ModelRun, agrees_with_the_store_after_every_operation)
{
    Model model(GetParam());
    for (int i = 0; i < 1500 && !::testing::Test::HasFailure(); i++) {
        model.step();
        if (i % 50 == 49) {
            model.compare_account();
            EXPECT_EQ("", model.s.check()) << "after " << i;
        }
        if (i % 300 == 299) {
            model.s.purge_all();
            EXPECT_EQ("", model.s.check());
        }
    }
    for (const auto &b : model.boxes) {
        uint64_t id = model.s.mailbox_id(model.account, b.first);
        for (const auto &m : b.second->messages) {
            EXPECT_EQ(model.mails[static_cast<size_t>(m.second.mail)].raw, model.s.body(model.account, id, m.first));
        }
    }
    EXPECT_GT(model.s.last_totals.messages, 20u);
}

TEST_P(ModelRun, leaves_byte_equal_state_on_a_second_replica)
{
    /* The same entries with other transaction boundaries and another cache history. */
    Model a(GetParam());
    Model b(GetParam());
    b.s.use_cache = false;
    for (int i = 0; i < 300; i++) {
        a.step();
        b.step();
    }
    EXPECT_EQ(a.s.state(), b.s.state());
}

INSTANTIATE_TEST_SUITE_P(Seeds, ModelRun, ::testing::Range<uint64_t>(1, 7));

} // namespace
