/* SPDX-License-Identifier: BSD-3-Clause */
#include "contents.h"

#include "store/pieces.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <stdlib.h>
#include <string.h>

static void add(XXH3_state_t *hash, const void *bytes, size_t n) {
    XXH3_64bits_update(hash, bytes, n);
}

static void add_number(XXH3_state_t *hash, uint64_t number) {
    add(hash, &number, sizeof number);
}

static void add_text(XXH3_state_t *hash, const char *text) {
    add(hash, text, strlen(text) + 1);
}

static void add_head(XXH3_state_t *hash, const wc_snapshot_head *h) {
    add_number(hash, h->id);
    add_number(hash, h->parent_id);
    add_number(hash, h->run_id);
    add_number(hash, h->ranks);
    add_number(hash, h->immediate);
    add_number(hash, h->initiator);
    add(hash, &h->time, sizeof h->time);
    add_text(hash, h->mpi_library);
    add_text(hash, h->program);
    add_text(hash, h->version);
}

/* One rank's elements, and the same by place where the array has places. */
static wc_status add_part(XXH3_state_t *hash, wc_reader *reader, size_t i, const wc_array *array,
                          uint32_t rank, wc_error *error) {
    wc_index_row row;
    wc_status status = wc_reader_index(reader, i, rank, &row, error);
    if (status != WC_OK)
        return status;
    add_number(hash, row.first);
    add_number(hash, row.count);
    add_number(hash, row.present);
    add(hash, row.box, sizeof row.box);
    size_t bytes = (size_t)(row.count * wc_type_bytes(array->type));
    char *elements = malloc(bytes + 1);
    if (!elements)
        return wc_error_set(error, WC_ERR_MEMORY, "no memory for %zu bytes", bytes);
    status = wc_reader_extent(reader, i, rank, elements, error);
    if (status == WC_OK)
        add(hash, elements, bytes);
    if (status == WC_OK && array->ndims && row.present) {
        wc_box box = wc_index_box(array, &row);
        status = wc_reader_part(reader, i, &box, elements, error);
        add(hash, elements, bytes);
    }
    free(elements);
    return status;
}

static wc_status add_all_pieces(XXH3_state_t *hash, wc_pieces *pieces, wc_error *error) {
    const void *piece;
    size_t bytes;
    wc_status status;
    while ((status = wc_pieces_next(pieces, &piece, &bytes, error)) == WC_OK && bytes)
        add(hash, piece, bytes);
    return status;
}

/* The whole array in its own order, then what each rank has of it, as the commands read them. */
static wc_status add_pieces(XXH3_state_t *hash, wc_reader *reader, size_t i, wc_error *error) {
    wc_pieces *pieces;
    wc_status status = wc_pieces_of_array(reader, i, &pieces, error);
    if (status != WC_OK)
        return status;
    status = add_all_pieces(hash, pieces, error);
    for (uint32_t rank = 0; rank < wc_reader_head(reader)->ranks && status == WC_OK; rank++) {
        status = wc_pieces_select(pieces, rank, error);
        if (status == WC_OK)
            status = add_all_pieces(hash, pieces, error);
    }
    wc_pieces_close(pieces);
    return status;
}

static wc_status add_arrays(XXH3_state_t *hash, wc_reader *reader, wc_error *error) {
    const wc_array *arrays;
    size_t n = wc_reader_arrays(reader, &arrays);
    uint32_t ranks = wc_reader_head(reader)->ranks;
    wc_status status = WC_OK;
    for (size_t i = 0; i < n && status == WC_OK; i++) {
        add_text(hash, arrays[i].name);
        add_number(hash, arrays[i].type);
        add_number(hash, arrays[i].ndims);
        add_number(hash, arrays[i].total);
        add(hash, arrays[i].shape, sizeof arrays[i].shape);
        for (uint32_t rank = 0; rank < ranks && status == WC_OK; rank++)
            status = add_part(hash, reader, i, &arrays[i], rank, error);
        if (status == WC_OK)
            status = add_pieces(hash, reader, i, error);
    }
    return status;
}

