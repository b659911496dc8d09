/* SPDX-License-Identifier: BSD-3-Clause */
/* How a snapshot looks in HDF5: types, paths and file properties, for writing and reading alike.
 * See FORMAT.md. */
#ifndef WC_STORE_LAYOUT_H
#define WC_STORE_LAYOUT_H

#include "driver.h"
#include "store.h"

#include <hdf5.h>

/* The tables that the ranks write. */
typedef enum wc_table {
    WC_TABLE_INDEX,  /* one for each array: below /index */
    WC_TABLE_BLOCKS, /* likewise, below /blocks */
    WC_TABLE_RANKS,
    WC_TABLE_COUNTERS,
    WC_TABLE_MESSAGES,
    WC_TABLE_COMMUNICATORS,
    WC_TABLE_MEMBERS,
    WC_TABLE_PAYLOAD, /* bytes; not a table, but made and found like one */
    WC_TABLE_EVENTS,  /* from here on: of a trace, all of them or none */
    WC_TABLE_EVENT_INDEX,
    WC_TABLE_STREAMS,
    WC_TABLES
} wc_table;

const char *wc_table_path(wc_table table);
size_t wc_table_row_bytes(wc_table table);
hid_t wc_table_type(wc_table table); /* the caller closes it; negative: failed */
hid_t wc_index_type(uint32_t ndims); /* likewise; of an array's index, 0: not a global one */

hid_t wc_layout_type(wc_type type); /* likewise */
hid_t wc_layout_text(size_t bytes); /* of fixed length, UTF-8, padded with zeros */

/* Which type is it? False: none that Wavecut writes. */
bool wc_layout_type_of(hid_t type, wc_type *found);

/* Where chunk `number` of a dataset is, counted row-major, without filters. False: nowhere. */
bool wc_layout_chunk(hid_t set, uint64_t number, haddr_t *at);

/* How HDF5 opens a file here: through `driver`, in the format of 1.8. Negative: failed. */
hid_t wc_layout_access(wc_driver *driver);

/* a * b, false on overflow. */
static inline bool wc_multiply(uint64_t a, uint64_t b, uint64_t *product) {
    return !__builtin_mul_overflow(a, b, product);
}

/*
 * HDF5 prints what goes wrong; here errors are returned. The program's own setting, which it may
 * share with us, is put back.
 */
typedef struct wc_quiet {
    H5E_auto2_t print;
    void *data;
} wc_quiet;

void wc_quiet_begin(wc_quiet *quiet);
void wc_quiet_end(const wc_quiet *quiet);

/* The innermost entry of HDF5's error stack, into `text`. */
void wc_layout_cause(char *text, size_t size);

#endif
