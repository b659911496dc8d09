/* SPDX-License-Identifier: BSD-3-Clause */
#include "cost.h"

#include <math.h>

static double seconds_between(const wc_cost_mark *from, const wc_cost_mark *to) {
    return (double)(to->at - from->at) * 1e-9;
}

/* A step of the quiet time, if that has lasted for one. */
static void measure_step(wc_cost *c) {
    int64_t steps = c->seen.step - c->quiet.step;
    if (c->phase == WC_COST_QUIET && steps > 0)
        c->step_s = seconds_between(&c->quiet, &c->seen) / (double)steps;
}

static bool measure_loss(wc_cost *c) {
    size_t place = (c->count - 1) % WC_COST_SAMPLES;
    int64_t steps = c->seen.step - c->before.step;
    c->lost_s[place] = seconds_between(&c->before, &c->seen) - (double)steps * c->step_s;
    return true;
}

static void begin(wc_cost *c) {
    measure_step(c);
    c->before = c->seen;
    c->phase = WC_COST_BUSY;
}

/* Void, or given up: what follows is quiet from the next step on. */
static void drop(wc_cost *c) {
    c->phase = WC_COST_START;
}

static bool new_step(wc_cost *c) {
    bool measured = c->phase == WC_COST_ENDING && c->step_s > 0 && measure_loss(c);
    if (c->phase == WC_COST_START || c->phase == WC_COST_ENDING) {
        c->quiet = c->seen;
        c->phase = WC_COST_QUIET;
    }
    return measured;
}

bool wc_cost_look(wc_cost *c, int64_t step, bool busy, int64_t now) {
    bool measured = false;
    if (step != c->seen.step) {
        c->seen = (wc_cost_mark){step, now};
        measured = new_step(c);
    }
    if (busy && c->phase == WC_COST_QUIET)
        begin(c);
    else if (!busy && c->phase == WC_COST_BUSY)
        drop(c);
    return measured;
}

void wc_cost_committed(wc_cost *c, double stall_s, double latency_s) {
    size_t place = c->count++ % WC_COST_SAMPLES;
    c->stall_s[place] = stall_s;
    c->lost_s[place] = stall_s; /* until the step is over */
    c->latency_s[place] = latency_s;
    if (c->phase == WC_COST_BUSY)
        c->phase = WC_COST_ENDING;
}

static double standard_error(const wc_cost *c, size_t n, double mean) {
    double squares = 0;
    for (size_t i = 0; i < n; i++)
        squares += (c->lost_s[i] - mean) * (c->lost_s[i] - mean);
    return n < 2 ? INFINITY : sqrt(squares / (double)(n - 1) / (double)n);
}

wc_cost_means wc_cost_mean(const wc_cost *c) {
    wc_cost_means sum = {.stall_s = 0};
    size_t n = c->count < WC_COST_SAMPLES ? c->count : WC_COST_SAMPLES;
    for (size_t i = 0; i < n; i++) {
        sum.stall_s += c->stall_s[i] / (double)n;
        sum.lost_s += c->lost_s[i] / (double)n;
        sum.latency_s += c->latency_s[i] / (double)n;
    }
    sum.lost_error_s = standard_error(c, n, sum.lost_s);
    return sum;
}
