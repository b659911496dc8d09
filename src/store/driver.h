/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * HDF5's way to a file: a driver of ours that works on a descriptor.
 *
 * - HDF5 reads and writes the very file that was made or checked, whatever its name means by now.
 * - What fails is kept here. Of a write HDF5 is told that it went well: HDF5 1.10 frees a file
 * that it can't close and keeps its id, and then the program crashes when it exits. So look at
 * `failure` before believing anything.
 * - No locks are taken, whatever HDF5_USE_FILE_LOCKING says.
 */
#ifndef WC_STORE_DRIVER_H
#define WC_STORE_DRIVER_H

#include <hdf5.h>
#include <stdbool.h>
#include <stdint.h>

/* Must outlive the HDF5 file. */
typedef struct wc_driver {
    int fd;        /* the caller's */
    bool discard;  /* the file is given up: write nothing any more */
    int failure;   /* errno of the first read or write that failed; 0: none */
    uint64_t step; /* what HDF5 asks for next for elements begins at a multiple; 0: anywhere */
} wc_driver;

/* Makes a file access property list use it. False: HDF5 can't. */
bool wc_driver_set(hid_t access, wc_driver *driver);

#endif
