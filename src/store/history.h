/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DIR/history: when this directory's job was started, and how it ended, to learn how often it fails. Text, a line for each:
 *
 *     start 2026-11-26T11:48:17Z
 *     lost 2026-11-26T12:40:02Z      was last seen alive; written by the next start
 *     stop 2026-11-26T13:48:00Z      ended in good order: it has finished, or its time was over
 *
 * A job that runs touches the file now and then: its time of modification is when it was last seen.
 */
#ifndef WC_STORE_HISTORY_H
#define WC_STORE_HISTORY_H

#include "error.h"

#include <stdint.h>

typedef struct wc_history {
    double up_s; /* that the job has run in all */
    uint64_t failures;
} wc_history;

/* Sums up what was, and writes that a job starts. Errors: IO; what was is not known then. */
wc_status wc_history_start(const char *dir, wc_history *before, wc_error *error);

/* The job is alive. What goes wrong is of no concern. */
void wc_history_seen(const char *dir);

/* The job ends in good order, which is no failure. Nothing, if there is no history. Errors: IO. */
wc_status wc_history_stop(const char *dir, wc_error *error);

#endif
