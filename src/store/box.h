/* SPDX-License-Identifier: BSD-3-Clause */
/* A rank's part of a global array: a box, whose elements lie in runs in the row-major whole. */
#ifndef WC_STORE_BOX_H
#define WC_STORE_BOX_H

#include "error.h"

#include <stdbool.h>
#include <stdint.h>

enum { WC_BOX_DIMS = 8 };

typedef struct wc_box {
    uint32_t ndims; /* 1 to WC_BOX_DIMS */
    uint64_t global[WC_BOX_DIMS], offset[WC_BOX_DIMS], local[WC_BOX_DIMS];
} wc_box;

/* Elements that stand together in the box and in the whole alike. */
typedef struct wc_runs {
    uint64_t count, length; /* runs, and elements of each */
    uint32_t outer;         /* axes that tell the runs apart */
} wc_runs;

/* *count: elements of the box. False: it isn't inside the global array, or that is larger than 2^63. */
bool wc_box_check(const wc_box *box, uint64_t *count);

uint64_t wc_box_whole(const wc_box *box); /* elements of the global array */

wc_runs wc_box_runs(const wc_box *box);

/* Elements of the global array before run `i`. */
uint64_t wc_box_place(const wc_box *box, const wc_runs *runs, uint64_t i);

/*
 * A number for a box such that those of boxes add up (modulo 2^64) to that of the whole, wc_box_whole_sum, if and, but
 * for a chance of 2^-64, only if they fill it, each element once. A box is the sum of its corners, with signs: what two
 * boxes share, or leave between them, has corners of its own.
 */
uint64_t wc_box_sum(const wc_box *box);
uint64_t wc_box_whole_sum(const wc_box *box);

#endif
