#include "proto/message/lex.h"
#include "proto/message/message.h"

#include <stdio.h>

#define UNSET (-1)
#define DAY_S 86400

struct date {
    int year;
    int month; /* 0..11 */
    int day;
    int hour;
    int minute;
    int second;
    int zone_min;
    bool has_time;
    bool has_zone;
    bool iso; /* the year came first: a number after it is the month */
};

static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
static const char week_days[7][4] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"}; /* from 1970-01-01 */

/* Days from 1970-01-01, proleptic Gregorian; the year begins in March so that the leap day is its last. */
static int64_t days_from_civil(int64_t y, int month, int day)
{
    y -= month < 2 ? 1 : 0;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * (month < 2 ? month + 10 : month - 2) + 2) / 5 + day - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static void civil_from_days(int64_t days, int64_t *out_year, int *out_month, int *out_day)
{
    int64_t z = days + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    *out_day = (int)(doy - (153 * mp + 2) / 5 + 1);
    *out_month = (int)(mp < 10 ? mp + 2 : mp - 10);
    *out_year = yoe + era * 400 + (*out_month < 2 ? 1 : 0);
}

/* obs-zone = "UT" / "GMT" / "EST" / ... ; the letters of the military zones mean nothing (RFC 5322, 4.3). */
static void read_zone_name(struct slice word, struct date *d)
{
    static const struct {
        const char *name;
        int zone_min;
    } zones[] = {
        {"EST", -300}, {"EDT", -240}, {"CST", -360}, {"CDT", -300}, {"MST", -420}, {"MDT", -360}, {"PST", -480},
        {"PDT", -420}, {"CET", 60},   {"CEST", 120}, {"MET", 60},   {"MEST", 120}, {"BST", 60},   {"EET", 120},
        {"EEST", 180}, {"MSK", 180},  {"JST", 540},  {"GMT", 0},    {"UTC", 0},    {"UT", 0},     {"Z", 0},
    };
    for (size_t i = 0; i < sizeof(zones) / sizeof(zones[0]) && !d->has_zone; i++) {
        if (slice_ieq_str(word, zones[i].name)) {
            d->zone_min = zones[i].zone_min;
            /* "GMT+0100" goes on */
            d->has_zone = zones[i].zone_min != 0;
        }
    }
}

static void read_word(struct msg_lex *l, struct date *d)
{
    const uint8_t *from = l->p;
    while (l->p < l->end && ((*l->p | 32) >= 'a' && (*l->p | 32) <= 'z')) {
        l->p++;
    }
    struct slice word = slice_make(from, (size_t)(l->p - from));
    for (int i = 0; i < 12 && word.n >= 3 && d->month == UNSET; i++) {
        if (slice_ieq_str(slice_sub(word, 0, 3), months[i])) {
            d->month = i;
            return;
        }
    }
    if (d->has_time && (slice_ieq_str(word, "PM") || slice_ieq_str(word, "AM")) && d->hour <= 12) {
        d->hour = d->hour % 12 + (ascii_lower(word.p[0]) == 'p' ? 12 : 0);
        return;
    }
    if (d->has_time) {
        read_zone_name(word, d);
    }
}

/* At most six digits count; gives how many there were. */
static int read_number(struct msg_lex *l, int *out_value)
{
    int digits = 0;
    int v = 0;
    for (; l->p < l->end && *l->p >= '0' && *l->p <= '9'; l->p++) {
        v = digits < 6 ? v * 10 + (*l->p - '0') : v;
        digits += digits < 100 ? 1 : 0;
    }
    *out_value = v;
    return digits;
}

static bool next_is(struct msg_lex *l, char c)
{
    if (l->p < l->end && *l->p == (uint8_t)c) {
        l->p++;
        return true;
    }
    return false;
}

/* time-of-day = hour ":" minute [ ":" second ], fractions dropped; l stands behind the first ":". */
static void read_time(struct msg_lex *l, int hour, struct date *d)
{
    int fraction;
    d->has_time = true;
    d->hour = hour;
    (void)read_number(l, &d->minute);
    if (next_is(l, ':')) {
        (void)read_number(l, &d->second);
    }
    if (next_is(l, '.')) {
        (void)read_number(l, &fraction);
    }
}

