/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The copy of the protected regions that a record makes. Its memory is kept and was touched
 * beforehand: copying into fresh memory costs several times as much, and that time would be the
 * application's.
 */
#ifndef WC_STATE_STAGING_H
#define WC_STATE_STAGING_H

#include "region.h"

typedef struct wc_staging {
    char *memory;
    size_t bytes;      /* of `memory` */
    wc_region *copies; /* `address` points into `memory` */
    size_t count, room;
} wc_staging;

/*
 * Makes room for all regions. `limit` in bytes, 0: none. What was staged before is lost.
 * Errors: MEMORY.
 */
wc_status wc_staging_reserve(wc_staging *staging, const wc_regions *regions, uint64_t limit,
                             wc_error *error);

/* Gives each region its place; nothing is copied. There must be room (wc_staging_reserve). */
void wc_staging_lay_out(wc_staging *staging, const wc_regions *regions);

/* Copies all regions. Errors: MEMORY, when regions have grown over the limit. */
wc_status wc_staging_copy(wc_staging *staging, const wc_regions *regions, uint64_t limit,
                          wc_error *error);

void wc_staging_free(wc_staging *staging);

#endif
