/* SPDX-License-Identifier: BSD-3-Clause */
/* A snapshot that is being written, as create.c and publish.c share it. */
#ifndef WC_STORE_FILE_H
#define WC_STORE_FILE_H

#include "directory.h"
#include "driver.h"
#include "trailer.h"

#include <hdf5.h>

struct wc_store_file {
    int dir;  /* everything is done relative to it */
    int fd;   /* holds the writer's lock as long as it is open */
    hid_t h5; /* negative: not open */
    wc_driver driver;
    bool named;      /* it has had its final name, and may have it again after a crash */
    uint64_t size;   /* space that has been taken */
    uint64_t stripe; /* where state of this size and more begins */
    wc_extents extents;
    char *path; /* of the .partial */
    char partial[WC_FILE_NAME_BYTES], final[WC_FILE_NAME_BYTES];
};

/* Is the name still that of the file that was made? */
bool wc_file_is_ours(const wc_store_file *file, const char *name);

/* The error of file->driver.failure. */
wc_status wc_file_metadata_failed(const wc_store_file *file, wc_error *error);

#endif
