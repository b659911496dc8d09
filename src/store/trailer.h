/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What follows HDF5's own end of the file: hashes by which a damaged file is known before HDF5
 * reads it.
 *
 * The file is cut into extents that ranks wrote (listed) and all the rest (HDF5's metadata). The
 * rest is hashed as one; so is each extent of rows. Extents of data carry their own checksums in
 * the rows.
 */
#ifndef WC_STORE_TRAILER_H
#define WC_STORE_TRAILER_H

#include "error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct wc_extent {
    uint64_t offset, bytes;
    uint64_t hashed; /* 1: `hash` is of its bytes; 0: data, with checksums elsewhere */
    uint64_t hash;   /* XXH3-64 */
} wc_extent;

/* Appends the trailer to the file. Sorts `extents` and fills their hashes. */
wc_status wc_trailer_write(int fd, const char *path, wc_extent *extents, size_t count,
                           wc_error *error);

/* Checks it by plain reads. Errors: DAMAGED, IO, MEMORY. */
wc_status wc_trailer_check(int fd, const char *path, wc_error *error);

/* Reads exactly `bytes`. Errors: DAMAGED (the file ends before), IO. */
wc_status wc_read_exactly(int fd, const char *path, void *to, size_t bytes, uint64_t from,
                          wc_error *error);

/* XXH3-64 of a part of the file. Errors: as above, MEMORY. */
wc_status wc_hash_part(int fd, const char *path, uint64_t from, uint64_t bytes, uint64_t *hash,
                       wc_error *error);

#endif
