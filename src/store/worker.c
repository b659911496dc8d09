/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker.h"

#include <signal.h>

int wc_worker_start(pthread_t *thread, void *(*function)(void *), void *context) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    int cause = pthread_create(thread, NULL, function, context);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return cause;
}
