/* SPDX-License-Identifier: BSD-3-Clause */
/* Where a run is too large: a line through the runs of the same program and method, over log2 n, or
 * over n for the textbook. Least squares; said in the output. */
#include "scale.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

static const size_t fields[] = {
    offsetof(scale_result, armed),         offsetof(scale_result, recorded),
    offsetof(scale_result, closed),        offsetof(scale_result, rank_armed),
    offsetof(scale_result, rank_recorded), offsetof(scale_result, rank_closed),
    offsetof(scale_result, first),         offsetof(scale_result, channels),
    offsetof(scale_result, markers),       offsetof(scale_result, lazy),
    offsetof(scale_result, messages),      offsetof(scale_result, cut_bytes),
    offsetof(scale_result, copied),        offsetof(scale_result, stalled),
    offsetof(scale_result, core_bytes)};

static double *field(const scale_result *row, size_t offset) {
    return (double *)((char *)row + offset);
}

static double position(const scale_result *row) {
    bool linear = strcmp(row->method, "textbook") == 0;
    return linear ? row->ranks : log2(row->ranks);
}

static bool is_like(const scale_result *row, const scale_result *wanted) {
    return row->ended && strcmp(row->program, wanted->program) == 0 &&
           strcmp(row->method, wanted->method) == 0 && strcmp(row->kept, "fitted") != 0;
}

bool scale_fit(const scale_result *rows, size_t n, scale_result *wanted) {
    double count = 0, x = 0, xx = 0;
    for (size_t i = 0; i < n; i++)
        if (is_like(&rows[i], wanted)) {
            count++;
            x += position(&rows[i]);
            xx += position(&rows[i]) * position(&rows[i]);
        }
    if (count < 3)
        return false;
    for (size_t f = 0; f < sizeof fields / sizeof *fields; f++) {
        double y = 0, xy = 0;
        for (size_t i = 0; i < n; i++)
            if (is_like(&rows[i], wanted)) {
                y += *field(&rows[i], fields[f]);
                xy += *field(&rows[i], fields[f]) * position(&rows[i]);
            }
        double slope = (count * xy - x * y) / (count * xx - x * x);
        *field(wanted, fields[f]) = (y - slope * x) / count + slope * position(wanted);
    }
    wanted->kept = "fitted";
    wanted->ended = wanted->exact = true;
    return true;
}
