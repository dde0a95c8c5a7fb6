#include "frontend/net/fiber.h"

#include <sys/mman.h>
#include <unistd.h>

#include "frontend/net/loop_internal.h"
#include "frontend/net/net_metrics.h"
#include "proto/base/assert.h"
#include "proto/base/mem.h"

#if defined(__SANITIZE_ADDRESS__)
#define FIBER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FIBER_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define FIBER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define FIBER_TSAN 1
#endif
#endif

#ifdef FIBER_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef FIBER_TSAN
void *__tsan_get_current_fiber(void);
void *__tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void *fiber);
void __tsan_switch_to_fiber(void *fiber, unsigned flags);
#endif

#if defined(FIBER_ASAN) || defined(FIBER_TSAN)
#define STACK_BYTES (FIBER_STACK_BYTES * 4) /* instrumented frames are several times as large */
#else
#define STACK_BYTES FIBER_STACK_BYTES
#endif

#define TRIM_AFTER_MS 1000   /* an idle stack gives its pages back */
#define UNMAP_AFTER_MS 30000 /* and later its addresses */
#define FIBERS_MAX_DEFAULT 4096

enum fiber_state { FIBER_IDLE, FIBER_READY, FIBER_RUNNING, FIBER_PARKED };

struct fiber {
    struct list node; /* ready or idle list */
    struct loop *loop;
    struct fiber_switch sw;
    fiber_fn fn;
    void *arg;
    uint8_t *map; /* guard page, then the stack */
    size_t map_bytes;
    uint64_t idle_since_ms;
    enum fiber_state state;
    bool woken; /* a wake that came while running: the next park returns at once */
    bool trimmed;
    void *fake_stack;
    void *tsan;
};

static size_t page_bytes(void)
{
    static size_t page; /* atomic; the same value whoever writes it */
    size_t p = __atomic_load_n(&page, __ATOMIC_RELAXED);
    if (p == 0) {
        p = (size_t)sysconf(_SC_PAGESIZE);
        __atomic_store_n(&page, p, __ATOMIC_RELAXED);
    }
    return p;
}

/* --- sanitizers: tell them which stack runs --- */

static void before_switch_to_fiber(struct fiber_pool *pool, struct fiber *f)
{
#ifdef FIBER_ASAN
    __sanitizer_start_switch_fiber(&pool->loop_fake_stack, f->map + page_bytes(), STACK_BYTES);
#endif
#ifdef FIBER_TSAN
    pool->loop_tsan = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(f->tsan, 0);
#endif
    (void)pool;
    (void)f;
}

static void after_switch_to_loop(struct fiber_pool *pool)
{
#ifdef FIBER_ASAN
    __sanitizer_finish_switch_fiber(pool->loop_fake_stack, NULL, NULL);
#endif
    (void)pool;
}

static void before_switch_to_loop(struct fiber_pool *pool, struct fiber *f, bool for_good)
{
#ifdef FIBER_ASAN
    __sanitizer_start_switch_fiber(for_good ? NULL : &f->fake_stack, pool->loop_stack, pool->loop_stack_bytes);
#endif
#ifdef FIBER_TSAN
    __tsan_switch_to_fiber(pool->loop_tsan, 0);
#endif
    (void)pool;
    (void)f;
    (void)for_good;
}

static void after_switch_to_fiber(struct fiber_pool *pool, struct fiber *f)
{
#ifdef FIBER_ASAN
    __sanitizer_finish_switch_fiber(f->fake_stack, &pool->loop_stack, &pool->loop_stack_bytes);
#endif
    (void)pool;
    (void)f;
}

/* --- stacks --- */

