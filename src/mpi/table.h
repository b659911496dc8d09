/* SPDX-License-Identifier: BSD-3-Clause */
/* Something by the handle of a request: open addressing. Who puts it in owns it. */
#ifndef WC_MPI_TABLE_H
#define WC_MPI_TABLE_H

#include <mpi.h>
#include <stddef.h>
#include <stdint.h>

typedef struct wc_entry {
    MPI_Request handle;
    void *value; /* NULL: free */
} wc_entry;

typedef struct wc_table {
    wc_entry *entries;
    size_t mask, count;
} wc_table;

void wc_table_open(wc_table *table);
void wc_table_close(wc_table *table);
void wc_table_insert(wc_table *table, MPI_Request handle, void *value);
void wc_table_remove(wc_table *table, MPI_Request handle); /* it must be there */

/* The highest bits are the best. */
static inline uint64_t wc_table_spread(MPI_Request handle) {
    return (uint64_t)(uintptr_t)handle * UINT64_C(0x9E3779B97F4A7C15);
}

static inline size_t wc_table_hash(MPI_Request handle) {
    return (size_t)(wc_table_spread(handle) >> 40);
}

/* NULL: it isn't there. */
static inline void *wc_table_find(const wc_table *table, MPI_Request handle) {
    size_t i = wc_table_hash(handle) & table->mask;
    const wc_entry *e;
    while ((e = &table->entries[i])->value && e->handle != handle)
        i = (i + 1) & table->mask;
    return e->value;
}

/* Each value; the table must not change meanwhile. */
#define WC_EACH_ENTRY(table, type, var)                                                            \
    for (size_t var##_i = 0; (table)->count && var##_i <= (table)->mask; var##_i++)                \
        for (type *var = (table)->entries[var##_i].value; var; var = NULL)

#endif
