/* SPDX-License-Identifier: BSD-3-Clause */
/* The calls of wavecut.h. */
#include "api.h"
#include "choose.h"
#include "cores.h"
#include "log.h"
#include "pace.h"
#include "progress.h"
#include "report.h"
#include "requests.h"
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
    WC_WAITING(PMPI_Allreduce(&mine, &first, 1, MPI_INT, MPI_MIN, R.comm));
    if (first == R.ranks)
        return WC_OK;
    wc_error theirs = *error;
    if (first > 0 && first == R.rank)
        wc_error_set(&theirs, error->status, "rank %d: %s", R.rank, error->text);
    WC_WAITING(PMPI_Bcast(&theirs, sizeof theirs, MPI_BYTE, first, R.comm));
    *error = theirs;
    return error->status;
}

wavecut_status wc_answer(wc_error error) {
    last_error = error;
    return (wavecut_status)error.status;
}

wavecut_status wc_fail(wc_error error) {
    wc_log_rank(WC_LOG_ERROR, "%s", error.text);
    return wc_answer(error);
}

/* One that all ranks have agreed on. */
static wavecut_status fail_together(wc_error error) {
    last_error = error;
    wc_log_job(WC_LOG_ERROR, "%s", error.text);
    return (wavecut_status)error.status;
}

wavecut_status wc_out_of_order(const char *call, const char *when) {
    wc_error error;
    if (R.phase == WC_RUN_CALLBACK)
        when = "can't be called by a save or load callback";
    wc_error_set(&error, WC_ERR_ORDER, "%s %s", call, when);
    return wc_fail(error);
}

bool wc_is_running(void) {
    return R.phase == WC_RUN_OPEN || R.phase == WC_RUN_ON;
}

/* ---- hooks ---- */

static void tick(int64_t now) {
    wc_snapshot_watch(now);
    wc_snapshot_advance();
    wc_trigger_tick(now);
    wc_progress_tick(now);
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
    if (R.rank == 0)
        wc_pace_stop();
    if (mark && R.rank == 0)
        wc_store_mark_finished(R.settings.dir, R.run_id, error);
    wc_agree(error);
    wc_progress_stop(mark && error->status == WC_OK);
    wc_layer_detach();
    wc_trace_close();
    wc_writer_stop(R.writer);
    wc_lent_stop_copier();
    R.writer = NULL;
    wc_snapshot_free();
    wc_staging_free(&R.staging);
    wc_regions_free(&R.regions);
    wc_choose_end();
    wc_signal_install(0);
}

static void stop_unfinished(void) {
    wc_error error = {WC_OK, ""};
    stop(false, &error);
}

static const wc_hooks hooks = {.tick = tick,
                               .keep_requests = wc_requests_keep,
                               .record = wc_snapshot_record,
                               .all_recorded = wc_snapshot_all_recorded,
                               .settled = wc_snapshot_settled,
                               .finished = finished,
                               .busy = wc_snapshot_busy,
                               .finalize = stop_unfinished};

/* ---- init ---- */

/* A wc_conf_parser. */
static wc_status parse_settings_file(const char *path, const char *text, const char *const *names,
                                     size_t count, wc_conf_unknown *unknown, wc_conf_value *values,
                                     wc_error *error) {
    const wc_store_api *store;
    if (wc_store_load(&store, error) != WC_OK)
        return error->status;
    return store->conf_parse(path, text, names, count, unknown, values, error);
}

static wc_status read_settings(wc_error *error) {
    wc_settings_found found = {.notes = 0};
    if (R.rank == 0 && wc_settings_read(NULL, parse_settings_file, &found, error) == WC_OK)
        R.settings = found.values;
    if (wc_agree(error) == WC_OK) {
        PMPI_Bcast(&R.settings, sizeof R.settings, MPI_BYTE, 0, R.comm);
        wc_log_setup((wc_log_level)R.settings.log, R.rank);
        wc_signal_install(R.settings.signal);
        for (size_t i = 0; i < found.notes; i++)
            wc_log_job(WC_LOG_ERROR, "%s", found.note[i]);
    }
    wc_settings_found_free(&found);
    return error->status;
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
    if (R.settings.trace && !wc_trace_open((size_t)R.settings.trace))
        wc_error_set(error, WC_ERR_MEMORY, "WAVECUT_TRACE: there is no memory for %lld events",
                     (long long)R.settings.trace);
    if (error->status == WC_OK)
        wc_writer_limit(R.writer, (uint64_t)R.settings.write_mb_s << 20);
    if (wc_agree(error) == WC_OK)
        wc_cores_free_writer(error);
    return error->status;
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
    wc_trace_close();
    if (R.writer)
        wc_writer_stop(R.writer);
    wc_lent_stop_copier();
    wc_choose_end();
    wc_staging_free(&R.staging);
    R = (wc_runtime){.phase = WC_RUN_NONE};
}

static wavecut_status init_again(MPI_Comm comm) {
    int result;
    PMPI_Comm_compare(comm, L.job, &result);
    if (result != MPI_IDENT && result != MPI_CONGRUENT)
        return wc_out_of_order("wavecut_init", "was called before, with another communicator");
    R.inits++;
    return WAVECUT_OK;
}

