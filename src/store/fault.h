/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Named faults, for tests: WAVECUT_FAULT="name[@rank][#n],…". They exist only in builds with WC_FAULTS;
 * any other build refuses the variable.
 *
 * Points kill the process there (SIGKILL), the n-th time it comes by. Switches break one rule of the protocol; slow_writer
 * only takes time.
 */
#ifndef WC_STORE_FAULT_H
#define WC_STORE_FAULT_H

#include "error.h"

#include <stdbool.h>

#define WC_FAULT_LIST(X)                                                                           \
    X(after_request)                                                                               \
    X(after_arm)                                                                                   \
    X(before_record)                                                                               \
    X(after_record)                                                                                \
    X(all_recorded)                                                                                \
    X(after_counts)                                                                                \
    X(after_create)                                                                                \
    X(after_places)                                                                                \
    X(after_extent)                                                                                \
    X(in_close)                                                                                    \
    X(after_channels)                                                                              \
    X(before_sync)                                                                                 \
    X(after_sync)                                                                                  \
    X(before_vote)                                                                                 \
    X(after_vote)                                                                                  \
    X(before_complete)                                                                             \
    X(before_trailer)                                                                              \
    X(after_trailer)                                                                               \
    X(before_rename)                                                                               \
    X(after_rename)                                                                                \
    X(after_publish)                                                                               \
    X(before_prune)                                                                                \
    X(in_prune)                                                                                    \
    X(after_prune)                                                                                 \
    X(before_mark)                                                                                 \
    X(in_mark)                                                                                     \
    X(after_mark)                                                                                  \
    X(stash_not_recorded)                                                                          \
    X(marker_not_awaited)                                                                          \
    X(receives_not_taken_back)                                                                     \
    X(handover_order)                                                                              \
    X(counts_not_carried)                                                                          \
    X(requests_allowed)                                                                            \
    X(slow_writer)                                                                                 \
    X(late_copy_left_out)

/* Is WAVECUT_FAULT unset, or made of known names in a build that has them? Errors: SETTING. */
wc_status wc_fault_check(wc_error *error);

#ifdef WC_FAULTS

/* Reads WAVECUT_FAULT for this rank. The HDF5 module has its own state: wc_store_load passes the
 * rank on. */
void wc_fault_setup(int rank);
int wc_fault_rank(void);
bool wc_fault_on(const char *name);
void wc_fault_point(const char *name);
#define WC_FAULT(name) wc_fault_point(name)

#else

static inline void wc_fault_setup(int rank) {
    (void)rank;
}

static inline bool wc_fault_on(const char *name) {
    (void)name;
    return false;
}

#define WC_FAULT(name) ((void)0)

#endif

#endif
