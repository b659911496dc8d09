/* SPDX-License-Identifier: BSD-3-Clause */
#include "sim.h"

#include "mpi/layer.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TURNS = 2000000, MOST_LIVES = 4 };

sim_job J;

/* ---- chance ---- */

uint64_t sim_hash(uint64_t a, uint64_t b, uint64_t c) {
    uint64_t h = a * UINT64_C(0x9E3779B97F4A7C15) ^ b * UINT64_C(0xD6E8FEB86659FD93) ^
                 (c + 1) * UINT64_C(0xA24BAED4963EE407);
    h = (h ^ h >> 31) * UINT64_C(0xBF58476D1CE4E5B9);
    h = (h ^ h >> 27) * UINT64_C(0x94D049BB133111EB);
    return h ^ h >> 31;
}

/* xorshift64*: G. Marsaglia, Xorshift RNGs, J. Stat. Softw. 8(14), 2003; S. Vigna, TOMS 42(4), 2016. */
unsigned sim_choose(unsigned n) {
    J.random ^= J.random >> 12;
    J.random ^= J.random << 25;
    J.random ^= J.random >> 27;
    return (unsigned)((J.random * UINT64_C(0x2545F4914F6CDD1D) >> 32) * n >> 32);
}

void sim_problem(const char *format, ...) {
    if (J.problem[0])
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(J.problem, sizeof J.problem, format, arguments);
    va_end(arguments);
    sim_trace("PROBLEM: %s", J.problem);
}

void sim_trace(const char *format, ...) {
    if (!J.options.verbose)
        return;
    printf("%6lld ", (long long)(J.now / J.turn_ns));
    va_list arguments;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
}

/* ---- memory: what a job has left is freed with it, as when processes die ---- */

typedef struct block {
    struct block *next, *previous;
    max_align_t data[];
} block;

static block all = {&all, &all};

void *sim_malloc(size_t bytes);
void *sim_calloc(size_t n, size_t bytes);
void *sim_realloc(void *old, size_t bytes);
void sim_free(void *data);

static block *of(void *data) {
    return (block *)((char *)data - sizeof(block));
}

static void *link_in(block *b) {
    b->next = all.next;
    b->previous = &all;
    b->next->previous = all.next = b;
    return b->data;
}

static void take_out(block *b) {
    b->next->previous = b->previous;
    b->previous->next = b->next;
}

void *sim_malloc(size_t bytes) {
    return link_in(malloc(sizeof(block) + bytes));
}

void *sim_calloc(size_t n, size_t bytes) {
    return link_in(calloc(1, sizeof(block) + n * bytes));
}

void *sim_realloc(void *old, size_t bytes) {
    if (old)
        take_out(of(old));
    return link_in(realloc(old ? of(old) : NULL, sizeof(block) + bytes));
}

void sim_free(void *data) {
    if (!data)
        return;
    take_out(of(data));
    free(of(data));
}

void *sim_alloc(size_t bytes) {
    return sim_calloc(1, bytes);
}

static void free_all(void) {
    while (all.next != &all)
        sim_free(all.next->data);
}

/* ---- the life of a job ---- */

static void run_rank(void) {
    MPI_Init(NULL, NULL);
    sim_make_comms();
    sim_runtime_begin();
    J.program();
    MPI_Finalize();
    me->finished = L.core.finished; /* still there */
    me->heard = L.core.heard;
    sim_trace("rank %d ends", me->rank);
}

/* Fresh processes, a fresh network; the states stay. */
static void start_processes(void) {
    free_all();
    sim_network_open();
    sim_objects_open();
    sim_collectives_open();
    sim_fiber_reset();
    for (int i = 0; i < J.ranks; i++) {
        sim_rank *r = &J.at[i];
        *r = (sim_rank){.rank = i, .state = r->state};
        r->unexpected.last = &r->unexpected.first;
        sim_fiber_start(i, run_rank);
    }
}

