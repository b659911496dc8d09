/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stepwise traffic that an aligned cut must get right: messages stay under way for up to three steps; on each communicator
 * receives use another kind of wildcard. By the seed, some are sent and received by persistent requests, some are received by
 * a matched probe, and some by a plain one; a step's requests are completed by one call or another.
 *
 *   traffic_aligned SEED STEPS [early]     early: receives are posted two steps ahead and handed over in random order, sends
 *                                          stay open, all of them across safe points
 *   traffic_aligned SEED STEPS threads aligned|immediate     a thread for each communicator, and one or the other cut
 *
 * A schedule that all ranks can compute says what is sent in which step and when it is due. What matches which receive is
 * MPI's affair; by step t enough has been sent for all receives that are due by then, and nothing later can match them:
 * ANY_SOURCE goes with a tag for each step, and with ANY_TAG as well there is a barrier after each step.
 */
#include "traffic.h"

#include <wavecut.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SPECIFIC, ANY_SOURCE_, ANY_TAG_, ANY_BOTH, INTER /* as ANY_SOURCE_ */ };
enum { DELAYS = 4, AHEAD = 2, OPEN = 4096, KEPT = 48, BATCH = 16, PROBED = 256 };
enum { EAGER = 1000 }; /* less is sent at once */

/* A tag for each step that ranks can be apart: an answer for a later step must not meet this one's receive. */
enum { STEP_TAGS = 64 };

typedef struct planned {
    int due, tag;
    uint32_t bytes;
} planned;

/* A persistent request, made when a message first needs it; after a restart too. */
typedef struct kept {
    MPI_Request request;
    unsigned char *buffer; /* NULL: not made */
    int comm, peer, tag, bytes;
    bool is_send, active;
} kept;

typedef struct operation {
    MPI_Request request;
    kept *kept; /* NULL: it is not persistent */
    unsigned char *buffer;
    int comm, wait; /* step in which it is handed over */
    bool is_send;
    bool completed;
    MPI_Status status; /* then */
} operation;

/* A receive that begins with a probe. */
typedef struct probed {
    int comm, source, tag;
    MPI_Message message;
} probed;

static uint64_t seed;
static int steps, step; /* step is protected */
static bool early, barriers;

/* What one thread does: the traffic on its communicators. */
typedef struct worker {
    int first, end;
    operation open[OPEN];
    int nopen;
    kept kept[KEPT];
    int batch[BATCH], nbatch; /* operations that are to be started, by MPI_Startall */
    probed probed[PROBED];
    int nprobed;
    uint64_t choices;
    unsigned char buffer[TRAFFIC_BYTES];
    pthread_t thread;
} worker;

static worker workers[TRAFFIC_COMMS];
static int nworkers = 1;
static pthread_barrier_t meeting;

static int count_of(int s, int from, int to, int comm) {
    if ((comm == ANY_BOTH && !barriers) || traffic_peer(comm, T.rank == from ? to : from) < 0)
        return 0;
    return (int)(traffic_hash(seed, (uint64_t)(s * 64 + from * 8 + to), (uint64_t)comm) % 5) / 2 %
           3;
}

/* The m-th message from one rank to another in step s on a communicator. */
static planned plan(int s, int from, int to, int comm, int m) {
    uint64_t h =
        traffic_hash(seed + 17, (uint64_t)(s * 64 + from * 8 + to), (uint64_t)(comm * 16 + m));
    planned p = {
        .due = s + (int)(h % DELAYS), .tag = (int)((h >> 8) % 3), .bytes = traffic_bytes(h >> 16)};
    if (p.due > steps - 1)
        p.due = steps - 1;
    if (comm == ANY_SOURCE_ || comm == INTER)
        p.tag = STEP_TAGS + p.due % STEP_TAGS;
    return p;
}

/* How something is done need not be the same after a restart; what is done must. */
static unsigned choose(worker *w, unsigned n) {
    uint64_t who = (uint64_t)T.rank * 8 + (uint64_t)w->first;
    return (unsigned)(traffic_hash(seed + 9, who, w->choices++) % n);
}

