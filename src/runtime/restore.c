/* SPDX-License-Identifier: BSD-3-Clause */
#include "restore.h"

#include "communicators.h"
#include "log.h"
#include "requests.h"
#include "runtime.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static void share(void *what, size_t bytes) {
    PMPI_Bcast(what, (int)bytes, MPI_BYTE, 0, R.comm);
}

/* ---- verification ---- */

bool wc_restore_moves(void) {
    return R.store->reader_head(R.chosen)->ranks != (uint32_t)R.ranks;
}

static bool is_ours(const wc_message_row *row) {
    return row->destination % (uint32_t)R.ranks == (uint32_t)R.rank;
}

static wc_status verify_messages(wc_reader *reader, wc_error *error) {
    wc_message_row *rows;
    size_t count;
    wc_status status = R.store->reader_messages(reader, &rows, &count, error);
    if (status != WC_OK)
        return status;
    for (size_t i = 0; i < count && status == WC_OK; i++)
        if (is_ours(&rows[i]))
            status = R.store->reader_payload(reader, &rows[i], NULL, error);
    free(rows);
    return status;
}

static wc_status verify_counters(wc_reader *reader, wc_error *error) {
    wc_counter_row *rows;
    size_t count;
    wc_status status = R.store->reader_counters(reader, &rows, &count, error);
    if (status != WC_OK)
        return status;
    for (size_t i = 0; i < count && status == WC_OK; i++)
        if (rows[i].sent != rows[i].received + rows[i].in_flight)
            status = wc_error_set(
                error, WC_ERR_DAMAGED,
                "not a consistent cut: rank %u has sent %llu messages to rank %u, which has "
                "received %llu and has %llu in flight",
                rows[i].source, (unsigned long long)rows[i].sent, rows[i].destination,
                (unsigned long long)rows[i].received, (unsigned long long)rows[i].in_flight);
    free(rows);
    return status;
}

/* What this rank would read; of a snapshot of another number of ranks, its share. */
static wc_status verify_own(wc_reader *reader, wc_error *error) {
    const wc_array *arrays;
    size_t n = R.store->reader_arrays(reader, &arrays);
    uint32_t ranks = R.store->reader_head(reader)->ranks;
    for (uint32_t rank = (uint32_t)R.rank; rank < ranks; rank += (uint32_t)R.ranks)
        for (size_t i = 0; i < n; i++)
            if (R.store->reader_extent(reader, i, rank, NULL, error) != WC_OK)
                return error->status;
    wc_status status = verify_counters(reader, error);
    return status == WC_OK ? verify_messages(reader, error) : status;
}

/* ---- choice ---- */

/* Opens and verifies it on all ranks. The error says which of them refuses it: the first one does so here. */
static wc_status try_snapshot(const char *path, wc_error *error) {
    wc_reader *reader = NULL;
    wc_error own = {WC_OK, ""};
    *error = own;
    if (R.store->reader_open(path, &reader, &own) == WC_OK)
        verify_own(reader, &own);
    if (own.status != WC_OK)
        wc_error_set(error, own.status, "%s%s", R.rank ? "" : "rank 0: ", own.text);
    if (wc_agree(error) == WC_OK)
        R.chosen = reader;
    else if (reader)
        R.store->reader_close(reader);
    return error->status;
}

static void go_on_from_chosen(void) {
    const wc_snapshot_head *head = R.store->reader_head(R.chosen);
    R.run_id = head->run_id;
    R.parent_id = head->id;
}

static void choose_file(void) {
    wc_error error;
    if (try_snapshot(R.settings.restart_file, &error) == WC_OK)
        go_on_from_chosen();
    else
        wc_error_set(&R.choice, error.status,
                     "WAVECUT_RESTART: %.400s (`wavecut ls DIR` shows what can be restored)",
                     error.text);
    snprintf(R.chosen_path, sizeof R.chosen_path, "%s", R.settings.restart_file);
}

/* Is it of another run than the newest one that can be read? Its state is not this run's. */
static bool is_foreign(uint64_t *run_id) {
    uint64_t its = R.store->reader_head(R.chosen)->run_id;
    if (*run_id && its != *run_id)
        return true;
    *run_id = its;
    return false;
}

/* Opens and verifies a snapshot of the directory on all ranks; rank 0 knows its number. */
static wc_status try_listed(uint64_t id, char path[PATH_MAX], wc_error *error) {
    bool trusted = true;
    if (R.rank == 0) {
        wc_store_snapshot_path(R.settings.dir, id, path, PATH_MAX);
        trusted = wc_store_is_trusted(R.settings.dir, id);
    }
    share(path, PATH_MAX);
    share(&trusted, sizeof trusted);
    if (trusted)
        return try_snapshot(path, error);
    return wc_error_set(error, WC_ERR_DAMAGED,
                        "it belongs to another user, who does not own the directory either; "
                        "WAVECUT_RESTART=FILE takes it nevertheless");
}

