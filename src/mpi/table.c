/* SPDX-License-Identifier: BSD-3-Clause */
#include "table.h"

#include "../core/stream.h"

#include <stdlib.h>

enum { SIZE = 1024 };

static void make(wc_table *table, size_t size) {
    *table = (wc_table){.entries = wc_core_alloc(size * sizeof *table->entries), .mask = size - 1};
}

void wc_table_open(wc_table *table) {
    make(table, SIZE);
}

void wc_table_close(wc_table *table) {
    free(table->entries);
    *table = (wc_table){0};
}

static void grow(wc_table *table) {
    wc_table old = *table;
    make(table, 2 * (old.mask + 1));
    for (size_t i = 0; i <= old.mask; i++)
        if (old.entries[i].value)
            wc_table_insert(table, old.entries[i].handle, old.entries[i].value);
    free(old.entries);
}

void wc_table_insert(wc_table *table, MPI_Request handle, void *value) {
    if (2 * (table->count + 1) > table->mask)
        grow(table);
    size_t i = wc_table_hash(handle) & table->mask;
    while (table->entries[i].value)
        i = (i + 1) & table->mask;
    table->entries[i] = (wc_entry){handle, value};
    table->count++;
}

/* Those behind it move up, so that looking for one needs no tombstones. */
void wc_table_remove(wc_table *table, MPI_Request handle) {
    wc_entry *at = table->entries;
    size_t mask = table->mask, hole = wc_table_hash(handle) & mask;
    while (at[hole].handle != handle)
        hole = (hole + 1) & mask;
    for (size_t i = (hole + 1) & mask; at[i].value; i = (i + 1) & mask) {
        size_t home = wc_table_hash(at[i].handle) & mask;
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            at[hole] = at[i];
            hole = i;
        }
    }
    at[hole] = (wc_entry){MPI_REQUEST_NULL, NULL};
    table->count--;
}
