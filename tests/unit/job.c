/* SPDX-License-Identifier: BSD-3-Clause */
#include "job.h"

#include <complex.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

const char *const job_names[JOB_ARRAYS] = {
    [JOB_FIELD] = "field", [JOB_WAVE] = "ocean/wave",      [JOB_FLAGS] = "flags",
    [JOB_BIG] = "big",     [JOB_PARTICLES] = "particles",  [JOB_EMPTY] = "empty",
    [JOB_LONG] = "long",   [JOB_BYTES] = "ocean/bytes-1.0"};

static const wc_type types[JOB_ARRAYS] = {
    [JOB_FIELD] = WC_TYPE_F64, [JOB_WAVE] = WC_TYPE_C64,      [JOB_FLAGS] = WC_TYPE_BOOL,
    [JOB_BIG] = WC_TYPE_U64,   [JOB_PARTICLES] = WC_TYPE_I32, [JOB_EMPTY] = WC_TYPE_F32,
    [JOB_LONG] = WC_TYPE_FLD,  [JOB_BYTES] = WC_TYPE_BYTE};

static const size_t counts[JOB_ARRAYS][JOB_RANKS] = {
    [JOB_FIELD] = {JOB_ROWS * JOB_COLUMNS, JOB_ROWS *JOB_COLUMNS, JOB_ROWS *JOB_COLUMNS},
    [JOB_WAVE] = {5, 6, 7},
    [JOB_FLAGS] = {3, 0, 4},
    [JOB_BIG] = {38400, 38401, 38402},
    [JOB_PARTICLES] = {0, 1000, 17},
    [JOB_EMPTY] = {0, 0, 0},
    [JOB_LONG] = {2, 3, 4},
    [JOB_BYTES] = {1, 2, 3}};

/* The messages in flight, in the order of the file: 1 and 2 on one channel. */
static const struct {
    uint64_t comm;
    uint32_t source, destination;
    int32_t tag;
    uint64_t sequence;
    size_t bytes;
} messages[JOB_MESSAGES] = {{0x2222, 2, 0, 7, 0, 100000},
                            {0x1111, 0, 1, 5, 0, 13},
                            {0x1111, 0, 1, -1, 1, 0},
                            {0x1111, 2, 2, 9, 0, 4097}};

static const wc_counter_row counters[] = {{0x2222, 2, 0, 11, 10, 1},
                                          {0x1111, 0, 1, 8, 6, 2},
                                          {0x1111, 2, 1, 3, 3, 0},
                                          {0x1111, 2, 2, 1, 0, 1}};

enum { COUNTERS = sizeof counters / sizeof *counters, COMMS = 2, MEMBERS = JOB_RANKS + 2 };

static const wc_comm_row comms[COMMS] = {
    {.uid = 0x1111, .members_first = 0, .members_count = JOB_RANKS, .how = "world"},
    {.uid = 0x2222,
     .parent_uid = 0x1111,
     .ordinal = 1,
     .colour = -5,
     .collectives = 9,
     .members_first = JOB_RANKS,
     .members_count = 2,
     .how = "split"}};

static const uint32_t members[MEMBERS] = {0, 1, 2, 0, 2};

/* The message with tag 5 in flight is number 3 of its stream, number 4 was sent behind the record. */
static const wc_event_row events[] = {{0, WC_EVENT_ARMED, 0, -1, 0, 1, 0, 1.0},
                                      {0, WC_EVENT_SEND, 1, 5, 0x1111, 2, 100, 1.1},
                                      {0, WC_EVENT_SEND, 1, 5, 0x1111, 3, 13, 1.2},
                                      {0, WC_EVENT_RECORD, 0, -1, 0, 1, 0, 1.3},
                                      {0, WC_EVENT_SEND, 1, 5, 0x1111, 4, 64, 1.4},
                                      {0, WC_EVENT_CLOSED, 0, -1, 0, 1, 0, 1.5},
                                      {1, WC_EVENT_ARMED, 1, -1, 0, 1, 0, 1.0},
                                      {1, WC_EVENT_RECEIVE, 0, 5, 0x1111, 2, 100, 1.2},
                                      {1, WC_EVENT_RECORD, 1, -1, 0, 1, 0, 1.3},
                                      {1, WC_EVENT_RECEIVE, 0, 5, 0x1111, 3, 13, 1.4},
                                      {1, WC_EVENT_RECEIVE, 0, 5, 0x1111, 4, 64, 1.5},
                                      {1, WC_EVENT_CLOSED, 1, -1, 0, 1, 0, 1.6},
                                      {2, WC_EVENT_MARKER_SENT, 1, -1, 0x1111, 1, 0, 1},
                                      {2, WC_EVENT_RECORD, 2, -1, 0, 1, 0, 1.3}};

