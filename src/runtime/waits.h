/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Watched programs: WAVECUT_WATCH=DIR. A thread of its own on each rank, which calls no MPI, looks for
 * the question of `wavecut waits` and answers it with what mpi/watch.h tells. It starts in MPI_Init, so
 * programs need not know of Wavecut.
 */
#ifndef WC_RUNTIME_WAITS_H
#define WC_RUNTIME_WAITS_H

#define WC_WAITS_SETTING "WAVECUT_WATCH"

#endif
