#include "tests/unit/storage/search/search_fixture.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>
#include <sstream>

using namespace search_test;

namespace
{

/* All that a message is, for a reference that knows no levels, no streams and no short cuts. */
struct Fact {
    uint32_t uid = 0;
    uint64_t flags = 0;
    uint64_t modseq = 0;
    int64_t internal_s = 0;
    int64_t save_s = 0;
    uint32_t size = 0;
    std::string emailid;
    std::string threadid;
    std::set<std::string> keywords;
    Mail mail;
    std::vector<std::pair<std::string, std::string>> fields; /* name in lower case, compared value */
    std::vector<std::string> header_texts;
    std::vector<std::string> body_texts;
};

std::string take(struct buf *b)
{
    std::string s(reinterpret_cast<const char *>(buf_slice(b).p), b->len);
    buf_fini(b);
    return s;
}

struct slice view(const std::string &s)
{
    return slice_make(s.data(), s.size());
}

std::string fold(const std::string &s)
{
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    EXPECT_EQ(OK, msg_casemap(view(s), &b));
    return take(&b);
}

std::string decode_value(struct slice v)
{
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    EXPECT_EQ(OK, msg_header_decode(v, &b));
    return take(&b);
}

std::string decode_part(const std::string &raw, const struct msg_part &p)
{
    struct msg_decoder *d = nullptr;
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    EXPECT_EQ(OK, msg_decoder_new(p.encoding, p.charset, &d));
    EXPECT_EQ(OK, msg_decoder_feed(d, slice_sub(view(raw), p.body_off, p.body_off + p.body_bytes), &b));
    EXPECT_EQ(OK, msg_decoder_finish(d, &b));
    msg_decoder_free(d);
    return take(&b);
}

void read_block(struct slice block, std::vector<std::string> *texts,
                std::vector<std::pair<std::string, std::string>> *fields)
{
    struct slice name;
    struct slice value;
    struct slice line;
    while (msg_header_next(&block, &name, &value, &line)) {
        std::string n(reinterpret_cast<const char *>(name.p), name.n);
        std::string v = decode_value(value);
        texts->push_back(fold(n + (n.empty() ? "" : ":") + v));
        std::transform(n.begin(), n.end(), n.begin(), [](unsigned char c) { return tolower(c); });
        if (fields != nullptr && !n.empty()) {
            fields->emplace_back(n, fold(v));
        }
    }
}

void read_texts(Fact *f)
{
    struct msg_record r;
    struct slice all = view(f->mail.raw);
    ASSERT_EQ(OK, msg_record_decode(view(f->mail.record), &r));
    read_block(slice_sub(all, 0, r.header_bytes), &f->header_texts, &f->fields);
    for (uint32_t i = 0; i < r.n_parts; i++) {
        struct msg_part p;
        struct msg_part parent;
        ASSERT_EQ(OK, msg_part_at(&r, i, &p));
        ASSERT_EQ(OK, msg_part_at(&r, p.parent, &parent));
        if (i > 0 && parent.kind == MSG_PART_MESSAGE) {
            read_block(slice_sub(all, p.header_off, p.header_off + p.header_bytes), &f->body_texts, nullptr);
        }
        if (p.kind == MSG_PART_LEAF && p.is_text) {
            f->body_texts.push_back(fold(decode_part(f->mail.raw, p)));
        }
    }
    if (r.structure_cut) {
        std::string rest = f->mail.raw.substr(r.header_bytes);
        struct msg_part p = {};
        p.encoding = MSG_ENC_8BIT;
        p.body_bytes = static_cast<uint32_t>(rest.size());
        strcpy(p.charset, "utf-8");
        f->body_texts.push_back(fold(decode_part(rest, p)));
    }
}

bool any_contains(const std::vector<std::string> &texts, const std::string &needle)
{
    for (const auto &t : texts) {
        if (t.find(needle) != std::string::npos) {
            return true;
        }
    }
    return needle.empty();
}

bool in_field(const Fact &f, std::string name, const std::string &needle)
{
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return tolower(c); });
    for (const auto &v : f.fields) {
        if (v.first == name && v.second.find(needle) != std::string::npos) {
            return true;
        }
    }
    return false;
}

bool sent_in(const Fact &f, const Key &k)
{
    struct msg_record r;
    EXPECT_EQ(OK, msg_record_decode(view(f.mail.record), &r));
    int64_t t = r.sent_s == INT64_MIN ? 0 : r.sent_s + r.sent_zone_min * 60;
    return r.sent_s != INT64_MIN && t >= k.from && t < k.to;
}

