/* SPDX-License-Identifier: BSD-3-Clause */
/* The signal that asks for a snapshot. */
#ifndef WC_MPI_SIGNAL_H
#define WC_MPI_SIGNAL_H

#include <stdbool.h>

/* From MPI_Init on, by WAVECUT_SIGNAL: one that comes before wavecut_init must not end the job. */
void wc_signal_install_early(void);

/* Takes the signal that rank 0's settings name, and lets go of another one. 0: none. */
void wc_signal_install(int signal);

/* Has it come since the last call? */
bool wc_signal_take(void);

#endif
