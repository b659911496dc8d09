/* SPDX-License-Identifier: BSD-3-Clause */
#include "command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LEAST_S = 60, BYTES_A_SECOND = 100 << 20 };

/* *seconds: processor time that is ample for what they have on the disk. */
static bool is_foreign(char *const *paths, size_t count, rlim_t *seconds) {
    struct stat s;
    bool foreign = false;
    *seconds = LEAST_S;
    for (size_t i = 0; i < count; i++) {
        if (stat(paths[i], &s) < 0)
            continue;
        foreign = foreign || s.st_uid != geteuid();
        *seconds += (rlim_t)s.st_blocks * 512 / BYTES_A_SECOND;
    }
    return foreign;
}

static void give_up_rights(rlim_t seconds) {
    const struct rlimit none = {0, 0}, time = {seconds, seconds};
    setrlimit(RLIMIT_CORE, &none);
    setrlimit(RLIMIT_NPROC, &none);
    setrlimit(RLIMIT_CPU, &time);
#ifndef __SANITIZE_ADDRESS__ /* which maps more than any limit allows */
    const struct rlimit memory = {(rlim_t)8 << 30, (rlim_t)8 << 30};
    setrlimit(RLIMIT_AS, &memory);
#endif
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

static int wait_for(const char *command, pid_t child) {
    wc_error error;
    int status;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return CLI_IO;
    if (WIFEXITED(status))
        return WEXITSTATUS(status);
    wc_error_set(&error, WC_ERR_DAMAGED,
                 "reading it was ended by signal %d (%s): the file belongs to another user and is "
                 "damaged, or was made to do harm",
                 WTERMSIG(status), strsignal(WTERMSIG(status)));
    return cli_fail(command, &error);
}

int cli_guarded(const char *command, char *const *paths, size_t count, int (*work)(void *),
                void *context) {
    int code;
    rlim_t seconds;
    if (!is_foreign(paths, count, &seconds))
        return work(context);
    fflush(NULL);
    pid_t child = fork();
    if (child < 0) {
        wc_error error;
        wc_error_set(&error, WC_ERR_IO, "a process to read another user's file can't be made: %m");
        return cli_fail(command, &error);
    }
    if (child > 0)
        return wait_for(command, child);
    give_up_rights(seconds);
    code = cli_finish(work(context));
    fflush(stderr);
    _exit(code); /* without HDF5's clean-up, which such files can break */
}
