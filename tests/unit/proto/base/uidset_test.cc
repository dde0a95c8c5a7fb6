#include "proto/base/uidset.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "proto/base/bytes.h"
#include "proto/base/mem.h"

namespace
{

using Model = std::set<uint32_t>;

struct Set : uidset {
    Set()
    {
        uidset_init(this);
    }
    Set(const Set &) = delete;
    ~Set()
    {
        uidset_fini(this);
    }
};

struct Buf : buf {
    explicit Buf(size_t limit = 1 << 20)
    {
        buf_init(this, limit);
    }
    ~Buf()
    {
        buf_fini(this);
    }
};

void expect_shape(const struct uidset *s)
{
    uint32_t before = 0;
    for (size_t i = 0; i < s->n; i++) {
        ASSERT_GE(s->runs[i].first, 1u);
        ASSERT_LE(s->runs[i].first, s->runs[i].last);
        ASSERT_EQ(s->runs[i].before, before);
        if (i > 0) {
            ASSERT_GT(s->runs[i].first - 1, s->runs[i - 1].last);
        }
        before += s->runs[i].last - s->runs[i].first + 1;
    }
    ASSERT_EQ(uidset_count(s), before);
}

Model members(const struct uidset *s)
{
    Model m;
    for (uint32_t v = uidset_next(s, 0); v != 0; v = uidset_next(s, v)) {
        m.insert(v);
    }
    return m;
}

void expect_same(const struct uidset *s, const Model &m, uint32_t universe)
{
    expect_shape(s);
    ASSERT_EQ(members(s), m);
    ASSERT_EQ(uidset_count(s), m.size());
    ASSERT_EQ(uidset_max(s), m.empty() ? 0 : *m.rbegin());
    uint32_t rank = 0;
    for (uint32_t v = 1; v <= universe + 2; v++) {
        bool in = m.count(v) != 0;
        ASSERT_EQ(uidset_has(s, v), in);
        ASSERT_EQ(uidset_rank(s, v), rank);
        if (in) {
            ASSERT_EQ(uidset_at(s, rank), v);
            rank++;
        }
    }
    ASSERT_FALSE(uidset_has(s, 0));
    ASSERT_EQ(uidset_rank(s, 0), 0u);
    ASSERT_EQ(uidset_at(s, rank), 0u);
    ASSERT_EQ(uidset_at(s, UINT32_MAX), 0u);
}

void fill(struct uidset *s, Model *m, std::mt19937 &random, uint32_t universe)
{
    uidset_clear(s);
    m->clear();
    for (unsigned i = random() % 20; i > 0; i--) {
        uint32_t first = 1 + random() % universe;
        uint32_t last = std::min(universe, first + static_cast<uint32_t>(random() % 6));
        ASSERT_EQ(uidset_add_range(s, first, last), OK);
        for (uint32_t v = first; v <= last; v++) {
            m->insert(v);
        }
    }
}

std::string format(const struct uidset *s)
{
    Buf b;
    EXPECT_EQ(uidset_format(s, &b), OK);
    struct slice t = buf_slice(&b);
    return t.n == 0 ? std::string() : std::string(reinterpret_cast<const char *>(t.p), t.n);
}

std::vector<uint8_t> encode(const struct uidset *s)
{
    Buf b;
    EXPECT_EQ(uidset_encode(s, &b), OK);
    struct slice t = buf_slice(&b);
    return std::vector<uint8_t>(t.p, t.p + t.n);
}

TEST(Uidset, ARunLastsUntilTheFirstGap)
{
    Set s;
    EXPECT_EQ(uidset_run_last(&s, 1), 0u);
    ASSERT_EQ(uidset_add_range(&s, 3, 5), OK);
    ASSERT_EQ(uidset_add_range(&s, 7, 7), OK);
    ASSERT_EQ(uidset_add_range(&s, 10, 20), OK);
    const uint32_t want[] = {0, 0, 0, 5, 5, 5, 0, 7, 0, 0, 20};
    for (uint32_t v = 0; v <= 10; v++) {
        EXPECT_EQ(uidset_run_last(&s, v), want[v]) << v;
    }
    EXPECT_EQ(uidset_run_last(&s, 20), 20u);
    EXPECT_EQ(uidset_run_last(&s, 21), 0u);
}

} // namespace

