/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The layer between the application and MPI. Wrappers record and forward; the thinking is in core/.
 *
 * A call takes one of three ways:
 *   OFF   straight to MPI, nothing is recorded (outside Init..Finalize, or several threads may call
 * at once) FAST  nothing under way that concerns receives: MPI's own call and a count. A message
 * counts as handed over when its receive starts: a rank that records has none outstanding, and one
 * that can't leaves FAST with wc_posted_adopt SLOW  everything else: messages may be in the
 * library's hands, every receive is looked after
 */
#ifndef WC_MPI_LAYER_H
#define WC_MPI_LAYER_H

#include "../core/core.h"
#include "table.h"
#include "trace.h"
#include "watch.h"

#include <assert.h>
#include <limits.h>
#include <mpi.h>

#define WC_EXPORT __attribute__((visibility("default")))

/* Marks every variable of this room: the simulation (tests/sim) runs several ranks in one process, and
 * gives each its own. */
#ifndef WC_PROCESS
#define WC_PROCESS
#define WC_LAYER_PLACE
#endif

/* A receive on the FAST way between its start and its completion: what it takes to look after it
 * when that is needed. */
typedef struct wc_posted {
    MPI_Request handle; /* MPI_REQUEST_NULL: complete */
    wc_stream *stream;  /* NULL: a persistent one's, where the rest is too */
    void *buffer;
    MPI_Datatype type;
    int count;
} wc_posted;

#ifndef WC_POSTED
#define WC_POSTED 256 /* more than so many are looked after in the table */
#endif

typedef enum wc_way { WC_WAY_OFF, WC_WAY_FAST, WC_WAY_SLOW } wc_way;

/* A communicator of the application, or an account (group.c). */
typedef struct wc_mpi_comm {
    wc_comm core;
    MPI_Comm handle;        /* MPI_COMM_NULL once it is freed for good, and of an account */
    MPI_Comm coming;        /* `handle` once the request of MPI_Comm_idup is complete */
    bool careful;           /* errors on it return: what MPI has refused must not be counted */
    bool going;             /* MPI_Comm_free is inside MPI: it may not be looked at */
    MPI_Group group, peers; /* the same one, unless it is an intercommunicator */
    uint64_t parent_uid, ordinal;
    int64_t colour;
    const char *how; /* static; NULL: an account */
    MPI_Request *marker_receives;
    size_t marker_count;
    size_t files;          /* that were opened on it, and are not closed */
    MPI_Request all_freed; /* a barrier that each member enters where it frees it */
    bool all_have_freed;
    uint64_t tried;        /* to forget it after so many attempts, and one */
    uint64_t last_attempt; /* that may have sent markers on it, once all have freed it */
    struct wc_watched_comm *watched;
} wc_mpi_comm;

/* A receive between its start and its hand-over. */
typedef struct wc_request {
    wc_recv recv;
    MPI_Request handle; /* what the application holds */
    MPI_Request inner;  /* what MPI will complete; not `handle` if the receive was taken back or
                           began in the library */
    void *buffer;
    int count;
    MPI_Datatype type;
    MPI_Comm comm;
    MPI_Status status; /* valid when `done` */
    int error;         /* with which it ended, as far as that is known before it is completed */
    bool done;
    bool detached;   /* MPI_Request_free: nobody will ask for it */
    bool persistent; /* `handle` is a persistent request's, and stays */
    bool kept;       /* the application has protected `handle`, as of the last record */
    bool paired;     /* MPI_Isendrecv: it is not complete before this send is */
    MPI_Request send;
    void *sent_data;                /* malloc'd, where the application's buffer is received into */
    struct wc_traced *traced;       /* trace.c's, while L.traced */
    struct wc_request *next_free;   /* while it is none */
    struct wc_request *next_inside; /* of another thread's blocking call */
} wc_request;

/* A persistent request of the application. While a message may be in the library's hands, a receive
 * that is started is looked after in a wc_request under the same handle. */
typedef struct wc_persistent {
    MPI_Request handle;
    wc_stream *stream; /* pinned. NULL: wildcards, or only MPI has to do with it */
    bool active;
    bool receives;
    bool left;         /* its communicator was freed */
    wc_posted *posted; /* its place there, if it is active on the FAST way */
    int count, peer, tag;
    void *buffer;
    MPI_Datatype type;
    uint64_t bytes;    /* of what it sends: `type` may be gone by then */
    wc_mpi_comm *comm; /* NULL: only MPI has to do with it */
} wc_persistent;

