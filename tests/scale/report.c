/* SPDX-License-Identifier: BSD-3-Clause */
#include "scale.h"

#include <stdio.h>
#include <string.h>

static void show(const scale_result *r) {
    printf(
        "%10.1f %10.1f %10.1f %10.1f %3u +%2u %8.1f %8.1f %6.2f %8.1f %9.0f %9.0f %9.1f %8.0f%s\n",
        r->armed / 1e3, r->recorded / 1e3, r->closed / 1e3, r->first / 1e3, r->voids, r->void_again,
        r->channels, r->markers, r->lazy, r->messages, r->cut_bytes, r->copied, r->stalled / 1e3,
        r->core_bytes, r->exact ? "" : "  MARKERS WRONG");
}

void scale_table(const scale_result *rows, size_t n) {
    printf("%-18s %-9s %8s %-8s %10s %10s %10s %10s %7s %8s %8s %6s %8s %9s %9s %9s %8s\n",
           "program", "method", "ranks", "tables", "armed us", "record us", "close us", "first us",
           "void", "channels", "markers", "lazy", "messages", "cut B", "copied B", "stall us",
           "core B");
    for (size_t i = 0; i < n; i++) {
        const scale_result *r = &rows[i];
        printf("%-18s %-9s %8u %-8s ", r->program, r->method, r->ranks, r->kept);
        if (!r->ended)
            printf("%s\n", r->voids ? "no snapshot" : "not run");
        else
            show(r);
        if (r->voids + r->void_again)
            printf("%28s void: a rank %s\n", "", wc_reason_text((wc_reason)r->reason));
    }
}

json_t *scale_json(const scale_result *rows, size_t n) {
    json_t *all = json_array();
    for (size_t i = 0; i < n; i++) {
        const scale_result *r = &rows[i];
        json_t *row =
            json_pack("{s:s, s:s, s:i, s:s, s:b, s:f, s:f, s:f, s:f, s:i, s:i, s:b}", "program",
                      r->program, "method", r->method, "ranks", (int)r->ranks, "tables", r->kept,
                      "ended", r->ended, "armed_ns", r->armed, "recorded_ns", r->recorded,
                      "closed_ns", r->closed, "first_commit_ns", r->first, "voids", (int)r->voids,
                      "voids_again", (int)r->void_again, "markers_are_channels", r->exact);
        json_t *per_rank = json_pack(
            "{s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "channels", r->channels,
            "markers", r->markers, "lazy_markers", r->lazy, "messages", r->messages, "cut_bytes",
            r->cut_bytes, "copied_bytes", r->copied, "stalled_ns", r->stalled, "core_bytes",
            r->core_bytes, "step_ns", r->step_ns, "armed_ns", r->rank_armed, "recorded_ns",
            r->rank_recorded, "closed_ns", r->rank_closed);
        json_object_set_new(row, "per_rank", per_rank);
        json_array_append_new(all, row);
    }
    return all;
}
