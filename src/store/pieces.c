/* SPDX-License-Identifier: BSD-3-Clause */
#include "pieces.h"

#include "hash.h"
#include "part.h"
#include "reader.h"

#include <stdlib.h>
#include <string.h>

/* Blocks in a piece: 32 MiB, several threads read them. Elements of all types fill it, those of 432 bytes (27 x 16) too. */
enum { PIECE_BLOCKS = 19 * 27, PIECE = PIECE_BLOCKS * WC_BLOCK_BYTES };

_Static_assert(PIECE % sizeof(wc_request_row) == 0, "elements are not cut");

/*
 * Part by part: one rank's, all ranks', or the bytes of a message. Or slab by slab: those elements of a global array that have
 * the indices at[0] to at[axis - 1] on its first axes and `length` of them, from at[axis], on the next one. They stand together
 * in the array's order.
 */
struct wc_pieces {
    wc_reader *reader;
    size_t array;
    wc_index_row *rows; /* of all ranks; NULL: it is a message */
    uint32_t rank, end; /* parts: the next rank, and the one behind the last */
    uint64_t block;     /* of that part, or of the message */
    bool slabs, over;   /* over: there is no further slab */
    uint32_t axis;
    uint64_t length, inner; /* bytes of a slab with the length 1 */
    uint64_t at[WC_BOX_DIMS];
    wc_part message;
    wc_message_row row;
    XXH3_state_t *hash; /* of the message's blocks */
    uint64_t bytes;
    char *piece;
};

/* ---- parts ---- */

static const wc_array *array_of(const wc_pieces *s) {
    return &s->reader->arrays[s->array];
}

static wc_status next_of_parts(wc_pieces *s, size_t *bytes, wc_error *error) {
    uint64_t each = wc_type_bytes(array_of(s)->type);
    *bytes = 0;
    for (; s->rank < s->end && s->block >= wc_blocks(s->rows[s->rank].count * each); s->rank++)
        s->block = 0;
    if (s->rank == s->end)
        return WC_OK;
    const wc_index_row *row = &s->rows[s->rank];
    uint64_t left = wc_blocks(row->count * each) - s->block;
    uint64_t n = left < PIECE_BLOCKS ? left : PIECE_BLOCKS;
    wc_status status =
        wc_reader_blocks(s->reader, s->array, s->rank, row, s->block, n, s->piece, error);
    *bytes = (size_t)wc_blocks_bytes(row->count * each, s->block, n);
    s->block += n;
    return status;
}

static wc_status next_of_message(wc_pieces *s, size_t *bytes, wc_error *error) {
    uint64_t hashes[PIECE_BLOCKS], blocks = wc_blocks(s->row.bytes), left = blocks - s->block;
    uint64_t n = left < PIECE_BLOCKS ? left : PIECE_BLOCKS, first = s->block;
    *bytes = 0;
    if (!n)
        return WC_OK;
    wc_input input = {s->reader->fd, -1, s->reader->path};
    wc_status status = wc_part_read(&input, &s->message, first, n, s->piece, hashes, error);
    if (status != WC_OK)
        return status;
    XXH3_64bits_update(s->hash, hashes, n * sizeof *hashes);
    s->block += n;
    if (s->block == blocks && XXH3_64bits_digest(s->hash) != s->row.checksum)
        return wc_reader_damaged(
            s->reader, error,
            "the message from rank %u to rank %u (tag %d, %llu bytes) is not what was "
            "written",
            s->row.source, s->row.destination, s->row.tag, (unsigned long long)s->row.bytes);
    *bytes = (size_t)wc_blocks_bytes(s->row.bytes, first, n);
    return WC_OK;
}

/* ---- slabs ---- */

static void step(wc_pieces *s, uint64_t length) {
    uint32_t axis = s->axis;
    s->at[axis] += length;
    while (s->at[axis] == array_of(s)->shape[axis]) {
        s->at[axis] = 0;
        if (axis == 0) {
            s->over = true;
            return;
        }
        s->at[--axis]++;
    }
}

static wc_status next_of_slabs(wc_pieces *s, size_t *bytes, wc_error *error) {
    *bytes = 0;
    if (s->over)
        return WC_OK;
    uint64_t left = array_of(s)->shape[s->axis] - s->at[s->axis];
    uint64_t length = left < s->length ? left : s->length;
    wc_box slab = {.ndims = array_of(s)->ndims};
    for (uint32_t d = 0; d < slab.ndims; d++) {
        slab.global[d] = array_of(s)->shape[d];
        slab.offset[d] = d <= s->axis ? s->at[d] : 0;
        slab.local[d] = d < s->axis ? 1 : d == s->axis ? length : slab.global[d];
    }
    wc_status status = wc_reader_gather(s->reader, s->array, s->rows, &slab, s->piece, error);
    *bytes = (size_t)(length * s->inner);
    step(s, length);
    return status;
}