#define WC_RECENT_BITS 8

/* What a snapshot can't hold, while there is one. */
typedef enum wc_open_kind {
    WC_OPEN_WINDOW,
    WC_OPEN_SPLIT,
    WC_OPEN_GREQUEST,
    WC_OPEN_PROCESSES,
    WC_OPEN_MESSAGE, /* of a matched probe */
    WC_OPEN_KINDS
} wc_open_kind;

typedef struct wc_opened {
    size_t count;
    const char *call; /* that has made the last one; static */
} wc_opened;

/* A generalized request that exists. */
typedef struct wc_grequest {
    MPI_Request handle;
    struct wc_grequest *next;
} wc_grequest;

/* A communicator with processes that are no part of this run. */
typedef struct wc_outside {
    MPI_Comm handle;
    struct wc_outside *next;
} wc_outside;

/* A thread of the program, if several may call MPI at once. */
typedef struct wc_thread wc_thread;

/* What the runtime wants to hear. Set by wc_layer_attach. */
typedef struct wc_hooks {
    void (*tick)(int64_t now); /* now and then, and at safe points: triggers, the writer */
    /* Sets `kept` of the receives whose requests are protected; returns how many others are. */
    uint64_t (*keep_requests)(void);
    void (*record)(void);
    void (*all_recorded)(void);
    void (*settled)(bool valid);
    void (*finished)(const wc_vote *outcome);
    bool (*busy)(void);     /* work of a committed attempt is still under way */
    void (*finalize)(void); /* MPI_Finalize without wavecut_finalize */
} wc_hooks;

typedef struct wc_layer {
    wc_way way;
    bool immediate;
    bool multiple;          /* MPI_THREAD_MULTIPLE: always SLOW, and with a lock. See thread.c */
    bool careful;           /* errors return on some communicator */
    bool sync_used;         /* this rank has used synchronous sends */
    bool watched;           /* `wavecut waits` may ask */
    bool traced;            /* what is sent and received is traced */
    bool slow_only;         /* one of these: all calls go the SLOW way */
    wc_mpi_comm *last_comm; /* the one looked up last; never NULL */
    wc_mpi_comm *fast_comm; /* the same on the FAST way, else one that no handle is equal to */
    wc_mpi_comm *recv_comm; /* `fast_comm` of aligned programs: their receives block in MPI */
    wc_mpi_comm *test_comm; /* `fast_comm` of immediate programs: their receives don't */
    bool starts_natively;   /* on the FAST way of a program whose errors are fatal */
    bool ends_natively;     /* the same, it is aligned, and there are persistent requests */
    bool plain;             /* none of foreign and persistent requests, nor errors that return */
    wc_table receives;      /* wc_request */
    wc_table persistent;    /* wc_persistent */
    wc_persistent *recent[1 << WC_RECENT_BITS]; /* of them, used lately; never NULL */
    int outstanding; /* requests that are not in `receives`, and no foreign ones: see wc_outstanding */
    MPI_Request *foreign; /* those of collectives and files: a restart can't make them again */
    size_t foreign_count, foreign_room;
    int outstanding_at_safepoint; /* what starts one on the FAST way shows here alone that a record
                                     can't be taken inside what follows */
    wc_posted *posted_next;       /* behind the last one in use of `posted` */
    wc_posted *posted_end;        /* of `posted` */
    wc_posted posted[WC_POSTED];  /* in posting order */
    uint64_t order;
    wc_core core;

    wc_opened opened[WC_OPEN_KINDS];
    wc_grequest *grequests;
    wc_outside *outside;
    size_t detached;
    size_t coming;      /* communicators of MPI_Comm_idup that are not known to be there */
    size_t freed_comms; /* communicators that the application has freed, and this layer has not */
    wc_request *inside; /* of the blocking call in progress; of several threads': a list */
    uint64_t next_tick; /* in ticks of wc_layer_clock */
    bool in_progress;

    int marker_tag; /* the real MPI_TAG_UB */
    int tag_ub;     /* what the application sees */
    bool attached;
    void (*initialized)(void); /* called in MPI_Init, and */
    void (*finalized)(void);   /* behind MPI_Finalize; may be NULL */
    wc_hooks hooks;
    MPI_Comm job, control, self, phases[WC_PHASES], store;
    MPI_Group job_group;
} wc_layer;

