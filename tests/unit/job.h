/* SPDX-License-Identifier: BSD-3-Clause */
/* A job of a few ranks in one process, which writes snapshots as a real one does: each rank with a
 * writer of its own. */
#ifndef WC_TESTS_UNIT_JOB_H
#define WC_TESTS_UNIT_JOB_H

#include "store/store.h"
#include "store/writer.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

enum {
    JOB_RANKS = 3,
    JOB_ROWS = 4,      /* of "field" on each rank */
    JOB_COLUMNS = 700, /* a rank's part is 22400 bytes: its ends are inside pages */
    JOB_MESSAGES = 4
};

typedef enum job_array {
    JOB_FIELD,     /* global, 2-D, f64 */
    JOB_WAVE,      /* "ocean/wave", c64 */
    JOB_FLAGS,     /* bool; rank 1 does not have it */
    JOB_PARTICLES, /* i32; another count on each rank, none on rank 0 */
    JOB_EMPTY,     /* f32; protected, without elements */
    JOB_LONG,      /* long double */
    JOB_BYTES,
    JOB_BIG, /* u64, 300 KiB: the writer's direct way */
    JOB_ARRAYS
} job_array;

extern const char *const job_names[JOB_ARRAYS];

/* What job_write can do wrong, for tests of what verification finds. */
typedef enum job_mistake {
    JOB_NO_MISTAKE,
    JOB_LOSES_A_MESSAGE, /* a counter says more in flight than there are */
    JOB_MISCOUNTS,       /* sent is not received + in flight */
    JOB_UNKNOWN_COMM,    /* a message's communicator is not in the table */
    JOB_OVERLAPS,        /* two ranks claim the same elements */
    JOB_BLOCKS_OVERLAP,  /* two ranks claim the same hashes */
    JOB_PARTS_OVERLAP,   /* the same in a global array */
    JOB_OUTSIDE_PAYLOAD, /* offset + bytes wraps around */
    JOB_WRONG_ORDER,     /* a message's number in its channel */
    JOB_OUTSIDE_ARRAY,   /* first + count wraps around */
    JOB_UNKNOWN_MEMBER,
    JOB_ORPHAN,         /* in the trace: rank 1 records behind its last receive */
    JOB_RECEIVED_TWICE, /* a message in flight counts as received, too */
    JOB_SEND_MISSING,   /* a number is missing among the sends */
    JOB_UNKNOWN_EVENT,
    JOB_EVENTS_OVERLAP,
    JOB_MISTAKES
} job_mistake;

/* A directory of the test's own, removed with all in it. As cmocka's setup and teardown: *state is
 * the path. */
int job_directory(void **state);
int job_remove_directory(void **state);

/* Writes snapshot `id` of the job into `dir`; `seed` changes its contents. Fails the test if it
 * can't. */
void job_write(const char *dir, uint64_t id, unsigned seed, job_mistake mistake);

/* Up to the commit: the caller publishes or abandons. */
wc_store_file *job_prepare(const char *dir, uint64_t id, unsigned seed, job_mistake mistake);

/* Elements of an array on a rank as job_write wrote them: malloc'd. *count 0 if the rank does not
 * have it. */
void *job_elements(job_array array, uint32_t rank, unsigned seed, size_t *count);

/* Bytes of the message with this number: malloc'd. */
void *job_message(unsigned number, unsigned seed, size_t *bytes);

/*
 * Opens, checks head and tables, and compares every element and message with what job_write wrote:
 * the snapshot is accepted only if all of it is right. Returns WC_OK, or the first status with its
 * text.
 */
wc_status job_restore(const char *path, unsigned seed, wc_error *error);

void job_path(const char *dir, uint64_t id, char path[PATH_MAX]);

#endif
