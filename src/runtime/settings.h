/* SPDX-License-Identifier: BSD-3-Clause */
/* Settings: read on rank 0 from the environment, in force on all ranks. One table in settings.c
 * lists them. */
#ifndef WC_RUNTIME_SETTINGS_H
#define WC_RUNTIME_SETTINGS_H

#include "../store/error.h"

#include <limits.h>
#include <stdint.h>

typedef enum wc_restart { WC_RESTART_AUTO, WC_RESTART_NEVER, WC_RESTART_FILE } wc_restart;

typedef struct wc_settings {
    char dir[PATH_MAX];
    double interval_s; /* 0: no snapshots by time */
    int64_t keep;      /* snapshots; 0: all */
    wc_restart restart;
    char restart_file[PATH_MAX];
    int signal;         /* asks for a snapshot; 0: none */
    int log;            /* wc_log_level */
    int64_t staging_mb; /* 0: no limit */
    int64_t stripe_kb;  /* large arrays begin at a multiple in the file; 0: at a page */
    int64_t write_mb_s; /* MiB per second that a rank writes at most; 0: no limit */
    double timeout_s;   /* a cut that can't be completed for so long is void */
    int64_t voids;      /* in a row before a request is given up */
} wc_settings;

/* Reads the environment. Errors: SETTING, with the variable's name, its value and what it takes. */
wc_status wc_settings_read(wc_settings *settings, wc_error *error);

#endif
