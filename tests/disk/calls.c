/* SPDX-License-Identifier: BSD-3-Clause */
/* The system calls of the store: each may fail, is done, and is noted if it changes something. */
#include "disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct {
    bool armed, lasting;
    disk_call only;
    long at, count; /* count: calls so far */
    int cause;
    bool failed[DISK_CALL_COUNT];
    disk_call first;
    disk_system system;
    pthread_mutex_t lock;
} F = {.lock = PTHREAD_MUTEX_INITIALIZER};

const char *disk_call_name(disk_call call) {
    static const char *const names[] = {
#define DISK_CALL(name) #name,
        DISK_CALLS(DISK_CALL)
#undef DISK_CALL
            "none"};
    return names[call];
}

void disk_fail(disk_call only, long at, int cause, bool lasting) {
    F.armed = true;
    F.only = only;
    F.at = at;
    F.count = 0;
    F.cause = cause;
    F.lasting = lasting;
    F.first = DISK_CALL_COUNT;
    memset(F.failed, 0, sizeof F.failed);
}

long disk_mend(disk_call *failed) {
    F.armed = false;
    if (failed)
        *failed = F.first;
    return F.count;
}

bool disk_has_failed(disk_call call) {
    return F.failed[call];
}

void disk_be(disk_system system) {
    F.system = system;
}

/* Questions don't need space, and only what takes its time is interrupted. */
static bool can_fail(disk_call call, int cause) {
    bool moves =
        call == DISK_read || call == DISK_pread || call == DISK_write || call == DISK_pwrite;
    bool slow = moves || call == DISK_open || call == DISK_openat || call == DISK_close ||
                call == DISK_fsync || call == DISK_ftruncate || call == DISK_posix_fallocate;
    bool changes = (slow && call != DISK_read && call != DISK_pread && call != DISK_open) ||
                   call == DISK_renameat || call == DISK_renameat2 || call == DISK_linkat ||
                   call == DISK_unlinkat || call == DISK_mkdir;
    switch (cause) {
    case DISK_SHORT:
        return moves;
    case EINTR:
        return slow;
    case ENOSPC:
    case EDQUOT:
    case EROFS:
    case EFBIG:
        return changes;
    default:
        return true;
    }
}

/* Is this the one? Its cause, else 0. */
static int cause_now(disk_call call) {
    int cause = 0;
    pthread_mutex_lock(&F.lock);
    if (F.armed && (F.only == DISK_CALL_COUNT || F.only == call) && can_fail(call, F.cause)) {
        bool now = F.lasting ? F.count >= F.at : F.count == F.at;
        F.count++;
        if (now) {
            cause = F.cause;
            F.failed[call] = true;
            F.first = F.first == DISK_CALL_COUNT ? call : F.first;
        }
    }
    pthread_mutex_unlock(&F.lock);
    return cause;
}

static bool fails(disk_call call) {
    int cause = cause_now(call);
    if (cause > 0)
        errno = cause;
    return cause > 0;
}

/* Likewise, of a call that may do a part. */
static bool fails_or_cuts(disk_call call, size_t *bytes) {
    int cause = cause_now(call);
    if (cause == DISK_SHORT && *bytes > 1)
        *bytes = *bytes >= 2 * DISK_SECTOR ? *bytes / 2 / DISK_SECTOR * DISK_SECTOR : *bytes / 2;
    if (cause > 0)
        errno = cause;
    return cause > 0;
}

#define WRAPPED(type, name, ...)                                                                   \
    type __real_##name(__VA_ARGS__);                                                               \
    type __wrap_##name(__VA_ARGS__);                                                               \
    type __wrap_##name(__VA_ARGS__)

/* ---- files ---- */

/* The store makes files with O_EXCL only, relative to the directory. */
static mode_t mode_of(int flags, va_list arguments) {
    if (!(flags & O_CREAT))
        return 0;
    if (!(flags & O_EXCL))
        disk_stop("a file is made without O_EXCL: not modelled");
    return va_arg(arguments, mode_t);
}

WRAPPED(int, open, const char *path, int flags, ...) {
    if (flags & (O_CREAT | O_TRUNC))
        disk_stop("%s is made by its path: not modelled", path);
    return fails(DISK_open) ? -1 : __real_open(path, flags);
}

WRAPPED(int, openat, int dir, const char *name, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = mode_of(flags, arguments);
    va_end(arguments);
    if (fails(DISK_openat))
        return -1;
    int fd = __real_openat(dir, name, flags, mode);
    if (fd >= 0 && (flags & O_CREAT))
        disk_note_created(dir, name, fd);
    return fd;
}

/* It is closed, whatever it says. */
WRAPPED(int, close, int fd) {
    int cause = cause_now(DISK_close), rc = __real_close(fd);
    if (cause <= 0)
        return rc;
    errno = cause;
    return -1;
}

WRAPPED(ssize_t, read, int fd, void *to, size_t bytes) {
    return fails_or_cuts(DISK_read, &bytes) ? -1 : __real_read(fd, to, bytes);
}

