/* SPDX-License-Identifier: BSD-3-Clause */
#include "table.h"

#include <ctype.h>
#include <math.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* ---- what settings take ---- */

typedef struct wc_setting_kind {
    const char *takes;
    bool (*parse)(const char *text, void *field); /* NULL: read by the part that needs it */
    bool only_environment;
} wc_setting_kind;

static bool parse_seconds(const char *text, void *field) {
    char *end;
    double s = strtod(text, &end);
    if (end == text || *end || !isfinite(s) || s < 0 || s > 1e9)
        return false;
    *(double *)field = s;
    return true;
}

static bool parse_interval(const char *text, void *field) {
    if (strcmp(text, "auto") != 0)
        return parse_seconds(text, field);
    *(double *)field = WC_INTERVAL_AUTO;
    return true;
}

static bool parse_mtbf(const char *text, void *field) {
    double s = 0;
    if (strcmp(text, "auto") != 0 && (!parse_seconds(text, &s) || s == 0))
        return false;
    *(double *)field = s;
    return true;
}

static bool parse_percent(const char *text, void *field) {
    double percent;
    if (!parse_seconds(text, &percent) || percent > 50)
        return false;
    *(double *)field = percent;
    return true;
}

static bool parse_count_from(const char *text, long long least, int64_t *field) {
    char *end;
    long long n = strtoll(text, &end, 10);
    if (end == text || *end || n < least || n > INT_MAX)
        return false;
    *field = n;
    return true;
}

static bool parse_count(const char *text, void *field) {
    return parse_count_from(text, 0, field);
}

static bool parse_count_from_1(const char *text, void *field) {
    return parse_count_from(text, 1, field);
}

static bool parse_path(const char *text, void *field) {
    size_t length = strlen(text);
    if (length == 0 || length >= PATH_MAX)
        return false;
    memcpy(field, text, length + 1);
    return true;
}

static bool parse_signal(const char *text, void *field) {
    bool usr1 = strcmp(text, "USR1") == 0, usr2 = strcmp(text, "USR2") == 0;
    if (!usr1 && !usr2 && strcmp(text, "none") != 0)
        return false;
    *(int *)field = usr1 ? SIGUSR1 : usr2 ? SIGUSR2 : 0;
    return true;
}

static bool parse_log(const char *text, void *field) {
    static const char *const levels[] = {"quiet", "error", "info", "debug"}; /* as wc_log_level */
    for (int i = 0; i < (int)(sizeof levels / sizeof *levels); i++)
        if (strcmp(levels[i], text) == 0) {
            *(int *)field = i;
            return true;
        }
    return false;
}

static bool parse_restart(const char *text, void *field) {
    wc_settings *settings = field;
    if (strcmp(text, "auto") == 0)
        settings->restart = WC_RESTART_AUTO;
    else if (strcmp(text, "never") == 0)
        settings->restart = WC_RESTART_NEVER;
    else if (strchr(text, '/') || strstr(text, ".h5"))
        settings->restart = WC_RESTART_FILE;
    else
        return false;
    return parse_path(text, settings->restart_file);
}

static const wc_setting_kind
    SECONDS = {"seconds, 0 or more", parse_seconds, false},
    INTERVAL = {"seconds, 0 or more, or auto", parse_interval, false},
    MTBF = {"seconds, more than 0, or auto", parse_mtbf, false},
    PERCENT = {"a percentage, 0 to 50", parse_percent, false},
    COUNT = {"a whole number, 0 or more", parse_count, false},
    COUNT_FROM_1 = {"a whole number, 1 or more", parse_count_from_1, false},
    SIGNAL = {"USR1, USR2 or none", parse_signal, false},
    LOG = {"quiet, error, info or debug", parse_log, false},
    /* The file is found by the first of them, the commands look there, and the second one is about this start only. */
    DIRECTORY = {"a directory", parse_path, true},
    RESTART = {"auto, never or a snapshot's file", parse_restart, true},
    EARLY_DIRECTORY = {"a directory", NULL, true}, EARLY_FILE = {"a file", NULL, true};

/* ---- the table ---- */

#define FIELD(name) offsetof(wc_settings, name)

