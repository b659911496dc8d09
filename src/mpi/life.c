/* SPDX-License-Identifier: BSD-3-Clause */
/* Init, Finalize, and what keeps the layer going in between. */
#include "layer.h"
#include "signal.h"

#include <assert.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

const wc_mpi_comm wc_no_comm = {.handle = WC_NO_HANDLE};

WC_LAYER_PLACE wc_layer wc_layer_state = {.way = WC_WAY_OFF,
                                          .last_comm = WC_NO_COMM,
                                          .fast_comm = WC_NO_COMM,
                                          .recv_comm = WC_NO_COMM,
                                          .test_comm = WC_NO_COMM,
                                          .posted_next = wc_layer_state.posted,
                                          .posted_end = wc_layer_state.posted + WC_POSTED};

/* How often an idle immediate program looks for requests: a look costs up to some µs over TCP. */
enum { TICK_NS = 1000000 };

int64_t wc_layer_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void wc_layer_update(void) {
    assert(!L.multiple || wc_thread_owns());
    if (L.way == WC_WAY_OFF || L.multiple) /* that is always SLOW, and looked at without the lock */
        return;
    bool under_way = L.immediate && wc_core_busy(&L.core);
    bool slow = under_way || wc_core_slow(&L.core) || L.core.slots || L.receives.count ||
                L.core.config.requests_allowed || L.slow_only;
    if (slow && L.way == WC_WAY_FAST)
        wc_posted_adopt();
    L.way = slow ? WC_WAY_SLOW : WC_WAY_FAST;
    L.plain = !L.careful && !L.foreign_count && !L.persistent.count;
    L.starts_natively = !slow && !L.careful;
    bool ends = L.starts_natively && !L.immediate;
    L.ends_natively = ends && L.persistent.count;
    wc_waitall_natively(ends && L.plain);
    wc_comm_choose_fast();
}

/* Ticks of the cheap clock are calibrated on the way: only the rough size matters. */
static void schedule_tick(int64_t now) {
    static WC_PROCESS uint64_t last_clock;
    static WC_PROCESS int64_t last_now;
    uint64_t clock = wc_layer_clock();
    uint64_t per_ms = 2000000;
    if (last_now && now - last_now > 100000)
        per_ms = (uint64_t)((double)(clock - last_clock) * TICK_NS / (double)(now - last_now));
    last_clock = clock;
    last_now = now;
    L.next_tick = clock + per_ms;
}

void wc_layer_progress(void) {
    assert(!L.multiple || wc_thread_owns());
    if (L.in_progress)
        return;
    if (!L.attached) {
        if (L.core.bound_count) /* receives still wait for messages that arrive in the library */
            wc_core_progress(&L.core, wc_layer_now());
        return;
    }
    L.in_progress = true;
    if (L.outstanding != L.outstanding_at_safepoint)
        L.core.recordable = false; /* calls on the FAST way don't say so themselves */
    int64_t now = wc_layer_now();
    if (L.detached)
        wc_request_poll_detached();
    if (L.coming && !L.foreign_count)
        wc_comm_arrived();
    L.hooks.tick(now); /* first: its requests are as old as those that others tell of */
    wc_control_poll();
    wc_core_progress(&L.core, now);
    if (L.freed_comms)
        wc_comm_tidy();
    schedule_tick(now);
    L.in_progress = false;
    wc_layer_update();
}

void wc_layer_idle(unsigned *spins) {
    if (wc_core_slow(&L.core) || wc_core_busy(&L.core)) {
        wc_layer_progress();
        wc_core_starved(&L.core);
    } else if (L.immediate) {
        wc_layer_poll();
    }
    if (L.watched)
        wc_watch_idle();
    wc_let_go();
    if (++*spins > WC_SPINS)
        sched_yield();
    wc_take_again();
}

/* ---- Init ---- */

static bool same_mpi(void) {
    char version[MPI_MAX_LIBRARY_VERSION_STRING];
    int length;
    PMPI_Get_library_version(version, &length);
#ifdef OPEN_MPI
    return strncmp(version, "Open MPI", 8) == 0;
#else
    return strncmp(version, "MPICH", 5) == 0;
#endif
}

