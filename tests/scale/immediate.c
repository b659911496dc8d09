/* SPDX-License-Identifier: BSD-3-Clause */
/* Programs that receive whatever comes next, and answer: a safe point before each receive, which is
 * for any source and any tag. */
#include "scale.h"

#include <stdio.h>
#include <stdlib.h>

enum { TOP, SEND };
enum { TAG = 1, TOKENS = 2 };
enum { SPINS = 64 }; /* between two events of a receive that starves */

/* ---- MPI's matching, with one receive at most ---- */

static void fill(scale_rank *r, uint32_t node) {
    if (scale_node_at(node)->kind == KIND_MARKER) {
        fprintf(stderr, "a marker was received by the application\n");
        abort();
    }
    r->posted = false;
    r->ready = true;
    r->got = node;
}

void scale_immediate_post(scale_rank *r) {
    uint32_t node = scale_list_take(&r->unexpected);
    r->posted = true;
    if (node)
        fill(r, node);
}

void scale_immediate_data(scale_rank *r, uint32_t node) {
    r->received += scale_node_at(node)->kind == KIND_DATA;
    if (r->posted)
        fill(r, node);
    else
        scale_list_add(&r->unexpected, node);
}

/* ---- the program ---- */

static void send_to(scale_rank *r, uint32_t k) {
    uint32_t to = scale_shape_out(&S.shape, r->rank, k);
    if (wc_core_busy(&r->core))
        wc_core_before_send(&r->core, &r->comm, (int)to);
    wc_core_out(&r->core, &r->comm, (int)to, TAG)->sent++;
    r->core.recordable = false;
    r->used |= 1u << k % MASK_BITS;
    r->sent++;
    scale_send(r, &(scale_node){.kind = KIND_DATA, .to = to, .value = r->step}, S.options.bytes);
}

/* All messages of the step are here: the next one is computed. */
static bool step_is_complete(scale_rank *r) {
    uint32_t *came = &r->came[r->step % SLOTS];
    if (S.options.program->tokens || *came < S.shape.degree)
        return false;
    *came = 0;
    r->step++;
    return true;
}

static void answer(scale_rank *r, uint32_t step) {
    bool computes = S.options.program->tokens;
    if (!computes) {
        r->came[step % SLOTS]++;
        computes = step_is_complete(r);
    }
    r->step += S.options.program->tokens;
    r->phase = computes ? SEND : TOP;
    if (computes)
        scale_compute(r, S.options.step);
    else
        scale_turn_at(r, r->cpu);
}

static bool take_if_ready(scale_rank *r) {
    bool whole = r->recv.state == WC_RECV_NATIVE || r->recv.state == WC_RECV_FILLING;
    if (!r->waiting || !r->ready || !whole || r->stopped)
        return false;
    scale_node message = *scale_node_at(r->got);
    r->core.recordable = false;
    wc_core_handed(&r->core, &r->recv, (int)message.from, TAG);
    wc_message_drop(r->recv.message);
    scale_node_free(r->got);
    r->waiting = r->ready = false;
    answer(r, message.value);
    return true;
}

static void receive(scale_rank *r) {
    r->recv = (wc_recv){
        .comm = &r->comm, .source = WC_ANY, .tag = WC_ANY, .order = ++r->order, .inside = true};
    r->waiting = true;
    if (!wc_core_slow(&r->core) || !wc_core_receive(&r->core, &r->recv))
        scale_immediate_post(r);
    r->inside = true;
    take_if_ready(r);
}

static void send_answers(scale_rank *r) {
    bool tokens = S.options.program->tokens, first = r->step == 0;
    uint32_t n = tokens ? (first ? TOKENS : 1) : S.shape.degree;
    for (uint32_t k = 0; k < n; k++)
        send_to(r, tokens ? scale_choose(r, S.shape.degree) : k);
}

void scale_immediate_turn(scale_rank *r) {
    scale_enter_mpi(r);
    if (r->phase == SEND) {
        send_answers(r);
        r->phase = TOP;
        if (step_is_complete(r)) { /* what the neighbours have sent ahead */
            r->phase = SEND;
            scale_compute(r, S.options.step);
            return;
        }
    }
    wc_core_step(&r->core);
    if (scale_look_is_due(r))
        scale_look(r);
    receive(r);
}

static void look_at(scale_rank *r, int64_t time) {
    if (r->look_due)
        return;
    r->look_due = true;
    scale_event_add(
        &(scale_node){.kind = KIND_LOOK, .to = r->rank, .time = time > r->cpu ? time : r->cpu});
}

static bool is_starving(const scale_rank *r) {
    return r->waiting && r->core.held && r->core.state == WC_STATE_AGREED;
}

/* The receive is a loop that looks: at once while something is under way, else as the clock says. */
void scale_immediate_arrived(scale_rank *r) {
    if (!r->waiting || take_if_ready(r))
        return;
    if (S.options.method->busy(r)) {
        scale_look(r);
        if (!take_if_ready(r) && is_starving(r))
            look_at(r, r->cpu + (int64_t)(SPINS * S.options.machine.look));
    } else if (r->control.first) {
        look_at(r, r->next_tick);
    }
}

/* What a starving receive has done up to now: looked again and again, in vain. */
void scale_immediate_look(scale_rank *r) {
    r->look_due = false;
    for (int i = 0; i < SPINS && is_starving(r); i++)
        wc_core_starved(&r->core);
    if (r->waiting)
        scale_look(r);
}