/* The newest of this run that verifies. Rank 0 has the list. */
static void choose_newest(const uint64_t *ids, uint64_t count) {
    char path[PATH_MAX] = "";
    wc_error error = {WC_OK, ""};
    uint64_t run_id = 0;
    share(&count, sizeof count);
    for (uint64_t i = 0; i < count; i++) {
        wc_error found;
        if (try_listed(R.rank == 0 ? ids[i] : 0, path, &found) != WC_OK) {
            error = found;
            wc_log_job(WC_LOG_ERROR, "%s can't be restored: %s%s", path, found.text,
                       i + 1 < count ? "; trying the one before" : "");
            continue;
        }
        if (!is_foreign(&run_id)) {
            snprintf(R.chosen_path, sizeof R.chosen_path, "%s", path);
            go_on_from_chosen();
            return;
        }
        R.store->reader_close(R.chosen);
        R.chosen = NULL;
    }
    if (count)
        wc_error_set(&R.choice, WC_ERR_DAMAGED,
                     "no snapshot in %s can be restored, the last one tried because: %.200s; "
                     "WAVECUT_RESTART=never "
                     "starts afresh",
                     R.settings.dir, error.text);
}

static wc_status check_finished(wc_error *error) {
    uint64_t finished = 0;
    wc_status status = wc_store_read_finished(R.settings.dir, &finished, error);
    if (status != WC_OK || !finished)
        return status;
    if (R.settings.restart != WC_RESTART_AUTO)
        return wc_store_clear_finished(R.settings.dir, error);
    return wc_error_set(
        error, WC_ERR_FINISHED,
        "the run in %s has finished: take another WAVECUT_DIR, or start afresh with "
        "WAVECUT_RESTART=never",
        R.settings.dir);
}

static void new_run(void) {
    uint64_t id = 0;
    if (R.rank == 0)
        while (!id && getrandom(&id, sizeof id, 0) < 0)
            ;
    share(&id, sizeof id);
    R.run_id = id | 1;
}

wc_status wc_restore_choose(wc_error *error) {
    uint64_t *ids = NULL;
    size_t count = 0;
    if (R.rank == 0 && check_finished(error) == WC_OK)
        wc_store_list(R.settings.dir, &ids, &count, error);
    if (wc_agree(error) != WC_OK) {
        free(ids);
        return error->status;
    }
    R.next_id = count ? ids[0] + 1 : 1;
    if (R.settings.restart == WC_RESTART_FILE)
        choose_file();
    else if (R.settings.restart == WC_RESTART_AUTO)
        choose_newest(ids, count);
    free(ids);
    if (!R.chosen)
        new_run();
    return WC_OK;
}

/* ---- what must fit ---- */

/* Appends to the list of differences. */
static void __attribute__((format(printf, 2, 3))) differ(wc_error *error, const char *format, ...) {
    size_t used = strlen(error->text), room = sizeof error->text - used;
    if (error->status == WC_OK) {
        wc_error_set(error, WC_ERR_MISMATCH,
                     "%s doesn't fit the program on rank %d (run the program that it was taken "
                     "from, or start afresh with WAVECUT_RESTART=never): ",
                     R.chosen_path, R.rank);
        used = strlen(error->text);
        room = sizeof error->text - used;
    } else if (room > 2) {
        memcpy(error->text + used, "; ", 3);
        used += 2;
        room -= 2;
    }
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->text + used, room, format, arguments);
    va_end(arguments);
}

static void compare(const wc_array *a, const wc_index_row *row, wc_error *error) {
    const wc_region *r = wc_regions_find(&R.regions, a->name);
    if (!r && row->present)
        differ(error, "\"%s\" is in the snapshot, but not protected", a->name);
    else if (r && !row->present)
        differ(error, "\"%s\" is protected, but the snapshot has none of it for this rank",
               a->name);
    if (!r || !row->present)
        return;
    if (r->type != a->type)
        differ(error, "\"%s\" is %s in the snapshot and protected as %s", a->name,
               wc_type_name(a->type), wc_type_name(r->type));
    else if (r->box.ndims != a->ndims || memcmp(r->box.global, a->shape, sizeof a->shape) != 0)
        differ(error, "\"%s\" has another global shape in the snapshot", a->name);
    else if (memcmp(row->box, wc_index_row_of(&r->box).box, sizeof row->box) != 0)
        differ(error, "\"%s\": this rank's part has another shape or place in the snapshot",
               a->name);
    else if (r->count != row->count && (!r->save || r->type == WC_TYPE_REQUEST))
        differ(error, "\"%s\" has %llu elements in the snapshot and is protected with %llu",
               a->name, (unsigned long long)row->count, (unsigned long long)r->count);
}

