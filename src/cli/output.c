/* SPDX-License-Identifier: BSD-3-Clause */
#include "output.h"

#include "text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static bool wants_colours(void) {
    static int answer = -1;
    if (answer < 0) {
        const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
        answer = isatty(STDOUT_FILENO) && !(no && *no) && term && strcmp(term, "dumb") != 0;
    }
    return answer > 0;
}

const char *cli_style_begin(cli_style style) {
    static const char *const sequences[] = {[CLI_PLAIN] = "",
                                            [CLI_BOLD] = "\033[1m",
                                            [CLI_DIM] = "\033[2m",
                                            [CLI_GOOD] = "\033[32m",
                                            [CLI_BAD] = "\033[1;31m"};
    return wants_colours() ? sequences[style] : "";
}

const char *cli_style_end(cli_style style) {
    return wants_colours() && style != CLI_PLAIN ? "\033[0m" : "";
}

json_t *cli_json_text(const char *text) {
    json_t *value = json_string(text);
    if (value)
        return value;
    size_t length = strlen(text);
    char *escaped = malloc(4 * length + 1), *out = escaped;
    if (!escaped)
        return json_null();
    for (size_t i = 0; i < length; i++)
        out += sprintf(out, text[i] > 0 && text[i] != '\\' ? "%c" : "\\x%02x",
                       text[i] > 0 && text[i] != '\\' ? text[i] : (unsigned char)text[i]);
    value = json_string(escaped);
    free(escaped);
    return value;
}

json_t *cli_json_hex(uint64_t value) {
    return json_sprintf("%016" PRIx64, value);
}

json_t *cli_json_real(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

json_t *cli_json_number(uint64_t value) {
    return json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value);
}

void cli_json_print(json_t *value) {
    json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
    putchar('\n');
    json_decref(value);
}

static bool shown;

void cli_progress(const char *what, uint64_t done, uint64_t total) {
    static struct timespec last;
    struct timespec now;
    if (!isatty(STDERR_FILENO))
        return;
    clock_gettime(CLOCK_MONOTONIC, &now);
    double since = (double)(now.tv_sec - last.tv_sec) + 1e-9 * (double)(now.tv_nsec - last.tv_nsec);
    if (since < 0.1)
        return;
    last = now;
    shown = true;
    char *escaped = cli_escape(what);
    fprintf(stderr, "\r\033[K%s  %3.0f %%  %s of %s", escaped ? escaped : "?",
            total ? 100.0 * (double)done / (double)total : 100.0, cli_bytes(done).text,
            cli_bytes(total).text);
    free(escaped);
    fflush(stderr);
}

void cli_progress_end(void) {
    if (shown)
        fputs("\r\033[K", stderr);
    shown = false;
}
