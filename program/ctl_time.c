#include "program/ctl_time.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "program/config.h"
#include "proto/base/slice.h"

static bool point_parse(const char *text, uint64_t *out_ms)
{
    static const char *const formats[] = {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M",
                                          "%Y-%m-%d"};
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        struct tm tm = {.tm_isdst = -1};
        const char *end = strptime(text, formats[i], &tm);
        bool utc = end != NULL && (strcmp(end, "Z") == 0 || strcmp(end, " UTC") == 0);
        if (end == NULL || (*end != '\0' && !utc)) {
            continue;
        }
        time_t s = utc ? timegm(&tm) : mktime(&tm);
        if (s >= 0) {
            *out_ms = (uint64_t)s * 1000;
            return true;
        }
    }
    return false;
}

/* @SECONDS or @SECONDS.MMM */
static bool unix_parse(const char *text, uint64_t *out_ms)
{
    uint64_t seconds;
    uint64_t ms = 0;
    struct slice s = slice_str(text);
    size_t dot = slice_find(s, '.');
    if (s.n == 0 || s.p[0] != '@' || slice_u64(slice_sub(s, 1, dot), &seconds) != OK || seconds > UINT64_MAX / 2000) {
        return false;
    }
    if (dot < s.n && (s.n - dot != 4 || slice_u64(slice_sub(s, dot + 1, s.n), &ms) != OK)) {
        return false;
    }
    *out_ms = seconds * 1000 + ms;
    return true;
}

enum err ctl_time_parse(const char *text, uint64_t now_ms, uint64_t *out_ms)
{
    uint64_t ago_ms;
    if (point_parse(text, out_ms) || unix_parse(text, out_ms)) {
        return OK;
    }
    if (config_ms_parse(text, &ago_ms) != OK || ago_ms > now_ms) {
        return ERR_INVAL;
    }
    *out_ms = now_ms - ago_ms;
    return OK;
}

void ctl_time_format(int64_t s, char out[32])
{
    struct tm tm;
    time_t at = (time_t)s;
    if (localtime_r(&at, &tm) == NULL || strftime(out, 32, "%Y-%m-%d %H:%M:%S", &tm) == 0) {
        snprintf(out, 32, "%lld", (long long)s);
    }
}
