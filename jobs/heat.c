/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * heat: the heat equation on an insulated plate. Rows are split over the ranks, neighbours exchange
 * their edge rows in each step. This is the usual shape of a simulation, and the default (aligned)
 * cut fits it: every rank passes the safe point once per step.
 *
 * It checks itself: no heat is lost, and no place becomes hotter or colder than the extremes at the
 * start.
 */
#include "job.h"

#include <wavecut.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DOWN = 1, UP = 2 }; /* tags: the way an edge row travels */

typedef struct plate {
    int rank, above, below; /* neighbours; MPI_PROC_NULL at the edges of the plate */
    size_t n;               /* points along each side of the whole plate */
    size_t first, rows;     /* this rank's rows of it */
    double *u, *next; /* rows + 2 rows each: the first and the last mirror the neighbours' edges */
} plate;

static double *row(const plate *p, double *field, size_t i) {
    return field + i * p->n;
}

/* Zeros, where snapshots are written fastest from. */
static double *allocate(size_t n) {
    void *memory;
    if (wavecut_alloc(n * sizeof(double), &memory) != WAVECUT_OK)
        MPI_Abort(MPI_COMM_WORLD, 1);
    return memory;
}

/* Hot discs on a cold plate: the same ones whatever the number of ranks. */
static void make_plate(plate *p, const job_options *o) {
    int ranks;
    MPI_Comm_rank(MPI_COMM_WORLD, &p->rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    if (o->size < ranks) {
        if (p->rank == 0)
            fprintf(stderr, "heat: --size=%ld is less than a row for each of %d ranks\n", o->size,
                    ranks);
        MPI_Finalize();
        exit(1);
    }
    p->n = (size_t)o->size;
    p->first = p->n * (size_t)p->rank / (size_t)ranks;
    p->rows = p->n * ((size_t)p->rank + 1) / (size_t)ranks - p->first;
    p->above = p->rank > 0 ? p->rank - 1 : MPI_PROC_NULL;
    p->below = p->rank + 1 < ranks ? p->rank + 1 : MPI_PROC_NULL;
    p->u = allocate((p->rows + 2) * p->n);
    p->next = allocate((p->rows + 2) * p->n);
    uint64_t stream = o->seed;
    for (int disc = 0; disc < 12; disc++) {
        double x = (double)(job_random(&stream) % p->n), y = (double)(job_random(&stream) % p->n);
        double radius = (double)p->n * (0.03 + 0.01 * (double)(job_random(&stream) % 10));
        double heat = 0.25 + 0.25 * (double)(job_random(&stream) % 4);
        for (size_t i = 0; i < p->rows; i++)
            for (size_t j = 0; j < p->n; j++)
                if (hypot((double)(p->first + i) - y, (double)j - x) < radius)
                    row(p, p->u, i + 1)[j] = heat;
    }
}

static void update_row(const plate *p, size_t i) {
    const double *up = row(p, p->u, i - 1), *c = row(p, p->u, i), *down = row(p, p->u, i + 1);
    double *to = row(p, p->next, i);
    for (size_t j = 0; j < p->n; j++) {
        double left = c[j > 0 ? j - 1 : j], right = c[j + 1 < p->n ? j + 1 : j];
        to[j] = c[j] + 0.2 * (up[j] + down[j] + left + right - 4 * c[j]);
    }
}

/* One step: the receives are posted first, and the inner rows are updated while the edges travel.
 */
static void step(plate *p) {
    MPI_Request requests[4];
    int n = (int)p->n;
    size_t last = p->rows;
    MPI_Irecv(row(p, p->u, 0), n, MPI_DOUBLE, p->above, DOWN, MPI_COMM_WORLD, &requests[0]);
    MPI_Irecv(row(p, p->u, last + 1), n, MPI_DOUBLE, p->below, UP, MPI_COMM_WORLD, &requests[1]);
    MPI_Isend(row(p, p->u, 1), n, MPI_DOUBLE, p->above, UP, MPI_COMM_WORLD, &requests[2]);
    MPI_Isend(row(p, p->u, last), n, MPI_DOUBLE, p->below, DOWN, MPI_COMM_WORLD, &requests[3]);
    for (size_t i = 2; i < last; i++)
        update_row(p, i);
    MPI_Waitall(4, requests, MPI_STATUSES_IGNORE);
    if (p->above == MPI_PROC_NULL) /* insulated: what lies outside is as warm as the edge */
        memcpy(row(p, p->u, 0), row(p, p->u, 1), p->n * sizeof(double));
    if (p->below == MPI_PROC_NULL)
        memcpy(row(p, p->u, last + 1), row(p, p->u, last), p->n * sizeof(double));
    update_row(p, 1);
    if (last > 1)
        update_row(p, last);
    double *old = p->u;
    p->u = p->next;
    p->next = old;
}

typedef struct summary {
    double total, least, most;
} summary;

static summary summarize(const plate *p) {
    summary mine = {0, INFINITY, -INFINITY}, all;
    for (size_t k = p->n; k < (p->rows + 1) * p->n; k++) {
        mine.total += p->u[k];
        mine.least = fmin(mine.least, p->u[k]);
        mine.most = fmax(mine.most, p->u[k]);
    }
    MPI_Allreduce(&mine.total, &all.total, 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
    MPI_Allreduce(&mine.least, &all.least, 1, MPI_DOUBLE, MPI_MIN, MPI_COMM_WORLD);
    MPI_Allreduce(&mine.most, &all.most, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
    return all;
}

static int check(const plate *p, const summary *start) {
    summary now = summarize(p);
    const double rounding = 1e-9;
    int right = fabs(now.total - start->total) <= rounding * start->total &&
                now.least >= start->least - rounding && now.most <= start->most + rounding;
    if (p->rank == 0)
        printf("heat: %s: total %.9g (at the start %.9g), from %.4f to %.4f\n",
               right ? "checked" : "WRONG", now.total, start->total, now.least, now.most);
    return right;
}

/* The buffers change places in each step, so the name gets its new address. Until the next safe point nothing is written into it but
 * the mirrored rows, which don't belong to it: see the hint below. */
static wavecut_status protect_plate(const plate *p) {
    const size_t global[] = {p->n, p->n}, local[] = {p->rows, p->n}, offset[] = {p->first, 0};
    return wavecut_protect_array("u", row(p, p->u, 1), MPI_DOUBLE, 2, global, local, offset);
}

static void report_restart(const plate *p, long now) {
    wavecut_info info;
    uint64_t all;
    wavecut_status_get(&info);
    MPI_Reduce(&info.restored_messages, &all, 1, MPI_UINT64_T, MPI_SUM, 0, MPI_COMM_WORLD);
    if (p->rank == 0)
        printf("heat: restarted at step %ld, %llu messages in flight came back\n", now,
               (unsigned long long)all);
}

int main(int argc, char **argv) {
    job_options o = {.steps = 1000, .size = 512, .seed = 1};
    job_read_options(
        argc, argv,
        &(job_help){.program = "The heat equation on a plate: halo exchange, aligned cut.",
                    .steps = "Steps of time",
                    .size = "Points along each side of the plate",
                    .seed = "Seed of the places that are hot at the start",
                    .out = "Write the plate at the end, as doubles"},
        &o);
    MPI_Init(&argc, &argv);
    plate p;
    make_plate(&p, &o);
    summary start = summarize(&p);

    /* When one of these fails, the library has said why, and all ranks are told alike: they stop in
     * good order. */
    long now = 0;
    int restarted;
    if (wavecut_init(MPI_COMM_WORLD) != WAVECUT_OK || protect_plate(&p) != WAVECUT_OK ||
        wavecut_hint("u", WAVECUT_STABLE) != WAVECUT_OK ||
        wavecut_protect("step", &now, 1, MPI_LONG) != WAVECUT_OK ||
        wavecut_restore(&restarted) != WAVECUT_OK) {
        MPI_Finalize();
        return 1;
    }
    if (restarted)
        report_restart(&p, now);

    for (; now < o.steps; now++) {
        wavecut_safepoint();
        step(&p);
        protect_plate(&p);
        job_pause(o.slow_ms);
    }

    int right = check(&p, &start);
    job_save(o.out, row(&p, p.u, 1), p.rows * p.n * sizeof(double));
    right = wavecut_finalize() == WAVECUT_OK && right;
    wavecut_free(p.u);
    wavecut_free(p.next);
    MPI_Finalize();
    return right ? 0 : 1;
}
