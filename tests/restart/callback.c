/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A tree that no array holds: each rank inserts and removes keys, hands some on to its neighbour, and saves what it has with
 * a callback. How much that is differs from rank to rank and from snapshot to snapshot.
 *
 *   callback run STEPS OUT [EVERY]    OUT: file for all keys at the end; EVERY: so many steps it waits for a snapshot
 *   callback calls                    what the two callbacks may do, and what becomes of an attempt and a restart when they fail
 *   callback load_fails               from a snapshot of `calls`: its load callback says no on one rank
 */
#include "attempt.h"
#include "job.h"

#include <wavecut.h>

#include <search.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HANDED_ON = 3 };

static int rank, ranks, wrong;
static long step;
static uint64_t chance;

/* ---- the tree ---- */

static void *root;
static size_t nodes;

static int compare(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void insert(uint64_t value) {
    uint64_t *key = job_allocate(1, sizeof *key);
    *key = value;
    bool is_new = *(uint64_t **)tsearch(key, &root, compare) == key;
    nodes += is_new;
    if (!is_new)
        free(key);
}

static void take_out(uint64_t value) {
    uint64_t **found = tfind(&value, &root, compare), *key = found ? *found : NULL;
    if (!found)
        return;
    tdelete(key, &root, compare);
    free(key);
    nodes--;
}

static wavecut_sink *sink;
static wavecut_status written;

static void write_node(const void *node, VISIT visit, int depth) {
    (void)depth;
    if ((visit == postorder || visit == leaf) && written == WAVECUT_OK)
        written = wavecut_write(sink, *(const void *const *)node, sizeof(uint64_t));
}

static int save(void *user, wavecut_sink *to) {
    (void)user;
    sink = to;
    written = WAVECUT_OK;
    twalk(root, write_node);
    /* So that what the next rank has in the file is not aligned. */
    return written == WAVECUT_OK ? wavecut_write(sink, "", 1) : written;
}

static int load(void *user, const void *bytes, size_t count) {
    (void)user;
    const uint64_t *keys = bytes;
    if ((uintptr_t)bytes % _Alignof(max_align_t))
        return 9;
    while (root)
        take_out(**(uint64_t **)root);
    for (size_t i = 0; i < count / sizeof *keys; i++)
        insert(keys[i]);
    return 0;
}

/* ---- the run ---- */

/* Grows for a while, and shrinks again; rank 0 has nothing at times. */
static void work(void) {
    uint64_t on[HANDED_ON], in[HANDED_ON];
    int next = (rank + 1) % ranks, previous = (rank + ranks - 1) % ranks;
    bool grows = step / 50 % 2 == 0;
    for (int i = 0; i < 20 * (rank + 1); i++) {
        uint64_t value = job_random(&chance) % (uint64_t)(4000 * rank + 1000);
        if (grows)
            insert(value);
        else
            take_out(value);
    }
    while (!grows && rank == 0 && root)
        take_out(**(uint64_t **)root);
    for (int i = 0; i < HANDED_ON; i++)
        on[i] = job_random(&chance);
    MPI_Sendrecv(on, HANDED_ON, MPI_UINT64_T, next, 1, in, HANDED_ON, MPI_UINT64_T, previous, 1,
                 MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    for (int i = 0; i < HANDED_ON; i++)
        insert(in[i] % 1000000);
}

static uint64_t *collected;

static void collect(const void *node, VISIT visit, int depth) {
    (void)depth;
    if (visit == postorder || visit == leaf)
        *collected++ = **(uint64_t *const *)node;
}

static bool run(char **argv, int argc) {
    long steps = atol(argv[2]), every = argc > 4 ? atol(argv[4]) : 0;
    chance = (uint64_t)rank + 1;
    insert(7); /* of a fresh start: must not be there after a restart */
    if (wavecut_init(MPI_COMM_WORLD) != WAVECUT_OK ||
        wavecut_protect("step", &step, 1, MPI_LONG) != WAVECUT_OK ||
        wavecut_protect("chance", &chance, 1, MPI_UINT64_T) != WAVECUT_OK ||
        wavecut_protect_callback("search/tree", save, load, NULL) != WAVECUT_OK ||
        wavecut_restore(NULL) != WAVECUT_OK)
        return false;
    for (; step < steps; step++) {
        wavecut_safepoint();
        if (every && step % every == every / 2)
            restart_attempt(NULL);
        work();
    }
    uint64_t *keys = collected = job_allocate(nodes + 1, sizeof *keys);
    twalk(root, collect);
    job_save(argv[3], keys, nodes * sizeof *keys);
    free(keys);
    return wavecut_finalize() == WAVECUT_OK;
}

/* ---- what goes wrong ---- */

static void expect(bool well, const char *what) {
    if (!well)
        fprintf(stderr, "callback: rank %d: not so: %s (%s)\n", rank, what, wavecut_error_text());
    wrong += !well;
}

/* As `user` says. */
typedef struct plan {
    int code;        /* to return */
    size_t bytes;    /* to write */
    bool does_wrong; /* calls what it may not */
} plan;

static int save_plan(void *user, wavecut_sink *to) {
    static char bytes[1 << 16];
    const plan *p = user;
    int x = 0;
    for (size_t left = p->bytes; left;) {
        size_t n = left < sizeof bytes ? left : sizeof bytes;
        memset(bytes, (int)(left % 251), n);
        if (wavecut_write(to, bytes, n) != WAVECUT_OK)
            return 0; /* the library knows */
        left -= n;
    }
    if (!p->does_wrong)
        return p->code;
    expect(wavecut_protect("x", &x, 1, MPI_INT) == WAVECUT_ERR_ORDER, "protect in a callback");
    expect(wavecut_safepoint() == WAVECUT_ERR_ORDER, "a safe point in a callback");
    expect(wavecut_request() == WAVECUT_ERR_ORDER, "a request in a callback");
    expect(strstr(wavecut_error_text(), "callback"), "the text says so");
    return p->code;
}

static int load_plan(void *user, const void *bytes, size_t count) {
    const unsigned char *b = bytes;
    expect(count == (size_t)(3 << 20) + (size_t)rank, "the length comes back");
    expect(count && b[0] == count % 251 && b[count - 1] == b[count - 1 - (count - 1) % 65536],
           "the bytes come back");
    expect(wavecut_write(NULL, "x", 1) == WAVECUT_ERR_ORDER, "wavecut_write in a load callback");
    return ((const plan *)user)->code;
}

static void attempt(const char *words) {
    expect(restart_attempt(words) == !words, "no snapshot of an attempt that is void");
}

static bool calls(void) {
    plan p = {.code = rank == 1 ? 77 : 0};
    expect(wavecut_protect_callback("p", save_plan, load_plan, &p) == WAVECUT_ERR_ORDER, "order");
    expect(wavecut_init(MPI_COMM_WORLD) == WAVECUT_OK, "init");
    expect(wavecut_protect_callback("p", NULL, load_plan, &p) == WAVECUT_ERR_ARGUMENT, "no save");
    expect(wavecut_protect_callback("p", save_plan, NULL, &p) == WAVECUT_ERR_ARGUMENT, "no load");
    expect(wavecut_protect_callback("p q", save_plan, load_plan, &p) == WAVECUT_ERR_NAME, "name");
    expect(wavecut_protect_callback("p", save_plan, load_plan, &p) == WAVECUT_OK, "protect");
    expect(wavecut_protect("step", &step, 1, MPI_LONG) == WAVECUT_OK, "protect step");
    expect(wavecut_write(NULL, "x", 1) == WAVECUT_ERR_ORDER, "wavecut_write outside");
    int restarted;
    expect(wavecut_restore(&restarted) == WAVECUT_OK && !restarted, "restore");
    attempt("rank 1 could not save a part of its state: \"p\": its save callback returned 77");
    p = (plan){.bytes = rank == 0 ? (size_t)9 << 20 : 0};
    attempt("no memory for the snapshot"); /* WAVECUT_STAGING_MB is 8 */
    p = (plan){.bytes = (size_t)(3 << 20) + (size_t)rank, .does_wrong = true};
    attempt(NULL);
    return true; /* no finalize: it would be the end of this run */
}

static bool load_fails(void) {
    plan p = {.code = rank == 2 ? 5 : 0};
    step = 11;
    expect(wavecut_init(MPI_COMM_WORLD) == WAVECUT_OK, "init");
    expect(wavecut_protect_callback("p", save_plan, load_plan, &p) == WAVECUT_OK, "protect");
    expect(wavecut_protect("step", &step, 1, MPI_LONG) == WAVECUT_OK, "protect step");
    size_t count = 0;
    MPI_Datatype type;
    expect(wavecut_stored("p", &count, &type) == WAVECUT_OK && type == MPI_UINT8_T &&
               count == (size_t)(3 << 20) + (size_t)rank,
           "stored");
    expect(wavecut_restore(NULL) == WAVECUT_ERR_CALLBACK, "restore fails");
    expect(strstr(wavecut_error_text(), "rank 2: \"p\": its load callback returned 5"), "says why");
    expect(step == 11, "nothing has been touched");
    return wavecut_finalize() == WAVECUT_OK;
}

int main(int argc, char **argv) {
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    if (argc < 2)
        MPI_Abort(MPI_COMM_WORLD, 2);
    bool well = strcmp(argv[1], "run") == 0     ? run(argv, argc)
                : strcmp(argv[1], "calls") == 0 ? calls()
                                                : load_fails();
    if (!well || wrong)
        MPI_Abort(MPI_COMM_WORLD, 1);
    MPI_Finalize();
    return 0;
}
