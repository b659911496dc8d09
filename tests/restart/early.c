/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A chain of ranks that swap the edges of their parts; what is sent in a step is used in the next. So at a safe point the
 * receives for it are posted, straight into the ghost columns (by a derived type), the messages are under way, and the sends are
 * not completed; and a receive for the last word of rank 0 is open from the beginning to the end.
 *
 *   early aligned|immediate ROWS STEPS OUT    OUT: file for all parts at the end
 *   early calls                               what can't be protected, and why an attempt is void then
 *   early again                               from a snapshot of `calls`: what wavecut_restore refuses
 */
#include "attempt.h"
#include "job.h"

#include <wavecut.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS = 6, EDGE = 5, LAST_WORD = 99 };
enum { LEFT, RIGHT, TO_LEFT, TO_RIGHT, WORD, REQUESTS };

static int rank, ranks, wrong;
static long step, steps;
static int rows;
static double *u, *next, *edges[2]; /* u: [rows][1 + COLUMNS + 1] */
static long word;                   /* of rank 0 */
static uint64_t chance;
static MPI_Request requests[REQUESTS];
static MPI_Datatype column;

static double *at(double *field, int row, int c) {
    return &field[(size_t)row * (COLUMNS + 2) + (size_t)c];
}

static int neighbour(int way) {
    int to = way == LEFT ? rank - 1 : rank + 1;
    return to < 0 || to >= ranks ? MPI_PROC_NULL : to;
}

/* ---- a step ---- */

static void post_receives(void) {
    MPI_Irecv(at(u, 0, 0), 1, column, neighbour(LEFT), EDGE, MPI_COMM_WORLD, &requests[LEFT]);
    MPI_Irecv(at(u, 0, COLUMNS + 1), 1, column, neighbour(RIGHT), EDGE, MPI_COMM_WORLD,
              &requests[RIGHT]);
}

static void send_edges(void) {
    MPI_Waitall(2, &requests[TO_LEFT], MPI_STATUSES_IGNORE);
    for (int way = LEFT; way <= RIGHT; way++) {
        for (int i = 0; i < rows; i++)
            edges[way][i] = *at(u, i, way == LEFT ? 1 : COLUMNS);
        MPI_Isend(edges[way], rows, MPI_DOUBLE, neighbour(way), EDGE, MPI_COMM_WORLD,
                  &requests[TO_LEFT + way]);
    }
}

/* Rows mix, so that each number depends on all that has come. */
static void compute(void) {
    for (int i = 0; i < rows; i++)
        for (int c = 1; c <= COLUMNS; c++)
            *at(next, i, c) = 0.3 * *at(u, i, c - 1) + 0.4 * *at(u, (i + 1) % rows, c) +
                              0.3 * *at(u, i, c + 1) + 1e-3 * (double)(step % 7);
    for (int i = 0; i < rows; i++)
        memcpy(at(u, i, 1), at(next, i, 1), COLUMNS * sizeof(double));
}

static void work(void) {
    MPI_Status status[2];
    int one;
    if (step % 3 == 0) {
        MPI_Waitany(2, requests, &one, &status[0]);
        MPI_Wait(&requests[1 - one], &status[1]);
    } else {
        MPI_Waitall(2, requests, status);
    }
    compute();
    if (job_random(&chance) % 8 == 0)
        job_pause((double)(job_random(&chance) % 100) / 100);
    send_edges();
    post_receives();
}

/* A column, in as many ways as there are ranks. */
static void make_column(void) {
    MPI_Datatype inner;
    const int width = COLUMNS + 2, whole[] = {rows, width}, part[] = {rows, 1}, zero[] = {0, 0};
    int *places = job_allocate((size_t)rows, sizeof *places);
    for (int i = 0; i < rows; i++)
        places[i] = i * width;
    switch (rank) {
    case 0:
        MPI_Type_vector(rows, 1, width, MPI_DOUBLE, &column);
        break;
    case 1:
        MPI_Type_create_hvector(rows, 1, width * (MPI_Aint)sizeof(double), MPI_DOUBLE, &inner);
        MPI_Type_dup(inner, &column);
        MPI_Type_free(&inner);
        break;
    case 2:
        MPI_Type_create_resized(MPI_DOUBLE, 0, width * (MPI_Aint)sizeof(double), &inner);
        MPI_Type_contiguous(rows, inner, &column);
        MPI_Type_free(&inner);
        break;
    default:
        if (rows < 10)
            MPI_Type_create_indexed_block(rows, 1, places, MPI_DOUBLE, &column);
        else
            MPI_Type_create_subarray(2, whole, part, zero, MPI_ORDER_C, MPI_DOUBLE, &column);
    }
    MPI_Type_commit(&column);
    free(places);
}

