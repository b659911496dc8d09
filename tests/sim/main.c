/* SPDX-License-Identifier: BSD-3-Clause */
/* wavecut-sim: the protocol core under seeded schedules. A seed that fails is all it takes to see
 * it again. */
#include "sim.h"

#include <argp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TURNS = 400000 };

sim_job J;

uint64_t sim_hash(uint64_t a, uint64_t b, uint64_t c) {
    uint64_t h = a * UINT64_C(0x9E3779B97F4A7C15) ^ b * UINT64_C(0xD6E8FEB86659FD93) ^
                 (c + 1) * UINT64_C(0xA24BAED4963EE407);
    h = (h ^ h >> 31) * UINT64_C(0xBF58476D1CE4E5B9);
    h = (h ^ h >> 27) * UINT64_C(0x94D049BB133111EB);
    return h ^ h >> 31;
}

unsigned sim_choose(unsigned n) {
    return (unsigned)(sim_hash(J.options.seed, ++J.random, 7) % n);
}

void sim_problem(const char *format, ...) {
    if (J.problem[0])
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(J.problem, sizeof J.problem, format, arguments);
    va_end(arguments);
}

void sim_trace(const char *format, ...) {
    if (!J.options.verbose)
        return;
    printf("%6lld ", (long long)J.now);
    va_list arguments;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
}

/* ---- one seed ---- */

static void rank_turn(sim_rank *r) {
    if (r->ended) {
        wc_core_progress(&r->core, J.now);
        return;
    }
    if (!sim_program_done(r)) {
        sim_program_turn(r);
        return;
    }
    sim_program_end(r);
    wc_core_end(&r->core);
    r->ended = true;
}

/* The data are durable some time after the cut is complete. */
static void make_durable(sim_rank *r) {
    if (!r->settled || r->in_barrier || sim_choose(4))
        return;
    r->settled = false;
    wc_core_durable(&r->core, sim_choose(50) ? WC_REASON_NONE : WC_REASON_STORE, NULL);
}

static bool all_over(void) {
    uint64_t last = 0;
    for (int i = 0; i < J.ranks; i++)
        last = J.at[i].core.heard > last ? J.at[i].core.heard : last;
    for (int i = 0; i < J.ranks; i++)
        if (!J.at[i].ended || wc_core_busy(&J.at[i].core) || J.at[i].core.finished < last ||
            J.at[i].control)
            return false;
    return true;
}

/* `limit` turns at most. True: the job has ended. */
static bool run_job(int limit) {
    unsigned network = 1 + sim_choose(4), starved = sim_choose(2 * (unsigned)J.ranks);
    for (int turn = 0; turn < limit && !J.problem[0]; turn++) {
        J.now++;
        if (sim_choose(4) < network && sim_network_deliver())
            continue;
        sim_rank *r = &J.at[sim_choose((unsigned)J.ranks)];
        /* One rank may be slower than the others by far. */
        if ((unsigned)r->rank == starved && sim_choose(20))
            continue;
        make_durable(r);
        rank_turn(r);
        if (turn % 16 == 0 && all_over())
            return true;
    }
    return false;
}

static void run_seed(const sim_options *options) {
    J = (sim_job){.options = *options};
    J.ranks = 2 + (int)sim_choose(SIM_RANKS - 1);
    J.options.immediate = options->seed % 2;
    J.options.open = sim_choose(2);
    J.kind = (int)sim_choose(3);
    J.comms = J.options.open ? SIM_COMMS : 1;
    /* Aligned wildcards of both kinds need them; a rank that is blocked in a receive can't come. */
    if (J.options.immediate)
        J.barriers = J.options.open && sim_choose(2);
    else
        J.barriers = J.kind == 2 || sim_choose(4) == 0;
    for (int i = 0; i < J.ranks; i++)
        sim_rank_open(&J.at[i], i);
    sim_program_begin();
    /* Sometimes the job dies, and goes on from its last snapshot. */
    bool dies = !J.options.open && sim_choose(2);
    bool ended = dies ? run_job(1000 + (int)sim_choose(6000)) : false;
    if (dies && !ended && !J.problem[0]) {
        sim_trace("the job dies");
        if (sim_oracle_restart())
            sim_trace("and is restarted");
    }
    if (!ended && !run_job(MAX_TURNS))
        sim_problem("the job does not end");
    if (!J.problem[0])
        sim_oracle_end();
    sim_network_clear();
    for (int i = 0; i < J.ranks; i++)
        sim_rank_close(&J.at[i]);
    sim_oracle_clear();
}

/* ---- all of them ---- */

typedef struct arguments {
    uint64_t seeds, first;
    bool verbose;
    const char *fault;
} arguments;

static const struct argp_option argp_options[] = {
    {"seeds", 'n', "N", 0, "Run so many seeds (1000)", 0},
    {"first", 'f', "SEED", 0, "Begin with this one (1)", 0},
    {"seed", 's', "SEED", 0, "Run this one alone", 0},
    {"verbose", 'v', NULL, 0, "Tell each event", 0},
    {"break", 'b', "RULE", 0,
     "Break one rule: stash, markers, take_back, order or carry; passes if that is found", 0},
    {0}};

static error_t parse(int key, char *text, struct argp_state *state) {
    arguments *a = state->input;
    switch (key) {
    case 'n':
        a->seeds = strtoull(text, NULL, 10);
        return 0;
    case 'f':
        a->first = strtoull(text, NULL, 10);
        return 0;
    case 's':
        a->first = strtoull(text, NULL, 10);
        a->seeds = 1;
        return 0;
    case 'v':
        a->verbose = true;
        return 0;
    case 'b':
        a->fault = text;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int main(int argc, char **argv) {
    arguments a = {.seeds = 1000, .first = 1};
    unsigned commits[2] = {0}, voids[2] = {0}, by_reason[64] = {0}, problems = 0;
    const struct argp argp = {.options = argp_options,
                              .parser = parse,
                              .doc = "The protocol core under seeded schedules."};
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    for (uint64_t seed = a.first; seed < a.first + a.seeds && (!a.fault || !problems); seed++) {
        run_seed(&(sim_options){.seed = seed, .verbose = a.verbose, .fault = a.fault});
        commits[J.options.immediate] += J.commits;
        for (int i = 0; i < 64; i++) {
            by_reason[i] += J.voids[i];
            voids[J.options.immediate] += J.voids[i];
        }
        if (!J.problem[0])
            continue;
        problems++;
        printf("seed %llu: %s\n  again: %s --seed %llu --verbose%s%s\n", (unsigned long long)seed,
               J.problem, argv[0], (unsigned long long)seed, a.fault ? " --break " : "",
               a.fault ? a.fault : "");
    }
    for (int i = 0; i < 64; i++)
        if (by_reason[i])
            printf("%8u void: a rank %s\n", by_reason[i], wc_reason_text((wc_reason)i));
    printf("aligned: %u committed, %u void; immediate: %u committed, %u void; %u problems\n",
           commits[0], voids[0], commits[1], voids[1], problems);
    return (problems > 0) != (a.fault != NULL);
}