/* Hidden: the calls of the FAST way find it without the table of addresses. */
extern WC_LAYER_PLACE __attribute__((visibility("hidden"))) wc_layer wc_layer_state;
extern const wc_mpi_comm wc_no_comm;
#define WC_NO_COMM ((wc_mpi_comm *)&wc_no_comm) /* where there is none: no handle is equal to its */
#define WC_NO_HANDLE ((MPI_Comm)(intptr_t)-1)
#ifndef L
#define L wc_layer_state
#endif

/* ---- thread.c ---- */

typedef struct wc_guard {
    wc_thread *thread; /* NULL: there is no lock */
    bool took;         /* the lock */
} wc_guard;

void wc_thread_start(void);
wc_guard wc_thread_enter(const char *call);
void wc_thread_leave(const wc_guard *guard);
void wc_thread_let_go(void);
void wc_thread_take_again(void);
/* What this thread calls is not the application's until it says so again. */
void wc_thread_hush(bool hushed);
bool wc_thread_owns(void);

/* This thread is at a safe point, and wants to record there. */
void wc_thread_at_safepoint(void);
/* The call that another thread than the one at the safe point is inside of. NULL: none. */
const char *wc_thread_elsewhere(void);
/* A thread of the library's own pulls while those of the program can't. */
void wc_thread_pull(void);
void wc_thread_pull_no_more(void);

static inline wc_guard wc_guard_begin(const char *call) {
    return __builtin_expect(L.multiple, 0) ? wc_thread_enter(call) : (wc_guard){NULL, false};
}

static inline void wc_guard_end(const wc_guard *guard) {
    if (__builtin_expect(guard->thread != NULL, 0))
        wc_thread_leave(guard);
}

/* Until the end of the block this thread alone is in the layer. `call`: the application's, static. What
 * may use it without: the inline FAST ways, which a program with MPI_THREAD_MULTIPLE never takes. */
#define WC_GUARD(call)                                                                             \
    __attribute__((cleanup(wc_guard_end), unused)) const wc_guard guard_ = wc_guard_begin(call)

static inline void wc_let_go(void) {
    if (__builtin_expect(L.multiple, 0))
        wc_thread_let_go();
}

static inline void wc_take_again(void) {
    if (__builtin_expect(L.multiple, 0))
        wc_thread_take_again();
}

/* A call of MPI that may wait for what others do: the other threads of this rank, too. */
#define WC_WAITING(call)                                                                           \
    ({                                                                                             \
        wc_let_go();                                                                               \
        int waited_ = (call);                                                                      \
        wc_take_again();                                                                           \
        waited_;                                                                                   \
    })

/* ---- life.c ---- */

/* Joins the ranks of `comm` for snapshots. Collective. NULL or the text of an error. */
const char *wc_layer_attach(MPI_Comm comm, const wc_hooks *hooks, const wc_core_config *config);
void wc_layer_set_immediate(bool immediate);
/* Serves what is under way until every rank has come here and nothing is left. Collective; the
 * job's communicators stay. */
void wc_layer_leave(void);
/* Frees them. Collective. */
void wc_layer_detach(void);

int64_t wc_layer_now(void); /* ns, monotonic */
void wc_layer_progress(void);
void wc_layer_update(void); /* chooses the way */

static inline uint64_t wc_layer_clock(void) {
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#else
    return (uint64_t)wc_layer_now();
#endif
}

/* Looks after the outside world, by time: cheap enough for every call. */
static inline void wc_layer_poll(void) {
    if (wc_core_busy(&L.core) || wc_layer_clock() >= L.next_tick)
        wc_layer_progress();
}

/* A wrapper that isn't a receive: a record can't be taken inside what follows any more. Receives may
 * be waiting for what arrives in the library, in aligned programs too. */
static inline void wc_layer_touch(void) {
    assert(!L.multiple || wc_thread_owns());
    L.core.recordable = false;
    if (L.watched)
        wc_watch_touch();
    if (L.immediate || L.core.bound_count)
        wc_layer_poll();
}

/* A call that this version can't follow: from now on every attempt is void and names it. */
static inline void wc_forbid(const char *call) {
    if (L.way != WC_WAY_OFF)
        wc_core_forbid(&L.core, WC_REASON_UNSUPPORTED, call);
}

static inline void wc_open(wc_open_kind kind, const char *call) {
    L.opened[kind].count++;
    L.opened[kind].call = call;
}

static inline void wc_close(wc_open_kind kind) {
    L.opened[kind].count--;
}