static void choose_slabs(wc_pieces *s) {
    const wc_array *a = array_of(s);
    s->slabs = true;
    s->over = !a->total;
    s->length = 1;
    if (s->over)
        return;
    s->inner = wc_type_bytes(a->type);
    for (s->axis = a->ndims - 1; s->axis > 0 && s->inner * a->shape[s->axis] <= PIECE; s->axis--)
        s->inner *= a->shape[s->axis];
    s->length = PIECE / s->inner;
}

/* ---- making one ---- */

/* A part outside of the array is an error, and so is one that overlaps another. */
static wc_status check_rows(const wc_pieces *s, wc_error *error) {
    const wc_array *a = array_of(s);
    uint64_t sum = 0, count = 0;
    wc_box whole = {.ndims = a->ndims};
    memcpy(whole.global, a->shape, sizeof whole.global);
    for (uint32_t rank = 0; rank < s->reader->head.ranks; rank++) {
        wc_status status = wc_reader_check_row(s->reader, s->array, rank, &s->rows[rank], error);
        if (status != WC_OK)
            return status;
        wc_box box = wc_index_box(a, &s->rows[rank]);
        sum += a->ndims ? wc_box_sum(&box) : 0;
        if (s->rows[rank].count > a->total - count ||
            (!a->ndims && s->rows[rank].count && s->rows[rank].first != count))
            return wc_reader_damaged(s->reader, error, "/index/%s: the ranks' parts overlap",
                                     a->name);
        count += s->rows[rank].count;
    }
    if (count != a->total || (a->ndims && sum != wc_box_whole_sum(&whole)))
        return wc_reader_damaged(s->reader, error,
                                 "/index/%s: the ranks' parts don't fill the array", a->name);
    return WC_OK;
}

static wc_pieces *make(wc_reader *reader, wc_error *error) {
    wc_pieces *s = calloc(1, sizeof *s);
    if (s)
        s->piece = malloc(PIECE);
    if (s && s->piece) {
        s->reader = reader;
        return s;
    }
    free(s);
    wc_error_set(error, WC_ERR_MEMORY, "no memory to read %.300s", reader->path);
    return NULL;
}

wc_status wc_pieces_of_array(wc_reader *reader, size_t array, wc_pieces **pieces, wc_error *error) {
    wc_pieces *s = make(reader, error);
    if (!s)
        return WC_ERR_MEMORY;
    s->array = array;
    s->end = reader->head.ranks;
    s->bytes = array_of(s)->total * wc_type_bytes(array_of(s)->type);
    wc_status status = wc_reader_index_rows(reader, array, &s->rows, error);
    if (status == WC_OK)
        status = check_rows(s, error);
    if (status != WC_OK) {
        wc_pieces_close(s);
        return status;
    }
    if (array_of(s)->ndims)
        choose_slabs(s);
    *pieces = s;
    return WC_OK;
}

wc_status wc_pieces_select(wc_pieces *s, uint32_t rank, wc_error *error) {
    uint32_t ranks = s->reader->head.ranks;
    if (rank >= ranks)
        return wc_error_set(error, WC_ERR_ARGUMENT, "%.300s has %u ranks, from 0 on: none is rank %u",
                            s->reader->path, ranks, rank);
    s->bytes = s->rows[rank].count * wc_type_bytes(array_of(s)->type);
    s->slabs = false;
    s->rank = rank;
    s->end = rank + 1;
    s->block = 0;
    return WC_OK;
}

wc_status wc_pieces_of_message(wc_reader *reader, const wc_message_row *row, wc_pieces **pieces,
                            wc_error *error) {
    const wc_place *payload = &reader->tables[WC_TABLE_PAYLOAD];
    if (row->bytes > payload->count || row->offset > payload->count - row->bytes)
        return wc_reader_damaged(reader, error,
                                 "a message from rank %u to rank %u lies outside /channels/payload",
                                 row->source, row->destination);
    wc_pieces *s = make(reader, error);
    if (!s)
        return WC_ERR_MEMORY;
    s->row = *row;
    s->bytes = row->bytes;
    s->message = wc_part_of_line(row->offset, row->bytes, 1, payload->offset);
    s->hash = XXH3_createState();
    if (!s->hash) {
        wc_pieces_close(s);
        return wc_error_set(error, WC_ERR_MEMORY, "no memory to read %.300s", reader->path);
    }
    XXH3_64bits_reset(s->hash);
    *pieces = s;
    return WC_OK;
}

uint64_t wc_pieces_bytes(const wc_pieces *s) {
    return s->bytes;
}

wc_status wc_pieces_next(wc_pieces *s, const void **piece, size_t *bytes, wc_error *error) {
    *piece = s->piece;
    return !s->rows   ? next_of_message(s, bytes, error)
           : s->slabs ? next_of_slabs(s, bytes, error)
                      : next_of_parts(s, bytes, error);
}

void wc_pieces_close(wc_pieces *s) {
    if (!s)
        return;
    XXH3_freeState(s->hash);
    free(s->rows);
    free(s->piece);
    free(s);
}
