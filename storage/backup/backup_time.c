#include <stdio.h>
#include <time.h>

#include "proto/base/clock.h"
#include "storage/backup/backup_set.h"

void backup_time_text(uint64_t wall_ms, char out[BACKUP_TIME_BYTES])
{
    struct civil_time t = civil_time_from_ms(wall_ms);
    snprintf(out, BACKUP_TIME_BYTES, "%04u-%02u-%02u %02u:%02u:%02u UTC", t.year, t.month, t.day, t.hour, t.minute,
             t.second);
}

/* Two or four digits; false when there are others. */
static bool digits(struct slice *s, size_t n, int *out)
{
    uint64_t v;
    if (s->n < n || slice_u64(slice_sub(*s, 0, n), &v) != OK) {
        return false;
    }
    *out = (int)v;
    *s = slice_sub(*s, n, s->n);
    return true;
}

static bool mark(struct slice *s, const char *any_of)
{
    if (s->n == 0 || strchr(any_of, s->p[0]) == NULL) {
        return false;
    }
    *s = slice_sub(*s, 1, s->n);
    return true;
}

static enum err parse_unix(struct slice s, uint64_t *out)
{
    uint64_t seconds;
    uint64_t ms = 999;
    size_t dot = slice_find(s, '.');
    if (slice_u64(slice_sub(s, 0, dot), &seconds) != OK || seconds > UINT32_MAX * UINT64_C(16)) {
        return ERR_INVAL;
    }
    if (dot < s.n && (s.n - dot != 4 || slice_u64(slice_sub(s, dot + 1, s.n), &ms) != OK)) {
        return ERR_INVAL;
    }
    *out = seconds * 1000 + ms;
    return OK;
}

static bool in_range(const struct tm *t)
{
    return t->tm_year >= 1970 && t->tm_mon >= 1 && t->tm_mon <= 12 && t->tm_mday >= 1 && t->tm_mday <= 31 &&
           t->tm_hour <= 23 && t->tm_min <= 59 && t->tm_sec <= 59;
}

enum err backup_time_parse(struct slice text, uint64_t *out_wall_ms)
{
    struct slice s = slice_trim(text);
    struct tm t = {0};
    if (s.n > 0 && s.p[0] == '@') {
        return parse_unix(slice_sub(s, 1, s.n), out_wall_ms);
    }
    bool good = digits(&s, 4, &t.tm_year) && mark(&s, "-") && digits(&s, 2, &t.tm_mon) && mark(&s, "-") &&
                digits(&s, 2, &t.tm_mday) && mark(&s, "T ") && digits(&s, 2, &t.tm_hour) && mark(&s, ":") &&
                digits(&s, 2, &t.tm_min) && mark(&s, ":") && digits(&s, 2, &t.tm_sec) && in_range(&t);
    (void)mark(&s, "Z");
    if (!good || s.n != 0) {
        return ERR_INVAL;
    }
    t.tm_year -= 1900;
    t.tm_mon -= 1;
    *out_wall_ms = (uint64_t)timegm(&t) * 1000 + 999;
    return OK;
}
