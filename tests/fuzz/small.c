/* SPDX-License-Identifier: BSD-3-Clause */
#include "small.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RANKS = 2, ROWS = 60, COLUMNS = 32, CHUNK_ROWS = 32, MESSAGES = 3, MOST_BYTES = 8192 };

typedef enum name { FIELD, PARTICLES, EMPTY, FLAGS, STEP, HALO, NAMES } name;

static const wc_array arrays[NAMES] = {
    [FIELD] = {.name = "ocean/u",
               .type = WC_TYPE_U32,
               .ndims = 2,
               .total = ROWS * COLUMNS,
               .shape = {ROWS, COLUMNS},
               .chunk = {CHUNK_ROWS, COLUMNS}},
    [PARTICLES] = {.name = "ocean/particles", .type = WC_TYPE_C64, .total = 5},
    [EMPTY] = {.name = "empty", .type = WC_TYPE_F32},
    [FLAGS] = {.name = "flags", .type = WC_TYPE_BOOL, .total = 3},
    [STEP] = {.name = "step", .type = WC_TYPE_I64, .total = 2},
    [HALO] = {.name = "halo", .type = WC_TYPE_REQUEST, .total = 1}};

static const uint64_t counts[NAMES][RANKS] = {
    [FIELD] = {CHUNK_ROWS * COLUMNS, (ROWS - CHUNK_ROWS) * COLUMNS},
    [PARTICLES] = {2, 3},
    [FLAGS] = {3, 0},
    [STEP] = {1, 1},
    [HALO] = {0, 1}};

static const struct {
    uint64_t comm;
    uint32_t source, destination;
    int32_t tag;
    uint64_t sequence, bytes;
} messages[MESSAGES] = {
    {0x1111, 0, 1, 5, 0, 77}, {0x1111, 0, 1, 6, 1, 0}, {0x2222, 1, 0, 7, 0, 30}};

static const wc_counter_row counters[] = {{0x1111, 0, 1, 8, 6, 2}, {0x2222, 1, 0, 1, 0, 1}};

static const wc_comm_row comms[] = {{.uid = 0x1111, .members_count = RANKS, .how = "world"},
                                    {.uid = 0x2222,
                                     .parent_uid = 0x1111,
                                     .ordinal = 1,
                                     .members_first = RANKS,
                                     .members_count = RANKS,
                                     .how = "split"}};

static const uint32_t members[] = {0, 1, 1, 0};

static const wc_event_row events[] = {{0, WC_EVENT_SEND, 1, 5, 0x1111, 0, 77, 1.0},
                                      {0, WC_EVENT_RECORD, 0, -1, 0, 1, 0, 1.5},
                                      {0, WC_EVENT_RECEIVE, 1, 7, 0x2222, 0, 30, 2.0},
                                      {1, WC_EVENT_SEND, 0, 7, 0x2222, 0, 30, 1.0},
                                      {1, WC_EVENT_RECORD, 1, -1, 0, 1, 0, 1.5},
                                      {1, WC_EVENT_RECEIVE, 0, 5, 0x1111, 0, 77, 2.0}};

static const wc_event_index_row event_index[] = {{0, 3, 0}, {3, 3, 9}};

static const wc_stream_row streams[] = {{0, WC_EVENT_SEND, 1, 5, 0x1111, 1},
                                        {1, WC_EVENT_RECEIVE, 0, 5, 0x1111, 0}};

static wc_status put(int fd, const void *from, size_t bytes, uint64_t to, wc_error *error) {
    if (bytes && pwrite(fd, from, bytes, (off_t)to) != (ssize_t)bytes)
        return wc_error_set(error, WC_ERR_IO, "the small snapshot can't be written: %m");
    return WC_OK;
}

static void fill(char *bytes, size_t n, name array, uint32_t rank) {
    for (size_t i = 0; i < n; i++)
        bytes[i] = (char)(array == FLAGS ? i % 2 : i * 7 + 31 * array + rank + 1);
    if (array == HALO && n)
        *(wc_request_row *)(void *)bytes = (wc_request_row){.state = "receive",
                                                            .source = 0,
                                                            .tag = -1,
                                                            .comm = 0x1111,
                                                            .order = 4,
                                                            .count = 2,
                                                            .type = "vector[2,1,3;](i64)",
                                                            .array = "step"};
}

static wc_index_row row_of(name array, uint32_t rank) {
    uint64_t first = rank ? counts[array][0] : 0, count = counts[array][rank];
    if (array == FIELD)
        return wc_index_row_of(
            &(wc_box){.ndims = 2,
                      .global = {ROWS, COLUMNS},
                      .offset = {rank * CHUNK_ROWS, 0},
                      .local = {rank ? ROWS - CHUNK_ROWS : CHUNK_ROWS, COLUMNS}});
    return (wc_index_row){.first = first, .count = count, .present = array != FLAGS || rank == 0};
}

/* All parts are smaller than a block, so each that is not empty has one. */
static uint64_t blocks_before(name array, uint32_t rank) {
    uint64_t blocks = 0;
    for (uint32_t r = 0; r < rank; r++)
        blocks += counts[array][r] > 0;
    return blocks;
}

