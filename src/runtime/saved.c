/* SPDX-License-Identifier: BSD-3-Clause */
#include "saved.h"

#include "runtime.h"

#include <stdlib.h>
#include <string.h>

bool wc_saved_moves(void) {
    return R.store->reader_head(R.chosen)->ranks != (uint32_t)R.ranks;
}

static uint64_t limit(void) {
    return (uint64_t)R.settings.staging_mb << 20;
}

/* ---- channels ---- */

/* As `wavecut verify` does; one rank is enough for that. */
static wc_status verify_cut(wc_error *error) {
    wc_consistency found;
    if (R.rank != 0)
        return WC_OK;
    wc_status status = R.store->reader_consistency(R.chosen, &found, error);
    if (status == WC_OK && found.findings)
        status = wc_error_set(error, WC_ERR_DAMAGED, "%s", found.witness.text);
    return status;
}

/* This rank's. If it moves there may be none at all. */
static wc_status read_messages(wc_error *error) {
    wc_saved *m = &R.saved;
    size_t all;
    wc_status status = R.store->reader_messages(R.chosen, &m->rows, &all, error);
    if (status != WC_OK)
        return status;
    for (size_t i = 0; i < all; i++)
        if (m->rows[i].destination == (uint32_t)R.rank)
            m->rows[m->count++] = m->rows[i];
    m->data = wc_core_alloc(m->count * sizeof *m->data);
    for (size_t i = 0; i < m->count && status == WC_OK; i++) {
        m->data[i] = malloc(m->rows[i].bytes ? m->rows[i].bytes : 1);
        if (!m->data[i])
            return wc_error_set(error, WC_ERR_MEMORY,
                                "no memory for a message of %llu bytes in flight",
                                (unsigned long long)m->rows[i].bytes);
        status = R.store->reader_payload(R.chosen, &m->rows[i], m->data[i], error);
    }
    return status;
}

/* ---- state ---- */

size_t wc_saved_find(const char *name) {
    const wc_array *arrays;
    size_t n = R.store->reader_arrays(R.chosen, &arrays), i = 0;
    while (i < n && strcmp(arrays[i].name, name) != 0)
        i++;
    return i;
}

wc_status wc_saved_row(size_t array, wc_index_row *row, wc_error *error) {
    const wc_array *arrays;
    R.store->reader_arrays(R.chosen, &arrays);
    const wc_region *r = wc_regions_find(&R.regions, arrays[array].name);
    if (!wc_saved_moves())
        return R.store->reader_index(R.chosen, array, (uint32_t)R.rank, row, error);
    if (!arrays[array].ndims)
        return R.store->reader_index(R.chosen, array, 0, row, error);
    *row = (wc_index_row){.present = 1};
    if (r && r->box.ndims)
        *row = wc_index_row_of(&r->box);
    return WC_OK;
}

/* `to` NULL: it is only checked. */
static wc_status read_array(const wc_region *region, void *to, wc_error *error) {
    size_t array = wc_saved_find(region->name);
    if (!wc_saved_moves())
        return R.store->reader_extent(R.chosen, array, (uint32_t)R.rank, to, error);
    if (!region->box.ndims)
        return R.store->reader_extent(R.chosen, array, 0, to, error);
    return R.store->reader_part(R.chosen, array, &region->box, to, error);
}

/* The arrays that the snapshot has of this rank. What they are for the program is not known yet. */
static wc_status list_arrays(wc_regions *list, wc_error *error) {
    const wc_array *arrays;
    size_t n = R.store->reader_arrays(R.chosen, &arrays);
    *list = (wc_regions){.at = wc_core_alloc(n * sizeof *list->at), .room = n};
    for (size_t i = 0; i < n; i++) {
        wc_index_row row;
        if (wc_saved_row(i, &row, error) != WC_OK)
            return error->status;
        if (!row.present)
            continue;
        wc_region *r = &list->at[list->count++];
        *r = (wc_region){.type = arrays[i].type, .count = row.count};
        strcpy(r->name, arrays[i].name);
        r->skew = R.store->reader_place(R.chosen, i, &row) % WC_STORE_PAGE;
    }
    return WC_OK;
}

