/* SPDX-License-Identifier: BSD-3-Clause */
#include "part.h"

#include "worker.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
    PIECE = 16 * WC_BLOCK_BYTES, /* read, then hashed: still in the cache */
    LARGE = 4 * PIECE, /* likewise, around the page cache: each read waits for the disk once */
    THREADS = 4,       /* requests under way at once, as in writer.c */
    ALONE = 8 * PIECE  /* below, threads cost more than they save */
};

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
static wc_status read_bytes(const wc_input *input, const wc_part *part, uint64_t from, size_t bytes,
                            char *to, wc_error *error) {
    uint64_t place, together;
    wc_box_walk walk;
    wc_status status = WC_OK;
    wc_box_walk_begin(&walk, &part->box, part->chunk, part->each);
    wc_box_walk_seek(&walk, from);
    while (bytes && status == WC_OK && wc_box_walk_next(&walk, &place, &together)) {
        size_t n = together < bytes ? (size_t)together : bytes;
        status = wc_read_input(input, to, n, part->offset + place, error);
        to += n;
        bytes -= n;
    }
    return status;
}

/* ---- several threads ---- */

/* What the threads share; each takes the next piece. */
typedef struct wc_read {
    const wc_input *input;
    const wc_part *part;
    uint64_t from, end; /* bytes of the part */
    size_t piece;
    char *to;
    uint64_t *hashes;
    atomic_uint_fast64_t next;
    atomic_bool failed;
    pthread_mutex_t lock;
    wc_error error; /* of the piece at error_at, the first one in the part as far as is known */
    uint64_t error_at;
} wc_read;

static void note_error(wc_read *r, uint64_t at, const wc_error *error) {
    pthread_mutex_lock(&r->lock);
    if (!r->failed || at < r->error_at) {
        r->error = *error;
        r->error_at = at;
    }
    r->failed = true;
    pthread_mutex_unlock(&r->lock);
}

static wc_status read_piece(wc_read *r, uint64_t at, char *buffer, wc_error *error) {
    size_t n = r->end - at < r->piece ? (size_t)(r->end - at) : r->piece;
    char *to = r->to ? r->to + (at - r->from) : buffer;
    wc_status status = read_bytes(r->input, r->part, at, n, to, error);
    if (status == WC_OK && r->hashes)
        wc_block_hashes(to, n, r->hashes + (at - r->from) / WC_BLOCK_BYTES);
    return status;
}

static void *read_pieces(void *context) {
    wc_read *r = context;
    wc_error error = {WC_OK, ""};
    char *buffer = r->to ? NULL : malloc(PIECE);
    if (!r->to && !buffer)
        wc_error_set(&error, WC_ERR_MEMORY, "no memory to read %.300s", r->input->path);
    uint64_t at = r->from;
    while (error.status == WC_OK && !r->failed &&
           (at = atomic_fetch_add(&r->next, r->piece)) < r->end)
        read_piece(r, at, buffer, &error);
    if (error.status != WC_OK)
        note_error(r, at, &error);
    free(buffer);
    return NULL;
}

/* So many beside the caller's; fewer, if no more can be started. */
static int start_threads(wc_read *r, pthread_t *threads, int most) {
    int started = 0;
    while (started < most && wc_worker_start(&threads[started], read_pieces, r) == 0)
        started++;
    return started;
}

wc_status wc_part_read(const wc_input *input, const wc_part *part, uint64_t first, uint64_t blocks,
                       void *to, uint64_t *hashes, wc_error *error) {
    wc_read r = {.input = input, .part = part, .to = to, .hashes = hashes};
    pthread_t threads[THREADS - 1];
    r.from = first * WC_BLOCK_BYTES;
    r.end = r.from + blocks * WC_BLOCK_BYTES;
    r.end = r.end < part->bytes ? r.end : part->bytes;
    r.piece = to && input->direct >= 0 ? LARGE : PIECE;
    r.next = r.from;
    pthread_mutex_init(&r.lock, NULL);
    int started = start_threads(&r, threads, r.end - r.from < ALONE ? 0 : THREADS - 1);
    read_pieces(&r);
    for (int i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    pthread_mutex_destroy(&r.lock);
    return r.failed ? wc_error_set(error, r.error.status, "%s", r.error.text) : WC_OK;
}
