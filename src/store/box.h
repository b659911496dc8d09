/* SPDX-License-Identifier: BSD-3-Clause */
/* A rank's part of a global array: a box, and where its elements lie in the file. */
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

/*
 * A global array lies in the file in chunks of one shape, each row-major and at its full size, one after the other in the
 * row-major order of their grid. One that is contiguous is a single chunk.
 *
 * The way through the pieces of a box, in the box's own order: elements that stand together in the file.
 */
typedef struct wc_box_walk {
    const wc_box *box;
    const uint64_t *chunk;
    uint64_t each, step; /* bytes of an element, and from one chunk to the next */
    uint32_t
        axes; /* along which pieces follow each other: behind them the box has all of its chunk */
    uint64_t slice; /* bytes of all elements behind these axes */
    uint64_t at[WC_BOX_DIMS];
    uint64_t skip; /* bytes of the next piece that are left out */
    bool over;
} wc_box_walk;

/* *count: elements of the box. False: it isn't inside the global array, or that is larger than 2^63. */
bool wc_box_check(const wc_box *box, uint64_t *count);

uint64_t wc_box_elements(const wc_box *box);
uint64_t wc_box_whole(const wc_box *box); /* elements of the global array */

uint64_t
wc_box_first(const wc_box *box); /* elements of the global array before its first one; it has one */

/* Both are kept: `box`, and `chunk`, the shape of the chunks. `each`: bytes of an element. */
void wc_box_walk_begin(wc_box_walk *walk, const wc_box *box, const uint64_t *chunk, uint64_t each);

/* Goes to the byte `from` of the box, in its own order; it has more. */
void wc_box_walk_seek(wc_box_walk *walk, uint64_t from);

/* The next piece: bytes from the first chunk's beginning on. False: there is none. */
bool wc_box_walk_next(wc_box_walk *walk, uint64_t *place, uint64_t *bytes);

/* From one chunk to the next in bytes: each begins on a page of the file. So chunks have a page at least. */
uint64_t wc_chunk_step(uint64_t bytes);

/*
 * A number for a box such that those of boxes add up (modulo 2^64) to that of the whole, wc_box_whole_sum, if and, but
 * for a chance of 2^-64, only if they fill it, each element once. A box is the sum of its corners, with signs: what two
 * boxes share, or leave between them, has corners of its own.
 */
uint64_t wc_box_sum(const wc_box *box);
uint64_t wc_box_whole_sum(const wc_box *box);

#endif