WC_EXPORT wavecut_status wavecut_init(MPI_Comm comm) {
    WC_GUARD(__func__);
    int initialized = 0, ended = 0, inter = 0;
    PMPI_Initialized(&initialized);
    PMPI_Finalized(&ended);
    if (!initialized || ended)
        return wc_out_of_order("wavecut_init", "belongs between MPI_Init and MPI_Finalize");
    if (R.inits)
        return init_again(comm);
    if (R.phase != WC_RUN_NONE)
        return wc_out_of_order("wavecut_init",
                               "was called after wavecut_finalize: one run per process");
    wc_error error = {WC_OK, ""};
    if (comm == MPI_COMM_NULL || PMPI_Comm_test_inter(comm, &inter) != MPI_SUCCESS || inter) {
        wc_error_set(&error, WC_ERR_ARGUMENT, "wavecut_init takes an intracommunicator");
        return wc_fail(error);
    }
    R.comm = comm;
    PMPI_Comm_rank(comm, &R.rank);
    PMPI_Comm_size(comm, &R.ranks);
    wc_log_setup(WC_LOG_ERROR, R.rank);
    if (read_settings(&error) != WC_OK || open_directory(&error) != WC_OK ||
        start_parts(&error) != WC_OK || wc_choose(&error) != WC_OK || attach(&error) != WC_OK) {
        undo_init();
        return fail_together(error);
    }
    R.inits = 1;
    R.phase = WC_RUN_OPEN;
    return WAVECUT_OK;
}

/* ---- the run ---- */

WC_EXPORT wavecut_status wavecut_cut(wavecut_cut_mode mode) {
    WC_GUARD(__func__);
    if (R.phase != WC_RUN_OPEN)
        return wc_out_of_order("wavecut_cut", "belongs between wavecut_init and wavecut_restore");
    if (mode != WAVECUT_ALIGNED && mode != WAVECUT_IMMEDIATE) {
        wc_error error;
        wc_error_set(&error, WC_ERR_ARGUMENT,
                     "wavecut_cut takes WAVECUT_ALIGNED or WAVECUT_IMMEDIATE, not %d", (int)mode);
        return wc_fail(error);
    }
    wc_layer_set_immediate(mode == WAVECUT_IMMEDIATE);
    return WAVECUT_OK;
}

WC_EXPORT wavecut_status wavecut_restore(int *restarted) {
    WC_GUARD(__func__);
    if (R.phase != WC_RUN_OPEN)
        return wc_out_of_order(
            "wavecut_restore",
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
    if (R.settings.trace)
        wc_trace_begin();
    wc_trigger_start(wc_layer_now());
    wc_progress_start();
    if (again)
        wc_log_job(WC_LOG_INFO, "restarted from %s", R.chosen_path);
    if (restarted)
        *restarted = again;
    return WAVECUT_OK;
}

WC_EXPORT wavecut_status wavecut_safepoint(void) {
    WC_GUARD(__func__);
    if (__builtin_expect(R.phase != WC_RUN_ON, 0))
        return wc_out_of_order("wavecut_safepoint",
                               "belongs between wavecut_restore and wavecut_finalize");
    if (L.multiple)
        wc_thread_at_safepoint();
    wc_snapshot_take_back(NULL);
    wc_core_step(&L.core);
    L.outstanding_at_safepoint = L.outstanding;
    wc_layer_poll();
    if (!L.immediate)
        L.core.recordable = false;
    return WAVECUT_OK;
}

WC_EXPORT wavecut_status wavecut_request(void) {
    WC_GUARD(__func__);
    if (R.phase != WC_RUN_ON)
        return wc_out_of_order("wavecut_request",
                               "belongs between wavecut_restore and wavecut_finalize");
    wc_core_request(&L.core);
    wc_layer_update();
    return WAVECUT_OK;
}

WC_EXPORT wavecut_status wavecut_status_get(wavecut_info *info) {
    WC_GUARD(__func__);
    if (R.phase == WC_RUN_NONE)
        return wc_out_of_order("wavecut_status_get", "belongs after wavecut_init");
    if (!info) {
        wc_error error;
        wc_error_set(&error, WC_ERR_ARGUMENT, "wavecut_status_get takes a wavecut_info, not NULL");
        return wc_fail(error);
    }
    *info = R.info;
    info->in_progress = wc_core_busy(&L.core) || wc_snapshot_busy();
    return WAVECUT_OK;
}

WC_EXPORT wavecut_status wavecut_finalize(void) {
    WC_GUARD(__func__);
    if (!wc_is_running())
        return wc_out_of_order("wavecut_finalize", "belongs after wavecut_init, once");
    if (--R.inits)
        return WAVECUT_OK;
    bool ran = R.phase == WC_RUN_ON;
    wc_error error = {WC_OK, ""};
    stop(ran, &error);
    return error.status == WC_OK ? WAVECUT_OK : fail_together(error);
}
