/* SPDX-License-Identifier: BSD-3-Clause */
/* One job of `wavecut run`: the launcher (mpirun, mpiexec, srun) and the processes on this host that come of it. */
#ifndef WC_CLI_RUNJOB_H
#define WC_CLI_RUNJOB_H

#include "store/error.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

typedef struct run_job {
    pid_t pid;      /* the launcher's; 0: it has ended */
    int status;     /* as waitpid tells, when it has */
    double started; /* s, of CLOCK_REALTIME */
    sigset_t mask;  /* of signals, as it was before */
} run_job;

/* From now on orphans of the job are children of this process, and the signals are waited for instead of being handled. */
void run_job_prepare(run_job *job);

/*
 * Starts the command, without a shell, with this environment. Its settings WAVECUT_* reach rank 0 wherever that runs: launchers
 * that don't hand on the environment are told to (runenv.h). Errors: NOT_FOUND (there is no such command), IO, MEMORY.
 */
wc_status run_job_start(run_job *job, char *const *command, wc_error *error);

/* Waits for a signal, at most `seconds`. Returns it (0: none); *from_terminal: the job has got it, too. */
int run_job_wait(double seconds, bool *from_terminal);

/* Notes that children have ended. True: the launcher has. */
bool run_job_ended(run_job *job);

void run_job_signal(const run_job *job, int signal);

/* Until all that is left of the job on this host is gone: after some seconds, by force. The launcher has ended. */
void run_job_clear(void);

/* How it ended, in words. */
void run_job_how(const run_job *job, char *text, size_t size);

double run_now(void); /* s, of CLOCK_REALTIME */

#endif
