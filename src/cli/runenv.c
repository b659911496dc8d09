/* SPDX-License-Identifier: BSD-3-Clause */
#include "runenv.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* ---- which launcher? ---- */

static const char *name_of(const char *command) {
    const char *slash = strrchr(command, '/');
    return slash ? slash + 1 : command;
}

static bool begins(const char *text, const char *with) {
    return strncmp(text, with, strlen(with)) == 0;
}

/* What `COMMAND --version` says first. */
static void ask_version(const char *command, char *text, size_t size) {
    int ends[2];
    ssize_t n = 0;
    size_t length = 0;
    text[0] = '\0';
    if (pipe(ends) < 0)
        return;
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        execlp(command, command, "--version", (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    while (child > 0 && length < size - 1 &&
           (n = read(ends[0], text + length, size - 1 - length)) > 0)
        length += (size_t)n;
    text[length] = '\0';
    close(ends[0]);
    if (child > 0)
        waitpid(child, NULL, 0);
}

static bool is_open_mpi(const char *command) {
    const char *name = name_of(command);
    char text[512];
    if (begins(name, "orterun") || begins(name, "prterun"))
        return true;
    if (!begins(name, "mpirun") && !begins(name, "mpiexec"))
        return false;
    ask_version(command, text, sizeof text);
    return strstr(text, "Open MPI") || strstr(text, "OpenRTE") || strstr(text, "PRRTE");
}

/* ---- what it is told ---- */

static bool is_setting(const char *entry) {
    return begins(entry, "WAVECUT_") && strchr(entry, '=');
}

/* How many, and *bytes of their names. */
static size_t count_settings(size_t *bytes) {
    size_t n = 0;
    *bytes = 0;
    for (char **e = environ; *e; e++) {
        n += is_setting(*e);
        *bytes += is_setting(*e) ? strcspn(*e, "=") + 1 : 0;
    }
    return n;
}

/* -x and this parameter exclude each other, mpirun says. */
static bool has_list(char *const *command) {
    if (getenv("OMPI_MCA_mca_base_env_list"))
        return true;
    for (; *command; command++)
        if (strcmp(*command, "mca_base_env_list") == 0)
            return true;
    return false;
}

/* -x WAVECUT_DIR ... behind the launcher's name, for the first program of several: rank 0's. The names go to `text`. */
static void name_settings(char **to, size_t *n, char *text) {
    for (char **e = environ; *e; e++) {
        if (!is_setting(*e))
            continue;
        int length = (int)strcspn(*e, "=");
        to[(*n)++] = (char *)"-x";
        to[(*n)++] = text;
        text += sprintf(text, "%.*s", length, *e) + 1;
    }
}

/* A host that is gone says nothing: mpirun finds out by keepalive, after 8 minutes if nobody has said otherwise. */
static void set_keepalive(void) {
    static const char *const values[][2] = {
        {"OMPI_MCA_oob_tcp_keepalive_time", "30"},  {"OMPI_MCA_oob_tcp_keepalive_intvl", "10"},
        {"OMPI_MCA_oob_tcp_keepalive_probes", "3"}, {"PRTE_MCA_oob_tcp_keepalive_time", "30"},
        {"PRTE_MCA_oob_tcp_keepalive_intvl", "10"}, {"PRTE_MCA_oob_tcp_keepalive_probes", "3"}};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        setenv(values[i][0], values[i][1], false);
}

/* Beside what it names; ALL is all there is, NONE is nothing else. */
static void add_to_slurm(void) {
    const char *before = getenv("SLURM_EXPORT_ENV");
    char *list = NULL;
    size_t length;
    if (!before || begins(before, "ALL"))
        return;
    FILE *f = open_memstream(&list, &length);
    if (!f)
        return;
    fputs(strcmp(before, "NONE") == 0 || strcmp(before, "NIL") == 0 ? "" : before, f);
    for (char **e = environ; *e; e++)
        if (is_setting(*e))
            fprintf(f, "%s%.*s", ftell(f) ? "," : "", (int)strcspn(*e, "="), *e);
    if (fclose(f) == 0)
        setenv("SLURM_EXPORT_ENV", list, true);
    free(list);
}

char **run_env_command(char *const *command) {
    size_t count = 0, n = 0, bytes;
    bool named = is_open_mpi(command[0]) && !has_list(command);
    set_keepalive();
    if (strcmp(name_of(command[0]), "srun") == 0)
        add_to_slurm();
    while (command[count])
        count++;
    size_t slots = count + 2 * count_settings(&bytes) + 1;
    char **all = calloc(1, slots * sizeof *all + bytes);
    if (!all)
        return NULL;
    all[n++] = command[0];
    if (named)
        name_settings(all, &n, (char *)(all + slots));
    memcpy(all + n, command + 1, count * sizeof *all); /* with the NULL behind them */
    return all;
}
