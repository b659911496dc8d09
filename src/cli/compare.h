/* SPDX-License-Identifier: BSD-3-Clause */
/* Two snapshots, A and B, array by array and channel by channel: what `wavecut diff` shows. */
#ifndef WC_CLI_COMPARE_H
#define WC_CLI_COMPARE_H

#include "element.h"
#include "store/store.h"

typedef enum cmp_verdict {
    CMP_SAME,
    CMP_CHANGED,
    CMP_ONLY_A,
    CMP_ONLY_B,
    CMP_OTHER_TYPE,
    CMP_OTHER_SHAPE, /* or one is global and the other isn't */
    CMP_OTHER_COUNTS /* some ranks have another number of elements, or one has none of it; the others are compared */
} cmp_verdict;

/* One array in both, or in one. */
typedef struct cmp_array {
    const wc_array *array[2]; /* NULL: not in this one */
    size_t number[2];         /* of the array there */
    cmp_verdict verdict;
    cli_difference found;
    uint32_t largest_rank; /* of an array that isn't global: who has the largest difference */
    uint64_t largest_at;   /* and which of its elements that is; of a global one row-major */
    uint64_t ranks;        /* CMP_OTHER_COUNTS: how many, and the lowest of them */
    uint32_t first_rank;
    uint64_t first_count[2];
} cmp_array;

typedef struct cmp_side {
    const char *path;
    wc_reader *reader;
    const wc_snapshot_head *head;
    const wc_array *arrays; /* by name */
    size_t count;
    wc_counter_row *counters; /* by channel */
    wc_message_row *messages; /* by channel and order */
    size_t counter_count, message_count;
} cmp_side;

/* Begin with {0}. */
typedef struct cmp_job {
    cmp_side side[2];
    cmp_array *arrays;
    size_t count;
    uint64_t changed_channels;
    bool differ;
} cmp_job;

/* Opens both. Errors: those of wc_reader_open and of the tables. cmp_close in any case. */
wc_status cmp_open(cmp_job *job, const char *a, const char *b, wc_error *error);
void cmp_close(cmp_job *job);

/* Fills job->arrays, by name; reads all of those that can be compared, in pieces. Errors: DAMAGED, IO, MEMORY. */
wc_status cmp_arrays(cmp_job *job, wc_error *error);

/* A channel in both; a row is all 0 but for the channel if it isn't there. */
typedef struct cmp_channel {
    wc_counter_row row[2];
    uint64_t changed; /* messages in flight that are in one only, or not the same in both */
} cmp_channel;

/* Calls `show` for each channel that differs, and counts them. */
void cmp_channels(cmp_job *job, void (*show)(void *context, const cmp_channel *channel),
                  void *context);

#endif
