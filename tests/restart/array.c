/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Global arrays of one to three dimensions, cut into ragged tiles over any number of ranks. Each element follows from its place
 * in the whole and the step, so what a restart brings back is checked element by element, however many ranks there are.
 *
 *   array run STEPS [stop]      stop: waits for a snapshot at the last step, and ends without wavecut_finalize
 *   array flying                a snapshot with a message in flight
 *   array local                 a snapshot with an array that differs from rank to rank
 *   array refused WORDS         wavecut_restore must fail, and say WORDS
 *   array other_shape           the same, with a global shape and a tile that are not the snapshot's
 */
#include "job.h"

#include <wavecut.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DIMS = 3, ARRAYS = 7 };

/* A global array and this rank's part; `split`: the axes that are cut. */
typedef struct part {
    const char *name;
    int ndims, split[DIMS];
    size_t global[DIMS], local[DIMS], offset[DIMS], count;
    bool backwards; /* the last rank has the first part */
    bool rounded;   /* parts are of one shape, but for the last ones */
    double *data;
} part;

static part parts[ARRAYS] = {
    {.name = "row", .ndims = 1, .split = {1}, .global = {41}},
    {.name = "field", .ndims = 2, .split = {1, 1}, .global = {37, 53}},
    {.name = "columns", .ndims = 2, .split = {0, 1}, .global = {5, 1200}, .backwards = true},
    {.name = "fields/block", .ndims = 3, .split = {1, 1, 1}, .global = {11, 9, 130}},
    {.name = "few", .ndims = 2, .split = {1, 0}, .global = {2, 700}, .backwards = true},
    {.name = "tiles/even", .ndims = 2, .split = {0, 1}, .global = {150, 720}},
    {.name = "tiles/edge", .ndims = 2, .split = {1, 1}, .global = {301, 507}, .rounded = true}};

static int rank, ranks;
static long step;

static void fail(const char *what) {
    fprintf(stderr, "array: rank %d of %d: %s (%s)\n", rank, ranks, what, wavecut_error_text());
    MPI_Abort(MPI_COMM_WORLD, 3);
}

static void expect(bool well, const char *what) {
    if (!well)
        fail(what);
}

/* ---- tiles ---- */

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

static void cut(part *p) {
    int dims[DIMS] = {0}, at = p->backwards ? ranks - 1 - rank : rank;
    for (int d = 0; d < p->ndims; d++)
        dims[d] = p->split[d] ? 0 : 1;
    MPI_Dims_create(ranks, p->ndims, dims);
    p->count = 1;
    for (int d = p->ndims - 1; d >= 0; d--) {
        size_t n = (size_t)dims[d], i = (size_t)(at % dims[d]);
        at /= dims[d];
        size_t even = (p->global[d] + n - 1) / n, end = p->global[d];
        p->offset[d] = p->rounded ? least(i * even, end) : i * end / n;
        p->local[d] = (p->rounded ? least((i + 1) * even, end) : (i + 1) * end / n) - p->offset[d];
        p->count *= p->local[d];
    }
    p->data = job_allocate(p->count + 1, sizeof *p->data);
}

/* Place in the global array of this rank's element. */
static size_t place(const part *p, size_t i) {
    size_t place = 0, stride = 1;
    for (int d = p->ndims - 1; d >= 0; d--) {
        place += (p->offset[d] + i % p->local[d]) * stride;
        i /= p->local[d];
        stride *= p->global[d];
    }
    return place;
}

/* Multiples of an eighth: sums of them are exact. */
static double value(size_t at, long when) {
    return (double)((at * 7 + (size_t)when * 13) % 100003) / 8;
}

static void check(void) {
    for (int a = 0; a < ARRAYS; a++)
        for (size_t i = 0; i < parts[a].count; i++)
            expect(parts[a].data[i] == value(place(&parts[a], i), step), parts[a].name);
}

