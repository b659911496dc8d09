/* SPDX-License-Identifier: BSD-3-Clause */
#include "lent.h"

#include "copy.h"
#include "fault.h"
#include "worker.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* How long the program may have to wait for the writer's thread, and that for the program. */
enum { STEP = 256 << 10, PAGE = 4096 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of all: one program, one writer */

static struct {
    pthread_t thread;
    pthread_cond_t work;
    wc_lent *first; /* of those that are offered */
    bool runs, stops;
} copier = {.work = PTHREAD_COND_INITIALIZER};

void wc_lent_begin(wc_lent *lent, const void *from, void *copy, size_t bytes) {
    *lent = (wc_lent){.from = from, .copy = copy, .bytes = bytes, .kept = bytes};
}

void wc_lent_spilled(wc_lent *lent, int spill, uint64_t spill_at, void *copy, size_t bytes) {
    *lent = (wc_lent){
        .copy = copy, .bytes = bytes, .spilled = true, .spill = spill, .spill_at = spill_at};
}

/* From the end on, as the writer comes from the beginning. False: all is safe or kept. */
static bool copy_step(wc_lent *lent) {
    size_t left = lent->kept > lent->safe ? lent->kept - lent->safe : 0;
    size_t n = left < STEP ? left : STEP;
    if (!n)
        return false;
    lent->kept -= n;
    if (!wc_fault_on("late_copy_left_out"))
        wc_copy(lent->copy + lent->kept, lent->from + lent->kept, n);
    return true;
}

/* The writer finds all in the copy from now on. */
static void end(wc_lent *lent) {
    lent->from = NULL;
    for (wc_lent **at = &copier.first; *at; at = &(*at)->next)
        if (*at == lent) {
            *at = lent->next;
            return;
        }
}

void wc_lent_take_back(wc_lent *lent) {
    bool more = true;
    while (more) {
        pthread_mutex_lock(&lock);
        more = lent->from && copy_step(lent);
        if (!more)
            end(lent);
        pthread_mutex_unlock(&lock);
    }
}

void wc_lent_drop(wc_lent *lent) {
    pthread_mutex_lock(&lock);
    end(lent);
    pthread_mutex_unlock(&lock);
}

/* ---- copying ahead ---- */

static void *copy_ahead(void *unused) {
    pthread_mutex_lock(&lock);
    while (!copier.stops) {
        wc_lent *lent = copier.first;
        if (!lent) {
            pthread_cond_wait(&copier.work, &lock);
            continue;
        }
        if (!copy_step(lent))
            copier.first = lent->next;
        pthread_mutex_unlock(&lock); /* the turn of others, if they wait */
        pthread_mutex_lock(&lock);
    }
    pthread_mutex_unlock(&lock);
    return unused;
}

void wc_lent_start_copier(void) {
    pthread_mutex_lock(&lock);
    copier.stops = false;
    copier.runs = copier.runs || wc_worker_start(&copier.thread, copy_ahead, NULL) == 0;
    pthread_mutex_unlock(&lock);
}

void wc_lent_stop_copier(void) {
    if (!copier.runs)
        return;
    pthread_mutex_lock(&lock);
    copier.stops = true;
    pthread_cond_signal(&copier.work);
    pthread_mutex_unlock(&lock);
    pthread_join(copier.thread, NULL);
    copier.runs = false;
}

void wc_lent_offer(wc_lent *lent) {
    pthread_mutex_lock(&lock);
    if (copier.runs && lent->from) {
        lent->next = copier.first;
        copier.first = lent;
        pthread_cond_signal(&copier.work);
    }
    pthread_mutex_unlock(&lock);
}

/* ---- the writer ---- */

static const char *base(const wc_lent *lent, size_t at, uint64_t to) {
    bool congruent = ((uintptr_t)lent->from + at - to) % PAGE == 0;
    return lent->from && congruent ? lent->from : lent->copy;
}

const char *wc_lent_where(const wc_lent *lent, size_t at, uint64_t to) {
    pthread_mutex_lock(&lock);
    const char *where = base(lent, at, to);
    pthread_mutex_unlock(&lock);
    return where;
}

/* Up to `end`, from the program's memory to the copy. */
static void copy_up_to(wc_lent *lent, size_t end) {
    while (lent->from && lent->safe < end) {
        size_t left = end - lent->safe, n = left < STEP ? left : STEP;
        wc_copy(lent->copy + lent->safe, lent->from + lent->safe, n);
        lent->safe += n;
        pthread_mutex_unlock(&lock); /* the program's turn, if it waits */
        pthread_mutex_lock(&lock);
    }
}

/* Up to `end`, from the file to the copy. The file is open for O_DIRECT where that is to be had, so all are whole pages there. */
static void fill_up_to(wc_lent *lent, size_t end) {
    static _Alignas(PAGE) char buffer[STEP];
    while (!lent->failure && lent->filled < end) {
        size_t left = lent->bytes - lent->filled, n = left < STEP ? left : STEP;
        ssize_t got = pread(lent->spill, buffer, STEP, (off_t)(lent->spill_at + lent->filled));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < (ssize_t)n) {
            lent->failure = got < 0 ? errno : EIO;
            return;
        }
        memcpy(lent->copy + lent->filled, buffer, n);
        lent->filled += n;
    }
}

/* Blocks that reach behind what is written have been hashed. */
static void free_written(wc_lent *lent) {
    uintptr_t copy = (uintptr_t)lent->copy, from = (copy + lent->freed) / PAGE * PAGE,
              to = (copy + lent->safe) / PAGE * PAGE;
    if (!lent->spilled || to <= from)
        return;
    madvise((void *)from, to - from, MADV_DONTNEED);
    lent->freed = lent->safe;
}

const char *wc_lent_hold(wc_lent *lent, size_t at, size_t end, uint64_t to) {
    pthread_mutex_lock(&lock);
    const char *where = base(lent, at, to);
    if (lent->spilled)
        fill_up_to(lent, end);
    else if (where == lent->copy)
        copy_up_to(lent, end);
    return where;
}

void wc_lent_release(void) {
    pthread_mutex_unlock(&lock);
}

/* Threads finish in any order: what is ahead waits for what lies between. If there is no room, more is copied than need be. */
static void add_ahead(wc_lent *lent, size_t at, size_t end) {
    struct wc_lent_range *room = NULL;
    for (struct wc_lent_range *r = lent->ahead; r < lent->ahead + WC_LENT_AHEAD; r++) {
        if (r->end == at && r->end) {
            r->end = end;
            return;
        }
        if (!r->end)
            room = r;
    }
    if (room)
        *room = (struct wc_lent_range){at, end};
}

static void join_ahead(wc_lent *lent) {
    struct wc_lent_range *r = lent->ahead;
    while (r < lent->ahead + WC_LENT_AHEAD)
        if (r->end && r->at <= lent->safe) {
            lent->safe = r->end > lent->safe ? r->end : lent->safe;
            r->end = 0;
            r = lent->ahead;
        } else {
            r++;
        }
}

bool wc_lent_written(wc_lent *lent, const char *from, size_t at, size_t end) {
    pthread_mutex_lock(&lock);
    bool stands = from == lent->copy || from == lent->from;
    if (stands)
        add_ahead(lent, at, end);
    join_ahead(lent);
    free_written(lent);
    pthread_mutex_unlock(&lock);
    return stands;
}
