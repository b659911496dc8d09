/* SPDX-License-Identifier: BSD-3-Clause */
/* The one place where a snapshot gets its name. */
#include "fault.h"
#include "file.h"
#include "layout.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Is the name in `dir` that of the file? If not, errno is 0 or says why that isn't known. */
static bool is_file(const wc_store_file *f, int dir, const char *name) {
    struct stat ours, there;
    if (fstat(f->fd, &ours) < 0 || fstatat(dir, name, &there, AT_SYMLINK_NOFOLLOW) < 0)
        return false;
    errno = 0;
    return ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
}

bool wc_file_is_ours(const wc_store_file *f, const char *name) {
    return is_file(f, f->dir, name);
}

wc_status wc_file_metadata_failed(const wc_store_file *f, wc_error *error) {
    return wc_error_set(error, WC_ERR_IO, "%.250s: its metadata can't be written: %s%s", f->path,
                        strerror(f->driver.failure), wc_error_advice(f->driver.failure));
}

static void free_file(wc_store_file *f) {
    if (f->fd >= 0)
        close(f->fd);
    if (f->dir >= 0)
        close(f->dir);
    free(f->extents.at);
    free(f->path);
    free(f);
}

void wc_store_abandon(wc_store_file *f) {
    wc_quiet quiet;
    wc_quiet_begin(&quiet);
    f->driver.discard = true;
    if (f->h5 >= 0)
        H5Fclose(f->h5);
    wc_quiet_end(&quiet);
    if (f->fd >= 0 && wc_file_is_ours(f, f->partial))
        unlinkat(f->dir, f->partial, 0);
    /* Gives the space back now, whoever still has the file open. What may come up under its final name stays whole. */
    if (f->fd >= 0 && !f->named && ftruncate(f->fd, 0) < 0)
        errno = 0;
    free_file(f);
}

static wc_status hdf5_failed(const wc_store_file *f, const char *what, wc_error *error) {
    char cause[160];
    if (f->driver.failure)
        return wc_file_metadata_failed(f, error);
    wc_layout_cause(cause, sizeof cause);
    return wc_error_set(error, WC_ERR_IO, "%.250s: HDF5 can't %s: %s", f->path, what, cause);
}

static wc_status close_hdf5(wc_store_file *f, wc_error *error) {
    uint64_t complete = 1;
    hid_t attribute = H5Aopen(f->h5, "complete", H5P_DEFAULT);
    bool marked = attribute >= 0 && H5Awrite(attribute, H5T_NATIVE_UINT64, &complete) >= 0;
    if (attribute >= 0)
        H5Aclose(attribute);
    if (!marked)
        return hdf5_failed(f, "mark it complete", error);
    herr_t closed = H5Fclose(f->h5);
    f->h5 = -1;
    if (f->driver.failure)
        return wc_file_metadata_failed(f, error);
    return closed >= 0 ? WC_OK : hdf5_failed(f, "close it", error);
}

/* After is_file; `what` if it is another one. */
static wc_status is_not_ours(const wc_store_file *f, const char *what, wc_error *error) {
    return errno ? wc_error_set(error, WC_ERR_IO, "%.300s can't be found any more: %m", f->path)
                 : wc_error_set(error, WC_ERR_IO, "%.300s%s", f->path, what);
}

static const char REPLACED[] = " was replaced by somebody else";

/* The file is opened anew: only then must NFS show what other nodes have written. */
static wc_status append_trailer(wc_store_file *f, wc_error *error) {
    WC_FAULT("before_trailer");
    int fd = TEMP_FAILURE_RETRY(openat(f->dir, f->partial, O_RDWR | O_NOFOLLOW | O_CLOEXEC));
    if (fd < 0)
        return wc_error_set(error, WC_ERR_IO, "%.300s can't be opened again: %m%s", f->path,
                            wc_error_advice(errno));
    wc_status status = wc_file_is_ours(f, f->partial)
                           ? wc_trailer_append(fd, f->path, &f->extents, error)
                           : is_not_ours(f, REPLACED, error);
    WC_FAULT("after_trailer");
    if (status == WC_OK && TEMP_FAILURE_RETRY(fsync(fd)) < 0)
        status = wc_error_set(error, WC_ERR_IO, "%.300s can't be made durable (fsync): %m%s",
                              f->path, wc_error_advice(errno));
    if (close(fd) < 0 && errno != EINTR && status == WC_OK)
        status = wc_error_set(error, WC_ERR_IO, "%.300s can't be closed: %m%s", f->path,
                              wc_error_advice(errno));
    return status;
}

/* Renames, but never over another snapshot; where the file system can't promise that, by a link. */
static int rename_new(int dir, const char *from, const char *to) {
    struct stat s;
    if (renameat2(dir, from, dir, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS && errno != ENOTSUP)
        return -1;
    if (linkat(dir, from, dir, to, 0) == 0) {
        unlinkat(dir, from, 0); /* the snapshot is there; a second name is removed as stale later */
        return 0;
    }
    if (errno == EEXIST)
        return -1;
    if (fstatat(dir, to, &s, AT_SYMLINK_NOFOLLOW) == 0) {
        errno = EEXIST;
        return -1;
    }
    return renameat(dir, from, dir, to);
}

static wc_status give_name(wc_store_file *f, wc_error *error) {
    WC_FAULT("before_rename");
    if (!wc_file_is_ours(f, f->partial))
        return is_not_ours(f, REPLACED, error);
    /* The ranks' writers have opened it by its path. */
    if (!is_file(f, AT_FDCWD, f->path))
        return is_not_ours(f, ": its directory was replaced while it was being written", error);
    if (rename_new(f->dir, f->partial, f->final) < 0)
        return wc_error_set(error, WC_ERR_IO, "%.300s can't be renamed to %s: %m%s", f->path,
                            f->final, wc_error_advice(errno));
    f->named = true;
    WC_FAULT("after_rename");
    if (TEMP_FAILURE_RETRY(fsync(f->dir)) == 0)
        return WC_OK;
    wc_error_set(error, WC_ERR_IO, "%.300s: its directory can't be made durable (fsync): %m%s",
                 f->path, wc_error_advice(errno));
    if (wc_file_is_ours(f, f->final))
        unlinkat(f->dir, f->final, 0); /* it may be gone after a crash: don't count on it */
    return WC_ERR_IO;
}

wc_status wc_store_publish(wc_store_file *f, wc_error *error) {
    wc_quiet quiet;
    WC_FAULT("before_complete");
    wc_quiet_begin(&quiet);
    wc_status status = close_hdf5(f, error);
    wc_quiet_end(&quiet);
    if (status == WC_OK)
        status = append_trailer(f, error);
    if (status == WC_OK)
        status = give_name(f, error);
    if (status == WC_OK) {
        free_file(f);
        WC_FAULT("after_publish");
    } else
        wc_store_abandon(f);
    return status;
}