static void start(int thread_level) {
    int *ub, found, size;
    if (!same_mpi()) {
        fprintf(stderr,
                "wavecut: this library was built for %s, but the program runs under another MPI: "
                "link or preload the libwavecut of its MPI\n",
                WC_MPI_NAME);
        /* On every rank: MPI_Abort would be given a handle of the wrong MPI. Two MPIs in one process
         * crash in what they do at exit. */
        fflush(NULL);
        _exit(1);
    }
    PMPI_Comm_get_attr(MPI_COMM_WORLD, MPI_TAG_UB, &ub, &found);
    L.marker_tag = *ub;
    L.tag_ub = *ub - 1;
    wc_table_open(&L.receives);
    wc_persistent_open();
    wc_core_config config = {.max_streams = 65536, .max_stash = 4096};
    wc_core_init(&L.core, &wc_layer_port, &config);
    PMPI_Comm_size(MPI_COMM_WORLD, &size);
    bool multiple = thread_level == MPI_THREAD_MULTIPLE;
    L.way = multiple ? WC_WAY_SLOW : WC_WAY_FAST;
    L.plain = L.starts_natively = !multiple;
    if (multiple)
        wc_thread_start();
    /* Messages of a restart are delivered on it, after wavecut_finalize too. */
    PMPI_Comm_dup(MPI_COMM_SELF, &L.self);
    PMPI_Comm_set_errhandler(L.self, MPI_ERRORS_RETURN);
    wc_comm_add(wc_comm_new(MPI_COMM_WORLD), MPI_COMM_WORLD, 1, "world");
    int rank;
    PMPI_Comm_rank(MPI_COMM_WORLD, &rank);
    wc_comm_add(wc_comm_new(MPI_COMM_SELF), MPI_COMM_SELF,
                UINT64_C(0x5E1F000000000000) + (uint64_t)rank, "self");
    wc_signal_install_early();
}

static void start_all(int thread_level) {
    start(thread_level);
    if (L.initialized)
        L.initialized();
}

WC_EXPORT int MPI_Init(int *argc, char ***argv) {
    int rc = PMPI_Init(argc, argv);
    if (rc == MPI_SUCCESS)
        start_all(MPI_THREAD_SINGLE);
    return rc;
}

WC_EXPORT int MPI_Init_thread(int *argc, char ***argv, int required, int *provided) {
    int rc = PMPI_Init_thread(argc, argv, required, provided);
    if (rc == MPI_SUCCESS)
        start_all(*provided);
    return rc;
}

/* ---- attach and leave ---- */

const char *wc_layer_attach(MPI_Comm comm, const wc_hooks *hooks, const wc_core_config *config) {
    if (L.way == WC_WAY_OFF)
        return "MPI is not initialized";
    const char *error = wc_control_open(comm);
    if (error)
        return error;
    L.hooks = *hooks;
    wc_core_attach(&L.core, config, wc_layer_now());
    for (wc_comm *c = L.core.comms; c; c = c->next)
        c->outside = !c->freed && wc_comm_leaves_job(wc_comm_from_core(c));
    L.attached = true;
    return NULL;
}

void wc_layer_set_immediate(bool immediate) {
    L.immediate = L.core.config.immediate = immediate;
    if (L.multiple && immediate)
        wc_thread_pull();
    wc_layer_update();
}

static void serve(void) {
    unsigned spins = 0;
    wc_layer_progress();
    wc_layer_idle(&spins);
    sched_yield();
}

void wc_layer_leave(void) {
    /* The highest number that anyone has asked for; the reduction ends when every rank is here, and
     * from then on nobody begins another attempt. */
    wc_core_end(&L.core);
    uint64_t last = 0;
    MPI_Request request;
    int done = 0;
    /* `heard` can still grow while others run: what matters is known once all are here. */
    PMPI_Ibarrier(L.job, &request);
    while (!done) {
        serve();
        PMPI_Test(&request, &done, MPI_STATUS_IGNORE);
    }
    uint64_t mine = L.core.heard;
    PMPI_Iallreduce(&mine, &last, 1, MPI_UINT64_T, MPI_MAX, L.job, &request);
    for (done = 0; !done; PMPI_Test(&request, &done, MPI_STATUS_IGNORE))
        serve();
    while (L.core.finished < last || wc_core_busy(&L.core) || L.hooks.busy())
        serve();
    wc_control_drain();
}

void wc_layer_detach(void) {
    if (!L.attached)
        return;
    L.attached = false;
    wc_thread_pull_no_more();
    wc_control_close();
    wc_layer_update();
}

static void finish(void) {
    WC_GUARD("MPI_Finalize");
    if (L.attached)
        L.hooks.finalize();
    if (L.watched)
        wc_watch_finalize();
    if (L.way == WC_WAY_OFF)
        return;
    wc_layer_off();
    wc_comm_free_all();
    PMPI_Comm_free(&L.self);
    wc_core_free(&L.core);
    wc_table_close(&L.receives);
    wc_table_close(&L.persistent);
    free(L.foreign);
    L.multiple = false;
}

WC_EXPORT int MPI_Finalize(void) {
    finish();
    int rc = PMPI_Finalize();
    if (L.watched)
        wc_watch_end();
    if (L.finalized)
        L.finalized();
    return rc;
}