TEST(Uidset, AnEmptySetAnswersZero)
{
    Set s;
    expect_same(&s, {}, 5);
    EXPECT_EQ(uidset_next(&s, 0), 0u);
    EXPECT_EQ(format(&s), "");
    EXPECT_EQ(uidset_remove_range(&s, 1, UINT32_MAX), OK);
}

TEST(Uidset, BehavesAsASetUnderRandomOperations)
{
    for (unsigned seed = 0; seed < 60; seed++) {
        std::mt19937 random(seed);
        uint32_t universe = 5 + random() % 150;
        Set s;
        Model m;
        for (int i = 0; i < 150; i++) {
            uint32_t first = 1 + random() % universe;
            uint32_t last = std::min(universe, first + static_cast<uint32_t>(random() % (random() % 4 == 0 ? 40 : 3)));
            if (random() % 5 < 3) {
                ASSERT_EQ(uidset_add_range(&s, first, last), OK);
                for (uint32_t v = first; v <= last; v++) {
                    m.insert(v);
                }
            } else {
                ASSERT_EQ(uidset_remove_range(&s, first, last), OK);
                m.erase(m.lower_bound(first), m.upper_bound(last));
            }
            expect_same(&s, m, universe);
            if (HasFatalFailure()) {
                FAIL() << "seed " << seed << " step " << i;
            }
        }
    }
}

TEST(Uidset, SetAlgebraMatchesTheStandardLibrarys)
{
    for (unsigned seed = 0; seed < 1500; seed++) {
        std::mt19937 random(seed);
        uint32_t universe = 3 + random() % 80;
        Set a;
        Set b;
        Set out;
        Model ma;
        Model mb;
        Model want;
        fill(&a, &ma, random, universe);
        fill(&b, &mb, random, universe);
        fill(&out, &want, random, universe); /* what stood in it before does not matter */
        want.clear();
        std::set_intersection(ma.begin(), ma.end(), mb.begin(), mb.end(), std::inserter(want, want.end()));
        ASSERT_EQ(uidset_intersect(&out, &a, &b), OK);
        expect_same(&out, want, universe);

        want = ma;
        want.insert(mb.begin(), mb.end());
        ASSERT_EQ(uidset_copy(&out, &a), OK);
        ASSERT_EQ(uidset_union(&out, &b), OK);
        expect_same(&out, want, universe);

        want.clear();
        std::set_difference(ma.begin(), ma.end(), mb.begin(), mb.end(), std::inserter(want, want.end()));
        ASSERT_EQ(uidset_copy(&out, &a), OK);
        ASSERT_EQ(uidset_subtract(&out, &b), OK);
        expect_same(&out, want, universe);
        expect_same(&a, ma, universe);
        expect_same(&b, mb, universe);
        if (HasFatalFailure()) {
            FAIL() << "seed " << seed;
        }
    }
}

TEST(Uidset, ASetMayBeCombinedWithItself)
{
    Set s;
    ASSERT_EQ(uidset_add_range(&s, 3, 5), OK);
    ASSERT_EQ(uidset_add(&s, 9), OK);
    ASSERT_EQ(uidset_copy(&s, &s), OK);
    ASSERT_EQ(uidset_union(&s, &s), OK);
    expect_same(&s, {3, 4, 5, 9}, 10);
    ASSERT_EQ(uidset_subtract(&s, &s), OK);
    expect_same(&s, {}, 10);
}

