/* SPDX-License-Identifier: BSD-3-Clause */
/* The protected regions of this rank, sorted by name: what a snapshot saves and a restart fills. */
#ifndef WC_STATE_REGION_H
#define WC_STATE_REGION_H

#include "../store/box.h"
#include "../store/error.h"
#include "../store/type.h"

enum { WC_REGION_NAME_BYTES = 256 };

struct wavecut_sink;

typedef struct wc_region {
    char name[WC_REGION_NAME_BYTES];
    void *address;
    uint64_t count; /* elements of this rank; with `save`: those of the last time */
    wc_type type;
    wc_box box;  /* of a global array; ndims 0: a local one */
    size_t skew; /* where its bytes begin in a page of the file, as far as is known */
    /* State that is no flat memory: `save` writes its bytes into the sink, `load` takes them back. Both
     * return 0 or what went wrong. NULL: `address` has them. */
    int (*save)(void *user, struct wavecut_sink *sink);
    int (*load)(void *user, const void *bytes, size_t count);
    void *user;
    bool stable;  /* the program doesn't write it before its next safe point */
    bool told;    /* that it can't be written straight from there */
    bool spilled; /* its copy doesn't fit into memory, and goes to a file */
    bool fortran; /* requests at `user` are handles of Fortran */
} wc_region;

typedef struct wc_regions {
    wc_region *at;
    size_t count, room;
} wc_regions;

/* Is this a name that a snapshot can hold? */
wc_status wc_region_check_name(const char *name, wc_error *error);

/* Adds a region, or puts the new one in the place of the one with its name. Copies `region`. */
wc_status wc_regions_put(wc_regions *regions, const wc_region *region, wc_error *error);

wc_status wc_regions_remove(wc_regions *regions, const char *name, wc_error *error);
wc_region *wc_regions_find(const wc_regions *regions, const char *name); /* NULL: none */
void wc_regions_free(wc_regions *regions);

static inline uint64_t wc_region_bytes(const wc_region *region) {
    return region->count * wc_type_bytes(region->type);
}

#endif