static void work(void) {
    long in;
    for (int a = 0; a < ARRAYS; a++)
        for (size_t i = 0; i < parts[a].count; i++) {
            size_t at = place(&parts[a], i);
            parts[a].data[i] += value(at, step + 1) - value(at, step);
        }
    MPI_Sendrecv(&step, 1, MPI_LONG, (rank + 1) % ranks, 1, &in, 1, MPI_LONG,
                 (rank + ranks - 1) % ranks, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    expect(in == step, "another rank's step");
}

/* ---- runs ---- */

static wavecut_status protect(const part *p) {
    return wavecut_protect_array(p->name, p->count ? p->data : NULL, MPI_DOUBLE, p->ndims,
                                 p->global, p->local, p->offset);
}

static void begin(void) {
    for (int a = 0; a < ARRAYS; a++) {
        cut(&parts[a]);
        for (size_t i = 0; i < parts[a].count; i++)
            parts[a].data[i] = value(place(&parts[a], i), 0);
    }
    expect(wavecut_init(MPI_COMM_WORLD) == WAVECUT_OK, "wavecut_init");
    expect(wavecut_protect("step", &step, 1, MPI_LONG) == WAVECUT_OK, "wavecut_protect");
    for (int a = 0; a < ARRAYS; a++)
        expect(protect(&parts[a]) == WAVECUT_OK, "wavecut_protect_array");
}

static void wait_for_snapshot(void) {
    for (int over = 0; !over;) {
        wavecut_info now;
        wavecut_safepoint();
        wavecut_status_get(&now);
        over = now.committed > 0;
        expect(now.voided < 20, now.last_reason);
        if (rank == 0 && !over && !now.in_progress)
            wavecut_request();
        job_pause(0.2);
        MPI_Allreduce(MPI_IN_PLACE, &over, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
    }
}

static void run(long steps, bool stop) {
    int restarted;
    begin();
    expect(wavecut_restore(&restarted) == WAVECUT_OK, "wavecut_restore");
    check();
    if (rank == 0)
        printf("array: %d ranks begin at step %ld\n", ranks, step);
    for (; step < steps; step++) {
        wavecut_safepoint();
        work();
    }
    check();
    if (stop)
        wait_for_snapshot();
    else
        expect(wavecut_finalize() == WAVECUT_OK, "wavecut_finalize");
}

static void flying(void) {
    int x = 5;
    begin();
    expect(wavecut_restore(NULL) == WAVECUT_OK, "wavecut_restore");
    if (rank == 0)
        MPI_Send(&x, 1, MPI_INT, 1, 2, MPI_COMM_WORLD);
    wait_for_snapshot();
    if (rank == 1)
        MPI_Recv(&x, 1, MPI_INT, 0, 2, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
}

static void local(void) {
    begin();
    expect(wavecut_protect("own", &rank, 1, MPI_INT) == WAVECUT_OK, "wavecut_protect");
    expect(wavecut_restore(NULL) == WAVECUT_OK, "wavecut_restore");
    wait_for_snapshot();
}

static void refused(const char *words) {
    begin();
    step = 77;
    parts[1].data[0] = -5;
    if (strcmp(words, "own") == 0)
        expect(wavecut_protect("own", &rank, 1, MPI_INT) == WAVECUT_OK, "wavecut_protect");
    expect(wavecut_restore(NULL) == WAVECUT_ERR_MISMATCH, "wavecut_restore does not fail");
    expect(strstr(wavecut_error_text(), words), "it does not say so");
    expect(step == 77 && parts[1].data[0] == -5, "something has been touched");
    expect(wavecut_finalize() == WAVECUT_OK, "wavecut_finalize");
}

static void other_shape(void) {
    part other = parts[0], shifted = parts[3];
    begin();
    other.global[0]++;
    cut(&other);
    shifted.backwards = true;
    cut(&shifted);
    expect(protect(&other) == WAVECUT_OK && protect(&shifted) == WAVECUT_OK, "protect again");
    expect(wavecut_restore(NULL) == WAVECUT_ERR_MISMATCH, "wavecut_restore does not fail");
    bool moved = ranks != 4; /* then any tile will do */
    expect(strstr(wavecut_error_text(), "another global shape"), "shape");
    expect(moved || strstr(wavecut_error_text(), "\"fields/block\": this rank's part has"), "tile");
    expect(wavecut_finalize() == WAVECUT_OK, "wavecut_finalize");
}

int main(int argc, char **argv) {
    const char *how = argc > 1 ? argv[1] : "";
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    if (strcmp(how, "run") == 0)
        run(atol(argv[2]), argc > 3);
    else if (strcmp(how, "flying") == 0)
        flying();
    else if (strcmp(how, "local") == 0)
        local();
    else if (strcmp(how, "refused") == 0)
        refused(argv[2]);
    else
        other_shape();
    MPI_Finalize();
    return 0;
}
