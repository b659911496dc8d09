/* SPDX-License-Identifier: BSD-3-Clause */
/* This rank's rows of the channel datasets of a snapshot. */
#ifndef WC_RUNTIME_ROWS_H
#define WC_RUNTIME_ROWS_H

#include "../store/store.h"

typedef struct wc_rows {
    wc_counter_row *counters;
    wc_message_row *messages; /* in the order of core.cut */
    wc_comm_row *communicators;
    uint32_t *members;
    wc_event_row *events; /* of the trace, like the two that follow */
    wc_stream_row *streams;
    wc_event_index_row event_index;
    wc_channel_sizes sizes; /* of this rank */
} wc_rows;

/* The communicators whose first member this rank is, as they are now: call it at the record. */
void wc_rows_record(wc_rows *rows);

/* Counters and messages of the cut, which must be complete, and the trace up to now. Call it between settled and finished.
 */
void wc_rows_settle(wc_rows *rows);

/* The sums over the ranks before this one are known: messages and communicators get their places.
 */
void wc_rows_shift(wc_rows *rows, const wc_channel_sizes *before);

void wc_rows_free(wc_rows *rows);

#endif
