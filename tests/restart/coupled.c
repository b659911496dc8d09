/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two components on four ranks, 0 and 3 against 1 and 2, coupled by intercommunicators and by communicators of some ranks.
 *
 *   coupled aligned STEPS OUT     in steps: what one component sends in a step, the other one receives in the next
 *   coupled immediate STEPS OUT   one asks, the other one answers what comes
 *   coupled snapshot              until there is one; then the end
 *   coupled again HOW             a restart in a program that makes communicators otherwise, or `as_it_was`
 *
 * All is counted in whole numbers, so that the order in which messages come makes no difference.
 */
#include "attempt.h"

#include "job.h"

#include <wavecut.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RANKS = 4, WORDS = 2000, LATER = 1, RING = 2, STOP = 3, TAGS = 5 };

static int rank, component, place;               /* place: in its component */
static MPI_Comm half, inter, replies, ring, all; /* ring: of ranks 3, 1 and 0, in this order */
static uint64_t sent[WORDS], got[WORDS];

/* Protected. */
static long step;
static int asked, stopped;
static uint64_t u[WORDS];

static uint64_t mix(uint64_t a, uint64_t b) {
    uint64_t h = (a ^ b) * UINT64_C(0x9E3779B97F4A7C15);
    return h ^ h >> 31;
}

/* ---- communicators ---- */

typedef struct making { /* what is made otherwise */
    bool other_halves, no_copy, other_ring, later_ring;
} making;

static void make_ring(const making *m) {
    static const int members[] = {3, 1, 0}, others[] = {3, 0};
    MPI_Group world, group;
    MPI_Comm_group(MPI_COMM_WORLD, &world);
    MPI_Group_incl(world, m->other_ring ? 2 : 3, m->other_ring ? others : members, &group);
    ring = MPI_COMM_NULL;
    if (rank != 2 && !(m->other_ring && rank == 1))
        MPI_Comm_create_group(MPI_COMM_WORLD, group, 7, &ring);
    MPI_Group_free(&group);
    MPI_Group_free(&world);
}

static void make(const making *m) {
    component = m->other_halves ? rank / 2 : rank % 3 != 0;
    int leader = component ? 0 : m->other_halves ? 2 : 1;
    MPI_Comm_split(MPI_COMM_WORLD, component, rank, &half);
    MPI_Comm_rank(half, &place);
    if (!m->later_ring)
        make_ring(m);
    MPI_Intercomm_create(half, 0, MPI_COMM_WORLD, leader, 3, &inter);
    if (m->no_copy)
        MPI_Intercomm_merge(inter, 0, &replies);
    else
        MPI_Comm_dup(inter, &replies);
    MPI_Intercomm_merge(inter, component, &all);
    if (m->later_ring)
        make_ring(m);
}

/* ---- in steps ---- */

static int ring_place(void) {
    int at;
    MPI_Comm_rank(ring, &at);
    return at;
}

/* Buffered: nothing is outstanding at the safe point that follows. */
static void send_ahead(void) {
    for (int to = 0; to < 2; to++) {
        int words = (int)((step + to + rank) % 5 ? 7 : WORDS);
        for (int i = 0; i < words; i++)
            sent[i] = mix(u[i], (uint64_t)(step * 8 + rank * 2 + to));
        MPI_Bsend(sent, words, MPI_UINT64_T, to, (int)(TAGS + step % 3), inter);
        MPI_Bsend(sent, 3, MPI_UINT64_T, to, LATER, replies);
    }
    if (ring != MPI_COMM_NULL)
        MPI_Bsend(u, 5, MPI_UINT64_T, (ring_place() + 1) % 3, RING, ring);
}

static void take(MPI_Comm comm, int source, int tag) {
    MPI_Status status;
    int n;
    MPI_Recv(got, WORDS, MPI_UINT64_T, source, tag, comm, &status);
    MPI_Get_count(&status, MPI_UINT64_T, &n);
    for (int i = 0; i < n; i++)
        u[i] += mix(got[i], (uint64_t)(status.MPI_SOURCE * 100 + status.MPI_TAG));
}

static void receive_ahead(void) {
    for (int k = 0; k < 2; k++) {
        take(inter, MPI_ANY_SOURCE, (int)(TAGS + (step - 1) % 3));
        take(replies, (k + rank) % 2, MPI_ANY_TAG);
    }
    if (ring != MPI_COMM_NULL)
        take(ring, (ring_place() + 2) % 3, RING);
}