static wc_status add_message(XXH3_state_t *hash, wc_reader *reader, const wc_message_row *row,
                             wc_error *error) {
    wc_status status = wc_reader_payload(reader, row, NULL, error); /* is there so much? */
    if (status != WC_OK)
        return status;
    char *bytes = malloc(row->bytes + 1);
    if (!bytes)
        return wc_error_set(error, WC_ERR_MEMORY, "no memory for a message");
    status = wc_reader_payload(reader, row, bytes, error);
    if (status == WC_OK)
        add(hash, bytes, row->bytes);
    free(bytes);
    wc_pieces *pieces;
    if (status != WC_OK || (status = wc_pieces_of_message(reader, row, &pieces, error)) != WC_OK)
        return status;
    status = add_all_pieces(hash, pieces, error);
    wc_pieces_close(pieces);
    return status;
}

static wc_status add_messages(XXH3_state_t *hash, wc_reader *reader, wc_error *error) {
    wc_message_row *rows = NULL;
    size_t count = 0;
    wc_status status = wc_reader_messages(reader, &rows, &count, error);
    for (size_t i = 0; i < count && status == WC_OK; i++) {
        add(hash, &rows[i], sizeof rows[i]);
        status = add_message(hash, reader, &rows[i], error);
    }
    free(rows);
    return status;
}

#define ADD_TABLE(type, read)                                                                      \
    static wc_status add_##read(XXH3_state_t *hash, wc_reader *reader, wc_error *error) {          \
        type *rows = NULL;                                                                         \
        size_t count = 0;                                                                          \
        wc_status status = wc_reader_##read(reader, &rows, &count, error);                         \
        add_number(hash, count);                                                                   \
        if (status == WC_OK)                                                                       \
            add(hash, rows, count * sizeof *rows);                                                 \
        free(rows);                                                                                \
        return status;                                                                             \
    }

ADD_TABLE(wc_rank_row, ranks)
ADD_TABLE(wc_counter_row, counters)
ADD_TABLE(wc_comm_row, communicators)
ADD_TABLE(uint32_t, members)
ADD_TABLE(wc_event_index_row, event_index)
ADD_TABLE(wc_stream_row, streams)

static wc_status add_events(XXH3_state_t *hash, wc_reader *reader, wc_error *error) {
    wc_channel_sizes sizes;
    wc_event_row row;
    wc_status status = WC_OK;
    wc_reader_sizes(reader, &sizes);
    for (uint64_t i = 0; i < sizes.events && status == WC_OK; i++) {
        status = wc_reader_events_at(reader, i, 1, &row, error);
        add(hash, &row, sizeof row);
    }
    return status;
}

wc_status contents_read(const char *path, uint64_t *digest, wc_error *error) {
    XXH3_state_t hash;
    wc_reader *reader;
    wc_status (*const parts[])(XXH3_state_t *, wc_reader *, wc_error *) = {
        add_arrays,   add_ranks,       add_counters, add_communicators, add_members,
        add_messages, add_event_index, add_events,   add_streams};
    wc_status status = wc_reader_open(path, &reader, error);
    if (status != WC_OK)
        return status;
    XXH3_64bits_reset(&hash);
    add_head(&hash, wc_reader_head(reader));
    for (size_t i = 0; i < sizeof parts / sizeof *parts && status == WC_OK; i++)
        status = parts[i](&hash, reader, error);
    *digest = XXH3_64bits_digest(&hash);
    wc_reader_close(reader);
    return status;
}

wc_status contents_verify(const char *path, wc_error *error) {
    wc_reader *reader;
    wc_verdict verdict = {0};
    wc_status status = wc_reader_open(path, &reader, error);
    if (status != WC_OK)
        return status;
    status = wc_reader_verify(reader, &verdict, error);
    if (status == WC_OK && verdict.failures)
        status = wc_error_set(error, WC_ERR_DAMAGED, "%s", verdict.first_failure);
    wc_reader_close(reader);
    return status;
}
