/* SPDX-License-Identifier: BSD-3-Clause */
#include "command.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *argp_program_version = "wavecut " WC_VERSION;

static const struct {
    const char *name;
    cli_command run;
} commands[] = {{"ls", cli_ls},
                {"info", cli_info},
                {"verify", cli_verify},
                {"request", cli_request},
                {"waits", cli_waits}};

enum { COMMANDS = sizeof commands / sizeof *commands };

static cli_command find(const char *name) {
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0)
            return commands[i].run;
    return NULL;
}

/* Everything behind the command's name is the command's. */
static error_t parse(int key, char *argument, struct argp_state *state) {
    int *first = state->input;
    switch (key) {
    case ARGP_KEY_ARG:
        if (!find(argument))
            argp_error(state, "there is no command \"%s\"", argument);
        *first = state->next - 1;
        state->next = state->argc;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_usage(state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    .parser = parse,
    .args_doc = "COMMAND [ARGUMENT...]",
    .doc = "Looks at the snapshots of running MPI programs, and asks for them."
           "\v"
           "Commands:\n"
           "  ls [DIR]               the snapshots in a directory\n"
           "  info [FILE|DIR]        what one holds: arrays, ranks, messages in flight\n"
           "  verify [FILE|DIR...]   are they whole, and consistent cuts?\n"
           "  request [DIR]          asks the run in DIR for a snapshot\n"
           "  waits [DIR]            who waits for whom in a running or hung job, and why\n"
           "\n"
           "A DIR stands for its newest snapshot in info and verify. Without one, it is "
           "WAVECUT_DIR, else " CLI_DEFAULT_DIR ". All commands take --json and --help.\n"
           "\n" CLI_EXIT_CODES " waits: 5 a deadlock."};

int main(int argc, char **argv) {
    int first = 0;
    char name[64];
    setlocale(LC_ALL, "");
    setlocale(LC_NUMERIC, "C");
    argp_err_exit_status = CLI_USAGE;
    argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &first);
    cli_command run = find(argv[first]);
    snprintf(name, sizeof name, "wavecut %s", argv[first]);
    argv[first] = name;
    return cli_finish(run(argc - first, argv + first));
}
