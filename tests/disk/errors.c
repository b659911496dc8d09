/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * wavecut-disk-errors: each system call of the store fails in turn, in each way, once or from then on. What was to be done fails
 * with a status and with the file and the cause in the text, or is done; nothing else is lost, and without the fault it goes on.
 */
#include "job.h"

#include <argp.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What the store is asked for; each has an outcome of its own. */
typedef enum phase {
    PHASE_PREPARE,
    PHASE_PUT_REQUEST,
    PHASE_TAKE_REQUEST,
    PHASE_LIST,
    PHASE_SNAPSHOT,
    PHASE_PRUNE,
    PHASE_MARK,
    PHASE_READ_MARK,
    PHASE_CLEAR_MARK,
    PHASE_READ,
    PHASES
} phase;

static const char *const phase_names[PHASES] = {
    "prepare", "put request", "take request", "list",       "snapshot",
    "prune",   "mark",        "read mark",    "clear mark", "read"};

typedef struct fault {
    long at;
    int cause;
    bool lasting;
} fault;

static struct {
    disk_job job;
    uint64_t id, contents; /* of the last good one */
    bool published;        /* the attempt's has its name */
    wc_error outcome[PHASES];
    fault fault;
    disk_call failed;
    unsigned cases, problems;
} E;

static void problem(phase where, const char *what, const char *text) {
    E.problems++;
    printf("call %ld (%s), %s%s: %s: %s: %s\n", E.fault.at, disk_call_name(E.failed),
           E.fault.cause == DISK_SHORT ? "short" : strerror(E.fault.cause),
           E.fault.lasting ? " from then on" : "", phase_names[where], what, text);
}

/* ---- one attempt ---- */

static void note(job_event event, uint64_t number, uint64_t contents) {
    (void)number;
    (void)contents;
    E.published = E.published || event == JOB_PUBLISHED;
}

static void read_back(void) {
    uint64_t *ids = NULL, run_id = 0;
    size_t n = 0;
    if (wc_store_list(E.job.dir, &ids, &n, &E.outcome[PHASE_LIST]) == WC_OK && n == 0)
        wc_error_set(&E.outcome[PHASE_LIST], WC_ERR_IO, "nothing is there");
    free(ids);
    wc_status found = wc_store_read_finished(E.job.dir, &run_id, &E.outcome[PHASE_READ_MARK]);
    /* What the disk says is not there is not there. */
    bool hidden = E.fault.cause == ENOENT && disk_has_failed(DISK_openat);
    if (found == WC_OK && E.outcome[PHASE_MARK].status == WC_OK && run_id != job_run_id() &&
        !hidden)
        problem(PHASE_READ_MARK, "the mark is lost", "");
    job_check(&E.job, E.id, E.contents, &E.outcome[PHASE_READ]);
}

/* All that a run does to its directory. */
static void attempt(void) {
    uint64_t id = E.id + 1;
    memset(E.outcome, 0, sizeof E.outcome);
    E.published = false;
    wc_store_prepare_dir(E.job.dir, &E.outcome[PHASE_PREPARE]);
    wc_store_put_request(E.job.dir, &E.outcome[PHASE_PUT_REQUEST]);
    bool taken = wc_store_take_request(E.job.dir);
    if (!taken && E.outcome[PHASE_PUT_REQUEST].status == WC_OK)
        E.outcome[PHASE_TAKE_REQUEST].status =
            WC_ERR_IO; /* it has no text: it is looked for again */
    job_snapshot(&E.job, id, E.contents + 1, 2, &E.outcome[PHASE_SNAPSHOT]);
    if (E.published) { /* what failed came afterwards */
        E.outcome[PHASE_PRUNE] = E.outcome[PHASE_SNAPSHOT];
        E.outcome[PHASE_SNAPSHOT].status = WC_OK;
        E.id++;
        E.contents++;
    }
    wc_store_mark_finished(E.job.dir, job_run_id(), &E.outcome[PHASE_MARK]);
    read_back();
    wc_store_clear_finished(E.job.dir, &E.outcome[PHASE_CLEAR_MARK]);
}

/* ---- what must hold ---- */

static unsigned descriptors(void) {
    unsigned n = 0;
    DIR *stream = opendir("/proc/self/fd");
    while (stream && readdir(stream))
        n++;
    if (stream)
        closedir(stream);
    return n;
}

static unsigned unfinished(void) {
    unsigned n = 0;
    struct dirent *entry;
    DIR *stream = opendir(E.job.dir);
    while (stream && (entry = readdir(stream)))
        n += strstr(entry->d_name, ".partial") != NULL;
    if (stream)
        closedir(stream);
    return n;
}

static bool says_cause(const char *text) {
    return strstr(text, strerror(E.fault.cause)) ||
           (E.fault.cause == ENOENT && strstr(text, "there is no"));
}

/* The way out, where there is one. */
static const char *advice(void) {
    switch (E.fault.cause) {
    case ENOSPC:
    case EDQUOT:
        return "WAVECUT_KEEP";
    case EROFS:
        return "WAVECUT_DIR";
    case EFBIG:
        return "ulimit";
    default:
        return "";
    }
}

