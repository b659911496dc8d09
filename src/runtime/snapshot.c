/* SPDX-License-Identifier: BSD-3-Clause */
#include "snapshot.h"

#include "../store/fault.h"
#include "log.h"
#include "manifest.h"
#include "pace.h"
#include "report.h"
#include "rows.h"
#include "runtime.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef enum wc_stage {
    STAGE_NONE,
    STAGE_HASH,       /* do all ranks protect the same names? */
    STAGE_GATHER,     /* no: how long is each rank's list? */
    STAGE_LISTS,      /* the lists are on their way to rank 0 */
    STAGE_UNION_SIZE, /* the length of the union */
    STAGE_UNION,      /* the union is on its way to all */
    STAGE_COUNTS,     /* elements before this rank's, and in total */
    STAGE_CREATE,     /* rank 0 makes the file */
    STAGE_PLACES,     /* its places are on their way to all */
    STAGE_STATE,      /* the state is being written; the cut isn't complete yet */
    STAGE_SIZES,      /* sizes of the channel datasets */
    STAGE_CHANNELS,   /* rank 0 makes them */
    STAGE_CHANNEL_PLACES,
    STAGE_WRITE,   /* until all is durable on this rank */
    STAGE_VOTE,    /* the commit is being voted on */
    STAGE_PUBLISH, /* rank 0 gives the file its name */
    STAGE_OUTCOME, /* and tells all */
    STAGE_PRUNE    /* old snapshots go: nobody waits for that to call this one committed */
} wc_stage;

/* What rank 0 tells all when the file is made; the places of the arrays follow. */
typedef struct wc_created {
    uint64_t made; /* 0: rank 0 could not */
    uint64_t id, ranks_place;
    char path[PATH_MAX];
    wc_array_place places[];
} wc_created;

typedef struct wc_channels_made {
    uint64_t made;
    wc_channel_place place;
} wc_channels_made;

typedef struct wc_published {
    uint64_t made, id;
} wc_published;

/* Reduced with SUM and scanned: `lost` counts ranks that can't go on. */
typedef struct wc_sizes {
    uint64_t lost;
    wc_channel_sizes sizes;
} wc_sizes;

enum { SIZES_WORDS = sizeof(wc_sizes) / sizeof(uint64_t) };

static struct {
    wc_stage stage;
    bool settled, valid,
        waiting;    /* waiting: recorded, but the last snapshot's outcome is still to come */
    wc_error error; /* the first one of this attempt on this rank */
    MPI_Request requests[3];

    uint64_t hash[2], hashes[2]; /* a hash and its complement: their minima are min and ~max */
    int list_bytes;
    int *lengths, *starts; /* of the ranks' lists, rank 0 */
    wc_array *lists;
    uint64_t union_count;
    wc_manifest manifest;

    uint64_t *counts, *totals; /* [3 * manifest.count]: elements, blocks, sums of boxes */
    uint64_t *firsts;          /* [2 * manifest.count]: of the ranks before, without the sums */
    uint64_t *tiles;           /* [manifest.count][WC_TILE_WORDS] maxima */
    wc_created *created;
    wc_index_row *index;
    uint64_t *part_hashes;    /* of the blocks of this rank's parts, one array's after the other */
    uint64_t *message_hashes; /* of those of its messages, likewise */
    wc_store_file *file;      /* rank 0 */

    wc_rows rows;
    wc_sizes mine, before, all;
    double stall_s, longest_stall_s; /* of this rank's record, and of any */
    wc_channels_made channels;
    wc_rank_row rank_row;
    wc_published published;

    int64_t heard_at, armed_at, recorded_at, settled_at; /* 0: not yet */
    int64_t began_at; /* heard_at of the snapshot that is being published */
    double record_time;
    int64_t step;                   /* of the record */
    uint64_t bytes, written_before; /* of the state; by the writer, before the record */
} S = {.requests = {MPI_REQUEST_NULL, MPI_REQUEST_NULL, MPI_REQUEST_NULL}};

