/* SPDX-License-Identifier: BSD-3-Clause */
/* What the subcommands share: how they are called, how they end, and where they look. */
#ifndef WC_CLI_COMMAND_H
#define WC_CLI_COMMAND_H

#include "store/store.h"

#include <argp.h>
#include <limits.h>
#include <stdbool.h>

/* Exit codes. */
enum {
    CLI_OK = 0,
    CLI_DAMAGED = 1,
    CLI_USAGE = 2,
    CLI_NOT_FOUND = 3,
    CLI_IO = 4,
    CLI_DEADLOCK = 5,
    CLI_TAKEN = 6, /* somebody else runs the job */
    CLI_DIFFER = 7,
    CLI_WONT_START = 8,
    CLI_UNFINISHED = 75 /* EX_TEMPFAIL: start it again */
};

/* The same in every --help. */
#define CLI_EXIT_CODES                                                                             \
    "Exit status: 0 all is well; 1 a snapshot is damaged or can't be used; 2 wrong usage; "        \
    "3 there is no such file, directory or snapshot; 4 reading or writing failed."

#define CLI_DEFAULT_DIR "wavecut-ckpt"

/* A command: `wavecut NAME`. */
typedef struct cli_command {
    const char *name;
    const char *summary; /* begins with a verb, no full stop: for --help and manual pages */
    const struct argp *argp;
    int (*run)(int argc, char **argv); /* parses with `argp`; returns the exit code */
} cli_command;

#define COMMAND(name) extern const cli_command cli_##name;
#include "commands.list"
#undef COMMAND

/* What most commands are asked. `most` is set before parsing. */
typedef struct cli_asked {
    size_t most; /* arguments that make sense; 0: any number */
    bool json;
    char **arguments;
    size_t count;
} cli_asked;

#define CLI_JSON                                                                                   \
    { "json", 'j', NULL, 0, "print JSON", 0 }

/* The parser of CLI_JSON and of arguments; state->input begins with a cli_asked. */
error_t cli_parse_asked(int key, char *argument, struct argp_state *state);

/* The first argument, else `otherwise`. */
const char *cli_first(const cli_asked *asked, const char *otherwise);

/* A number that an option is given; others than those from `least` to `most` are wrong usage. */
long long cli_integer(struct argp_state *state, const char *option, const char *text,
                      long long least, long long most);

/* WAVECUT_DIR, else the library's default. */
const char *cli_default_dir(void);

/* Writes "wavecut COMMAND: text" to standard error; returns the exit code of the status. */
int cli_fail(const char *command, const wc_error *error);
int cli_exit_code(wc_status status);

/* What was not written was not said: `code`, or that of a failure to write standard output. */
int cli_finish(int code);

/*
 * The snapshot that an argument means: the file itself, or the newest one of a directory.
 * Errors: NOT_FOUND, IO, MEMORY.
 */
wc_status cli_target(const char *argument, char path[PATH_MAX], wc_error *error);

/*
 * Runs `work` in a child process without rights if one of the files belongs to somebody else: then
 * a crash inside libhdf5 is no more than an error. Returns its exit code.
 */
int cli_guarded(const char *command, char *const *paths, size_t count, int (*work)(void *),
                void *context);

#endif
