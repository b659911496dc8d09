/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who runs the job of a directory: DIR/run.lock, which `wavecut run` holds locked, with its host and pid in it. The lock ends
 * with the process, whatever ends that, so that a file that was left behind hinders nobody.
 */
#ifndef WC_STORE_CLAIM_H
#define WC_STORE_CLAIM_H

#include "store.h"

typedef struct wc_claim {
    int fd; /* holds the lock; -1: somebody else does, or may do, the owner */
    char host[WC_HOST_BYTES];
    long pid;     /* 0: the owner hasn't written its name yet */
    double since; /* seconds since the epoch */
} wc_claim;

/*
 * On file systems without locks an owner that has left its name counts as alive, unless it was on this host and its process is
 * gone. Errors: NOT_FOUND (the directory), IO.
 */
wc_status wc_claim_take(const char *dir, wc_claim *claim, wc_error *error);

/* Gives it back; of one that was not taken: nothing. */
void wc_claim_give_back(wc_claim *claim);

/* Who has it? claim->pid = 0: nobody. Claims nothing. Errors: IO. */
wc_status wc_claim_look(const char *dir, wc_claim *claim, wc_error *error);

#endif
