/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How long to wait between snapshots, from what one costs and how often the job fails. Pure: no MPI, no
 * clock.
 *
 * A run that takes a snapshot after each `t` seconds of work loses their cost C, and with each failure the
 * work since the last durable one. With failures at random (exponential, mean M) the run time of W seconds
 * of work is, by J. T. Daly's complete model (A higher order estimate of the optimum checkpoint interval for
 * restart dumps, Future Generation Computer Systems 22 (2006) 303-312, equation 20):
 *
 *     M e^(R/M) (e^((t + C)/M) - 1) W/t
 *
 * R, the time that a restart takes, is a factor in it: it makes failures dearer, and has no part in the best t.
 * That one solves e^((t + C)/M) (1 - t/M) = 1, which Daly's equation 37 does in good approximation
 * (wc_interval_daly).
 *
 * Here the program goes on while a snapshot is written, so two times are to be told apart (N. H. Vaidya, Impact
 * of checkpoint latency on overhead ratio of a checkpointing scheme, IEEE Transactions on Computers 46 (1997)
 * 942-947): C, the overhead, is what the program loses: the stall, and what the writer slows it down. L, the
 * latency, is what passes until the snapshot is durable: a failure in that time falls back to the one before, so
 * each failure costs L - C more, whatever t is. That is a factor e^((L - C)/M) in the above, and like R it
 * has no part in the best t; L only is the least time from one snapshot to the next.
 */
#ifndef WC_RUNTIME_INTERVAL_H
#define WC_RUNTIME_INTERVAL_H

#include <stdint.h>

/*
 * Seconds of work between two snapshots that make the run shortest, by Daly's equation 37:
 * sqrt(2CM) (1 + sqrt(C/2M)/3 + (C/2M)/9) - C, and M if C >= 2M.
 *   cost_s  in  C, more than 0
 *   mtbf_s  in  M, more than 0
 */
double wc_interval_daly(double cost_s, double mtbf_s);

/* What an interval is chosen by. Seconds. */
typedef struct wc_interval_basis {
    double cost_s;
    double latency_s; /* 0: not known yet */
    double mtbf_s;
    double
        overhead_percent; /* of the run time, at most, instead of what the MTBF makes best; 0: no */
} wc_interval_basis;

/* Seconds from one request to the next. */
double wc_interval_choose(const wc_interval_basis *basis);

/*
 * The mean time between failures of a job that was up for `up_s` seconds in all and has failed so often: the likeliest
 * one, up_s / failures. Before the first failure WC_INTERVAL_MTBF_S is assumed, or `up_s` if that is longer.
 */
#define WC_INTERVAL_MTBF_S 86400.0
double wc_interval_mtbf(double up_s, uint64_t failures);

#endif