static bool goes(worker *w, traffic_way way) {
    return choose(w, 4) < traffic_share(seed, way);
}

static operation *add(worker *w, int comm, int wait, bool is_send, kept *k, uint32_t bytes) {
    if (w->nopen == OPEN)
        MPI_Abort(MPI_COMM_WORLD, 1);
    operation *o = &w->open[w->nopen++];
    *o = (operation){.comm = comm, .wait = wait, .is_send = is_send, .kept = k};
    o->buffer = k ? k->buffer : malloc(bytes);
    return o;
}

/* ---- persistent requests ---- */

static bool is_same(const kept *k, const kept *key) {
    return k->is_send == key->is_send && k->comm == key->comm && k->peer == key->peer &&
           k->tag == key->tag && (k->bytes < EAGER) == (key->bytes < EAGER);
}

static void unmake(kept *k) {
    if (!k->buffer)
        return;
    MPI_Request_free(&k->request);
    free(k->buffer);
    k->buffer = NULL;
}

static void make(kept *k, const kept *key) {
    unmake(k);
    *k = *key;
    k->buffer = malloc((size_t)k->bytes);
    if (k->is_send)
        MPI_Send_init(k->buffer, k->bytes, MPI_BYTE, k->peer, k->tag, T.comms[k->comm],
                      &k->request);
    else
        MPI_Recv_init(k->buffer, k->bytes, MPI_BYTE, k->peer, k->tag, T.comms[k->comm],
                      &k->request);
}

/* An inactive request for this, made if there is none: another gives way to it if need be. NULL: all are active. */
static kept *reserve(worker *w, const kept *key) {
    kept *place = NULL;
    int first = (int)choose(w, KEPT);
    for (int i = 0; i < KEPT; i++) {
        kept *k = &w->kept[(first + i) % KEPT];
        if (k->buffer && k->active)
            continue;
        if (k->buffer && is_same(k, key)) {
            k->active = true;
            return k;
        }
        if (!place || (place->buffer && !k->buffer))
            place = k;
    }
    if (place) {
        make(place, key);
        place->active = true;
    }
    return place;
}

static void start_batch(worker *w) {
    MPI_Request requests[BATCH];
    for (int i = 0; i < w->nbatch; i++)
        requests[i] = w->open[w->batch[i]].kept->request;
    if (w->nbatch == 1)
        MPI_Start(requests);
    else
        MPI_Startall(w->nbatch, requests);
    for (int i = 0; i < w->nbatch; i++) {
        operation *o = &w->open[w->batch[i]];
        o->request = o->kept->request = requests[i];
    }
    w->nbatch = 0;
}

/* MPI_Startall starts in any order, so what must come after something else is not in the same batch. */
static void keep_order(worker *w, int comm, int peer) {
    for (int i = 0; i < w->nbatch; i++) {
        const kept *k = w->open[w->batch[i]].kept;
        if (k->comm == comm && k->peer == peer) {
            start_batch(w);
            return;
        }
    }
}

static void start(worker *w, const operation *o) {
    if (w->nbatch == BATCH)
        start_batch(w);
    w->batch[w->nbatch++] = (int)(o - w->open);
}

/* ---- receives that begin with a probe ---- */

/* Takes a message that is there, as a posted receive would. */
static bool take_early(worker *w, const kept *key, int wait) {
    MPI_Message message;
    int flag;
    MPI_Improbe(key->peer, key->tag, T.comms[key->comm], &flag, &message, MPI_STATUS_IGNORE);
    if (!flag)
        return false;
    operation *o = add(w, key->comm, wait, false, NULL, TRAFFIC_BYTES);
    MPI_Imrecv(o->buffer, TRAFFIC_BYTES, MPI_BYTE, &message, &o->request);
    traffic_went(TRAFFIC_GOT_MATCHED);
    return true;
}

/* In a plain program a probe may wait, once this rank's sends are on their way. */
static void probe_later(worker *w, const kept *key) {
    if (w->nprobed == PROBED)
        MPI_Abort(MPI_COMM_WORLD, 1);
    w->probed[w->nprobed++] = (probed){.comm = key->comm, .source = key->peer, .tag = key->tag};
}