bool matches(const Fact &f, const Key &k)
{
    auto child = [&f](const Key &c) { return matches(f, c); };
    auto within = [&k](int64_t t) { return t >= k.from && t < k.to; };
    switch (static_cast<int>(k.op)) {
    case OP(AND):
        return std::all_of(k.children.begin(), k.children.end(), child);
    case OP(OR):
        return std::any_of(k.children.begin(), k.children.end(), child);
    case OP(NOT):
        return !matches(f, k.children[0]);
    case OP(UIDS): {
        Uids l = uid_list(k.uids);
        return std::find(l.begin(), l.end(), f.uid) != l.end();
    }
    case OP(FLAGS):
        return (f.flags & k.set) == k.set && (f.flags & k.clear) == 0;
    case OP(KEYWORD):
        return f.keywords.count(k.name) != 0;
    case OP(LARGER):
        return f.size > k.number;
    case OP(SMALLER):
        return f.size < k.number;
    case OP(INTERNAL):
        return within(f.internal_s);
    case OP(SAVED):
        return within(f.save_s);
    case OP(SENT):
        return sent_in(f, k);
    case OP(HEADER):
    case OP(ADDRESS):
        return in_field(f, k.name, fold(k.text));
    case OP(BODY):
        return any_contains(f.body_texts, fold(k.text));
    case OP(TEXT):
        return any_contains(f.body_texts, fold(k.text)) || any_contains(f.header_texts, fold(k.text));
    case OP(MODSEQ):
        return f.modseq >= k.number;
    case OP(NEW_SINCE_UID):
        return f.uid >= k.number;
    case OP(EMAILID):
        return f.emailid == k.objectid;
    case OP(THREADID):
        return f.threadid == k.objectid;
    default:
        return true;
    }
}

class SearchRandom : public RunBox
{
  protected:
    void SetUp() override
    {
        RunBox::SetUp();
        std::vector<std::filesystem::path> files;
        for (const auto &e : std::filesystem::recursive_directory_iterator(PB_TEST_DATA "/mail")) {
            if (e.is_regular_file() && e.path().extension() == ".eml") {
                files.push_back(e.path());
            }
        }
        std::sort(files.begin(), files.end());
        ASSERT_GT(files.size(), 50u);
        for (const auto &p : files) {
            std::ifstream in(p, std::ios::binary);
            std::stringstream bytes;
            bytes << in.rdbuf();
            fill(bytes.str());
        }
        read_rows();
    }

    uint64_t pick(uint64_t n)
    {
        return rnd() % n;
    }

    void fill(const std::string &raw)
    {
        if (raw.empty()) {
            return;
        }
        Fact f;
        f.mail = make_mail(raw);
        f.flags = pick(32);
        for (int i = 0; i < 70; i++) {
            if (pick(20) == 0) {
                f.keywords.insert("k" + std::to_string(i));
            }
        }
        f.internal_s = 1 + static_cast<int64_t>(pick(1000));
        f.uid = add(f.mail, f.flags, std::vector<std::string>(f.keywords.begin(), f.keywords.end()), f.internal_s);
        read_texts(&f);
        facts.push_back(f);
    }

    /* What apply decides, from FETCH. */
    void read_rows()
    {
        size_t at = 0;
        uint32_t columns = FETCH_COL_MODSEQ | FETCH_COL_SAVED | FETCH_COL_SIZE | FETCH_COL_OBJECTID;
        for (uint32_t from = 1; at < facts.size();) {
            Result r = s.fetch(kAccount, inbox, uid_range(1, facts.back().uid), columns, from);
            ASSERT_EQ(OK, r.status);
            auto m = UNPACK(Pb__ReadFetchResult, pb__read_fetch_result, r);
            auto modseqs = column<uint64_t>(m->modseq);
            auto saved = column<int64_t>(m->save_s);
            auto sizes = column<uint32_t>(m->size);
            std::string ids = str(m->objectid);
            for (uint32_t i = 0; i < m->rows; i++, at++) {
                facts[at].modseq = modseqs[i];
                facts[at].save_s = saved[i];
                facts[at].size = sizes[i];
                facts[at].emailid = ids.substr(i * 32, 16);
                facts[at].threadid = ids.substr(i * 32 + 16, 16);
            }
            from = m->next_uid;
            ASSERT_TRUE(from != 0 || at == facts.size());
        }
    }

