/* SPDX-License-Identifier: BSD-3-Clause */
/* A part of a global array, from the parts of all that wrote it. These have the hashes, of their blocks: so what is read are blocks. */
#include "reader.h"

#include <stdlib.h>
#include <string.h>

enum { WINDOW = 256 }; /* blocks that are read at once, at the most */

typedef struct wc_gather {
    wc_reader *reader;
    size_t array;
    uint64_t each; /* bytes of an element */
    char *to;      /* NULL: it is only checked */
    uint64_t done; /* bytes of what is wanted */

    uint32_t rank; /* whose part is being read */
    const wc_index_row *row;
    char *window; /* its bytes begin..end */
    uint64_t begin, end;
} wc_gather;

/* What two boxes of one array share, as a part of each; false: nothing. */
static bool share(const wc_box *a, const wc_box *b, wc_box *in_a, wc_box *in_b) {
    in_a->ndims = in_b->ndims = a->ndims;
    for (uint32_t d = 0; d < a->ndims; d++) {
        uint64_t a_end = a->offset[d] + a->local[d], b_end = b->offset[d] + b->local[d];
        uint64_t from = a->offset[d] > b->offset[d] ? a->offset[d] : b->offset[d];
        uint64_t end = a_end < b_end ? a_end : b_end;
        if (from >= end)
            return false;
        in_a->global[d] = a->local[d];
        in_b->global[d] = b->local[d];
        in_a->offset[d] = from - a->offset[d];
        in_b->offset[d] = from - b->offset[d];
        in_a->local[d] = in_b->local[d] = end - from;
    }
    return true;
}

/* Reads the blocks that `bytes` at `place` are in, and those of what `walk` comes to next, as long as no block between is left out. */
static wc_status load(wc_gather *g, uint64_t place, uint64_t bytes, const wc_box_walk *walk,
                      wc_error *error) {
    wc_box_walk ahead = *walk;
    uint64_t first = place / WC_BLOCK_BYTES, end = wc_blocks(place + bytes);
    while (end - first < WINDOW && wc_box_walk_next(&ahead, &place, &bytes) &&
           place / WC_BLOCK_BYTES <= end)
        end = wc_blocks(place + bytes);
    end = end - first < WINDOW ? end : first + WINDOW;
    g->begin = first * WC_BLOCK_BYTES;
    g->end = end * WC_BLOCK_BYTES;
    return wc_reader_blocks(g->reader, g->array, g->rank, g->row, first, end - first, g->window,
                            error);
}

/* `part`: what is wanted of this rank's part; `place`: where that is in what is wanted. Both are in the same order. */
static wc_status take(wc_gather *g, const wc_box *part, const wc_box *place, wc_error *error) {
    wc_box_walk from, to;
    uint64_t at = 0, left = 0, onto = 0, room = 0;
    wc_box_walk_begin(&from, part, part->global, g->each);
    wc_box_walk_begin(&to, place, place->global, g->each);
    g->begin = g->end = 0;
    while (left || wc_box_walk_next(&from, &at, &left)) {
        if (!room)
            wc_box_walk_next(&to, &onto, &room);
        if (at >= g->end && load(g, at, left, &from, error) != WC_OK)
            return error->status;
        uint64_t n = left < room ? left : room;
        n = n < g->end - at ? n : g->end - at;
        if (g->to)
            memcpy(g->to + onto, g->window + (at - g->begin), n);
        at += n;
        left -= n;
        onto += n;
        room -= n;
        g->done += n;
    }
    return WC_OK;
}

static wc_status take_from_all(wc_gather *g, const wc_index_row *rows, const wc_box *wanted,
                               wc_error *error) {
    const wc_array *a = &g->reader->arrays[g->array];
    wc_status status = WC_OK;
    for (g->rank = 0; g->rank < g->reader->head.ranks && status == WC_OK; g->rank++) {
        g->row = &rows[g->rank];
        wc_box its = wc_index_box(a, g->row), part, place;
        if (g->row->count && share(&its, wanted, &part, &place))
            status = take(g, &part, &place, error);
    }
    if (status != WC_OK || g->done == wc_box_elements(wanted) * g->each)
        return status;
    return wc_reader_damaged(g->reader, error, "/index/%s: the ranks' parts don't fill the array",
                             a->name);
}

wc_status wc_reader_gather(wc_reader *r, size_t array, const wc_index_row *rows, const wc_box *part,
                           void *to, wc_error *error) {
    wc_gather g = {
        .reader = r, .array = array, .each = wc_type_bytes(r->arrays[array].type), .to = to};
    g.window = malloc((size_t)WINDOW * WC_BLOCK_BYTES);
    if (!g.window)
        return wc_error_set(error, WC_ERR_MEMORY, "no memory to read %.300s", r->path);
    wc_status status = take_from_all(&g, rows, part, error);
    free(g.window);
    return status;
}

wc_status wc_reader_part(wc_reader *r, size_t array, const wc_box *part, void *to,
                         wc_error *error) {
    const wc_array *a = &r->arrays[array];
    uint64_t count;
    wc_index_row *rows;
    if (!a->ndims || part->ndims != a->ndims || !wc_box_check(part, &count) ||
        memcmp(part->global, a->shape, a->ndims * sizeof *a->shape) != 0)
        return wc_error_set(error, WC_ERR_ARGUMENT, "\"%s\" has another shape in %.250s", a->name,
                            r->path);
    wc_status status = count ? wc_reader_index_rows(r, array, &rows, error) : WC_OK;
    if (status != WC_OK || !count)
        return status;
    for (uint32_t rank = 0; rank < r->head.ranks && status == WC_OK; rank++)
        status = wc_reader_check_row(r, array, rank, &rows[rank], error);
    if (status == WC_OK)
        status = wc_reader_gather(r, array, rows, part, to, error);
    free(rows);
    return status;
}
