/* SPDX-License-Identifier: BSD-3-Clause */
#include "lent.h"

#include "copy.h"
#include "fault.h"

#include <pthread.h>

/* How long the program may have to wait for the writer's thread, and that for the program. */
enum { STEP = 256 << 10, PAGE = 4096 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of all: one program, one writer */

void wc_lent_begin(wc_lent *lent, const void *from, void *copy, size_t bytes) {
    *lent = (wc_lent){.from = from, .copy = copy, .bytes = bytes};
}

/* From the end on, as the writer comes from the beginning. */
static bool copy_step(wc_lent *lent, size_t *kept) {
    size_t left = *kept > lent->safe ? *kept - lent->safe : 0, n = left < STEP ? left : STEP;
    *kept -= n;
    if (n && !wc_fault_on("late_copy_left_out"))
        wc_copy(lent->copy + *kept, lent->from + *kept, n);
    return n < left;
}

void wc_lent_take_back(wc_lent *lent) {
    size_t kept = lent->bytes;
    bool more = true;
    while (more) {
        pthread_mutex_lock(&lock);
        more = lent->from && copy_step(lent, &kept);
        if (!more)
            lent->from = NULL;
        pthread_mutex_unlock(&lock);
    }
}

void wc_lent_drop(wc_lent *lent) {
    pthread_mutex_lock(&lock);
    lent->from = NULL;
    pthread_mutex_unlock(&lock);
}

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

const char *wc_lent_hold(wc_lent *lent, size_t at, size_t end, uint64_t to) {
    pthread_mutex_lock(&lock);
    const char *where = base(lent, at, to);
    if (where == lent->copy)
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
    pthread_mutex_unlock(&lock);
    return stands;
}