TEST(Uidset, WorksAtTheTopOfTheRange)
{
    Set s;
    ASSERT_EQ(uidset_add_range(&s, 1, UINT32_MAX), OK);
    EXPECT_EQ(uidset_count(&s), UINT32_MAX);
    EXPECT_EQ(uidset_at(&s, UINT32_MAX - 1), UINT32_MAX);
    EXPECT_EQ(uidset_at(&s, UINT32_MAX), 0u);
    EXPECT_EQ(uidset_rank(&s, UINT32_MAX), UINT32_MAX - 1);
    EXPECT_EQ(uidset_next(&s, UINT32_MAX), 0u);
    EXPECT_EQ(uidset_next(&s, UINT32_MAX - 1), UINT32_MAX);
    EXPECT_EQ(uidset_run_last(&s, UINT32_MAX), UINT32_MAX);
    ASSERT_EQ(uidset_remove_range(&s, 2, UINT32_MAX - 1), OK);
    ASSERT_EQ(uidset_add(&s, UINT32_MAX), OK);
    EXPECT_EQ(s.n, 2u);
    EXPECT_EQ(format(&s), "1,4294967295");
    Set del;
    ASSERT_EQ(uidset_add(&del, 1), OK);
    ASSERT_EQ(uidset_add_range(&del, UINT32_MAX - 1, UINT32_MAX), OK);
    ASSERT_EQ(uidset_subtract(&s, &del), OK);
    EXPECT_EQ(uidset_count(&s), 0u);
    ASSERT_EQ(uidset_union(&s, &del), OK);
    ASSERT_EQ(uidset_remove_range(&s, UINT32_MAX, UINT32_MAX), OK);
    EXPECT_EQ(uidset_max(&s), UINT32_MAX - 1);
}

TEST(Uidset, RefusesZeroAndInvertedRanges)
{
    Set s;
    EXPECT_EQ(uidset_add(&s, 0), ERR_INVAL);
    EXPECT_EQ(uidset_add_range(&s, 0, 5), ERR_INVAL);
    EXPECT_EQ(uidset_add_range(&s, 5, 4), ERR_INVAL);
    EXPECT_EQ(uidset_remove_range(&s, 0, 5), ERR_INVAL);
    EXPECT_EQ(uidset_remove_range(&s, 5, 4), ERR_INVAL);
    EXPECT_EQ(s.n, 0u);
}

TEST(Uidset, MessagesWithoutGapsAreOneRun)
{
    Set s;
    for (uint32_t v = 1; v <= 100000; v++) {
        ASSERT_EQ(uidset_add(&s, v), OK);
    }
    EXPECT_EQ(s.n, 1u);
    EXPECT_EQ(format(&s), "1:100000");
    EXPECT_LE(encode(&s).size(), 6u);
}

TEST(Uidset, FormatsAsAnImapSequenceSet)
{
    Set s;
    ASSERT_EQ(uidset_add_range(&s, 1, 3), OK);
    ASSERT_EQ(uidset_add(&s, 7), OK);
    ASSERT_EQ(uidset_add_range(&s, 10, 11), OK);
    EXPECT_EQ(format(&s), "1:3,7,10:11");
    for (size_t limit = 1; limit < 12; limit++) {
        Buf b(limit);
        ASSERT_EQ(buf_append_u8(&b, '!'), OK);
        EXPECT_EQ(uidset_format(&s, &b), ERR_LIMIT);
        EXPECT_TRUE(slice_eq_str(buf_slice(&b), "!"));
    }
}

TEST(Uidset, DecodesWhatItEncodesAndNothingThatIsCut)
{
    for (unsigned seed = 0; seed < 300; seed++) {
        std::mt19937 random(seed);
        Set s;
        Set back;
        Model m;
        fill(&s, &m, random, seed % 2 == 0 ? 100 : 4000000000U);
        fill(&back, &m, random, 50);
        std::vector<uint8_t> bytes = encode(&s);
        ASSERT_EQ(uidset_decode(&back, slice_make(bytes.data(), bytes.size()), s.n), OK);
        expect_shape(&back);
        ASSERT_EQ(encode(&back), bytes);
        ASSERT_EQ(format(&back), format(&s));
        for (size_t cut = 0; cut < bytes.size(); cut++) {
            std::vector<uint8_t> part(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(cut));
            ASSERT_EQ(uidset_decode(&back, slice_make(part.data(), part.size()), 1000), ERR_CORRUPT);
        }
        bytes.push_back(0);
        ASSERT_EQ(uidset_decode(&back, slice_make(bytes.data(), bytes.size()), 1000), ERR_CORRUPT);
        bytes.pop_back();
        if (s.n > 0) {
            ASSERT_EQ(uidset_decode(&back, slice_make(bytes.data(), bytes.size()), s.n - 1), ERR_LIMIT);
        }
        ASSERT_EQ(format(&back), format(&s)); /* failures left it alone */
    }
}