WRAPPED(ssize_t, pread, int fd, void *to, size_t bytes, off_t at) {
    return fails_or_cuts(DISK_pread, &bytes) ? -1 : __real_pread(fd, to, bytes, at);
}

WRAPPED(ssize_t, write, int fd, const void *from, size_t bytes) {
    off_t at = lseek(fd, 0, SEEK_CUR);
    ssize_t n = fails_or_cuts(DISK_write, &bytes) ? -1 : __real_write(fd, from, bytes);
    if (n > 0 && at >= 0)
        disk_note_write(fd, from, (size_t)n, (uint64_t)at);
    return n;
}

WRAPPED(ssize_t, pwrite, int fd, const void *from, size_t bytes, off_t at) {
    ssize_t n = fails_or_cuts(DISK_pwrite, &bytes) ? -1 : __real_pwrite(fd, from, bytes, at);
    if (n > 0)
        disk_note_write(fd, from, (size_t)n, (uint64_t)at);
    return n;
}

WRAPPED(int, fsync, int fd) {
    int rc = fails(DISK_fsync) ? -1 : __real_fsync(fd);
    if (rc == 0 || errno != EINTR)
        disk_note_sync(fd, rc == 0);
    return rc;
}

WRAPPED(int, ftruncate, int fd, off_t size) {
    int rc = fails(DISK_ftruncate) ? -1 : __real_ftruncate(fd, size);
    if (rc == 0)
        disk_note_size(fd);
    return rc;
}

WRAPPED(int, posix_fallocate, int fd, off_t at, off_t bytes) {
    int cause = cause_now(DISK_posix_fallocate);
    if (cause > 0)
        return cause;
    cause = __real_posix_fallocate(fd, at, bytes);
    if (!cause)
        disk_note_size(fd);
    return cause;
}

/* ---- names ---- */

WRAPPED(int, renameat, int from_dir, const char *from, int to_dir, const char *to) {
    int rc = fails(DISK_renameat) ? -1 : __real_renameat(from_dir, from, to_dir, to);
    if (rc == 0)
        disk_note_named(to_dir, from, from, to);
    return rc;
}

WRAPPED(int, renameat2, int from_dir, const char *from, int to_dir, const char *to,
        unsigned flags) {
    if (F.system != DISK_DOES_ALL) {
        errno = EINVAL;
        return -1;
    }
    int rc = fails(DISK_renameat2) ? -1 : __real_renameat2(from_dir, from, to_dir, to, flags);
    if (rc == 0)
        disk_note_named(to_dir, from, from, to);
    return rc;
}

/* The file has its old name, too. */
WRAPPED(int, linkat, int from_dir, const char *from, int to_dir, const char *to, int flags) {
    if (F.system == DISK_NO_LINK) {
        errno = EPERM;
        return -1;
    }
    int rc = fails(DISK_linkat) ? -1 : __real_linkat(from_dir, from, to_dir, to, flags);
    if (rc == 0)
        disk_note_named(to_dir, from, "", to);
    return rc;
}

WRAPPED(int, unlinkat, int dir, const char *name, int flags) {
    int rc = fails(DISK_unlinkat) ? -1 : __real_unlinkat(dir, name, flags);
    if (rc == 0)
        disk_note_named(dir, name, name, "");
    return rc;
}

WRAPPED(int, mkdir, const char *path, mode_t mode) {
    return fails(DISK_mkdir) ? -1 : __real_mkdir(path, mode);
}

/* ---- questions ---- */

WRAPPED(int, stat, const char *path, struct stat *s) {
    return fails(DISK_stat) ? -1 : __real_stat(path, s);
}

WRAPPED(int, fstat, int fd, struct stat *s) {
    return fails(DISK_fstat) ? -1 : __real_fstat(fd, s);
}

int disk_stat(int fd, struct stat *s) {
    return __real_fstat(fd, s);
}

WRAPPED(int, fstatat, int dir, const char *name, struct stat *s, int flags) {
    return fails(DISK_fstatat) ? -1 : __real_fstatat(dir, name, s, flags);
}

WRAPPED(int, access, const char *path, int mode) {
    return fails(DISK_access) ? -1 : __real_access(path, mode);
}

WRAPPED(int, faccessat, int dir, const char *path, int mode, int flags) {
    return fails(DISK_faccessat) ? -1 : __real_faccessat(dir, path, mode, flags);
}

/* Of locks only: these are what the store calls it for. */
WRAPPED(int, fcntl, int fd, int command, ...) {
    va_list arguments;
    va_start(arguments, command);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    return fails(DISK_fcntl) ? -1 : __real_fcntl(fd, command, argument);
}

WRAPPED(DIR *, fdopendir, int fd) {
    return fails(DISK_fdopendir) ? NULL : __real_fdopendir(fd);
}

WRAPPED(struct dirent *, readdir, DIR *stream) {
    return fails(DISK_readdir) ? NULL : __real_readdir(stream);
}
