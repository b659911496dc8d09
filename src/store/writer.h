/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A rank's background writer: threads that write extents into the shared file with pwrite. No
 * MPI, no HDF5. One thread as long as little is written, a few for more: they write several units of data at once.
 *
 * The aligned body of a large extent goes out with O_DIRECT where the file system takes it, ragged
 * ends (and everything where it does not) buffered. Addresses and file offsets should agree modulo
 * the page for that.
 */
#ifndef WC_STORE_WRITER_H
#define WC_STORE_WRITER_H

#include "block.h"
#include "box.h"
#include "error.h"
#include "lent.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct wc_writer wc_writer;

/* Called on a thread of the writer; must not call the writer. */
typedef void (*wc_writer_task)(void *context, wc_error *error);

wc_status wc_writer_start(wc_writer **writer, wc_error *error);
void wc_writer_stop(wc_writer *writer); /* waits for what is queued; frees */

/* Opens `path` (O_NOFOLLOW) for the extents that follow; a file open before is closed. Queued;
 * errors are kept. */
wc_status wc_writer_open(wc_writer *writer, const char *path, wc_error *error);

/* At most so many bytes per second are written from now on; 0: no limit. */
void wc_writer_limit(wc_writer *writer, uint64_t bytes_per_second);

/* Bytes of all files so far. Any thread. */
uint64_t wc_writer_written(const wc_writer *writer);

/* Where the hashes of bytes go (block.h): the caller's memory, filled by the time the writer is idle, and before what is
 * queued behind is written. */
typedef struct wc_sums {
    uint64_t *
        blocks; /* [wc_blocks(bytes)]; NULL: nothing is hashed, and what is before is written first */
    uint64_t *checksum;
} wc_sums;

/* Queues `bytes` at `from` for file offset `to`. The memory is the caller's and must not change
 * until wc_writer_idle. `lent` (or NULL): the caller's likewise; the bytes are where it says, and
 * `from` is its copy. */
wc_status wc_writer_extent(wc_writer *writer, const void *from, wc_lent *lent, size_t bytes,
                           uint64_t to, wc_sums sums, wc_error *error);

/* The same for a rank's part of a global array of such chunks, whose elements have `each` bytes and begin at file offset
 * `to`. The box and the shape of the chunks are the caller's, likewise. */
wc_status wc_writer_box(wc_writer *writer, const void *from, wc_lent *lent, const wc_box *box,
                        const uint64_t *chunk, size_t each, uint64_t to, wc_sums sums,
                        wc_error *error);

/* Queues any work (rank 0's HDF5 calls): done when all before is, and before all behind. */
wc_status wc_writer_run(wc_writer *writer, wc_writer_task task, void *context, wc_error *error);

/* Queues fsync and close. */
wc_status wc_writer_sync(wc_writer *writer, wc_error *error);

/* Queues a close without fsync, for a snapshot that is given up: an open file would hold its space.
 */
wc_status wc_writer_close(wc_writer *writer, wc_error *error);

/* True when everything queued is done; then `error` (status WC_OK or the first failure since the
 * last idle) is filled. Never blocks. */
bool wc_writer_idle(wc_writer *writer, wc_error *error);

/* Waits for the same. */
void wc_writer_wait(wc_writer *writer, wc_error *error);

#endif
