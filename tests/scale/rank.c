/* SPDX-License-Identifier: BSD-3-Clause */
#include "scale.h"

static int64_t later(int64_t a, int64_t b) {
    return a > b ? a : b;
}

uint32_t scale_choose(scale_rank *r, uint32_t n) {
    uint64_t x = r->random += UINT64_C(0x9E3779B97F4A7C15);
    x = (x ^ x >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ x >> 27) * UINT64_C(0x94D049BB133111EB);
    return (uint32_t)((x ^ x >> 31) % n);
}

void scale_send(scale_rank *r, const scale_node *message, uint32_t bytes) {
    const scale_machine *m = &S.options.machine;
    double long_gap = m->gap_per_byte * bytes;
    r->cpu += (int64_t)m->overhead;
    int64_t leaves = later(r->cpu, r->nic);
    /* One more: what is sent later arrives later, whatever its length. */
    r->nic = leaves + (int64_t)(m->gap > long_gap ? m->gap : long_gap) + 1;
    scale_node node = *message;
    node.from = r->rank;
    node.time = leaves + (int64_t)(m->latency + long_gap);
    S.messages += node.kind != KIND_DATA;
    scale_event_add(&node);
}

void scale_turn_at(scale_rank *r, int64_t time) {
    scale_event_add(&(scale_node){.kind = KIND_TURN, .to = r->rank, .time = time});
}

void scale_compute(scale_rank *r, double ns) {
    double part = 1 + S.options.jitter * (scale_choose(r, 2001) / 1000.0 - 1);
    r->inside = false;
    r->compute_end = r->cpu + (int64_t)(ns * part);
    int64_t first = r->cpu + (int64_t)S.options.progress;
    scale_turn_at(r, S.options.progress > 0 && first < r->compute_end ? first : r->compute_end);
}

/* ---- inside MPI ---- */

static void handle(scale_rank *r, uint32_t node) {
    scale_node message = *scale_node_at(node);
    r->cpu += (int64_t)S.options.machine.overhead;
    switch (message.kind) {
    case KIND_REQUEST:
    case KIND_COUNTS:
        scale_list_add(&r->control, node);
        return;
    case KIND_DATA:
    case KIND_MARKER:
        scale_immediate_data(r, node);
        return;
    case KIND_COLLECTIVE:
        scale_collective_arrive(r, message.value);
        break;
    case KIND_ACK:
        r->markers_out--;
        break;
    default: /* KIND_TEXTBOOK */
        S.options.method->marker(r);
        break;
    }
    scale_node_free(node);
}

void scale_enter_mpi(scale_rank *r) {
    uint32_t node;
    while ((node = scale_list_take(&r->pending)))
        handle(r, node);
}

/* ---- the library ---- */

bool scale_look_is_due(const scale_rank *r) {
    return S.options.method->busy(r) || r->cpu >= r->next_tick;
}

/* As wc_snapshot_watch: it sees a request at the look after the one that has heard of it. */
static void watch(scale_rank *r) {
    if (!S.options.method->busy(r)) {
        r->heard = r->armed = 0;
        return;
    }
    if (!r->heard)
        r->heard = r->cpu;
    if (!r->armed && r->core.state >= WC_STATE_AGREED)
        r->armed = r->cpu;
}

static void take_control(scale_rank *r) {
    uint32_t node;
    while ((node = scale_list_take(&r->control))) {
        scale_node message = *scale_node_at(node);
        scale_node_free(node);
        if (message.kind == KIND_REQUEST)
            S.options.method->hear(r, message.value, message.from);
        else
            scale_take_counts(r, &message);
    }
}

void scale_look(scale_rank *r) {
    r->cpu += (int64_t)S.options.machine.look;
    watch(r);
    if (S.wanted && r->rank == S.options.initiator && r->cpu >= S.request_at)
        scale_begin_attempt(r);
    take_control(r);
    S.options.method->look(r);
    if (S.options.program->immediate)
        watch(r); /* these look again at once */
    r->next_tick = r->cpu + (int64_t)S.options.machine.tick;
}

/* ---- events ---- */

static void arrived(scale_rank *r) {
    if (S.options.program->immediate || S.options.quiet)
        scale_immediate_arrived(r);
    else
        scale_aligned_arrived(r);
}

static void take_turn(scale_rank *r) {
    if (r->cpu > S.now) { /* messages have kept it */
        scale_turn_at(r, r->cpu);
        return;
    }
    r->cpu = S.now;
    if (r->compute_end > S.now) { /* a look into MPI while computing */
        int64_t next = S.now + (int64_t)S.options.progress;
        scale_enter_mpi(r);
        if (S.options.program->immediate && scale_look_is_due(r))
            scale_look(r);
        scale_turn_at(r, next < r->compute_end ? next : r->compute_end);
    } else if (S.options.program->immediate) {
        scale_immediate_turn(r);
    } else {
        scale_aligned_turn(r);
    }
}

void scale_rank_take(scale_rank *r, uint32_t node) {
    scale_kind kind = scale_node_at(node)->kind;
    if (kind == KIND_TURN) {
        scale_node_free(node);
        take_turn(r);
        return;
    }
    if (kind != KIND_LOOK && !r->inside) {
        scale_list_add(&r->pending, node);
        return;
    }
    r->cpu = later(r->cpu, S.now);
    if (kind == KIND_LOOK) {
        scale_node_free(node);
        scale_immediate_look(r);
    } else {
        handle(r, node);
    }
    arrived(r);
}
