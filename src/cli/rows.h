/* SPDX-License-Identifier: BSD-3-Clause */
/* The rows of a snapshot's tables one after the other, a few in memory: a table may be larger than that. */
#ifndef WC_CLI_ROWS_H
#define WC_CLI_ROWS_H

#include "store/store.h"

enum { CLI_ROWS = 512 };

#define CLI_ROWS_OF(name, row)                                                                     \
    typedef struct cli_each_##name {                                                               \
        wc_reader *reader;                                                                         \
        uint64_t next;                                                                             \
        size_t have, used;                                                                         \
        row rows[CLI_ROWS];                                                                        \
    } cli_each_##name;                                                                             \
    const row *cli_each_##name##_next(cli_each_##name *rows, wc_error *error);

/* Set `reader` and, to begin elsewhere, `next`; all else is 0. The next row, valid until the following call; NULL: there is none, or
 * error->status says why. */
CLI_ROWS_OF(ranks, wc_rank_row)
CLI_ROWS_OF(counters, wc_counter_row)
CLI_ROWS_OF(messages, wc_message_row)

/* By uid. What is found has it, NULL: none; the text is what people call it: "dup 1a2b3c4d". */
void cli_comms_sort(wc_comm_row *rows, size_t count);
const wc_comm_row *cli_comm_find(const wc_comm_row *rows, size_t count, uint64_t uid);
const char *cli_comm_text(const wc_comm_row *rows, size_t count, uint64_t uid, char *text,
                          size_t size);

/* For qsort and bsearch: by communicator, source, destination. */
int cli_compare_channels(uint64_t comm_a, uint32_t source_a, uint32_t destination_a,
                         uint64_t comm_b, uint32_t source_b, uint32_t destination_b);

/* "256 x 128" of a global array, else the number of elements. */
void cli_shape_text(const wc_array *array, char *text, size_t size);

#endif
