/* SPDX-License-Identifier: BSD-3-Clause */
#include "watch.h"

#include "layer.h"

#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WORDS = sizeof(wc_watch_said) / sizeof(uint64_t) };
#define ITEM_WORDS (sizeof(wc_watch_item) / sizeof(uint64_t))
#define HEAD_WORDS (offsetof(wc_watch_said, items) / sizeof(uint64_t))
_Static_assert(sizeof(wc_watch_said) % sizeof(uint64_t) == 0, "copied by words");

/* What is told of them is bounded; more than so many are told of as "uncounted". */
enum { MOST_STREAMS = 65536 };

static WC_PROCESS struct {
    /* published: the version is odd while words are written */
    _Atomic uint64_t version;
    _Atomic uint64_t *words; /* [WORDS] */
    _Atomic uint64_t asked, told;
    _Atomic(wc_watched_comm *) comms;
    _Atomic bool uncounted;
    pthread_mutex_t reading; /* nothing of the communicators is freed */

    /* the application's: of its thread, or under the layer's lock */
    pthread_t thread; /* that has called first */
    bool called, several;
    wc_watch_said *said;
    unsigned depth;
    bool waits; /* `said` is that of the call in progress */
    wc_watch_item own[2];
    unsigned own_count;
    const MPI_Request *requests;
    int request_count;
    bool any;
    const char *call;
    wc_watch_item *unsent; /* of `own` */
    wc_table noted;        /* wc_watch_item: what a request stands for */
    size_t streams;
    bool some_freed;
} W;

/* ---- what is told ---- */

