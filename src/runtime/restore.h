/* SPDX-License-Identifier: BSD-3-Clause */
/* How the state and the messages of the chosen snapshot come back. */
#ifndef WC_RUNTIME_RESTORE_H
#define WC_RUNTIME_RESTORE_H

#include "../store/error.h"

/*
 * Fills regions and channels from R.chosen, or from one before it if that can't be read after all, and closes it. Collective over
 * R.comm. After an error nothing has been changed, on any rank, but by load callbacks, and arrays beyond WAVECUT_STAGING_MB where
 * they were whole in wavecut_init and not here. Errors: MISMATCH, DAMAGED, IO, MEMORY, CALLBACK.
 */
wc_status wc_restore_fill(wc_error *error);

#endif
