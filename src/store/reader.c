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

static wc_status check_index(const wc_reader *r, size_t array, uint32_t rank,
                             const wc_index_row *row, wc_error *error) {
    uint64_t total = r->arrays[array].total;
    if (row->present <= 1 && row->count <= total && (row->present || !row->count) &&
        (!row->count || row->first <= total - row->count))
        return WC_OK;
    return wc_reader_damaged(r, error, "/index/%s puts rank %u outside the array",
                             r->arrays[array].name, rank);
}

wc_status wc_reader_index(wc_reader *r, size_t array, uint32_t rank, wc_index_row *row,
                          wc_error *error) {
    wc_index_row found;
    char what[WC_STORE_NAME_BYTES + 16];
    if (array >= r->count || rank >= r->head.ranks)
        return wc_error_set(error, WC_ERR_ARGUMENT, "%.300s has no array %zu of rank %u", r->path,
                            array, rank);
    snprintf(what, sizeof what, "/index/%s", r->arrays[array].name);
    wc_status status = wc_trailer_rows(&r->trailer, r->fd, r->path, what,
                                       r->index[array].offset + (uint64_t)rank * sizeof found,
                                       sizeof found, &found, error);
    if (status == WC_OK)
        status = check_index(r, array, rank, &found, error);
    if (status == WC_OK)
        *row = found;
    return status;
}

wc_status wc_reader_index_rows(wc_reader *r, size_t array, wc_index_row **rows, wc_error *error) {
    char what[WC_STORE_NAME_BYTES + 16];
    void *found = NULL;
    snprintf(what, sizeof what, "/index/%s", r->arrays[array].name);
    wc_status status = rows_of(r, &r->index[array], what, sizeof **rows, &found, error);
    if (status == WC_OK)
        *rows = found;
    return status;
}

/* ---- bytes ---- */

/* Reads into `to`, or through a buffer (`to` NULL); the hash is of what was read. */
static wc_status read_hashed(wc_reader *r, uint64_t from, uint64_t bytes, void *to, uint64_t *hash,
                             wc_error *error) {
    XXH3_state_t state;
    char *buffer = to ? NULL : malloc(bytes < PIECE ? (size_t)bytes : PIECE), *out = to;
    wc_status status = WC_OK;
    if (!to && !buffer)
        return wc_error_set(error, WC_ERR_MEMORY, "no memory to read %.300s", r->path);
    XXH3_64bits_reset(&state);
    while (bytes && status == WC_OK) {
        size_t n = bytes < PIECE ? (size_t)bytes : PIECE;
        char *piece = out ? out : buffer;
        status = wc_read_all(r->fd, r->path, piece, n, from, error);
        if (status == WC_OK)
            XXH3_64bits_update(&state, piece, n);
        out = out ? out + n : NULL;
        from += n;
        bytes -= n;
    }
    *hash = XXH3_64bits_digest(&state);
    free(buffer);
    return status;
}

wc_status wc_reader_elements(wc_reader *r, size_t array, uint32_t rank, const wc_index_row *row,
                             void *to, wc_error *error) {
    uint64_t hash, each = wc_type_bytes(r->arrays[array].type);
    wc_status status = check_index(r, array, rank, row, error);
    if (status != WC_OK || !row->count)
        return status;
    status = read_hashed(r, r->data[array].offset + row->first * each, row->count * each, to, &hash,
                         error);
    if (status == WC_OK && hash != row->checksum)
        return wc_reader_damaged(r, error,
                                 "/state/%s of rank %u (elements %llu to %llu) is not what was "
                                 "written",
                                 r->arrays[array].name, rank, (unsigned long long)row->first,
                                 (unsigned long long)(row->first + row->count - 1));
    return status;
}

wc_status wc_reader_extent(wc_reader *r, size_t array, uint32_t rank, void *to, wc_error *error) {
    wc_index_row row;
    wc_status status = wc_reader_index(r, array, rank, &row, error);
    return status == WC_OK ? wc_reader_elements(r, array, rank, &row, to, error) : status;
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
