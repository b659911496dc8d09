/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader.h"

#include "hash.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE = 1 << 20 };

wc_status wc_reader_damaged(const wc_reader *r, wc_error *error, const char *format, ...) {
    char what[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    return wc_error_set(error, WC_ERR_DAMAGED, "%.300s is damaged: %s", r->path, what);
}

/* ---- open and close ---- */

static wc_status open_file(wc_reader *r, wc_error *error) {
    struct stat s;
    r->fd = open(r->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (r->fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return wc_error_set(error, WC_ERR_NOT_FOUND, "there is no file %.300s", r->path);
    if (r->fd < 0 || fstat(r->fd, &s) < 0)
        return wc_error_set(error, WC_ERR_IO, "%.300s can't be opened: %m", r->path);
    if (!S_ISREG(s.st_mode))
        return wc_error_set(error, WC_ERR_NOT_FOUND, "%.300s is no snapshot, it is no file",
                            r->path);
    return WC_OK;
}

wc_status wc_reader_open(const char *path, wc_reader **reader, wc_error *error) {
    wc_reader *r = calloc(1, sizeof *r);
    char *own = strdup(path);
    if (!r || !own) {
        free(r);
        free(own);
        return wc_error_set(error, WC_ERR_MEMORY, "no memory to read %.300s", path);
    }
    r->fd = -1;
    r->path = own;
    wc_status status = open_file(r, error);
    if (status == WC_OK)
        status = wc_trailer_read(r->fd, r->path, &r->trailer, error);
    if (status == WC_OK)
        status = wc_reader_scan(r, error);
    if (status == WC_OK)
        *reader = r;
    else
        wc_reader_close(r);
    return status;
}

void wc_reader_close(wc_reader *r) {
    if (r->fd >= 0)
        close(r->fd);
    wc_trailer_free(&r->trailer);
    free(r->mpi_library);
    free(r->program);
    free(r->version);
    free(r->arrays);
    free(r->data);
    free(r->index);
    free(r->path);
    free(r);
}

const wc_snapshot_head *wc_reader_head(const wc_reader *r) {
    return &r->head;
}

size_t wc_reader_arrays(const wc_reader *r, const wc_array **arrays) {
    *arrays = r->arrays;
    return r->count;
}

/* ---- tables ---- */

static wc_status rows_of(wc_reader *r, const wc_place *place, const char *what, size_t each,
                         void **rows, wc_error *error) {
    /* The place was checked against the file: no overflow. */
    size_t bytes = (size_t)(place->count * each);
    void *found = malloc(bytes ? bytes : 1);
    if (!found)
        return wc_error_set(error, WC_ERR_MEMORY, "no memory for %.200s of %.250s", what, r->path);
    wc_status status =
        wc_trailer_rows(&r->trailer, r->fd, r->path, what, place->offset, bytes, found, error);
    if (status == WC_OK)
        *rows = found;
    else
        free(found);
    return status;
}

wc_status wc_reader_rows(wc_reader *r, wc_table table, void **rows, size_t *count,
                         wc_error *error) {
    wc_status status =
        rows_of(r, &r->tables[table], wc_table_path(table), wc_table_row_bytes(table), rows, error);
    if (status == WC_OK)
        *count = (size_t)r->tables[table].count;
    return status;
}

wc_status wc_reader_ranks(wc_reader *r, wc_rank_row **rows, size_t *count, wc_error *error) {
    void *found = NULL;
    wc_status status = wc_reader_rows(r, WC_TABLE_RANKS, &found, count, error);
    if (status != WC_OK)
        return status;
    *rows = found;
    for (size_t i = 0; i < *count; i++)
        (*rows)[i].host[WC_HOST_BYTES - 1] = '\0';
    return WC_OK;
}

wc_status wc_reader_counters(wc_reader *r, wc_counter_row **rows, size_t *count, wc_error *error) {
    void *found = NULL;
    wc_status status = wc_reader_rows(r, WC_TABLE_COUNTERS, &found, count, error);
    if (status == WC_OK)
        *rows = found;
    return status;
}

wc_status wc_reader_messages(wc_reader *r, wc_message_row **rows, size_t *count, wc_error *error) {
    void *found = NULL;
    wc_status status = wc_reader_rows(r, WC_TABLE_MESSAGES, &found, count, error);
    if (status == WC_OK)
        *rows = found;
    return status;
}

wc_status wc_reader_members(wc_reader *r, uint32_t **members, size_t *count, wc_error *error) {
    void *found = NULL;
    wc_status status = wc_reader_rows(r, WC_TABLE_MEMBERS, &found, count, error);
    if (status == WC_OK)
        *members = found;
    return status;
}

wc_status wc_reader_communicators(wc_reader *r, wc_comm_row **rows, size_t *count,
                                  wc_error *error) {
    void *found = NULL;
    wc_status status = wc_reader_rows(r, WC_TABLE_COMMUNICATORS, &found, count, error);
    if (status != WC_OK)
        return status;
    *rows = found;
    for (size_t i = 0; i < *count; i++)
        (*rows)[i].how[sizeof(*rows)[i].how - 1] = '\0';
    return WC_OK;
}

/* ---- index ---- */

/* Is it a part of the array at all? */
static bool is_inside(const wc_array *array, const wc_index_row *row) {
    uint64_t total = array->total, count;
    if (row->present > 1 || (!row->present && row->count))
        return false;
    if (!array->ndims)
        return row->count <= total && (!row->count || row->first <= total - row->count);
    wc_box box = wc_index_box(array, row);
    return !row->present || (wc_box_check(&box, &count) && count == row->count &&
                             row->first == wc_index_row_of(&box).first);
}

static wc_status check_index(const wc_reader *r, size_t array, uint32_t rank,
                             const wc_index_row *row, wc_error *error) {
    if (is_inside(&r->arrays[array], row))
        return WC_OK;
    return wc_reader_damaged(r, error, "/index/%s puts rank %u outside the array",
                             r->arrays[array].name, rank);
}

wc_status wc_reader_index(wc_reader *r, size_t array, uint32_t rank, wc_index_row *row,
                          wc_error *error) {
    wc_index_row found = {0};
    char what[WC_STORE_NAME_BYTES + 16];
    if (array >= r->count || rank >= r->head.ranks)
        return wc_error_set(error, WC_ERR_ARGUMENT, "%.300s has no array %zu of rank %u", r->path,
                            array, rank);
    size_t bytes = wc_index_bytes(r->arrays[array].ndims);
    snprintf(what, sizeof what, "/index/%s", r->arrays[array].name);
    wc_status status =
        wc_trailer_rows(&r->trailer, r->fd, r->path, what,
                        r->index[array].offset + (uint64_t)rank * bytes, bytes, &found, error);
    if (status == WC_OK)
        status = check_index(r, array, rank, &found, error);
    if (status == WC_OK)
        *row = found;
    return status;
}

wc_status wc_reader_index_rows(wc_reader *r, size_t array, wc_index_row **rows, wc_error *error) {
    char what[WC_STORE_NAME_BYTES + 16];
    void *found = NULL;
    size_t bytes = wc_index_bytes(r->arrays[array].ndims);
    snprintf(what, sizeof what, "/index/%s", r->arrays[array].name);
    wc_status status = rows_of(r, &r->index[array], what, bytes, &found, error);
    if (status != WC_OK)
        return status;
    *rows = calloc(r->head.ranks, sizeof **rows);
    for (uint32_t i = 0; i < r->head.ranks && *rows; i++)
        memcpy(*rows + i, (char *)found + i * bytes, bytes);
    free(found);
    return *rows ? WC_OK
                 : wc_error_set(error, WC_ERR_MEMORY, "no memory for %.200s of %.250s", what,
                                r->path);
}

/* ---- bytes ---- */

/* What reads a rank's bytes: hashes them, and puts them into `to`, or through a buffer (`to` NULL). */
typedef struct wc_intake {
    wc_reader *reader;
    char *to, *buffer;
    XXH3_state_t state;
} wc_intake;

static wc_status begin_intake(wc_intake *in, wc_reader *r, void *to, wc_error *error) {
    *in = (wc_intake){.reader = r, .to = to, .buffer = to ? NULL : malloc(PIECE)};
    XXH3_64bits_reset(&in->state);
    return to || in->buffer
               ? WC_OK
               : wc_error_set(error, WC_ERR_MEMORY, "no memory to read %.300s", r->path);
}

static wc_status take_in(wc_intake *in, uint64_t from, uint64_t bytes, wc_error *error) {
    wc_status status = WC_OK;
    while (bytes && status == WC_OK) {
        size_t n = bytes < PIECE ? (size_t)bytes : PIECE;
        char *piece = in->to ? in->to : in->buffer;
        status = wc_read_all(in->reader->fd, in->reader->path, piece, n, from, error);
        if (status == WC_OK)
            XXH3_64bits_update(&in->state, piece, n);
        in->to = in->to ? in->to + n : NULL;
        from += n;
        bytes -= n;
    }
    return status;
}

static uint64_t end_intake(wc_intake *in) {
    free(in->buffer);
    return XXH3_64bits_digest(&in->state);
}

static wc_status read_hashed(wc_reader *r, uint64_t from, uint64_t bytes, void *to, uint64_t *hash,
                             wc_error *error) {
    wc_intake in;
    wc_status status = begin_intake(&in, r, to, error);
    if (status == WC_OK)
        status = take_in(&in, from, bytes, error);
    *hash = end_intake(&in);
    return status;
}

/* The elements of a box in its own order. */
static wc_status read_box(wc_reader *r, size_t array, const wc_box *box, void *to, uint64_t *hash,
                          wc_error *error) {
    uint64_t place, bytes;
    wc_box_walk walk;
    wc_intake in;
    wc_status status = begin_intake(&in, r, to, error);
    wc_box_walk_begin(&walk, box, r->arrays[array].chunk, wc_type_bytes(r->arrays[array].type));
    while (status == WC_OK && wc_box_walk_next(&walk, &place, &bytes))
        status = take_in(&in, r->data[array].offset + place, bytes, error);
    *hash = end_intake(&in);
    return status;
}

wc_status wc_reader_elements(wc_reader *r, size_t array, uint32_t rank, const wc_index_row *row,
                             void *to, wc_error *error) {
    const wc_array *a = &r->arrays[array];
    uint64_t hash, each = wc_type_bytes(a->type);
    wc_status status = check_index(r, array, rank, row, error);
    if (status != WC_OK || !row->count)
        return status;
    wc_box box = wc_index_box(a, row);
    if (a->ndims)
        status = read_box(r, array, &box, to, &hash, error);
    else
        status = read_hashed(r, r->data[array].offset + row->first * each, row->count * each, to,
                             &hash, error);
    if (status == WC_OK && hash != row->checksum)
        return wc_reader_damaged(r, error,
                                 "/state/%s of rank %u (%llu elements from element %llu on) is not "
                                 "what was written",
                                 a->name, rank, (unsigned long long)row->count,
                                 (unsigned long long)row->first);
    return status;
}

wc_status wc_reader_extent(wc_reader *r, size_t array, uint32_t rank, void *to, wc_error *error) {
    wc_index_row row;
    wc_status status = wc_reader_index(r, array, rank, &row, error);
    return status == WC_OK ? wc_reader_elements(r, array, rank, &row, to, error) : status;
}

wc_status wc_reader_part(wc_reader *r, size_t array, const wc_box *part, void *to,
                         wc_error *error) {
    const wc_array *a = &r->arrays[array];
    uint64_t count, hash;
    if (!a->ndims || part->ndims != a->ndims || !wc_box_check(part, &count) ||
        memcmp(part->global, a->shape, a->ndims * sizeof *a->shape) != 0)
        return wc_error_set(error, WC_ERR_ARGUMENT, "\"%s\" has another shape in %.250s", a->name,
                            r->path);
    return count ? read_box(r, array, part, to, &hash, error) : WC_OK;
}

wc_status wc_reader_payload(wc_reader *r, const wc_message_row *row, void *to, wc_error *error) {
    const wc_place *payload = &r->tables[WC_TABLE_PAYLOAD];
    uint64_t hash;
    if (row->bytes > payload->count || row->offset > payload->count - row->bytes)
        return wc_reader_damaged(r, error,
                                 "a message from rank %u to rank %u lies outside "
                                 "/channels/payload",
                                 row->source, row->destination);
    if (!row->bytes)
        return WC_OK;
    wc_status status = read_hashed(r, payload->offset + row->offset, row->bytes, to, &hash, error);
    if (status == WC_OK && hash != row->checksum)
        return wc_reader_damaged(r, error,
                                 "message %llu from rank %u to rank %u (tag %d, %llu bytes) is not "
                                 "what was written",
                                 (unsigned long long)row->sequence, row->source, row->destination,
                                 row->tag, (unsigned long long)row->bytes);
    return status;
}
