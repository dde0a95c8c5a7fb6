#include "proto/base/queue.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace
{

struct Item {
    struct queue_node node; /* first, so that a node is its item */
    int producer;
    int number;
};

} // namespace

TEST(Queue, TellsTheProducerWhetherToWakeTheConsumer)
{
    struct queue q;
    Item a = {};
    Item b = {};
    queue_init(&q);
    EXPECT_EQ(queue_take(&q), nullptr);
    EXPECT_TRUE(queue_push(&q, &a.node));
    EXPECT_FALSE(queue_push(&q, &b.node));
    struct queue_node *n = queue_take(&q);
    EXPECT_EQ(n, &a.node);
    EXPECT_EQ(n->next, &b.node);
    EXPECT_EQ(n->next->next, nullptr);
    EXPECT_TRUE(queue_push(&q, &a.node));
}

TEST(Queue, LosesNothingAndKeepsEachProducersOrder)
{
    const int producers = 4;
    const int each = 5000;
    struct queue q;
    queue_init(&q);
    std::vector<std::vector<Item>> items(producers, std::vector<Item>(each));
    std::vector<std::thread> threads;
    std::atomic<int> wakes{0};
    for (int p = 0; p < producers; p++) {
        threads.emplace_back([&, p] {
            for (int i = 0; i < each; i++) {
                items[p][i].producer = p;
                items[p][i].number = i;
                wakes += queue_push(&q, &items[p][i].node);
            }
        });
    }
    int next[producers] = {0};
    int takes = 0;
    for (int got = 0; got < producers * each;) {
        struct queue_node *n = queue_take(&q);
        takes += n != nullptr;
        for (; n != nullptr; n = n->next, got++) {
            auto *item = reinterpret_cast<Item *>(n);
            ASSERT_EQ(item->number, next[item->producer]);
            next[item->producer]++;
        }
    }
    for (auto &t : threads) {
        t.join();
    }
    EXPECT_EQ(wakes.load(), takes);
}
