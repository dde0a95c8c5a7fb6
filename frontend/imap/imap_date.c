#include "frontend/imap/imap_date.h"

#define DAY_S 86400
#define YEAR_9999_END_S INT64_C(253402300799)
#define YEAR_0_START_S INT64_C(-62167219200)

static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

/* Days since 1970-01-01 of a proleptic Gregorian date; the year starts in March so that the leap day is its last. */
static int64_t days_from_civil(int64_t y, int64_t m, int64_t d)
{
    y -= m <= 2 ? 1 : 0;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + doe - 719468;
}

static void civil_from_days(int64_t days, int64_t *y, int64_t *m, int64_t *d)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t doe = days - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    *d = doy - (153 * mp + 2) / 5 + 1;
    *m = mp + (mp < 10 ? 3 : -9);
    *y = yoe + era * 400 + (*m <= 2 ? 1 : 0);
}

static bool parse_digits(struct imap_cursor *c, size_t min, size_t max, int64_t *out)
{
    int64_t v = 0;
    size_t n = 0;
    while (n < max && imap_peek(c) >= '0' && imap_peek(c) <= '9') {
        v = v * 10 + (*c->p++ - '0');
        n++;
    }
    if (n < min) {
        return imap_parse_fail(c, "Invalid date");
    }
    *out = v;
    return true;
}

static bool parse_month(struct imap_cursor *c, int64_t *out)
{
    for (size_t i = 0; i < 12 && c->end - c->p >= 3; i++) {
        if (slice_ieq(slice_make(c->p, 3), slice_make(months + 3 * i, 3))) {
            c->p += 3;
            *out = (int64_t)i + 1;
            return true;
        }
    }
    return imap_parse_fail(c, "Invalid month in a date");
}

/* The day must exist: 31-Feb is refused, not moved to March. */
static bool to_days(struct imap_cursor *c, int64_t y, int64_t m, int64_t d, int64_t *out)
{
    int64_t days = days_from_civil(y, m, d);
    int64_t y2;
    int64_t m2;
    int64_t d2;
    civil_from_days(days, &y2, &m2, &d2);
    if (d < 1 || y2 != y || m2 != m || d2 != d) {
        return imap_parse_fail(c, "No such day");
    }
    *out = days;
    return true;
}

static bool parse_date_text(struct imap_cursor *c, int64_t *out_days)
{
    int64_t d = 0;
    int64_t m = 0;
    int64_t y = 0;
    return parse_digits(c, 1, 2, &d) && imap_parse_char(c, '-') && parse_month(c, &m) && imap_parse_char(c, '-') &&
           parse_digits(c, 4, 4, &y) && to_days(c, y, m, d, out_days);
}

bool imap_parse_date(struct imap_cursor *c, int64_t *out_s)
{
    bool quoted = imap_take(c, '"');
    int64_t days = 0;
    if (!parse_date_text(c, &days) || (quoted && !imap_parse_char(c, '"'))) {
        return false;
    }
    *out_s = days * DAY_S;
    return true;
}

static bool parse_time(struct imap_cursor *c, int64_t *out_s)
{
    int64_t h = 0;
    int64_t m = 0;
    int64_t s = 0;
    if (!parse_digits(c, 2, 2, &h) || !imap_parse_char(c, ':') || !parse_digits(c, 2, 2, &m) ||
        !imap_parse_char(c, ':') || !parse_digits(c, 2, 2, &s)) {
        return false;
    }
    if (h > 23 || m > 59 || s > 60) {
        return imap_parse_fail(c, "Invalid time");
    }
    *out_s = h * 3600 + m * 60 + s;
    return true;
}

/* zone = ("+" / "-") 4DIGIT */
static bool parse_zone(struct imap_cursor *c, int64_t *out_s)
{
    bool west = imap_peek(c) == '-';
    int64_t hhmm = 0;
    if (!imap_take(c, west ? '-' : '+')) {
        return imap_parse_fail(c, "Invalid time zone");
    }
    if (!parse_digits(c, 4, 4, &hhmm)) {
        return false;
    }
    if (hhmm / 100 > 23 || hhmm % 100 > 59) {
        return imap_parse_fail(c, "Invalid time zone");
    }
    int64_t s = hhmm / 100 * 3600 + hhmm % 100 * 60;
    *out_s = west ? -s : s;
    return true;
}

bool imap_parse_date_time(struct imap_cursor *c, int64_t *out_s)
{
    int64_t days = 0;
    int64_t time_s = 0;
    int64_t zone_s = 0;
    if (!imap_take(c, '"')) {
        return imap_parse_fail(c, "Expected a quoted date");
    }
    (void)imap_take(c, ' '); /* date-day-fixed = (SP DIGIT) / 2DIGIT */
    if (!parse_date_text(c, &days) || !imap_parse_sp(c) || !parse_time(c, &time_s) || !imap_parse_sp(c) ||
        !parse_zone(c, &zone_s) || !imap_parse_char(c, '"')) {
        return false;
    }
    *out_s = days * DAY_S + time_s - zone_s;
    return true;
}

static void put2(uint8_t *p, int64_t v)
{
    p[0] = (uint8_t)('0' + v / 10 % 10);
    p[1] = (uint8_t)('0' + v % 10);
}

void imap_date_time_put(uint8_t out[IMAP_DATE_TIME_BYTES], int64_t s)
{
    s = s < YEAR_0_START_S ? YEAR_0_START_S : s > YEAR_9999_END_S ? YEAR_9999_END_S : s;
    int64_t days = s / DAY_S - (s % DAY_S < 0 ? 1 : 0);
    int64_t time_s = s - days * DAY_S;
    int64_t y = 0;
    int64_t m = 0;
    int64_t d = 0;
    civil_from_days(days, &y, &m, &d);
    memcpy(out, "\"  -   -       :  :   +0000\"", IMAP_DATE_TIME_BYTES);
    put2(out + 1, d);
    out[1] = d < 10 ? ' ' : out[1];
    memcpy(out + 4, months + 3 * (m - 1), 3);
    put2(out + 8, y / 100);
    put2(out + 10, y % 100);
    put2(out + 13, time_s / 3600);
    put2(out + 16, time_s / 60 % 60);
    put2(out + 19, time_s % 60);
}
