/* SPDX-License-Identifier: BSD-3-Clause */
/* Numbers, times and foreign strings for people. */
#ifndef WC_CLI_TEXT_H
#define WC_CLI_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* Long enough for any of the numbers and times. */
enum { CLI_TEXT_BYTES = 48 };

typedef struct cli_text {
    char text[CLI_TEXT_BYTES];
} cli_text;

cli_text cli_bytes(uint64_t bytes);    /* "1.5 MiB" */
cli_text cli_count(uint64_t count);    /* "1234" */
cli_text cli_seconds(double seconds);  /* "12.3 ms" */
cli_text cli_duration(double seconds); /* "2 h 5 min", for people who wait */
cli_text cli_utc(double time);         /* "2026-11-23 08:09:51" */
cli_text cli_age(double time);         /* "3 min ago" */

/* Strings from a file may hold anything: what a terminal would not just show becomes \xNN.
 * malloc'd. */
char *cli_escape(const char *text);

/* Columns that the text takes. */
size_t cli_width(const char *text);

#endif
