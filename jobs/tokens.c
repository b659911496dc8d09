/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tokens: ranks pass tokens to each other as they like. At any moment, what all ranks hold and what
 * is on its way add up to the same number: the example with which consistent cuts are explained. A
 * snapshot that caught a token twice, or not at all, is found out after a restart, when everything
 * is collected and counted before the run goes on; and at the end.
 */
#include "job.h"

#include <wavecut.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

enum { TOKENS = 1, LAST };

typedef struct player {
    int rank, ranks;
    int64_t held; /* tokens in this rank's hands */
    int lasts;    /* ranks whose LAST has come */
    long step;
    uint64_t stream;
} player;

/* Buffered: two ranks that give to each other must not wait for each other. */
static void give(player *p) {
    if (p->held == 0)
        return;
    int64_t part = 1 + (int64_t)(job_random(&p->stream) % (uint64_t)p->held);
    int to = (int)(job_random(&p->stream) % (uint64_t)p->ranks);
    p->held -= part;
    MPI_Bsend(&part, 1, MPI_INT64_T, to, TOKENS, MPI_COMM_WORLD);
}

static void take(player *p) {
    int64_t part;
    MPI_Status status;
    MPI_Recv(&part, 1, MPI_INT64_T, MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &status);
    p->held += part;
    p->lasts += status.MPI_TAG == LAST;
}

/*
 * Empties all channels, then counts. Messages of one rank to another don't overtake each other, so
 * what was sent before a LAST has come when it comes. After its LAST a rank passes no safe point
 * before the count is over, so no snapshot holds one, and `lasts` needs no protection.
 */
static bool collect_and_count(player *p, long size, const char *when) {
    const int64_t nothing = 0;
    for (int r = 0; r < p->ranks; r++)
        MPI_Bsend(&nothing, 1, MPI_INT64_T, r, LAST, MPI_COMM_WORLD);
    while (p->lasts < p->ranks)
        take(p);
    p->lasts = 0;
    int64_t total, wanted = (int64_t)size * p->ranks;
    MPI_Allreduce(&p->held, &total, 1, MPI_INT64_T, MPI_SUM, MPI_COMM_WORLD);
    if (p->rank == 0)
        printf("tokens: %s: %lld of %lld tokens %s\n", total == wanted ? "checked" : "WRONG",
               (long long)total, (long long)wanted, when);
    return total == wanted;
}

static void play(player *p, const job_options *o) {
    for (; p->step < o->steps; p->step++) {
        int waiting;
        wavecut_safepoint();
        MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &waiting, MPI_STATUS_IGNORE);
        if (waiting)
            take(p);
        else
            give(p);
        job_pause(o->slow_ms);
    }
}

/* Fails on all ranks alike, and the library has said why. */
static bool start(player *p, int *restarted) {
    return wavecut_init(MPI_COMM_WORLD) == WAVECUT_OK &&
           wavecut_cut(WAVECUT_IMMEDIATE) == WAVECUT_OK &&
           wavecut_protect("held", &p->held, 1, MPI_INT64_T) == WAVECUT_OK &&
           wavecut_protect("step", &p->step, 1, MPI_LONG) == WAVECUT_OK &&
           wavecut_protect("stream", &p->stream, 1, MPI_UINT64_T) == WAVECUT_OK &&
           wavecut_restore(restarted) == WAVECUT_OK;
}

int main(int argc, char **argv) {
    job_options o = {.steps = 20000, .size = 1000, .seed = 1};
    job_read_options(argc, argv,
                     &(job_help){.program = "Conservation of tokens: polling, immediate cut.",
                                 .steps = "Times that each rank gives or takes",
                                 .size = "Tokens of each rank at the start",
                                 .seed = "Seed of who gives how many to whom"},
                     &o);
    MPI_Init(&argc, &argv);
    player p = {.held = o.size};
    MPI_Comm_rank(MPI_COMM_WORLD, &p.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &p.ranks);
    p.stream = o.seed + (uint64_t)p.rank;
    int restarted;
    if (!start(&p, &restarted)) {
        MPI_Finalize();
        return 1;
    }
    /* At worst each message carries one token; and there are the LASTs. */
    job_attach_buffer(((size_t)o.size + 1) * (size_t)p.ranks, sizeof(int64_t));
    bool right = !restarted || collect_and_count(&p, o.size, "after the restart");
    play(&p, &o);
    right = collect_and_count(&p, o.size, "at the end") && right;
    right = wavecut_finalize() == WAVECUT_OK && right;
    job_detach_buffer();
    MPI_Finalize();
    return right ? 0 : 1;
}