static void receive_plain(worker *w, const probed *p) {
    MPI_Status status;
    MPI_Probe(p->source, p->tag, T.comms[p->comm], &status);
    MPI_Recv(w->buffer, TRAFFIC_BYTES, MPI_BYTE, status.MPI_SOURCE, status.MPI_TAG,
             T.comms[p->comm], &status);
    traffic_receive(w->buffer, p->comm, &status);
}

static void probe_matched(worker *w, probed *p) {
    int flag = 0;
    if (choose(w, 2))
        MPI_Mprobe(p->source, p->tag, T.comms[p->comm], &p->message, MPI_STATUS_IGNORE);
    else
        while (!flag)
            MPI_Improbe(p->source, p->tag, T.comms[p->comm], &flag, &p->message, MPI_STATUS_IGNORE);
    traffic_went(TRAFFIC_GOT_MATCHED);
}

static void receive_matched(worker *w, probed *p) {
    MPI_Status status;
    if (choose(w, 2)) {
        operation *o = add(w, p->comm, step, false, NULL, TRAFFIC_BYTES);
        MPI_Imrecv(o->buffer, TRAFFIC_BYTES, MPI_BYTE, &p->message, &o->request);
        return;
    }
    MPI_Mrecv(w->buffer, TRAFFIC_BYTES, MPI_BYTE, &p->message, &status);
    traffic_receive(w->buffer, p->comm, &status);
}

/* Several messages are held at a time, and not received in the order of their probes. */
static void receive_probed(worker *w) {
    for (int i = 0; i < w->nprobed; i++) {
        w->probed[i].message = MPI_MESSAGE_NULL;
        if (choose(w, 4))
            probe_matched(w, &w->probed[i]);
        else
            receive_plain(w, &w->probed[i]);
    }
    for (; w->nprobed; w->nprobed--)
        if (w->probed[w->nprobed - 1].message != MPI_MESSAGE_NULL)
            receive_matched(w, &w->probed[w->nprobed - 1]);
}

/* ---- a step ---- */

static void post_one(worker *w, const kept *key, int wait) {
    if (goes(w, TRAFFIC_GOT_MATCHED)) {
        if (!early) {
            probe_later(w, key);
            return;
        }
        start_batch(w); /* they come first */
        if (take_early(w, key, wait))
            return;
    }
    kept *k = goes(w, TRAFFIC_GOT_PERSISTENT) ? reserve(w, key) : NULL;
    operation *o = add(w, key->comm, wait, false, k, TRAFFIC_BYTES);
    keep_order(w, key->comm, key->peer);
    if (k)
        start(w, o);
    else
        MPI_Irecv(o->buffer, TRAFFIC_BYTES, MPI_BYTE, key->peer, key->tag, T.comms[key->comm],
                  &o->request);
}

/* In each step's order of posting: what is due in the same step comes in a fixed order. */
static void post_receives(worker *w, int due) {
    if (due >= steps)
        return;
    for (int comm = w->first; comm < w->end; comm++)
        for (int from = 0; from < T.ranks; from++)
            for (int s = due - DELAYS + 1; s <= due; s++)
                for (int m = 0; s >= 0 && m < count_of(s, from, T.rank, comm); m++) {
                    planned p = plan(s, from, T.rank, comm, m);
                    if (p.due != due)
                        continue;
                    int late =
                        early ? (int)(traffic_hash(seed, (uint64_t)due, (uint64_t)m) % 3) : 0;
                    kept key = {.comm = comm, .bytes = TRAFFIC_BYTES};
                    key.peer = comm == SPECIFIC || comm == ANY_TAG_ ? from : MPI_ANY_SOURCE;
                    key.tag = comm == ANY_TAG_ || comm == ANY_BOTH ? MPI_ANY_TAG : p.tag;
                    post_one(w, &key, due + late);
                }
    start_batch(w);
}

