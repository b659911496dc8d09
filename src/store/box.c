/* SPDX-License-Identifier: BSD-3-Clause */
#include "box.h"

#include "store.h"

bool wc_box_check(const wc_box *box, uint64_t *count) {
    uint64_t whole = 1, part = 1;
    for (uint32_t d = 0; d < box->ndims; d++) {
        if (box->offset[d] > box->global[d] || box->local[d] > box->global[d] - box->offset[d] ||
            __builtin_mul_overflow(whole, box->global[d], &whole) || whole > INT64_MAX)
            return false;
        part *= box->local[d]; /* not more than `whole`, or one of them is 0 */
    }
    *count = part;
    return true;
}

uint64_t wc_box_whole(const wc_box *box) {
    uint64_t whole = 1;
    for (uint32_t d = 0; d < box->ndims; d++)
        whole *= box->global[d];
    return whole;
}

wc_runs wc_box_runs(const wc_box *box) {
    wc_runs runs = {.count = 1, .length = 1, .outer = box->ndims};
    bool whole = true; /* all axes behind are */
    while (whole && runs.outer > 0) {
        runs.length *= box->local[--runs.outer];
        whole = box->local[runs.outer] == box->global[runs.outer];
    }
    for (uint32_t d = 0; d < runs.outer; d++)
        runs.count *= box->local[d];
    if (!runs.length)
        runs.count = 0;
    return runs;
}

uint64_t wc_box_place(const wc_box *box, const wc_runs *runs, uint64_t i) {
    uint64_t place = 0, stride = 1;
    for (uint32_t d = box->ndims; d > 0; d--) {
        uint64_t at = box->offset[d - 1];
        if (d <= runs->outer) {
            at += i % box->local[d - 1];
            i /= box->local[d - 1];
        }
        place += at * stride;
        stride *= box->global[d - 1];
    }
    return place;
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
    wc_index_row row = {.present = 1};
    wc_runs runs = wc_box_runs(box);
    row.count = runs.count * runs.length;
    row.first = row.count ? wc_box_place(box, &runs, 0) : 0;
    for (uint32_t d = 0; d < box->ndims; d++) {
        row.box[d] = box->offset[d];
        row.box[box->ndims + d] = box->local[d];
    }
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