static void set_up(void) {
    size_t cells = (size_t)rows * (COLUMNS + 2);
    u = job_allocate(cells, sizeof *u);
    next = job_allocate(cells, sizeof *next);
    edges[0] = job_allocate((size_t)rows, sizeof **edges);
    edges[1] = job_allocate((size_t)rows, sizeof **edges);
    for (int i = 0; i < rows; i++)
        for (int c = 1; c <= COLUMNS; c++)
            *at(u, i, c) = (double)((rank * 31 + i * 7 + c * 3) % 101);
    for (int i = 0; i < REQUESTS; i++)
        requests[i] = MPI_REQUEST_NULL;
    make_column();
}

static bool run(char **argv) {
    int restarted;
    bool aligned = strcmp(argv[1], "aligned") == 0;
    rows = atoi(argv[2]);
    steps = atol(argv[3]);
    chance = (uint64_t)rank + 17;
    set_up();
    if (wavecut_init(MPI_COMM_WORLD) != WAVECUT_OK ||
        wavecut_cut(aligned ? WAVECUT_ALIGNED : WAVECUT_IMMEDIATE) != WAVECUT_OK ||
        wavecut_protect("u", u, (size_t)rows * (COLUMNS + 2), MPI_DOUBLE) != WAVECUT_OK ||
        wavecut_protect("step", &step, 1, MPI_LONG) != WAVECUT_OK ||
        wavecut_protect("word", &word, 1, MPI_LONG) != WAVECUT_OK ||
        wavecut_protect_requests("requests/halo", requests, WORD) != WAVECUT_OK ||
        wavecut_protect_requests("requests/word", &requests[WORD], 1) != WAVECUT_OK ||
        wavecut_restore(&restarted) != WAVECUT_OK)
        return false;
    if (!restarted) {
        MPI_Irecv(&word, 1, MPI_LONG, MPI_ANY_SOURCE, LAST_WORD, MPI_COMM_WORLD, &requests[WORD]);
        send_edges();
        post_receives();
    }
    for (; step < steps; step++) {
        wavecut_safepoint();
        work();
    }
    MPI_Waitall(WORD, requests, MPI_STATUSES_IGNORE);
    long said = step + 1000;
    for (int to = 0; to < ranks && rank == 0; to++)
        MPI_Send(&said, 1, MPI_LONG, to, LAST_WORD, MPI_COMM_WORLD);
    MPI_Wait(&requests[WORD], MPI_STATUS_IGNORE);
    for (int i = 0; i < rows; i++) /* at the ends of the chain nobody writes them */
        *at(u, i, 0) += (double)word;
    job_save(argv[4], u, (size_t)rows * (COLUMNS + 2) * sizeof *u);
    MPI_Type_free(&column);
    return wavecut_finalize() == WAVECUT_OK;
}

/* ---- what goes wrong ---- */

static void expect(bool well, const char *what) {
    if (!well)
        fprintf(stderr, "early: rank %d: not so: %s (%s)\n", rank, what, wavecut_error_text());
    wrong += !well;
}

static void attempt(const char *words) {
    bool committed = restart_attempt(words);
    if (words)
        expect(!committed, words);
}

static int inside[4], outside;
static MPI_Request protected[2] = {MPI_REQUEST_NULL, MPI_REQUEST_NULL};

static void to_all_of_rank_1(void) {
    int x = 5;
    if (rank == 0)
        MPI_Send(&x, 1, MPI_INT, 1, 8, MPI_COMM_WORLD);
}

/* A receive of rank 1 of something that can't be saved, for `words`. */
static void unsaved(void *buffer, MPI_Datatype type, MPI_Request *request, const char *words) {
    if (rank == 1)
        MPI_Irecv(buffer, 1, type, 0, 8, MPI_COMM_WORLD, request);
    attempt(words);
    to_all_of_rank_1();
    if (rank == 1)
        MPI_Wait(request, MPI_STATUS_IGNORE);
}

