/* SPDX-License-Identifier: BSD-3-Clause */
/* The ways out: colours for a terminal, JSON for scripts, progress for the impatient. */
#ifndef WC_CLI_OUTPUT_H
#define WC_CLI_OUTPUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum cli_style { CLI_PLAIN, CLI_BOLD, CLI_DIM, CLI_GOOD, CLI_BAD } cli_style;

/* The sequences around a text in this style: "" unless standard output is a terminal that wants
 * colours. */
const char *cli_style_begin(cli_style style);
const char *cli_style_end(cli_style style);

/* A JSON string of bytes that may not be UTF-8. Never NULL. */
json_t *cli_json_text(const char *text);

/* Ids, hashes and uids: 64 bits don't fit a JSON number everywhere. */
json_t *cli_json_hex(uint64_t value);

/* null, if it is not finite. */
json_t *cli_json_real(double value);

/* JSON's integers are signed; larger ones become the largest. */
json_t *cli_json_number(uint64_t value);

/* Prints it and drops it. All ASCII: what a terminal obeys may lie above it. */
void cli_json_print(json_t *value);

/*
 * JSON that may be too long for the memory, printed as it comes: what is begun with '{' or '[' gets members or elements by
 * further calls until it is ended. `key`: of a member; NULL in a list, and outermost.
 */
void cli_json_begin(const char *key, char bracket);
void cli_json_put(const char *key, json_t *value); /* drops it */
void cli_json_end(void);

/* One line on standard error that is replaced, if that is a terminal: how much of `total` bytes is done, how fast, and how long it
 * takes yet. `what` is the caller's. */
void cli_progress_begin(const char *what, uint64_t total);
void cli_progress_add(void *unused, uint64_t bytes); /* as a wc_reader_watcher */
void cli_progress_end(void);

#endif
