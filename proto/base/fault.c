#include "proto/base/fault.h"

#include <signal.h>
#include <stdint.h>
#include <string.h>

#include "proto/base/slice.h"

static const struct {
    const char *name;
    bool may_fail;
} points[] = {
#define FAULT_ROW(name, text, may_fail) {text, may_fail},
    FAULT_LIST(FAULT_ROW)
#undef FAULT_ROW
};

enum fault_point fault_armed = FAULT_NONE;
static uint64_t passages_left;
static bool fails;

static enum fault_point point_of(struct slice name)
{
    int p = 0;
    while (p < (int)FAULT_NONE && !slice_eq_str(name, points[p].name)) {
        p++;
    }
    return (enum fault_point)p;
}

/* "n" or "n:action" */
static enum err parse_when(struct slice s, uint64_t *out_n, bool *out_fails)
{
    size_t digits = slice_find(s, ':');
    struct slice action = digits == s.n ? slice_str("kill") : slice_sub(s, digits + 1, s.n);
    *out_fails = slice_eq_str(action, "error");
    if (!*out_fails && !slice_eq_str(action, "kill")) {
        return ERR_INVAL;
    }
    return slice_u64(slice_sub(s, 0, digits), out_n) == OK && *out_n > 0 ? OK : ERR_INVAL;
}

enum err fault_arm(const char *spec)
{
    uint64_t n = 0;
    bool want_error = false;
    __atomic_store_n(&fault_armed, FAULT_NONE, __ATOMIC_RELAXED);
    if (spec == NULL) {
        return OK;
    }
    struct slice s = slice_str(spec);
    size_t name_n = slice_find(s, ':');
    enum fault_point p = point_of(slice_sub(s, 0, name_n));
    enum err e = parse_when(slice_sub(s, name_n + 1, s.n), &n, &want_error);
    if (e != OK || p == FAULT_NONE || (want_error && !points[p].may_fail)) {
        return ERR_INVAL;
    }
    passages_left = n;
    fails = want_error;
    __atomic_store_n(&fault_armed, p, __ATOMIC_RELAXED);
    return OK;
}

enum err fault_reached(void)
{
    /* Once: the counter passes 1 in one thread only, and then wraps to numbers that nobody reaches. */
    if (__atomic_fetch_sub(&passages_left, 1, __ATOMIC_RELAXED) != 1) {
        return OK;
    }
    if (!fails) {
        (void)raise(SIGKILL);
    }
    return ERR_FULL;
}
