/* SPDX-License-Identifier: BSD-3-Clause */
/* The calls of wavecut.h. */
#include "datatype.h"
#include "log.h"
#include "report.h"
#include "restore.h"
#include "runtime.h"
#include "snapshot.h"
#include "trigger.h"

#include "../mpi/signal.h"
#include "../store/fault.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

wc_runtime wc_runtime_state;

static wc_error last_error;

/* ---- status ---- */

WC_EXPORT const char *wavecut_status_text(wavecut_status status) {
    switch (status) {
#define TEXT(name, value, text)                                                                    \
    case WAVECUT_##name:                                                                           \
        return text;
        WAVECUT_STATUS_LIST(TEXT)
#undef TEXT
    }
    return "unknown status";
}

WC_EXPORT const char *wavecut_status_name(wavecut_status status) {
    switch (status) {
#define NAME(name, value, text)                                                                    \
    case WAVECUT_##name:                                                                           \
        return "WAVECUT_" #name;
        WAVECUT_STATUS_LIST(NAME)
#undef NAME
    }
    return "unknown status";
}

WC_EXPORT const char *wavecut_error_text(void) {
    return last_error.text;
}

wc_status wc_agree(wc_error *error) {
    int first, mine = error->status == WC_OK ? R.ranks : R.rank;
    PMPI_Allreduce(&mine, &first, 1, MPI_INT, MPI_MIN, R.comm);
    if (first == R.ranks)
        return WC_OK;
    wc_error theirs = *error;
    if (first > 0 && first == R.rank)
        wc_error_set(&theirs, error->status, "rank %d: %s", R.rank, error->text);
    PMPI_Bcast(&theirs, sizeof theirs, MPI_BYTE, first, R.comm);
    *error = theirs;
    return error->status;
}

/* A failure of this rank alone, for the caller. */
static wavecut_status fail(wc_error error) {
    last_error = error;
    wc_log_rank(WC_LOG_ERROR, "%s", error.text);
    return (wavecut_status)error.status;
}

/* One that all ranks have agreed on. */
static wavecut_status fail_together(wc_error error) {
    last_error = error;
    wc_log_job(WC_LOG_ERROR, "%s", error.text);
    return (wavecut_status)error.status;
}

static wavecut_status out_of_order(const char *call, const char *when) {
    wc_error error;
    wc_error_set(&error, WC_ERR_ORDER, "%s %s", call, when);
    return fail(error);
}

/* ---- hooks ---- */

static void tick(int64_t now) {
    wc_snapshot_watch(now);
    wc_snapshot_advance();
    wc_trigger_tick(now);
}

static void finished(const wc_vote *outcome) {
    if (outcome->void_rank >= 0)
        wc_report_void(outcome);
    wc_snapshot_finished(outcome->void_rank < 0);
    wc_trigger_finished(outcome, wc_layer_now());
}

/* Collective. `mark`: leave the mark of a finished run, when all snapshots are done and before any
 * rank goes on. */
static void stop(bool mark, wc_error *error) {
    R.phase = WC_RUN_FINISHED;
    wc_layer_leave();
    if (mark && R.rank == 0)
        wc_store_mark_finished(R.settings.dir, R.run_id, error);
    wc_agree(error);
    wc_layer_detach();
    wc_writer_stop(R.writer);
    R.writer = NULL;
    wc_snapshot_free();
    wc_staging_free(&R.staging);
    wc_regions_free(&R.regions);
    if (R.chosen)
        R.store->reader_close(R.chosen);
    R.chosen = NULL;
    wc_signal_install(0);
}

static void stop_unfinished(void) {
    wc_error error = {WC_OK, ""};
    stop(false, &error);
}

static const wc_hooks hooks = {.tick = tick,
                               .record = wc_snapshot_record,
                               .all_recorded = wc_snapshot_all_recorded,
                               .settled = wc_snapshot_settled,
                               .finished = finished,
                               .busy = wc_snapshot_busy,
                               .finalize = stop_unfinished};

/* ---- init ---- */

static wc_status read_settings(wc_error *error) {
    if (R.rank == 0)
        wc_settings_read(&R.settings, error);
    if (wc_agree(error) != WC_OK)
        return error->status;
    PMPI_Bcast(&R.settings, sizeof R.settings, MPI_BYTE, 0, R.comm);
    wc_log_setup((wc_log_level)R.settings.log, R.rank);
    wc_signal_install(R.settings.signal);
    return WC_OK;
}

