/* SPDX-License-Identifier: BSD-3-Clause */
/* How far the job of a directory has come, as the directory tells: for `wavecut run`. */
#ifndef WC_CLI_RUNSTATE_H
#define WC_CLI_RUNSTATE_H

#include "store/store.h"

typedef struct run_state {
    uint64_t id;       /* of the newest snapshot that can be read; 0: none */
    uint64_t step;     /* safe points that its ranks have passed, the most */
    double time;       /* when it was taken, seconds since the epoch */
    char file[64];     /* its name */
    uint64_t furthest; /* safe points that rank 0 has told of, of snapshots or not */
} run_state;

/*
 * Reads the heads of the newest snapshots until one is whole, and says which ones are not, and why. Their data are not read: the
 * job does that, on all ranks. Those with numbers up to `above` are of an earlier run. `before`: as for run_state_step. Errors:
 * NOT_FOUND (the directory), IO, MEMORY.
 */
wc_status run_state_read(const char *dir, uint64_t above, double before, run_state *state,
                         wc_error *error);

/* Which process has told last how it gets on: when it was started; 0: none has. */
double run_state_teller(const char *dir);

/* Safe points that rank 0 has told of, if it is another process than the one `before`; else 0. */
uint64_t run_state_step(const char *dir, double before);

/* The number of the newest snapshot, whole or not; 0: none. */
uint64_t run_state_newest(const char *dir);

/* Has it come further? */
bool run_state_is_beyond(const run_state *now, const run_state *before);

#endif
