/* SPDX-License-Identifier: BSD-3-Clause */
#include "settings.h"

#include "../mpi/signal.h"
#include "waits.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const levels[] = {"quiet", "error", "info", "debug"}; /* as in wc_log_level */

typedef enum wc_setting_kind {
    KIND_PATH,
    KIND_SECONDS,
    KIND_NUMBER,
    KIND_SIGNAL,
    KIND_LOG,
    KIND_RESTART
} wc_setting_kind;

typedef struct wc_setting {
    const char *name, *value, *takes; /* value: by default */
    wc_setting_kind kind;
    size_t field;
    int64_t least;
} wc_setting;

static const wc_setting table[] = {
    {"WAVECUT_DIR", "wavecut-ckpt", "a directory", KIND_PATH, offsetof(wc_settings, dir), 0},
    {"WAVECUT_INTERVAL", "0", "seconds between snapshots, 0 for none", KIND_SECONDS,
     offsetof(wc_settings, interval_s), 0},
    {"WAVECUT_KEEP", "2", "how many snapshots to keep, 0 for all", KIND_NUMBER,
     offsetof(wc_settings, keep), 0},
    {"WAVECUT_RESTART", "auto", "auto, never or a snapshot's file", KIND_RESTART, 0, 0},
    {"WAVECUT_SIGNAL", "USR1", "USR1, USR2 or none", KIND_SIGNAL, offsetof(wc_settings, signal), 0},
    {"WAVECUT_LOG", "error", "quiet, error, info or debug", KIND_LOG, offsetof(wc_settings, log),
     0},
    {"WAVECUT_STAGING_MB", "0", "MiB for the copy of the state on each rank, 0 for no limit",
     KIND_NUMBER, offsetof(wc_settings, staging_mb), 0},
    {"WAVECUT_STRIPE_KB", "0", "KiB of a stripe of the file system, 0 for none", KIND_NUMBER,
     offsetof(wc_settings, stripe_kb), 0},
    {"WAVECUT_WRITE_MB_S", "0", "MiB per second that each rank writes at most, 0 for no limit",
     KIND_NUMBER, offsetof(wc_settings, write_mb_s), 0},
    {"WAVECUT_TIMEOUT", "30", "seconds after which a snapshot that can't be completed is given up",
     KIND_SECONDS, offsetof(wc_settings, timeout_s), 0},
    {"WAVECUT_VOIDS", "3", "attempts before a request is given up, at least 1", KIND_NUMBER,
     offsetof(wc_settings, voids), 1},
};

/* Read elsewhere: by store/ and waits.c. */
static const char *const others[] = {"WAVECUT_STORE_MODULE", "WAVECUT_FAULT", WC_WAITS_SETTING};

static bool parse_number(const char *text, int64_t least, int64_t *value) {
    char *end;
    long long n = strtoll(text, &end, 10);
    if (end == text || *end || n < least || n > INT_MAX)
        return false;
    *value = n;
    return true;
}

static bool parse_seconds(const char *text, double *value) {
    char *end;
    double s = strtod(text, &end);
    if (end == text || *end || !isfinite(s) || s < 0 || s > 1e9)
        return false;
    *value = s;
    return true;
}

static bool parse_level(const char *text, int *value) {
    for (int i = 0; i < (int)(sizeof levels / sizeof *levels); i++)
        if (strcmp(levels[i], text) == 0) {
            *value = i;
            return true;
        }
    return false;
}

static bool parse_path(const char *text, char path[PATH_MAX]) {
    size_t length = strlen(text);
    if (length == 0 || length >= PATH_MAX)
        return false;
    memcpy(path, text, length + 1);
    return true;
}

static bool parse_restart(const char *text, wc_settings *settings) {
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

static bool parse(const wc_setting *s, const char *text, wc_settings *settings) {
    char *field = (char *)settings + s->field;
    switch (s->kind) {
    case KIND_PATH:
        return parse_path(text, field);
    case KIND_SECONDS:
        return parse_seconds(text, (double *)(void *)field);
    case KIND_NUMBER:
        return parse_number(text, s->least, (int64_t *)(void *)field);
    case KIND_SIGNAL:
        return wc_signal_by_name(text, (int *)(void *)field);
    case KIND_LOG:
        return parse_level(text, (int *)(void *)field);
    default:
        return parse_restart(text, settings);
    }
}

enum { SETTINGS = sizeof table / sizeof *table };

static bool is_known(const char *name, size_t length) {
    for (size_t i = 0; i < SETTINGS; i++)
        if (strlen(table[i].name) == length && strncmp(table[i].name, name, length) == 0)
            return true;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strlen(others[i]) == length && strncmp(others[i], name, length) == 0)
            return true;
    return false;
}

/* A misspelt setting that is passed over would leave a job without checkpoints. */
static wc_status check_names(wc_error *error) {
    extern char **environ;
    for (char **e = environ; e && *e; e++) { /* NULL after clearenv() */
        size_t length = strcspn(*e, "=");
        if (strncmp(*e, "WAVECUT_", 8) != 0 || is_known(*e, length))
            continue;
        char known[256] = "";
        for (size_t i = 0; i < SETTINGS; i++) {
            strcat(known, i ? " " : "");
            strcat(known, table[i].name + strlen("WAVECUT_"));
        }
        return wc_error_set(error, WC_ERR_SETTING,
                            "%.*s is not a setting; WAVECUT_ settings are: %s", (int)length, *e,
                            known);
    }
    return WC_OK;
}

wc_status wc_settings_read(wc_settings *settings, wc_error *error) {
    for (size_t i = 0; i < SETTINGS; i++) {
        const char *text = getenv(table[i].name);
        if (!parse(&table[i], text ? text : table[i].value, settings))
            return wc_error_set(error, WC_ERR_SETTING, "%s=\"%s\" is wrong: it takes %s",
                                table[i].name, text, table[i].takes);
    }
    return check_names(error);
}
