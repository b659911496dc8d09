/* SPDX-License-Identifier: BSD-3-Clause */
/* Which snapshot a run begins from. All collective over R.comm: all ranks take the same one. */
#ifndef WC_RUNTIME_CHOOSE_H
#define WC_RUNTIME_CHOOSE_H

#include "../store/error.h"

/*
 * Chooses by R.settings.restart, verifies what each rank would read (saved.h), and falls back to the snapshot before. Sets R.chosen
 * (NULL: fresh start), R.run_id, R.parent_id and R.next_id. What can only be told by wavecut_restore goes to R.choice.
 * Errors: FINISHED, IO.
 */
wc_status wc_choose(wc_error *error);

/* R.chosen is of no use, says `error`: falls back to the one before. Errors: there is none; the text says so. */
wc_status wc_choose_another(wc_error *error);

/* Nothing is to be chosen any more; closes R.chosen. Local. */
void wc_choose_end(void);

#endif
