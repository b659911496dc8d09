/* SPDX-License-Identifier: BSD-3-Clause */
#include "progress.h"

#include "../store/progress.h"
#include "../store/worker.h"
#include "pace.h"
#include "runtime.h"
#include "snapshot.h"
#include "trigger.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* How often it is noted and written, and how long a program that doesn't come by leaves the file as it is. */
static const int64_t NOTE_NS = 200000000, WRITE_NS = 1000000000, REST_NS = 10000000000;

enum { REASONS = 4 };

typedef struct wc_given_up {
    int64_t at; /* 0: none */
    char reason[sizeof R.info.last_reason];
} wc_given_up;

typedef enum wc_run_end { GOES_ON, FINISHED, ENDED } wc_run_end;

/* Times are of CLOCK_MONOTONIC, ns. */
typedef struct wc_noted {
    int64_t at; /* when the program came by; 0: not yet */
    uint64_t step;
    wc_snapshot_progress snapshot;
    int64_t next, committed_at; /* 0: none */
    double interval_s;          /* 0: none by time */
    char interval_reason[WC_PACE_REASON_BYTES];
    wavecut_info info;
    wc_given_up given_up[REASONS]; /* the last ones first */
    wc_run_end end;
} wc_noted;

static struct {
    bool on, stop;
    /* of the program's thread only: */
    int64_t next; /* time to note something */
    uint64_t last_snapshot;
    int64_t committed_at;
    wc_given_up given_up[REASONS];
    wc_noted noted;
    double started; /* since the epoch */
    char host[WC_HOST_BYTES];
    pthread_t thread;
    pthread_mutex_t mutex; /* of `noted` and `stop` */
    pthread_cond_t stopped;
} P;

static double since_epoch(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- JSON ---- */

/* A text that may hold anything: what is not ASCII becomes a question mark. */
static void write_text(FILE *f, const char *name, const char *text) {
    fprintf(f, ",\n \"%s\": \"", name);
    for (; *text; text++) {
        bool plain = *text >= ' ' && *text <= '~';
        if (*text == '"' || *text == '\\')
            fputc('\\', f);
        fputc(plain ? *text : '?', f);
    }
    fputc('"', f);
}

/* A time, since the epoch. */
static void write_time(FILE *f, const char *name, int64_t when) {
    double ago = 1e-9 * (double)(wc_layer_now() - when);
    if (when)
        fprintf(f, ",\n \"%s\": %.3f", name, since_epoch() - ago);
    else
        fprintf(f, ",\n \"%s\": null", name);
}

static void write_snapshot(FILE *f, const wc_snapshot_progress *s) {
    if (!s->phase) {
        fprintf(f, ",\n \"attempt\": null");
        return;
    }
    fprintf(f,
            ",\n \"attempt\": {\"phase\": \"%s\", \"seconds\": %.3f, \"write_seconds\": %.3f, "
            "\"bytes\": "
            "%" PRIu64 ", \"written\": %" PRIu64 "}",
            s->phase, s->seconds, s->write_seconds, s->bytes, s->written);
}

static void write_given_up(FILE *f, const wc_noted *n) {
    fprintf(f, ",\n \"given_up\": [");
    for (int i = 0; i < REASONS && n->given_up[i].at; i++) {
        fprintf(f, "%s{\"seconds_ago\": %.3f", i ? "," : "",
                1e-9 * (double)(wc_layer_now() - n->given_up[i].at));
        write_text(f, "reason", n->given_up[i].reason);
        fprintf(f, "}");
    }
    fprintf(f, "]");
}

static void write_all(FILE *f, const wc_noted *n) {
    static const char *const ends[] = {
        [GOES_ON] = "running", [FINISHED] = "finished", [ENDED] = "ended"};
    fprintf(f,
            "{\"progress\": 1, \"run\": \"%016" PRIx64
            "\", \"state\": \"%s\", \"ranks\": %d, \"pid\": %ld, \"started\": %.3f",
            R.run_id, ends[n->end], R.ranks, (long)getpid(), P.started);
    write_text(f, "host", P.host);
    fprintf(f, ",\n \"restarted_from\": %" PRIu64, R.parent_id);
    fprintf(f, ",\n \"time\": %.3f", since_epoch());
    write_time(f, "heard", n->at);
    fprintf(f, ",\n \"step\": %" PRIu64 ", \"first_step\": %" PRIu64, n->step, R.steps_before);
    write_time(f, "next", n->next);
    fprintf(f, ",\n \"interval_seconds\": %.6f", n->interval_s);
    write_text(f, "interval_reason", n->interval_reason);
    write_snapshot(f, &n->snapshot);
    fprintf(f, ",\n \"last_snapshot\": %" PRIu64, n->info.last_snapshot);
    write_time(f, "last_time", n->committed_at);
    fprintf(f,
            ",\n \"commit_seconds\": %.6f, \"stall_seconds\": %.6f,\n \"committed\": %" PRIu64
            ", \"voided\": %" PRIu64 ", \"failed\": %" PRIu64,
            n->info.commit_s, n->info.stall_s, n->info.committed, n->info.voided, n->info.failed);
    write_given_up(f, n);
    fprintf(f, "}\n");
}

/* Without a word where it fails: nobody depends on it. */
static void put(const wc_noted *noted) {
    char *text = NULL;
    size_t length = 0;
    wc_error error;
    FILE *f = open_memstream(&text, &length);
    if (!f)
        return;
    write_all(f, noted);
    if (fclose(f) == 0)
        wc_progress_put(R.settings.dir, text, length, &error);
    free(text);
}

/* ---- the thread ---- */

/* True: it is over. */
static bool sleep_and_take(wc_noted *noted) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += WRITE_NS / 1000000000;
    pthread_mutex_lock(&P.mutex);
    while (!P.stop && pthread_cond_timedwait(&P.stopped, &P.mutex, &until) == 0)
        ;
    bool stop = P.stop;
    *noted = P.noted;
    pthread_mutex_unlock(&P.mutex);
    return stop;
}

