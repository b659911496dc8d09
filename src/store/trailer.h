/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What stands behind the end of the HDF5 file and protects everything in it that has no checksum of
 * its own: HDF5's metadata with one hash, and the tables that the ranks wrote with one hash for
 * each block (block.h), so that a rank that needs one row reads one block. See FORMAT.md. Plain reads: the
 * hashes are checked before HDF5 sees the file.
 */
#ifndef WC_STORE_TRAILER_H
#define WC_STORE_TRAILER_H

#include "error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WC_FORMAT_VERSION 2 /* of the trailer and of all of the file */

typedef enum wc_extent_kind {
    WC_EXTENT_DATA = 0, /* state and payload: checksums are in the tables */
    WC_EXTENT_ROWS = 1  /* a table: hashed here, by blocks */
} wc_extent_kind;

/* Bytes of the file that are not HDF5's metadata. */
typedef struct wc_extent {
    uint64_t offset, size, kind;
} wc_extent;

typedef struct wc_extents {
    wc_extent *at;
    size_t count, room;
} wc_extents;

/* `count` of them, each `step` bytes behind the one before; those that touch are one. Empty ones are left out. Errors:
 * MEMORY. */
wc_status wc_extents_add(wc_extents *extents, wc_extent extent, uint64_t count, uint64_t step,
                         wc_error *error);

typedef struct wc_trailer {
    uint64_t end; /* of the HDF5 file: the trailer begins here */
    uint64_t metadata_hash;
    wc_extents extents;   /* by offset, without overlap */
    uint64_t *first_hash; /* [extents.count] of an extent's blocks, in `hashes` */
    uint64_t *hashes;
    size_t hash_count;
    char *block; /* of a table, the one that was read last: at block_at in the file; 0: none yet */
    uint64_t block_at;
} wc_trailer;

/* Hashes the closed HDF5 file `fd` and appends its trailer. Sorts `extents`. Errors: IO, MEMORY. */
wc_status wc_trailer_append(int fd, const char *path, wc_extents *extents, wc_error *error);

/* Do a trailer's beginning and end stand where they should? Of a damaged snapshot, too. */
bool wc_trailer_is_there(int fd);

/* Reads the trailer of `fd` and checks it and the metadata. Errors: DAMAGED, UNSUPPORTED (another
 * version), IO, MEMORY. */
wc_status wc_trailer_read(int fd, const char *path, wc_trailer *trailer, wc_error *error);

/* Are these exactly what wc_extents_add has added? Empty ones are. */
bool wc_trailer_has(const wc_trailer *trailer, wc_extent extent, uint64_t count, uint64_t step);

/* Reads and checks `bytes` from `offset`, inside a table called `what`. Errors: DAMAGED, IO,
 * MEMORY. */
wc_status wc_trailer_rows(wc_trailer *trailer, int fd, const char *path, const char *what,
                          uint64_t offset, size_t bytes, void *to, wc_error *error);

void wc_trailer_free(wc_trailer *trailer);

#endif
