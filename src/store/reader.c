/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader.h"

#include "hash.h"
#include "part.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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
    r->fd = TEMP_FAILURE_RETRY(open(r->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK));
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
    r->fd = r->direct = -1;
    r->path = own;
    wc_status status = open_file(r, error);
    if (status == WC_OK)
        r->direct = wc_direct_open(r->path, r->fd, O_RDONLY | O_NONBLOCK);
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
    if (r->direct >= 0)
        close(r->direct);
    wc_trailer_free(&r->trailer);
    free(r->mpi_library);
    free(r->program);
    free(r->version);
    free(r->arrays);
    free(r->data);
    free(r->index);
    free(r->blocks);
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

uint64_t wc_reader_bytes(const wc_reader *r) {
    uint64_t bytes = r->tables[WC_TABLE_PAYLOAD].count;
    for (size_t i = 0; i < r->count; i++)
        bytes += r->arrays[i].total * wc_type_bytes(r->arrays[i].type);
    return bytes;
}

void wc_reader_watch(wc_reader *r, wc_reader_watcher watch, void *context) {
    r->watch = watch;
    r->watcher = context;
}

/* ---- tables ---- */

void wc_reader_sizes(const wc_reader *r, wc_channel_sizes *sizes) {
    *sizes = (wc_channel_sizes){.counters = r->tables[WC_TABLE_COUNTERS].count,
                                .messages = r->tables[WC_TABLE_MESSAGES].count,
                                .payload_bytes = r->tables[WC_TABLE_PAYLOAD].count,
                                .communicators = r->tables[WC_TABLE_COMMUNICATORS].count,
                                .members = r->tables[WC_TABLE_MEMBERS].count,
                                .events = r->tables[WC_TABLE_EVENTS].count,
                                .streams = r->tables[WC_TABLE_STREAMS].count,
                                .traced = r->tables[WC_TABLE_EVENT_INDEX].count};
}

/* A part of a table's rows. */
static wc_status rows_at(wc_reader *r, wc_table table, uint64_t first, size_t count, void *rows,
                         wc_error *error) {
    const wc_place *place = &r->tables[table];
    size_t each = wc_table_row_bytes(table);
    if (first > place->count || count > place->count - first)
        return wc_error_set(error, WC_ERR_ARGUMENT, "%s of %.250s has no row %llu",
                            wc_table_path(table), r->path, (unsigned long long)(first + count));
    return wc_trailer_rows(&r->trailer, r->fd, r->path, wc_table_path(table),
                           place->offset + first * each, count * each, rows, error);
}

wc_status wc_reader_ranks_at(wc_reader *r, uint64_t first, size_t count, wc_rank_row *rows,
                             wc_error *error) {
    wc_status status = rows_at(r, WC_TABLE_RANKS, first, count, rows, error);
    for (size_t i = 0; i < count && status == WC_OK; i++)
        rows[i].host[WC_HOST_BYTES - 1] = '\0';
    return status;
}

wc_status wc_reader_counters_at(wc_reader *r, uint64_t first, size_t count, wc_counter_row *rows,
                                wc_error *error) {
    return rows_at(r, WC_TABLE_COUNTERS, first, count, rows, error);
}

wc_status wc_reader_messages_at(wc_reader *r, uint64_t first, size_t count, wc_message_row *rows,
                                wc_error *error) {
    return rows_at(r, WC_TABLE_MESSAGES, first, count, rows, error);
}

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

wc_status wc_reader_event_index(wc_reader *r, wc_event_index_row **rows, size_t *count,
                                wc_error *error) {
    void *found = NULL;
    wc_status status = wc_reader_rows(r, WC_TABLE_EVENT_INDEX, &found, count, error);
    if (status == WC_OK)
        *rows = found;
    return status;
}

wc_status wc_reader_streams(wc_reader *r, wc_stream_row **rows, size_t *count, wc_error *error) {
    void *found = NULL;
    wc_status status = wc_reader_rows(r, WC_TABLE_STREAMS, &found, count, error);
    if (status == WC_OK)
        *rows = found;
    return status;
}

