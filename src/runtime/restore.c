/* SPDX-License-Identifier: BSD-3-Clause */
#include "restore.h"

#include "choose.h"
#include "communicators.h"
#include "requests.h"
#include "runtime.h"
#include "sequences.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* ---- all that must fit ---- */

static void check_arrays(wc_error *error) {
    const wc_array *arrays;
    size_t n = R.store->reader_arrays(R.chosen, &arrays);
    for (size_t i = 0; i < n; i++) {
        wc_index_row row;
        wc_error reading = {WC_OK, ""};
        if (wc_saved_row(i, &row, &reading) != WC_OK) {
            *error = reading;
            return;
        }
        compare(&arrays[i], &row, error);
    }
    for (size_t k = 0; k < R.regions.count; k++)
        if (wc_saved_find(R.regions.at[k].name) == n)
            differ(error, "\"%s\" is protected, but not in the snapshot", R.regions.at[k].name);
}

/* ---- handing over ---- */

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

static void check_messages(wc_error *error) {
    for (size_t i = 0; i < R.saved.count && error->status == WC_OK; i++) {
        wc_mpi_comm *comm;
        int source;
        find_comm(&R.saved.rows[i], &comm, &source, error);
    }
}

/* Steps go on being counted over restarts: the safe point of the record is passed once more. What can't be read counts from 0. */
static void share_steps(void) {
    uint64_t *steps = NULL;
    wc_rank_row *rows = NULL;
    size_t count = 0;
    wc_error error;
    if (R.rank == 0) {
        steps = wc_core_alloc((size_t)R.ranks * sizeof *steps);
        if (R.store->reader_ranks(R.chosen, &rows, &count, &error) != WC_OK)
            count = 0;
        for (int r = 0; r < R.ranks && count; r++) {
            uint64_t step = rows[(size_t)r % count].step;
            steps[r] = step ? step - 1 : 0;
        }
    }
    WC_WAITING(PMPI_Scatter(steps, 1, MPI_UINT64_T, &R.steps_before, 1, MPI_UINT64_T, 0, R.comm));
    free(rows);
    free(steps);
}

/* Nothing can fail any more. */
static void hand_back(void) {
    wc_saved_fill();
    for (size_t i = 0; i < R.saved.count; i++) {
        const wc_message_row *row = &R.saved.rows[i];
        wc_mpi_comm *comm;
        int source;
        find_comm(row, &comm, &source, NULL);
        wc_core_restore_message(&L.core, &comm->core, source, row->tag, R.saved.data[i],
                                row->bytes);
        R.saved.data[i] = NULL; /* the core's now */
    }
    R.info.restored_messages = R.saved.count;
    wc_sequences_go_on();
    wc_requests_post();
    wc_layer_update();
}

/* Each step is done by all ranks, or the next one by none. */
static wc_status fill_from_chosen(wc_error *error) {
    if (wc_saved_moves())
        check_move(error);
    if (wc_agree(error) != WC_OK)
        return error->status;
    check_arrays(error);
    if (error->status == WC_OK && !wc_saved_moves())
        wc_communicators_check(error);
    if (error->status == WC_OK)
        check_messages(error);
    if (wc_agree(error) != WC_OK)
        return error->status;
    if (wc_sequences_read(error) == WC_OK)
        wc_saved_stage(error);
    if (wc_agree(error) != WC_OK)
        return error->status;
    load_state(error);
    if (wc_agree(error) != WC_OK)
        return error->status;
    wc_saved_fill_rest(error);
    if (wc_agree(error) != WC_OK)
        return error->status;
    share_steps();
    hand_back();
    return error->status;
}

wc_status wc_restore_fill(wc_error *error) {
    while (fill_from_chosen(error) == WC_ERR_IO || error->status == WC_ERR_DAMAGED)
        if (wc_choose_another(error) != WC_OK)
            break;
    wc_choose_end();
    return error->status;
}