/* ---- another number of ranks ---- */

static void check_move(wc_error *error) {
    uint32_t ranks = R.store->reader_head(R.chosen)->ranks;
    wc_error why;
    if (R.store->reader_check_move(R.chosen, (uint32_t)R.rank, (uint32_t)R.ranks, &why) == WC_OK)
        return;
    *error = why;
    if (why.status == WC_ERR_MISMATCH)
        wc_error_set(
            error, why.status,
            "%s was taken with %u ranks, and this job has %d: start it with %u, or with "
            "WAVECUT_RESTART=never for a fresh start; other numbers won't do, since %.200s",
            R.chosen_path, ranks, R.ranks, ranks, why.text);
}

/* What the snapshot holds for this rank. On another number of ranks that is what it asks for, of a global array,
 * and else what all ranks had. */
static wc_status row_here(size_t array, const wc_array *a, wc_index_row *row, wc_error *error) {
    const wc_region *r = wc_regions_find(&R.regions, a->name);
    if (!wc_restore_moves())
        return R.store->reader_index(R.chosen, array, (uint32_t)R.rank, row, error);
    if (!a->ndims)
        return R.store->reader_index(R.chosen, array, 0, row, error);
    *row = (wc_index_row){.present = 1};
    if (r && r->box.ndims)
        *row = wc_index_row_of(&r->box);
    return WC_OK;
}

static wc_status read_here(size_t array, const wc_region *copy, wc_error *error) {
    if (!wc_restore_moves())
        return R.store->reader_extent(R.chosen, array, (uint32_t)R.rank, copy->address, error);
    if (!copy->box.ndims)
        return R.store->reader_extent(R.chosen, array, 0, copy->address, error);
    return R.store->reader_part(R.chosen, array, &copy->box, copy->address, error);
}

/* ---- all that must fit ---- */

static void check_arrays(wc_error *error) {
    const wc_array *arrays;
    size_t n = R.store->reader_arrays(R.chosen, &arrays);
    for (size_t i = 0; i < n; i++) {
        wc_index_row row;
        wc_error reading = {WC_OK, ""};
        if (row_here(i, &arrays[i], &row, &reading) != WC_OK) {
            *error = reading;
            return;
        }
        compare(&arrays[i], &row, error);
    }
    for (size_t k = 0; k < R.regions.count; k++) {
        size_t i = 0;
        while (i < n && strcmp(arrays[i].name, R.regions.at[k].name) != 0)
            i++;
        if (i == n)
            differ(error, "\"%s\" is protected, but not in the snapshot", R.regions.at[k].name);
    }
}

/* ---- reading ---- */

/* Its number among the snapshot's arrays, which has it. */
static size_t array_of(const wc_region *region) {
    const wc_array *arrays;
    size_t n = R.store->reader_arrays(R.chosen, &arrays), i = 0;
    while (i < n && strcmp(arrays[i].name, region->name) != 0)
        i++;
    return i;
}

/* How many bytes there are for a callback, the snapshot says. */
static wc_status count_saved(wc_error *error) {
    wc_status status = WC_OK;
    for (size_t k = 0; k < R.regions.count && status == WC_OK; k++) {
        wc_region *r = &R.regions.at[k];
        wc_index_row row;
        if (!r->save)
            continue;
        status = R.store->reader_index(R.chosen, array_of(r),
                                       wc_restore_moves() ? 0 : (uint32_t)R.rank, &row, error);
        r->count = status == WC_OK ? row.count : 0;
    }
    return status;
}

static wc_status read_state(wc_error *error) {
    wc_status status = count_saved(error);
    /* Without a limit: all of it is checked before the program's memory changes. */
    if (status == WC_OK)
        status = wc_staging_reserve(&R.staging, &R.regions, 0, error);
    if (status != WC_OK)
        return status;
    wc_staging_lay_out(&R.staging, &R.regions);
    for (size_t k = 0; k < R.staging.count && status == WC_OK; k++) {
        const wc_region *copy = &R.staging.copies[k];
        status = read_here(array_of(copy), copy, error);
    }
    return status;
}

