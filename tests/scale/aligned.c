/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Programs in steps: safe point, sends, computing, waiting for what the neighbours have sent.
 *
 * Messages of the program are no events: the arrival is known when a message is sent, and the
 * receiver needs the last one of each step. Between records the core's counters are brought up to
 * date all at once, before it can look at them; while it logs, each message is handed over by
 * itself.
 */
#include "scale.h"

enum { TOP, SEND, WAIT };
enum { TAG = 1 };

/* What the core keeps apart: with --bundle, one channel stands for all of a rank. */
static uint32_t kept_channels(void) {
    return S.options.bundle ? 1 : S.shape.degree;
}

static uint32_t in_degree(uint32_t rank) {
    uint32_t n = S.shape.degree;
    if (S.shape.kind == SHAPE_LINE)
        n -= (scale_shape_in(&S.shape, rank, 0) == NO_RANK) +
             (scale_shape_in(&S.shape, rank, 1) == NO_RANK);
    return n;
}

/* Steps whose messages have been handed over. */
static uint32_t handed_steps(const scale_rank *r) {
    return r->step > S.options.lag ? r->step - S.options.lag : 0;
}

void scale_aligned_count(scale_rank *r) {
    uint32_t out = r->step - r->counted_out, in = handed_steps(r) - r->counted_in;
    for (uint32_t k = 0; k < kept_channels(); k++) {
        uint32_t to = scale_shape_out(&S.shape, r->rank, k),
                 from = scale_shape_in(&S.shape, r->rank, k);
        if (to != NO_RANK)
            wc_core_out(&r->core, &r->comm, (int)to, TAG)->sent += out;
        if (from != NO_RANK)
            wc_core_in(&r->core, &r->comm, (int)from, TAG)->handed += in;
    }
    r->counted_out += out;
    r->counted_in += in;
}

/* As the wrappers do while the core logs. */
static void hand_over(scale_rank *r) {
    if (!wc_core_slow(&r->core) || handed_steps(r) == r->counted_in)
        return;
    for (uint32_t k = 0; k < kept_channels(); k++) {
        uint32_t from = scale_shape_in(&S.shape, r->rank, k);
        if (from == NO_RANK)
            continue;
        wc_stream *s = wc_core_in(&r->core, &r->comm, (int)from, TAG);
        wc_recv recv = {
            .comm = &r->comm, .source = (int)from, .tag = TAG, .stream = s, .order = ++r->order};
        r->got = scale_node_new(&(scale_node){.kind = KIND_DATA, .from = from});
        wc_core_posted(&r->core, &recv);
        wc_core_handed(&r->core, &recv, (int)from, TAG);
        scale_node_free(r->got);
    }
    r->counted_in++;
}

/* The messages of the step waited for have come, or their times are known: goes on after the last.
 */
static void finish_step(scale_rank *r) {
    uint32_t awaited = (r->step - S.options.lag) % SLOTS, n = in_degree(r->rank);
    scale_arrivals *a = &S.arrivals[r->rank];
    int64_t end = r->cpu;
    if (r->step >= S.options.lag) {
        if (a->count[awaited] < n)
            return;
        end = a->latest[awaited] > end ? a->latest[awaited] : end;
        end += (int64_t)(n * S.options.machine.overhead);
        a->count[awaited] = 0;
        a->latest[awaited] = 0;
    }
    r->waiting = false;
    r->step++;
    r->phase = TOP;
    scale_turn_at(r, end);
}

static void send_all(scale_rank *r) {
    const scale_machine *m = &S.options.machine;
    double transfer = m->gap_per_byte * S.options.bytes;
    int64_t gap = (int64_t)(m->gap > transfer ? m->gap : transfer);
    uint32_t slot = r->step % SLOTS, outs[MASK_BITS];
    scale_shape_outs(&S.shape, r->rank, outs);
    for (uint32_t k = 0; k < S.shape.degree; k++) {
        if (outs[k] == NO_RANK)
            continue;
        r->cpu += (int64_t)m->overhead;
        int64_t leaves = r->cpu > r->nic ? r->cpu : r->nic;
        r->nic = leaves + gap;
        scale_arrivals *a = &S.arrivals[outs[k]];
        int64_t comes = leaves + (int64_t)(m->latency + transfer);
        if (comes > a->latest[slot])
            a->latest[slot] = comes;
        r->used |= 1u << k;
        /* Only the last one can end the wait. */
        if (++a->count[slot] == in_degree(outs[k]) && S.at[outs[k]].waiting)
            finish_step(&S.at[outs[k]]);
    }
}

void scale_aligned_turn(scale_rank *r) {
    switch (r->phase) {
    case TOP:
        hand_over(r);
        scale_enter_mpi(r);
        wc_core_step(&r->core);
        if (scale_look_is_due(r))
            scale_look(r);
        r->core.recordable = false;
        r->phase = SEND;
        r->inside = r->stopped;
        if (r->stopped)
            return;
        /* fallthrough */
    case SEND:
        send_all(r);
        r->phase = WAIT;
        scale_compute(r, S.options.step);
        return;
    default:
        scale_enter_mpi(r);
        r->inside = r->waiting = true;
        finish_step(r);
    }
}

/* MPI calls of aligned programs stay native: only one that is stopped at a safe point looks. */
void scale_aligned_arrived(scale_rank *r) {
    if (!r->stopped)
        return;
    scale_look(r);
    if (!r->stopped)
        scale_turn_at(r, r->cpu);
}
