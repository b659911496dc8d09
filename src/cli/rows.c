/* SPDX-License-Identifier: BSD-3-Clause */
#include "rows.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t count_of_ranks(const wc_reader *reader, const wc_channel_sizes *sizes) {
    (void)sizes;
    return wc_reader_head(reader)->ranks;
}

static uint64_t count_of_counters(const wc_reader *reader, const wc_channel_sizes *sizes) {
    (void)reader;
    return sizes->counters;
}

static uint64_t count_of_messages(const wc_reader *reader, const wc_channel_sizes *sizes) {
    (void)reader;
    return sizes->messages;
}

#define NEXT(name, row)                                                                            \
    const row *cli_each_##name##_next(cli_each_##name *r, wc_error *error) {                       \
        wc_channel_sizes sizes;                                                                    \
        if (r->used == r->have) {                                                                  \
            wc_reader_sizes(r->reader, &sizes);                                                    \
            uint64_t left = count_of_##name(r->reader, &sizes) - r->next;                          \
            r->have = left < CLI_ROWS ? (size_t)left : CLI_ROWS;                                   \
            r->used = 0;                                                                           \
            if (!r->have || wc_reader_##name##_at(r->reader, r->next, r->have, r->rows, error))    \
                return NULL;                                                                       \
            r->next += r->have;                                                                    \
        }                                                                                          \
        return &r->rows[r->used++];                                                                \
    }

NEXT(ranks, wc_rank_row)
NEXT(counters, wc_counter_row)
NEXT(messages, wc_message_row)

static int compare(uint64_t a, uint64_t b) {
    return (a > b) - (a < b);
}

static int by_uid(const void *a, const void *b) {
    const wc_comm_row *x = a, *y = b;
    return compare(x->uid, y->uid);
}

void cli_comms_sort(wc_comm_row *rows, size_t count) {
    if (count)
        qsort(rows, count, sizeof *rows, by_uid);
}

const wc_comm_row *cli_comm_find(const wc_comm_row *rows, size_t count, uint64_t uid) {
    wc_comm_row key = {.uid = uid};
    return count ? bsearch(&key, rows, count, sizeof *rows, by_uid) : NULL;
}

const char *cli_comm_text(const wc_comm_row *rows, size_t count, uint64_t uid, char *text,
                          size_t size) {
    const wc_comm_row *found = cli_comm_find(rows, count, uid);
    snprintf(text, size, "%s %08" PRIx64, found ? found->how : "", uid & UINT32_MAX);
    return text;
}

int cli_compare_channels(uint64_t comm_a, uint32_t source_a, uint32_t destination_a,
                         uint64_t comm_b, uint32_t source_b, uint32_t destination_b) {
    int order = compare(comm_a, comm_b);
    if (!order)
        order = compare(source_a, source_b);
    return order ? order : compare(destination_a, destination_b);
}

void cli_shape_text(const wc_array *a, char *text, size_t size) {
    size_t used = (size_t)snprintf(text, size, "%" PRIu64, a->ndims ? a->shape[0] : a->total);
    for (uint32_t d = 1; d < a->ndims && used < size; d++)
        used += (size_t)snprintf(text + used, size - used, " x %" PRIu64, a->shape[d]);
}
