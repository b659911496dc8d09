/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Settings: one table in table.c lists them, with what they take, their defaults and what they mean.
 * They come from the environment, else from the settings file, else from the table. No MPI: rank 0 of
 * a job reads them and gives them to all ranks, `wavecut settings` prints them.
 */
#ifndef WC_SETTINGS_SETTINGS_H
#define WC_SETTINGS_SETTINGS_H

#include "../store/conf.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum wc_restart { WC_RESTART_AUTO, WC_RESTART_NEVER, WC_RESTART_FILE } wc_restart;

/* Seconds between snapshots that the job chooses itself. */
#define WC_INTERVAL_AUTO (-1.0)

typedef struct wc_settings {
    char dir[PATH_MAX];
    double interval_s;       /* 0: no snapshots by time; WC_INTERVAL_AUTO */
    double mtbf_s;           /* mean time between failures of the job; 0: estimated */
    double overhead_percent; /* of the run time, that snapshots may take; 0: what costs least */
    int64_t keep;            /* snapshots; 0: all */
    wc_restart restart;
    char restart_file[PATH_MAX];
    int signal;         /* asks for a snapshot; 0: none */
    int log;            /* wc_log_level */
    int64_t staging_mb; /* 0: no limit */
    int64_t stripe_kb;  /* large arrays begin at a multiple in the file; 0: at a page */
    int64_t write_mb_s; /* MiB per second that a rank writes at most; 0: no limit */
    double timeout_s;   /* a cut that can't be completed for so long is void */
    int64_t voids;      /* in a row before a request is given up */
    int64_t trace;      /* events that are kept on each rank; 0: none */
} wc_settings;

/* The later ones come first. */
typedef enum wc_setting_source {
    WC_FROM_DEFAULT,
    WC_FROM_FILE,
    WC_FROM_ENVIRONMENT,
    WC_FROM_CALLER
} wc_setting_source;

/* A row of the table. */
typedef struct wc_setting {
    const char *name;  /* in the file: "keep"; in the environment: WAVECUT_KEEP */
    const char *value; /* by default */
    const struct wc_setting_kind *kind;
    size_t field; /* of wc_settings */
    const char *meaning;
} wc_setting;

/* Type and range: "a whole number, 0 or more". */
const char *wc_setting_takes(const wc_setting *setting);

/* Can't it stand in the file? */
bool wc_setting_only_environment(const wc_setting *setting);

#define WC_SETTING_PREFIX "WAVECUT_"

enum { WC_SETTING_NAME_BYTES = 64, WC_SETTING_NOTES = 4 };

/* The variable of a setting: "WAVECUT_KEEP". */
void wc_setting_variable(const wc_setting *setting, char name[WC_SETTING_NAME_BYTES]);

/* All of them, in the order of the README. */
const wc_setting *wc_settings_table(size_t *count);

/* What is in force, and where it came from. */
typedef struct wc_settings_found {
    wc_settings values;
    struct {
        char text[PATH_MAX];
        wc_setting_source source;
        unsigned line;   /* of the file */
    } * texts;           /* one for each row of the table; malloc'd */
    char file[PATH_MAX]; /* the settings file; "" if there is none */
    size_t notes;        /* what is odd, but no error */
    char note[WC_SETTING_NOTES][256];
} wc_settings_found;

/*
 * Reads environment and file. The file is the one that WAVECUT_CONFIG names, else wavecut.conf in the
 * directory of the snapshots, if it is there and may be trusted.
 *   dir    in   that directory, whatever WAVECUT_DIR says; NULL: what it says
 *   parse  in   wc_conf_parse, however the caller gets hold of it; called if there is a file
 *   found  out  for wc_settings_found_free, also after an error
 * Errors: SETTING, with the variable, or the file and its line, the value, what it takes, and for a
 * name that does not exist the one that may be meant; those of `parse`; MEMORY.
 */
wc_status wc_settings_read(const char *dir, wc_conf_parser *parse, wc_settings_found *found,
                           wc_error *error);
void wc_settings_found_free(wc_settings_found *found);

#endif
