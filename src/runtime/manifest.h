/* SPDX-License-Identifier: BSD-3-Clause */
/* The arrays of a snapshot as the whole job sees them: the union of what the ranks protect. */
#ifndef WC_RUNTIME_MANIFEST_H
#define WC_RUNTIME_MANIFEST_H

#include "../state/region.h"
#include "../store/store.h"

enum { WC_TILE_WORDS = 2 * WC_BOX_DIMS };

typedef struct wc_manifest {
    wc_array *arrays; /* sorted by name */
    size_t count;
} wc_manifest;

/* This rank's arrays, from its regions (sorted by name). Totals are 0. */
void wc_manifest_own(wc_manifest *manifest, const wc_region *regions, size_t count);

/* The same on ranks that protect the same names with the same types and global shapes. */
uint64_t wc_manifest_hash(const wc_manifest *manifest);

/*
 * Makes `manifest` the union of `lists`, `count` arrays one rank after the other.
 * Errors: TYPE, NAME: two ranks don't agree; `manifest` then is empty.
 */
wc_status wc_manifest_unite(wc_manifest *manifest, const wc_array *lists, size_t count,
                            wc_error *error);

size_t wc_manifest_find(const wc_manifest *manifest, const char *name); /* it must be there */

/* What is to be known of a rank's part of a global array: the maxima over all ranks. */
void wc_tile_say(const wc_box *box, uint64_t words[WC_TILE_WORDS]);

/*
 * From these maxima: if the parts, which fill the array, are tiles of one shape in a grid, the last ones along an axis perhaps
 * smaller, it is stored in chunks of that shape, so that each rank's part stands together in the file. Not where that
 * is so anyway, and not in chunks that are very small or too many or too large for HDF5.
 */
void wc_tile_choose(wc_array *array, const uint64_t words[WC_TILE_WORDS]);

void wc_manifest_free(wc_manifest *manifest);

#endif