static void *write_now_and_then(void *unused) {
    wc_noted noted;
    int64_t at = -1, put_at = 0;
    (void)unused;
    for (bool stop = false; !stop;) {
        stop = sleep_and_take(&noted);
        int64_t now = wc_layer_now();
        if (noted.at == at && now - put_at < REST_NS && !stop)
            continue;
        at = noted.at;
        put_at = now;
        put(&noted);
    }
    return NULL;
}

static bool start_thread(void) {
    wc_worker_sleeps(&P.mutex, &P.stopped);
    return wc_worker_start(&P.thread, write_now_and_then, NULL) == 0;
}

/* ---- the program's thread ---- */

static void note(int64_t now, wc_noted *n) {
    if (R.info.last_snapshot != P.last_snapshot)
        P.committed_at = now;
    P.last_snapshot = R.info.last_snapshot;
    n->at = now;
    n->step = R.steps_before + (uint64_t)L.core.step;
    wc_snapshot_tell(&n->snapshot);
    n->next = wc_trigger_next();
    n->interval_s = wc_pace_now()->interval_s;
    snprintf(n->interval_reason, sizeof n->interval_reason, "%s", wc_pace_reason());
    n->committed_at = P.committed_at;
    n->info = R.info;
    memcpy(n->given_up, P.given_up, sizeof n->given_up);
}

void wc_progress_start(void) {
    if (R.rank != 0)
        return;
    P.started = since_epoch();
    P.host[0] = '\0';
    gethostname(P.host, sizeof P.host - 1);
    P.stop = false;
    P.last_snapshot = R.info.last_snapshot;
    P.committed_at = 0;
    note(wc_layer_now(), &P.noted);
    P.on = start_thread();
}

void wc_progress_tick(int64_t now) {
    if (!P.on || now < P.next || pthread_mutex_trylock(&P.mutex) != 0)
        return;
    P.next = now + NOTE_NS;
    note(now, &P.noted);
    pthread_mutex_unlock(&P.mutex);
}

void wc_progress_given_up(const char *reason) {
    memmove(&P.given_up[1], &P.given_up[0], (REASONS - 1) * sizeof *P.given_up);
    P.given_up[0].at = wc_layer_now();
    snprintf(P.given_up[0].reason, sizeof P.given_up[0].reason, "%s", reason);
}

void wc_progress_stop(bool finished) {
    if (!P.on)
        return;
    P.on = false;
    pthread_mutex_lock(&P.mutex);
    note(wc_layer_now(), &P.noted);
    P.noted.end = finished ? FINISHED : ENDED;
    P.noted.next = 0;
    P.stop = true;
    pthread_cond_signal(&P.stopped);
    pthread_mutex_unlock(&P.mutex);
    pthread_join(P.thread, NULL);
}
