/* SPDX-License-Identifier: BSD-3-Clause */
#include "job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ARRAY_LOCAL, /* f64, another count on each rank */
    ARRAY_TILES, /* f64, a chunk of each rank */
    ARRAY_BYTES, /* u8; large if the job is big */
    ARRAYS,
    TILE = 16 /* rows of a rank's tile, which has four times as many columns */
};

enum { RUN_ID = 0xabc1, COMM = 0x1111, MOST_MESSAGES = 2, MOST_BLOCKS = 4 };

typedef struct rank_data {
    wc_writer *writer;
    unsigned char *memory[ARRAYS], *elements[ARRAYS], *payload;
    uint64_t hashes[ARRAYS][MOST_BLOCKS], message_hashes[MOST_MESSAGES];
    wc_index_row index[ARRAYS];
    wc_box box;
    wc_message_row messages[MOST_MESSAGES];
    wc_counter_row counter;
    wc_comm_row comm;
    wc_rank_row row;
    uint32_t members[JOB_MOST_RANKS];
    int steps; /* done */
} rank_data;

/* A snapshot that is being written. */
typedef struct attempt {
    disk_job *job;
    uint64_t contents;
    wc_array arrays[ARRAYS];
    wc_array_place places[ARRAYS];
    uint64_t ranks_place;
    wc_store_file *file;
    bool channels_made;
    wc_channel_place channels;
    rank_data ranks[JOB_MOST_RANKS];
    wc_error error; /* the first */
} attempt;

uint64_t job_run_id(void) {
    return RUN_ID;
}

/* ---- contents ---- */

static uint64_t count_of(const disk_job *job, int array, int rank) {
    if (array == ARRAY_LOCAL)
        return 100 + 37 * (uint64_t)rank;
    if (array == ARRAY_TILES)
        return (uint64_t)4 * TILE * TILE;
    return (uint64_t)(job->big ? 70000 : 700) + 111 * (uint64_t)rank;
}

static size_t each_of(int array) {
    return array == ARRAY_BYTES ? 1 : sizeof(double);
}

static uint64_t blocks_of(const disk_job *job, int array, int rank) {
    return wc_blocks(count_of(job, array, rank) * each_of(array));
}

static void fill(unsigned char *to, size_t bytes, uint64_t contents, uint64_t what) {
    uint64_t random = contents * 1000003 + what;
    for (size_t i = 0; i < bytes; i++)
        to[i] = i % 8 ? (unsigned char)(to[i - 1] * 5 + 1) : (unsigned char)disk_random(&random);
}

/* Messages of a rank to the next one, and their sizes: of none, too. */
static uint64_t messages_of(int rank, uint64_t contents) {
    return (contents + (uint64_t)rank) % (MOST_MESSAGES + 1);
}

static uint64_t message_bytes(int rank, uint64_t number, uint64_t contents) {
    return (contents * 977 + 1000 * (uint64_t)rank + number) % 3000;
}

static void describe(const disk_job *job, wc_array arrays[ARRAYS]) {
    static const char *const names[ARRAYS] = {"u", "ocean/tiles", "bytes"};
    memset(arrays, 0, ARRAYS * sizeof *arrays);
    for (int a = 0; a < ARRAYS; a++) {
        strcpy(arrays[a].name, names[a]);
        arrays[a].type = a == ARRAY_BYTES ? WC_TYPE_U8 : WC_TYPE_F64;
        for (int r = 0; r < job->ranks; r++) {
            arrays[a].total += count_of(job, a, r);
            arrays[a].blocks += blocks_of(job, a, r);
        }
    }
    wc_array *tiles = &arrays[ARRAY_TILES];
    tiles->ndims = 2;
    tiles->shape[0] = tiles->chunk[0] = TILE;
    tiles->chunk[1] = 4 * TILE;
    tiles->shape[1] = tiles->chunk[1] * (uint64_t)job->ranks;
}

/* ---- one rank ---- */

static void keep_error(attempt *a, const wc_error *error) {
    if (error->status != WC_OK && a->error.status == WC_OK)
        a->error = *error;
}

static const wc_sums NO_SUMS = {NULL, NULL};

static void queue(attempt *a, int rank, const void *from, size_t bytes, uint64_t to, wc_sums sums) {
    wc_error error = {WC_OK, ""};
    if (bytes)
        wc_writer_extent(a->ranks[rank].writer, from, NULL, bytes, to, sums, &error);
    keep_error(a, &error);
}

