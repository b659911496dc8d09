/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What snapshots cost the program, measured. No MPI, no clock: times are handed in, in ns.
 *
 * A program loses what a snapshot makes its steps longer (from safe point to safe point): the stall, what the writer takes
 * of processor, memory and network, and what the library does while an attempt is under way. So the steps from before the
 * request to after the commit are compared with those of the quiet time before. Whole steps, since a step may be longer
 * than a snapshot takes. As long as the program doesn't pass safe points only the stall is known.
 */
#ifndef WC_RUNTIME_COST_H
#define WC_RUNTIME_COST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WC_COST_SAMPLES = 16 }; /* the last ones count */

typedef enum wc_cost_phase {
    WC_COST_START,  /* until the step changes: a quiet time begins */
    WC_COST_QUIET,  /* no snapshot under way */
    WC_COST_BUSY,   /* one is under way */
    WC_COST_ENDING, /* it is committed, and the step not over yet */
} wc_cost_phase;

typedef struct wc_cost_mark {
    int64_t step, at;
} wc_cost_mark;

typedef struct wc_cost {
    wc_cost_phase phase;
    wc_cost_mark seen;   /* when the last step began, as far as is known */
    wc_cost_mark quiet;  /* where the quiet time began */
    wc_cost_mark before; /* the last step before the snapshot */
    double step_s;       /* a step of the quiet time */
    double stall_s[WC_COST_SAMPLES], lost_s[WC_COST_SAMPLES], latency_s[WC_COST_SAMPLES];
    size_t count;
} wc_cost;

/* Now and then, with the number of the step and whether a snapshot is under way. True: what the last one cost is known
 * now. */
bool wc_cost_look(wc_cost *cost, int64_t step, bool busy, int64_t now);

/* A snapshot is committed: the longest stall of a rank, and the time since the request. */
void wc_cost_committed(wc_cost *cost, double stall_s, double latency_s);

/* Means of the last ones, in seconds; 0 before the first. */
typedef struct wc_cost_means {
    double stall_s, latency_s;
    double lost_s,
        lost_error_s; /* what steps took more; the standard error of that, infinite before the second one */
} wc_cost_means;

wc_cost_means wc_cost_mean(const wc_cost *cost);

#endif
