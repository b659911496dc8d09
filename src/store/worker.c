/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker.h"

#include <signal.h>
#include <time.h>

int wc_worker_start(pthread_t *thread, void *(*function)(void *), void *context) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    int cause = pthread_create(thread, NULL, function, context);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return cause;
}

void wc_worker_sleeps(pthread_mutex_t *mutex, pthread_cond_t *woken) {
    pthread_condattr_t monotonic;
    pthread_mutex_init(mutex, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(woken, &monotonic);
    pthread_condattr_destroy(&monotonic);
}
