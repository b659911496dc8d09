/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What it is compared with, two: Chandy and Lamport's algorithm as it is written, on a complete
 * graph of channels. A rank records at the first marker and sends one to everybody; it is done when
 * it has everybody's.
 */
#include "scale.h"

static void record(scale_rank *r) {
    scale_recorded(r);
    for (uint32_t k = 1; k < S.options.ranks; k++) {
        S.markers++;
        scale_send(r, &(scale_node){.kind = KIND_TEXTBOOK, .to = (r->rank + k) % S.options.ranks},
                   0);
    }
}

static void marker(scale_rank *r) {
    if (!r->recorded)
        record(r);
    if (++r->markers < S.options.ranks - 1)
        return;
    scale_closed(r);
    S.over = S.closed == S.options.ranks;
}

static void look(scale_rank *r) {
    (void)r;
}

static bool busy(const scale_rank *r) {
    (void)r;
    return false;
}

const scale_method scale_by_textbook = {.name = "textbook",
                                        .asks = true,
                                        .request = record,
                                        .look = look,
                                        .busy = busy,
                                        .marker = marker};
