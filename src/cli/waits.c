/* SPDX-License-Identifier: BSD-3-Clause */
#include "command.h"
#include "output.h"
#include "waitread.h"
#include "waittext.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct options {
    cli_asked asked; /* first: cli_parse_asked knows this alone */
    double timeout_s;
} options;

static error_t parse(int key, char *argument, struct argp_state *state) {
    options *o = state->input;
    char *end;
    switch (key) {
    case 't':
        o->timeout_s = strtod(argument, &end);
        if (end == argument || *end || !isfinite(o->timeout_s) || o->timeout_s <= 0)
            argp_error(state, "--timeout takes seconds, not \"%s\"", argument);
        return 0;
    default:
        return cli_parse_asked(key, argument, state);
    }
}

static const struct argp_option list[] = {
    CLI_JSON,
    {"timeout", 't', "S", 0, "seconds to wait for the ranks' answers, 10 if not said", 0},
    {0}};

static const struct argp argp = {
    .options = list,
    .parser = parse,
    .args_doc = "[DIR]",
    .doc = "Tells what each rank of a running or hung job does, who waits for whom, which messages "
           "are in flight, and whether it is a deadlock."
           "\v"
           "The job runs with the library preloaded (or linked) and WAVECUT_WATCH=DIR in the "
           "environment of its first rank; the program needs no change:\n\n"
           "  mpirun -x LD_PRELOAD=.../libwavecut-openmpi.so -x WAVECUT_WATCH=DIR PROGRAM\n"
           "  wavecut waits DIR\n\n"
           "DIR must be seen by all ranks, and by this command. Default: WAVECUT_WATCH, else "
           "WAVECUT_DIR, else " CLI_DEFAULT_DIR ". The job is not stopped: a thread on each rank "
           "answers, within a second, twice. A rank that has done nothing between its two answers "
           "counts as waiting or computing, any other as running, and a deadlock is one only of "
           "ranks that wait for what no other rank can do any more.\n\n"
           "Exit status: 0 no deadlock; 5 a deadlock; 1 an answer makes no sense; 2 wrong usage; "
           "3 there is no watched job in DIR, or none of its ranks answers; 4 reading or writing "
           "failed."};

static const char *default_dir(void) {
    const char *dir = getenv("WAVECUT_WATCH");
    return dir && *dir ? dir : cli_default_dir();
}

static int run(int argc, char **argv) {
    options o = {.asked.most = 1, .timeout_s = 10};
    wc_error error = {WC_OK, ""};
    wait_job job;
    argp_parse(&argp, argc, argv, 0, NULL, &o);
    const char *dir = cli_first(&o.asked, default_dir());
    if (wait_ask(dir, o.timeout_s, &job, &error) != WC_OK)
        return cli_fail("waits", &error);
    wait_report report = wait_report_new(&job);
    if (o.asked.json)
        cli_json_print(wait_report_json(&report, dir));
    else
        wait_report_print(&report);
    int code = report.stuck ? CLI_DEADLOCK : CLI_OK;
    wait_report_free(&report);
    wait_job_free(&job);
    return code;
}

const cli_command cli_waits = {"waits", "tell who waits for whom in a running job", &argp, run};
