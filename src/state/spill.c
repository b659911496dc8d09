/* SPDX-License-Identifier: BSD-3-Clause */
#include "spill.h"

#include "../store/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, PIECE = 1 << 20 }; /* a piece stays in the caches */

/* Where the file system has no files without a name, one that is removed at once. */
static int make(const char *directory) {
    const int flags = O_RDWR | O_CLOEXEC;
    int fd = open(directory, flags | O_TMPFILE, 0600);
    if (fd >= 0)
        return fd;
    char path[PATH_MAX + 64];
    snprintf(path, sizeof path, "%s/.wavecut-spill-%ld", directory, (long)getpid());
    fd = open(path, flags | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
    if (fd >= 0)
        unlink(path);
    return fd;
}

static wc_status open_file(wc_spill *spill, const char *directory, wc_error *error) {
    if (!spill->buffer && !(spill->buffer = aligned_alloc(PAGE, PIECE)))
        return wc_error_set(error, WC_ERR_MEMORY, "no memory for a file of copies");
    if (spill->open)
        return WC_OK;
    spill->fd = make(directory);
    if (spill->fd < 0)
        return wc_error_set(error, WC_ERR_IO, "%.300s: no file for copies can be made there: %m",
                            directory);
    spill->open = true;
    spill->end = 0;
    /* Not to be had everywhere. */
    spill->buffered = fcntl(spill->fd, F_SETFL, O_DIRECT) < 0;
    return WC_OK;
}

/* Whole pages: what is behind the bytes is never read. */
static bool write_pages(wc_spill *spill, size_t bytes) {
    for (size_t at = 0; at < bytes;) {
        ssize_t n = pwrite(spill->fd, spill->buffer + at, bytes - at, (off_t)(spill->end + at));
        if (n < 0 && errno == EINVAL && !spill->buffered) {
            fcntl(spill->fd, F_SETFL, 0);
            spill->buffered = true;
        } else if (n < 0 && errno != EINTR) {
            return false;
        } else if (n > 0) {
            at += (size_t)n;
        }
    }
    spill->end += bytes;
    return true;
}

/* A limit of file sizes comes with a signal, which must not reach the program: this is its thread. */
static bool write_quietly(wc_spill *spill, size_t bytes) {
    sigset_t limit, before;
    sigemptyset(&limit);
    sigaddset(&limit, SIGXFSZ);
    pthread_sigmask(SIG_BLOCK, &limit, &before);
    bool written = write_pages(spill, bytes);
    int cause = errno;
    if (!written && cause == EFBIG && !sigismember(&before, SIGXFSZ))
        sigtimedwait(&limit, NULL, &(struct timespec){0});
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = cause;
    return written;
}

wc_status wc_spill_write(wc_spill *spill, const char *directory, const void *from, uint64_t bytes,
                         wc_spill_pass *pass, uint64_t *at, wc_error *error) {
    if (open_file(spill, directory, error) != WC_OK)
        return error->status;
    uint64_t begin = spill->end;
    for (const char *in = from; bytes;) {
        size_t n = bytes < PIECE ? (size_t)bytes : PIECE;
        wc_copy(spill->buffer, in, n);
        if (pass)
            pass(spill->buffer, n);
        if (!write_quietly(spill, (n + PAGE - 1) / PAGE * PAGE))
            return wc_error_set(error, WC_ERR_IO,
                                "%.300s: a copy of the state that is larger than "
                                "WAVECUT_STAGING_MB can't be written there: %m%s",
                                directory, wc_error_advice(errno));
        in += n;
        bytes -= n;
    }
    *at = begin;
    return WC_OK;
}

void wc_spill_empty(wc_spill *spill) {
    if (spill->open && spill->end && ftruncate(spill->fd, 0) < 0)
        wc_spill_close(spill); /* that frees its space, too */
    spill->end = 0;
}

void wc_spill_close(wc_spill *spill) {
    if (spill->open)
        close(spill->fd);
    free(spill->buffer);
    *spill = (wc_spill){0};
}
