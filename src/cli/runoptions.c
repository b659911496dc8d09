/* SPDX-License-Identifier: BSD-3-Clause */
#include "runoptions.h"

#include "command.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Seconds, or what schedulers say: M:S, H:M:S, D-H:M:S. */
static bool parse_time(const char *text, double *seconds) {
    static const double units[] = {1, 60, 3600};
    double days = 0, parts[3];
    int n = 0;
    char *end;
    const char *dash = strchr(text, '-');
    if (dash && dash > text) {
        days = strtod(text, &end);
        if (end != dash)
            return false;
        text = dash + 1;
    }
    for (;; text = end + 1) {
        if (n == 3 || *text < '0' || *text > '9')
            return false;
        parts[n++] = strtod(text, &end);
        if (*end != ':')
            break;
    }
    *seconds = 86400 * days;
    for (int i = 0; i < n; i++)
        *seconds += parts[i] * units[n - 1 - i];
    return !*end && isfinite(*seconds) && *seconds < 1e9 && (!dash || n == 3);
}

static double time_option(const char *text, const char *name, struct argp_state *state) {
    double seconds = 0;
    if (!parse_time(text, &seconds))
        argp_error(state, "--%s takes seconds or [[D-]H:]M:S, not \"%s\"", name, text);
    return seconds;
}

static error_t parse(int key, char *argument, struct argp_state *state) {
    run_options *o = state->input;
    char *end;
    switch (key) {
    case 'd':
        o->dir = argument;
        return 0;
    case 'r':
        o->restarts = strtol(argument, &end, 10);
        if (end == argument || *end || o->restarts < 0)
            argp_error(state, "--restarts takes a number, not \"%s\"", argument);
        return 0;
    case 'w':
        o->walltime_s =
            strcmp(argument, "UNLIMITED") == 0 ? 0 : time_option(argument, "walltime", state);
        return 0;
    case 'm':
        o->margin_s = time_option(argument, "margin", state);
        return 0;
    case 'b':
        o->backoff_s = time_option(argument, "backoff", state);
        return 0;
    case 'p':
        o->patience_s = time_option(argument, "patience", state);
        return 0;
    case ARGP_KEY_ARG:
        o->command = state->argv + state->next - 1;
        state->next = state->argc;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "what is to be run? (wavecut run -- mpirun -n 4 ./program)");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option list[] = {
    {"dir", 'd', "DIR", 0, "the directory of the job's snapshots", 0},
    {"restarts", 'r', "N", 0, "how often a job that has failed is started again, 100 if not said",
     0},
    {"backoff", 'b', "TIME", 0,
     "how long to wait before a restart, 5 s if not said; doubled by each further failure until "
     "there "
     "is a newer snapshot",
     0},
    {"walltime", 'w', "TIME", 0,
     "how long this may take; if not said until SLURM_JOB_END_TIME, and where there is none for "
     "ever",
     0},
    {"margin", 'm', "TIME", 0,
     "how long before the end the last snapshot is asked for, 120 s if not said", 0},
    {"patience", 'p', "TIME", 0,
     "a job that hasn't passed a safe point nor finished a snapshot for so long hangs: it is "
     "ended, and started again. If not said, for "
     "ever",
     0},
    {0}};

const struct argp run_argp = {
    .options = list,
    .parser = parse,
    .args_doc = "-- COMMAND...",
    .doc = "Starts an MPI job (mpirun, mpiexec or srun) and starts it again from its newest good "
           "snapshot when it has failed, until it "
           "has finished."
           "\v"
           "A job has finished when it has called wavecut_finalize, whatever mpirun says. It is "
           "not started again when two failures in a "
           "row have come without a newer snapshot or a further step between them.\n\n"
           "Before the walltime ends, and on SIGUSR1, a last snapshot is taken and the job is "
           "ended. SIGUSR2: a snapshot, and the job goes "
           "on. SIGTERM, SIGINT, SIGHUP and SIGQUIT are passed on and end all.\n\n"
           "TIME is seconds, M:S, H:M:S or D-H:M:S. The settings WAVECUT_* are those of the job. "
           "What happens is told on standard error "
           "and in DIR/run.log. Default for DIR: WAVECUT_DIR, else " CLI_DEFAULT_DIR ".\n\n"
           "Exit status: 0 the job has finished; 75 not yet, but it has come further: start the "
           "same command again (requeue); 1 it fails "
           "without coming further; 2 wrong usage; 3 there is no such command; 4 reading or "
           "writing failed; 6 somebody else runs a job in "
           "DIR; 128 + N signal N."};

run_options run_options_parse(int argc, char **argv) {
    run_options o = {.restarts = 100, .backoff_s = 5, .margin_s = 120};
    argp_parse(&run_argp, argc, argv, ARGP_IN_ORDER, NULL, &o);
    return o;
}