static const wc_event_index_row event_index[JOB_RANKS] = {{0, 6, 2}, {6, 6, 0}, {12, 2, 0}};

static const wc_stream_row streams[] = {{0, WC_EVENT_SEND, 1, 5, 0x1111, 4},
                                        {1, WC_EVENT_RECEIVE, 0, 5, 0x1111, 3},
                                        {2, WC_EVENT_SEND, 0, 7, 0x2222, 11}};

enum { EVENTS = sizeof events / sizeof *events, STREAMS = sizeof streams / sizeof *streams };

void job_path(const char *dir, uint64_t id, char path[PATH_MAX]) {
    wc_store_snapshot_path(dir, id, path, PATH_MAX);
}

/* ---- contents ---- */

static unsigned next(unsigned *seed) {
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static void fill(unsigned char *bytes, size_t n, unsigned seed) {
    for (size_t i = 0; i < n; i++)
        bytes[i] = (unsigned char)next(&seed);
}

static void fill_array(job_array array, uint32_t rank, void *to, size_t count, unsigned seed) {
    if (array == JOB_FLAGS) {
        for (size_t i = 0; i < count; i++)
            ((bool *)to)[i] = (i + rank + seed) % 2;
    } else if (array == JOB_FIELD) {
        for (size_t i = 0; i < count; i++)
            ((double *)to)[i] = seed + (double)(rank * JOB_ROWS * JOB_COLUMNS + i);
    } else if (array == JOB_WAVE) {
        for (size_t i = 0; i < count; i++)
            ((double _Complex *)to)[i] = rank + (double)i * _Complex_I;
    } else if (array == JOB_LONG) {
        memset(to, 0, count * sizeof(long double)); /* the padding, as staging does */
        for (size_t i = 0; i < count; i++) {
            long double value = 0.5L + rank + i; /* exact everywhere, under valgrind too */
            memcpy((long double *)to + i, &value, 10);
        }
    } else {
        fill(to, count * wc_type_bytes(types[array]), seed + 31 * array + rank);
    }
}

static uint64_t blocks_of(int array, uint32_t rank) {
    return wc_blocks(counts[array][rank] * wc_type_bytes(types[array]));
}

static bool has(job_array array, uint32_t rank) {
    return array != JOB_FLAGS || rank != 1;
}

void *job_elements(job_array array, uint32_t rank, unsigned seed, size_t *count) {
    *count = counts[array][rank];
    size_t bytes = *count * wc_type_bytes(types[array]);
    void *elements = malloc(bytes + 1);
    assert_non_null(elements);
    fill_array(array, rank, elements, *count, seed);
    return elements;
}

void *job_message(unsigned number, unsigned seed, size_t *bytes) {
    *bytes = messages[number].bytes;
    void *data = malloc(*bytes + 1);
    assert_non_null(data);
    fill(data, *bytes, seed + 1000 + number);
    return data;
}

/* ---- writing ---- */

static void describe(wc_array arrays[JOB_ARRAYS]) {
    memset(arrays, 0, JOB_ARRAYS * sizeof *arrays);
    for (int a = 0; a < JOB_ARRAYS; a++) {
        strcpy(arrays[a].name, job_names[a]);
        arrays[a].type = types[a];
        for (int r = 0; r < JOB_RANKS; r++) {
            arrays[a].total += counts[a][r];
            arrays[a].blocks += blocks_of(a, (uint32_t)r);
        }
    }
    arrays[JOB_FIELD].ndims = 2;
    arrays[JOB_FIELD].shape[0] = JOB_RANKS * JOB_ROWS;
    arrays[JOB_FIELD].shape[1] = JOB_COLUMNS;
    memcpy(arrays[JOB_FIELD].chunk, arrays[JOB_FIELD].shape, sizeof arrays[JOB_FIELD].shape);
}

/* Everything that one rank writes; kept until its writer is idle. */
typedef struct rank_data {
    wc_writer *writer;
    void *elements[JOB_ARRAYS];
    uint64_t *hashes[JOB_ARRAYS];
    wc_index_row index[JOB_ARRAYS];
    wc_rank_row row;
} rank_data;

static const wc_sums NO_SUMS = {NULL, NULL};

static void queue(wc_writer *writer, const void *from, size_t bytes, uint64_t to, wc_sums sums) {
    wc_error error = {WC_OK, ""};
    if (bytes && wc_writer_extent(writer, from, NULL, bytes, to, sums, &error) != WC_OK)
        fail_msg("%s", error.text);
}

/* `first`: rank 0, whose elements rank 1 may claim too. */
static void spoil_index(rank_data *d, const rank_data *first, int array, uint32_t rank,
                        job_mistake mistake) {
    wc_index_row *row = &d->index[array];
    if (mistake == JOB_OVERLAPS && array == JOB_PARTICLES && rank == 2)
        row->first--;
    if (mistake == JOB_BLOCKS_OVERLAP && array == JOB_PARTICLES && rank == 2)
        row->blocks_first--;
    if (mistake == JOB_PARTS_OVERLAP && array == JOB_FIELD && rank == 1) {
        uint64_t blocks_first = row->blocks_first;
        *row = first->index[array];
        row->blocks_first = blocks_first;
        d->hashes[array][0] = first->hashes[array][0];
    }
    if (mistake == JOB_OUTSIDE_ARRAY && array == JOB_PARTICLES && rank == 2)
        row->first = UINT64_MAX - 10;
}

static void write_state(rank_data *d, uint32_t rank, unsigned seed, const wc_array_place *places,
                        uint64_t ranks_place, job_mistake mistake) {
    wc_error error = {WC_OK, ""};
    for (int a = 0; a < JOB_ARRAYS; a++) {
        size_t count, each = wc_type_bytes(types[a]);
        uint64_t first = 0, blocks_first = 0;
        for (uint32_t r = 0; r < rank; r++) {
            first += counts[a][r];
            blocks_first += blocks_of(a, r);
        }
        d->elements[a] = job_elements((job_array)a, rank, seed, &count);
        d->index[a] =
            (wc_index_row){.first = first, .count = count, .present = has((job_array)a, rank)};
        if (a == JOB_FIELD)
            d->index[a] = wc_index_row_of(&(wc_box){.ndims = 2,
                                                    .global = {JOB_RANKS * JOB_ROWS, JOB_COLUMNS},
                                                    .offset = {rank * JOB_ROWS, 0},
                                                    .local = {JOB_ROWS, JOB_COLUMNS}});
        d->index[a].blocks_first = blocks_first;
        d->hashes[a] = calloc(blocks_of(a, rank) + 1, sizeof *d->hashes[a]);
        queue(d->writer, d->elements[a], count * each, places[a].data + first * each,
              (wc_sums){d->hashes[a], &d->index[a].checksum});
    }
    for (int a = 0; a < JOB_ARRAYS; a++) {
        const rank_data *first_rank = d - rank;
        if (mistake == JOB_PARTS_OVERLAP) { /* the checksums are there */
            wc_writer_wait(first_rank->writer, &error);
            wc_writer_wait(d->writer, &error);
        }
        uint64_t blocks_place = places[a].blocks + d->index[a].blocks_first * sizeof(uint64_t);
        spoil_index(d, first_rank, a, rank, mistake);
        size_t bytes = wc_index_bytes(a == JOB_FIELD ? 2 : 0);
        queue(d->writer, &d->index[a], bytes, places[a].index + rank * bytes, NO_SUMS);
        queue(d->writer, d->hashes[a], blocks_of(a, rank) * sizeof *d->hashes[a], blocks_place,
              NO_SUMS);
    }
    d->row = (wc_rank_row){.rank = rank,
                           .pid = 4000 + rank,
                           .step = 100 + rank,
                           .bytes = 12345,
                           .record_time = 1.7e9,
                           .arm_s = 0.1,
                           .record_s = 0.2,
                           .close_s = 0.3,
                           .durable_s = 0.4,
                           .stall_s = 0.01};
    snprintf(d->row.host, sizeof d->row.host, "host-%u", rank);
    queue(d->writer, &d->row, sizeof d->row, ranks_place + rank * sizeof d->row, NO_SUMS);
}

static void spoil_message(wc_message_row *row, int i, job_mistake mistake) {
    if (mistake == JOB_UNKNOWN_COMM && i == 3)
        row->comm = 0x3333;
    if (mistake == JOB_OUTSIDE_PAYLOAD && i == 0)
        row->offset = UINT64_MAX - 50;
    if (mistake == JOB_WRONG_ORDER && i == 2)
        row->sequence = 7;
}

static void write_channels(wc_writer *writer, unsigned seed, const wc_channel_place *place,
                           job_mistake mistake) {
    wc_message_row rows[JOB_MESSAGES];
    wc_counter_row counts_written[COUNTERS];
    uint32_t members_written[MEMBERS];
    void *data[JOB_MESSAGES];
    uint64_t offset = 0, hashes[JOB_MESSAGES][2];
    wc_error error = {WC_OK, ""};
    for (int i = 0; i < JOB_MESSAGES; i++) {
        size_t bytes;
        data[i] = job_message((unsigned)i, seed, &bytes);
        rows[i] = (wc_message_row){.comm = messages[i].comm,
                                   .source = messages[i].source,
                                   .destination = messages[i].destination,
                                   .tag = messages[i].tag,
                                   .sequence = messages[i].sequence,
                                   .bytes = bytes,
                                   .offset = offset};
        queue(writer, data[i], bytes, place->payload + offset,
              (wc_sums){hashes[i], &rows[i].checksum});
        assert_true(wc_blocks(bytes) <= 2);
        offset += bytes;
        spoil_message(&rows[i], i, mistake);
    }
    memcpy(counts_written, counters, sizeof counters);
    if (mistake == JOB_LOSES_A_MESSAGE) {
        counts_written[2].in_flight++;
        counts_written[2].received--;
    }
    if (mistake == JOB_MISCOUNTS)
        counts_written[1].sent++;
    memcpy(members_written, members, sizeof members);
    if (mistake == JOB_UNKNOWN_MEMBER)
        members_written[1] = JOB_RANKS;
    queue(writer, rows, sizeof rows, place->messages, NO_SUMS);
    queue(writer, counts_written, sizeof counts_written, place->counters, NO_SUMS);
    queue(writer, comms, sizeof comms, place->communicators, NO_SUMS);
    queue(writer, members_written, sizeof members_written, place->members, NO_SUMS);
    wc_writer_wait(writer, &error);
    if (error.status != WC_OK)
        fail_msg("%s", error.text);
    for (int i = 0; i < JOB_MESSAGES; i++)
        free(data[i]);
}

static void spoil_trace(wc_event_row *rows, wc_event_index_row *index, wc_stream_row *counted,
                        job_mistake mistake) {
    if (mistake == JOB_ORPHAN) {
        rows[8].kind = WC_EVENT_CLOSED;
        rows[11].kind = WC_EVENT_RECORD;
    }
    if (mistake == JOB_RECEIVED_TWICE)
        counted[1].count++;
    if (mistake == JOB_SEND_MISSING)
        rows[4].sequence++;
    if (mistake == JOB_UNKNOWN_EVENT)
        rows[7].peer = JOB_RANKS;
    if (mistake == JOB_EVENTS_OVERLAP)
        index[2].first--;
}

static void write_trace(wc_writer *writer, const wc_channel_place *place, job_mistake mistake) {
    wc_event_row rows[EVENTS];
    wc_event_index_row index[JOB_RANKS];
    wc_stream_row counted[STREAMS];
    wc_error error = {WC_OK, ""};
    memcpy(rows, events, sizeof events);
    memcpy(index, event_index, sizeof event_index);
    memcpy(counted, streams, sizeof streams);
    spoil_trace(rows, index, counted, mistake);
    queue(writer, rows, sizeof rows, place->events, NO_SUMS);
    queue(writer, index, sizeof index, place->event_index, NO_SUMS);
    queue(writer, counted, sizeof counted, place->streams, NO_SUMS);
    wc_writer_wait(writer, &error);
    if (error.status != WC_OK)
        fail_msg("%s", error.text);
}

static wc_store_file *create(const char *dir, uint64_t id, wc_array_place *places,
                             uint64_t *ranks_place) {
    wc_array arrays[JOB_ARRAYS];
    wc_error error = {WC_OK, ""};
    wc_store_file *file;
    wc_snapshot_head head = {.id = id,
                             .parent_id = id - 1,
                             .run_id = 77,
                             .ranks = JOB_RANKS,
                             .time = 1763885391.25,
                             .initiator = 2,
                             .mpi_library = "Test MPI 1.0",
                             .program = "./job --with arguments",
                             .version = "0.1.0"};
    describe(arrays);
    if (wc_store_create(dir, &head, arrays, JOB_ARRAYS, places, ranks_place, &file, &error) !=
        WC_OK)
        fail_msg("%s", error.text);
    return file;
}

static void finish_rank(rank_data *d) {
    wc_error error = {WC_OK, ""};
    wc_writer_sync(d->writer, &error);
    wc_writer_wait(d->writer, &error);
    if (error.status != WC_OK)
        fail_msg("%s", error.text);
    wc_writer_stop(d->writer);
    for (int a = 0; a < JOB_ARRAYS; a++) {
        free(d->elements[a]);
        free(d->hashes[a]);
    }
}

wc_store_file *job_prepare(const char *dir, uint64_t id, unsigned seed, job_mistake mistake) {
    wc_array_place places[JOB_ARRAYS];
    uint64_t ranks_place;
    rank_data ranks[JOB_RANKS] = {0};
    wc_channel_place channels;
    wc_error error = {WC_OK, ""};
    wc_store_file *file = create(dir, id, places, &ranks_place);
    for (uint32_t r = 0; r < JOB_RANKS; r++) {
        if (wc_writer_start(&ranks[r].writer, &error) != WC_OK ||
            wc_writer_open(ranks[r].writer, wc_store_path(file), &error) != WC_OK)
            fail_msg("%s", error.text);
        write_state(&ranks[r], r, seed, places, ranks_place, mistake);
    }
    wc_channel_sizes sizes = {.counters = COUNTERS,
                              .messages = JOB_MESSAGES,
                              .communicators = COMMS,
                              .members = MEMBERS,
                              .events = EVENTS,
                              .streams = STREAMS,
                              .traced = JOB_RANKS};
    for (int i = 0; i < JOB_MESSAGES; i++)
        sizes.payload_bytes += messages[i].bytes;
    if (wc_store_add_channels(file, &sizes, &channels, &error) != WC_OK)
        fail_msg("%s", error.text);
    write_channels(ranks[0].writer, seed, &channels, mistake);
    write_trace(ranks[0].writer, &channels, mistake);
    for (int r = 0; r < JOB_RANKS; r++)
        finish_rank(&ranks[r]);
    return file;
}

void job_write(const char *dir, uint64_t id, unsigned seed, job_mistake mistake) {
    wc_error error = {WC_OK, ""};
    if (wc_store_publish(job_prepare(dir, id, seed, mistake), &error) != WC_OK)
        fail_msg("%s", error.text);
}

/* ---- reading ---- */

static void restore_array(wc_reader *r, size_t i, const wc_array *array, unsigned seed) {
    int a = 0;
    while (a < JOB_ARRAYS && strcmp(job_names[a], array->name) != 0)
        a++;
    assert_int_not_equal(a, JOB_ARRAYS);
    assert_int_equal(array->type, types[a]);
    for (uint32_t rank = 0; rank < JOB_RANKS; rank++) {
        size_t count;
        wc_index_row row;
        wc_error error;
        void *expected = job_elements((job_array)a, rank, seed, &count);
        size_t bytes = count * wc_type_bytes(array->type);
        char *got = malloc(bytes + 1);
        assert_int_equal(wc_reader_index(r, i, rank, &row, &error), WC_OK);
        assert_int_equal(row.present, has((job_array)a, rank));
        assert_int_equal(row.count, count);
        assert_int_equal(wc_reader_extent(r, i, rank, got, &error), WC_OK);
        assert_memory_equal(got, expected, bytes);
        free(got);
        free(expected);
    }
}

static void restore_messages(wc_reader *r, unsigned seed) {
    wc_message_row *rows;
    size_t n;
    wc_error error;
    assert_int_equal(wc_reader_messages(r, &rows, &n, &error), WC_OK);
    assert_int_equal(n, JOB_MESSAGES);
    for (unsigned i = 0; i < n; i++) {
        size_t bytes;
        void *expected = job_message(i, seed, &bytes);
        char *got = malloc(bytes + 1);
        assert_int_equal(rows[i].tag, messages[i].tag);
        assert_int_equal(rows[i].comm, messages[i].comm);
        assert_int_equal(rows[i].bytes, bytes);
        assert_int_equal(wc_reader_payload(r, &rows[i], got, &error), WC_OK);
        assert_memory_equal(got, expected, bytes);
        free(got);
        free(expected);
    }
    free(rows);
}

static void restore_tables(wc_reader *r) {
    wc_counter_row *counts_read;
    wc_comm_row *comms_read;
    wc_rank_row *ranks;
    size_t n;
    wc_error error;
    assert_int_equal(wc_reader_counters(r, &counts_read, &n, &error), WC_OK);
    assert_int_equal(n, COUNTERS);
    assert_memory_equal(counts_read, counters, sizeof counters);
    assert_int_equal(wc_reader_communicators(r, &comms_read, &n, &error), WC_OK);
    assert_int_equal(n, COMMS);
    assert_memory_equal(comms_read, comms, sizeof comms);
    assert_int_equal(wc_reader_ranks(r, &ranks, &n, &error), WC_OK);
    assert_int_equal(n, JOB_RANKS);
    assert_string_equal(ranks[2].host, "host-2");
    assert_int_equal(ranks[1].step, 101);
    free(counts_read);
    free(comms_read);
    free(ranks);
}

/* What is accepted must be right: so once verification is content, a difference fails the test. */
wc_status job_restore(const char *path, unsigned seed, wc_error *error) {
    wc_reader *r;
    wc_verdict verdict;
    const wc_array *arrays;
    wc_status status = wc_reader_open(path, &r, error);
    if (status != WC_OK)
        return status;
    status = wc_reader_verify(r, &verdict, error);
    if (status == WC_OK && verdict.failures)
        status = wc_error_set(error, WC_ERR_DAMAGED, "%s", verdict.first_failure);
    if (status == WC_OK) {
        size_t n = wc_reader_arrays(r, &arrays);
        assert_int_equal(n, JOB_ARRAYS);
        for (size_t i = 0; i < n; i++)
            restore_array(r, i, &arrays[i], seed);
        restore_messages(r, seed);
        restore_tables(r);
        assert_int_equal(wc_reader_head(r)->run_id, 77);
        assert_string_equal(wc_reader_head(r)->program, "./job --with arguments");
    }
    wc_reader_close(r);
    return status;
}

/* ---- directory ---- */

int job_directory(void **state) {
    const char *base = getenv("TMPDIR");
    char *path = malloc(PATH_MAX);
    if (!path)
        return -1;
    snprintf(path, PATH_MAX, "%s/wavecut-unit-XXXXXX", base ? base : "/tmp");
    *state = path;
    return mkdtemp(path) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *s, int kind, struct FTW *where) {
    (void)s;
    (void)kind;
    (void)where;
    return remove(path);
}

int job_remove_directory(void **state) {
    int rc = nftw(*state, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(*state);
    return rc;
}
