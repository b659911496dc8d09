/* SPDX-License-Identifier: BSD-3-Clause */
/* The arrays of a snapshot as the whole job sees them: the union of what the ranks protect. */
#ifndef WC_RUNTIME_MANIFEST_H
#define WC_RUNTIME_MANIFEST_H

#include "../state/region.h"
#include "../store/store.h"

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

void wc_manifest_free(wc_manifest *manifest);

#endif
