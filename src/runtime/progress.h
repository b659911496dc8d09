/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What rank 0 tells of the run while it goes on, in DIR/progress.json (store/progress.h). The program's thread notes what there is
 * to tell, without waiting for anything; a thread that calls no MPI writes it, once in a second at most. A file system that
 * hangs, or takes no files, hinders nobody.
 */
#ifndef WC_RUNTIME_PROGRESS_H
#define WC_RUNTIME_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

/* On rank 0; elsewhere nothing is done. */
void wc_progress_start(void);

/* Now and then, from the program's thread. */
void wc_progress_tick(int64_t now);

/* An attempt came to nothing. */
void wc_progress_given_up(const char *reason);

/* The last word, which is waited for. finished: wavecut_finalize was called. */
void wc_progress_stop(bool finished);

#endif
