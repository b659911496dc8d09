/* SPDX-License-Identifier: BSD-3-Clause */
#include "box.h"

#include "store.h"

#include <string.h>

bool wc_box_check(const wc_box *box, uint64_t *count) {
    uint64_t whole = 1;
    for (uint32_t d = 0; d < box->ndims; d++)
        if (box->offset[d] > box->global[d] || box->local[d] > box->global[d] - box->offset[d] ||
            __builtin_mul_overflow(whole, box->global[d], &whole) || whole > INT64_MAX)
            return false;
    *count = wc_box_elements(box); /* not more than `whole`, or one of its sides is 0 */
    return true;
}

uint64_t wc_box_elements(const wc_box *box) {
    uint64_t part = 1;
    for (uint32_t d = 0; d < box->ndims; d++)
        part *= box->local[d];
    return part;
}

uint64_t wc_box_whole(const wc_box *box) {
    uint64_t whole = 1;
    for (uint32_t d = 0; d < box->ndims; d++)
        whole *= box->global[d];
    return whole;
}

uint64_t wc_box_first(const wc_box *box) {
    uint64_t place = 0;
    for (uint32_t d = 0; d < box->ndims; d++)
        place = place * box->global[d] + box->offset[d];
    return place;
}

/* ---- the way through its pieces ---- */

uint64_t wc_chunk_step(uint64_t bytes) {
    return (bytes + WC_STORE_PAGE - 1) / WC_STORE_PAGE * WC_STORE_PAGE;
}

void wc_box_walk_begin(wc_box_walk *w, const wc_box *box, const uint64_t *chunk, uint64_t each) {
    *w = (wc_box_walk){
        .box = box, .chunk = chunk, .each = each, .axes = box->ndims, .slice = each, .step = each};
    memcpy(w->at, box->offset, sizeof w->at);
    for (uint32_t d = 0; d < box->ndims; d++) {
        w->over = w->over || !box->local[d];
        w->step *= chunk[d];
    }
    w->step = wc_chunk_step(w->step);
    while (!w->over && w->axes > 0 && w->at[w->axes - 1] % chunk[w->axes - 1] == 0 &&
           box->local[w->axes - 1] == chunk[w->axes - 1])
        w->slice *= chunk[--w->axes];
}

void wc_box_walk_seek(wc_box_walk *w, uint64_t from) {
    uint64_t slices = from / w->slice;
    w->skip = from % w->slice;
    for (uint32_t d = w->axes; d-- > 0; slices /= w->box->local[d])
        w->at[d] = w->box->offset[d] + slices % w->box->local[d];
}

static uint64_t place_of(const wc_box_walk *w) {
    uint64_t number = 0, inside = 0;
    for (uint32_t d = 0; d < w->box->ndims; d++) {
        uint64_t chunk = w->chunk[d], chunks = (w->box->global[d] - 1) / chunk + 1;
        number = number * chunks + w->at[d] / chunk;
        inside = inside * chunk + w->at[d] % chunk;
    }
    return number * w->step + inside * w->each;
}

static void carry(wc_box_walk *w, uint32_t axis) {
    while (w->at[axis] == w->box->offset[axis] + w->box->local[axis]) {
        w->at[axis] = w->box->offset[axis];
        if (axis == 0) {
            w->over = true;
            return;
        }
        w->at[--axis]++;
    }
}

bool wc_box_walk_next(wc_box_walk *w, uint64_t *place, uint64_t *bytes) {
    if (w->over)
        return false;
    *place = place_of(w) + w->skip;
    *bytes = w->slice;
    if (w->axes) {
        uint32_t axis = w->axes - 1;
        uint64_t left = w->box->offset[axis] + w->box->local[axis] - w->at[axis];
        uint64_t in_chunk = w->chunk[axis] - w->at[axis] % w->chunk[axis];
        uint64_t n = left < in_chunk ? left : in_chunk;
        *bytes *= n;
        w->at[axis] += n;
        carry(w, axis);
    } else {
        w->over = true;
    }
    *bytes -= w->skip;
    w->skip = 0;
    return true;
}

wc_box wc_index_box(const wc_array *array, const wc_index_row *row) {
    wc_box box = {.ndims = array->ndims};
    for (uint32_t d = 0; d < box.ndims; d++) {
        box.global[d] = array->shape[d];
        box.offset[d] = row->box[d];
        box.local[d] = row->box[box.ndims + d];
    }
    return box;
}

wc_index_row wc_index_row_of(const wc_box *box) {
    wc_index_row row = {.present = 1, .count = wc_box_elements(box)};
    for (uint32_t d = 0; d < box->ndims; d++) {
        row.box[d] = box->offset[d];
        row.box[box->ndims + d] = box->local[d];
    }
    row.first = row.count ? wc_box_first(box) : 0;
    return row;
}

/* ---- do boxes fill the whole? ---- */

static uint64_t mix(uint64_t h, uint64_t x) {
    h = (h ^ x) * UINT64_C(0x9E3779B97F4A7C15);
    h = (h ^ h >> 32) * UINT64_C(0xD6E8FEB86659FD93);
    return h ^ h >> 29;
}

static uint64_t sum_of_corners(uint32_t ndims, const uint64_t *from, const uint64_t *size) {
    uint64_t sum = 0;
    for (uint32_t corner = 0; corner < 1u << ndims; corner++) {
        uint64_t h = 7;
        for (uint32_t d = 0; d < ndims; d++)
            h = mix(h, from[d] + (corner >> d & 1 ? size[d] : 0));
        sum += __builtin_parity(corner) ? -h : h;
    }
    return sum;
}

uint64_t wc_box_sum(const wc_box *box) {
    return sum_of_corners(box->ndims, box->offset, box->local);
}

uint64_t wc_box_whole_sum(const wc_box *box) {
    static const uint64_t origin[WC_BOX_DIMS];
    return sum_of_corners(box->ndims, origin, box->global);
}
