/* SPDX-License-Identifier: BSD-3-Clause */
/* The small files beside the snapshots: the mark of a finished run, and the request for a snapshot.
 */
#include "bytes.h"
#include "directory.h"
#include "fault.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char FINISHED[] = "finished", FINISHED_PARTIAL[] = WC_FINISHED_PARTIAL,
                  REQUEST[] = "request";

/* ---- finished ---- */

static int open_new(int dir, const char *name) {
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    return TEMP_FAILURE_RETRY(openat(dir, name, flags, 0666));
}

static wc_status write_mark(int dir, const char *where, uint64_t run_id, wc_error *error) {
    char text[128], when[32] = "";
    time_t now = time(NULL);
    struct tm utc;
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    int length = snprintf(text, sizeof text, "run %016" PRIx64 "\ntime %s\n", run_id, when);
    if (wc_directory_owns(dir, FINISHED_PARTIAL))
        unlinkat(dir, FINISHED_PARTIAL, 0); /* of a run that was killed here */
    WC_FAULT("before_mark");
    int fd = open_new(dir, FINISHED_PARTIAL);
    if (fd < 0)
        return wc_error_set(error, WC_ERR_IO, "%s/%s can't be made: %m%s", where, FINISHED_PARTIAL,
                            wc_error_advice(errno));
    wc_status status = WC_OK;
    wc_file_lock(fd); /* or it is stale */
    if (!wc_write_all(fd, text, (size_t)length, 0) || TEMP_FAILURE_RETRY(fsync(fd)) < 0)
        status = wc_error_set(error, WC_ERR_IO, "%s/%s can't be written: %m%s", where,
                              FINISHED_PARTIAL, wc_error_advice(errno));
    if (close(fd) < 0 && errno != EINTR && status == WC_OK)
        status = wc_error_set(error, WC_ERR_IO, "%s/%s can't be written: %m%s", where,
                              FINISHED_PARTIAL, wc_error_advice(errno));
    WC_FAULT("in_mark");
    if (status == WC_OK && renameat(dir, FINISHED_PARTIAL, dir, FINISHED) < 0)
        status = wc_error_set(error, WC_ERR_IO, "%s/%s can't be made: %m", where, FINISHED);
    if (status != WC_OK)
        unlinkat(dir, FINISHED_PARTIAL, 0);
    else if (TEMP_FAILURE_RETRY(fsync(dir)) < 0)
        status = wc_error_set(error, WC_ERR_IO, "directory %s can't be synchronized: %m", where);
    return status;
}

wc_status wc_store_mark_finished(const char *dir, uint64_t run_id, wc_error *error) {
    int fd;
    wc_status status = wc_directory_open(dir, &fd, error);
    if (status != WC_OK)
        return status;
    status = write_mark(fd, dir, run_id, error);
    close(fd);
    WC_FAULT("after_mark");
    return status;
}

/* As much as fits. */
static ssize_t read_text(int fd, char *text, size_t room) {
    size_t length = 0;
    while (length < room) {
        ssize_t n = TEMP_FAILURE_RETRY(read(fd, text + length, room - length));
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        length += (size_t)n;
    }
    return (ssize_t)length;
}

wc_status wc_store_read_finished(const char *dir, uint64_t *run_id, wc_error *error) {
    char text[128];
    int directory;
    wc_status status = wc_directory_open(dir, &directory, error);
    if (status != WC_OK)
        return status;
    int fd = TEMP_FAILURE_RETRY(
        openat(directory, FINISHED, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    int cause = errno;
    close(directory);
    if (fd < 0 && cause == ENOENT) {
        *run_id = 0;
        return WC_OK;
    }
    errno = cause;
    ssize_t length = fd < 0 ? -1 : read_text(fd, text, sizeof text - 1);
    if (length < 0) {
        status = wc_error_set(error, WC_ERR_IO, "%s/%s can't be read: %m", dir, FINISHED);
    } else {
        text[length] = '\0';
        if (sscanf(text, "run %16" SCNx64, run_id) != 1 || *run_id == 0)
            status = wc_error_set(error, WC_ERR_DAMAGED,
                                  "%s/%s is not the mark of a finished run: remove it if this run "
                                  "has not finished",
                                  dir, FINISHED);
    }
    if (fd >= 0)
        close(fd);
    return status;
}

wc_status wc_store_clear_finished(const char *dir, wc_error *error) {
    int fd;
    wc_status status = wc_directory_open(dir, &fd, error);
    if (status != WC_OK)
        return status;
    if (unlinkat(fd, FINISHED, 0) < 0) {
        if (errno != ENOENT)
            status = wc_error_set(error, WC_ERR_IO, "%s/%s can't be removed: %m", dir, FINISHED);
    } else if (TEMP_FAILURE_RETRY(fsync(fd)) < 0) {
        status = wc_error_set(error, WC_ERR_IO, "directory %s can't be synchronized: %m", dir);
    }
    close(fd);
    return status;
}

/* ---- request ---- */

wc_status wc_store_put_request(const char *dir, wc_error *error) {
    int directory;
    wc_status status = wc_directory_open(dir, &directory, error);
    if (status != WC_OK)
        return status;
    int fd = open_new(directory, REQUEST);
    if (fd >= 0)
        close(fd);
    else if (errno != EEXIST || !wc_directory_owns(directory, REQUEST))
        status = wc_error_set(error, WC_ERR_IO, "%s/%s can't be made: %m%s", dir, REQUEST,
                              wc_error_advice(errno));
    close(directory);
    return status;
}

bool wc_store_take_request(const char *dir) {
    struct stat request;
    int fd;
    if (wc_directory_open(dir, &fd, NULL) != WC_OK)
        return false;
    bool taken = fstatat(fd, REQUEST, &request, AT_SYMLINK_NOFOLLOW) == 0 &&
                 S_ISREG(request.st_mode) && wc_directory_vouches(fd, &request) &&
                 unlinkat(fd, REQUEST, 0) == 0;
    close(fd);
    return taken;
}