/* As wc_native_enter, and the lock is kept. */
static inline bool wc_native_begin(const char *call, wc_mpi_comm *c) {
    L.core.recordable = false;
    if (L.way != WC_WAY_SLOW)
        return false;
    wc_layer_touch();
    if (!L.multiple) /* else another thread goes on pulling */
        wc_core_native_begin(&L.core);
    if (L.watched)
        wc_watch_native(call, c);
    return true;
}

/* Around a call that waits for other ranks inside MPI: for the members of `c` if it is a collective that
 * was counted, else NULL. Returns what wc_native_leave takes. */
static inline bool wc_native_enter(const char *call, wc_mpi_comm *c) {
    bool entered = wc_native_begin(call, c);
    wc_let_go();
    return entered;
}

static inline void wc_native_end(bool begun) {
    if (!begun)
        return;
    if (!L.multiple)
        wc_core_native_end(&L.core);
    if (L.watched)
        wc_watch_leave();
}

static inline void wc_native_leave(bool entered) {
    wc_take_again();
    wc_native_end(entered);
}

enum { WC_SPINS = 50 }; /* before others are let run */

/* Nothing was ready: lets others run, and lets the core know. */
void wc_layer_idle(unsigned *spins);

/* ---- comm.c ---- */

wc_mpi_comm *wc_comm_lookup(MPI_Comm comm); /* NULL: unknown */
/* One with the groups of `comm`. It is the caller's until it is added, or discarded. */
wc_mpi_comm *wc_comm_new(MPI_Comm comm);
void wc_comm_add(wc_mpi_comm *c, MPI_Comm handle, uint64_t uid, const char *how);
void wc_comm_discard(wc_mpi_comm *c);
/* All members of `parent` have entered a call that makes one: `comm`, or MPI_COMM_NULL. It has the groups
 * of `of`. NULL: none. */
wc_mpi_comm *wc_comm_made(wc_mpi_comm *parent, MPI_Comm of, MPI_Comm comm, const char *how,
                          int64_t colour);
wc_mpi_comm *wc_comm_by_uid(uint64_t uid);
/* Hints that let MPI break the order of messages go. */
void wc_comm_drop_assertions(MPI_Comm comm);
void wc_comm_tidy(void); /* what is left of freed ones goes, if nothing needs it */
/* Those of MPI_Comm_idup are there: no request is outstanding. */
void wc_comm_arrived(void);
void wc_comm_free_all(void);

static inline wc_mpi_comm *wc_comm_of(MPI_Comm comm) {
    wc_mpi_comm *c = L.last_comm;
    return __builtin_expect(c->handle == comm, 1) ? c : wc_comm_lookup(comm);
}

/* Will MPI refuse these? Then nothing is counted for them, and the call is MPI's alone. */
static inline bool wc_comm_refuses(const wc_mpi_comm *c, int count, MPI_Datatype type, int peer,
                                   int tag) {
    bool known = peer == MPI_ANY_SOURCE || (peer >= 0 && peer < wc_comm_peers(&c->core));
    return !known || count < 0 || type == MPI_DATATYPE_NULL || (tag < 0 && tag != MPI_ANY_TAG);
}

static inline bool wc_comm_refuses_send(const wc_mpi_comm *c, int count, MPI_Datatype type,
                                        int peer, int tag) {
    return peer < 0 || tag < 0 || wc_comm_refuses(c, count, type, peer, tag);
}

/* Chooses L.fast_comm, L.recv_comm and L.test_comm. */
static inline void wc_comm_choose_fast(void) {
    if (L.multiple)
        return; /* it is looked at without the lock */
    bool fast = L.way == WC_WAY_FAST && !L.last_comm->careful;
    L.fast_comm = fast ? L.last_comm : WC_NO_COMM;
    L.recv_comm = L.immediate ? WC_NO_COMM : L.fast_comm;
    L.test_comm = L.immediate ? L.fast_comm : WC_NO_COMM;
}

static inline void wc_comm_no_fast(void) {
    if (L.multiple)
        return;
    L.fast_comm = L.recv_comm = L.test_comm = WC_NO_COMM;
}

/* How many requests are outstanding, besides those in the table and foreign ones. Where MPI_Waitall may not leave them
 * all to MPI, L.outstanding is negative: so it finds that with what it counts anyway. */
static inline int wc_outstanding(void) {
    return L.outstanding & INT_MAX / 2;
}

/* May it? On the FAST way of an aligned program whose errors are fatal and whose requests are all plain. */
static inline void wc_waitall_natively(bool may) {
    if (may == (L.outstanding >= 0))
        return;
    int shift = may ? -(INT_MIN / 2) : INT_MIN / 2;
    L.outstanding += shift;
    L.outstanding_at_safepoint += shift;
}