/* The README has the same rows: tests/unit/settings holds them together. */
static const wc_setting table[] = {
    {"dir", "wavecut-ckpt", &DIRECTORY, FIELD(dir), "directory of this run's snapshots"},
    {"config", "", &EARLY_FILE, 0,
     "settings file; without it `wavecut.conf` in the directory of the snapshots, if it is there"},
    {"interval", "0", &INTERVAL, FIELD(interval_s),
     "time between snapshots; 0: none by time; `auto`: what costs the run least"},
    {"mtbf", "auto", &MTBF, FIELD(mtbf_s),
     "mean time between failures of the whole job, for `WAVECUT_INTERVAL=auto`; `auto`: estimated "
     "from this run's own failures"},
    {"overhead_percent", "0", &PERCENT, FIELD(overhead_percent),
     "for `WAVECUT_INTERVAL=auto`: how much of the run time snapshots may take, whatever the MTBF; "
     "0: what costs the run least"},
    {"keep", "2", &COUNT, FIELD(keep), "how many snapshots to keep; 0: all"},
    {"restart", "auto", &RESTART, 0,
     "`auto`: the newest good one, if there is one; `never`: afresh; a file: that one"},
    {"signal", "USR1", &SIGNAL, FIELD(signal), "signal that asks for a snapshot"},
    {"log", "error", &LOG, FIELD(log),
     "how much is said; `info`: each snapshot, each attempt given up"},
    {"stripe_kb", "0", &COUNT, FIELD(stripe_kb),
     "arrays of so many KiB and more begin at a multiple of it in the file: what the file system "
     "stripes by"},
    {"write_mb_s", "0", &COUNT, FIELD(write_mb_s),
     "MiB per second that each rank writes at most, for a disk that others need; 0: no limit"},
    {"staging_mb", "0", &COUNT, FIELD(staging_mb),
     "limit for the copy of the state on each rank, in MiB; 0: none. Arrays that don't fit are "
     "written to a file without a name in `WAVECUT_DIR` during the record, for which the program "
     "waits. What callbacks save must fit. A restart of state that doesn't fit reads it twice: "
     "once to check it, and then straight into the arrays"},
    {"timeout", "30", &SECONDS, FIELD(timeout_s),
     "time after which a snapshot that can't be completed is given up"},
    {"voids", "3", &COUNT_FROM_1, FIELD(voids), "attempts before a request is given up"},
    {"trace", "0", &COUNT, FIELD(trace),
     "events that each rank keeps for snapshots: the latest messages sent and received, 48 bytes "
     "each; 0: no trace"},
    {"watch", "", &EARLY_DIRECTORY, 0,
     "for `wavecut waits`; read in `MPI_Init`, with or without `wavecut_init`"},
    {"store_module", "", &EARLY_FILE, 0,
     "the part of the library that needs HDF5, if it is not in its place"},
};

enum { SETTINGS = sizeof table / sizeof *table };

const wc_setting *wc_settings_table(size_t *count) {
    *count = SETTINGS;
    return table;
}

const char *wc_setting_takes(const wc_setting *setting) {
    return setting->kind->takes;
}

bool wc_setting_only_environment(const wc_setting *setting) {
    return setting->kind->only_environment;
}

void wc_setting_variable(const wc_setting *setting, char name[WC_SETTING_NAME_BYTES]) {
    char *to = stpcpy(name, WC_SETTING_PREFIX);
    for (const char *c = setting->name; *c; c++)
        *to++ = (char)toupper((unsigned char)*c);
    *to = '\0';
}

bool wc_setting_parse(size_t index, const char *text, wc_settings *settings) {
    const wc_setting *s = &table[index];
    return !s->kind->parse || s->kind->parse(text, (char *)settings + s->field);
}

/* ---- names ---- */

int wc_setting_find(const char *name) {
    for (int i = 0; i < SETTINGS; i++)
        if (strcmp(table[i].name, name) == 0)
            return i;
    return -1;
}

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

/* Letters to insert, drop, change or exchange with their neighbour (V. I. Levenshtein 1966, F. J. Damerau 1964). */
static size_t distance(const char *a, const char *b) {
    size_t n = strlen(b), rows[3][WC_SETTING_NAME_BYTES + 1];
    size_t *before = rows[0], *last = rows[1], *now = rows[2];
    for (size_t j = 0; j <= n; j++)
        last[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        now[0] = i;
        for (size_t j = 1; j <= n; j++) {
            now[j] = least(last[j - 1] + (a[i - 1] != b[j - 1]), least(last[j], now[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = least(now[j], before[j - 2] + 1);
        }
        size_t *spare = before;
        before = last;
        last = now;
        now = spare;
    }
    return last[n];
}

/* One begins with the other: "staging" or "directory". */
static bool is_cut_short(const char *a, const char *b) {
    size_t n = least(strlen(a), strlen(b));
    return n >= 3 && strncmp(a, b, n) == 0;
}

int wc_setting_near(const char *name) {
    char plain[WC_SETTING_NAME_BYTES];
    size_t n = 0;
    if (strncasecmp(name, WC_SETTING_PREFIX, strlen(WC_SETTING_PREFIX)) == 0)
        name += strlen(WC_SETTING_PREFIX);
    for (; name[n] && n < sizeof plain - 1; n++)
        plain[n] = (char)(name[n] == '-' ? '_' : tolower((unsigned char)name[n]));
    plain[n] = '\0';
    int nearest = -1;
    size_t nearest_off = 1 + n / 4 + 1;
    for (int i = 0; i < SETTINGS; i++) {
        size_t off = is_cut_short(plain, table[i].name) ? 1 : distance(plain, table[i].name);
        if (off < nearest_off) {
            nearest_off = off;
            nearest = i;
        }
    }
    return nearest;
}
