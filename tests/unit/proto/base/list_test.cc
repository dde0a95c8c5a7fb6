#include "proto/base/list.h"

#include <gtest/gtest.h>

#include <vector>

namespace
{

struct Item {
    int v;
    struct list node;
};

std::vector<int> values(struct list *head)
{
    std::vector<int> out;
    LIST_FOREACH (it, head) {
        out.push_back(LIST_ENTRY(it, Item, node)->v);
    }
    return out;
}

} // namespace

TEST(List, PushesAtBothEndsAndPopsInOrder)
{
    struct list head;
    Item items[4] = {{0, {}}, {1, {}}, {2, {}}, {3, {}}};
    list_init(&head);
    EXPECT_TRUE(list_empty(&head));
    EXPECT_EQ(list_pop_front(&head), nullptr);
    list_push_back(&head, &items[1].node);
    list_push_back(&head, &items[2].node);
    list_push_front(&head, &items[0].node);
    list_push_back(&head, &items[3].node);
    EXPECT_EQ(values(&head), (std::vector<int>{0, 1, 2, 3}));
    EXPECT_EQ(list_pop_front(&head), &items[0].node);
    list_remove(&items[2].node);
    list_remove(&items[2].node);
    EXPECT_EQ(values(&head), (std::vector<int>{1, 3}));
}

TEST(List, TheSafeLoopMayRemoveItsNode)
{
    struct list head;
    Item items[6];
    list_init(&head);
    for (int i = 0; i < 6; i++) {
        items[i].v = i;
        list_push_back(&head, &items[i].node);
    }
    LIST_FOREACH_SAFE (it, &head) {
        if (LIST_ENTRY(it, Item, node)->v % 2 == 0) {
            list_remove(it);
        }
    }
    EXPECT_EQ(values(&head), (std::vector<int>{1, 3, 5}));
}
