/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WC_STORE_WORKER_H
#define WC_STORE_WORKER_H

#include <pthread.h>

/* Starts one of the library's threads. All signals are blocked on it: the program's are for the program's threads. 0, or the cause. */
int wc_worker_start(pthread_t *thread, void *(*function)(void *), void *context);

/* Makes them for one that sleeps between its turns: the times of pthread_cond_timedwait are of CLOCK_MONOTONIC. */
void wc_worker_sleeps(pthread_mutex_t *mutex, pthread_cond_t *woken);

#endif
