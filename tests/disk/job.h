/* SPDX-License-Identifier: BSD-3-Clause */
/* A job of a few ranks that takes snapshots as a real one does, each rank with a writer of its own and on a machine of its
 * own. One thing happens at a time, in an order that the seed decides. */
#ifndef WC_TESTS_DISK_JOB_H
#define WC_TESTS_DISK_JOB_H

#include "disk.h"
#include "store/store.h"
#include "store/writer.h"

#include <limits.h>

enum { JOB_MOST_RANKS = 4 };

typedef enum job_event {
    JOB_PUBLISHES,
    JOB_PUBLISHED,
    JOB_PRUNES, /* number: how many it keeps */
    JOB_MARKS,
    JOB_MARKED,
    JOB_CLEARS,
    JOB_CLEARED
} job_event;

typedef struct disk_job {
    char dir[PATH_MAX];
    int ranks;
    bool big;        /* arrays that go around the page cache */
    uint64_t random; /* of the order */
    /* Called before and after what counts; number: the snapshot's. May be NULL. */
    void (*note)(job_event event, uint64_t number, uint64_t contents);
} disk_job;

uint64_t job_run_id(void);

/* A snapshot up to the commit; its contents are those of this number. On an error nothing is left of it. */
wc_status job_write(disk_job *job, uint64_t id, uint64_t contents, wc_store_file **file,
                    wc_error *error);

/* The same with the commit, and all but the newest `keep` removed. */
wc_status job_snapshot(disk_job *job, uint64_t id, uint64_t contents, uint64_t keep,
                       wc_error *error);

/* Opens a snapshot, verifies it, and compares each byte with what job_write wrote. */
wc_status job_check(const disk_job *job, uint64_t id, uint64_t contents, wc_error *error);

#endif