TEST(Uidset, RefusesMalformedEncodings)
{
    const std::vector<std::vector<uint8_t>> bad = {
        {},
        {1},
        {1, 0, 0},                                                       /* starts at 0 */
        {2, 1, 0, 1, 0},                                                 /* touching runs */
        {2, 1, 0, 0, 0},                                                 /* overlapping runs */
        {1, 0x80, 0x80, 0x80, 0x80, 0x10, 0},                            /* 2^32 */
        {1, 0xff, 0xff, 0xff, 0xff, 0x0f, 1},                            /* ends at 2^32 */
        {1, 1, 0xff, 0xff, 0xff, 0xff, 0x0f},                            /* ends at 2^32 */
        {1, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, /* wraps */
        {0x81, 0, 1, 0},                                                 /* overlong count */
        {100, 1, 0},                                                     /* more runs than bytes */
    };
    Set s;
    for (size_t i = 0; i < bad.size(); i++) {
        EXPECT_EQ(uidset_decode(&s, slice_make(bad[i].data(), bad[i].size()), 1000), ERR_CORRUPT) << i;
    }
    std::vector<uint8_t> huge = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 1, 0};
    EXPECT_EQ(uidset_decode(&s, slice_make(huge.data(), huge.size()), 1000), ERR_LIMIT);
    EXPECT_EQ(uidset_decode(&s, slice_make(huge.data(), huge.size()), SIZE_MAX), ERR_CORRUPT);
    EXPECT_EQ(s.cap, 0u);
}

TEST(Uidset, WhateverRandomBytesDecodeToIsCanonical)
{
    int accepted = 0;
    for (unsigned seed = 0; seed < 20000; seed++) {
        std::mt19937 random(seed);
        std::vector<uint8_t> in(1 + random() % 12);
        for (auto &b : in) {
            b = static_cast<uint8_t>(random() % 4 == 0 ? random() : random() % 6);
        }
        Set s;
        if (uidset_decode(&s, slice_make(in.data(), in.size()), 100) == OK) {
            expect_shape(&s);
            ASSERT_EQ(encode(&s), in);
            accepted++;
        }
    }
    EXPECT_GT(accepted, 50);
}

TEST(Uidset, EveryFailedAllocationLeavesTheSetAsItWas)
{
    Set a;
    Set b;
    for (uint32_t v = 1; v < 40; v++) {
        ASSERT_EQ(uidset_add(&a, v * 4), OK);
        ASSERT_EQ(uidset_add(&b, v * 6), OK);
    }
    std::vector<uint8_t> bytes = encode(&b);
    std::string a_text = format(&a);
    using Op = enum err (*)(struct uidset *, const struct uidset *, const std::vector<uint8_t> &);
    const Op ops[] = {
        [](struct uidset *s, const struct uidset *o, const std::vector<uint8_t> &) { return uidset_union(s, o); },
        [](struct uidset *s, const struct uidset *o, const std::vector<uint8_t> &) { return uidset_subtract(s, o); },
        [](struct uidset *s, const struct uidset *o, const std::vector<uint8_t> &) {
            return uidset_intersect(s, o, o);
        },
        [](struct uidset *s, const struct uidset *o, const std::vector<uint8_t> &) { return uidset_copy(s, o); },
        [](struct uidset *s, const struct uidset *, const std::vector<uint8_t> &in) {
            return uidset_decode(s, slice_make(in.data(), in.size()), 100);
        },
        [](struct uidset *s, const struct uidset *, const std::vector<uint8_t> &) { return uidset_add(s, 9999); },
    };
    int fired = 0;
    for (const Op &op : ops) {
        for (uint64_t nth = 1; nth < 5; nth++) {
            Set s;
            ASSERT_EQ(uidset_copy(&s, &a), OK);
            s.runs = static_cast<struct uidset_run *>(mem_realloc(s.runs, s.n * sizeof(*s.runs)));
            s.cap = s.n; /* no spare room */
            mem_fail_nth(nth);
            enum err e = op(&s, &b, bytes);
            if (mem_fail_fired()) {
                EXPECT_EQ(e, ERR_NOMEM);
                mem_fail_nth(0);
                EXPECT_EQ(format(&s), a_text);
                fired++;
            } else {
                mem_fail_nth(0);
                EXPECT_EQ(e, OK);
            }
            expect_shape(&s);
        }
    }
    EXPECT_GE(fired, 5);
}
