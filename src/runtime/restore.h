/* SPDX-License-Identifier: BSD-3-Clause */
/* Which snapshot a run begins from, and how its state and messages come back. All collective over R.comm. */
#ifndef WC_RUNTIME_RESTORE_H
#define WC_RUNTIME_RESTORE_H

#include "../store/error.h"

#include <stdbool.h>

/*
 * Chooses by R.settings.restart, verifies what each rank would read, and falls back to the snapshot before. Sets R.chosen
 * (NULL: fresh start), R.run_id, R.parent_id and R.next_id. What can only be told by wavecut_restore goes to R.choice.
 * Errors: FINISHED, IO.
 */
wc_status wc_restore_choose(wc_error *error);

/*
 * Fills regions and channels from R.chosen, and closes it. After an error nothing has been changed, on any rank,
 * but by load callbacks. Errors: MISMATCH, DAMAGED, IO, MEMORY, CALLBACK.
 */
wc_status wc_restore_fill(wc_error *error);

/* Was R.chosen taken with another number of ranks? */
bool wc_restore_moves(void);

#endif
