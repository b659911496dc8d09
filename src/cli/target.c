/* SPDX-License-Identifier: BSD-3-Clause */
#include "command.h"

#include "text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

const char *cli_default_dir(void) {
    const char *dir = getenv("WAVECUT_DIR");
    return dir && *dir ? dir : CLI_DEFAULT_DIR;
}

error_t cli_parse_asked(int key, char *argument, struct argp_state *state) {
    cli_asked *o = state->input;
    (void)argument;
    switch (key) {
    case 'j':
        o->json = true;
        return 0;
    case ARGP_KEY_ARGS:
        o->arguments = state->argv + state->next;
        o->count = (size_t)(state->argc - state->next);
        if (o->most && o->count > o->most)
            argp_error(state, "\"%s\" is one argument too many", o->arguments[o->most]);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const char *cli_first(const cli_asked *asked, const char *otherwise) {
    return asked->count ? asked->arguments[0] : otherwise;
}

long long cli_integer(struct argp_state *state, const char *option, const char *text,
                      long long least, long long most) {
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end || errno || value < least || value > most)
        argp_error(state, "%s takes a number from %lld to %lld, not \"%s\"", option, least, most,
                   text);
    return value;
}

int cli_exit_code(wc_status status) {
    switch (status) {
    case WC_OK:
        return CLI_OK;
    case WC_ERR_ARGUMENT:
    case WC_ERR_SETTING:
        return CLI_USAGE;
    case WC_ERR_NOT_FOUND:
        return CLI_NOT_FOUND;
    case WC_ERR_IO:
    case WC_ERR_MEMORY:
        return CLI_IO;
    default:
        return CLI_DAMAGED;
    }
}

int cli_fail(const char *command, const wc_error *error) {
    char *text = cli_escape(error->text);
    fprintf(stderr, "wavecut %s: %s\n", command, text ? text : "out of memory");
    free(text);
    return cli_exit_code(error->status);
}

int cli_finish(int code) {
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    fprintf(stderr, "wavecut: standard output can't be written: %s\n", strerror(errno));
    return CLI_IO;
}

static wc_status newest(const char *dir, char path[PATH_MAX], wc_error *error) {
    uint64_t *ids;
    size_t count;
    wc_status status = wc_store_list(dir, &ids, &count, error);
    if (status != WC_OK)
        return status;
    if (count)
        wc_store_snapshot_path(dir, ids[0], path, PATH_MAX);
    else
        status = wc_error_set(error, WC_ERR_NOT_FOUND, "there is no snapshot in %.400s", dir);
    free(ids);
    return status;
}

wc_status cli_target(const char *argument, char path[PATH_MAX], wc_error *error) {
    struct stat s;
    if (strlen(argument) > PATH_MAX - 64)
        return wc_error_set(error, WC_ERR_NOT_FOUND, "%.80s...: the name is too long", argument);
    if (stat(argument, &s) < 0)
        return errno == ENOENT || errno == ENOTDIR
                   ? wc_error_set(error, WC_ERR_NOT_FOUND, "there is no %.400s", argument)
                   : wc_error_set(error, WC_ERR_IO, "%.400s: %m", argument);
    if (S_ISDIR(s.st_mode))
        return newest(argument, path, error);
    strcpy(path, argument);
    return WC_OK;
}