/* Its part of the global array is a chunk: either way the bytes stand together. */
static wc_status write_part(int fd, name array, uint32_t rank, const wc_array_place *place,
                            wc_error *error) {
    char bytes[MOST_BYTES];
    const wc_array *a = &arrays[array];
    wc_index_row row = row_of(array, rank);
    size_t n = (size_t)(row.count * wc_type_bytes(a->type)), row_bytes = wc_index_bytes(a->ndims);
    fill(bytes, n, array, rank);
    uint64_t hash;
    wc_block_hashes(bytes, n, &hash);
    row.blocks_first = blocks_before(array, rank);
    row.checksum = wc_block_checksum(&hash, n ? 1 : 0);
    wc_status status = put(fd, bytes, n, place->data + row.first * wc_type_bytes(a->type), error);
    if (status == WC_OK)
        status = put(fd, &hash, n ? sizeof hash : 0, place->blocks + row.blocks_first * sizeof hash,
                     error);
    return status == WC_OK ? put(fd, &row, row_bytes, place->index + rank * row_bytes, error)
                           : status;
}

static wc_status write_state(int fd, const wc_array_place *places, uint64_t ranks_place,
                             wc_error *error) {
    wc_status status = WC_OK;
    for (uint32_t rank = 0; rank < RANKS && status == WC_OK; rank++) {
        wc_rank_row row = {.rank = rank, .pid = 4000 + rank, .step = 9, .record_time = 1.7e9};
        strcpy(row.host, rank ? "host-1" : "host-0");
        for (int array = 0; array < NAMES && status == WC_OK; array++)
            status = write_part(fd, (name)array, rank, &places[array], error);
        if (status == WC_OK)
            status = put(fd, &row, sizeof row, ranks_place + rank * sizeof row, error);
    }
    return status;
}

static wc_status write_trace(int fd, const wc_channel_place *place, wc_error *error) {
    wc_status status = put(fd, events, sizeof events, place->events, error);
    if (status == WC_OK)
        status = put(fd, event_index, sizeof event_index, place->event_index, error);
    return status == WC_OK ? put(fd, streams, sizeof streams, place->streams, error) : status;
}

static wc_status write_channels(int fd, wc_store_file *file, wc_error *error) {
    char payload[256];
    wc_message_row rows[MESSAGES];
    wc_channel_place place;
    uint64_t offset = 0;
    for (int i = 0; i < MESSAGES; i++) {
        uint64_t n = messages[i].bytes, hash;
        memset(payload + offset, 'a' + i, n);
        wc_block_hashes(payload + offset, n, &hash);
        rows[i] = (wc_message_row){.comm = messages[i].comm,
                                   .source = messages[i].source,
                                   .destination = messages[i].destination,
                                   .tag = messages[i].tag,
                                   .sequence = messages[i].sequence,
                                   .bytes = n,
                                   .offset = offset,
                                   .checksum = wc_block_checksum(&hash, n ? 1 : 0)};
        offset += n;
    }
    wc_channel_sizes sizes = {.counters = sizeof counters / sizeof *counters,
                              .messages = MESSAGES,
                              .payload_bytes = offset,
                              .communicators = sizeof comms / sizeof *comms,
                              .members = sizeof members / sizeof *members,
                              .events = sizeof events / sizeof *events,
                              .streams = sizeof streams / sizeof *streams,
                              .traced = RANKS};
    wc_status status = wc_store_add_channels(file, &sizes, &place, error);
    if (status == WC_OK)
        status = put(fd, payload, offset, place.payload, error);
    if (status == WC_OK)
        status = put(fd, rows, sizeof rows, place.messages, error);
    if (status == WC_OK)
        status = put(fd, counters, sizeof counters, place.counters, error);
    if (status == WC_OK)
        status = put(fd, comms, sizeof comms, place.communicators, error);
    if (status == WC_OK)
        status = put(fd, members, sizeof members, place.members, error);
    return status == WC_OK ? write_trace(fd, &place, error) : status;
}

static wc_status write_all(wc_store_file *file, const wc_array_place *places, uint64_t ranks_place,
                           wc_error *error) {
    int fd = open(wc_store_path(file), O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return wc_error_set(error, WC_ERR_IO, "the small snapshot can't be opened: %m");
    wc_status status = write_state(fd, places, ranks_place, error);
    if (status == WC_OK)
        status = write_channels(fd, file, error);
    close(fd);
    return status;
}

wc_status small_write(const char *dir, wc_error *error) {
    wc_snapshot_head head = {.id = 1,
                             .parent_id = 7,
                             .run_id = 77,
                             .ranks = RANKS,
                             .immediate = 1,
                             .time = 1763885391.25,
                             .mpi_library = "Test MPI 1.0",
                             .program = "./small --job",
                             .version = "0"};
    wc_array described[NAMES];
    wc_array_place places[NAMES];
    uint64_t ranks_place;
    wc_store_file *file;
    memcpy(described, arrays, sizeof described);
    for (int array = 0; array < NAMES; array++)
        described[array].blocks = blocks_before((name)array, RANKS);
    wc_status status =
        wc_store_create(dir, &head, described, NAMES, places, &ranks_place, &file, error);
    if (status != WC_OK)
        return status;
    status = write_all(file, places, ranks_place, error);
    if (status == WC_OK)
        return wc_store_publish(file, error);
    wc_store_abandon(file);
    return status;
}
