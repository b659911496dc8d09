/* SPDX-License-Identifier: BSD-3-Clause */
#include "log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

static wc_log_level max_level = WC_LOG_ERROR;
static int own_rank;

void wc_log_setup(wc_log_level level, int rank) {
    max_level = level;
    own_rank = rank;
}

/* Names and reasons may come from a file or a directory: nothing of them controls the terminal, which obeys what is below the
 * blank, DEL, and U+0080 to U+009F: in UTF-8 0xC2 and one byte more. */
static void make_harmless(char *line) {
    for (unsigned char *c = (unsigned char *)line; *c; c++) {
        bool two = *c == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0;
        if (two || *c < ' ' || *c == 0x7f)
            *c = '?';
        if (two)
            *++c = '?';
    }
}

/* In one write, so that the lines of several ranks don't mix. */
static void say(const char *prefix, const char *format, va_list arguments) {
    char line[1024];
    vsnprintf(line, sizeof line, format, arguments);
    make_harmless(line);
    fprintf(stderr, "wavecut: %s%s\n", prefix, line);
}

void wc_log_job(wc_log_level level, const char *format, ...) {
    if (level > max_level || own_rank != 0)
        return;
    va_list arguments;
    va_start(arguments, format);
    say("", format, arguments);
    va_end(arguments);
}

void wc_log_rank(wc_log_level level, const char *format, ...) {
    if (level > max_level)
        return;
    char prefix[32];
    snprintf(prefix, sizeof prefix, "rank %d: ", own_rank);
    va_list arguments;
    va_start(arguments, format);
    say(prefix, format, arguments);
    va_end(arguments);
}
