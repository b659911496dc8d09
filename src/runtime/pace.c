/* SPDX-License-Identifier: BSD-3-Clause */
#include "pace.h"

#include "../store/history.h"
#include "cost.h"
#include "interval.h"
#include "log.h"
#include "runtime.h"
#include "snapshot.h"

#include <math.h>
#include <stdio.h>

/* Until the first snapshot has been taken: how fast a rank's state is copied, and the least that one costs. */
static const double COPY_BYTES_S = 1e9, LEAST_COST_S = 1e-3;

/* How often the history is touched, and with each snapshot. */
static const int64_t SEEN_NS = 15000000000;

static struct {
    wc_pace now;
    char reason[WC_PACE_REASON_BYTES];
    double told_s; /* the interval that the log has */
    wc_cost cost;
    bool has_history;
    wc_history before; /* this start */
    int64_t started, next_seen;
} P;

/* ---- in words ---- */

static void say_mtbf(char *text, size_t size) {
    const wc_pace *p = &P.now;
    if (p->mtbf_given)
        snprintf(text, size, "WAVECUT_MTBF is %.6g s", p->mtbf_s);
    else if (p->failures)
        snprintf(text, size, "the MTBF is %.4g s: %llu failures in %.4g s", p->mtbf_s,
                 (unsigned long long)p->failures, p->up_s);
    else
        snprintf(text, size, "an MTBF of %.6g s is assumed, since no failure is known", p->mtbf_s);
}

static void say_why(void) {
    const wc_pace *p = &P.now;
    char cost[128], mtbf[96];
    if (P.cost.count)
        snprintf(cost, sizeof cost,
                 "one costs %.3g s (longest stall %.3g s) and is durable after %.3g s", p->cost_s,
                 p->stall_s, p->latency_s);
    else
        snprintf(cost, sizeof cost, "the first one is taken to cost %.3g s", p->cost_s);
    if (R.settings.overhead_percent > 0)
        snprintf(mtbf, sizeof mtbf, "WAVECUT_OVERHEAD_PERCENT is %g", R.settings.overhead_percent);
    else
        say_mtbf(mtbf, sizeof mtbf);
    snprintf(P.reason, sizeof P.reason, "every %.4g s: %s; %s", p->interval_s, cost, mtbf);
}

/* ---- the choice ---- */

/* A first snapshot can't have been measured: what a rank must copy at least. */
static double guess_cost(void) {
    double bytes = 0;
    for (size_t i = 0; i < R.regions.count; i++)
        bytes += (double)wc_region_bytes(&R.regions.at[i]);
    return fmax(bytes / COPY_BYTES_S, LEAST_COST_S);
}

/* The stall is known for sure. What steps took more counts as far as it is no chance, since machines have other reasons
 * to be slow now and then. */
static void take_measures(void) {
    wc_cost_means mean = wc_cost_mean(&P.cost);
    P.now.stall_s = mean.stall_s;
    P.now.latency_s = mean.latency_s;
    P.now.cost_s = P.cost.count ? fmax(fmax(mean.lost_s - mean.lost_error_s, mean.stall_s), 1e-6)
                                : guess_cost();
}

static void choose(int64_t now) {
    wc_pace *p = &P.now;
    take_measures();
    p->up_s = P.before.up_s + (double)(now - P.started) * 1e-9;
    p->failures = P.before.failures;
    p->mtbf_s = p->mtbf_given ? R.settings.mtbf_s : wc_interval_mtbf(p->up_s, p->failures);
    p->interval_s =
        wc_interval_choose(&(wc_interval_basis){.cost_s = p->cost_s,
                                                .latency_s = p->latency_s,
                                                .mtbf_s = p->mtbf_s,
                                                .overhead_percent = R.settings.overhead_percent});
    say_why();
    if (fabs(p->interval_s - P.told_s) > 0.25 * P.told_s) {
        wc_log_job(WC_LOG_INFO, "snapshots %s", P.reason);
        P.told_s = p->interval_s;
    }
}

/* Where it matters. */
static void open_history(void) {
    wc_error error;
    if (P.now.mtbf_given || R.settings.overhead_percent > 0)
        return;
    P.has_history = wc_history_start(R.settings.dir, &P.before, &error) == WC_OK;
    if (!P.has_history)
        wc_log_job(WC_LOG_ERROR, "how often this job fails can't be learnt: %s", error.text);
}

static void be_seen(int64_t now) {
    P.next_seen = now + SEEN_NS;
    if (P.has_history)
        wc_history_seen(R.settings.dir);
}

/* ---- calls ---- */

void wc_pace_start(int64_t now) {
    P.now.automatic = R.settings.interval_s == WC_INTERVAL_AUTO;
    P.now.interval_s = P.now.automatic ? 0 : R.settings.interval_s;
    if (!P.now.automatic)
        return;
    P.now.mtbf_given = R.settings.mtbf_s > 0;
    P.started = now;
    P.next_seen = now + SEEN_NS;
    open_history();
    choose(now);
}

void wc_pace_tick(int64_t now) {
    if (!P.now.automatic)
        return;
    bool busy = wc_core_busy(&L.core) || wc_snapshot_busy();
    if (wc_cost_look(&P.cost, L.core.step, busy, now))
        choose(now);
    if (now >= P.next_seen)
        be_seen(now);
}

void wc_pace_committed(double stall_s, double latency_s) {
    if (!P.now.automatic)
        return;
    int64_t now = wc_layer_now();
    wc_cost_committed(&P.cost, stall_s, latency_s);
    choose(now);
    be_seen(now);
}

void wc_pace_stop(void) {
    wc_error error;
    if (P.has_history && wc_history_stop(R.settings.dir, &error) != WC_OK)
        wc_log_job(WC_LOG_ERROR, "%s", error.text);
}

const wc_pace *wc_pace_now(void) {
    return &P.now;
}

const char *wc_pace_reason(void) {
    return P.reason;
}
