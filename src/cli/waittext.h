/* SPDX-License-Identifier: BSD-3-Clause */
/* What wait_ask has found, in words and as JSON. */
#ifndef WC_CLI_WAITTEXT_H
#define WC_CLI_WAITTEXT_H

#include "output.h"
#include "waitgraph.h"

/* All of it, with what follows from it. */
typedef struct wait_report {
    wait_job *job;
    size_t stuck;
    wait_core *cores;
    size_t core_count;
    wait_miss *misses;
    size_t miss_count;
    wait_mismatch mismatch;
    bool mismatched;
    int *deciders;
    size_t decider_count;
} wait_report;

wait_report wait_report_new(wait_job *job);
void wait_report_free(wait_report *report);

void wait_report_print(const wait_report *report);
json_t *wait_report_json(const wait_report *report, const char *dir);

#endif
