/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * MPI_THREAD_MULTIPLE: one lock around the layer and all that it reaches, core and runtime included.
 *
 *   - Each wrapper has a WC_GUARD, except the inline FAST ways, which find nothing to do in such a program.
 *   - The lock is not held while MPI may wait for others (WC_WAITING, wc_native_enter, wc_layer_idle), nor
 *     taken by functions that MPI calls while it may hold locks of its own. Nonblocking calls are made
 *     under it. Functions of the application that are called under it may call MPI: they own it.
 *   - The layer's state may be another one after each of these places. What a call keeps across them is
 *     its own: its receive, its request.
 *   - A rank records at a safe point, or in the blocking call that follows it on the same thread, and only
 *     if no other thread is inside a call: see wc_thread_elsewhere.
 *   - A thread of the library's own pulls while an immediate program is armed. A program with one thread
 *     has to give its receives back to MPI around a call that blocks in there; here other threads post
 *     and wait for receives meanwhile, which would meet the markers.
 */
#include "layer.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

struct wc_thread {
    wc_thread *next;
    const char *call; /* it is inside of; NULL: none. Also written without the lock */
    unsigned depth;   /* guards */
    bool owns;        /* the lock */
    bool hushed;
    bool ended; /* another one may have it */
};

enum { PULL_NS = 50000 }; /* between two looks of the library's own thread */

static WC_PROCESS struct {
    pthread_mutex_t lock;
    pthread_key_t key; /* for its destructor */
    wc_thread *all;
    wc_thread *at_safepoint; /* the last one that was; NULL: none */
    pthread_cond_t armed;
    pthread_t puller;
    bool pulls, pulls_no_more;
} T = {.lock = PTHREAD_MUTEX_INITIALIZER, .armed = PTHREAD_COND_INITIALIZER};

static _Thread_local __attribute__((tls_model("initial-exec"))) wc_thread *self;

/* ---- threads ---- */

static void forget(void *thread) {
    wc_thread *t = thread;
    pthread_mutex_lock(&T.lock);
    t->ended = true;
    if (T.at_safepoint == t)
        T.at_safepoint = NULL;
    pthread_mutex_unlock(&T.lock);
}

static wc_thread *known(void) {
    wc_thread *t = T.all;
    while (t && !t->ended)
        t = t->next;
    if (!t) {
        t = wc_core_alloc(sizeof *t);
        *t = (wc_thread){.next = T.all};
        T.all = t;
    }
    t->ended = false;
    self = t;
    pthread_setspecific(T.key, t);
    return t;
}

void wc_thread_start(void) {
    L.multiple = true;
    wc_waitall_natively(false);
    pthread_key_create(&T.key, forget);
}

/* ---- the lock ---- */

/* Some MPI-IO is written with MPI's public calls: to them the layer looks switched off. */
static void own(wc_thread *t) {
    t->owns = true;
    L.way = t->hushed ? WC_WAY_OFF : WC_WAY_SLOW;
}

static void take(wc_thread *t) {
    pthread_mutex_lock(&T.lock);
    own(t);
}

static void give(wc_thread *t) {
    assert(t->owns);
    t->owns = false;
    if (L.core.armed)
        pthread_cond_signal(&T.armed);
    pthread_mutex_unlock(&T.lock);
}

wc_guard wc_thread_enter(const char *call) {
    wc_guard guard = {self, !self || !self->owns};
    if (guard.took) {
        pthread_mutex_lock(&T.lock);
        guard.thread = self ? self : known();
        own(guard.thread);
    }
    if (guard.thread->depth++ == 0) {
        __atomic_store_n(&guard.thread->call, call, __ATOMIC_RELAXED);
        if (guard.thread != T.at_safepoint)
            L.core.recordable = false;
    }
    return guard;
}

void wc_thread_leave(const wc_guard *guard) {
    wc_thread *t = guard->thread;
    if (--t->depth == 0)
        __atomic_store_n(&t->call, NULL, __ATOMIC_RELEASE);
    if (guard->took && t->owns)
        give(t);
}

void wc_thread_let_go(void) {
    give(self);
}

void wc_thread_take_again(void) {
    take(self);
}

void wc_thread_hush(bool hushed) {
    self->hushed = hushed;
    own(self);
}

bool wc_thread_owns(void) {
    return self && self->owns;
}

/* ---- safe points ---- */

void wc_thread_at_safepoint(void) {
    T.at_safepoint = self;
}

const char *wc_thread_elsewhere(void) {
    for (const wc_thread *t = T.all; t; t = t->next) {
        const char *call = __atomic_load_n(&t->call, __ATOMIC_ACQUIRE);
        if (t != T.at_safepoint && call)
            return call;
    }
    return NULL;
}

/* ---- pulling ---- */

static void *pull(void *unused) {
    const struct timespec pause = {.tv_nsec = PULL_NS};
    pthread_mutex_lock(&T.lock);
    wc_thread *t = known();
    while (!T.pulls_no_more) {
        if (!L.core.armed) {
            pthread_cond_wait(&T.armed, &T.lock);
            continue;
        }
        own(t);
        L.core.aside = true;
        wc_layer_progress();
        L.core.aside = false;
        t->owns = false;
        pthread_mutex_unlock(&T.lock);
        nanosleep(&pause, NULL);
        pthread_mutex_lock(&T.lock);
    }
    pthread_mutex_unlock(&T.lock);
    return unused;
}

void wc_thread_pull(void) {
    if (T.pulls)
        return;
    sigset_t all, before; /* signals are the program's affair */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    T.pulls_no_more = false;
    T.pulls = pthread_create(&T.puller, NULL, pull, NULL) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!T.pulls)
        wc_core_forbid(&L.core, WC_REASON_MEMORY, NULL);
}

void wc_thread_pull_no_more(void) {
    if (!T.pulls)
        return;
    T.pulls = false;
    T.pulls_no_more = true;
    pthread_cond_signal(&T.armed);
    wc_let_go();
    pthread_join(T.puller, NULL);
    wc_take_again();
}
