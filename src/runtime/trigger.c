/* SPDX-License-Identifier: BSD-3-Clause */
#include "trigger.h"

#include "../mpi/signal.h"
#include "../store/fault.h"
#include "log.h"
#include "pace.h"
#include "runtime.h"

#include <string.h>

/* How often rank 0 looks for a request file: on a shared file system a look has its price. */
static const int64_t FILE_NS = 500000000;
static const int64_t FIRST_RETRY_NS = 1000000, LAST_RETRY_NS = 1000000000;

static struct {
    int64_t began;               /* the interval that is under way */
    int64_t next_file, retry_at; /* retry_at 0: none */
    int64_t voids;               /* in a row */
    char reported[sizeof R.info.last_reason];
} T;

void wc_trigger_start(int64_t now) {
    T.began = now;
    T.next_file = now;
    if (R.rank == 0)
        wc_pace_start(now);
}

static bool interval_is_over(int64_t now) {
    double interval_s = wc_pace_now()->interval_s;
    return interval_s > 0 && (double)(now - T.began) * 1e-9 >= interval_s;
}

int64_t wc_trigger_next(void) {
    double interval_s = wc_pace_now()->interval_s;
    return interval_s > 0 ? T.began + (int64_t)(interval_s * 1e9) : 0;
}

static bool due(int64_t now) {
    if (T.retry_at && now >= T.retry_at) {
        T.retry_at = 0;
        return true;
    }
    if (interval_is_over(now) && !wc_core_busy(&L.core)) {
        T.began = now;
        return true;
    }
    if (now < T.next_file)
        return false;
    T.next_file = now + FILE_NS;
    return wc_store_take_request(R.settings.dir);
}

void wc_trigger_tick(int64_t now) {
    if (R.phase != WC_RUN_ON)
        return;
    if (R.rank == 0)
        wc_pace_tick(now);
    if (wc_signal_take() || (R.rank == 0 && due(now))) {
        WC_FAULT("after_request");
        wc_core_request(&L.core);
    }
}

/* Would the next attempt end like this one? */
static bool is_lasting(int reason) {
    return reason == WC_REASON_STORE || reason == WC_REASON_MEMORY ||
           reason == WC_REASON_UNSUPPORTED || reason == WC_REASON_MODES_DIFFER;
}

static void give_up(bool failure) {
    T.voids = 0;
    bool again = strcmp(T.reported, R.info.last_reason) == 0;
    strcpy(T.reported, R.info.last_reason);
    wc_log_job(again ? WC_LOG_INFO : WC_LOG_ERROR, "%s: %s; the job goes on%s",
               failure ? "the snapshot has failed" : "no snapshot could be taken",
               R.info.last_reason,
               R.info.last_snapshot ? ", and the last good snapshot stays" : "");
}

/* Rank 0 asks again, whoever asked first. */
void wc_trigger_finished(const wc_vote *outcome, int64_t now) {
    if (outcome->void_rank < 0) {
        T.voids = 0;
        T.reported[0] = 0;
    } else if (outcome->reason == WC_REASON_ENDING) {
        T.voids = 0;
    } else if (is_lasting(outcome->reason)) {
        give_up(outcome->reason == WC_REASON_STORE || outcome->reason == WC_REASON_MEMORY);
    } else if (++T.voids >= R.settings.voids) {
        give_up(false);
    } else if (R.rank == 0) {
        int64_t wait = FIRST_RETRY_NS << (T.voids < 5 ? 2 * T.voids : 10);
        T.retry_at = now + (wait < LAST_RETRY_NS ? wait : LAST_RETRY_NS);
    }
}
