/* SPDX-License-Identifier: BSD-3-Clause */
/* How a snapshot is taken: by the shipped core; and the measure of all, one nonblocking barrier. */
#include "scale.h"

#include <string.h>

static void note(uint32_t *count, int64_t *last, int64_t time) {
    ++*count;
    if (time > *last)
        *last = time;
}

void scale_armed(scale_rank *r) {
    note(&S.armed, &S.last_armed, r->cpu);
}

void scale_recorded(scale_rank *r) {
    r->recorded = r->cpu;
    note(&S.recorded, &S.last_recorded, r->cpu);
}

void scale_closed(scale_rank *r) {
    r->took[0] = r->armed - r->heard;
    r->took[1] = r->recorded - r->heard;
    r->took[2] = r->cpu - r->heard;
    note(&S.closed, &S.last_closed, r->cpu);
}

/* ---- the core ---- */

static void core_request(scale_rank *r) {
    wc_core_request(&r->core);
}

static void core_hear(scale_rank *r, uint32_t attempt, uint32_t from) {
    wc_core_hear(&r->core, attempt, (int)from);
}

static void core_look(scale_rank *r) {
    bool may_record = r->core.state == WC_STATE_AGREEING || r->core.state == WC_STATE_AGREED;
    if (may_record && !S.options.program->immediate)
        scale_aligned_count(r);
    uint32_t first;
    do { /* a real rank would look again and again: a marker may stop one look */
        first = r->unexpected.first;
        wc_core_progress(&r->core, r->cpu);
    } while (r->core.armed && r->unexpected.first != first);
    if (!r->noted && r->core.state >= WC_STATE_AGREED) {
        r->noted = true;
        scale_armed(r);
    }
    if (r->durable_due) { /* the disk takes no time here */
        r->durable_due = false;
        wc_core_durable(&r->core, WC_REASON_NONE, NULL);
        wc_core_progress(&r->core, r->cpu);
    }
}

static bool core_busy(const scale_rank *r) {
    return wc_core_busy(&r->core);
}

static void no_marker(scale_rank *r) {
    (void)r;
}

const scale_method scale_by_core = {.name = "wavecut",
                                    .asks = true,
                                    .request = core_request,
                                    .hear = core_hear,
                                    .look = core_look,
                                    .busy = core_busy,
                                    .marker = no_marker};

/* ---- one nonblocking barrier, entered and tested where the library looks ---- */

enum { BEFORE, ENTERED, DONE };

static bool barrier_busy(const scale_rank *r) {
    return r->cpu >= S.request_at && r->stage != DONE;
}

static void barrier_look(scale_rank *r) {
    if (r->cpu < S.request_at)
        return;
    if (r->stage == BEFORE) {
        r->stage = ENTERED;
        scale_collective_enter(r, WC_PHASE_AGREE);
    }
    if (r->stage == ENTERED && scale_collective_take(r, WC_PHASE_AGREE)) {
        r->stage = DONE;
        scale_closed(r);
        S.over = S.closed == S.options.ranks;
    }
}

const scale_method scale_by_barrier = {
    .name = "barrier", .look = barrier_look, .busy = barrier_busy, .marker = no_marker};

const scale_method *scale_method_find(const char *name) {
    static const scale_method *const all[] = {&scale_by_core, &scale_by_barrier, &scale_by_blocking,
                                              &scale_by_textbook};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(all[i]->name, name) == 0)
            return all[i];
    return NULL;
}