    /* Mostly something that is there. */
    std::string needle()
    {
        const Fact &f = facts[pick(facts.size())];
        const auto &texts = pick(2) == 0 || f.body_texts.empty() ? f.header_texts : f.body_texts;
        if (texts.empty() || pick(12) == 0) {
            return pick(3) == 0 ? "" : std::string(1 + pick(3), static_cast<char>('a' + pick(26)));
        }
        std::string t = texts[pick(texts.size())];
        std::string part = t.empty() ? t : t.substr(pick(t.size()), 1 + pick(pick(4) == 0 ? 3000 : 12));
        size_t cut = 0; /* whole characters: what a client sends is UTF-8 */
        while (cut < part.size() && (part[cut] & 0xc0) == 0x80) {
            cut++;
        }
        part.erase(0, cut);
        while (!part.empty() && (part.back() & 0x80) != 0) {
            part.pop_back();
        }
        for (char &c : part) {
            c = pick(2) == 0 ? static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c) : c;
        }
        return part;
    }

    Key leaf()
    {
        static const Op kOps[] = {OP(UIDS),          OP(FLAGS),  OP(KEYWORD), OP(LARGER),  OP(SMALLER),
                                  OP(INTERNAL),      OP(SENT),   OP(SAVED),   OP(HEADER),  OP(BODY),
                                  OP(TEXT),          OP(MODSEQ), OP(ADDRESS), OP(EMAILID), OP(THREADID),
                                  OP(NEW_SINCE_UID), OP(ALL),    OP(BODY),    OP(TEXT)};
        static const char *const kNames[] = {"From",     "To",           "subject", "Received",
                                             "X-Mailer", "Content-Type", "X-Spam",  "DATE"};
        const Fact &f = facts[pick(facts.size())];
        Key k = plain(kOps[pick(sizeof(kOps) / sizeof(kOps[0]))]);
        Uids list;
        for (const Fact &g : facts) {
            if (pick(3) != 0) {
                list.push_back(g.uid);
            }
        }
        k.uids = uids(list);
        k.set = pick(2) == 0 ? 0 : pick(8);
        k.clear = pick(2) == 0 ? 0 : pick(32);
        k.name = k.op == OP(KEYWORD) ? "k" + std::to_string(pick(75)) : kNames[pick(8)];
        k.text = needle();
        k.number = k.op == OP(MODSEQ) ? f.modseq : k.op == OP(NEW_SINCE_UID) ? f.uid : f.size + pick(3) - 1;
        k.from = k.op == OP(INTERNAL) ? static_cast<int64_t>(pick(1000)) : k.op == OP(SAVED) ? f.save_s : INT64_MIN;
        k.to = k.op == OP(SENT) ? static_cast<int64_t>(pick(1600000000)) : k.from + static_cast<int64_t>(pick(500));
        k.objectid = k.op == OP(EMAILID) ? f.emailid : f.threadid;
        return k;
    }

    Key program(int depth)
    {
        if (depth == 0 || pick(4) == 0) {
            return leaf();
        }
        std::vector<Key> children;
        for (uint64_t n = 1 + pick(4); n > 0; n--) {
            children.push_back(program(depth - 1));
        }
        uint64_t op = pick(5);
        return op == 0 ? none_of(children[0]) : op < 3 ? all_of(children) : any_of(children);
    }

    Uids expected(const Key &k)
    {
        Uids r;
        for (const Fact &f : facts) {
            if (matches(f, k)) {
                r.push_back(f.uid);
            }
        }
        return r;
    }

    std::mt19937_64 rnd{20251103};
    std::vector<Fact> facts;
};

TEST_F(SearchRandom, programs_over_sample_mails_find_what_a_naive_reference_finds)
{
    size_t some = 0;
    for (int i = 0; i < 1500; i++) {
        Key k = program(static_cast<int>(pick(4)));
        Uids want = expected(k);
        some += !want.empty() && want.size() < facts.size();
        ASSERT_EQ(want, hits(k)) << "program " << i << " op " << k.op << " text '" << k.text << "'";
    }
    EXPECT_GT(some, 500u) << "programs that decide something";
}

TEST_F(SearchRandom, every_key_alone_agrees_with_the_reference)
{
    for (int i = 0; i < 500; i++) {
        Key k = leaf();
        ASSERT_EQ(expected(k), hits(k)) << "op " << k.op << " name " << k.name << " text '" << k.text << "'";
        ASSERT_EQ(expected(none_of(k)), hits(none_of(k))) << "op " << k.op;
    }
}

TEST_F(SearchRandom, a_budget_that_ends_anywhere_changes_nothing)
{
    int most = 0;
    clock.step = 1;
    for (int i = 0; i < 300; i++) {
        Key k = program(3);
        Limits l;
        int runs = 0;
        l.ms = pick(6);
        Found f = run_all(k, l, &runs);
        ASSERT_EQ(OK, f.status);
        ASSERT_EQ(expected(k), f.uids) << "program " << i;
        most = std::max(most, runs);
    }
    EXPECT_GT(most, 5);
}

} // namespace