/* The callbacks, by name. They are the last that can fail. */
static void load_state(wc_error *error) {
    wc_run_phase phase = R.phase;
    R.phase = WC_RUN_CALLBACK;
    for (size_t k = 0; k < R.staging.count && error->status == WC_OK; k++) {
        const wc_region *copy = &R.staging.copies[k];
        int code = copy->load ? copy->load(copy->user, copy->address, wc_region_bytes(copy)) : 0;
        if (copy->type == WC_TYPE_REQUEST)
            wc_requests_check(copy, error);
        else if (code)
            wc_error_set(error, WC_ERR_CALLBACK, "\"%s\": its load callback returned %d",
                         copy->name, code);
    }
    R.phase = phase;
}

typedef struct wc_restored {
    wc_message_row *rows; /* this rank's, in channel order */
    void **data;
    size_t count;
} wc_restored;

static void free_restored(wc_restored *m) {
    for (size_t i = 0; i < m->count && m->data; i++)
        free(m->data[i]);
    free(m->data);
    free(m->rows);
}

/* A communicator of the snapshot must exist again before its messages can come back. */
static wc_status find_comm(const wc_message_row *row, wc_mpi_comm **comm, int *source,
                           wc_error *error) {
    *comm = wc_comm_by_uid(row->comm);
    if (!*comm || (*comm)->core.freed)
        return wc_error_set(
            error, WC_ERR_MISMATCH,
            "%s has messages in flight on a communicator (uid %016llx) that the program has not "
            "made: make communicators in the same order as before, before wavecut_restore",
            R.chosen_path, (unsigned long long)row->comm);
    int job = (int)row->source;
    PMPI_Group_translate_ranks(L.job_group, 1, &job, (*comm)->peers, source);
    if (*source == MPI_UNDEFINED)
        return wc_error_set(error, WC_ERR_MISMATCH,
                            "%s: rank %d is not in the communicator of its message", R.chosen_path,
                            job);
    return WC_OK;
}

static wc_status read_messages(wc_restored *m, wc_error *error) {
    size_t all;
    wc_status status = R.store->reader_messages(R.chosen, &m->rows, &all, error);
    for (size_t i = 0; i < all && status == WC_OK; i++)
        if (is_ours(&m->rows[i]))
            m->rows[m->count++] = m->rows[i];
    if (status != WC_OK)
        return status;
    m->data = wc_core_alloc(m->count * sizeof *m->data);
    for (size_t i = 0; i < m->count && status == WC_OK; i++) {
        wc_mpi_comm *comm;
        int source;
        status = find_comm(&m->rows[i], &comm, &source, error);
        if (status != WC_OK)
            return status;
        m->data[i] = malloc(m->rows[i].bytes ? m->rows[i].bytes : 1);
        if (!m->data[i])
            return wc_error_set(error, WC_ERR_MEMORY,
                                "no memory for a message of %llu bytes in flight",
                                (unsigned long long)m->rows[i].bytes);
        status = R.store->reader_payload(R.chosen, &m->rows[i], m->data[i], error);
    }
    return status;
}

/* Nothing can fail any more. */
static void hand_back(wc_restored *m) {
    for (size_t k = 0; k < R.staging.count; k++)
        if (R.staging.copies[k].count && !R.staging.copies[k].save)
            memcpy(R.regions.at[k].address, R.staging.copies[k].address,
                   wc_region_bytes(&R.staging.copies[k]));
    for (size_t i = 0; i < m->count; i++) {
        wc_mpi_comm *comm;
        int source;
        find_comm(&m->rows[i], &comm, &source, NULL);
        wc_core_restore_message(&L.core, &comm->core, source, m->rows[i].tag, m->data[i],
                                m->rows[i].bytes);
        m->data[i] = NULL; /* the core's now */
    }
    R.info.restored_messages = m->count;
    wc_requests_post();
    wc_layer_update();
}

wc_status wc_restore_fill(wc_error *error) {
    wc_restored messages = {0};
    if (wc_restore_moves())
        check_move(error);
    if (wc_agree(error) == WC_OK)
        check_arrays(error);
    if (error->status == WC_OK && !wc_restore_moves())
        wc_communicators_check(error);
    if (wc_agree(error) == WC_OK) {
        if (read_state(error) == WC_OK)
            read_messages(&messages, error);
        if (wc_agree(error) == WC_OK)
            load_state(error);
        if (wc_agree(error) == WC_OK)
            hand_back(&messages);
    }
    free_restored(&messages);
    R.store->reader_close(R.chosen);
    R.chosen = NULL;
    return error->status;
}