/* From now on calls are MPI's alone: until wc_layer_update finds L.way set again. */
static inline void wc_layer_off(void) {
    L.way = WC_WAY_OFF;
    L.starts_natively = L.ends_natively = false;
    wc_waitall_natively(false);
    wc_comm_no_fast();
}

/* The stream of a call on the FAST way, if it was used before; `fast` is L.fast_comm or L.recv_comm.
 * NULL: take the long way. Errors are fatal there, so nothing has to be done after MPI's own call. */
static inline wc_stream *wc_fast_stream(wc_mpi_comm *fast, wc_direction direction, MPI_Comm comm,
                                        int peer, int tag) {
    bool same = __builtin_expect(fast->handle == comm, 1);
    return same ? wc_stream_look(&fast->core, direction, peer, tag) : NULL;
}

static inline wc_mpi_comm *wc_comm_from_core(const wc_comm *comm) {
    return (wc_mpi_comm *)comm;
}

/* ---- group.c ---- */

uint64_t wc_uid_mix(uint64_t h, uint64_t x);
/* Ranks of its members in another group. The caller frees. */
int *wc_group_ranks(MPI_Group group, MPI_Group other, int *n);
bool wc_group_is_within(MPI_Group group, MPI_Group other); /* are all its members of the other? */
bool wc_comm_leaves_job(const wc_mpi_comm *c);             /* has it members that take no part? */

/* ---- process.c ---- */

/* `call` has made a communicator with other processes. */
void wc_process_connected(MPI_Comm comm, const char *call);

/* ---- attribute.c ---- */

void wc_attribute_note(int keyval); /* something is set with it */
/* Calls what the application wants to be called when the communicator is freed; MPI's code. */
int wc_attributes_delete(MPI_Comm comm);

/* ---- request.c ---- */

wc_request *wc_request_new(void);
void wc_request_recycle(wc_request *r);       /* it was never inserted */
void wc_request_insert(wc_request *r);        /* by handle */
void wc_request_insert_inside(wc_request *r); /* of a blocking call */
void wc_request_release(wc_request *r);       /* out of the table, if it is there, and free */

static inline wc_request *wc_request_find(MPI_Request handle) {
    return wc_table_find(&L.receives, handle);
}

/* Frees a datatype when no receive needs it any more. */
int wc_type_free(MPI_Datatype *type);

/* One of a collective or a file has begun (MPI_SUCCESS), or one that may be foreign is complete. */
void wc_foreign_started(int rc, const MPI_Request *request);
bool wc_foreign_completed(MPI_Request handle); /* it was */

/* The entries of `posted` become requests in the table. */
void wc_posted_adopt(void);
/* A request on the FAST way is complete. */
void wc_posted_completed(MPI_Request handle);
void wc_posted_make_room(void);

/* All receives outstanding, the inner one included, in posting order. Returns how many there are.
 */
size_t wc_request_list(wc_recv **list, size_t room);
bool wc_request_on(const wc_comm *comm); /* is one of them on it? */

bool wc_request_ready(wc_request *r);
/* Its data are the application's from now on. */
void wc_request_handed(wc_request *r, int source, int tag);
/* Hands a ready receive over and forgets it. Returns MPI's code for it; `status` may be
 * MPI_STATUS_IGNORE. */
int wc_request_finish(wc_request *r, MPI_Status *status);
void wc_request_poll_detached(void);
void wc_request_make_cancelled(MPI_Status *status);
bool wc_request_uses(const wc_mpi_comm *c);

/* A receive begins, natively or in the library. *handle is made; NULL: of a blocking call, the
 * application has none. */
int wc_receive_start(wc_request **made, void *buffer, int count, MPI_Datatype type, int source,
                     int tag, MPI_Comm comm, MPI_Request *handle);
int wc_receive_start_persistent(const wc_persistent *p);
/* The receive of a message that was matched, of a call that waits, and of one that doesn't. */
int wc_receive_matched(wc_request *r, MPI_Status *status);
void wc_receive_matched_later(wc_request *r, MPI_Request *handle);
/* The one of a message that is matched by now, and is not outstanding before it has a buffer. */
wc_request *wc_request_matched(wc_mpi_comm *c, int source, int tag);
/* The first message in the library's hands that a probe finds, told in `status`. NULL: none. */
wc_message *wc_probe_stash(int source, int tag, MPI_Comm comm, MPI_Status *status);
/* A blocking receive, whatever way. */
int wc_receive_wait(void *buffer, int count, MPI_Datatype type, int source, int tag, MPI_Comm comm,
                    MPI_Status *status);

