/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An array or a message from its first byte to its last, in pieces of bounded size: what is larger than the memory can be
 * compared and copied. A piece is checked before it is handed out.
 */
#ifndef WC_STORE_PIECES_H
#define WC_STORE_PIECES_H

#include "store.h"

typedef struct wc_pieces wc_pieces;

/*
 * All of an array in the order of /state/NAME: a global one row-major, another one rank after rank. The caller closes it.
 * Errors: DAMAGED (the ranks' parts don't make up the array), IO, MEMORY.
 */
wc_status wc_pieces_of_array(wc_reader *reader, size_t array, wc_pieces **pieces, wc_error *error);

/* From now on what this rank has of it, in the order of its memory; nothing, if it doesn't have the array. Errors: ARGUMENT (there
 * is no such rank). */
wc_status wc_pieces_select(wc_pieces *pieces, uint32_t rank, wc_error *error);

/* A message has one checksum for all of it: only its last piece is held back if they are not what was written. Errors: likewise. */
wc_status wc_pieces_of_message(wc_reader *reader, const wc_message_row *row, wc_pieces **pieces,
                            wc_error *error);

uint64_t wc_pieces_bytes(const wc_pieces *pieces); /* of all its pieces together */

/*
 * The next piece: whole elements, valid until the next call. *bytes 0: there is none. Those of two global arrays of one shape and
 * type have pieces of the same sizes, and so have those of ranks' parts with as many elements. Errors: DAMAGED, IO, MEMORY.
 */
wc_status wc_pieces_next(wc_pieces *pieces, const void **piece, size_t *bytes, wc_error *error);

void wc_pieces_close(wc_pieces *pieces); /* NULL: nothing */

#endif