/* As staging does: address and place agree modulo the page. */
static void write_array(attempt *a, int rank, int array) {
    rank_data *d = &a->ranks[rank];
    wc_error error = {WC_OK, ""};
    uint64_t count = count_of(a->job, array, rank), first = 0, blocks = 0;
    uint64_t bytes = count * each_of(array);
    wc_sums sums = {d->hashes[array], &d->index[array].checksum};
    for (int r = 0; r < rank; r++) {
        first += count_of(a->job, array, r);
        blocks += blocks_of(a->job, array, r);
    }
    uint64_t place = a->places[array].data + first * each_of(array);
    d->memory[array] = aligned_alloc(4096, (bytes / 4096 + 2) * 4096);
    if (!d->memory[array])
        disk_stop("no memory");
    d->elements[array] = d->memory[array] + place % 4096;
    fill(d->elements[array], bytes, a->contents, (uint64_t)(16 * array + rank));
    if (array != ARRAY_TILES) {
        d->index[array] =
            (wc_index_row){.first = first, .count = count, .present = 1, .blocks_first = blocks};
        queue(a, rank, d->elements[array], bytes, place, sums);
        return;
    }
    d->box = (wc_box){.ndims = 2,
                      .global = {TILE, a->arrays[array].shape[1]},
                      .offset = {0, 4 * TILE * (uint64_t)rank},
                      .local = {TILE, 4 * TILE}};
    d->index[array] = wc_index_row_of(&d->box);
    d->index[array].blocks_first = blocks;
    wc_writer_box(d->writer, d->elements[array], NULL, &d->box, a->arrays[array].chunk,
                  each_of(array), a->places[array].data, sums, &error);
    keep_error(a, &error);
}

static void write_index(attempt *a, int rank, int array) {
    size_t bytes = wc_index_bytes(a->arrays[array].ndims);
    const rank_data *d = &a->ranks[rank];
    queue(a, rank, &d->index[array], bytes, a->places[array].index + (uint64_t)rank * bytes,
          NO_SUMS);
    queue(a, rank, d->hashes[array], blocks_of(a->job, array, rank) * sizeof *d->hashes[array],
          a->places[array].blocks + d->index[array].blocks_first * sizeof *d->hashes[array],
          NO_SUMS);
}

static void write_messages(attempt *a, int rank) {
    rank_data *d = &a->ranks[rank];
    uint64_t row = 0, offset = 0, n = messages_of(rank, a->contents), at = 0;
    for (int r = 0; r < rank; r++)
        for (uint64_t i = 0; i < messages_of(r, a->contents); i++, row++)
            offset += message_bytes(r, i, a->contents);
    d->payload = malloc(MOST_MESSAGES * 3000);
    if (!d->payload)
        disk_stop("no memory");
    for (uint64_t i = 0; i < n; i++) {
        uint64_t bytes = message_bytes(rank, i, a->contents);
        fill(d->payload + at, bytes, a->contents, 1000 + 16 * i + (uint64_t)rank);
        d->messages[i] = (wc_message_row){.comm = COMM,
                                          .source = (uint32_t)rank,
                                          .destination = (uint32_t)((rank + 1) % a->job->ranks),
                                          .tag = 3,
                                          .sequence = i,
                                          .bytes = bytes,
                                          .offset = offset + at};
        queue(a, rank, d->payload + at, bytes, a->channels.payload + offset + at,
              (wc_sums){&d->message_hashes[i], &d->messages[i].checksum});
        at += bytes;
    }
    queue(a, rank, d->messages, n * sizeof *d->messages,
          a->channels.messages + row * sizeof *d->messages, NO_SUMS);
}

static void write_counters(attempt *a, int rank) {
    rank_data *d = &a->ranks[rank];
    uint64_t n = messages_of(rank, a->contents);
    d->counter = (wc_counter_row){
        COMM, (uint32_t)rank, (uint32_t)((rank + 1) % a->job->ranks), 10 + n, 10, n};
    queue(a, rank, &d->counter, sizeof d->counter,
          a->channels.counters + (uint64_t)rank * sizeof d->counter, NO_SUMS);
    if (rank)
        return;
    d->comm = (wc_comm_row){.uid = COMM, .members_count = (uint64_t)a->job->ranks, .how = "world"};
    for (int r = 0; r < a->job->ranks; r++)
        d->members[r] = (uint32_t)r;
    queue(a, rank, &d->comm, sizeof d->comm, a->channels.communicators, NO_SUMS);
    queue(a, rank, d->members, (size_t)a->job->ranks * sizeof *d->members, a->channels.members,
          NO_SUMS);
}

static void write_row(attempt *a, int rank) {
    rank_data *d = &a->ranks[rank];
    d->row = (wc_rank_row){
        .rank = (uint32_t)rank, .pid = 4000, .step = a->contents, .record_time = 1.7e9};
    snprintf(d->row.host, sizeof d->row.host, "host-%d", rank);
    queue(a, rank, &d->row, sizeof d->row, a->ranks_place + (uint64_t)rank * sizeof d->row,
          NO_SUMS);
}

