/* SPDX-License-Identifier: BSD-3-Clause */
/* The HDF5 types of a snapshot, shared by the side that writes and the one that reads. FORMAT.md
 * describes them. */
#ifndef WC_STORE_LAYOUT_H
#define WC_STORE_LAYOUT_H

#include "store.h"

#include <hdf5.h>

enum { WC_FORMAT_VERSION = 1 };

/* The tables of rows, one dataset each. */
typedef enum wc_table {
    WC_TABLE_RANKS,
    WC_TABLE_INDEX, /* one for each array */
    WC_TABLE_COUNTERS,
    WC_TABLE_MESSAGES,
    WC_TABLE_COMMUNICATORS
} wc_table;

/* All return a new type, or < 0. */
hid_t wc_layout_element(wc_type type);
hid_t wc_layout_row(wc_table table);
hid_t wc_layout_string(size_t bytes); /* fixed length, UTF-8, padded with zeros */

size_t wc_layout_row_bytes(wc_table table);

/* Writes the text: `what`, the path, and the innermost message of HDF5's error stack. */
wc_status wc_layout_error(wc_error *error, wc_status status, const char *what, const char *path);

#endif