/* The directory is found once, so that a program may change its own later. */
static wc_status open_directory(wc_error *error) {
    if (R.rank == 0 && wc_store_prepare_dir(R.settings.dir, error) == WC_OK) {
        char path[PATH_MAX];
        if (realpath(R.settings.dir, path))
            memcpy(R.settings.dir, path, sizeof path);
        else
            wc_error_set(error, WC_ERR_IO, "%s: %m", R.settings.dir);
        wc_error told;
        if (error->status == WC_OK && wc_store_may_write(R.settings.dir, &told) != WC_OK)
            wc_log_job(WC_LOG_ERROR, "%s; until then the job runs without new snapshots",
                       told.text);
    }
    if (wc_agree(error) == WC_OK)
        PMPI_Bcast(R.settings.dir, sizeof R.settings.dir, MPI_BYTE, 0, R.comm);
    return error->status;
}

static wc_status start_parts(wc_error *error) {
    wc_fault_setup(R.rank);
    if (wc_fault_check(error) == WC_OK && wc_store_load(&R.store, error) == WC_OK)
        wc_writer_start(&R.writer, error);
    return wc_agree(error);
}

static wc_status attach(wc_error *error) {
    wc_core_config config = {.rank = R.rank,
                             .ranks = R.ranks,
                             .timeout_ns = (int64_t)(R.settings.timeout_s * 1e9),
                             .patience_ns = 300000000,
                             .max_streams = 65536,
                             .max_stash = 4096,
                             .requests_allowed = wc_fault_on("requests_allowed"),
                             .break_stash = wc_fault_on("stash_not_recorded"),
                             .break_markers = wc_fault_on("marker_not_awaited"),
                             .break_take_back = wc_fault_on("receives_not_taken_back"),
                             .break_order = wc_fault_on("handover_order"),
                             .break_carry = wc_fault_on("counts_not_carried")};
    const char *text = wc_layer_attach(R.comm, &hooks, &config);
    if (text)
        wc_error_set(error, WC_ERR_UNSUPPORTED, "wavecut_init: %s", text);
    if (wc_agree(error) == WC_OK)
        R.comm = L.job;
    return error->status;
}

/* Frees what a wavecut_init that failed has begun. */
static void undo_init(void) {
    if (R.writer)
        wc_writer_stop(R.writer);
    if (R.chosen)
        R.store->reader_close(R.chosen);
    R = (wc_runtime){.phase = WC_RUN_NONE};
}

static wavecut_status init_again(MPI_Comm comm) {
    int result;
    PMPI_Comm_compare(comm, L.job, &result);
    if (result != MPI_IDENT && result != MPI_CONGRUENT)
        return out_of_order("wavecut_init", "was called before, with another communicator");
    R.inits++;
    return WAVECUT_OK;
}

WC_EXPORT wavecut_status wavecut_init(MPI_Comm comm) {
    int initialized = 0, ended = 0, inter = 0;
    PMPI_Initialized(&initialized);
    PMPI_Finalized(&ended);
    if (!initialized || ended)
        return out_of_order("wavecut_init", "belongs between MPI_Init and MPI_Finalize");
    if (R.inits)
        return init_again(comm);
    if (R.phase != WC_RUN_NONE)
        return out_of_order("wavecut_init",
                            "was called after wavecut_finalize: one run per process");
    wc_error error = {WC_OK, ""};
    if (comm == MPI_COMM_NULL || PMPI_Comm_test_inter(comm, &inter) != MPI_SUCCESS || inter) {
        wc_error_set(&error, WC_ERR_ARGUMENT, "wavecut_init takes an intracommunicator");
        return fail(error);
    }
    R.comm = comm;
    PMPI_Comm_rank(comm, &R.rank);
    PMPI_Comm_size(comm, &R.ranks);
    wc_log_setup(WC_LOG_ERROR, R.rank);
    if (read_settings(&error) != WC_OK || open_directory(&error) != WC_OK ||
        start_parts(&error) != WC_OK || wc_restore_choose(&error) != WC_OK ||
        attach(&error) != WC_OK) {
        undo_init();
        return fail_together(error);
    }
    R.inits = 1;
    R.phase = WC_RUN_OPEN;
    return WAVECUT_OK;
}

/* ---- what is protected ---- */

static bool is_running(void) {
    return R.phase == WC_RUN_OPEN || R.phase == WC_RUN_ON;
}

