/* SPDX-License-Identifier: BSD-3-Clause */
#include "choose.h"

#include "log.h"
#include "runtime.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

/* The snapshots of the directory, newest first; rank 0 has the numbers. */
static struct {
    uint64_t *ids, count, tried;
    uint64_t run_id; /* of the newest one that could be read; 0: none yet */
} listed;

static void share(void *what, size_t bytes) {
    PMPI_Bcast(what, (int)bytes, MPI_BYTE, 0, R.comm);
}

/* Opens and verifies it on all ranks. The error says which of them refuses it: the first one does so here. */
static wc_status try_snapshot(const char *path, wc_error *error) {
    wc_error own = {WC_OK, ""};
    *error = own;
    if (wc_saved_open(path, &own) != WC_OK)
        wc_error_set(error, own.status, "%s%s", R.rank ? "" : "rank 0: ", own.text);
    if (wc_agree(error) != WC_OK)
        wc_saved_close();
    return error->status;
}

static void go_on_from_chosen(void) {
    const wc_snapshot_head *head = R.store->reader_head(R.chosen);
    R.run_id = head->run_id;
    R.parent_id = head->id;
}

static void choose_file(void) {
    wc_error error;
    if (try_snapshot(R.settings.restart_file, &error) == WC_OK)
        go_on_from_chosen();
    else
        wc_error_set(&R.choice, error.status,
                     "WAVECUT_RESTART: %.400s (`wavecut ls DIR` shows what can be restored)",
                     error.text);
    snprintf(R.chosen_path, sizeof R.chosen_path, "%s", R.settings.restart_file);
}

/* Is it of another run than the newest one that can be read? Its state is not this run's. */
static bool is_foreign(void) {
    uint64_t its = R.store->reader_head(R.chosen)->run_id;
    if (listed.run_id && its != listed.run_id)
        return true;
    listed.run_id = its;
    return false;
}

/* Opens and verifies a snapshot of the directory on all ranks; rank 0 knows its number. */
static wc_status try_listed(uint64_t id, char path[PATH_MAX], wc_error *error) {
    bool trusted = true;
    if (R.rank == 0) {
        wc_store_snapshot_path(R.settings.dir, id, path, PATH_MAX);
        trusted = wc_store_is_trusted(R.settings.dir, id);
    }
    share(path, PATH_MAX);
    share(&trusted, sizeof trusted);
    if (trusted)
        return try_snapshot(path, error);
    return wc_error_set(error, WC_ERR_DAMAGED,
                        "it belongs to another user, who does not own the directory either; "
                        "WAVECUT_RESTART=FILE takes it nevertheless");
}

static void tell_refused(const char *path, const wc_error *why) {
    wc_log_job(WC_LOG_ERROR, "%s can't be restored: %s%s", path, why->text,
               listed.tried < listed.count ? "; trying the one before" : "");
}

/* The newest one that was not tried yet, is of this run, and verifies. `last`: why the last one was refused. */
static wc_status choose_next(wc_error last, wc_error *error) {
    char path[PATH_MAX] = "";
    while (listed.tried < listed.count) {
        uint64_t i = listed.tried++;
        wc_error found;
        if (try_listed(R.rank == 0 ? listed.ids[i] : 0, path, &found) != WC_OK) {
            last = found;
            tell_refused(path, &found);
        } else if (is_foreign()) {
            wc_saved_close();
        } else {
            snprintf(R.chosen_path, sizeof R.chosen_path, "%s", path);
            go_on_from_chosen();
            return WC_OK;
        }
    }
    return wc_error_set(error, WC_ERR_DAMAGED,
                        "no snapshot in %s can be restored, the last one tried because: %.200s; "
                        "WAVECUT_RESTART=never starts afresh",
                        R.settings.dir, last.text);
}

wc_status wc_choose_another(wc_error *error) {
    wc_saved_close();
    if (!listed.count)
        return error->status; /* it was the one to take */
    tell_refused(R.chosen_path, error);
    wc_error last = *error;
    *error = (wc_error){WC_OK, ""};
    return choose_next(last, error);
}

static wc_status check_finished(wc_error *error) {
    uint64_t finished = 0;
    wc_status status = wc_store_read_finished(R.settings.dir, &finished, error);
    if (status != WC_OK || !finished)
        return status;
    if (R.settings.restart != WC_RESTART_AUTO)
        return wc_store_clear_finished(R.settings.dir, error);
    return wc_error_set(
        error, WC_ERR_FINISHED,
        "the run in %s has finished: take another WAVECUT_DIR, or start afresh with "
        "WAVECUT_RESTART=never",
        R.settings.dir);
}

static void new_run(void) {
    uint64_t id = 0;
    if (R.rank == 0)
        while (!id && getrandom(&id, sizeof id, 0) < 0)
            ;
    share(&id, sizeof id);
    R.run_id = id | 1;
}

wc_status wc_choose(wc_error *error) {
    size_t count = 0;
    if (R.rank == 0 && check_finished(error) == WC_OK)
        wc_store_list(R.settings.dir, &listed.ids, &count, error);
    if (wc_agree(error) != WC_OK)
        return error->status;
    R.next_id = count ? listed.ids[0] + 1 : 1;
    if (R.settings.restart == WC_RESTART_FILE) {
        choose_file();
    } else if (R.settings.restart == WC_RESTART_AUTO) {
        listed.count = count;
        share(&listed.count, sizeof listed.count);
        if (listed.count)
            choose_next((wc_error){WC_OK, ""}, &R.choice);
    }
    if (!R.chosen)
        new_run();
    return WC_OK;
}

void wc_choose_end(void) {
    wc_saved_close();
    free(listed.ids);
    listed.ids = NULL;
    listed.count = listed.tried = 0;
    listed.run_id = 0;
}
