/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From the record to the published file, in the background: nonblocking collectives on a
 * communicator of its own tell every rank the places of its extents, the writer's thread writes
 * them.
 *
 * All ranks walk the same way: where it forks, the decision is a reduction's result. Failures on
 * one rank don't stop the walk; they come out in wc_core_durable.
 */
#ifndef WC_RUNTIME_SNAPSHOT_H
#define WC_RUNTIME_SNAPSHOT_H

#include "../core/vote.h"

#include <stdbool.h>
#include <stdint.h>

/* The hooks of the layer. */
void wc_snapshot_record(void);
void wc_snapshot_all_recorded(void);
void wc_snapshot_settled(bool valid);
void wc_snapshot_finished(bool committed);

/* The program may write its memory from now on, all of it (NULL) or what is protected under a name: what the writer still
 * takes from there is copied. */
void wc_snapshot_take_back(const char *name);

/* Goes on as far as possible without waiting. */
void wc_snapshot_advance(void);
bool wc_snapshot_busy(void);

/* How far the attempt under way is, on this rank. */
typedef struct wc_snapshot_progress {
    const char *phase;             /* NULL: none is under way */
    double seconds, write_seconds; /* since it was heard of, and since the record */
    uint64_t bytes, written;       /* of the state */
} wc_snapshot_progress;

void wc_snapshot_tell(wc_snapshot_progress *progress);

/* Notes how far the protocol has come, for the times in the file. */
void wc_snapshot_watch(int64_t now);

void wc_snapshot_free(void);

#endif
