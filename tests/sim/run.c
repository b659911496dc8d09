/* SPDX-License-Identifier: BSD-3-Clause */
/* One seed: a job from its start to its end, sometimes with a death between. */
#include "sim.h"

#include <stdarg.h>
#include <stdio.h>

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
void sim_make_durable(sim_rank *r) {
    if (!r->settled || r->in_barrier || sim_choose(4))
        return;
    r->settled = false;
    bool fails = !J.options.quiet && sim_choose(50) == 0;
    wc_core_durable(&r->core, fails ? WC_REASON_STORE : WC_REASON_NONE, NULL);
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
        sim_make_durable(r);
        rank_turn(r);
        if (turn % 16 == 0 && all_over())
            return true;
    }
    return false;
}

void sim_open(const sim_options *options, int ranks) {
    J = (sim_job){.options = *options, .ranks = ranks, .comms = 1};
    for (int i = 0; i < ranks; i++)
        sim_rank_open(&J.at[i], i);
}

void sim_close(void) {
    sim_network_clear();
    for (int i = 0; i < J.ranks; i++)
        sim_rank_close(&J.at[i]);
    sim_oracle_clear();
}

static void choose_program(void) {
    J.kind = (int)sim_choose(3);
    J.comms = J.options.open ? SIM_COMMS : 1;
    /* Aligned wildcards of both kinds need them; a rank that is blocked in a receive can't come. */
    if (J.options.immediate)
        J.barriers = J.options.open && sim_choose(2);
    else
        J.barriers = J.kind == 2 || sim_choose(4) == 0;
}

/* The job dies, and goes on from its last snapshot; without one it goes on as it is. */
static void die(void) {
    sim_trace("the job dies");
    if (sim_oracle_restart())
        sim_trace("and is restarted");
}

void sim_run(const sim_options *options) {
    sim_options chosen = *options;
    uint64_t h = sim_hash(options->seed, 0, 11);
    chosen.immediate = options->seed % 2;
    chosen.open = !options->dies_at && h % 2;
    sim_open(&chosen, 2 + (int)(h / 2 % (SIM_RANKS - 1)));
    choose_program();
    sim_program_begin();
    int life = options->dies_at;
    if (!life && !chosen.open && sim_choose(2))
        life = 1000 + (int)sim_choose(6000);
    bool ended = life && run_job(life);
    if (life && !ended && !J.problem[0])
        die();
    if (!ended && !run_job(MAX_TURNS))
        sim_problem("the job does not end");
    if (!J.problem[0])
        sim_oracle_end();
    sim_close();
}