/* The first rank makes the datasets of the channels when it comes to that. */
static void add_channels(attempt *a) {
    wc_error error = {WC_OK, ""};
    wc_channel_sizes sizes = {.counters = (uint64_t)a->job->ranks,
                              .communicators = 1,
                              .members = (uint64_t)a->job->ranks};
    for (int r = 0; r < a->job->ranks; r++)
        for (uint64_t i = 0; i < messages_of(r, a->contents); i++) {
            sizes.messages++;
            sizes.payload_bytes += message_bytes(r, i, a->contents);
        }
    a->channels_made = wc_store_add_channels(a->file, &sizes, &a->channels, &error) == WC_OK;
    keep_error(a, &error);
}

enum { STEP_CHANNELS = 1 + 2 * ARRAYS, STEPS = STEP_CHANNELS + 5 };

static void do_step(attempt *a, int rank, int step) {
    wc_writer *writer = a->ranks[rank].writer;
    wc_error error = {WC_OK, ""};
    if (step == 0)
        wc_writer_open(writer, wc_store_path(a->file), &error);
    else if (step <= ARRAYS)
        write_array(a, rank, step - 1);
    else if (step < STEP_CHANNELS)
        write_index(a, rank, step - 1 - ARRAYS);
    else if (step == STEP_CHANNELS && rank == 0)
        add_channels(a);
    else if (step == STEP_CHANNELS + 1)
        write_messages(a, rank);
    else if (step == STEP_CHANNELS + 2)
        write_counters(a, rank);
    else if (step == STEP_CHANNELS + 3)
        write_row(a, rank);
    else if (step == STEP_CHANNELS + 4)
        wc_writer_sync(writer, &error);
    keep_error(a, &error);
}

/* One step, or several arrays and their indices, which the writer then has under way at once. */
static void take_turn(attempt *a, int rank) {
    rank_data *d = &a->ranks[rank];
    wc_error error;
    size_t from = disk_operations();
    uint64_t more = disk_below(&a->job->random, STEP_CHANNELS);
    disk_on_node(rank);
    do_step(a, rank, d->steps++);
    for (; more && d->steps > 1 && d->steps < STEP_CHANNELS; more--)
        do_step(a, rank, d->steps++);
    wc_writer_wait(d->writer, &error);
    keep_error(a, &error);
    disk_settle(from);
}

/* ---- all ranks ---- */

static bool can_go_on(const attempt *a, int rank) {
    int steps = a->ranks[rank].steps;
    return steps < STEPS && (rank == 0 || steps <= STEP_CHANNELS || a->channels_made);
}

/* Whose turn it is; -1: nobody's. */
static int choose(attempt *a) {
    int able[JOB_MOST_RANKS], n = 0;
    for (int r = 0; r < a->job->ranks; r++)
        if (can_go_on(a, r))
            able[n++] = r;
    return n ? able[disk_below(&a->job->random, (uint64_t)n)] : -1;
}

/* When one has failed, the others still do what they have begun; then all close the file. */
static void write_ranks(attempt *a) {
    int rank;
    while (a->error.status == WC_OK && (rank = choose(a)) >= 0)
        take_turn(a, rank);
    for (rank = 0; rank < a->job->ranks && a->error.status != WC_OK; rank++) {
        wc_error error;
        disk_on_node(rank);
        wc_writer_close(a->ranks[rank].writer, &error);
        wc_writer_wait(a->ranks[rank].writer, &error);
    }
    disk_on_node(0);
}

static void start_ranks(attempt *a) {
    for (int r = 0; r < a->job->ranks; r++)
        if (wc_writer_start(&a->ranks[r].writer, &a->error) != WC_OK)
            disk_stop("%s", a->error.text);
}

static void end_ranks(attempt *a) {
    for (int r = 0; r < a->job->ranks; r++) {
        wc_writer_stop(a->ranks[r].writer);
        free(a->ranks[r].payload);
        for (int i = 0; i < ARRAYS; i++)
            free(a->ranks[r].memory[i]);
    }
}

wc_status job_write(disk_job *job, uint64_t id, uint64_t contents, wc_store_file **file,
                    wc_error *error) {
    attempt a = {.job = job, .contents = contents};
    wc_snapshot_head head = {.id = id,
                             .run_id = RUN_ID,
                             .ranks = (uint32_t)job->ranks,
                             .time = 1.7e9,
                             .mpi_library = "none",
                             .program = "./job",
                             .version = "test"};
    disk_on_node(0);
    describe(job, a.arrays);
    if (wc_store_create(job->dir, &head, a.arrays, ARRAYS, a.places, &a.ranks_place, &a.file,
                        error) != WC_OK)
        return error->status;
    start_ranks(&a);
    write_ranks(&a);
    end_ranks(&a);
    *file = a.file;
    if (a.error.status == WC_OK)
        return WC_OK;
    wc_store_abandon(a.file);
    *error = a.error;
    return error->status;
}

