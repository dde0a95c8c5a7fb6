#include "proto/base/hmap.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <set>

#include "proto/base/mem.h"

namespace
{

struct Item {
    int key;
    struct hmap_node node;
};

Item *item_of(struct hmap_node *n)
{
    return HMAP_ENTRY(n, Item, node);
}

Item *find(const struct hmap *m, int key, uint64_t hash)
{
    for (struct hmap_node *n = hmap_first(m, hash); n != nullptr; n = hmap_next(n)) {
        EXPECT_EQ(n->hash, hash);
        if (item_of(n)->key == key) {
            return item_of(n);
        }
    }
    return nullptr;
}

std::multiset<int> all_keys(const struct hmap *m)
{
    std::multiset<int> keys;
    struct hmap_iter it = hmap_iter_make(m);
    for (struct hmap_node *n = hmap_iter_next(&it); n != nullptr; n = hmap_iter_next(&it)) {
        keys.insert(item_of(n)->key);
    }
    return keys;
}

} // namespace

TEST(Hmap, AnEmptyMapHasNothing)
{
    struct hmap m;
    hmap_init(&m);
    EXPECT_EQ(hmap_first(&m, 1), nullptr);
    EXPECT_TRUE(all_keys(&m).empty());
    hmap_fini(&m);
}

TEST(Hmap, BehavesAsAMapUnderRandomOperationsAndCollisions)
{
    for (uint64_t spread : {1ULL, 7ULL, 1ULL << 40}) {
        std::mt19937 random(static_cast<unsigned>(spread));
        std::map<int, std::unique_ptr<Item>> model;
        struct hmap m;
        hmap_init(&m);
        for (int i = 0; i < 6000; i++) {
            int key = static_cast<int>(random() % 700);
            uint64_t hash = static_cast<uint64_t>(key) * 0x100000001ULL % spread;
            auto at = model.find(key);
            Item *found = find(&m, key, hash);
            ASSERT_EQ(found, at == model.end() ? nullptr : at->second.get());
            if (found == nullptr) {
                auto item = std::make_unique<Item>();
                item->key = key;
                ASSERT_EQ(hmap_insert(&m, &item->node, hash), OK);
                model[key] = std::move(item);
            } else if (random() % 2 == 0) {
                hmap_remove(&m, &found->node);
                model.erase(at);
            }
            ASSERT_EQ(m.count, model.size());
        }
        std::multiset<int> keys;
        for (auto &kv : model) {
            keys.insert(kv.first);
        }
        EXPECT_EQ(all_keys(&m), keys);
        EXPECT_GE(m.mask + 1, m.count / 2);
        hmap_fini(&m);
    }
}

TEST(Hmap, TheCurrentNodeMayBeRemovedAndFreedWhileIterating)
{
    struct hmap m;
    hmap_init(&m);
    for (int i = 0; i < 500; i++) {
        Item *item = new Item();
        item->key = i;
        ASSERT_EQ(hmap_insert(&m, &item->node, static_cast<uint64_t>(i) % 50), OK);
    }
    std::set<int> seen;
    struct hmap_iter it = hmap_iter_make(&m);
    for (struct hmap_node *n = hmap_iter_next(&it); n != nullptr; n = hmap_iter_next(&it)) {
        Item *item = item_of(n);
        EXPECT_TRUE(seen.insert(item->key).second);
        if (item->key % 3 != 0) {
            hmap_remove(&m, n);
            delete item;
        }
    }
    EXPECT_EQ(seen.size(), 500u);
    EXPECT_EQ(m.count, 167u);
    it = hmap_iter_make(&m);
    for (struct hmap_node *n = hmap_iter_next(&it); n != nullptr; n = hmap_iter_next(&it)) {
        delete item_of(n);
    }
    hmap_fini(&m);
}

TEST(Hmap, EqualHashesAreAllFound)
{
    struct hmap m;
    Item items[100];
    hmap_init(&m);
    for (int i = 0; i < 100; i++) {
        items[i].key = i;
        ASSERT_EQ(hmap_insert(&m, &items[i].node, i < 50 ? 9 : 1000 + static_cast<uint64_t>(i)), OK);
    }
    int n9 = 0;
    for (struct hmap_node *n = hmap_first(&m, 9); n != nullptr; n = hmap_next(n)) {
        n9++;
    }
    EXPECT_EQ(n9, 50);
    hmap_fini(&m);
}

TEST(Hmap, OnlyTheFirstArrayIsNeededAndAFailedGrowthIsHarmless)
{
    struct hmap m;
    Item items[100];
    hmap_init(&m);
    mem_fail_nth(1);
    EXPECT_EQ(hmap_insert(&m, &items[0].node, 0), ERR_NOMEM);
    EXPECT_EQ(m.count, 0u);
    for (int i = 0; i < 100; i++) {
        items[i].key = i;
        mem_fail_nth(i == 0 ? 0 : 1);
        ASSERT_EQ(hmap_insert(&m, &items[i].node, static_cast<uint64_t>(i)), OK);
    }
    EXPECT_TRUE(mem_fail_fired());
    EXPECT_EQ(m.mask, 7u);
    mem_fail_nth(0);
    for (int i = 0; i < 100; i++) {
        EXPECT_EQ(find(&m, i, static_cast<uint64_t>(i)), &items[i]);
    }
    hmap_fini(&m);
}

TEST(HmapDeathTest, RemovingAStrangerAborts)
{
    struct hmap m;
    Item in = {};
    Item out = {};
    hmap_init(&m);
    ASSERT_EQ(hmap_insert(&m, &in.node, 1), OK);
    out.node.hash = 1;
    EXPECT_DEATH(hmap_remove(&m, &out.node), "assert.failed");
    hmap_fini(&m);
}