static double since_heard(int64_t when) {
    return when ? (double)(when - S.heard_at) * 1e-9 : 0;
}

static bool is_root(void) {
    return R.rank == 0;
}

static bool communicated(void) {
    bool all = true;
    for (MPI_Request *r = S.requests; r < S.requests + 3; r++) {
        int one;
        PMPI_Test(r, &one, MPI_STATUS_IGNORE);
        all = all && one;
    }
    return all;
}

static void keep_error(const wc_error *error) {
    if (error->status != WC_OK && S.error.status == WC_OK)
        S.error = *error;
}

/* ---- work on the file, on the writer's thread if HDF5 allows it ---- */

static void run_on_file(wc_writer_task task) {
    wc_error error = {WC_OK, ""};
    if (R.store->threadsafe)
        wc_writer_run(R.writer, task, NULL, &error);
    else
        task(NULL, &error);
    keep_error(&error);
}

static bool written(void) {
    wc_error error = {WC_OK, ""};
    if (!wc_writer_idle(R.writer, &error))
        return false;
    keep_error(&error);
    return true;
}

static void create_file(void *context, wc_error *error) {
    (void)context;
    wc_snapshot_head head;
    wc_report_head(&head, S.created->id, S.record_time);
    wc_status status = R.store->create(R.settings.dir, &head, S.manifest.arrays, S.manifest.count,
                                       S.created->places, &S.created->ranks_place, &S.file, error);
    if (status != WC_OK)
        return;
    snprintf(S.created->path, sizeof S.created->path, "%s", R.store->path(S.file));
    S.created->made = 1;
}

static void add_channels(void *context, wc_error *error) {
    (void)context;
    S.channels.made =
        R.store->add_channels(S.file, &S.all.sizes, &S.channels.place, error) == WC_OK;
}

static void publish_file(void *context, wc_error *error) {
    (void)context;
    S.published.made = R.store->publish(S.file, error) == WC_OK;
    S.file = NULL;
}

static void prune_files(void *context, wc_error *error) {
    (void)context;
    wc_store_prune(R.settings.dir, (uint64_t)R.settings.keep, error);
}

static void abandon_file(void *context, wc_error *error) {
    (void)context;
    (void)error;
    R.store->abandon(S.file);
    S.file = NULL;
}

/* ---- hooks ---- */

void wc_snapshot_watch(int64_t now) {
    if (!wc_core_busy(&L.core)) {
        S.heard_at = S.armed_at = 0;
        return;
    }
    if (!S.heard_at)
        S.heard_at = now;
    if (!S.armed_at && L.core.state >= WC_STATE_AGREED) {
        S.armed_at = now;
        WC_FAULT("after_arm");
    }
}

/* Once. */
static void tell_of_spill(void) {
    static bool told;
    if (!R.staging.spilled || told)
        return;
    told = true;
    wc_log_rank(WC_LOG_ERROR,
                "%llu MiB of the state don't fit into WAVECUT_STAGING_MB=%lld: the program waits "
                "while they are written to a file in %s, in each record",
                (unsigned long long)((R.staging.spilled + (1 << 20) - 1) >> 20),
                (long long)R.settings.staging_mb, R.settings.dir);
}

/* The program's callbacks are called in here. False: the attempt is void. */
static bool copy_state(void) {
    wc_error error = {WC_OK, ""};
    wc_run_phase phase = R.phase;
    R.phase = WC_RUN_CALLBACK;
    wc_status status = wc_staging_copy(
        &R.staging, &R.regions, (uint64_t)R.settings.staging_mb << 20, R.settings.dir, &error);
    R.phase = phase;
    if (status == WC_OK) {
        tell_of_spill();
        return true;
    }
    wc_log_rank(WC_LOG_ERROR, "%s", error.text);
    if (status == WC_ERR_CALLBACK)
        wc_core_void(&L.core, WC_REASON_CALLBACK, -1, -1, error.text);
    else if (status == WC_ERR_IO)
        wc_core_void(&L.core, WC_REASON_STORE, -1, -1, error.text);
    else
        wc_core_void(&L.core, WC_REASON_MEMORY, -1, -1, NULL);
    return false;
}

