/* SPDX-License-Identifier: BSD-3-Clause */
/* A file that a command writes: whole and durable, or not there at all. */
#ifndef WC_CLI_FILE_H
#define WC_CLI_FILE_H

#include "store/error.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct cli_file {
    int fd;
    bool force;       /* it may replace another file */
    const char *path; /* the caller's; NULL: standard output */
    char partial[PATH_MAX];
} cli_file;

/* Errors: ARGUMENT (a file is there and must not be replaced; standard output is a terminal), IO. */
wc_status cli_file_create(cli_file *file, const char *path, bool force, wc_error *error);

wc_status cli_file_write(cli_file *file, const void *from, size_t bytes, wc_error *error);

/* Makes it durable and gives it its name. After an error it isn't there, and what was there still is. */
wc_status cli_file_commit(cli_file *file, wc_error *error);

void cli_file_abandon(cli_file *file);

#endif
