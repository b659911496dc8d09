/* SPDX-License-Identifier: BSD-3-Clause */
/* Stands for src/runtime and the disk: records a copy of the state, is durable some time after. */
#include "sim.h"

#include "mpi/layer.h"
#include "mpi/signal.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- what src/core and src/mpi get instead of the system's: hooks.h ---- */

int sim_clock_gettime(clockid_t clock, struct timespec *t);
int sim_sched_yield(void);
unsigned long sim_ticks(void);

int sim_clock_gettime(clockid_t clock, struct timespec *t) {
    (void)clock;
    *t = (struct timespec){.tv_sec = J.now / 1000000000, .tv_nsec = J.now % 1000000000};
    return 0;
}

unsigned long sim_ticks(void) {
    return (unsigned long)J.now;
}

int sim_sched_yield(void) {
    sim_yield();
    return 0;
}

void wc_signal_install_early(void) {}

/* ---- hooks of the layer ---- */

/* The data are durable some time after the cut is complete. */
static void tick(int64_t now) {
    (void)now;
    if (me->publishing)
        me->publishing--;
    if (!me->settled || (!J.options.quiet && sim_choose(4)))
        return;
    me->settled = false;
    bool fails = !J.options.quiet && sim_choose(50) == 0;
    me->failed = fails;
    wc_core_durable(&L.core, fails ? WC_REASON_STORE : WC_REASON_NONE, NULL);
}

/* Nothing is protected: what the program may leave open, J.open says. */
static uint64_t keep_requests(void) {
    return 0;
}

static void record(void) {
    sim_trace("rank %d records", me->rank);
    me->saved = me->state;
    me->failed = false;
}

static void all_recorded(void) {}

static void settled(bool valid) {
    (void)valid;
    me->settled = true;
}

static void finished(const wc_vote *outcome) {
    sim_trace("rank %d: attempt %llu is over: %s", me->rank, (unsigned long long)L.core.attempt,
              outcome->void_rank < 0 ? "committed" : wc_reason_text((wc_reason)outcome->reason));
    sim_oracle_finished(outcome);
    me->publishing = J.options.quiet ? 0 : sim_choose(4);
}

static bool busy(void) {
    return me->publishing;
}

static void finalize(void) {
    wc_layer_leave();
    wc_layer_detach();
    wc_trace_close();
}

/* ---- in the place of the calls of wavecut.h ---- */

static bool is_broken(const char *rule) {
    return J.options.fault && strcmp(J.options.fault, rule) == 0;
}

void sim_runtime_begin(void) {
    static const wc_hooks hooks = {.tick = tick,
                                   .keep_requests = keep_requests,
                                   .record = record,
                                   .all_recorded = all_recorded,
                                   .settled = settled,
                                   .finished = finished,
                                   .busy = busy,
                                   .finalize = finalize};
    wc_core_config config = {.rank = me->rank,
                             .ranks = J.members,
                             .requests_allowed = J.open,
                             .timeout_ns = 40000 * J.turn_ns,
                             .patience_ns = (1 + sim_choose(sim_choose(2) ? 40 : 2000)) * J.turn_ns,
                             .max_streams = sim_choose(3) ? 1000 : 20 + sim_choose(60),
                             .max_stash = 2 + sim_choose(20),
                             .break_stash = is_broken("stash"),
                             .break_markers = is_broken("markers"),
                             .break_take_back = is_broken("take_back"),
                             .break_order = is_broken("order"),
                             .break_carry = is_broken("carry")};
    MPI_Comm job = MPI_COMM_WORLD;
    if (J.members < J.ranks)
        PMPI_Comm_split(MPI_COMM_WORLD, me->rank < J.members, me->rank, &job);
    if (me->rank >= J.members)
        return;
    wc_layer_attach(job, &hooks, &config);
    wc_layer_set_immediate(J.immediate);
    if (J.restarted)
        sim_oracle_give_back();
    sim_traced_begin();
    wc_layer_update();
}

void sim_restore_message(uint64_t uid, int source, int tag, const void *data, size_t bytes) {
    wc_mpi_comm *c = wc_comm_by_uid(uid);
    if (!c) {
        sim_problem("rank %d: a message comes back on a communicator that is not there", me->rank);
        return;
    }
    void *copy = wc_core_alloc(bytes); /* the core's */
    memcpy(copy, data, bytes);
    wc_core_restore_message(&L.core, &c->core, source, tag, copy, bytes);
}

void sim_safepoint(void) {
    if (!L.attached)
        return;
    if (!J.options.quiet && (sim_choose(4) == 0 && !wc_core_busy(&L.core)))
        wc_core_request(&L.core);
    if (!J.options.quiet && sim_choose(40) == 0)
        wc_core_request(&L.core); /* during an attempt, too */
    wc_core_step(&L.core);
    L.outstanding_at_safepoint = L.outstanding;
    wc_layer_poll();
    if (!L.immediate)
        L.core.recordable = false;
    wc_layer_update();
}
