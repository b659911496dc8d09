/* SPDX-License-Identifier: BSD-3-Clause */
/* Aligned columns. */
#ifndef WC_CLI_TABLE_H
#define WC_CLI_TABLE_H

#include "output.h"

#include <stddef.h>

typedef struct cli_column {
    const char *heading;
    bool right; /* numbers */
} cli_column;

typedef struct cli_table cli_table;

/* `columns` are the caller's, and must outlive the table. NULL: no memory. */
cli_table *cli_table_new(const cli_column *columns, size_t count);

/* Fills the next cell, row by row; the text is copied and escaped. */
void cli_table_add(cli_table *table, const char *text);
void cli_table_add_styled(cli_table *table, const char *text, cli_style style);

/* Prints the rows so far and forgets them, for a table that may be too long for the memory: their widths stay, and it goes on below. */
void cli_table_flush(cli_table *table);

/* Full of rows enough to be flushed? */
bool cli_table_is_long(const cli_table *table);

/* Prints it to standard output and frees it. `indent` blanks stand before each line. */
void cli_table_print(cli_table *table, int indent);

void cli_table_free(cli_table *table); /* without printing what it has */

#endif
