/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the snapshot that a run begins from, R.chosen, has for this rank. It is read once and checked meanwhile: in wavecut_init,
 * into the memory that the first record needs anyway, and copied from there in wavecut_restore, when all ranks have theirs.
 * There are two exceptions:
 *   - It is more than WAVECUT_STAGING_MB allows. Then it is only checked in wavecut_init, and read again in wavecut_restore, what
 *     doesn't fit straight into the program's arrays.
 *   - The snapshot is of another number of ranks. What this rank is to have of it is known in wavecut_restore, and read there.
 * All of these are local.
 */
#ifndef WC_RUNTIME_SAVED_H
#define WC_RUNTIME_SAVED_H

#include "../store/store.h"

#include <stdbool.h>

typedef struct wc_saved {
    bool held;            /* the state is in R.staging */
    wc_message_row *rows; /* [count] this rank's messages, in channel order */
    void **data;          /* [count] */
    size_t count;
} wc_saved;

/* Was R.chosen taken with another number of ranks? */
bool wc_saved_moves(void);

/* Makes it R.chosen, and reads or checks all that is known to be this rank's. After an error wc_saved_close is due. Errors:
 * NOT_FOUND, DAMAGED, UNSUPPORTED, IO, MEMORY. */
wc_status wc_saved_open(const char *path, wc_error *error);

/* The number of the array of that name; as many as there are, if there is none. */
size_t wc_saved_find(const char *name);

/* What an array has for this rank. On another number of ranks that is what it asks for, of a global array, and else what all ranks
 * had. */
wc_status wc_saved_row(size_t array, wc_index_row *row, wc_error *error);

/* Of what fits: all has its copy in R.staging, and was read and checked, or was checked and has no address there. Errors: IO,
 * DAMAGED, MEMORY. */
wc_status wc_saved_stage(wc_error *error);

/* Fills the arrays that have no address there, and have been checked, from the file. Errors: IO, DAMAGED, MEMORY; then arrays have
 * changed. */
wc_status wc_saved_fill_rest(wc_error *error);

/* Fills the others from there. */
void wc_saved_fill(void);

void wc_saved_close(void);

#endif