/* A plain program has nothing open at its safe points: what may be received later is buffered, or small enough for MPI to
 * send eagerly. Where a tag is that of a step, it is known to be received in it; elsewhere, which message a receive gets is
 * decided by order, so that may be any; all are received within DELAYS. (MPI_Bsend_init is not used: started again with
 * 5000 bytes and more, Open MPI 4.1.4 sends something else.) */
static bool may_wait(int comm, const planned *p) {
    bool is_prompt = (comm == ANY_SOURCE_ || comm == INTER) && p->due == step;
    return early || p->bytes < EAGER || is_prompt;
}

static void send_one(worker *w, int to, int comm, const planned *p) {
    int peer = traffic_peer(comm, to);
    keep_order(w, comm, peer);
    if (!may_wait(comm, p)) {
        int bytes = traffic_compose(w->buffer, comm, to, p->tag, 0, 0, p->bytes);
        MPI_Bsend(w->buffer, bytes, MPI_BYTE, peer, p->tag, T.comms[comm]);
        return;
    }
    kept key = {.is_send = true, .comm = comm, .peer = peer, .tag = p->tag, .bytes = (int)p->bytes};
    kept *k = goes(w, TRAFFIC_SENT_PERSISTENT) ? reserve(w, &key) : NULL;
    operation *o = add(w, comm, step + DELAYS, true, k, p->bytes);
    int bytes = k ? k->bytes : key.bytes; /* a persistent one has its own size */
    traffic_compose(o->buffer, comm, to, p->tag, 0, 0, (uint32_t)bytes);
    if (k)
        start(w, o);
    else
        MPI_Isend(o->buffer, bytes, MPI_BYTE, peer, p->tag, T.comms[comm], &o->request);
}

static void send_all(worker *w) {
    for (int comm = w->first; comm < w->end; comm++)
        for (int to = 0; to < T.ranks; to++)
            for (int m = 0; m < count_of(step, T.rank, to, comm); m++) {
                planned p = plan(step, T.rank, to, comm, m);
                send_one(w, to, comm, &p);
            }
    start_batch(w);
}

/* ---- completion ---- */

static void finish(worker *w, operation *o) {
    if (!o->is_send)
        traffic_receive(o->buffer, o->comm, &o->status);
    if (o->kept)
        traffic_went(o->is_send ? TRAFFIC_SENT_PERSISTENT : TRAFFIC_GOT_PERSISTENT);
    if (o->kept)
        o->kept->active = false;
    else
        free(o->buffer);
    *o = w->open[--w->nopen];
}

/* How many of the requests one call or another has completed, and which. */
static int complete(worker *w, int n, MPI_Request requests[], int indices[],
                    MPI_Status statuses[]) {
    int flag = 1, count = 1;
    for (int i = 0; i < n; i++)
        indices[i] = i;
    switch (choose(w, 8)) {
    case 0:
        MPI_Wait(requests, statuses);
        return 1;
    case 1:
        MPI_Test(requests, &flag, statuses);
        return flag;
    case 2:
        MPI_Waitany(n, requests, indices, statuses);
        return 1;
    case 3:
        MPI_Testany(n, requests, indices, &flag, statuses);
        return flag;
    case 4:
        MPI_Waitsome(n, requests, &count, indices, statuses);
        return count;
    case 5:
        MPI_Testsome(n, requests, &count, indices, statuses);
        return count;
    case 6:
        MPI_Testall(n, requests, &flag, statuses);
        return flag ? n : 0;
    default:
        MPI_Waitall(n, requests, statuses);
        return n;
    }
}

/* Hands over what is to be handed over by `until`. */
static void hand_over(worker *w, int until) {
    MPI_Request requests[OPEN];
    MPI_Status statuses[OPEN];
    int due[OPEN], indices[OPEN], n = 1;
    while (n) {
        int first = w->nopen ? (int)choose(w, (unsigned)w->nopen) : 0;
        n = 0;
        for (int i = 0; i < w->nopen; i++) {
            int at = (first + i) % w->nopen;
            if (w->open[at].wait > until)
                continue;
            requests[n] = w->open[at].request;
            due[n++] = at;
        }
        int count = n ? complete(w, n, requests, indices, statuses) : 0;
        for (int i = 0; i < count; i++) {
            operation *o = &w->open[due[indices[i]]];
            o->completed = true;
            o->status = statuses[i];
        }
        for (int i = w->nopen; count && i > 0; i--) /* finish puts the last one in its place */
            if (w->open[i - 1].completed)
                finish(w, &w->open[i - 1]);
    }
}

