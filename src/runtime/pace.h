/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How often rank 0 asks for a snapshot: as WAVECUT_INTERVAL says, or with `auto` as interval.h has it for what snapshots
 * have cost so far (cost.h) and how often this job has failed (store/history.h), anew after each snapshot.
 */
#ifndef WC_RUNTIME_PACE_H
#define WC_RUNTIME_PACE_H

#include <stdbool.h>
#include <stdint.h>

/* The run begins. Rank 0. */
void wc_pace_start(int64_t now);

/* Now and then. Rank 0. */
void wc_pace_tick(int64_t now);

/* A snapshot is committed: the longest stall of a rank, and the time since the request, in seconds. Rank 0. */
void wc_pace_committed(double stall_s, double latency_s);

/* The run ends in good order. Rank 0. */
void wc_pace_stop(void);

/* What is in force on rank 0, and why. */
typedef struct wc_pace {
    double interval_s; /* from one request to the next; 0: none by time */
    bool automatic;    /* chosen by what follows */
    double cost_s, stall_s,
        latency_s; /* of a snapshot; the stall and the latency are 0 before the first */
    double mtbf_s, up_s;
    bool mtbf_given;   /* WAVECUT_MTBF */
    uint64_t failures; /* of this job so far */
} wc_pace;

const wc_pace *wc_pace_now(void);

enum { WC_PACE_REASON_BYTES = 320 };

/* The choice in words: "every 12 s: one costs 0.1 s, ...". "" if there was none. */
const char *wc_pace_reason(void);

#endif
