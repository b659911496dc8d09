/* SPDX-License-Identifier: BSD-3-Clause */
#include "signal.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

static volatile sig_atomic_t came;
static int installed; /* 0: none */
static struct sigaction before;

/* "USR1", "USR2" or "none" (0). False: none of these. */
static bool signal_by_name(const char *name, int *signal) {
    if (strcmp(name, "USR1") == 0)
        *signal = SIGUSR1;
    else if (strcmp(name, "USR2") == 0)
        *signal = SIGUSR2;
    else if (strcmp(name, "none") == 0)
        *signal = 0;
    else
        return false;
    return true;
}

/* A handler that was there goes on working. */
static void handle(int signal, siginfo_t *info, void *context) {
    came = 1;
    if (before.sa_flags & SA_SIGINFO)
        before.sa_sigaction(signal, info, context);
    else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN)
        before.sa_handler(signal);
}

void wc_signal_install(int signal) {
    if (signal == installed)
        return;
    if (installed)
        sigaction(installed, &before, NULL);
    installed = signal;
    if (!signal)
        return;
    struct sigaction ours = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigemptyset(&ours.sa_mask);
    sigaction(signal, &ours, &before);
}

void wc_signal_install_early(void) {
    const char *name = getenv("WAVECUT_SIGNAL");
    int signal = SIGUSR1;
    /* A wrong name is reported by wavecut_init. */
    if (!name || signal_by_name(name, &signal))
        wc_signal_install(signal);
}

bool wc_signal_take(void) {
    bool taken = came;
    came = 0;
    return taken;
}