static void judge_texts(void) {
    bool invisible = E.fault.cause == EINTR || E.fault.cause == DISK_SHORT;
    for (phase p = 0; p < PHASES; p++) {
        const wc_error *e = &E.outcome[p];
        if (e->status == WC_OK || (p == PHASE_TAKE_REQUEST && !invisible))
            continue;
        if (invisible)
            problem(p, "it is not invisible", e->text);
        else if (!strstr(e->text, E.job.dir))
            problem(p, "no file is named", e->text);
        else if (!says_cause(e->text))
            problem(p, "the cause is missing", e->text);
        else if (p == PHASE_SNAPSHOT && !strstr(e->text, advice()))
            problem(p, "the way out is missing", e->text);
    }
}

/* A name that can't be taken away stays until the next attempt; so does one of which it can't be told whose it is. */
static bool may_stay(void) {
    return disk_has_failed(DISK_unlinkat) || disk_has_failed(DISK_fstat) ||
           disk_has_failed(DISK_fstatat);
}

static void judge_files(phase where) {
    wc_error error = {WC_OK, ""};
    uint64_t *ids = NULL;
    size_t n = 0;
    if (job_check(&E.job, E.id, E.contents, &error) != WC_OK)
        problem(where, "the last good one is lost", error.text);
    if (wc_store_list(E.job.dir, &ids, &n, &error) != WC_OK)
        problem(where, "no list", error.text);
    else if ((n == 0 || ids[0] != E.id) && !disk_has_failed(DISK_unlinkat) &&
             !disk_has_failed(DISK_fstat) && !disk_has_failed(DISK_fstatat))
        problem(where, "the newest is another one", "");
    free(ids);
}

/* Without the fault everything goes on, and nothing is left of what had failed. */
static void go_on(void) {
    uint64_t *ids = NULL;
    size_t n = 0;
    wc_error error = {WC_OK, ""};
    if (wc_store_list(E.job.dir, &ids, &n, &error) == WC_OK && n)
        E.id = ids[0]; /* one that has failed may have its name, when it could not be taken away */
    free(ids);
    disk_watch(E.job.dir);
    attempt();
    for (phase p = 0; p < PHASES; p++)
        if (E.outcome[p].status != WC_OK)
            problem(p, "it does not go on", E.outcome[p].text);
    judge_files(PHASE_SNAPSHOT);
    if (unfinished())
        problem(PHASE_PRUNE, "something unfinished is left for good", "");
}

/* False: there are not so many calls. */
static bool try_fault(fault chosen) {
    unsigned before = descriptors();
    E.fault = chosen;
    E.job.random = 1; /* the same order each time */
    disk_watch(E.job.dir);
    disk_fail(DISK_CALL_COUNT, chosen.at, chosen.cause, chosen.lasting);
    attempt();
    disk_mend(&E.failed);
    if (E.failed == DISK_CALL_COUNT)
        return false;
    E.cases++;
    judge_texts();
    if (descriptors() != before)
        problem(PHASE_SNAPSHOT, "descriptors are left open", "");
    if (unfinished() && !may_stay())
        problem(PHASE_SNAPSHOT, "something unfinished is left", "");
    judge_files(PHASE_SNAPSHOT);
    go_on();
    return true;
}

/* ---- all of them ---- */

/* For LeakSanitizer: an H5Fopen that fails leaves something behind (1.10). */
const char *__lsan_default_suppressions(void);

const char *__lsan_default_suppressions(void) {
    return "leak:libhdf5";
}

static void try_cause(int cause, bool lasting, long first, long stride) {
    long at = first;
    while (try_fault((fault){at, cause, lasting}))
        at += stride;
}

static void set_up(void) {
    const char *base = getenv("TMPDIR");
    wc_error error;
    if (!base)
        base = faccessat(AT_FDCWD, "/dev/shm", W_OK, 0) == 0 ? "/dev/shm" : "/tmp";
    snprintf(E.job.dir, sizeof E.job.dir, "%.3000s/wavecut-disk-XXXXXX", base);
    if (!mkdtemp(E.job.dir))
        disk_stop("%s: %m", E.job.dir);
    E.job.ranks = 2;
    E.job.note = note;
    for (E.id = 1; E.id <= 2; E.id++)
        if (job_snapshot(&E.job, E.id, ++E.contents, 2, &error) != WC_OK)
            disk_stop("%s", error.text);
    E.id--;
}

static void tear_down(void) {
    struct dirent *entry;
    DIR *stream = opendir(E.job.dir);
    while (stream && (entry = readdir(stream)))
        if (entry->d_name[0] != '.')
            unlinkat(dirfd(stream), entry->d_name, 0);
    if (stream)
        closedir(stream);
    rmdir(E.job.dir);
    disk_forget();
}

int main(void) {
    static const int causes[] = {EINTR, DISK_SHORT, EIO,    ENOSPC, EDQUOT,
                                 EROFS, ENOENT,     ESTALE, EFBIG,  EACCES};
    bool all = getenv("TESTS_FULL") != NULL;
    set_up();
    for (size_t i = 0; i < sizeof causes / sizeof *causes; i++)
        for (int lasting = 0; lasting < (i < 2 ? 1 : 2); lasting++)
            for (disk_system system = DISK_DOES_ALL; system <= DISK_NO_LINK; system++) {
                disk_be(system);
                if (all || system == (disk_system)((i + (size_t)lasting) % 3))
                    try_cause(causes[i], lasting, (long)(all ? 0 : i % 3), all ? 1 : 3);
            }
    tear_down();
    printf("%u calls have failed, %u problems\n", E.cases, E.problems);
    return E.problems > 0;
}
