/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ensemble: several runs of one program side by side in one MPI_COMM_WORLD. Each member has a communicator and a directory of its
 * own, takes its own snapshots, and finishes when it is done. After a failure each one goes on from its newest snapshot, and
 * those that had finished stay finished.
 *
 * A member is a ring of cells in which something diffuses, in whole numbers, so that nothing may be lost: that is checked.
 */
#include "job.h"

#include <wavecut.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CELLS = 1000 }; /* of each rank */

typedef struct member {
    MPI_Comm comm;
    int number, rank, ranks;
    int64_t cells[CELLS], flow[CELLS + 1]; /* flow[i]: from cell i - 1 to cell i */
} member;

static member M;

/* Neighbours in MPI_COMM_WORLD belong to one member. */
static void split_world(const job_options *o) {
    int rank, ranks;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    if (ranks % o->size) {
        if (rank == 0)
            fprintf(stderr, "ensemble: %d ranks can't be %ld members of one size\n", ranks,
                    o->size);
        MPI_Finalize();
        exit(1);
    }
    M.number = rank / (ranks / (int)o->size);
    MPI_Comm_split(MPI_COMM_WORLD, M.number, rank, &M.comm);
    MPI_Comm_rank(M.comm, &M.rank);
    MPI_Comm_size(M.comm, &M.ranks);
}

/* A directory for each member, inside the one that the job was given. It is read by wavecut_init. */
static void choose_directory(void) {
    char dir[4096];
    const char *base = getenv("WAVECUT_DIR");
    snprintf(dir, sizeof dir, "%s/member-%d", base ? base : "wavecut-ckpt", M.number);
    setenv("WAVECUT_DIR", dir, 1);
}

static void fill(uint64_t seed) {
    uint64_t stream = seed + 1000u * (uint64_t)M.number + (uint64_t)M.rank;
    for (int i = 0; i < CELLS; i++)
        M.cells[i] = (int64_t)(job_random(&stream) % 1000000);
}

/* A quarter of each difference flows from one cell to the next. */
static void step(void) {
    int64_t last = M.cells[CELLS - 1], before;
    int next = (M.rank + 1) % M.ranks, previous = (M.rank + M.ranks - 1) % M.ranks;
    MPI_Sendrecv(&last, 1, MPI_INT64_T, next, 0, &before, 1, MPI_INT64_T, previous, 0, M.comm,
                 MPI_STATUS_IGNORE);
    for (int i = 0; i < CELLS; i++)
        M.flow[i] = ((i ? M.cells[i - 1] : before) - M.cells[i]) / 4;
    MPI_Sendrecv(&M.flow[0], 1, MPI_INT64_T, previous, 1, &M.flow[CELLS], 1, MPI_INT64_T, next, 1,
                 M.comm, MPI_STATUS_IGNORE);
    for (int i = 0; i < CELLS; i++)
        M.cells[i] += M.flow[i] - M.flow[i + 1];
}

static int64_t total(void) {
    int64_t mine = 0, all;
    for (int i = 0; i < CELLS; i++)
        mine += M.cells[i];
    MPI_Allreduce(&mine, &all, 1, MPI_INT64_T, MPI_SUM, M.comm);
    return all;
}

/* The cells of a member's ranks, one after the other, in OUT.NUMBER. */
static void save(const char *out) {
    char path[4096];
    int64_t *all = M.rank ? NULL : job_allocate((size_t)M.ranks * CELLS, sizeof *all);
    MPI_Gather(M.cells, CELLS, MPI_INT64_T, all, CELLS, MPI_INT64_T, 0, M.comm);
    if (!all)
        return;
    snprintf(path, sizeof path, "%s.%d", out, M.number);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(all, sizeof *all, (size_t)M.ranks * CELLS, f) != (size_t)M.ranks * CELLS ||
        fclose(f) != 0) {
        perror(path);
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
    free(all);
}

/* 1: all is well. */
static int run(const job_options *o) {
    long now = 0, steps = o->steps * (M.number + 1) / o->size; /* they finish one after the other */
    int restarted;
    int64_t sum;
    wavecut_status status = wavecut_init(M.comm);
    if (status == WAVECUT_ERR_FINISHED) /* before the failure of another member */
        return 1;
    fill(o->seed);
    sum = total();
    if (status != WAVECUT_OK ||
        wavecut_protect("cells", M.cells, CELLS, MPI_INT64_T) != WAVECUT_OK ||
        wavecut_protect("step", &now, 1, MPI_LONG) != WAVECUT_OK ||
        wavecut_restore(&restarted) != WAVECUT_OK)
        return 0;
    if (restarted && M.rank == 0)
        printf("ensemble: member %d restarted at step %ld\n", M.number, now);
    for (; now < steps; now++) {
        wavecut_safepoint();
        step();
        job_pause(o->slow_ms);
    }
    int right = total() == sum;
    if (M.rank == 0)
        printf("ensemble: member %d %s\n", M.number, right ? "checked" : "is WRONG");
    if (o->out)
        save(o->out); /* before the mark that it has finished */
    return wavecut_finalize() == WAVECUT_OK && right;
}

int main(int argc, char **argv) {
    job_options o = {.steps = 1000, .size = 2, .seed = 1};
    job_read_options(argc, argv,
                     &(job_help){.program = "Several runs in one MPI_COMM_WORLD, each with its own "
                                            "snapshots.",
                                 .steps = "Steps of the last member; the others have fewer",
                                 .size = "Members",
                                 .seed = "Seed of what is in the cells at the start",
                                 .out = "Write the cells of member K at the end to FILE.K"},
                     &o);
    MPI_Init(&argc, &argv);
    split_world(&o);
    choose_directory();
    int right = run(&o);
    MPI_Comm_free(&M.comm);
    MPI_Finalize();
    return right ? 0 : 1;
}
