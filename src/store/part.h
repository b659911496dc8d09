/* SPDX-License-Identifier: BSD-3-Clause */
/* What one rank has of an array, or a message: where it lies in the file, and how it is read, block by block. Reading
 * says what is there; whether that is right, the caller judges by the hashes. */
#ifndef WC_STORE_PART_H
#define WC_STORE_PART_H

#include "block.h"
#include "box.h"
#include "bytes.h"

/* Bytes in an order of their own, that of a box, and where they lie in the file. */
typedef struct wc_part {
    wc_box box;
    uint64_t chunk[WC_BOX_DIMS];
    uint64_t offset; /* in the file, of what the box is a part of: its first element or chunk */
    uint64_t each;   /* bytes of an element */
    uint64_t bytes;  /* of the part */
} wc_part;

wc_part wc_part_of_box(const wc_box *box, const uint64_t *chunk, uint64_t each, uint64_t offset);

/* `count` elements from `first` on, which stand together. */
wc_part wc_part_of_line(uint64_t first, uint64_t count, uint64_t each, uint64_t offset);

/* File offset of its first byte; it has one. */
uint64_t wc_part_place(const wc_part *part);

/*
 * Reads `blocks` blocks of a part from block `first` on, into `to` (NULL: nowhere), and hashes them into hashes [blocks]
 * (NULL: it doesn't); if they are many, with several threads. Errors: IO, DAMAGED (the file ends before), MEMORY.
 */
wc_status wc_part_read(const wc_input *input, const wc_part *part, uint64_t first, uint64_t blocks,
                       void *to, uint64_t *hashes, wc_error *error);

#endif
