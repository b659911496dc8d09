/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory of the program that the writer takes bytes from, until the program wants it back.
 *
 * The program doesn't change it until it calls wc_lent_take_back. That copies what has not been written yet; the writer goes on
 * from the copy, which has the same bytes. Nobody waits for the disk:
 *
 * The writer's threads work on several parts of it at once, but take them from the beginning on.
 *
 *   - The writer's own looks at the memory, to hash or to copy, are made under a lock, a little at a time. When
 *     wc_lent_take_back returns none is under way, and none will be.
 *   - A system call that writes from the memory may be under way then, and may write what the program puts there by now, or
 *     fail because the memory is gone. So the writer asks afterwards (wc_lent_written), and writes those bytes again from the copy.
 *
 * What is written goes straight from the program's memory where its address and its place in the file agree modulo the page.
 * Elsewhere the writer copies it first, piece by piece, to where the copy has it.
 *
 * Where a core is free, a thread copies ahead, from the end on: it is faster than a disk, and the program has less to copy then.
 */
#ifndef WC_STORE_LENT_H
#define WC_STORE_LENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WC_LENT_AHEAD = 8 }; /* more than the writer has threads */

typedef struct wc_lent {
    const char *from; /* the program's; NULL: it has it back */
    char *copy;       /* room for as many bytes, that of the copies */
    size_t bytes;
    size_t safe; /* so many from the beginning on are written, or in the copy and read from there */
    size_t kept; /* and those from here on are in the copy */
    int spill;   /* `spilled`: the file that has them instead of the program, from spill_at on */
    uint64_t spill_at;
    size_t filled; /* so many of it are, or were, in the copy */
    size_t freed;  /* pages of the copy up to here are free again */
    bool spilled;
    int failure; /* errno of a read that failed; 0: none */
    struct wc_lent_range {
        size_t at, end;
    } ahead[WC_LENT_AHEAD]; /* written, too, behind some that are not yet */
    struct wc_lent *next;   /* of those that are copied ahead */
} wc_lent;

/* `copy`: the caller's until the writer is idle. */
void wc_lent_begin(wc_lent *lent, const void *from, void *copy, size_t bytes);

/* The same for bytes that are in a file: they are read into the copy piece by piece, where their pages go again when they are
 * written. */
void wc_lent_spilled(wc_lent *lent, int spill, uint64_t spill_at, void *copy, size_t bytes);

/* The thread that copies ahead: started by one whose cores, priority and blocked signals it shall have, none if there is no memory
 * for it; stopped when nothing is lent. What is lent is copied ahead if it is offered. */
void wc_lent_start_copier(void);
void wc_lent_stop_copier(void);
void wc_lent_offer(wc_lent *lent);

/* The program's thread: it changes or frees the memory from now on. */
void wc_lent_take_back(wc_lent *lent);

/* The same when nothing of it will be written any more. */
void wc_lent_drop(wc_lent *lent);

/* ---- the writer: a piece [at, end) after the other, that goes to `to` in the file ---- */

/* Where the lent bytes begin, if this piece is written now: in the program's memory, or in the copy. */
const char *wc_lent_where(const wc_lent *lent, size_t at, uint64_t to);

/* The same; they may be read up to `end` before wc_lent_release, which follows. What can't be read from a file is known by
 * `failure` then. */
const char *wc_lent_hold(wc_lent *lent, size_t at, size_t end, uint64_t to);
void wc_lent_release(void);

/* The piece has been written, or that has failed, from where wc_lent_hold said. False: the program has its memory back
 * since then, so it has to be written again. */
bool wc_lent_written(wc_lent *lent, const char *from, size_t at, size_t end);

#endif
