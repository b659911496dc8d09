/* SPDX-License-Identifier: BSD-3-Clause */
#include "report.h"

#include "log.h"
#include "progress.h"
#include "runtime.h"

#include <stdio.h>
#include <string.h>

#define VERSION_TEXT_(a, b, c) #a "." #b "." #c
#define VERSION_TEXT(a, b, c) VERSION_TEXT_(a, b, c)

/* The program's arguments, joined by blanks. */
static const char *command_line(void) {
    static char text[4096];
    FILE *f = fopen("/proc/self/cmdline", "r");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    if (f)
        fclose(f);
    for (size_t i = 0; i + 1 < n; i++)
        if (!text[i])
            text[i] = ' ';
    return text;
}

static const char *mpi_library(void) {
    static char text[MPI_MAX_LIBRARY_VERSION_STRING];
    int length;
    PMPI_Get_library_version(text, &length);
    text[strcspn(text, "\n")] = 0;
    return text;
}

void wc_report_head(wc_snapshot_head *head, uint64_t id, double time) {
    static const char *program, *library;
    if (!program) {
        program = command_line();
        library = mpi_library();
    }
    *head = (wc_snapshot_head){.id = id,
                               .parent_id = R.parent_id,
                               .run_id = R.run_id,
                               .ranks = (uint32_t)R.ranks,
                               .immediate = L.immediate,
                               .time = time,
                               .initiator = (uint32_t)L.core.initiator,
                               .mpi_library = library,
                               .program = program,
                               .stripe = (uint64_t)R.settings.stripe_kb << 10,
                               .version = VERSION_TEXT(WAVECUT_VERSION_MAJOR, WAVECUT_VERSION_MINOR,
                                                       WAVECUT_VERSION_PATCH)};
}

void wc_report_outcome(bool published, uint64_t id, uint64_t messages, double took_s) {
    if (!published) {
        R.info.failed++;
        snprintf(R.info.last_reason, sizeof R.info.last_reason,
                 "rank 0 could not publish the snapshot");
        wc_progress_given_up(R.info.last_reason);
        return;
    }
    R.info.committed++;
    R.info.last_snapshot = id;
    R.info.commit_s = took_s;
    wc_log_job(WC_LOG_INFO, "snapshot %llu: committed after %.3f s, %llu messages in flight",
               (unsigned long long)id, took_s, (unsigned long long)messages);
}

static bool is_failure(int reason) {
    return reason == WC_REASON_STORE || reason == WC_REASON_MEMORY;
}

void wc_report_void(const wc_vote *outcome) {
    char *text = R.info.last_reason, *end = text + sizeof R.info.last_reason;
    if (is_failure(outcome->reason))
        R.info.failed++;
    else
        R.info.voided++;
    text += snprintf(text, (size_t)(end - text), "rank %d %s", outcome->void_rank,
                     wc_reason_text((wc_reason)outcome->reason));
    if (outcome->text[0])
        text += snprintf(text, (size_t)(end - text), ": %s", outcome->text);
    if (outcome->peer >= 0 && outcome->tag >= 0)
        snprintf(text, (size_t)(end - text), " (rank %d of its communicator, tag %d)",
                 outcome->peer, outcome->tag);
    wc_progress_given_up(R.info.last_reason);
    wc_log_job(WC_LOG_INFO, "attempt given up: %s", R.info.last_reason);
}
