/* SPDX-License-Identifier: BSD-3-Clause */
/* What the parts of runtime/ share: this process's one run. */
#ifndef WC_RUNTIME_RUNTIME_H
#define WC_RUNTIME_RUNTIME_H

#include "../mpi/layer.h"
#include "../settings/settings.h"
#include "../state/staging.h"
#include "../store/load.h"
#include "../store/store.h"
#include "../store/writer.h"
#include "saved.h"

#include "wavecut.h"

typedef enum wc_run_phase {
    WC_RUN_NONE, /* before wavecut_init, or it failed */
    WC_RUN_OPEN, /* wavecut_init to wavecut_restore */
    WC_RUN_ON,   /* wavecut_restore to wavecut_finalize */
    WC_RUN_CALLBACK, /* in a save or load callback of the program, which calls nothing but wavecut_write */
    WC_RUN_FINISHED
} wc_run_phase;

typedef struct wc_runtime {
    wc_run_phase phase;
    unsigned inits; /* nested */
    MPI_Comm comm;  /* of the job: the user's until the layer has its own */
    int rank, ranks;
    wc_settings settings;
    const wc_store_api *store;
    wc_writer *writer;
    wc_regions regions;
    wc_staging staging;
    wc_reader *chosen; /* the snapshot to restore; NULL: a fresh start */
    wc_saved saved;    /* what it has for this rank */
    wc_error choice;   /* why none could be chosen, for wavecut_restore */
    char chosen_path[PATH_MAX];
    uint64_t run_id, parent_id; /* parent: the snapshot that the run was restored from */
    uint64_t next_id;           /* of the next snapshot; rank 0 */
    uint64_t steps_before;      /* safe points that this rank has passed before the restart */
    wavecut_info info;
} wc_runtime;

extern wc_runtime wc_runtime_state;
#define R wc_runtime_state

/*
 * All ranks leave with the status and text of the lowest one that failed, its number in front.
 * Collective over R.comm.
 */
wc_status wc_agree(wc_error *error);

#endif
