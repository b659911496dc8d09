/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Protected arrays of requests: in a snapshot each of their elements is a row that says what was
 * outstanding, and at a restart the receives among them begin again.
 */
#ifndef WC_RUNTIME_REQUESTS_H
#define WC_RUNTIME_REQUESTS_H

#include "../state/staging.h"

/* The hook of the layer: marks the receives that are protected, returns how many other requests are. */
uint64_t wc_requests_keep(void);

/* The save callback of a region of requests; the copy that is saved knows where they are. */
int wc_requests_save(void *user, wavecut_sink *sink);

/* Can what the staged `copy` of such a region says be made again here? Changes nothing. Errors: MISMATCH,
 * ORDER. */
wc_status wc_requests_check(const wc_region *copy, wc_error *error);

/* All of them, checked: receives begin in the order of their posting, the rest become null. */
void wc_requests_post(void);

#endif