static bool all_ended(void) {
    for (int i = 0; i < J.ranks; i++)
        if (!J.at[i].ended)
            return false;
    return true;
}

/* When this life of the job is over, at the latest. */
typedef struct life {
    int turns;        /* so many */
    unsigned commits; /* or when there are so many, and some turns more */
    int after;
} life;

/* True: the job has ended before that. */
static bool live(life l) {
    unsigned network = 1 + sim_choose(4), starved = sim_choose(2 * (unsigned)J.ranks);
    for (int turn = 0; turn < l.turns && !J.problem[0]; turn++) {
        J.now += J.turn_ns;
        J.turns++;
        if (J.commits >= l.commits && l.after-- == 0)
            return false;
        if (sim_choose(5) < network && sim_network_deliver())
            continue;
        int rank = (int)sim_choose((unsigned)J.ranks);
        /* One rank may be slower than the others by far. */
        if (J.at[rank].ended || ((unsigned)rank == starved && sim_choose(8)))
            continue;
        sim_resume(rank);
        if (J.at[rank].ended && all_ended())
            return true;
    }
    return false;
}

static life next_life(int lives) {
    if (J.options.dies_at && lives == 0)
        return (life){.turns = J.options.dies_at, .commits = UINT_MAX};
    if (J.options.dies_at || (J.open && J.immediate) || lives == MOST_LIVES - 1 || sim_choose(2))
        return (life){.turns = MAX_TURNS, .commits = UINT_MAX};
    return (life){.turns = MAX_TURNS,
                  .commits = J.commits + 1 + sim_choose(3),
                  .after = (int)sim_choose(400)};
}

static void open_job(const sim_options *options, int ranks) {
    J = (sim_job){.options = *options, .ranks = ranks, .members = ranks, .turn_ns = 1};
    if (options->members)
        J.members = options->members;
    J.random = sim_hash(options->seed, 1, 7) | 1;
    J.turn_ns = 1 + sim_choose(400000);
    J.preempt = options->quiet ? 0 : 3 + sim_choose(12);
    J.delay = options->quiet ? 1 : 1 + sim_choose(4);
    static const size_t limits[] = {0, sizeof(sim_payload) - SIM_PADDING / 2, SIZE_MAX};
    J.eager = limits[sim_choose(3)];
    sim_oracle_open();
}

void sim_run(const sim_options *options) {
    uint64_t h = sim_hash(options->seed, 0, 11);
    open_job(options, 2 + (int)(h % (SIM_RANKS - 1)));
    const sim_program *program = &sim_programs[options->seed % sim_program_count];
    J.immediate = program->immediate;
    J.program = program->run;
    J.open = program->open && !options->dies_at && sim_choose(2);
    start_processes();
    for (int lives = 0; lives < MOST_LIVES; lives++) {
        life l = next_life(lives);
        if (live(l) || J.problem[0])
            break;
        if (l.turns == MAX_TURNS && J.commits < l.commits)
            sim_problem("the job does not end");
        if (sim_oracle_restart()) {
            sim_trace("the job dies, and is restarted");
            J.restarted++;
            start_processes();
        }
    }
    if (!J.problem[0])
        sim_oracle_end();
    sim_close();
}

/* ---- ranks that are told what to do ---- */

static void obey(void) {
    for (;;) {
        if (me->command) {
            void (*command)(void *) = me->command;
            command(me->argument);
            me->command = NULL;
        }
        sim_yield();
    }
}

void sim_open(const sim_options *options, bool immediate, int ranks) {
    open_job(options, ranks);
    J.eager = SIZE_MAX;
    J.immediate = immediate;
    J.program = obey;
    J.turn_ns = 2000000; /* each look at the clock finds it time to look after the outside world */
    start_processes();
    /* Until all of them wait for commands. */
    for (int turn = 0; turn < 1000; turn++)
        sim_resume(turn % ranks);
}

void sim_close(void) {
    free_all();
    sim_fiber_reset();
    sim_oracle_clear();
}
