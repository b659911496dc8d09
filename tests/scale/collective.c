/* SPDX-License-Identifier: BSD-3-Clause */
/* Nonblocking collectives that need no memory of n: dissemination, as libraries do MPI_Ibarrier and
 * small all-reduces, or a binomial tree up and down. A part is sent on only while its rank is
 * inside MPI. */
#include "scale.h"

enum { DOWN = 31 };

static void send_part(scale_rank *r, int phase, uint32_t to, uint32_t part) {
    scale_send(
        r, &(scale_node){.kind = KIND_COLLECTIVE, .to = to, .value = (uint32_t)phase << 8 | part},
        sizeof(wc_vote));
}

/* ---- dissemination ---- */

static void go_on(scale_rank *r, int phase) {
    scale_collective *c = &r->collectives[phase];
    uint32_t n = S.options.ranks;
    while (!c->done && c->arrived >> c->round & 1) {
        c->round++;
        if (UINT64_C(1) << c->round < n)
            send_part(r, phase, (uint32_t)((r->rank + (UINT64_C(1) << c->round)) % n), c->round);
        else
            c->done = true;
    }
}

/* ---- tree ---- */

/* Children are rank + 2^j, for the j below the lowest bit of the rank. */
static uint32_t children(const scale_rank *r) {
    uint32_t mask = 0, n = S.options.ranks;
    for (uint32_t j = 0; j < DOWN && !(r->rank >> j & 1); j++)
        if (r->rank + (UINT64_C(1) << j) < n)
            mask |= 1u << j;
    return mask;
}

static void send_down(scale_rank *r, int phase) {
    uint32_t mask = children(r);
    r->collectives[phase].done = true;
    for (int j = DOWN - 1; j >= 0; j--)
        if (mask >> j & 1)
            send_part(r, phase, r->rank + (1u << j), DOWN);
}

static void go_up(scale_rank *r, int phase) {
    uint32_t mask = children(r);
    if (r->collectives[phase].arrived != mask)
        return;
    uint32_t bit = (uint32_t)__builtin_ctz(r->rank | 1u << DOWN);
    if (r->rank == 0)
        send_down(r, phase);
    else
        send_part(r, phase, r->rank - (1u << bit), bit);
}

/* ---- both ---- */

void scale_collective_enter(scale_rank *r, int phase) {
    scale_collective *c = &r->collectives[phase];
    c->entered = true;
    if (S.options.machine.tree) {
        go_up(r, phase);
        return;
    }
    send_part(r, phase, (r->rank + 1) % S.options.ranks, 0);
    go_on(r, phase);
}

void scale_collective_arrive(scale_rank *r, uint32_t value) {
    int phase = (int)(value >> 8);
    uint32_t part = value & 255;
    scale_collective *c = &r->collectives[phase];
    if (S.options.machine.tree && part == DOWN) {
        send_down(r, phase);
        return;
    }
    c->arrived |= 1u << part;
    if (!c->entered)
        return;
    if (S.options.machine.tree)
        go_up(r, phase);
    else
        go_on(r, phase);
}

bool scale_collective_take(scale_rank *r, int phase) {
    if (!r->collectives[phase].done)
        return false;
    r->collectives[phase] = (scale_collective){0};
    return true;
}