/* Sums of the other component, and what its first rank says; communicators come and go. */
static void meet(void) {
    uint64_t sum = 0, word = u[1];
    MPI_Comm pair;
    MPI_Allreduce(&u[step % WORDS], &sum, 1, MPI_UINT64_T, MPI_SUM, inter);
    MPI_Bcast(&word, 1, MPI_UINT64_T, 0, all);
    u[0] = mix(u[0], sum + word);
    if (step % 4)
        return;
    MPI_Comm_split(inter, place, 0, &pair);
    MPI_Sendrecv(&u[2], 1, MPI_UINT64_T, 0, 1, &word, 1, MPI_UINT64_T, 0, 1, pair,
                 MPI_STATUS_IGNORE);
    u[2] += mix(word, 1);
    MPI_Comm_free(&pair);
}

static void run_steps(long steps) {
    for (; step < steps; step++) {
        wavecut_safepoint();
        if (step > 0)
            receive_ahead();
        if (step % 3 == 0)
            meet();
        send_ahead();
    }
    receive_ahead();
}

/* ---- questions and answers ---- */

static void ask(long steps) {
    MPI_Status status;
    while (step < steps) {
        if (!asked)
            MPI_Bsend(&u[step % WORDS], 1, MPI_UINT64_T, (int)((step + place) % 2), TAGS, inter);
        asked = 1;
        wavecut_safepoint();
        MPI_Recv(got, 1, MPI_UINT64_T, MPI_ANY_SOURCE, MPI_ANY_TAG, replies, &status);
        u[step % WORDS] = mix(u[step % WORDS], got[0] + (uint64_t)status.MPI_SOURCE);
        asked = 0;
        step++;
    }
    for (int to = 0; to < 2; to++)
        MPI_Bsend(NULL, 0, MPI_UINT64_T, to, STOP, inter);
}

static void answer(void) {
    MPI_Status status;
    while (stopped < 2) {
        wavecut_safepoint();
        MPI_Recv(got, 1, MPI_UINT64_T, MPI_ANY_SOURCE, MPI_ANY_TAG, inter, &status);
        if (status.MPI_TAG == STOP) {
            stopped++;
            continue;
        }
        u[0] += mix(got[0], (uint64_t)status.MPI_SOURCE);
        got[0] = mix(got[0], (uint64_t)rank);
        MPI_Bsend(got, 1, MPI_UINT64_T, status.MPI_SOURCE, TAGS + 1, replies);
    }
}

/* ---- the program ---- */

static wavecut_status start(bool immediate) {
    wavecut_status status = wavecut_init(MPI_COMM_WORLD);
    if (status == WAVECUT_OK)
        status = wavecut_cut(immediate ? WAVECUT_IMMEDIATE : WAVECUT_ALIGNED);
    if (status == WAVECUT_OK)
        status = wavecut_protect("step", &step, 1, MPI_LONG);
    if (status == WAVECUT_OK)
        status = wavecut_protect("asked", &asked, 1, MPI_INT);
    if (status == WAVECUT_OK)
        status = wavecut_protect("stopped", &stopped, 1, MPI_INT);
    if (status == WAVECUT_OK)
        status = wavecut_protect("u", u, WORDS, MPI_UINT64_T);
    return status == WAVECUT_OK ? wavecut_restore(NULL) : status;
}

static bool run(const char *mode, long steps, const char *out) {
    bool immediate = strcmp(mode, "immediate") == 0;
    make(&(making){0});
    for (int i = 0; i < WORDS; i++)
        u[i] = mix((uint64_t)i, (uint64_t)rank);
    job_attach_buffer(64, sizeof sent);
    if (start(immediate) != WAVECUT_OK)
        return false;
    if (!immediate)
        run_steps(steps);
    else if (component == 0)
        ask(steps);
    else
        answer();
    job_save(out, u, sizeof u);
    bool well = wavecut_finalize() == WAVECUT_OK;
    job_detach_buffer();
    return well;
}

static bool again(const char *how) {
    making m = {.other_halves = strcmp(how, "other_halves") == 0,
                .no_copy = strcmp(how, "no_copy") == 0,
                .other_ring = strcmp(how, "other_ring") == 0,
                .later_ring = strcmp(how, "later_ring") == 0};
    make(&m);
    wavecut_status status = start(false);
    if (status != WAVECUT_OK && rank == 0)
        printf("coupled: refused: %s\n", wavecut_error_text());
    if (status == WAVECUT_OK && rank == 0)
        printf("coupled: restored\n");
    return status == WAVECUT_OK || status == WAVECUT_ERR_MISMATCH;
}

int main(int argc, char **argv) {
    MPI_Init(&argc, &argv);
    int ranks;
    bool well = false;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    if (argc < 2 || ranks != RANKS)
        MPI_Abort(MPI_COMM_WORLD, 2);
    if (argc > 3) {
        well = run(argv[1], atol(argv[2]), argv[3]);
    } else if (argc > 2) {
        well = again(argv[2]);
    } else {
        make(&(making){0});
        well = start(false) == WAVECUT_OK && restart_attempt(NULL);
    }
    if (!well)
        MPI_Abort(MPI_COMM_WORLD, 1);
    MPI_Finalize();
    return 0;
}
