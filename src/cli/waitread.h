/* SPDX-License-Identifier: BSD-3-Clause */
/* Asks the ranks of a watched job, and makes one job of what they say. */
#ifndef WC_CLI_WAITREAD_H
#define WC_CLI_WAITREAD_H

#include "store/error.h"
#include "waitgraph.h"

#include <jansson.h>

/*
 * Asks twice, and waits for at most `timeout_s` each time. Errors: NOT_FOUND (no watched job there, or no rank
 * answers), DAMAGED (an answer makes no sense), IO, MEMORY. *job is the caller's to free with wait_job_free.
 */
wc_status wait_ask(const char *dir, double timeout_s, wait_job *job, wc_error *error);

/*
 * The job as its ranks have answered, one JSON object each, first and second time; NULL: that rank has not. Errors:
 * DAMAGED.
 */
wc_status wait_understand(int ranks, json_t *const *first, json_t *const *second, wait_job *job,
                          wc_error *error);

void wait_job_free(wait_job *job);

#endif