static wavecut_status put_region(wc_region *region, const char *name, MPI_Datatype type) {
    wc_error error = {WC_OK, ""};
    if (wc_region_check_name(name, &error) != WC_OK)
        return fail(error);
    strcpy(region->name, name);
    if (!wc_datatype_stored(type, &region->type)) {
        char type_name[MPI_MAX_OBJECT_NAME] = "MPI_DATATYPE_NULL";
        int length;
        if (type != MPI_DATATYPE_NULL)
            PMPI_Type_get_name(type, type_name, &length);
        wc_error_set(&error, WC_ERR_TYPE,
                     "\"%s\": the datatype %s can't be stored; predefined C and Fortran types can",
                     name, type_name[0] ? type_name : "(derived)");
        return fail(error);
    }
    if (region->count && !region->address)
        wc_error_set(&error, WC_ERR_ARGUMENT, "\"%s\": the address of %llu elements is NULL", name,
                     (unsigned long long)region->count);
    else if (region->count > (uint64_t)PTRDIFF_MAX / wc_type_bytes(region->type))
        wc_error_set(&error, WC_ERR_ARGUMENT, "\"%s\": %llu elements are more than there is memory",
                     name, (unsigned long long)region->count);
    else
        wc_regions_put(&R.regions, region, &error);
    /* Room for the copy is made here rather than in the record; there it is checked again. */
    if (error.status == WC_OK && R.phase == WC_RUN_ON && !wc_snapshot_busy() &&
        !wc_core_busy(&L.core))
        wc_staging_reserve(&R.staging, &R.regions, (uint64_t)R.settings.staging_mb << 20, NULL);
    return error.status == WC_OK ? WAVECUT_OK : fail(error);
}

WC_EXPORT wavecut_status wavecut_protect(const char *name, void *address, size_t count,
                                         MPI_Datatype type) {
    if (!is_running())
        return out_of_order("wavecut_protect", "belongs between wavecut_init and wavecut_finalize");
    wc_region region = {.address = address, .count = count};
    return put_region(&region, name, type);
}

/* Is it a split along the first axis? Then *count are this rank's elements, *first those before. */
static wc_status check_split(const char *name, int ndims, const size_t global[],
                             const size_t local[], const size_t offset[], wc_region *region,
                             wc_error *error) {
    if (ndims < 1 || ndims > WC_REGION_MAX_DIMS || !global || !local || !offset)
        return wc_error_set(error, WC_ERR_ARGUMENT,
                            "\"%s\": a global array has 1 to %d dimensions with shapes",
                            name ? name : "", WC_REGION_MAX_DIMS);
    uint64_t row = 1;
    for (int d = 0; d < ndims; d++) {
        if (offset[d] > global[d] || local[d] > global[d] - offset[d])
            return wc_error_set(
                error, WC_ERR_ARGUMENT,
                "\"%s\": along axis %d this part [%zu, %zu) is outside the global array of %zu",
                name ? name : "", d, offset[d], offset[d] + local[d], global[d]);
        if (d > 0 && (offset[d] || local[d] != global[d]))
            return wc_error_set(
                error, WC_ERR_UNSUPPORTED,
                "\"%s\": this version splits a global array along its first axis only",
                name ? name : "");
        region->shape[d] = global[d];
        if (__builtin_mul_overflow(row, d > 0 ? global[d] : 1, &row))
            return wc_error_set(error, WC_ERR_ARGUMENT, "\"%s\": the global shape is too large",
                                name ? name : "");
    }
    region->ndims = (uint32_t)ndims;
    uint64_t whole;
    if (__builtin_mul_overflow(row, global[0], &whole))
        return wc_error_set(error, WC_ERR_ARGUMENT, "\"%s\": the global shape is too large",
                            name ? name : "");
    region->count = row * local[0];
    region->first = row * offset[0];
    return WC_OK;
}

WC_EXPORT wavecut_status wavecut_protect_array(const char *name, void *address, MPI_Datatype type,
                                               int ndims, const size_t global[],
                                               const size_t local[], const size_t offset[]) {
    if (!is_running())
        return out_of_order("wavecut_protect_array",
                            "belongs between wavecut_init and wavecut_finalize");
    wc_region region = {.address = address};
    wc_error error = {WC_OK, ""};
    if (check_split(name, ndims, global, local, offset, &region, &error) != WC_OK)
        return fail(error);
    return put_region(&region, name, type);
}

WC_EXPORT wavecut_status wavecut_unprotect(const char *name) {
    if (!is_running())
        return out_of_order("wavecut_unprotect",
                            "belongs between wavecut_init and wavecut_finalize");
    wc_error error = {WC_OK, ""};
    if (!name || wc_regions_remove(&R.regions, name, &error) != WC_OK) {
        if (!name)
            wc_error_set(&error, WC_ERR_NAME, "wavecut_unprotect takes a name, not NULL");
        return fail(error);
    }
    return WAVECUT_OK;
}