static struct fiber *fiber_new(struct loop *l)
{
    struct fiber *f = mem_zalloc(sizeof(*f));
    if (f == NULL) {
        return NULL;
    }
    f->map_bytes = STACK_BYTES + page_bytes();
    f->map = mmap(NULL, f->map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (f->map == MAP_FAILED) {
        mem_free(f);
        return NULL;
    }
    if (mprotect(f->map, page_bytes(), PROT_NONE) != 0) {
        (void)munmap(f->map, f->map_bytes);
        mem_free(f);
        return NULL;
    }
    f->loop = l;
    list_init(&f->node);
#ifdef FIBER_TSAN
    f->tsan = __tsan_create_fiber(0);
#endif
    return f;
}

static void fiber_free(struct fiber *f)
{
#ifdef FIBER_TSAN
    __tsan_destroy_fiber(f->tsan);
#endif
#ifdef FIBER_ASAN
    __asan_unpoison_memory_region(f->map, f->map_bytes);
#endif
    list_remove(&f->node);
    int rc = munmap(f->map, f->map_bytes);
    ASSERT(rc == 0);
    mem_free(f);
}

/* From the least recently used end: the rest of the list is younger. */
static void pool_trim(struct loop *l, struct loop_timer *t)
{
    struct fiber_pool *pool = &l->fibers;
    struct list *n = pool->idle.prev;
    while (n != &pool->idle) {
        struct fiber *f = LIST_ENTRY(n, struct fiber, node);
        n = n->prev;
        uint64_t idle_ms = l->now_ms - f->idle_since_ms;
        if (idle_ms < TRIM_AFTER_MS) {
            break;
        }
        if (idle_ms >= UNMAP_AFTER_MS) {
            fiber_free(f);
        } else if (!f->trimmed) {
            (void)madvise(f->map + page_bytes(), STACK_BYTES, MADV_DONTNEED); /* advice: failing costs memory only */
            f->trimmed = true;
        }
    }
    if (!list_empty(&pool->idle)) {
        loop_timer_arm(l, t, TRIM_AFTER_MS);
    }
}

static void pool_put(struct loop *l, struct fiber *f)
{
    struct fiber_pool *pool = &l->fibers;
#ifdef FIBER_ASAN
    __asan_unpoison_memory_region(f->map + page_bytes(), STACK_BYTES);
#endif
    f->state = FIBER_IDLE;
    f->trimmed = false;
    f->idle_since_ms = l->now_ms;
    list_push_front(&pool->idle, &f->node);
    pool->in_use--;
    metric_add(&net_metric_fibers, -1);
    if (!pool->trim.armed) {
        loop_timer_arm(l, &pool->trim, TRIM_AFTER_MS);
    }
}

/* --- running --- */

static void fiber_main(void)
{
    struct loop *l = loop_current();
    struct fiber *f = l->fibers.running;
    after_switch_to_fiber(&l->fibers, f);
    f->fn(f->arg);
    f->state = FIBER_IDLE;
    before_switch_to_loop(&l->fibers, f, true);
    fiber_switch_to(&f->sw, &l->fibers.loop_switch);
    UNREACHABLE();
}

/* On the loop's stack: continues f until it parks or ends. */
static void fiber_resume(struct loop *l, struct fiber *f)
{
    struct fiber_pool *pool = &l->fibers;
    ASSERT(pool->running == NULL);
    f->state = FIBER_RUNNING;
    pool->running = f;
    before_switch_to_fiber(pool, f);
    fiber_switch_to(&pool->loop_switch, &f->sw);
    after_switch_to_loop(pool);
    pool->running = NULL;
    if (f->state == FIBER_IDLE) {
        pool_put(l, f);
    }
}

enum err fiber_spawn(struct loop *loop, fiber_fn fn, void *arg)
{
    struct fiber_pool *pool = &loop->fibers;
    if (pool->in_use >= pool->max) {
        return ERR_LIMIT;
    }
    struct list *n = list_pop_front(&pool->idle);
    struct fiber *f = n != NULL ? LIST_ENTRY(n, struct fiber, node) : fiber_new(loop);
    if (f == NULL) {
        return ERR_NOMEM;
    }
    pool->in_use++;
    metric_add(&net_metric_fibers, 1);
    f->fn = fn;
    f->arg = arg;
    f->woken = false;
    f->fake_stack = NULL;
    fiber_switch_init(&f->sw, f->map + page_bytes(), STACK_BYTES, fiber_main);
    if (pool->running == NULL && loop_current() == loop) {
        fiber_resume(loop, f);
    } else {
        f->state = FIBER_READY;
        list_push_back(&pool->ready, &f->node);
    }
    return OK;
}

struct fiber *fiber_self(void)
{
    struct loop *l = loop_current();
    return l == NULL ? NULL : l->fibers.running;
}

struct loop *fiber_loop(void)
{
    return loop_current();
}

void fiber_park(void)
{
    struct fiber *f = fiber_self();
    ASSERT(f != NULL);
    if (f->woken) {
        f->woken = false;
        return;
    }
    struct fiber_pool *pool = &f->loop->fibers;
    f->state = FIBER_PARKED;
    before_switch_to_loop(pool, f, false);
    fiber_switch_to(&f->sw, &pool->loop_switch);
    after_switch_to_fiber(pool, f);
}

void fiber_wake(struct fiber *f)
{
    switch (f->state) {
    case FIBER_PARKED:
        f->state = FIBER_READY;
        list_push_back(&f->loop->fibers.ready, &f->node);
        return;
    case FIBER_RUNNING:
        f->woken = true;
        return;
    case FIBER_READY: /* it has not looked at its condition yet */
        return;
    case FIBER_IDLE:
        break;
    }
    UNREACHABLE();
}

struct sleeper {
    struct loop_timer timer;
    struct fiber *fiber;
    bool done;
};

static void sleeper_fire(struct loop *l, struct loop_timer *t)
{
    (void)l;
    struct sleeper *s = LIST_ENTRY(t, struct sleeper, timer);
    s->done = true;
    fiber_wake(s->fiber);
}

void fiber_sleep(uint64_t ms)
{
    struct sleeper s = {.fiber = fiber_self(), .done = false};
    ASSERT(s.fiber != NULL);
    loop_timer_init(&s.timer, sleeper_fire);
    loop_timer_arm(s.fiber->loop, &s.timer, ms);
    while (!s.done) {
        fiber_park();
    }
}

/* --- the pool --- */

void fiber_pool_init(struct loop *l, unsigned fibers_max)
{
    struct fiber_pool *pool = &l->fibers;
    list_init(&pool->ready);
    list_init(&pool->idle);
    list_init(&pool->waiting);
    pool->max = fibers_max == 0 ? FIBERS_MAX_DEFAULT : fibers_max;
    loop_timer_init(&pool->trim, pool_trim);
}

void fiber_pool_fini(struct loop *l)
{
    struct fiber_pool *pool = &l->fibers;
    LIST_FOREACH_SAFE (n, &pool->idle) {
        fiber_free(LIST_ENTRY(n, struct fiber, node));
    }
    LIST_FOREACH_SAFE (n, &pool->ready) {
        fiber_free(LIST_ENTRY(n, struct fiber, node));
    }
}

void fiber_pool_run(struct loop *l)
{
    struct fiber_pool *pool = &l->fibers;
    if (list_empty(&pool->ready)) {
        return;
    }
    struct list *last = pool->ready.prev; /* those woken from now on run in the next round */
    for (bool more = true; more;) {
        struct list *n = list_pop_front(&pool->ready);
        more = n != last;
        fiber_resume(l, LIST_ENTRY(n, struct fiber, node));
    }
}

bool fiber_pool_can_feed(const struct loop *l)
{
    return l->fibers.in_use < l->fibers.max && !list_empty(&l->fibers.waiting);
}

void fiber_pool_feed(struct loop *l)
{
    struct fiber_pool *pool = &l->fibers;
    for (unsigned i = pool->in_use; i < pool->max && !list_empty(&pool->waiting); i++) {
        loop_defer(l, LIST_ENTRY(list_pop_front(&pool->waiting), struct loop_defer, node));
    }
}

void fiber_pool_wait(struct loop *l, struct loop_defer *d)
{
    loop_defer_cancel(d);
    list_push_back(&l->fibers.waiting, &d->node);
}