wc_status wc_reader_events_at(wc_reader *r, uint64_t first, size_t count, wc_event_row *rows,
                              wc_error *error) {
    return rows_at(r, WC_TABLE_EVENTS, first, count, rows, error);
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

/* Is it a part of the array at all? Its hashes must be there, too: no element is so large that their number overflows. */
static bool is_inside(const wc_array *array, const wc_index_row *row) {
    uint64_t total = array->total, count;
    if (row->present > 1 || (!row->present && row->count) || row->count > total)
        return false;
    uint64_t blocks = wc_blocks(row->count * wc_type_bytes(array->type));
    if (blocks > array->blocks || (blocks && row->blocks_first > array->blocks - blocks))
        return false;
    if (!array->ndims)
        return row->count <= total && (!row->count || row->first <= total - row->count);
    wc_box box = wc_index_box(array, row);
    return !row->present || (wc_box_check(&box, &count) && count == row->count &&
                             row->first == wc_index_row_of(&box).first);
}

wc_status wc_reader_check_row(const wc_reader *r, size_t array, uint32_t rank,
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
        status = wc_reader_check_row(r, array, rank, &found, error);
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

/* So many blocks at a time are compared with their hashes: the memory for hashes has a bound, and whoever watches gets news. */
enum { WINDOW = 2048 };

/* What is read and checked. */
typedef struct wc_reading {
    wc_part part;
    uint64_t hashes;   /* where those of its blocks begin in the file; 0: they are nowhere */
    uint64_t checksum; /* of them */
    bool once;         /* it needn't stay in the page cache */
    char table[WC_STORE_NAME_BYTES + 16]; /* that has the hashes */
    char what[400];
} wc_reading;

static wc_status compare_blocks(const wc_reader *r, const wc_reading *reading, uint64_t first,
                                uint64_t blocks, const uint64_t *expected, const uint64_t *found,
                                wc_error *error) {
    uint64_t i = 0, bytes = reading->part.bytes;
    while (i < blocks && expected[i] == found[i])
        i++;
    if (i == blocks)
        return WC_OK;
    uint64_t from = (first + i) * WC_BLOCK_BYTES;
    return wc_reader_damaged(r, error, "%s is not what was written: bytes %llu to %llu of its %llu",
                             reading->what, (unsigned long long)from,
                             (unsigned long long)(from + wc_block_bytes(bytes, first + i) - 1),
                             (unsigned long long)bytes);
}

/* `n` blocks from `first` on. `hashes`: room for those that are found, and behind them as many that are expected. */
static wc_status read_window(wc_reader *r, const wc_reading *reading, uint64_t first, uint64_t n,
                             void *to, uint64_t *hashes, wc_error *error) {
    wc_input input = {r->fd, reading->once ? r->direct : -1, r->path};
    uint64_t *expected = hashes + n;
    wc_status status = wc_part_read(&input, &reading->part, first, n, to, hashes, error);
    if (status == WC_OK && reading->hashes)
        status = wc_trailer_rows(&r->trailer, r->fd, r->path, reading->table,
                                 reading->hashes + first * sizeof *hashes, n * sizeof *hashes,
                                 expected, error);
    if (status == WC_OK && reading->hashes)
        status = compare_blocks(r, reading, first, n, expected, hashes, error);
    return status;
}

/* `hashes`: room for those of two windows. */
static wc_status read_windows(wc_reader *r, const wc_reading *reading, char *to, uint64_t *hashes,
                              wc_error *error) {
    uint64_t blocks = wc_blocks(reading->part.bytes);
    wc_status status = WC_OK;
    XXH3_state_t state;
    XXH3_64bits_reset(&state);
    for (uint64_t first = 0; first < blocks && status == WC_OK; first += WINDOW) {
        uint64_t n = blocks - first < WINDOW ? blocks - first : WINDOW;
        status = read_window(r, reading, first, n, to ? to + first * WC_BLOCK_BYTES : NULL, hashes,
                             error);
        XXH3_64bits_update(&state, hashes, n * sizeof *hashes);
        if (r->watch)
            r->watch(r->watcher, wc_blocks_bytes(reading->part.bytes, first, n));
    }
    if (status == WC_OK && blocks && XXH3_64bits_digest(&state) != reading->checksum)
        return wc_reader_damaged(r, error, "%s is not what was written", reading->what);
    return status;
}

static wc_status read_checked(wc_reader *r, const wc_reading *reading, void *to, wc_error *error) {
    uint64_t blocks = wc_blocks(reading->part.bytes);
    uint64_t *hashes = calloc(2 * (blocks < WINDOW ? blocks : WINDOW), sizeof *hashes);
    if (!hashes)
        return wc_error_set(error, WC_ERR_MEMORY, "no memory to read %.300s", r->path);
    wc_status status = read_windows(r, reading, to, hashes, error);
    free(hashes);
    return status;
}

/* Of a rank's elements, which were checked to be inside the array. */
static wc_reading reading_of(const wc_reader *r, size_t array, uint32_t rank,
                             const wc_index_row *row) {
    const wc_array *a = &r->arrays[array];
    uint64_t each = wc_type_bytes(a->type), offset = r->data[array].offset;
    wc_box box = wc_index_box(a, row);
    wc_reading reading = {.part = a->ndims ? wc_part_of_box(&box, a->chunk, each, offset)
                                           : wc_part_of_line(row->first, row->count, each, offset),
                          .hashes = r->blocks[array].offset + row->blocks_first * sizeof(uint64_t),
                          .checksum = row->checksum};
    snprintf(reading.table, sizeof reading.table, "/blocks/%s", a->name);
    snprintf(reading.what, sizeof reading.what, "/state/%s of rank %u", a->name, rank);
    return reading;
}

wc_status wc_reader_elements(wc_reader *r, size_t array, uint32_t rank, const wc_index_row *row,
                             void *to, wc_error *error) {
    wc_status status = wc_reader_check_row(r, array, rank, row, error);
    if (status != WC_OK || !row->count)
        return status;
    wc_reading reading = reading_of(r, array, rank, row);
    reading.once = to != NULL; /* what is only checked may be read soon */
    return read_checked(r, &reading, to, error);
}

uint64_t wc_reader_place(const wc_reader *r, size_t array, const wc_index_row *row) {
    if (!row->count || !is_inside(&r->arrays[array], row))
        return 0;
    wc_reading reading = reading_of(r, array, 0, row);
    return wc_part_place(&reading.part);
}

wc_status wc_reader_blocks(wc_reader *r, size_t array, uint32_t rank, const wc_index_row *row,
                           uint64_t first, uint64_t count, void *to, wc_error *error) {
    wc_status status = wc_reader_check_row(r, array, rank, row, error);
    if (status != WC_OK)
        return status;
    wc_reading reading = reading_of(r, array, rank, row);
    uint64_t *hashes = calloc(2 * count, sizeof *hashes);
    if (!hashes)
        return wc_error_set(error, WC_ERR_MEMORY, "no memory to read %.300s", r->path);
    status = read_window(r, &reading, first, count, to, hashes, error);
    free(hashes);
    return status;
}

wc_status wc_reader_extent(wc_reader *r, size_t array, uint32_t rank, void *to, wc_error *error) {
    wc_index_row row;
    wc_status status = wc_reader_index(r, array, rank, &row, error);
    return status == WC_OK ? wc_reader_elements(r, array, rank, &row, to, error) : status;
}

wc_status wc_reader_payload(wc_reader *r, const wc_message_row *row, void *to, wc_error *error) {
    const wc_place *payload = &r->tables[WC_TABLE_PAYLOAD];
    if (row->bytes > payload->count || row->offset > payload->count - row->bytes)
        return wc_reader_damaged(r, error,
                                 "a message from rank %u to rank %u lies outside "
                                 "/channels/payload",
                                 row->source, row->destination);
    if (!row->bytes)
        return WC_OK;
    wc_reading reading = {.part = wc_part_of_line(row->offset, row->bytes, 1, payload->offset),
                          .checksum = row->checksum,
                          .once = to != NULL};
    snprintf(reading.what, sizeof reading.what,
             "message %llu from rank %u to rank %u (tag %d, %llu bytes)",
             (unsigned long long)row->sequence, row->source, row->destination, row->tag,
             (unsigned long long)row->bytes);
    return read_checked(r, &reading, to, error);
}
