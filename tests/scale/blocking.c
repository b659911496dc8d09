/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What it is compared with, one: everybody stops, the channels are drained, everybody records,
 * everybody goes on. Its request costs nothing here: from its time on all ranks know of it, and
 * programs in steps know the step to stop at.
 */
#include "scale.h"

enum { RUNNING, STOPPING, DRAINING, LEAVING, DONE };

static bool busy(const scale_rank *r) {
    return r->cpu >= S.request_at && r->stage != DONE;
}

/* No rank has come to this step, and one that stops there owes nobody a message. */
static uint32_t stop_step(void) {
    if (!S.stop_step) {
        for (uint32_t i = 0; i < S.options.ranks; i++)
            S.stop_step = S.at[i].step >= S.stop_step ? S.at[i].step + 1 : S.stop_step;
    }
    return S.stop_step;
}

/* Ranks agree on how many messages are still under way. Two phases take turns: a fast rank's next
 * round must not meet a slow one's last. */
static void count_messages(scale_rank *r) {
    int phase = r->phase_of_drain = r->phase_of_drain == WC_PHASE_B ? WC_PHASE_COMMIT : WC_PHASE_B;
    if (S.joined[phase]++ % S.options.ranks == 0)
        S.balance[phase] = 0;
    S.balance[phase] += (int64_t)r->sent - r->received;
    scale_collective_enter(r, phase);
}

static void stop(scale_rank *r) {
    if (!S.options.program->immediate && r->step < stop_step())
        return;
    r->stopped = true;
    r->stopped_at = r->cpu;
    r->stage = STOPPING;
    scale_armed(r);
    scale_collective_enter(r, WC_PHASE_A);
}

static void leave(scale_rank *r) {
    r->stopped = false;
    r->stage = DONE;
    scale_closed(r);
    if (r->cpu - r->stopped_at > S.stalled)
        S.stalled = r->cpu - r->stopped_at;
    S.over = S.closed == S.options.ranks;
}

static void look(scale_rank *r) {
    if (r->cpu < S.request_at)
        return;
    if (r->stage == RUNNING)
        stop(r);
    if (r->stage == STOPPING && scale_collective_take(r, WC_PHASE_A)) {
        r->stage = DRAINING;
        count_messages(r);
    }
    while (r->stage == DRAINING && scale_collective_take(r, r->phase_of_drain)) {
        if (S.balance[r->phase_of_drain] != 0) {
            count_messages(r);
            continue;
        }
        r->stage = LEAVING;
        scale_recorded(r);
        scale_collective_enter(r, WC_PHASE_A);
    }
    if (r->stage == LEAVING && scale_collective_take(r, WC_PHASE_A))
        leave(r);
}

static void no_marker(scale_rank *r) {
    (void)r;
}

const scale_method scale_by_blocking = {
    .name = "blocking", .look = look, .busy = busy, .marker = no_marker};
