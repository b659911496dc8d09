/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Arrays that are not written before the next safe point, and are right after it: what a restart brings back is checked.
 *   stable KIND SNAPSHOTS
 * SNAPSHOTS: so many; -1: until one has failed
 * KIND:
 *   swap    two buffers of wavecut_alloc change places; all parts are whole pages
 *   fresh   a new buffer in each step, of malloc and in the middle of a page; the old one is freed
 *   rest    one array, which is written in every other step only
 *   box     two buffers of a part of a global array, columns of it
 *   posted  one array, written in each step, but the first cell is received, by a receive that is outstanding at each safe point: then
 *           the hint is passed over
 *   one     as swap, but an immediate cut and a ring of blocking receives, in which a rank may be recorded
 */
#include <wavecut.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 1 << 12, COLUMNS = 1 << 8, CELLS = ROWS * COLUMNS, TAG = 5 };

static struct {
    const char *kind;
    int rank, ranks;
    long step;
    double *u, *other;
    char *block;       /* of malloc, that u is in */
    MPI_Request first; /* the receive of the first cell */
} S;

static double value(long step, size_t i) {
    return (double)step * 1e7 + (double)S.rank * 1e5 + (double)(i % 99991);
}

static bool is(const char *kind) {
    return strcmp(S.kind, kind) == 0;
}

static void expect(bool holds, const char *what) {
    if (holds)
        return;
    fprintf(stderr, "stable: rank %d, step %ld: %s\n", S.rank, S.step, what);
    MPI_Abort(MPI_COMM_WORLD, 3);
}

/* As u is at the safe point of a step. */
static void fill(double *u, long step) {
    for (size_t i = 0; i < CELLS; i++)
        u[i] = value(step, i);
}

static long last_written(void) {
    return is("rest") ? S.step / 2 * 2 : S.step;
}

static double *allocate(void) {
    void *memory = NULL;
    if (!is("fresh")) {
        expect(wavecut_alloc(CELLS * sizeof(double), &memory) == WAVECUT_OK, "no memory");
        return memory;
    }
    S.block = malloc(CELLS * sizeof(double) + 8);
    expect(S.block != NULL, "no memory");
    return (double *)(void *)(S.block + 8);
}

static wavecut_status protect(void) {
    const size_t global[] = {ROWS, COLUMNS * (size_t)S.ranks}, local[] = {ROWS, COLUMNS};
    const size_t offset[] = {0, COLUMNS * (size_t)S.rank};
    return is("box") ? wavecut_protect_array("u", S.u, MPI_DOUBLE, 2, global, local, offset)
                     : wavecut_protect("u", S.u, CELLS, MPI_DOUBLE);
}

static void post(void) {
    MPI_Irecv(S.u, 1, MPI_DOUBLE, (S.rank + S.ranks - 1) % S.ranks, TAG, MPI_COMM_WORLD, &S.first);
}

static void next(void) {
    long to = S.step + 1;
    if (is("rest")) {
        if (to % 2 == 0)
            fill(S.u, to);
        return;
    }
    if (is("posted")) {
        int after = (S.rank + 1) % S.ranks;
        double theirs = value(to, 0) + (after - S.rank) * 1e5;
        MPI_Send(&theirs, 1, MPI_DOUBLE, after, TAG, MPI_COMM_WORLD);
        MPI_Wait(&S.first, MPI_STATUS_IGNORE);
        expect(S.u[0] == value(to, 0), "a wrong message");
        fill(S.u, to);
        post();
        return;
    }
    if (is("fresh")) {
        char *old = S.block;
        S.u = allocate();
        fill(S.u, to);
        expect(protect() == WAVECUT_OK, "protect");
        memset(old, 0xEE, CELLS * sizeof(double));
        free(old);
        return;
    }
    fill(S.other, to);
    double *old = S.u;
    S.u = S.other;
    S.other = old;
    expect(protect() == WAVECUT_OK, "protect");
}

/* In the ring a rank waits for the one before it, directly behind its safe point. */
static void meet(void) {
    long theirs, mine = S.step;
    int after = (S.rank + 1) % S.ranks, before = (S.rank + S.ranks - 1) % S.ranks;
    if (!is("one"))
        return;
    MPI_Recv(&theirs, 1, MPI_LONG, before, TAG, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    expect(theirs == mine, "a wrong message");
    mine++;
    MPI_Send(&mine, 1, MPI_LONG, after, TAG, MPI_COMM_WORLD);
}

static void run(long snapshots) {
    uint64_t done = 0;
    while (snapshots < 0 ? !done : done < (uint64_t)snapshots) {
        if (is("rest"))
            wavecut_hint("u", S.step % 2 == 0 ? WAVECUT_STABLE : WAVECUT_NO_HINT);
        wavecut_safepoint();
        meet();
        wavecut_info info;
        wavecut_status_get(&info);
        if (S.rank == 0 && !info.in_progress)
            wavecut_request();
        next();
        S.step++;
        done = snapshots < 0 ? info.failed : info.committed;
        MPI_Bcast(&done, 1, MPI_UINT64_T, 0, MPI_COMM_WORLD);
    }
}

static void start(bool restarted) {
    if (!restarted) {
        long first = 0;
        if (is("posted"))
            post();
        if (is("one"))
            MPI_Send(&first, 1, MPI_LONG, (S.rank + 1) % S.ranks, TAG, MPI_COMM_WORLD);
        return;
    }
    /* The buffer of a receive that is outstanding may have the next message already: from a rank that is ahead. */
    for (size_t i = is("posted"); i < CELLS; i++)
        expect(S.u[i] == value(last_written(), i), "the array is not the one of that step");
    if (S.rank == 0)
        printf("stable: restarted at step %ld\n", S.step);
}

int main(int argc, char **argv) {
    if (argc < 3)
        return 2;
    MPI_Init(&argc, &argv);
    S.kind = argv[1];
    S.first = MPI_REQUEST_NULL;
    MPI_Comm_rank(MPI_COMM_WORLD, &S.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &S.ranks);
    S.u = allocate();
    S.other = is("fresh") ? NULL : allocate();
    fill(S.u, 0);
    int restarted;
    if (wavecut_init(MPI_COMM_WORLD) != WAVECUT_OK ||
        (is("one") && wavecut_cut(WAVECUT_IMMEDIATE) != WAVECUT_OK) || protect() != WAVECUT_OK ||
        wavecut_hint("u", WAVECUT_STABLE) != WAVECUT_OK ||
        wavecut_protect("step", &S.step, 1, MPI_LONG) != WAVECUT_OK ||
        wavecut_protect_requests("first", &S.first, 1) != WAVECUT_OK ||
        wavecut_restore(&restarted) != WAVECUT_OK) {
        MPI_Finalize();
        return 1;
    }
    start(restarted);
    run(strtol(argv[2], NULL, 10));
    if (S.rank == 0)
        printf("stable: ended well\n");
    if (S.first != MPI_REQUEST_NULL) {
        MPI_Cancel(&S.first);
        MPI_Wait(&S.first, MPI_STATUS_IGNORE);
    }
    /* No wavecut_finalize: it would mark the run as finished. */
    MPI_Finalize();
    return 0;
}
