/* SPDX-License-Identifier: BSD-3-Clause */
#include "waits.h"

#include "../mpi/layer.h"
#include "../store/worker.h"
#include "../store/waits.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* How often a rank looks for a question: rarely on a shared file system, often once somebody asks. */
static const int64_t LOOK_NS = 1000000000, SOON_NS = 20000000, ASKING_NS = 5000000000;
/* For an answer of a call that looks now and then. */
static const int64_t PATIENCE_NS = 500000000;

static struct {
    bool on, stop, complained;
    char dir[PATH_MAX];
    uint64_t job;
    int rank, ranks;
    char host[256];
    wc_watch_said said;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t stopped;
} W;

/* ---- JSON. Nothing in it needs escapes but the host, of which no odd letters are taken ---- */

static void write_items(FILE *f, const wc_watch_said *said) {
    static const char *const kinds[] = {
        [WC_WATCH_RECEIVE] = "receive",       [WC_WATCH_SEND] = "send",
        [WC_WATCH_COLLECTIVE] = "collective", [WC_WATCH_FINALIZE] = "finalize",
        [WC_WATCH_OTHER] = "other",           [WC_WATCH_ARRIVED] = "arrived"};
    fprintf(f, ",\n \"items\": [");
    for (uint32_t i = 0; i < said->count; i++) {
        const wc_watch_item *item = &said->items[i];
        fprintf(f,
                "%s\n  {\"kind\": \"%s\", \"comm\": \"%016" PRIx64
                "\", \"peer\": %d, \"tag\": %d, \"number\": %" PRIu64 "}",
                i ? "," : "", kinds[item->kind], item->comm, item->peer, item->tag, item->number);
    }
    fprintf(f, "]");
}

/* Ranks as "0-3,8". */
static void write_ranks(FILE *f, const int *ranks, int n) {
    for (int i = 0; i < n;) {
        int first = i;
        while (i + 1 < n && ranks[i + 1] == ranks[i] + 1)
            i++;
        fprintf(f, "%s%d", first ? "," : "", ranks[first]);
        if (i > first)
            fprintf(f, "-%d", ranks[i]);
        i++;
    }
}

/* [[peer, tag, messages], ...] */
static void write_streams(FILE *f, const char *name, const wc_watched_comm *c, bool out) {
    bool more = false;
    fprintf(f, ", \"%s\": [", name);
    for (const wc_watched_stream *s = atomic_load(&c->streams); s; s = s->next)
        if (s->out == out) {
            fprintf(f, "%s[%d, %d, %" PRIu64 "]", more ? ", " : "", s->peer, s->tag,
                    atomic_load_explicit(&s->count, memory_order_relaxed));
            more = true;
        }
    fprintf(f, "]");
}

static void write_comms(FILE *f) {
    bool more = false;
    fprintf(f, ",\n \"communicators\": [");
    for (const wc_watched_comm *c = wc_watch_comms(); c; c = c->next) {
        fprintf(f,
                "%s\n  {\"uid\": \"%016" PRIx64 "\", \"made\": \"%s\", \"parent\": \"%016" PRIx64
                "\", \"ordinal\": %" PRIu64 ", \"colour\": %" PRId64 ", \"members\": \"",
                more ? "," : "", c->uid, c->how, c->parent, c->ordinal, c->colour);
        write_ranks(f, c->world, c->size);
        fprintf(f, "\", \"collectives\": %" PRIu64, atomic_load(&c->collectives));
        write_streams(f, "sent", c, true);
        write_streams(f, "received", c, false);
        fprintf(f, "}");
        more = true;
    }
    wc_watch_comms_done();
    fprintf(f, "]");
}

static void write_state(FILE *f) {
    static const char *const states[] = {[WC_WATCH_OUTSIDE] = "outside",
                                         [WC_WATCH_LOOKS] = "waits",
                                         [WC_WATCH_NATIVE] = "waits",
                                         [WC_WATCH_THREADS] = "threads",
                                         [WC_WATCH_ENDED] = "ended"};
    const wc_watch_said *said = &W.said;
    bool fresh = wc_watch_read(&W.said, PATIENCE_NS);
    fprintf(f,
            ",\n \"state\": \"%s\", \"call\": \"%s\", \"since_s\": %.3f, \"calls\": %" PRIu64
            ", \"fresh\": %s, \"any\": %s, \"more\": %u, \"uncounted\": %s",
            states[said->state], said->call ? said->call : "",
            1e-9 * (double)(wc_layer_now() - said->since), said->calls, fresh ? "true" : "false",
            said->any ? "true" : "false", said->more, wc_watch_uncounted() ? "true" : "false");
    write_items(f, said);
    write_comms(f);
}

