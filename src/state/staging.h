/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The copy of the protected regions that a record makes, but of those that the program doesn't write before its next safe
 * point: they are lent to the writer until then (store/lent.h), and have a place here. Its memory is kept and was touched
 * beforehand: copying into fresh memory costs several times as much, and that time would be the
 * application's.
 */
#ifndef WC_STATE_STAGING_H
#define WC_STATE_STAGING_H

#include "../store/lent.h"
#include "region.h"
#include "spill.h"

typedef struct wc_staging {
    char *memory;
    size_t bytes;      /* of `memory` */
    size_t used;       /* of them, by the copies that have their place */
    wc_region *copies; /* `address` points into `memory` */
    wc_lent *lents;    /* [count], of those that are or were lent, or are in the file */
    wc_spill spill;    /* the file for copies beyond the limit */
    uint64_t spilled;  /* bytes in it */
    size_t count, room;
    bool lending; /* some may be lent still */
} wc_staging;

/* What a save callback writes into: the end of the staging memory, which grows with it. */
typedef struct wavecut_sink {
    wc_staging *staging;
    wc_region *copy; /* of the region that is being saved */
    uint64_t bytes;  /* written so far */
    uint64_t limit;  /* for all of the staging memory; 0: none */
    wc_error error;  /* the first one */
} wavecut_sink;

/*
 * Makes room for all regions, those with a save callback as long as the last time. `limit` in bytes, 0:
 * none; the arrays that are beyond it are marked in `regions`: their copies go to a file. What was staged before is lost.
 * Errors: MEMORY.
 */
wc_status wc_staging_reserve(wc_staging *staging, wc_regions *regions, uint64_t limit,
                             wc_error *error);

/* For a restart, which reads into it: gives each region its place, those with a callback whatever the limit; the arrays beyond it
 * have none (address NULL). Nothing is copied, and nothing touched: reading does that. What was staged before is lost. Errors:
 * MEMORY. */
wc_status wc_staging_lay_out(wc_staging *staging, wc_regions *regions, uint64_t limit,
                             wc_error *error);

/* Copies or lends all regions, those beyond the limit into a file in `directory`, and notes in `regions` how many elements the
 * callbacks have saved. Errors: MEMORY, when callbacks have written more than the limit; IO; CALLBACK. */
wc_status wc_staging_copy(wc_staging *staging, wc_regions *regions, uint64_t limit,
                          const char *directory, wc_error *error);

/* Of copy number i; NULL if it has been made in the record. */
wc_lent *wc_staging_lent(wc_staging *staging, size_t i);

/* The program writes its memory from now on: all of it, or that of one name. */
void wc_staging_take_back(wc_staging *staging);
void wc_staging_take_back_one(wc_staging *staging, const char *name);

/* The attempt is over: what is lent still is not needed any more. */
void wc_staging_drop(wc_staging *staging);

/* Appends to what a save callback has written. Errors: MEMORY, and from then on always. */
wc_status wc_sink_write(wavecut_sink *sink, const void *bytes, size_t count);

void wc_staging_free(wc_staging *staging);

#endif
