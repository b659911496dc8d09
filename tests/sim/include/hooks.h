/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Included before everything else where src/core and src/mpi are compiled for the simulation: time,
 * memory and waiting are the simulation's, and so are its variables.
 */
#ifndef SIM_HOOKS_H
#define SIM_HOOKS_H

#define malloc sim_malloc
#define calloc sim_calloc
#define realloc sim_realloc
#define free sim_free
#define clock_gettime sim_clock_gettime
#define sched_yield sim_sched_yield
#define __builtin_ia32_rdtsc sim_ticks

unsigned long sim_ticks(void);

#include "process.h"

#endif
