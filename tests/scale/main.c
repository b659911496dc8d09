/* SPDX-License-Identifier: BSD-3-Clause */
/* wavecut-scale: runs each program with each method for each number of ranks, and shows what came
 * of it. */
#include "scale.h"

#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 512 };

typedef struct arguments {
    scale_options options;
    const char *machine, *programs, *methods, *ranks;
    double memory; /* GiB for one run */
    double events; /* messages for one run of the textbook */
    uint32_t bundle_from;
    bool json;
} arguments;

enum { FANOUT = 256, INITIATOR, PROGRESS, JITTER, BYTES, LAG, BUNDLE, MEMORY, SEED, LOOKAHEAD };

static const struct argp_option argp_options[] = {
    {"machine", 'm', "FILE", 0, "Parameters of the machine (JSON)", 0},
    {"program", 'p', "LIST", 0, "stencil, stencil-immediate, graph, all, line, tokens", 0},
    {"method", 'M', "LIST", 0, "wavecut, barrier, blocking, textbook", 0},
    {"ranks", 'n', "LIST", 0, "Numbers of ranks (100,1000)", 0},
    {"step", 's', "NS", 0, "Computing in a step, or of an answer (1e6)", 0},
    {"jitter", JITTER, "PART", 0, "of it, more or less (0.05)", 0},
    {"progress", PROGRESS, "NS", 0, "Computing enters MPI as often as that (0: never)", 0},
    {"bytes", BYTES, "N", 0, "Bytes of a message (8192)", 0},
    {"lag", LAG, "N", 0, "Aligned: messages are received so many steps later (0)", 0},
    {"fanout", FANOUT, "N", 0, "Children in the tree of requests (32)", 0},
    {"initiator", INITIATOR, "RANK", 0, "Rank that asks (0)", 0},
    {"lookahead", LOOKAHEAD, "STEPS", 0,
     "Aligned: the core has learned that already, and is measured at once", 0},
    {"seed", SEED, "N", 0, "Seed (1)", 0},
    {"bundle", BUNDLE, "N", 0,
     "Aligned, N ranks and more: one entry of the core's tables for all channels of a rank", 0},
    {"memory", MEMORY, "GIB", 0, "Larger runs are fitted instead (11)", 0},
    {"json", 'j', NULL, 0, "JSON", 0},
    {0}};

static error_t parse(int key, char *text, struct argp_state *state) {
    arguments *a = state->input;
    scale_options *o = &a->options;
    double number = text ? strtod(text, NULL) : 0;
    switch (key) {
    case 'm':
        a->machine = text;
        return 0;
    case 'p':
        a->programs = text;
        return 0;
    case 'M':
        a->methods = text;
        return 0;
    case 'n':
        a->ranks = text;
        return 0;
    case 's':
        o->step = number;
        return 0;
    case JITTER:
        o->jitter = number;
        return 0;
    case PROGRESS:
        o->progress = number;
        return 0;
    case BYTES:
        o->bytes = (uint32_t)number;
        return 0;
    case LAG:
        o->lag = (uint32_t)number;
        return number < 2 ? 0 : EINVAL;
    case FANOUT:
        o->fanout = (uint32_t)number;
        return number >= 1 ? 0 : EINVAL;
    case INITIATOR:
        o->initiator = (uint32_t)number;
        return 0;
    case LOOKAHEAD:
        o->lookahead = (int64_t)number;
        return 0;
    case SEED:
        o->seed = (uint64_t)number;
        return 0;
    case BUNDLE:
        a->bundle_from = (uint32_t)number;
        return 0;
    case MEMORY:
        a->memory = number;
        return 0;
    case 'j':
        a->json = true;
        return 0;
    case ARGP_KEY_END:
        return a->machine ? 0 : (argp_error(state, "--machine FILE is needed"), EINVAL);
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static scale_result rows[ROWS];
static size_t row_count;

/* The textbook's markers are n(n-1) events. */
static bool is_too_large(const arguments *a, const scale_options *o) {
    double n = o->ranks;
    bool textbook = o->method == &scale_by_textbook;
    return scale_memory_needed(o) > a->memory * (1 << 30) || (textbook && n * n > a->events);
}

static void run(const arguments *a, const scale_options *options) {
    if (row_count == ROWS)
        return;
    scale_options o = *options;
    scale_result *row = &rows[row_count];
    o.bundle = !o.program->immediate && o.ranks >= a->bundle_from;
    if (is_too_large(a, &o)) {
        *row = (scale_result){.program = o.program->name,
                              .method = o.method->name,
                              .kept = "too large",
                              .ranks = o.ranks};
        scale_fit(rows, row_count, row);
    } else {
        fprintf(stderr, "%s, %s, %u ranks\n", o.quiet ? "idle" : o.program->name, o.method->name,
                o.ranks);
        scale_run_one(&o, row);
    }
    row_count++;
}

/* Calls `with` for each name of a list, which is taken apart. */
static void each(const arguments *a, const scale_options *options, const char *list,
                 void (*with)(const arguments *, scale_options *, const char *)) {
    char *copy = strdup(list), *rest = copy, *name;
    scale_options o = *options;
    while ((name = strsep(&rest, ",")))
        with(a, &o, name);
    free(copy);
}

static void with_ranks(const arguments *a, scale_options *o, const char *name) {
    o->ranks = (uint32_t)strtod(name, NULL);
    if (o->ranks < 2 || o->initiator >= o->ranks) {
        fprintf(stderr, "no such number of ranks: %s\n", name);
        exit(2);
    }
    run(a, o);
}

static void with_method(const arguments *a, scale_options *o, const char *name) {
    o->method = scale_method_find(name);
    if (!o->method) {
        fprintf(stderr, "no such method: %s\n", name);
        exit(2);
    }
    each(a, o, a->ranks, with_ranks);
}

static void with_program(const arguments *a, scale_options *o, const char *name) {
    o->program = strcmp(name, "idle") == 0 ? scale_programs : scale_program_find(name);
    if (!o->program) {
        fprintf(stderr, "no such program: %s\n", name);
        exit(2);
    }
    o->quiet = strcmp(name, "idle") == 0;
    if (o->quiet)
        with_method(a, o, "barrier"); /* nothing else makes sense without a program */
    else
        each(a, o, a->methods, with_method);
}

int main(int argc, char **argv) {
    arguments a = {.options = {.step = 1e6, .jitter = 0.05, .bytes = 8192, .fanout = 32, .seed = 1},
                   .programs = "idle,stencil",
                   .methods = "wavecut,barrier",
                   .ranks = "100,1000",
                   .memory = 11,
                   .events = 2e7,
                   .bundle_from = UINT32_MAX};
    const struct argp argp = {.options = argp_options,
                              .parser = parse,
                              .doc = "A scale model of snapshots: the shipped core under LogGP."};
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    if (!scale_machine_read(a.machine, &a.options.machine))
        return 2;
    each(&a, &a.options, a.programs, with_program);
    bool ended = true;
    for (size_t i = 0; i < row_count; i++)
        ended = ended && rows[i].ended && rows[i].exact;
    if (a.json) {
        json_t *all = scale_json(rows, row_count);
        json_dumpf(all, stdout, JSON_INDENT(1));
        printf("\n");
        json_decref(all);
    } else {
        scale_table(rows, row_count);
    }
    return !ended;
}