static void note(const disk_job *job, job_event event, uint64_t number, uint64_t contents) {
    if (job->note)
        job->note(event, number, contents);
}

wc_status job_snapshot(disk_job *job, uint64_t id, uint64_t contents, uint64_t keep,
                       wc_error *error) {
    wc_store_file *file;
    wc_status status = job_write(job, id, contents, &file, error);
    if (status != WC_OK)
        return status;
    note(job, JOB_PUBLISHES, id, contents);
    status = wc_store_publish(file, error);
    if (status != WC_OK)
        return status;
    note(job, JOB_PUBLISHED, id, contents);
    note(job, JOB_PRUNES, keep, 0);
    return wc_store_prune(job->dir, keep, error);
}

/* ---- what comes back ---- */

static wc_status differs(const disk_job *job, uint64_t id, wc_error *error, const char *what) {
    return wc_error_set(error, WC_ERR_MISMATCH, "%s: snapshot %llu verifies, and %s is wrong",
                        job->dir, (unsigned long long)id, what);
}

static wc_status check_array(const disk_job *job, wc_reader *reader, uint64_t id, uint64_t contents,
                             size_t number, int array, wc_error *error) {
    for (int r = 0; r < job->ranks; r++) {
        uint64_t count = count_of(job, array, r), bytes = count * each_of(array);
        unsigned char *got = malloc(bytes + 1), *expected = malloc(bytes + 1);
        wc_index_row row = {0};
        wc_status status = wc_reader_index(reader, number, (uint32_t)r, &row, error);
        if (status == WC_OK && (row.count != count || !row.present))
            status = differs(job, id, error, "an index");
        if (status == WC_OK)
            status = wc_reader_extent(reader, number, (uint32_t)r, got, error);
        fill(expected, bytes, contents, (uint64_t)(16 * array + r));
        if (status == WC_OK && memcmp(got, expected, bytes) != 0)
            status = differs(job, id, error, "an array");
        free(got);
        free(expected);
        if (status != WC_OK)
            return status;
    }
    return WC_OK;
}

static wc_status check_arrays(const disk_job *job, wc_reader *reader, uint64_t id,
                              uint64_t contents, wc_error *error) {
    wc_array expected[ARRAYS];
    const wc_array *arrays;
    size_t n = wc_reader_arrays(reader, &arrays);
    describe(job, expected);
    if (n != ARRAYS)
        return differs(job, id, error, "the number of arrays");
    wc_status status = WC_OK;
    for (size_t i = 0; i < n && status == WC_OK; i++) {
        int a = 0;
        while (a < ARRAYS && strcmp(expected[a].name, arrays[i].name) != 0)
            a++;
        status = a < ARRAYS ? check_array(job, reader, id, contents, i, a, error)
                            : differs(job, id, error, "the name of an array");
    }
    return status;
}

static wc_status check_messages(const disk_job *job, wc_reader *reader, uint64_t id,
                                uint64_t contents, wc_error *error) {
    wc_message_row *rows;
    size_t n, expected = 0;
    wc_status status = wc_reader_messages(reader, &rows, &n, error);
    if (status != WC_OK)
        return status;
    for (int r = 0; r < job->ranks; r++)
        expected += messages_of(r, contents);
    if (n != expected)
        status = differs(job, id, error, "the number of messages");
    for (size_t i = 0; i < n && status == WC_OK; i++) {
        unsigned char got[3000], made[3000];
        uint64_t bytes = message_bytes((int)rows[i].source, rows[i].sequence, contents);
        fill(made, bytes, contents, 1000 + 16 * rows[i].sequence + rows[i].source);
        if (rows[i].bytes == bytes)
            status = wc_reader_payload(reader, &rows[i], got, error);
        if (status == WC_OK && (rows[i].bytes != bytes || memcmp(got, made, bytes) != 0))
            status = differs(job, id, error, "a message");
    }
    free(rows);
    return status;
}

wc_status job_check(const disk_job *job, uint64_t id, uint64_t contents, wc_error *error) {
    char path[PATH_MAX];
    wc_reader *reader;
    wc_verdict verdict;
    wc_store_snapshot_path(job->dir, id, path, sizeof path);
    wc_status status = wc_reader_open(path, &reader, error);
    if (status != WC_OK)
        return status;
    status = wc_reader_verify(reader, &verdict, error);
    if (status == WC_OK && verdict.failures)
        status = wc_error_set(error, WC_ERR_DAMAGED, "%s: %s", path, verdict.first_failure);
    if (status == WC_OK && wc_reader_head(reader)->run_id != RUN_ID)
        status = differs(job, id, error, "the run");
    if (status == WC_OK)
        status = check_arrays(job, reader, id, contents, error);
    if (status == WC_OK)
        status = check_messages(job, reader, id, contents, error);
    wc_reader_close(reader);
    return status;
}
