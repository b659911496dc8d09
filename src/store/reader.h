/* SPDX-License-Identifier: BSD-3-Clause */
/* A snapshot that is open for reading. HDF5 says where things are, once, at the opening; bytes are
 * read with pread. */
#ifndef WC_STORE_READER_H
#define WC_STORE_READER_H

#include "layout.h"
#include "trailer.h"

typedef struct wc_place {
    uint64_t offset, count; /* elements or rows */
} wc_place;

struct wc_reader {
    int fd;
    int direct; /* by wc_direct_open */
    char *path;
    wc_trailer trailer;
    wc_snapshot_head head;
    char *mpi_library, *program, *version; /* the head's */
    wc_array *arrays;                      /* by name */
    wc_place *data, *index, *blocks;       /* [count] */
    size_t count, room;
    uint64_t claimed; /* bytes that the datasets and objects found so far take in the file */
    wc_place tables[WC_TABLES]; /* those of arrays are not among them */
    wc_reader_watcher watch;    /* NULL: nobody */
    void *watcher;
};

/* Fills everything but fd, path and trailer. Errors: DAMAGED, UNSUPPORTED, MEMORY. */
wc_status wc_reader_scan(wc_reader *reader, wc_error *error);

/* Rows of a table, malloc'd, checked against their hashes. */
wc_status wc_reader_rows(wc_reader *reader, wc_table table, void **rows, size_t *count,
                         wc_error *error);

/* All rows of an array's index. */
wc_status wc_reader_index_rows(wc_reader *reader, size_t array, wc_index_row **rows,
                               wc_error *error);

/* Reads `row`'s elements, or only verifies them (`to` NULL). */
wc_status wc_reader_elements(wc_reader *reader, size_t array, uint32_t rank,
                             const wc_index_row *row, void *to, wc_error *error);

/* Is it a part of the array? Errors: DAMAGED. */
wc_status wc_reader_check_row(const wc_reader *reader, size_t array, uint32_t rank,
                              const wc_index_row *row, wc_error *error);

/* wc_reader_part, where the index, with a row for each rank, is at hand and sound. */
wc_status wc_reader_gather(wc_reader *reader, size_t array, const wc_index_row *rows,
                           const wc_box *part, void *to, wc_error *error);

/* Reads `count` blocks of `row`'s elements from block `first` on, which are there, and checks each. `to` NULL: nowhere. */
wc_status wc_reader_blocks(wc_reader *reader, size_t array, uint32_t rank, const wc_index_row *row,
                           uint64_t first, uint64_t count, void *to, wc_error *error);

wc_status wc_reader_damaged(const wc_reader *reader, wc_error *error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
