/* SPDX-License-Identifier: BSD-3-Clause */
#include "runstate.h"

#include "progressread.h"
#include "runlog.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t highest_step(wc_reader *reader, wc_error *error) {
    wc_rank_row *rows = NULL;
    size_t count = 0;
    uint64_t highest = 0;
    if (wc_reader_ranks(reader, &rows, &count, error) == WC_OK)
        for (size_t i = 0; i < count; i++)
            highest = rows[i].step > highest ? rows[i].step : highest;
    free(rows);
    return highest;
}

/* Another user's is left to the library, which refuses it with the reason. */
static bool is_whole(const char *dir, uint64_t id, run_state *state, wc_error *error) {
    char path[PATH_MAX];
    wc_reader *reader;
    wc_store_snapshot_path(dir, id, path, sizeof path);
    snprintf(state->file, sizeof state->file, "%.63s", strrchr(path, '/') + 1);
    if (!wc_store_is_trusted(dir, id)) {
        wc_error_set(error, WC_ERR_DAMAGED, "it belongs to another user");
        return false;
    }
    if (wc_reader_open(path, &reader, error) != WC_OK)
        return false;
    state->id = id;
    state->step = highest_step(reader, error);
    state->time = wc_reader_head(reader)->time;
    wc_reader_close(reader);
    return error->status == WC_OK;
}

wc_status run_state_read(const char *dir, uint64_t above, double before, run_state *state,
                         wc_error *error) {
    uint64_t *ids;
    size_t count;
    run_state found = {0};
    wc_status status = wc_store_list(dir, &ids, &count, error);
    if (status != WC_OK)
        return status;
    for (size_t i = 0; i < count && ids[i] > above; i++) {
        wc_error why = {WC_OK, ""};
        found = (run_state){0};
        if (is_whole(dir, ids[i], &found, &why))
            break;
        run_log("%s can't be used: %s", found.file, why.text);
        found = (run_state){0};
    }
    free(ids);
    found.furthest = run_state_step(dir, before);
    *state = found;
    return WC_OK;
}

double run_state_teller(const char *dir) {
    progress told;
    wc_error error;
    return progress_read(dir, &told, &error) == WC_OK ? told.started : 0;
}

uint64_t run_state_step(const char *dir, double before) {
    progress told;
    wc_error error;
    bool of_job = progress_read(dir, &told, &error) == WC_OK && told.started != before;
    return of_job ? told.step : 0;
}

uint64_t run_state_newest(const char *dir) {
    uint64_t *ids, newest = 0;
    size_t count;
    wc_error error;
    if (wc_store_list(dir, &ids, &count, &error) != WC_OK)
        return 0;
    newest = count ? ids[0] : 0;
    free(ids);
    return newest;
}

bool run_state_is_beyond(const run_state *now, const run_state *before) {
    bool newer = now->id != before->id && now->step > before->step;
    return newer || now->furthest > before->furthest;
}
