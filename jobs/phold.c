/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * phold: events wander between sites, in the manner of the PHOLD benchmark of discrete-event
 * simulation. A rank waits for whatever comes next, from anywhere, and answers it: there are no
 * common steps, and always messages in flight. That takes the immediate cut; its safe point stands
 * before the receive, where the protected memory says all about the rank.
 *
 * An event's path depends on nothing but the event, and sites only add up: so the result doesn't
 * depend on the order of arrival, and at the end each rank checks its sites by walking all paths
 * alone.
 */
#include "job.h"

#include <wavecut.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EVENT = 1, DONE, STOP }; /* tags: an event; one that has made its last hop; all have */
enum { BINS = 256, MAX_DELAY = 100 };

typedef struct event {
    uint64_t stream; /* of its own random numbers */
    uint64_t site, time;
    int64_t hops; /* still to make */
} event;

typedef struct world {
    int rank, ranks;
    uint64_t size, sites,
        hops; /* sites of each rank, of all; hops of each event, one of which begins at each site */
    uint32_t *activity; /* [size][BINS]: events at a site, by the time of arrival */
    uint64_t *checksum; /* [size]: of the events at a site */
    long done;          /* on rank 0: events that have made their last hop */
} world;

/* ---- the model ---- */

static event first_event(const world *w, uint64_t seed, uint64_t site) {
    uint64_t stream = seed + site;
    return (event){.stream = job_random(&stream), .site = site, .hops = (int64_t)w->hops};
}

static void visit(world *w, const event *e) {
    uint64_t here = e->site % w->size, horizon = w->hops * MAX_DELAY * 6 / 10;
    uint64_t bin = e->time * BINS / horizon, mixed = e->stream ^ e->time;
    w->activity[here * BINS + (bin < BINS ? bin : BINS - 1)]++;
    w->checksum[here] += job_random(&mixed);
}

/* To somewhere near, sometimes far. */
static void hop(const world *w, event *e) {
    uint64_t random = job_random(&e->stream), reach = random % 16 ? w->sites / 8 + 1 : w->sites;
    e->time += 1 + (random >> 4) % MAX_DELAY;
    e->site = (e->site + (random >> 32) % reach + w->sites - reach / 2) % w->sites;
    e->hops--;
}

/* ---- messages ---- */

/* Buffered, because all ranks send before they receive, to themselves too: an ordinary send could
 * wait for ever. */
static void send(const event *e, int tag, int to) {
    MPI_Bsend(e, sizeof *e, MPI_BYTE, to, tag, MPI_COMM_WORLD);
}

static void handle_event(world *w, event *e) {
    visit(w, e);
    if (e->hops == 0) {
        send(e, DONE, 0);
        return;
    }
    hop(w, e);
    send(e, EVENT, (int)(e->site / w->size));
}

static void count_done(world *w, const event *e) {
    if (++w->done == (long)w->sites)
        for (int r = 0; r < w->ranks; r++)
            send(e, STOP, r);
}

static void run(world *w, double slow_ms) {
    event e;
    MPI_Status status;
    do {
        wavecut_safepoint();
        MPI_Recv(&e, sizeof e, MPI_BYTE, MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &status);
        if (status.MPI_TAG == EVENT)
            handle_event(w, &e);
        else if (status.MPI_TAG == DONE)
            count_done(w, &e);
        job_pause(slow_ms);
    } while (status.MPI_TAG != STOP);
}

/* ---- before and after ---- */