WC_EXPORT wavecut_status wavecut_stored(const char *name, size_t *count, MPI_Datatype *type) {
    if (R.phase != WC_RUN_OPEN)
        return out_of_order("wavecut_stored", "belongs between wavecut_init and wavecut_restore");
    wc_error error = {WC_OK, ""};
    const wc_array *arrays;
    size_t n = R.chosen && name ? R.store->reader_arrays(R.chosen, &arrays) : 0, i = 0;
    while (i < n && strcmp(arrays[i].name, name) != 0)
        i++;
    wc_index_row row = {0};
    if (i < n && R.store->reader_head(R.chosen)->ranks == (uint32_t)R.ranks &&
        R.store->reader_index(R.chosen, i, (uint32_t)R.rank, &row, &error) != WC_OK)
        return fail(error);
    if (!row.present) {
        /* An answer, and no failure to be told on standard error. */
        wc_error_set(&last_error, WC_ERR_NOT_FOUND, "the snapshot holds no \"%s\" for rank %d",
                     name ? name : "", R.rank);
        return WAVECUT_ERR_NOT_FOUND;
    }
    if (count)
        *count = row.count;
    if (type)
        *type = wc_datatype_of(arrays[i].type);
    return WAVECUT_OK;
}

/* ---- the run ---- */

WC_EXPORT wavecut_status wavecut_cut(wavecut_cut_mode mode) {
    if (R.phase != WC_RUN_OPEN)
        return out_of_order("wavecut_cut", "belongs between wavecut_init and wavecut_restore");
    if (mode != WAVECUT_ALIGNED && mode != WAVECUT_IMMEDIATE) {
        wc_error error;
        wc_error_set(&error, WC_ERR_ARGUMENT,
                     "wavecut_cut takes WAVECUT_ALIGNED or WAVECUT_IMMEDIATE, not %d", (int)mode);
        return fail(error);
    }
    wc_layer_set_immediate(mode == WAVECUT_IMMEDIATE);
    return WAVECUT_OK;
}

WC_EXPORT wavecut_status wavecut_restore(int *restarted) {
    if (R.phase != WC_RUN_OPEN)
        return out_of_order("wavecut_restore",
                            "belongs between wavecut_init and the first wavecut_safepoint, once");
    wc_error error = R.choice;
    bool again = R.chosen != NULL;
    if (error.status != WC_OK)
        return fail_together(error);
    if (again)
        wc_restore_fill(&error);
    else
        wc_staging_reserve(&R.staging, &R.regions, (uint64_t)R.settings.staging_mb << 20, NULL);
    if (error.status != WC_OK) {
        R.choice = error; /* the snapshot is closed: trying again must not begin a fresh run */
        return fail_together(error);
    }
    R.info.restarted = again;
    R.info.last_snapshot = again ? R.parent_id : 0;
    R.phase = WC_RUN_ON;
    wc_trigger_start(wc_layer_now());
    if (again)
        wc_log_job(WC_LOG_INFO, "restarted from %s", R.chosen_path);
    if (restarted)
        *restarted = again;
    return WAVECUT_OK;
}

WC_EXPORT wavecut_status wavecut_safepoint(void) {
    if (__builtin_expect(R.phase != WC_RUN_ON, 0))
        return out_of_order("wavecut_safepoint",
                            "belongs between wavecut_restore and wavecut_finalize");
    wc_core_step(&L.core);
    L.started_at_safepoint = L.started;
    wc_layer_poll();
    if (!L.immediate)
        L.core.recordable = false;
    return WAVECUT_OK;
}

WC_EXPORT wavecut_status wavecut_request(void) {
    if (R.phase != WC_RUN_ON)
        return out_of_order("wavecut_request",
                            "belongs between wavecut_restore and wavecut_finalize");
    wc_core_request(&L.core);
    wc_layer_update();
    return WAVECUT_OK;
}

WC_EXPORT wavecut_status wavecut_status_get(wavecut_info *info) {
    if (R.phase == WC_RUN_NONE)
        return out_of_order("wavecut_status_get", "belongs after wavecut_init");
    if (!info) {
        wc_error error;
        wc_error_set(&error, WC_ERR_ARGUMENT, "wavecut_status_get takes a wavecut_info, not NULL");
        return fail(error);
    }
    *info = R.info;
    info->in_progress = wc_core_busy(&L.core) || wc_snapshot_busy();
    return WAVECUT_OK;
}

WC_EXPORT wavecut_status wavecut_finalize(void) {
    if (!is_running())
        return out_of_order("wavecut_finalize", "belongs after wavecut_init, once");
    if (--R.inits)
        return WAVECUT_OK;
    bool ran = R.phase == WC_RUN_ON;
    wc_error error = {WC_OK, ""};
    stop(ran, &error);
    return error.status == WC_OK ? WAVECUT_OK : fail_together(error);
}
