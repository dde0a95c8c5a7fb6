#include "frontend/net/wheel.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <map>
#include <memory>
#include <random>
#include <vector>

#include "frontend/net/loop.h"

namespace
{

struct T {
    struct loop_timer timer;
    uint64_t fired_at = 0;
    bool fired = false;
};

uint64_t clock_ms;
int count;

void fire(struct loop *, struct loop_timer *t)
{
    T *self = (T *)t;
    EXPECT_FALSE(self->fired);
    self->fired = true;
    self->fired_at = clock_ms;
    count++;
}

void arm(struct wheel *w, T *t, uint64_t at)
{
    loop_timer_init(&t->timer, fire);
    t->fired = false;
    t->timer.at_ms = at;
    t->timer.armed = true;
    wheel_insert(w, &t->timer);
}

/* Goes from event to event as a loop would. */
void run_until(struct wheel *w, uint64_t end)
{
    while (clock_ms < end) {
        uint64_t wait = wheel_wait_ms(w, clock_ms);
        uint64_t step = wait > end - clock_ms ? end - clock_ms : wait == 0 ? 1 : wait;
        clock_ms += step;
        wheel_advance(w, nullptr, clock_ms);
    }
}

} // namespace

TEST(WheelTest, an_empty_wheel_waits_for_ever)
{
    static struct wheel w;
    wheel_init(&w, 12345);
    EXPECT_EQ(wheel_wait_ms(&w, 12345), UINT64_MAX);
    wheel_advance(&w, nullptr, 99999999);
    EXPECT_EQ(wheel_wait_ms(&w, 99999999), UINT64_MAX);
}

TEST(WheelTest, every_delay_fires_once_not_early_and_within_two_ticks)
{
    static struct wheel w;
    for (uint64_t start : {0ULL, 5ULL, 639ULL, 640ULL, 40959ULL, 2621430ULL, 167772150ULL, 987654321012ULL}) {
        for (uint64_t delay :
             {0ULL,       1ULL,       9ULL,       10ULL,        11ULL,        629ULL,       630ULL,
              640ULL,     641ULL,     1280ULL,    40950ULL,     40960ULL,     40970ULL,     81920ULL,
              2621440ULL, 2621441ULL, 5000000ULL, 167772159ULL, 167772160ULL, 167772170ULL, 400000000ULL}) {
            clock_ms = start;
            wheel_init(&w, clock_ms);
            T t;
            arm(&w, &t, start + delay);
            run_until(&w, start + delay + 30);
            ASSERT_TRUE(t.fired) << start << " " << delay;
            EXPECT_GE(t.fired_at, start + delay) << start << " " << delay;
            EXPECT_LE(t.fired_at, start + delay + 20) << start << " " << delay;
        }
    }
}

TEST(WheelTest, random_timers_cancels_and_jumps_agree_with_a_model)
{
    static struct wheel w;
    std::mt19937_64 rng(7);
    clock_ms = 1000003;
    wheel_init(&w, clock_ms);
    std::vector<std::unique_ptr<T>> all;
    for (int round = 0; round < 3000; round++) {
        for (int i = 0; i < 4; i++) {
            all.push_back(std::make_unique<T>());
            uint64_t scale = 1ULL << (rng() % 26);
            arm(&w, all.back().get(), clock_ms + rng() % scale);
        }
        if (!all.empty() && rng() % 3 == 0) {
            T *t = all[rng() % all.size()].get();
            if (t->timer.armed) {
                list_remove(&t->timer.node);
                t->timer.armed = false;
            }
        }
        uint64_t before = clock_ms;
        clock_ms += rng() % (1ULL << (rng() % 18));
        wheel_advance(&w, nullptr, clock_ms);
        for (auto &t : all) {
            if (t->timer.armed) {
                ASSERT_GT(t->timer.at_ms + 20, clock_ms) << "late";
            } else if (t->fired && t->fired_at > before) {
                ASSERT_GE(t->fired_at, t->timer.at_ms) << "early";
            }
        }
        if (all.size() > 2000) {
            for (auto &t : all) {
                list_remove(&t->timer.node);
            }
            all.clear();
        }
    }
    EXPECT_GT(count, 1000);
    for (auto &t : all) {
        list_remove(&t->timer.node);
    }
}

TEST(WheelTest, a_callback_may_arm_and_cancel)
{
    static struct wheel w;
    clock_ms = 0;
    wheel_init(&w, 0);
    static T a;
    static T b;
    loop_timer_init(&a.timer, [](struct loop *, struct loop_timer *) {
        list_remove(&b.timer.node);
        b.timer.armed = false;
        arm(&w, &b, clock_ms); /* due at once: the next tick */
    });
    a.timer.at_ms = 100;
    a.timer.armed = true;
    wheel_insert(&w, &a.timer);
    arm(&w, &b, 100);
    run_until(&w, 110);
    EXPECT_TRUE(b.timer.armed || b.fired);
    run_until(&w, 130);
    EXPECT_TRUE(b.fired);
}
