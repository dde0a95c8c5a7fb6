#include "frontend/net/wheel.h"

#include <stdbool.h>

#include "frontend/net/loop.h"

#define SLOT_MASK (WHEEL_SLOTS - 1U)
#define SPAN_TICKS (1ULL << (WHEEL_LEVELS * WHEEL_SLOT_BITS))

void wheel_init(struct wheel *w, uint64_t now_ms)
{
    w->tick = now_ms / WHEEL_TICK_MS;
    for (unsigned level = 0; level < WHEEL_LEVELS; level++) {
        w->used[level] = 0;
        for (unsigned slot = 0; slot < WHEEL_SLOTS; slot++) {
            list_init(&w->slots[level][slot]);
        }
    }
}

/* Rounded up, so that a timer is never early. */
static uint64_t tick_of(uint64_t at_ms)
{
    return at_ms / WHEEL_TICK_MS + (at_ms % WHEEL_TICK_MS != 0);
}

void wheel_insert(struct wheel *w, struct loop_timer *t)
{
    uint64_t due = tick_of(t->at_ms);
    if (due <= w->tick) {
        due = w->tick + 1;
    }
    if (due - w->tick >= SPAN_TICKS) {
        due = w->tick + SPAN_TICKS - 1;
    }
    /* The level is that of the highest digit (base 64) in which due differs from now: its slot is reached exactly when
     * the lower digits begin. */
    unsigned level = 0;
    while (level + 1 < WHEEL_LEVELS &&
           due >> ((level + 1) * WHEEL_SLOT_BITS) != w->tick >> ((level + 1) * WHEEL_SLOT_BITS)) {
        level++;
    }
    unsigned slot = (unsigned)(due >> (level * WHEEL_SLOT_BITS)) & SLOT_MASK;
    list_push_back(&w->slots[level][slot], &t->node);
    w->used[level] |= 1ULL << slot;
}

/* Moves a slot's timers to out, so that callbacks can change the wheel meanwhile. */
static void take_slot(struct wheel *w, unsigned level, unsigned slot, struct list *out)
{
    struct list *head = &w->slots[level][slot];
    list_init(out);
    if (!list_empty(head)) {
        *out = *head;
        out->next->prev = out;
        out->prev->next = out;
        list_init(head);
    }
    w->used[level] &= ~(1ULL << slot);
}

static void cascade(struct wheel *w)
{
    for (unsigned level = 1; level < WHEEL_LEVELS; level++) {
        if ((w->tick & ((1ULL << (level * WHEEL_SLOT_BITS)) - 1)) != 0) {
            return;
        }
        struct list moved;
        take_slot(w, level, (unsigned)(w->tick >> (level * WHEEL_SLOT_BITS)) & SLOT_MASK, &moved);
        for (struct list *n = list_pop_front(&moved); n != NULL; n = list_pop_front(&moved)) {
            struct loop_timer *t = LIST_ENTRY(n, struct loop_timer, node);
            if (tick_of(t->at_ms) <= w->tick) { /* due with this very tick: level 0 is fired next */
                list_push_back(&w->slots[0][w->tick & SLOT_MASK], n);
                w->used[0] |= 1ULL << (w->tick & SLOT_MASK);
            } else {
                wheel_insert(w, t);
            }
        }
    }
}

/* The first tick after w->tick at which a used slot of the level begins. */
static uint64_t next_of_level(const struct wheel *w, unsigned level)
{
    unsigned shift = level * WHEEL_SLOT_BITS;
    unsigned here = (unsigned)(w->tick >> shift) & SLOT_MASK;
    uint64_t used = w->used[level];
    if (used == 0) {
        return UINT64_MAX;
    }
    unsigned first = (here + 1) & SLOT_MASK;
    uint64_t rotated = first == 0 ? used : used >> first | used << (WHEEL_SLOTS - first);
    unsigned ahead = (unsigned)__builtin_ctzll(rotated) + 1;
    return ((w->tick >> shift) + ahead) << shift;
}

static uint64_t next_tick(const struct wheel *w)
{
    uint64_t next = UINT64_MAX;
    for (unsigned level = 0; level < WHEEL_LEVELS; level++) {
        uint64_t t = next_of_level(w, level);
        next = t < next ? t : next;
    }
    return next;
}

void wheel_advance(struct wheel *w, struct loop *l, uint64_t now_ms)
{
    uint64_t now = now_ms / WHEEL_TICK_MS;
    while (w->tick < now) {
        uint64_t next = next_tick(w);
        if (next > now) {
            w->tick = now;
            return;
        }
        w->tick = next;
        cascade(w);
        struct list due;
        take_slot(w, 0, (unsigned)w->tick & SLOT_MASK, &due);
        for (struct list *n = list_pop_front(&due); n != NULL; n = list_pop_front(&due)) {
            struct loop_timer *t = LIST_ENTRY(n, struct loop_timer, node);
            t->armed = false;
            t->fn(l, t);
        }
    }
}

uint64_t wheel_wait_ms(const struct wheel *w, uint64_t now_ms)
{
    uint64_t next = next_tick(w);
    if (next == UINT64_MAX) {
        return UINT64_MAX;
    }
    uint64_t at_ms = next * WHEEL_TICK_MS;
    return at_ms > now_ms ? at_ms - now_ms : 0;
}