static void answer(uint64_t asked) {
    char *text = NULL;
    size_t length = 0;
    wc_error error = {WC_OK, ""};
    FILE *f = open_memstream(&text, &length);
    if (!f)
        return;
    fprintf(f,
            "{\"waits\": 1, \"job\": \"%016" PRIx64 "\", \"answers\": \"%016" PRIx64
            "\", \"rank\": %d, \"ranks\": %d, \"host\": \"%s\", \"pid\": %ld",
            W.job, asked, W.rank, W.ranks, W.host, (long)getpid());
    write_state(f);
    fprintf(f, "}\n");
    if (fclose(f) == 0 && wc_waits_answer(W.dir, W.rank, text, length, &error) != WC_OK &&
        !W.complained) {
        W.complained = true;
        fprintf(stderr, "wavecut: rank %d: `wavecut waits` gets no answer: %s\n", W.rank,
                error.text);
    }
    free(text);
}

/* ---- the thread ---- */

/* True: it is over. */
static bool sleep_for(int64_t ns) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    ns += until.tv_nsec;
    until.tv_sec += ns / 1000000000;
    until.tv_nsec = ns % 1000000000;
    pthread_mutex_lock(&W.mutex);
    while (!W.stop && pthread_cond_timedwait(&W.stopped, &W.mutex, &until) == 0)
        ;
    bool stop = W.stop;
    pthread_mutex_unlock(&W.mutex);
    return stop;
}

static void *look_and_answer(void *unused) {
    uint64_t answered = 0;
    int64_t asked_at = wc_layer_now() - ASKING_NS;
    (void)unused;
    answer(answered);
    while (!sleep_for(wc_layer_now() - asked_at < ASKING_NS ? SOON_NS : LOOK_NS)) {
        uint64_t asked = wc_waits_asked(W.dir);
        if (!asked || asked == answered)
            continue;
        asked_at = wc_layer_now();
        answered = asked;
        answer(answered);
    }
    answer(answered); /* the last one: it has ended */
    return NULL;
}

static bool start_thread(void) {
    wc_worker_sleeps(&W.mutex, &W.stopped);
    int cause = wc_worker_start(&W.thread, look_and_answer, NULL);
    if (cause)
        fprintf(stderr, "wavecut: rank %d: `wavecut waits` gets no answer: no thread (%s)\n",
                W.rank, strerror(cause));
    return cause == 0;
}

static void stop(void) {
    if (!W.on)
        return;
    W.on = false;
    pthread_mutex_lock(&W.mutex);
    W.stop = true;
    pthread_cond_signal(&W.stopped);
    pthread_mutex_unlock(&W.mutex);
    pthread_join(W.thread, NULL);
}

/* ---- start ---- */

static uint64_t new_job(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return ((uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec) ^ (uint64_t)getpid() << 44;
}

/* Rank 0: is there a directory, and is it ready? */
static int prepare(void) {
    wc_error error = {WC_OK, ""};
    const char *dir = getenv(WC_WAITS_SETTING);
    if (!dir || !*dir)
        return false;
    if (wc_waits_prepare(dir, &error) == WC_OK && !realpath(dir, W.dir))
        wc_error_set(&error, WC_ERR_IO, "%.400s: %m", dir);
    if (error.status != WC_OK)
        fprintf(stderr, "wavecut: the job is not watched (" WC_WAITS_SETTING "): %s\n", error.text);
    W.job = new_job();
    return error.status == WC_OK;
}

static void find_host(void) {
    gethostname(W.host, sizeof W.host - 1);
    for (char *c = W.host; *c; c++)
        if (*c < ' ' || *c > '~' || *c == '"' || *c == '\\')
            *c = '?';
}

/* Collective over MPI_COMM_WORLD, in MPI_Init: launchers don't forward the environment, so rank 0 reads it
 * for all. */
static void start(void) {
    int on = 0;
    PMPI_Comm_rank(MPI_COMM_WORLD, &W.rank);
    PMPI_Comm_size(MPI_COMM_WORLD, &W.ranks);
    if (W.rank == 0)
        on = prepare();
    PMPI_Bcast(&on, 1, MPI_INT, 0, MPI_COMM_WORLD);
    if (!on)
        return;
    PMPI_Bcast(&W.job, 1, MPI_UINT64_T, 0, MPI_COMM_WORLD);
    PMPI_Bcast(W.dir, sizeof W.dir, MPI_BYTE, 0, MPI_COMM_WORLD);
    find_host();
    wc_watch_start();
    W.on = start_thread();
}

static void __attribute__((constructor)) offer(void) {
    L.initialized = start;
    L.finalized = stop;
}