/* In a plain program everything that was started in a step is waited for in it. */
static void end_step(worker *w) {
    hand_over(w, early ? step : step + DELAYS);
}

static void do_step(worker *w) {
    post_receives(w, early ? step + AHEAD : step);
    send_all(w);
    receive_probed(w);
    end_step(w);
}

static void meet(void) {
    if (nworkers > 1)
        pthread_barrier_wait(&meeting);
}

static void *serve(void *argument) {
    for (meet(); step < steps; meet()) {
        do_step(argument);
        meet();
    }
    return NULL;
}

/* A thread for each communicator; the main thread has the first one. */
static void start_threads(void) {
    nworkers = TRAFFIC_COMMS;
    pthread_barrier_init(&meeting, NULL, (unsigned)nworkers);
    for (int i = 0; i < nworkers; i++) {
        workers[i].first = i;
        workers[i].end = i + 1;
        if (i)
            pthread_create(&workers[i].thread, NULL, serve, &workers[i]);
    }
}

/* The library may record this rank in a blocking call that directly follows the safe point: not while others go on. */
static void leave_safepoint(void) {
    int flag;
    MPI_Iprobe(0, 0, MPI_COMM_SELF, &flag, MPI_STATUS_IGNORE);
}

static void run(void) {
    for (int due = step; early && due < step + AHEAD; due++)
        post_receives(&workers[0], due);
    for (; step < steps; step++) {
        wavecut_safepoint();
        if (traffic_hash(seed, (uint64_t)T.rank, (uint64_t)step) % (uint64_t)T.ranks == 0)
            traffic_request();
        uint64_t h = traffic_hash(seed + 5, (uint64_t)T.rank, (uint64_t)step);
        if (h % 16 == 0)
            usleep((useconds_t)(h >> 8) % 500);
        if (nworkers > 1)
            leave_safepoint();
        meet();
        do_step(&workers[0]);
        meet();
        if (barriers)
            MPI_Barrier(MPI_COMM_WORLD);
    }
    meet();
    for (int i = 1; i < nworkers; i++)
        pthread_join(workers[i].thread, NULL);
    hand_over(&workers[0], steps + 2 * DELAYS);
    for (int i = 0; i < nworkers * KEPT; i++)
        unmake(&workers[i / KEPT].kept[i % KEPT]);
}

int main(int argc, char **argv) {
    bool threads = argc > 4 && strcmp(argv[3], "threads") == 0;
    int wanted = threads ? MPI_THREAD_MULTIPLE : MPI_THREAD_SINGLE, level;
    MPI_Init_thread(&argc, &argv, wanted, &level);
    if (argc < 3 || level < wanted)
        MPI_Abort(MPI_COMM_WORLD, 2);
    seed = strtoull(argv[1], NULL, 10);
    steps = atoi(argv[2]);
    early = argc > 3 && strcmp(argv[3], "early") == 0;
    barriers = seed % 2;
    if (wavecut_init(MPI_COMM_WORLD) != WAVECUT_OK)
        MPI_Abort(MPI_COMM_WORLD, 1);
    traffic_open();
    static unsigned char attached[64 << 20];
    MPI_Buffer_attach(attached, sizeof attached);
    wavecut_protect("step", &step, 1, MPI_INT);
    if (threads && strcmp(argv[4], "immediate") == 0)
        wavecut_cut(WAVECUT_IMMEDIATE);
    if (wavecut_restore(NULL) != WAVECUT_OK)
        MPI_Abort(MPI_COMM_WORLD, 1);
    workers[0].end = TRAFFIC_COMMS;
    if (threads)
        start_threads();
    run();
    wavecut_finalize();
    traffic_close();
    int size;
    void *detached;
    MPI_Buffer_detach(&detached, &size);
    MPI_Finalize();
    return 0;
}
