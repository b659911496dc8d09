/* SPDX-License-Identifier: BSD-3-Clause */
#include "part.h"

#include "trailer.h"

#include <stdlib.h>
#include <string.h>

enum { PIECE_BLOCKS = 16, PIECE = PIECE_BLOCKS * WC_BLOCK_BYTES };

wc_part wc_part_of_box(const wc_box *box, const uint64_t *chunk, uint64_t each, uint64_t offset) {
    wc_part part = {
        .box = *box, .offset = offset, .each = each, .bytes = wc_box_elements(box) * each};
    memcpy(part.chunk, chunk, box->ndims * sizeof *chunk);
    return part;
}

wc_part wc_part_of_line(uint64_t first, uint64_t count, uint64_t each, uint64_t offset) {
    uint64_t end = first + count;
    wc_box box = {.ndims = 1, .global = {end}, .offset = {first}, .local = {count}};
    return wc_part_of_box(&box, &end, each, offset);
}

uint64_t wc_part_place(const wc_part *part) {
    uint64_t place = 0, bytes;
    wc_box_walk walk;
    wc_box_walk_begin(&walk, &part->box, part->chunk, part->each);
    wc_box_walk_next(&walk, &place, &bytes);
    return part->offset + place;
}

/* `bytes` of the part from `from` on. */
static wc_status read_bytes(int fd, const char *path, const wc_part *part, uint64_t from,
                            size_t bytes, char *to, wc_error *error) {
    uint64_t place, together;
    wc_box_walk walk;
    wc_status status = WC_OK;
    wc_box_walk_begin(&walk, &part->box, part->chunk, part->each);
    wc_box_walk_seek(&walk, from);
    while (bytes && status == WC_OK && wc_box_walk_next(&walk, &place, &together)) {
        size_t n = together < bytes ? (size_t)together : bytes;
        status = wc_read_all(fd, path, to, n, part->offset + place, error);
        to += n;
        bytes -= n;
    }
    return status;
}

wc_status wc_part_read(int fd, const char *path, const wc_part *part, uint64_t first,
                       uint64_t blocks, void *to, uint64_t *hashes, wc_error *error) {
    char *buffer = to ? NULL : malloc(PIECE), *out = to ? to : buffer;
    wc_status status = WC_OK;
    if (!out)
        return wc_error_set(error, WC_ERR_MEMORY, "no memory to read %.300s", path);
    uint64_t at = first * WC_BLOCK_BYTES, end = at + blocks * WC_BLOCK_BYTES;
    end = end < part->bytes ? end : part->bytes;
    while (at < end && status == WC_OK) {
        size_t n = end - at < PIECE ? (size_t)(end - at) : PIECE;
        status = read_bytes(fd, path, part, at, n, out, error);
        if (hashes && status == WC_OK)
            wc_block_hashes(out, n, hashes);
        hashes = hashes ? hashes + PIECE_BLOCKS : NULL;
        out = to ? out + n : buffer;
        at += n;
    }
    free(buffer);
    return status;
}