static uint64_t state_bytes(void) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < R.staging.count; i++)
        bytes += wc_region_bytes(&R.staging.copies[i]);
    return bytes;
}

void wc_snapshot_record(void) {
    WC_FAULT("before_record");
    struct timespec t;
    int64_t start = wc_layer_now();
    if (!copy_state())
        return;
    wc_rows_free(&S.rows);
    wc_rows_record(&S.rows);
    clock_gettime(CLOCK_REALTIME, &t);
    S.step = (int64_t)R.steps_before + L.core.step;
    S.bytes = state_bytes();
    S.written_before = wc_writer_written(R.writer);
    S.record_time = (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
    S.recorded_at = wc_layer_now();
    R.info.stall_s = (double)(S.recorded_at - start) * 1e-9;
    WC_FAULT("after_record");
}

void wc_snapshot_take_back(const char *name) {
    if (!R.staging.lending)
        return;
    int64_t start = wc_layer_now();
    if (name)
        wc_staging_take_back_one(&R.staging, name);
    else
        wc_staging_take_back(&R.staging);
    R.info.stall_s += (double)(wc_layer_now() - start) * 1e-9;
}

static void begin(void) {
    S.waiting = false;
    S.error = (wc_error){WC_OK, ""};
    wc_manifest_own(&S.manifest, R.staging.copies, R.staging.count);
    S.hash[0] = wc_manifest_hash(&S.manifest);
    S.hash[1] = ~S.hash[0];
    PMPI_Iallreduce(S.hash, S.hashes, 2, MPI_UINT64_T, MPI_MIN, L.store, &S.requests[0]);
    S.stage = STAGE_HASH;
}

void wc_snapshot_all_recorded(void) {
    WC_FAULT("all_recorded");
    S.settled = S.valid = false;
    S.waiting = true;
    if (S.stage == STAGE_NONE)
        begin();
}

void wc_snapshot_settled(bool valid) {
    WC_FAULT("in_close");
    S.settled = true;
    S.valid = valid;
    S.settled_at = wc_layer_now();
}

/* ---- names ---- */

static void share_union(void) {
    S.union_count = S.manifest.count;
    PMPI_Ibcast(&S.union_count, 1, MPI_UINT64_T, 0, L.store, &S.requests[0]);
    S.stage = STAGE_UNION_SIZE;
}

static void gather_lengths(void) {
    S.list_bytes = (int)(S.manifest.count * sizeof *S.manifest.arrays);
    if (is_root())
        S.lengths = wc_core_alloc((size_t)R.ranks * sizeof *S.lengths);
    PMPI_Igather(&S.list_bytes, 1, MPI_INT, S.lengths, 1, MPI_INT, 0, L.store, &S.requests[0]);
    S.stage = STAGE_GATHER;
}

static void gather_lists(void) {
    size_t bytes = 0;
    if (is_root()) {
        S.starts = wc_core_alloc((size_t)R.ranks * sizeof *S.starts);
        for (int i = 0; i < R.ranks; i++) {
            S.starts[i] = (int)bytes;
            bytes += (size_t)S.lengths[i];
        }
        S.lists = wc_core_alloc(bytes);
        S.union_count = bytes / sizeof *S.lists;
    }
    PMPI_Igatherv(S.manifest.arrays, S.list_bytes, MPI_BYTE, S.lists, S.lengths, S.starts, MPI_BYTE,
                  0, L.store, &S.requests[0]);
    S.stage = STAGE_LISTS;
}

static void unite(void) {
    if (is_root()) {
        wc_error error = {WC_OK, ""};
        wc_manifest_free(&S.manifest);
        wc_manifest_unite(&S.manifest, S.lists, S.union_count, &error);
        keep_error(&error);
    }
    share_union();
}

static void send_union(void) {
    if (!is_root()) {
        wc_manifest_free(&S.manifest);
        S.manifest.arrays = wc_core_alloc(S.union_count * sizeof *S.manifest.arrays);
        S.manifest.count = S.union_count;
    }
    PMPI_Ibcast(S.manifest.arrays, (int)(S.manifest.count * sizeof *S.manifest.arrays), MPI_BYTE, 0,
                L.store, &S.requests[0]);
    S.stage = STAGE_UNION;
}

/* ---- places ---- */

/* Elements and blocks of each array, and for global ones the sum of the boxes, reduced together, and what tiles they
 * are. */
static void count_elements(void) {
    size_t n = S.manifest.count;
    S.counts = wc_core_alloc((8 + WC_TILE_WORDS) * n * sizeof *S.counts);
    S.totals = S.counts + 3 * n;
    S.firsts = S.totals + 3 * n;
    S.tiles = S.firsts + 2 * n;
    /* The union is empty when the ranks could not agree. */
    for (size_t i = 0; i < R.staging.count && n; i++) {
        const wc_region *copy = &R.staging.copies[i];
        size_t k = wc_manifest_find(&S.manifest, copy->name);
        S.counts[k] = copy->count;
        S.counts[n + k] = wc_blocks(wc_region_bytes(copy));
        S.counts[2 * n + k] = copy->box.ndims ? wc_box_sum(&copy->box) : 0;
        if (copy->count)
            wc_tile_say(&copy->box, S.tiles + k * WC_TILE_WORDS);
    }
    PMPI_Iexscan(S.counts, S.firsts, 2 * (int)n, MPI_UINT64_T, MPI_SUM, L.store, &S.requests[0]);
    PMPI_Iallreduce(S.counts, S.totals, 3 * (int)n, MPI_UINT64_T, MPI_SUM, L.store, &S.requests[1]);
    PMPI_Iallreduce(MPI_IN_PLACE, S.tiles, WC_TILE_WORDS * (int)n, MPI_UINT64_T, MPI_MAX, L.store,
                    &S.requests[2]);
    S.stage = STAGE_COUNTS;
}

/* The parts of a global array must fill it, each element once. */
static void check_parts(void) {
    wc_error error = {WC_OK, ""};
    size_t n = S.manifest.count;
    for (size_t k = 0; k < n; k++) {
        const wc_array *a = &S.manifest.arrays[k];
        wc_box whole = {.ndims = a->ndims};
        memcpy(whole.global, a->shape, sizeof whole.global);
        uint64_t elements = wc_box_whole(&whole);
        if (!a->ndims ||
            (S.totals[k] == elements && S.totals[2 * n + k] == wc_box_whole_sum(&whole)))
            continue;
        if (S.totals[k] == elements)
            wc_error_set(&error, WC_ERR_ARGUMENT, "the parts of \"%s\" overlap in the global array",
                         a->name);
        else
            wc_error_set(&error, WC_ERR_ARGUMENT,
                         "the parts of \"%s\" don't fill the global array: %llu of %llu elements",
                         a->name, (unsigned long long)S.totals[k], (unsigned long long)elements);
        keep_error(&error);
    }
}

static void make_file(void) {
    size_t n = S.manifest.count;
    WC_FAULT("after_counts");
    S.created = wc_core_alloc(sizeof *S.created + n * sizeof *S.created->places);
    S.created->id = R.next_id;
    for (size_t i = 0; i < n; i++) {
        S.manifest.arrays[i].total = S.totals[i];
        S.manifest.arrays[i].blocks = S.totals[n + i];
        if (S.manifest.arrays[i].ndims)
            wc_tile_choose(&S.manifest.arrays[i], S.tiles + i * WC_TILE_WORDS);
    }
    if (S.error.status == WC_OK)
        check_parts();
    if (is_root() && S.error.status == WC_OK)
        run_on_file(create_file);
    S.stage = STAGE_CREATE;
}

static void share_places(void) {
    size_t bytes = sizeof *S.created + S.manifest.count * sizeof *S.created->places;
    PMPI_Ibcast(S.created, (int)bytes, MPI_BYTE, 0, L.store, &S.requests[0]);
    S.stage = STAGE_PLACES;
}

/* ---- writing ---- */

/* Where a box begins, from `to` on; it is queued. */
static uint64_t queue_box(const wc_region *copy, wc_lent *lent, const wc_array *a, uint64_t to,
                          wc_sums sums) {
    wc_error error = {WC_OK, ""};
    uint64_t place, bytes;
    wc_box_walk walk;
    wc_box_walk_begin(&walk, &copy->box, a->chunk, wc_type_bytes(copy->type));
    if (!wc_box_walk_next(&walk, &place, &bytes))
        return to;
    wc_writer_box(R.writer, copy->address, lent, &copy->box, a->chunk, wc_type_bytes(copy->type),
                  to, sums, &error);
    keep_error(&error);
    return to + place;
}

static const wc_sums NO_SUMS = {NULL, NULL};

static void queue_lent(const void *from, wc_lent *lent, uint64_t bytes, uint64_t to, wc_sums sums) {
    wc_error error = {WC_OK, ""};
    if (bytes)
        wc_writer_extent(R.writer, from, lent, bytes, to, sums, &error);
    keep_error(&error);
}

static void queue(const void *from, uint64_t bytes, uint64_t to, wc_sums sums) {
    queue_lent(from, NULL, bytes, to, sums);
}

/* Remembers where the region begins in a page of the file: the next copy is laid out so. */
static void note_skew(const wc_region *copy, uint64_t place) {
    wc_region *r = wc_regions_find(&R.regions, copy->name);
    if (!r)
        return;
    r->skew = place % 4096;
    if (!r->stable || r->told || ((uintptr_t)r->address - place) % 4096 == 0)
        return;
    r->told = true;
    wc_log_rank(WC_LOG_INFO,
                "\"%s\": its address and its place in the file differ modulo the page, so the "
                "writer's thread copies it before it is written",
                r->name);
}

/* The hashes of its blocks go to `hashes`. */
static void write_array(size_t i, uint64_t *hashes) {
    const wc_region *copy = &R.staging.copies[i];
    wc_lent *lent = wc_staging_lent(&R.staging, i);
    size_t k = wc_manifest_find(&S.manifest, copy->name);
    wc_index_row *row = &S.index[k];
    const wc_array *a = &S.manifest.arrays[k];
    uint64_t place = S.created->places[k].data;
    wc_sums sums = {hashes, &row->checksum};
    if (copy->box.ndims) {
        *row = wc_index_row_of(&copy->box);
        place = queue_box(copy, lent, a, place, sums);
    } else {
        *row = (wc_index_row){.first = S.firsts[k], .count = S.counts[k], .present = 1};
        place += row->first * wc_type_bytes(copy->type);
        queue_lent(copy->address, lent, wc_region_bytes(copy), place, sums);
    }
    row->blocks_first = S.firsts[S.manifest.count + k];
    note_skew(copy, place);
}

/* Behind the parts, whose hashes they carry. */
static void write_rows(size_t k, const uint64_t *hashes) {
    size_t n = S.manifest.count, bytes = wc_index_bytes(S.manifest.arrays[k].ndims);
    const wc_array_place *place = &S.created->places[k];
    queue(&S.index[k], bytes, place->index + (uint64_t)R.rank * bytes, NO_SUMS);
    queue(hashes, S.counts[n + k] * sizeof *hashes,
          place->blocks + S.firsts[n + k] * sizeof *hashes, NO_SUMS);
}

static void write_state(void) {
    wc_error error = {WC_OK, ""};
    WC_FAULT("after_places");
    size_t n = S.manifest.count, blocks = 0;
    S.index = wc_core_alloc(n * sizeof *S.index);
    for (size_t k = 0; k < n; k++) {
        S.index[k] = (wc_index_row){.first = S.manifest.arrays[k].ndims ? 0 : S.firsts[k],
                                    .blocks_first = S.firsts[n + k]};
        blocks += S.counts[n + k];
    }
    S.part_hashes = wc_core_alloc(blocks * sizeof *S.part_hashes);
    wc_writer_open(R.writer, S.created->path, &error);
    keep_error(&error);
    /* The copies are sorted by name, as the union is. */
    uint64_t *hashes = S.part_hashes;
    for (size_t i = 0; i < R.staging.count; i++) {
        write_array(i, hashes);
        hashes += wc_blocks(wc_region_bytes(&R.staging.copies[i]));
    }
    hashes = S.part_hashes;
    for (size_t k = 0; k < n; k++) {
        write_rows(k, hashes);
        hashes += S.counts[n + k];
    }
}

static void reduce_sizes(void) {
    S.mine = (wc_sizes){.lost = !S.valid || !S.created->made || S.error.status != WC_OK};
    if (S.valid) {
        wc_rows_settle(&S.rows);
        S.mine.sizes = S.rows.sizes;
    }
    PMPI_Iexscan(&S.mine, &S.before, SIZES_WORDS, MPI_UINT64_T, MPI_SUM, L.store, &S.requests[0]);
    PMPI_Iallreduce(&S.mine, &S.all, SIZES_WORDS, MPI_UINT64_T, MPI_SUM, L.store, &S.requests[1]);
    S.stall_s = R.info.stall_s;
    PMPI_Iallreduce(&S.stall_s, &S.longest_stall_s, 1, MPI_DOUBLE, MPI_MAX, L.store,
                    &S.requests[2]);
    S.stage = STAGE_SIZES;
}

/* The snapshot is given up. An open file would hold its space on the disk. */
static void close_file(void) {
    wc_error error = {WC_OK, ""};
    wc_writer_close(R.writer, &error);
    keep_error(&error);
    S.stage = STAGE_WRITE;
}

static void make_channels(void) {
    if (S.all.lost) {
        close_file();
        return;
    }
    if (is_root()) {
        S.before = (wc_sizes){0}; /* a scan leaves rank 0's undefined */
        run_on_file(add_channels);
    }
    wc_rows_shift(&S.rows, &S.before.sizes);
    S.stage = STAGE_CHANNELS;
}

static void share_channels(void) {
    PMPI_Ibcast(&S.channels, sizeof S.channels, MPI_BYTE, 0, L.store, &S.requests[0]);
    S.stage = STAGE_CHANNEL_PLACES;
}

static void write_messages(void) {
    const wc_channel_place *place = &S.channels.place;
    const wc_channel_sizes *before = &S.before.sizes, *own = &S.rows.sizes;
    uint64_t blocks = 0;
    for (uint64_t i = 0; i < own->messages; i++)
        blocks += wc_blocks(S.rows.messages[i].bytes);
    uint64_t *hashes = S.message_hashes = wc_core_alloc(blocks * sizeof *hashes);
    for (uint64_t i = 0; i < own->messages; i++) {
        wc_message_row *row = &S.rows.messages[i];
        queue(L.core.cut.at[i]->data, row->bytes, place->payload + row->offset,
              (wc_sums){hashes, &row->checksum});
        hashes += wc_blocks(row->bytes);
    }
    queue(S.rows.messages, own->messages * sizeof *S.rows.messages,
          place->messages + before->messages * sizeof *S.rows.messages, NO_SUMS);
    queue(S.rows.counters, own->counters * sizeof *S.rows.counters,
          place->counters + before->counters * sizeof *S.rows.counters, NO_SUMS);
    queue(S.rows.communicators, own->communicators * sizeof *S.rows.communicators,
          place->communicators + before->communicators * sizeof *S.rows.communicators, NO_SUMS);
    queue(S.rows.members, own->members * sizeof *S.rows.members,
          place->members + before->members * sizeof *S.rows.members, NO_SUMS);
}

static void write_trace(void) {
    const wc_channel_place *place = &S.channels.place;
    const wc_channel_sizes *before = &S.before.sizes, *own = &S.rows.sizes;
    queue(S.rows.events, own->events * sizeof *S.rows.events,
          place->events + before->events * sizeof *S.rows.events, NO_SUMS);
    queue(&S.rows.event_index, own->traced * sizeof S.rows.event_index,
          place->event_index + before->traced * sizeof S.rows.event_index, NO_SUMS);
    queue(S.rows.streams, own->streams * sizeof *S.rows.streams,
          place->streams + before->streams * sizeof *S.rows.streams, NO_SUMS);
}

static void write_rank_row(void) {
    S.rank_row = (wc_rank_row){.rank = (uint32_t)R.rank,
                               .pid = (uint32_t)getpid(),
                               .step = (uint64_t)S.step,
                               .bytes = S.bytes,
                               .record_time = S.record_time,
                               .arm_s = since_heard(S.armed_at),
                               .record_s = since_heard(S.recorded_at),
                               .close_s = since_heard(S.settled_at),
                               .durable_s = since_heard(wc_layer_now()),
                               .stall_s = R.info.stall_s};
    gethostname(S.rank_row.host, sizeof S.rank_row.host - 1);
    queue(&S.rank_row, sizeof S.rank_row,
          S.created->ranks_place + (uint64_t)R.rank * sizeof S.rank_row, NO_SUMS);
}

static void write_rest(void) {
    wc_error error = {WC_OK, ""};
    if (!S.channels.made) {
        close_file();
        return;
    }
    write_messages();
    write_trace();
    write_rank_row();
    wc_writer_sync(R.writer, &error);
    keep_error(&error);
    S.stage = STAGE_WRITE;
}

/* ---- the end ---- */

static void log_error(void) {
    if (S.error.status != WC_OK)
        wc_log_rank(WC_LOG_ERROR, "snapshot %llu: %s", (unsigned long long)S.created->id,
                    S.error.text);
}

static void answer(void) {
    bool lost = S.error.status != WC_OK;
    WC_FAULT("before_vote");
    log_error();
    S.stage = STAGE_VOTE;
    wc_core_durable(&L.core, lost ? WC_REASON_STORE : WC_REASON_NONE, S.error.text);
}

static void clear(void) {
    wc_manifest_free(&S.manifest);
    free(S.lengths);
    free(S.starts);
    free(S.lists);
    free(S.counts);
    free(S.created);
    free(S.index);
    free(S.part_hashes);
    free(S.message_hashes);
    S.lengths = S.starts = NULL;
    S.lists = NULL;
    S.counts = S.firsts = S.totals = S.tiles = NULL;
    S.created = NULL;
    S.index = NULL;
    S.part_hashes = S.message_hashes = NULL;
    S.stage = STAGE_NONE;
}

void wc_snapshot_finished(bool committed) {
    wc_rows_free(&S.rows);
    wc_staging_drop(&R.staging);
    if (S.stage != STAGE_VOTE)
        return; /* void before anything was written */
    S.published = (wc_published){.id = S.created->id};
    S.began_at = S.heard_at;
    if (!committed) {
        if (S.file)
            run_on_file(abandon_file);
        clear();
        return;
    }
    WC_FAULT("after_vote");
    if (is_root())
        run_on_file(publish_file);
    S.stage = STAGE_PUBLISH;
}

static void share_outcome(void) {
    log_error();
    if (is_root()) /* one that could not be published may have taken its number */
        R.next_id = S.published.id + 1;
    PMPI_Ibcast(&S.published, sizeof S.published, MPI_BYTE, 0, L.store, &S.requests[0]);
    S.stage = STAGE_OUTCOME;
}

static void report_outcome(void) {
    double took_s = (double)(wc_layer_now() - S.began_at) * 1e-9;
    wc_report_outcome(S.published.made, S.published.id, S.all.sizes.messages, took_s);
    if (is_root() && S.published.made) {
        wc_pace_committed(S.longest_stall_s, took_s);
        run_on_file(prune_files);
    }
    S.stage = STAGE_PRUNE;
}

static void close_snapshot(void) {
    if (S.published.made) /* what kept it from being published has been logged */
        log_error();
    clear();
    if (S.waiting)
        begin();
}

/* ---- the walk ---- */

/* One step; true if there may be another. */
static bool advance(void) {
    bool file_work = S.stage == STAGE_CREATE || S.stage == STAGE_CHANNELS ||
                     S.stage == STAGE_WRITE || S.stage == STAGE_PUBLISH || S.stage == STAGE_PRUNE;
    if (S.stage == STAGE_NONE || S.stage == STAGE_VOTE || !communicated() ||
        (file_work && !written()))
        return false;
    switch (S.stage) {
    case STAGE_HASH:
        if (S.hashes[0] == ~S.hashes[1])
            count_elements();
        else
            gather_lengths();
        return true;
    case STAGE_GATHER:
        gather_lists();
        return true;
    case STAGE_LISTS:
        unite();
        return true;
    case STAGE_UNION_SIZE:
        send_union();
        return true;
    case STAGE_UNION:
        count_elements();
        return true;
    case STAGE_COUNTS:
        if (is_root())
            memset(S.firsts, 0,
                   2 * S.manifest.count * sizeof *S.firsts); /* a scan leaves it undefined */
        make_file();
        return true;
    case STAGE_CREATE:
        share_places();
        return true;
    case STAGE_PLACES:
        if (S.created->made)
            write_state();
        S.stage = STAGE_STATE;
        return true;
    case STAGE_STATE:
        if (S.settled)
            reduce_sizes();
        return S.settled;
    case STAGE_SIZES:
        make_channels();
        return true;
    case STAGE_CHANNELS:
        share_channels();
        return true;
    case STAGE_CHANNEL_PLACES:
        write_rest();
        return true;
    case STAGE_WRITE:
        answer();
        return false;
    case STAGE_PUBLISH:
        share_outcome();
        return true;
    case STAGE_OUTCOME:
        report_outcome();
        return true;
    default: /* STAGE_PRUNE */
        close_snapshot();
        return true;
    }
}

void wc_snapshot_advance(void) {
    while (advance())
        ;
}

static const char *phase(void) {
    if (S.stage >= STAGE_PUBLISH)
        return "committing";
    switch (L.core.state) {
    case WC_STATE_IDLE:
        return NULL;
    case WC_STATE_AGREEING:
    case WC_STATE_AGREED:
        return "agreeing";
    case WC_STATE_RECORDED:
    case WC_STATE_CLOSING:
    case WC_STATE_SETTLING:
        return "collecting messages in flight";
    case WC_STATE_WRITING:
        return "writing";
    default:
        return "committing";
    }
}

void wc_snapshot_tell(wc_snapshot_progress *p) {
    int64_t now = wc_layer_now();
    bool recorded = L.core.state >= WC_STATE_RECORDED || S.stage >= STAGE_PUBLISH;
    uint64_t written = recorded ? wc_writer_written(R.writer) - S.written_before : 0;
    *p = (wc_snapshot_progress){.phase = phase()};
    if (!p->phase)
        return;
    p->seconds = S.heard_at ? 1e-9 * (double)(now - S.heard_at) : 0;
    p->write_seconds = recorded ? 1e-9 * (double)(now - S.recorded_at) : 0;
    p->bytes = recorded ? S.bytes : 0;
    p->written = written < p->bytes ? written : p->bytes; /* tables are written, too */
}

bool wc_snapshot_busy(void) {
    return S.stage != STAGE_NONE || S.waiting;
}

void wc_snapshot_free(void) {
    wc_rows_free(&S.rows);
    clear();
}