static void unsaved_others(void) {
    int one = 1, sum;
    MPI_Request request = MPI_REQUEST_NULL;
    if (rank != 3)
        MPI_Iallreduce(&one, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD, &protected[0]);
    else
        MPI_Iallreduce(&one, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD, &request);
    attempt("rank 0 has a nonblocking collective or file operation outstanding at its safe point");
    MPI_Wait(rank != 3 ? &protected[0] : &request, MPI_STATUS_IGNORE);
    if (rank == 0)
        MPI_Issend(&one, 1, MPI_INT, 1, 8, MPI_COMM_WORLD, &protected[1]);
    attempt("request 1 of \"p\": it may be a synchronous send");
    if (rank == 1)
        MPI_Recv(&sum, 1, MPI_INT, 0, 8, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    MPI_Wait(&protected[1], MPI_STATUS_IGNORE);
}

static bool calls(void) {
    MPI_Datatype pieces;
    MPI_Request unprotected = MPI_REQUEST_NULL;
    const int lengths[] = {1, 2}, places[] = {0, 2};
    MPI_Type_indexed(2, lengths, places, MPI_INT, &pieces);
    MPI_Type_commit(&pieces);
    expect(wavecut_protect_requests("p", protected, 2) == WAVECUT_ERR_ORDER, "order");
    expect(wavecut_init(MPI_COMM_WORLD) == WAVECUT_OK, "init");
    expect(wavecut_protect_requests("p", protected, -1) == WAVECUT_ERR_ARGUMENT, "-1");
    expect(wavecut_protect_requests("p", NULL, 1) == WAVECUT_ERR_ARGUMENT, "NULL");
    expect(wavecut_protect_requests("p/", protected, 2) == WAVECUT_ERR_NAME, "name");
    expect(wavecut_protect("inside", inside, 4, MPI_INT) == WAVECUT_OK, "inside");
    expect(wavecut_protect_requests("p", protected, 2) == WAVECUT_OK, "protect");
    expect(wavecut_restore(NULL) == WAVECUT_OK, "restore");
    unsaved(
        &inside[1], MPI_INT, &unprotected,
        "rank 1 has a request outstanding at its safe point (rank 0 of its communicator, tag 8)");
    unsaved(&outside, MPI_INT, &protected[1],
            "rank 1 could not save a part of its state: request 1 of \"p\": its buffer is in no");
    unsaved(inside, pieces, &protected[0], "request 0 of \"p\": its datatype can't be saved");
    unsaved_others();
    if (rank == 1)
        MPI_Irecv(&inside[3], 1, MPI_INT, 0, 8, MPI_COMM_WORLD, &protected[1]);
    if (rank == 0)
        MPI_Irecv(&inside[3], 0, MPI_INT, 1, 8, MPI_COMM_WORLD, &protected[0]);
    attempt(NULL);
    if (rank < 2)
        MPI_Send(&outside, 1 - rank, MPI_INT, 1 - rank, 8, MPI_COMM_WORLD);
    MPI_Waitall(2, protected, MPI_STATUSES_IGNORE);
    MPI_Type_free(&pieces);
    return true; /* no finalize: it would be the end of this run */
}

/* Three times in one process: nothing is touched by those that fail. */
static bool again(const char *how) {
    MPI_Request r[3] = {MPI_REQUEST_NULL, MPI_REQUEST_NULL, MPI_REQUEST_NULL};
    int x[4] = {7, 7, 7, 7}, y = 3;
    bool early = strcmp(how, "posted_before") == 0, three = strcmp(how, "three") == 0;
    if (early && rank == 1)
        MPI_Irecv(&x[3], 1, MPI_INT, 0, 8, MPI_COMM_WORLD, &r[1]);
    expect(wavecut_init(MPI_COMM_WORLD) == WAVECUT_OK, "init");
    expect(wavecut_protect("inside", x, 4, MPI_INT) == WAVECUT_OK, "inside");
    expect(wavecut_protect_requests("p", r, three ? 3 : 2) == WAVECUT_OK, "protect");
    wavecut_status status = wavecut_restore(NULL);
    if (early || three) {
        expect(status == (early ? WAVECUT_ERR_ORDER : WAVECUT_ERR_MISMATCH), "restore fails");
        expect(strstr(wavecut_error_text(), early ? "rank 1: request 1 of \"p\": it is not MPI_REQ"
                                                  : "\"p\" has 2 elements"),
               "says why");
        expect(x[0] == 7 && (early || x[3] == 7), "nothing is touched");
        y = 4;
    }
    expect(early || three || (status == WAVECUT_OK && (r[1] != MPI_REQUEST_NULL) == (rank == 1)),
           "restore");
    if (rank == 0) {
        MPI_Send(&y, 1, MPI_INT, 1, 8, MPI_COMM_WORLD);
        MPI_Wait(&r[0], MPI_STATUS_IGNORE);
    }
    if (rank == 1) {
        if (three)
            MPI_Irecv(&x[3], 1, MPI_INT, 0, 8, MPI_COMM_WORLD, &r[1]);
        MPI_Wait(&r[1], MPI_STATUS_IGNORE);
        expect(x[3] == y, "the receive gets it");
        if (!early && !three)
            MPI_Send(&y, 0, MPI_INT, 0, 8, MPI_COMM_WORLD);
    }
    return wavecut_finalize() == WAVECUT_OK || early || three;
}

int main(int argc, char **argv) {
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    if (argc < 2)
        MPI_Abort(MPI_COMM_WORLD, 2);
    bool well = argc > 4 ? run(argv) : argc > 2 ? again(argv[2]) : calls();
    if (!well || wrong)
        MPI_Abort(MPI_COMM_WORLD, 1);
    MPI_Finalize();
    return 0;
}