/* All of it into staging memory, if it may have so much; else it is only checked. */
static wc_status read_state(wc_error *error) {
    wc_regions list;
    wc_status status = list_arrays(&list, error);
    if (status == WC_OK)
        status = wc_staging_lay_out(&R.staging, &list, limit(), error);
    R.saved.held = status == WC_OK;
    for (size_t k = 0; k < list.count && R.saved.held; k++)
        R.saved.held = !list.at[k].spilled;
    for (size_t k = 0; k < list.count && status == WC_OK; k++)
        status = read_array(&list.at[k], R.saved.held ? R.staging.copies[k].address : NULL, error);
    wc_regions_free(&list);
    return status;
}

wc_status wc_saved_open(const char *path, wc_error *error) {
    if (R.store->reader_open(path, &R.chosen, error) != WC_OK || verify_cut(error) != WC_OK ||
        read_messages(error) != WC_OK)
        return error->status;
    return wc_saved_moves() ? WC_OK : read_state(error);
}

/* ---- for the program ---- */

/* What is staged is the copy of what the program protects. What a callback gets must be aligned. */
static void adopt(wc_region *copy) {
    wc_region *r = wc_regions_find(&R.regions, copy->name);
    char *staged = copy->address, *place = staged - copy->skew;
    if (r->save) {
        r->count = copy->count;
        memmove(place, staged, wc_region_bytes(copy));
    }
    r->skew = copy->skew;
    *copy = *r;
    copy->address = r->save ? place : staged;
}

/* How many bytes there are for callbacks, and where in the file, the snapshot says. */
static wc_status look_up(wc_region *r, wc_error *error) {
    wc_index_row row;
    size_t array = wc_saved_find(r->name);
    wc_status status = wc_saved_row(array, &row, error);
    if (status != WC_OK)
        return status;
    if (r->save) {
        r->count = row.count;
        r->skew = 0; /* what it gets must be aligned */
    } else if (!wc_saved_moves()) {
        r->skew = R.store->reader_place(R.chosen, array, &row) % WC_STORE_PAGE;
    }
    return WC_OK;
}

wc_status wc_saved_stage(wc_error *error) {
    wc_status status = WC_OK;
    for (size_t k = 0; k < R.staging.count && R.saved.held; k++)
        adopt(&R.staging.copies[k]);
    if (R.saved.held)
        return WC_OK;
    for (size_t k = 0; k < R.regions.count && status == WC_OK; k++)
        status = look_up(&R.regions.at[k], error);
    if (status == WC_OK)
        status = wc_staging_lay_out(&R.staging, &R.regions, limit(), error);
    for (size_t k = 0; k < R.staging.count && status == WC_OK; k++) {
        const wc_region *copy = &R.staging.copies[k];
        if (copy->address || wc_saved_moves()) /* else it has been checked */
            status = read_array(copy, copy->address, error);
    }
    return status;
}

/* There is one. */
static const wc_region *copy_of(const wc_region *region) {
    const wc_region *copy = R.staging.copies;
    while (strcmp(copy->name, region->name) != 0)
        copy++;
    return copy;
}

wc_status wc_saved_fill_rest(wc_error *error) {
    wc_status status = WC_OK;
    for (size_t k = 0; k < R.regions.count && status == WC_OK; k++)
        if (!copy_of(&R.regions.at[k])->address)
            status = read_array(&R.regions.at[k], R.regions.at[k].address, error);
    return status;
}

void wc_saved_fill(void) {
    for (size_t k = 0; k < R.regions.count; k++) {
        const wc_region *r = &R.regions.at[k], *copy = copy_of(r);
        if (copy->address && r->count && !r->save)
            memcpy(r->address, copy->address, wc_region_bytes(r));
    }
}

void wc_saved_close(void) {
    for (size_t i = 0; i < R.saved.count && R.saved.data; i++)
        free(R.saved.data[i]);
    free(R.saved.data);
    free(R.saved.rows);
    R.saved = (wc_saved){0};
    if (R.chosen)
        R.store->reader_close(R.chosen);
    R.chosen = NULL;
}