static void publish(uint32_t state) {
    wc_watch_said *said = W.said;
    said->state = state;
    const uint64_t *from = (const uint64_t *)said;
    size_t n = HEAD_WORDS + said->count * ITEM_WORDS;
    uint64_t version = atomic_load_explicit(&W.version, memory_order_relaxed);
    atomic_store_explicit(&W.version, version + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    for (size_t i = 0; i < n; i++)
        atomic_store_explicit(&W.words[i], from[i], memory_order_relaxed);
    atomic_store_explicit(&W.version, version + 2, memory_order_release);
}

static void copy(wc_watch_said *said) {
    uint64_t *to = (uint64_t *)said, before, after;
    do {
        before = atomic_load_explicit(&W.version, memory_order_acquire);
        for (size_t i = 0; i < WORDS; i++)
            to[i] = atomic_load_explicit(&W.words[i], memory_order_relaxed);
        atomic_thread_fence(memory_order_acquire);
        after = atomic_load_explicit(&W.version, memory_order_relaxed);
    } while (before != after || before % 2);
}

bool wc_watch_read(wc_watch_said *said, int64_t patience) {
    uint64_t asked = atomic_fetch_add(&W.asked, 1) + 1;
    const struct timespec a_while = {.tv_nsec = 1000000};
    for (int64_t end = wc_layer_now() + patience;;) {
        bool told = atomic_load(&W.told) >= asked;
        copy(said);
        if (told || said->state != WC_WATCH_LOOKS)
            return true;
        if (wc_layer_now() >= end)
            return false;
        nanosleep(&a_while, NULL);
    }
}

/* ---- communicators ---- */

const wc_watched_comm *wc_watch_comms(void) {
    pthread_mutex_lock(&W.reading);
    return atomic_load(&W.comms);
}

void wc_watch_comms_done(void) {
    pthread_mutex_unlock(&W.reading);
}

bool wc_watch_uncounted(void) {
    return atomic_load(&W.uncounted);
}

/* Of all members, in one order. */
static int *world_ranks(const wc_mpi_comm *c) {
    int n = wc_comm_members(&c->core), size, place = c->core.second ? c->core.remote_size : 0;
    int *world = wc_core_alloc((size_t)n * sizeof *world), *some;
    MPI_Group all;
    PMPI_Comm_group(MPI_COMM_WORLD, &all);
    some = wc_group_ranks(c->group, all, &size);
    memcpy(world + place, some, (size_t)size * sizeof *world);
    free(some);
    if (c->peers != c->group) {
        some = wc_group_ranks(c->peers, all, &size);
        memcpy(world + wc_comm_member_of(&c->core, 0), some, (size_t)size * sizeof *world);
        free(some);
    }
    PMPI_Group_free(&all);
    return world;
}

static wc_watched_comm *watched(wc_mpi_comm *c) {
    if (c->watched)
        return c->watched;
    wc_watched_comm *w = c->watched = wc_core_alloc(sizeof *w);
    w->uid = c->core.uid;
    w->parent = c->parent_uid;
    w->ordinal = c->ordinal;
    w->colour = c->colour;
    w->how = c->how;
    w->size = wc_comm_members(&c->core);
    w->world = world_ranks(c);
    w->mask = 15;
    w->slots = wc_core_alloc((w->mask + 1) * sizeof(wc_watched_stream *));
    w->next = atomic_load(&W.comms);
    atomic_store(&W.comms, w);
    return w;
}

static void free_watched(wc_watched_comm *w) {
    wc_watched_stream *s = atomic_load(&w->streams);
    while (s) {
        wc_watched_stream *next = s->next;
        free(s);
        s = next;
    }
    W.streams -= w->stream_count;
    free(w->slots);
    free(w->world);
    free(w);
}

void wc_watch_forget(wc_mpi_comm *c) {
    if (c->watched)
        c->watched->freed = W.some_freed = true;
    c->watched = NULL;
    if (!W.some_freed || pthread_mutex_trylock(&W.reading) != 0)
        return; /* they are being read: with the next one */
    wc_watched_comm *kept = NULL, *next;
    for (wc_watched_comm *w = atomic_load(&W.comms); w; w = next) {
        next = w->next;
        if (!w->freed) {
            kept = w;
        } else {
            if (kept)
                kept->next = next;
            else
                atomic_store(&W.comms, next);
            free_watched(w);
        }
    }
    W.some_freed = false;
    pthread_mutex_unlock(&W.reading);
}

/* ---- streams ---- */

static size_t stream_hash(bool out, int peer, int tag) {
    uint64_t x = ((uint64_t)(unsigned)peer << 32 | (unsigned)tag) * 2 + out;
    return (size_t)(x * UINT64_C(0x9E3779B97F4A7C15) >> 32);
}

static wc_watched_stream **stream_slot(const wc_watched_comm *w, bool out, int peer, int tag) {
    size_t i = stream_hash(out, peer, tag) & w->mask;
    for (wc_watched_stream *s; (s = w->slots[i]); i = (i + 1) & w->mask)
        if (s->peer == peer && s->tag == tag && s->out == out)
            break;
    return &w->slots[i];
}

static void grow_slots(wc_watched_comm *w) {
    free(w->slots);
    w->mask = 2 * w->mask + 1;
    w->slots = wc_core_alloc((w->mask + 1) * sizeof(wc_watched_stream *));
    for (wc_watched_stream *s = atomic_load(&w->streams); s; s = s->next)
        *stream_slot(w, s->out, s->peer, s->tag) = s;
}

/* -1: it is none. */
static int world_of(const wc_comm *comm, int peer) {
    const wc_watched_comm *w = wc_comm_from_core(comm)->watched;
    bool known = peer >= 0 && peer < wc_comm_peers(comm);
    return known ? w->world[wc_comm_member_of(comm, peer)] : -1;
}

static void count(const wc_comm *comm, bool out, int peer, int tag, int change) {
    wc_watched_comm *w = watched(wc_comm_from_core(comm));
    int world = world_of(comm, peer);
    wc_watched_stream **slot = stream_slot(w, out, world, tag), *s = *slot;
    if (!s && W.streams >= MOST_STREAMS) {
        atomic_store(&W.uncounted, true);
        return;
    }
    if (!s) {
        s = wc_core_alloc(sizeof *s);
        s->peer = world;
        s->tag = tag;
        s->out = out;
        s->next = atomic_load(&w->streams);
        *slot = s;
        atomic_store(&w->streams, s);
        W.streams++;
        if (2 * ++w->stream_count > w->mask)
            grow_slots(w);
    }
    uint64_t n = atomic_load_explicit(&s->count, memory_order_relaxed) + (uint64_t)(int64_t)change;
    atomic_store_explicit(&s->count, n, memory_order_relaxed);
}

void wc_watch_count_sent(const wc_stream *stream, int change) {
    count(stream->comm, true, stream->peer, stream->tag, change);
}

void wc_watch_count_handed(const wc_comm *comm, int source, int tag) {
    count(comm, false, source, tag, 1);
}

/* ---- requests ---- */

static void note(MPI_Request handle, wc_watch_item item) {
    wc_watch_item *noted = wc_table_find(&W.noted, handle);
    if (!noted) {
        noted = wc_core_alloc(sizeof *noted);
        wc_table_insert(&W.noted, handle, noted);
    }
    *noted = item;
}

/* What concerns one peer of a communicator. */
static wc_watch_item item_of(wc_watch_kind kind, wc_mpi_comm *c, int peer, int tag) {
    const wc_watched_comm *w = c ? watched(c) : NULL;
    if (!w || (peer >= 0 && world_of(&c->core, peer) < 0))
        return (wc_watch_item){.kind = WC_WATCH_OTHER};
    return (wc_watch_item){
        .kind = kind, .comm = w->uid, .peer = world_of(&c->core, peer), .tag = tag < 0 ? -1 : tag};
}

/* Its latest one has begun. */
static wc_watch_item collective_item(wc_mpi_comm *c) {
    atomic_store(&watched(c)->collectives, c->core.collectives);
    return (wc_watch_item){
        .kind = WC_WATCH_COLLECTIVE, .comm = c->core.uid, .number = c->core.collectives};
}

void wc_watch_request(MPI_Request handle, wc_watch_kind kind, const wc_stream *stream) {
    if (stream)
        note(handle, item_of(kind, wc_comm_from_core(stream->comm), stream->peer, stream->tag));
    else
        note(handle, (wc_watch_item){.kind = WC_WATCH_OTHER});
}

void wc_watch_collective_request(MPI_Request handle, wc_mpi_comm *c) {
    note(handle, c ? collective_item(c) : (wc_watch_item){.kind = WC_WATCH_OTHER});
}

/* With MPI_THREAD_MULTIPLE, too, most programs call MPI by one thread. Once it is another one, only messages
 * are counted, and calls are not told of any more. */
static bool is_told(void) {
    if (!W.called)
        W.thread = pthread_self();
    W.called = true;
    if (!W.several && L.multiple && !pthread_equal(W.thread, pthread_self())) {
        W.several = true;
        publish(WC_WATCH_THREADS);
    }
    return !W.several;
}

/* ---- what a call waits for ---- */

static void add(wc_watch_item item) {
    if (W.said->count < WC_WATCH_ITEMS)
        W.said->items[W.said->count++] = item;
    else if (item.kind != WC_WATCH_ARRIVED)
        W.said->more++;
}

static bool is_inactive(MPI_Request handle) {
    const wc_persistent *p = wc_persistent_find(handle);
    return p && !p->active;
}

/* One that is no receive of the table. */
static wc_watch_item stands_for(MPI_Request handle) {
    const wc_persistent *p = wc_persistent_find(handle);
    if (p)
        return item_of(p->receives ? WC_WATCH_RECEIVE : WC_WATCH_SEND, p->comm, p->peer, p->tag);
    const wc_watch_item *noted = wc_table_find(&W.noted, handle);
    return noted ? *noted : (wc_watch_item){.kind = WC_WATCH_OTHER};
}

static void add_request(MPI_Request handle) {
    if (handle == MPI_REQUEST_NULL)
        return;
    wc_request *r = wc_request_find(handle);
    if (r && !wc_request_ready(r)) {
        bool data = r->done; /* it waits for what it sends at the same time */
        add(data ? (wc_watch_item){.kind = WC_WATCH_OTHER}
                 : item_of(WC_WATCH_RECEIVE, wc_comm_from_core(r->recv.comm), r->recv.source,
                           r->recv.tag));
    }
    if (r || is_inactive(handle))
        return;
    int flag = 0;
    PMPI_Request_get_status(handle, &flag, MPI_STATUS_IGNORE);
    if (!flag)
        add(stands_for(handle));
}

/* A receive that is complete, and that the application has not been told of. */
static void add_arrived(wc_request *r) {
    if (!r || r->recv.handed || r->recv.cancelled || !wc_request_ready(r) || !r->done)
        return;
    const wc_message *m = r->recv.message;
    add(item_of(WC_WATCH_ARRIVED, wc_comm_from_core(r->recv.comm),
                m ? m->source : r->status.MPI_SOURCE, m ? m->tag : r->status.MPI_TAG));
}

static void add_all_arrived(void) {
    WC_EACH_ENTRY(&L.receives, wc_request, r) {
        add_arrived(r);
    }
    add_arrived(L.inside);
}

static void begin_said(void) {
    if (!W.waits) {
        W.said->since = wc_layer_now();
        W.said->calls++;
    }
    W.waits = true;
    W.said->call = W.call;
    W.said->any = W.any;
    W.said->count = W.said->more = 0;
}

void wc_watch_idle(void) {
    uint64_t asked = atomic_load_explicit(&W.asked, memory_order_acquire);
    bool answers = asked != atomic_load_explicit(&W.told, memory_order_relaxed);
    if (!is_told() || !W.depth || (W.waits && !answers))
        return;
    begin_said();
    bool received = L.inside && wc_request_ready(L.inside);
    for (unsigned i = 0; i < W.own_count; i++)
        if (W.own[i].kind == WC_WATCH_SEND ? W.unsent == &W.own[i] : !received)
            add(W.own[i]);
    for (int i = 0; i < W.request_count; i++)
        add_request(W.requests[i]);
    add_all_arrived();
    publish(WC_WATCH_LOOKS);
    atomic_store_explicit(&W.told, asked, memory_order_release);
}

/* ---- around calls ---- */

/* False: it is a part of another one. */
static bool begin(const char *call) {
    if (!is_told() || W.depth++)
        return false;
    W.call = call;
    W.own_count = 0;
    W.request_count = 0;
    W.unsent = NULL;
    W.any = false;
    W.waits = false;
    return true;
}

static wc_mpi_comm *known(MPI_Comm comm) {
    return L.way == WC_WAY_OFF ? NULL : wc_comm_of(comm);
}

static void add_own(wc_watch_kind kind, int peer, int tag, MPI_Comm comm) {
    if (peer == MPI_PROC_NULL)
        return;
    wc_watch_item *item = &W.own[W.own_count++];
    *item = item_of(kind, known(comm), peer, tag);
    if (item->kind == WC_WATCH_SEND)
        W.unsent = item;
}

void wc_watch_receive(const char *call, int source, int tag, MPI_Comm comm) {
    if (begin(call))
        add_own(WC_WATCH_RECEIVE, source, tag, comm);
}

void wc_watch_send(const char *call, int dest, int tag, MPI_Comm comm) {
    if (begin(call))
        add_own(WC_WATCH_SEND, dest, tag, comm);
}

void wc_watch_both(const char *call, int dest, int sendtag, int source, int recvtag,
                   MPI_Comm comm) {
    if (!begin(call))
        return;
    add_own(WC_WATCH_SEND, dest, sendtag, comm);
    add_own(WC_WATCH_RECEIVE, source, recvtag, comm);
}

void wc_watch_sent(void) {
    if (!is_told())
        return;
    W.unsent = NULL;
    if (W.waits) { /* what was told is not true any more */
        W.waits = false;
        wc_watch_idle();
    }
}

void wc_watch_requests(const char *call, bool any, int n, const MPI_Request requests[]) {
    if (!begin(call))
        return;
    W.any = any;
    W.requests = requests;
    W.request_count = n;
}

static void native(wc_watch_item item) {
    begin_said();
    add(item);
    add_all_arrived();
    publish(WC_WATCH_NATIVE);
}

void wc_watch_native(const char *call, wc_mpi_comm *c) {
    wc_watch_item item = c ? collective_item(c) : (wc_watch_item){.kind = WC_WATCH_OTHER};
    if (begin(call))
        native(item);
}

void wc_watch_finalize(void) {
    if (begin("MPI_Finalize"))
        native((wc_watch_item){.kind = WC_WATCH_FINALIZE});
}

static void outside(void) {
    W.said->calls++;
    W.said->since = wc_layer_now();
    W.said->call = NULL;
    W.said->count = W.said->more = 0;
    publish(WC_WATCH_OUTSIDE);
}

void wc_watch_leave(void) {
    if (is_told() && --W.depth == 0)
        outside();
}

void wc_watch_touch(void) {
    if (is_told() && !W.depth)
        outside();
}

/* ---- start and end ---- */

void wc_watch_start(void) {
    WC_GUARD("MPI_Init");
    W.words = wc_core_alloc(WORDS * sizeof *W.words);
    W.said = wc_core_alloc(sizeof *W.said);
    pthread_mutex_init(&W.reading, NULL);
    wc_table_open(&W.noted);
    outside();
    for (wc_comm *c = L.core.comms; c; c = c->next)
        watched(wc_comm_from_core(c));
    L.watched = L.slow_only = true;
    wc_layer_update();
}

void wc_watch_end(void) {
    L.watched = false;
    outside();
    publish(WC_WATCH_ENDED);
}
