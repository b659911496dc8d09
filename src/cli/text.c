/* SPDX-License-Identifier: BSD-3-Clause */
#include "text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <wchar.h>
#include <wctype.h>

cli_text cli_bytes(uint64_t bytes) {
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    cli_text t;
    double value = (double)bytes;
    int unit = -1;
    while (value >= 1024 && unit < 5) {
        value /= 1024;
        unit++;
    }
    if (unit < 0)
        snprintf(t.text, sizeof t.text, "%" PRIu64 " B", bytes);
    else
        snprintf(t.text, sizeof t.text, "%.*f %s",
                 value < 10    ? 2
                 : value < 100 ? 1
                               : 0,
                 value, units[unit]);
    return t;
}

cli_text cli_count(uint64_t count) {
    cli_text t;
    snprintf(t.text, sizeof t.text, "%" PRIu64, count);
    return t;
}

cli_text cli_seconds(double seconds) {
    cli_text t;
    if (!isfinite(seconds))
        snprintf(t.text, sizeof t.text, "?");
    else if (fabs(seconds) < 1e-3)
        snprintf(t.text, sizeof t.text, "%.0f us", seconds * 1e6);
    else if (fabs(seconds) < 1)
        snprintf(t.text, sizeof t.text, "%.1f ms", seconds * 1e3);
    else
        snprintf(t.text, sizeof t.text, "%.2f s", seconds);
    return t;
}

cli_text cli_duration(double seconds) {
    cli_text t;
    double within = !(seconds > 0) ? 0 : seconds < 1e9 ? seconds : 1e9; /* clocks differ */
    uint64_t s = (uint64_t)(within + 0.5);
    if (s < 60)
        snprintf(t.text, sizeof t.text, "%" PRIu64 " s", s);
    else if (s < 3600)
        snprintf(t.text, sizeof t.text, "%" PRIu64 " min %" PRIu64 " s", s / 60, s % 60);
    else
        snprintf(t.text, sizeof t.text, "%" PRIu64 " h %" PRIu64 " min", s / 3600, s / 60 % 60);
    return t;
}

cli_text cli_utc(double time) {
    cli_text t = {"?"};
    struct tm utc;
    if (!isfinite(time) || fabs(time) > 1e15)
        return t;
    time_t seconds = (time_t)time;
    if (!gmtime_r(&seconds, &utc) || !strftime(t.text, sizeof t.text, "%Y-%m-%d %H:%M:%S", &utc))
        strcpy(t.text, "?");
    return t;
}

cli_text cli_age(double then) {
    static const struct {
        double seconds;
        const char *unit;
    } steps[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};
    cli_text t = {"now"};
    double age = (double)time(NULL) - then;
    if (!isfinite(age) || age < -60) {
        strcpy(t.text, "in the future");
        return t;
    }
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        if (age >= steps[i].seconds) {
            snprintf(t.text, sizeof t.text, "%.0f %s ago", floor(age / steps[i].seconds),
                     steps[i].unit);
            break;
        }
    return t;
}

char *cli_escape(const char *text) {
    size_t left = strlen(text);
    char *escaped = malloc(4 * left + 1), *out = escaped;
    mbstate_t state = {0};
    if (!escaped)
        return NULL;
    while (left) {
        wchar_t c;
        size_t n = mbrtowc(&c, text, left, &state);
        if (n == 0 || n > left || !iswprint((wint_t)c) || wcwidth(c) <= 0 || c == L'\\') {
            memset(&state, 0, sizeof state);
            out += sprintf(out, c == L'\\' && n == 1 ? "\\\\" : "\\x%02x", (unsigned char)*text);
            n = 1;
        } else {
            memcpy(out, text, n);
            out += n;
        }
        text += n;
        left -= n;
    }
    *out = '\0';
    return escaped;
}

size_t cli_width(const char *text) {
    size_t width = 0, left = strlen(text);
    mbstate_t state = {0};
    while (left) {
        wchar_t c;
        size_t n = mbrtowc(&c, text, left, &state);
        if (n == 0 || n > left) {
            memset(&state, 0, sizeof state);
            n = 1;
            width++;
        } else {
            int columns = wcwidth(c);
            width += columns > 0 ? (size_t)columns : 0;
        }
        text += n;
        left -= n;
    }
    return width;
}