/* ---- matched.c ---- */

/* Is a message of it held by the application? */
bool wc_matched_on(const wc_mpi_comm *c);
/* The receives of those, which are not outstanding yet. Returns how many there are. */
size_t wc_matched_list(wc_recv **list, size_t room);

/* ---- persistent.c ---- */

/* NULL: it is none. */
static inline wc_persistent *wc_persistent_find(MPI_Request handle) {
    return wc_table_find(&L.persistent, handle);
}

/* NULL: it is none, or was not used lately. */
static inline wc_persistent *wc_persistent_look(MPI_Request handle) {
    wc_persistent *p = L.recent[wc_table_spread(handle) >> (64 - WC_RECENT_BITS)];
    return __builtin_expect(p->handle == handle, 1) ? p : NULL;
}

/* It is complete, on the FAST way or where only MPI knew it. */
static inline void wc_persistent_complete(wc_persistent *p) {
    if (!p->active)
        return;
    p->active = false;
    L.outstanding--;
    if (p->posted) {
        p->posted->handle = MPI_REQUEST_NULL;
        if (L.posted_next == p->posted + 1)
            L.posted_next = p->posted;
    }
}

void wc_persistent_open(void);
/* One that concerns MPI alone has been made (MPI_SUCCESS). Returns rc. */
int wc_persistent_made(int rc, const MPI_Request *request);
/* MPI has completed it, if it is one, and active, and not in `receives`. */
void wc_persistent_completed(MPI_Request handle);
/* A receive of the table is over. It may be forgotten already. */
void wc_persistent_ended(MPI_Request handle);
/* The application has let go of the handle. */
void wc_persistent_forget(wc_persistent *p);
bool wc_persistent_uses(MPI_Datatype type);
/* The application has let go of a communicator. */
void wc_persistent_leave(const wc_mpi_comm *c);
/* Begins a receive again that was outstanding at the record. */
void wc_persistent_restart(wc_persistent *p);

/* ---- port.c ---- */

extern const wc_port wc_layer_port;
void wc_port_forget_markers(void);
/* Rank in the job of a member, in the order of all; -1: takes no part. */
int wc_port_member_in_job(const wc_comm *comm, int member);
/* A datatype and a count for so many elements: messages may be longer than an int. Returns MPI's code;
 * *type is `element` itself, or new. */
int wc_long_type(uint64_t elements, MPI_Datatype element, MPI_Datatype *type, int *count);
/* The same for packed bytes. */
void wc_packed_type(uint64_t bytes, MPI_Datatype *type, int *count);
void wc_packed_type_free(MPI_Datatype *type);
uint64_t wc_type_bytes_of(MPI_Datatype type);
/* Packs elements into memory that is malloc'd. Returns MPI's code. */
int wc_pack(const void *from, int count, MPI_Datatype type, void **data, uint64_t *bytes);

/* ---- control.c ---- */

const char *wc_control_open(MPI_Comm comm);
void wc_control_close(void);
void wc_control_poll(void);
void wc_control_drain(void); /* receives every control message that was sent. Collective */
extern void wc_control_spread(void *context, uint64_t attempt, int except);
extern void wc_control_enter(void *context, wc_phase phase, const wc_vote *mine);
extern bool wc_control_reduced(void *context, wc_phase phase, wc_vote *result);
extern void wc_control_tell_clock(void *context, const wc_comm *comm, int member, uint64_t attempt,
                                  bool target, uint64_t value);
extern void wc_control_send_counts(void *context, const wc_comm *comm, int peer, uint64_t attempt,
                                   const wc_tag_count *counts, size_t n);

/* Keeps a request (and what it reads, malloc'd) until it is complete: markers. */
void wc_port_keep(MPI_Request request, void *buffer);

/* ---- send.c ---- */

/* Counts a send. NULL: it concerns only MPI. */
wc_stream *wc_send_count(int count, MPI_Datatype type, int to, int tag, MPI_Comm comm);
void wc_send_uncount(wc_stream *s); /* MPI has refused it: it was none */

/* Ends a nonblocking call that MPI alone knows and that stands for a blocking one, looking after the
 * snapshot meanwhile. */
int wc_native_wait(MPI_Request *request, MPI_Status *status);

#endif
