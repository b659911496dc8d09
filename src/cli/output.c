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

/* ---- long JSON ---- */

enum { DEPTH = 8 };

static struct {
    char close[DEPTH];
    bool begun[DEPTH]; /* has it members or elements? */
    int depth;
} json;

static void next_line(const char *key) {
    if (json.depth)
        fputs(json.begun[json.depth - 1] ? ",\n" : "\n", stdout);
    if (json.depth)
        json.begun[json.depth - 1] = true;
    printf("%*s", 2 * json.depth, "");
    if (key)
        printf("\"%s\": ", key);
}

void cli_json_begin(const char *key, char bracket) {
    next_line(key);
    putchar(bracket);
    json.close[json.depth] = bracket == '{' ? '}' : ']';
    json.begun[json.depth++] = false;
}

void cli_json_put(const char *key, json_t *value) {
    next_line(key);
    json_dumpf(value, stdout, JSON_ENSURE_ASCII | JSON_ENCODE_ANY);
    json_decref(value);
}

void cli_json_end(void) {
    json.depth--;
    if (json.begun[json.depth])
        printf("\n%*s", 2 * json.depth, "");
    putchar(json.close[json.depth]);
    if (!json.depth)
        putchar('\n');
}

/* ---- progress ---- */

static struct {
    const char *what;
    uint64_t done, total;
    struct timespec start;
    double last; /* seconds after the start when it was shown; negative: not yet */
} progress;

enum { FIRST_MS = 200, EACH_MS = 100, BAR = 20 };

static double seconds_since(const struct timespec *then) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - then->tv_sec) + 1e-9 * (double)(now.tv_nsec - then->tv_nsec);
}

void cli_progress_begin(const char *what, uint64_t total) {
    progress.what = what;
    progress.done = 0;
    progress.total = total;
    progress.last = -1;
    clock_gettime(CLOCK_MONOTONIC, &progress.start);
}

/* "name  [=====     ]  25 %  1.2 of 4.8 GiB  600 MiB/s  6 s left" */
static void show_progress(double seconds) {
    double share = progress.total ? (double)progress.done / (double)progress.total : 1;
    double rate = (double)progress.done / seconds;
    char bar[BAR + 1], *what = cli_escape(progress.what);
    share = share < 1 ? share : 1;
    for (int i = 0; i < BAR; i++)
        bar[i] = i < (int)(share * BAR) ? '=' : ' ';
    bar[BAR] = '\0';
    fprintf(stderr, "\r\033[K%s  [%s] %3.0f %%  %s of %s  %s/s", what ? what : "?", bar,
            100 * share, cli_bytes(progress.done).text, cli_bytes(progress.total).text,
            cli_bytes((uint64_t)rate).text);
    if (progress.done && progress.done < progress.total)
        fprintf(stderr, "  %s left",
                cli_duration((double)(progress.total - progress.done) / rate).text);
    free(what);
    fflush(stderr);
}

void cli_progress_add(void *unused, uint64_t bytes) {
    (void)unused;
    progress.done += bytes;
    if (!isatty(STDERR_FILENO))
        return;
    double seconds = seconds_since(&progress.start);
    if (seconds < FIRST_MS * 1e-3 || seconds < progress.last + EACH_MS * 1e-3)
        return;
    progress.last = seconds;
    show_progress(seconds);
}

void cli_progress_end(void) {
    if (progress.last >= 0)
        fputs("\r\033[K", stderr);
    progress.last = -1;
}
