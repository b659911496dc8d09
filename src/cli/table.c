/* SPDX-License-Identifier: BSD-3-Clause */
#include "table.h"

#include "text.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct cell {
    char *text;
    cli_style style;
} cell;

struct cli_table {
    const cli_column *columns;
    size_t column_count;
    cell *cells;
    size_t count, room;
    size_t *widths; /* [column_count], of what is printed already */
    bool headed;
};

enum { LONG_ROWS = 4096 };

static void out_of_memory(void) {
    fputs("wavecut: out of memory\n", stderr);
    exit(4);
}

cli_table *cli_table_new(const cli_column *columns, size_t count) {
    cli_table *t = calloc(1, sizeof *t);
    if (!t)
        out_of_memory();
    t->columns = columns;
    t->column_count = count;
    t->widths = calloc(count, sizeof *t->widths);
    if (!t->widths)
        out_of_memory();
    return t;
}

void cli_table_add_styled(cli_table *t, const char *text, cli_style style) {
    if (t->count == t->room) {
        t->room = t->room ? 2 * t->room : 64;
        t->cells = reallocarray(t->cells, t->room, sizeof *t->cells);
        if (!t->cells)
            out_of_memory();
    }
    char *escaped = cli_escape(text);
    if (!escaped)
        out_of_memory();
    t->cells[t->count++] = (cell){escaped, style};
}

void cli_table_add(cli_table *t, const char *text) {
    cli_table_add_styled(t, text, CLI_PLAIN);
}

static size_t column_width(const cli_table *t, size_t column) {
    size_t widest = cli_width(t->columns[column].heading);
    widest = t->widths[column] > widest ? t->widths[column] : widest;
    for (size_t i = column; i < t->count; i += t->column_count) {
        size_t width = cli_width(t->cells[i].text);
        widest = width > widest ? width : widest;
    }
    return widest;
}

/* The last column is not filled up: no blanks at the end of a line. */
static void print_cell(const cli_table *t, size_t column, size_t width, const char *text,
                       cli_style style) {
    int blanks = (int)(width - cli_width(text));
    bool right = t->columns[column].right, last = column + 1 == t->column_count;
    printf("%*s%s%s%s%*s%s", right ? blanks : 0, "", cli_style_begin(style), text,
           cli_style_end(style), right || last ? 0 : blanks, "", last ? "\n" : "  ");
}

bool cli_table_is_long(const cli_table *t) {
    return t->count >= LONG_ROWS * t->column_count;
}

static void print_rows(cli_table *t, int indent) {
    for (size_t c = 0; c < t->column_count; c++)
        t->widths[c] = column_width(t, c);
    if (!t->headed)
        printf("%*s", indent, "");
    for (size_t c = 0; c < t->column_count && !t->headed; c++)
        print_cell(t, c, t->widths[c], t->columns[c].heading, CLI_BOLD);
    t->headed = true;
    for (size_t i = 0; i < t->count; i++) {
        size_t c = i % t->column_count;
        if (c == 0)
            printf("%*s", indent, "");
        print_cell(t, c, t->widths[c], t->cells[i].text, t->cells[i].style);
        free(t->cells[i].text);
    }
    t->count = 0;
}

void cli_table_flush(cli_table *t) {
    print_rows(t, 0);
}

void cli_table_print(cli_table *t, int indent) {
    print_rows(t, indent);
    cli_table_free(t);
}

void cli_table_free(cli_table *t) {
    for (size_t i = 0; i < t->count; i++)
        free(t->cells[i].text);
    free(t->cells);
    free(t->widths);
    free(t);
}
