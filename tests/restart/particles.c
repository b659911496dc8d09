/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Particles wander along a line that is split over the ranks, and with them the length of each rank's arrays. All begin on
 * rank 0. Those that leave are sent in one step and received in the next, so some are always on their way.
 *
 *   particles STEPS OUT [EVERY]     OUT: file for all particles at the end, sorted by id on each rank, whatever the order of
 *                                   arrival; EVERY: so many steps it waits for a snapshot
 */
#include "attempt.h"
#include "job.h"

#include <wavecut.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

enum { PARTICLES = 3000, LEFT = 1, RIGHT = 2 };

typedef struct particle {
    int64_t id;
    double x, v;
} particle;

static int rank, ranks;
static long step, steps;
/* An array for each property, as in the file; `count` and the places in memory change in each step. */
static size_t count, room;
static int64_t *id;
static double *x, *v;

static void reserve(size_t wanted) {
    if (wanted <= room)
        return;
    room = wanted + wanted / 2;
    id = realloc(id, room * sizeof *id);
    x = realloc(x, room * sizeof *x);
    v = realloc(v, room * sizeof *v);
    if (!id || !x || !v)
        MPI_Abort(MPI_COMM_WORLD, 2);
}

static void add(const particle *p) {
    reserve(count + 1);
    id[count] = p->id;
    x[count] = p->x;
    v[count++] = p->v;
}

static void take_out(size_t i) {
    id[i] = id[--count];
    x[i] = x[count];
    v[i] = v[count];
}

static wavecut_status protect_all(void) {
    wavecut_status status = wavecut_protect("particles/id", id, count, MPI_INT64_T);
    status = status ? status : wavecut_protect("particles/x", x, count, MPI_DOUBLE);
    return status ? status : wavecut_protect("particles/v", v, count, MPI_DOUBLE);
}

static int neighbour(int way) {
    return (rank + (way == LEFT ? ranks - 1 : 1)) % ranks;
}

/* What its neighbour has sent in the step before. */
static void receive_from(int way) {
    MPI_Status status;
    int bytes, tag = way == LEFT ? RIGHT : LEFT; /* it sent it the other way */
    MPI_Probe(neighbour(way), tag, MPI_COMM_WORLD, &status);
    MPI_Get_count(&status, MPI_BYTE, &bytes);
    particle *all = job_allocate((size_t)bytes, 1);
    MPI_Recv(all, bytes, MPI_BYTE, neighbour(way), tag, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    for (size_t i = 0; i < (size_t)bytes / sizeof *all; i++)
        add(&all[i]);
    free(all);
}

/* Buffered: it is received after the next safe point, and nothing may be outstanding there. */
static void send_leavers(int way) {
    double low = (double)rank / ranks, high = (double)(rank + 1) / ranks;
    particle *all = job_allocate(count, sizeof *all);
    size_t n = 0;
    for (size_t i = count; i > 0; i--) {
        if (way == LEFT ? x[i - 1] >= low : x[i - 1] < high)
            continue;
        particle p = {id[i - 1], x[i - 1], v[i - 1]};
        p.x = rank == 0 && way == LEFT            ? p.x + 1
              : rank == ranks - 1 && way == RIGHT ? p.x - 1
                                                  : p.x;
        all[n++] = p;
        take_out(i - 1);
    }
    MPI_Bsend(all, (int)(n * sizeof *all), MPI_BYTE, neighbour(way), way, MPI_COMM_WORLD);
    free(all);
}

/* Each on its own, so that the result does not depend on the order. */
static void move(void) {
    for (size_t i = 0; i < count; i++) {
        uint64_t chance = (uint64_t)id[i] * 1000003 + (uint64_t)step;
        v[i] = 0.9 * v[i] + 0.02 * ((double)(job_random(&chance) % 1000) / 1000 - 0.45);
        x[i] += v[i] / ranks;
    }
}

static int by_id(const void *a, const void *b) {
    int64_t m = ((const particle *)a)->id, n = ((const particle *)b)->id;
    return m < n ? -1 : m > n;
}

static void save(const char *path) {
    particle *all = job_allocate(count, sizeof *all);
    for (size_t i = 0; i < count; i++)
        all[i] = (particle){id[i], x[i], v[i]};
    qsort(all, count, sizeof *all, by_id);
    job_save(path, all, count * sizeof *all);
    free(all);
}

/* Makes room for what the snapshot holds, or the particles of the beginning. */
static bool start(void) {
    size_t stored;
    MPI_Datatype type;
    int restarted;
    for (int i = 0; rank == 0 && i < PARTICLES; i++)
        add(&(particle){.id = i, .x = (double)i / PARTICLES / ranks});
    size_t begins_with = count;
    if (wavecut_init(MPI_COMM_WORLD) != WAVECUT_OK ||
        wavecut_protect("step", &step, 1, MPI_LONG) != WAVECUT_OK)
        return false;
    if (wavecut_stored("particles/id", &stored, &type) == WAVECUT_OK) {
        if (type != MPI_INT64_T)
            return false;
        reserve(stored);
        count = stored;
    }
    if (protect_all() != WAVECUT_OK || wavecut_restore(&restarted) != WAVECUT_OK)
        return false;
    if (restarted)
        printf("particles: rank %d restarted with %zu, began with %zu\n", rank, count, begins_with);
    return true;
}

int main(int argc, char **argv) {
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    if (argc < 3 || ranks < 3) /* with two, both neighbours are one */
        MPI_Abort(MPI_COMM_WORLD, 2);
    steps = atol(argv[1]);
    long every = argc > 3 ? atol(argv[3]) : 0;
    job_attach_buffer(8, PARTICLES * sizeof(particle));
    if (!start())
        MPI_Abort(MPI_COMM_WORLD, 1);
    for (; step < steps; step++) {
        wavecut_safepoint();
        if (every && step % every == every / 2)
            restart_attempt(NULL);
        if (step > 0) {
            receive_from(LEFT);
            receive_from(RIGHT);
        }
        move();
        send_leavers(LEFT);
        send_leavers(RIGHT);
        protect_all();
    }
    receive_from(LEFT);
    receive_from(RIGHT);
    save(argv[2]);
    bool well = wavecut_finalize() == WAVECUT_OK;
    job_detach_buffer();
    MPI_Finalize();
    return well ? 0 : 1;
}
