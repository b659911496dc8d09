/* SPDX-License-Identifier: BSD-3-Clause */
#include "command.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *argp_program_version = "wavecut " WC_VERSION;

enum { USAGE_COLUMNS = 28 }; /* of the list in --help */

static const cli_command *const commands[] = {
#define COMMAND(name) &cli_##name,
#include "commands.list"
#undef COMMAND
};

enum { COMMANDS = sizeof commands / sizeof *commands };

static const cli_command *find(const char *name) {
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
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

/* The list of the commands comes before the text behind the options. */
static char *help(int key, const char *text, void *input) {
    char *all = NULL;
    size_t bytes;
    (void)input;
    if (key != ARGP_KEY_HELP_POST_DOC)
        return (char *)text;
    FILE *out = open_memstream(&all, &bytes);
    if (!out)
        return (char *)text;
    fputs("Commands:\n", out);
    for (size_t i = 0; i < COMMANDS; i++) {
        const cli_command *c = commands[i];
        int first = (int)strcspn(c->argp->args_doc, "\n"); /* of several ways to call it */
        int used = fprintf(out, "  %s %.*s", c->name, first, c->argp->args_doc);
        fprintf(out, "%*s%s\n", used < USAGE_COLUMNS ? USAGE_COLUMNS - used : 1, "", c->summary);
    }
    fprintf(out, "\n%s", text);
    fclose(out);
    return all;
}

static const struct argp argp = {
    .parser = parse,
    .args_doc = "COMMAND [ARGUMENT...]",
    .doc = "Runs MPI jobs until they have finished, and looks at their snapshots."
           "\v"
           "A DIR stands for its newest snapshot where a FILE can be given. Without one, it is "
           "WAVECUT_DIR, else " CLI_DEFAULT_DIR
           ". All commands take --help, and all but run take --json.\n"
           "\n" CLI_EXIT_CODES " waits: 5 a deadlock; diff: 7 the snapshots differ; "
           "restart-plan: 8 a job would not start; "
           "run: 6 somebody else runs the job; run: 75 it has not finished yet.",
    .help_filter = help};

int main(int argc, char **argv) {
    int first = 0;
    char name[64];
    setlocale(LC_ALL, "");
    setlocale(LC_NUMERIC, "C");
    argp_err_exit_status = CLI_USAGE;
    argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &first);
    const cli_command *command = find(argv[first]);
    snprintf(name, sizeof name, "wavecut %s", argv[first]);
    argv[first] = name;
    return cli_finish(command->run(argc - first, argv + first));
}