/* zone = ("+" / "-") 4DIGIT, also as +1, +01 and +01:00. */
static void read_zone(struct msg_lex *l, int sign, struct date *d)
{
    int v;
    int digits = read_number(l, &v);
    int minutes = digits > 2 ? v / 100 * 60 + v % 100 : v * 60;
    if (digits <= 2 && next_is(l, ':')) {
        int m;
        (void)read_number(l, &m);
        minutes += m;
    }
    if (digits > 0 && digits <= 4 && minutes < 24 * 60 && !d->has_zone) {
        d->zone_min = sign * minutes;
        d->has_zone = true;
    }
}

/* obs-year: two digits are 1950..2049, three count from 1900 (RFC 5322, 4.3). */
static int full_year(int v, int digits)
{
    if (digits == 2) {
        return v < 50 ? 2000 + v : 1900 + v;
    }
    return digits == 3 ? 1900 + v : v;
}

static void read_digits(struct msg_lex *l, struct date *d)
{
    int v;
    int digits = read_number(l, &v);
    if (!d->has_time && digits <= 2 && next_is(l, ':')) {
        read_time(l, v, d);
    } else if (digits == 4 && d->year == UNSET) {
        d->iso = d->day == UNSET && d->month == UNSET;
        d->year = v;
    } else if (d->iso && d->month == UNSET) {
        d->month = v - 1;
    } else if (digits <= 2 && d->day == UNSET) {
        d->day = v;
    } else if (d->year == UNSET && digits <= 4) {
        d->year = full_year(v, digits);
    }
}

static void read_token(struct msg_lex *l, struct date *d)
{
    uint8_t c = *l->p;
    if (c >= '0' && c <= '9') {
        read_digits(l, d);
    } else if ((c | 32) >= 'a' && (c | 32) <= 'z') {
        read_word(l, d);
    } else {
        l->p++;
        /* Before the time a "-" divides, as in 21-Nov-2026. */
        if (d->has_time && (c == '+' || c == '-')) {
            read_zone(l, c == '-' ? -1 : 1, d);
        }
    }
}

static bool is_valid(const struct date *d)
{
    static const int days[12] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (d->month < 0 || d->month > 11 || d->day < 1 || d->day > days[d->month] || d->year < 1 || d->year > 9999) {
        return false;
    }
    return d->hour <= 24 && d->minute <= 59 && d->second <= 60;
}

enum err msg_date_parse_zone(struct slice text, int64_t *out_s, int16_t *out_zone_min)
{
    struct date d = {UNSET, UNSET, UNSET, 0, 0, 0, 0, false, false, false};
    struct msg_lex l = msg_lex_make(text);
    msg_lex_skip_cfws(&l);
    while (l.p < l.end) {
        read_token(&l, &d);
        msg_lex_skip_cfws(&l);
    }
    if (!is_valid(&d)) {
        return ERR_INVAL;
    }
    int64_t of_day = (int64_t)d.hour * 3600 + d.minute * 60 + d.second;
    *out_s = days_from_civil(d.year, d.month, d.day) * DAY_S + of_day - (int64_t)d.zone_min * 60;
    *out_zone_min = (int16_t)d.zone_min;
    return OK;
}

enum err msg_date_parse(struct slice text, int64_t *out_s)
{
    int16_t zone_min;
    return msg_date_parse_zone(text, out_s, &zone_min);
}

void msg_date_format(int64_t s, char out[40])
{
    /* Years 0000 to 9999: what four digits can say. */
    const int64_t first = days_from_civil(0, 0, 1) * DAY_S;
    const int64_t last = days_from_civil(10000, 0, 1) * DAY_S - 1;
    s = s < first ? first : s > last ? last : s;
    int64_t days = (s >= 0 ? s : s - (DAY_S - 1)) / DAY_S;
    unsigned of_day = (unsigned)(s - days * DAY_S);
    int64_t year;
    int month;
    int day;
    civil_from_days(days, &year, &month, &day);
    int week_day = (int)((days % 7 + 7) % 7);
    (void)snprintf(out, 40, "%s, %02u %s %04u %02u:%02u:%02u +0000", week_days[week_day], (unsigned)day % 100u,
                   months[month], (unsigned)year % 10000u, of_day / 3600 % 100, of_day / 60 % 60, of_day % 60);
}
