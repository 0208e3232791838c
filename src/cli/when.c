/* cli/when.c - calendar arithmetic without the C library's time zone. */
#include "cli/when.h"

#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

enum { MS_PER_DAY = 86400000, YEAR_MAX = 9999 };

/* Days from 1970-01-01 to a date of the proleptic Gregorian calendar. Counts years from March, so
 * that the leap day is the last of its year. */
static int64_t
days_of(int64_t year, int64_t month, int64_t day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t from_march = (month + 9) % 12;
    int64_t day_of_year = (153 * from_march + 2) / 5 + day - 1;
    return y * 365 + y / 4 - y / 100 + y / 400 + day_of_year - 719468;
}

static bool
is_leap(int64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int
days_in_month(int64_t year, int64_t month)
{
    static const int8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month == 2 && is_leap(year) ? 29 : days[month - 1];
}

/* Exactly `digits` digits at *p; moves it; -1 when they are not there. */
static int64_t
take_digits(const char **p, int digits)
{
    int64_t v = 0;
    for (int i = 0; i < digits; i++, (*p)++) {
        if (**p < '0' || **p > '9')
            return -1;
        v = v * 10 + (**p - '0');
    }
    return v;
}

static bool
take_char(const char **p, char c)
{
    if (**p != c)
        return false;
    (*p)++;
    return true;
}

/* "Z", "+hh:mm", "-hh:mm" or nothing (UTC), up to the end. */
static bool
take_zone(const char *p, int64_t *minutes)
{
    *minutes = 0;
    if (*p == '\0' || strcmp(p, "Z") == 0)
        return true;
    bool minus = *p == '-';
    if (!minus && *p != '+')
        return false;
    p++;
    int64_t hours = take_digits(&p, 2);
    (void)take_char(&p, ':');
    int64_t rest = take_digits(&p, 2);
    if (hours < 0 || hours > 14 || rest < 0 || rest > 59 || *p != '\0')
        return false;
    *minutes = (hours * 60 + rest) * (minus ? -1 : 1);
    return true;
}

static bool
parse_iso(const char *p, int64_t *out_ms)
{
    int64_t hour = 0, minute = 0, second = 0, ms = 0, zone = 0;
    int64_t year = take_digits(&p, 4);
    bool ok = year >= 0 && take_char(&p, '-');
    int64_t month = ok ? take_digits(&p, 2) : -1;
    ok = ok && month >= 1 && month <= 12 && take_char(&p, '-');
    int64_t day = ok ? take_digits(&p, 2) : -1;
    if (!ok || day < 1 || day > days_in_month(year, month))
        return false;
    if (take_char(&p, 'T') || take_char(&p, ' ')) {
        hour = take_digits(&p, 2);
        ok = hour >= 0 && hour <= 23 && take_char(&p, ':');
        minute = ok ? take_digits(&p, 2) : -1;
        if (minute < 0 || minute > 59)
            return false;
        if (take_char(&p, ':'))
            second = take_digits(&p, 2);
        if (second < 0 || second > 59)
            return false;
        if (take_char(&p, '.')) {
            int64_t unit = 100;
            if (*p < '0' || *p > '9')
                return false;
            for (; *p >= '0' && *p <= '9'; p++, unit /= 10)
                ms += (*p - '0') * unit; /* beyond milliseconds: cut */
        }
    }
    if (!take_zone(p, &zone))
        return false;
    *out_ms = days_of(year, month, day) * MS_PER_DAY +
              ((hour * 60 + minute - zone) * 60 + second) * 1000 + ms;
    return true;
}

/* "-2h": so long before now. */
static bool
parse_ago(const char *text, int64_t now_ms, int64_t *out_ms)
{
    static const struct {
        const char *name;
        int64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", MS_PER_DAY},
        {"w", 7LL * MS_PER_DAY}};
    char digits[20];
    size_t len = strspn(text, "0123456789");
    int64_t count, span;
    if (len == 0 || len >= sizeof digits)
        return false;
    memcpy(digits, text, len);
    digits[len] = '\0';
    if (!cli_number_parse(digits, 0, INT64_MAX, &count))
        return false;
    for (size_t i = 0; i < COUNT_OF(units); i++)
        if (strcmp(text + len, units[i].name) == 0) {
            if (__builtin_mul_overflow(count, units[i].ms, &span) || span > now_ms)
                return false;
            *out_ms = now_ms - span;
            return true;
        }
    return false;
}

bool
when_parse(const char *text, int64_t now_ms, int64_t *out_ms)
{
    if (strcmp(text, "now") == 0) {
        *out_ms = now_ms;
        return true;
    }
    if (text[0] == '-')
        return parse_ago(text + 1, now_ms, out_ms);
    if (text[0] != '\0' && strspn(text, "0123456789") == strlen(text))
        return cli_number_parse(text, 0, INT64_MAX, out_ms);
    return parse_iso(text, out_ms) && *out_ms >= 0;
}

void
when_format(int64_t ms, char out[WHEN_TEXT_SIZE])
{
    int64_t days = ms / MS_PER_DAY;
    int64_t rest = ms % MS_PER_DAY;
    if (ms < 0 || days > days_of(YEAR_MAX, 12, 31)) {
        snprintf(out, WHEN_TEXT_SIZE, "-");
        return;
    }
    int64_t year = 1970 + days / 366; /* never too late; then forward to the right one */
    while (days_of(year + 1, 1, 1) <= days)
        year++;
    int64_t month = 1;
    while (month < 12 && days_of(year, month + 1, 1) <= days)
        month++;
    int64_t day = days - days_of(year, month, 1) + 1;
    snprintf(out, WHEN_TEXT_SIZE, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", (int)year, (int)month,
        (int)day, (int)(rest / 3600000), (int)(rest / 60000 % 60), (int)(rest / 1000 % 60),
        (int)(rest % 1000));
}
