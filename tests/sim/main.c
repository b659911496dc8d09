/* SPDX-License-Identifier: BSD-3-Clause */
/* wavecut-sim: the protocol core under seeded schedules. A seed that fails is all it takes to see
 * it again. */
#include "sim.h"

#include <argp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct arguments {
    uint64_t seeds, first;
    bool verbose, stop, traced;
    const char *fault;
} arguments;

static const struct argp_option argp_options[] = {
    {"seeds", 'n', "N", 0, "Run so many seeds (1000)", 0},
    {"first", 'f', "SEED", 0, "Begin with this one (1)", 0},
    {"seed", 's', "SEED", 0, "Run this one alone", 0},
    {"stop", 'x', NULL, 0, "Stop at the first problem", 0},
    {"trace", 't', NULL, 0, "Trace all programs, and judge the traces; none is a problem", 0},
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
    case 'x':
        a->stop = true;
        return 0;
    case 't':
        a->traced = true;
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

/* An assertion or a crash: the seed is all it takes. */
static void tell_seed(int number) {
    char text[64];
    int n =
        snprintf(text, sizeof text, "wavecut-sim: seed %llu\n", (unsigned long long)J.options.seed);
    if (write(STDERR_FILENO, text, (size_t)n) < 0)
        _exit(2);
    signal(number, SIG_DFL);
    raise(number);
}

int main(int argc, char **argv) {
    arguments a = {.seeds = 1000, .first = 1};
    unsigned commits[2] = {0}, voids[2] = {0}, by_reason[64] = {0}, problems = 0, traces = 0,
             ended = 0;
    const struct argp argp = {.options = argp_options,
                              .parser = parse,
                              .doc = "The protocol core under seeded schedules."};
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    signal(SIGABRT, tell_seed);
    signal(SIGSEGV, tell_seed);
    for (uint64_t seed = a.first; seed < a.first + a.seeds && (!(a.fault || a.stop) || !problems);
         seed++) {
        sim_run(&(sim_options){
            .seed = seed, .verbose = a.verbose, .traced = a.traced, .fault = a.fault});
        traces += J.traces;
        ended += J.ended;
        commits[J.immediate] += J.commits;
        for (int i = 0; i < 64; i++) {
            by_reason[i] += J.voids[i];
            voids[J.immediate] += J.voids[i];
        }
        if (!J.problem[0])
            continue;
        problems++;
        printf("seed %llu: %s\n  again: %s --seed %llu --verbose%s%s%s\n", (unsigned long long)seed,
               J.problem, argv[0], (unsigned long long)seed, a.traced ? " --trace" : "",
               a.fault ? " --break " : "", a.fault ? a.fault : "");
    }
    if (a.traced)
        printf("%u cuts have the vector clocks of their traces, in others %u traces had ended\n",
               traces, ended);
    problems += a.traced && !traces;
    for (int i = 0; i < 64; i++)
        if (by_reason[i])
            printf("%8u void: %s\n", by_reason[i], wc_reason_text((wc_reason)i));
    printf("aligned: %u committed, %u void; immediate: %u committed, %u void; %u problems\n",
           commits[0], voids[0], commits[1], voids[1], problems);
    return (problems > 0) != (a.fault != NULL);
}