static bool check(const world *w, uint64_t seed) {
    world alone = *w;
    alone.activity = job_allocate(w->size * BINS, sizeof *alone.activity);
    alone.checksum = job_allocate(w->size, sizeof *alone.checksum);
    for (uint64_t s = 0; s < w->sites; s++)
        for (event e = first_event(w, seed, s);; hop(w, &e)) {
            if (e.site / w->size == (uint64_t)w->rank)
                visit(&alone, &e);
            if (e.hops == 0)
                break;
        }
    int all, right = memcmp(w->checksum, alone.checksum, w->size * sizeof *w->checksum) == 0 &&
                     memcmp(w->activity, alone.activity, w->size * BINS * sizeof *w->activity) == 0;
    free(alone.activity);
    free(alone.checksum);
    MPI_Allreduce(&right, &all, 1, MPI_INT, MPI_LAND, MPI_COMM_WORLD);
    if (w->rank == 0)
        printf("phold: %s: %llu events made %llu hops each\n", all ? "checked" : "WRONG",
               (unsigned long long)w->sites, (unsigned long long)w->hops);
    return all;
}

/* Fails on all ranks alike, and the library has said why. */
static bool start(world *w, int *restarted) {
    const size_t global[] = {w->sites, BINS}, local[] = {w->size, BINS};
    const size_t offset[] = {w->size * (size_t)w->rank, 0};
    return wavecut_init(MPI_COMM_WORLD) == WAVECUT_OK &&
           wavecut_cut(WAVECUT_IMMEDIATE) == WAVECUT_OK &&
           wavecut_protect_array("activity", w->activity, MPI_UINT32_T, 2, global, local, offset) ==
               WAVECUT_OK &&
           wavecut_protect("checksum", w->checksum, w->size, MPI_UINT64_T) == WAVECUT_OK &&
           (w->rank > 0 || wavecut_protect("done", &w->done, 1, MPI_LONG) == WAVECUT_OK) &&
           wavecut_restore(restarted) == WAVECUT_OK;
}

static void report_restart(const world *w) {
    wavecut_info info;
    uint64_t all;
    wavecut_status_get(&info);
    MPI_Reduce(&info.restored_messages, &all, 1, MPI_UINT64_T, MPI_SUM, 0, MPI_COMM_WORLD);
    if (w->rank == 0)
        printf("phold: restarted, %llu messages in flight came back\n", (unsigned long long)all);
}

int main(int argc, char **argv) {
    job_options o = {.steps = 500, .size = 256, .seed = 1};
    job_read_options(argc, argv,
                     &(job_help){.program = "Wandering events: message-driven, immediate cut.",
                                 .steps = "Hops that each event makes",
                                 .size = "Sites, and so events, of each rank",
                                 .seed = "Seed of the paths",
                                 .out = "Write the activity at the end, as 32-bit integers"},
                     &o);
    MPI_Init(&argc, &argv);
    world w = {.size = (uint64_t)o.size, .hops = (uint64_t)o.steps};
    MPI_Comm_rank(MPI_COMM_WORLD, &w.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &w.ranks);
    w.sites = w.size * (uint64_t)w.ranks;
    w.activity = job_allocate(w.size * BINS, sizeof *w.activity);
    w.checksum = job_allocate(w.size, sizeof *w.checksum);
    int restarted;
    if (!start(&w, &restarted)) {
        MPI_Finalize();
        return 1;
    }
    /* Each event is one message at a time, on its way or reported as done, and then there are the
     * STOPs. */
    job_attach_buffer(w.sites + (uint64_t)w.ranks, sizeof(event));
    if (restarted) {
        report_restart(&w); /* what was in flight is in the channels again: the loop just goes on */
    } else {
        for (uint64_t s = w.size * (uint64_t)w.rank; s < w.size * (uint64_t)(w.rank + 1); s++) {
            event e = first_event(&w, o.seed, s);
            send(&e, EVENT, w.rank);
        }
    }
    run(&w, o.slow_ms);
    bool right = check(&w, o.seed);
    job_save(o.out, w.activity, w.size * BINS * sizeof *w.activity);
    right = wavecut_finalize() == WAVECUT_OK && right;
    job_detach_buffer();
    free(w.activity);
    free(w.checksum);
    MPI_Finalize();
    return right ? 0 : 1;
}
