/* SPDX-License-Identifier: BSD-3-Clause */
/* What rank 0 tells of a running job (store/progress.h), understood. */
#ifndef WC_CLI_PROGRESSREAD_H
#define WC_CLI_PROGRESSREAD_H

#include "store/store.h"

#include <stdbool.h>

enum { PROGRESS_REASONS = 4 };

/* Times are seconds since the epoch; 0: not so. Texts may hold anything. */
typedef struct progress {
    char state[16]; /* "running", "finished", "ended" */
    char host[WC_HOST_BYTES];
    long pid; /* of rank 0 */
    int ranks;
    uint64_t run_id;
    double started, time, heard; /* the process; the file; when the program came by last */
    uint64_t step, first_step;   /* safe points, in all and before a restart */
    uint64_t restarted_from;     /* snapshot; 0: none */
    double next;                 /* snapshot, by time */
    double interval_s;           /* between snapshots by time */
    char interval_reason[320];   /* why, where the job has chosen it */

    bool attempt; /* is a snapshot under way? */
    char phase[40];
    double phase_s, write_s; /* since it was asked for; since it is being written */
    uint64_t bytes, written; /* of rank 0's state */

    uint64_t last_snapshot; /* 0: none */
    double last_time, commit_s, stall_s;
    uint64_t committed, voided, failed;
    int reasons;
    struct {
        double seconds_ago; /* at `time` */
        char text[256];
    } given_up[PROGRESS_REASONS];
} progress;

/* Errors: NOT_FOUND (no job has told anything in DIR), IO, DAMAGED, MEMORY. */
wc_status progress_read(const char *dir, progress *p, wc_error *error);

/* The same of a text. Errors: DAMAGED. */
wc_status progress_understand(const char *text, progress *p, wc_error *error);

#endif
