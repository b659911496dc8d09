/* SPDX-License-Identifier: BSD-3-Clause */
/* What becomes of attempts: told to the user, to wavecut_status_get and to the file. */
#ifndef WC_RUNTIME_REPORT_H
#define WC_RUNTIME_REPORT_H

#include "../core/vote.h"
#include "../store/store.h"

/* The head of the snapshot; its strings are static. */
void wc_report_head(wc_snapshot_head *head, uint64_t id, double time);

/* A committed attempt has got its name, or not. `took_s`: from the request to the commit. */
void wc_report_outcome(bool published, uint64_t id, uint64_t messages, double took_s);

/* A void one: "rank 3 has a request outstanding at its safe point (peer 1, tag 7)". Kept in
 * R.info.last_reason. */
void wc_report_void(const wc_vote *outcome);

#endif
