/* SPDX-License-Identifier: BSD-3-Clause */
#include "directory.h"

#include "bytes.h"
#include "trailer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- names ---- */

void wc_file_name(uint64_t id, bool partial, char name[WC_FILE_NAME_BYTES]) {
    snprintf(name, WC_FILE_NAME_BYTES, "wavecut-%06" PRIu64 ".h5%s", id, partial ? ".partial" : "");
}

bool wc_file_parse(const char *name, uint64_t *id, bool *partial) {
    char *end, expected[WC_FILE_NAME_BYTES];
    if (strncmp(name, "wavecut-", 8) != 0 || name[8] < '0' || name[8] > '9')
        return false;
    errno = 0;
    uint64_t number = strtoull(name + 8, &end, 10);
    if (errno)
        return false;
    bool is_partial = strcmp(end, ".h5.partial") == 0;
    wc_file_name(number, is_partial, expected); /* one number has one name */
    if (strcmp(name, expected) != 0)
        return false;
    *id = number;
    *partial = is_partial;
    return true;
}

void wc_store_snapshot_path(const char *dir, uint64_t id, char *path, size_t size) {
    char name[WC_FILE_NAME_BYTES];
    wc_file_name(id, false, name);
    snprintf(path, size, "%s/%s", dir, name);
}

/* ---- files ---- */

wc_status wc_directory_open(const char *dir, int *fd, wc_error *error) {
    *fd = TEMP_FAILURE_RETRY(open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (*fd >= 0)
        return WC_OK;
    if (errno == ENOENT)
        return wc_error_set(error, WC_ERR_NOT_FOUND, "there is no directory %s", dir);
    return wc_error_set(error, WC_ERR_IO, "directory %s can't be opened: %m", dir);
}

bool wc_directory_owns(int dir, const char *name) {
    struct stat s;
    return fstatat(dir, name, &s, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(s.st_mode) &&
           s.st_uid == geteuid();
}

bool wc_directory_vouches(int dir, const struct stat *file) {
    struct stat owner;
    return fstat(dir, &owner) == 0 && (file->st_uid == geteuid() || file->st_uid == owner.st_uid);
}

/* ---- small files ---- */

bool wc_directory_put(int dir, const char *name, const void *bytes, size_t length) {
    char partial[WC_FILE_NAME_BYTES];
    snprintf(partial, sizeof partial, "%s.partial", name);
    if (wc_directory_owns(dir, partial))
        unlinkat(dir, partial, 0); /* of one that was killed here */
    int fd = openat(dir, partial, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    bool written = fd >= 0 && wc_write_all(fd, bytes, length, 0);
    written = (fd < 0 || close(fd) == 0) && written;
    return written && renameat(dir, partial, dir, name) == 0;
}

static wc_status read_file(int fd, const char *path, size_t most, char **text, wc_error *error) {
    struct stat file;
    if (fstat(fd, &file) < 0 || !S_ISREG(file.st_mode) || (size_t)file.st_size > most)
        return wc_error_set(error, WC_ERR_IO, "%s is no regular file, or too large", path);
    char *read_in = malloc((size_t)file.st_size + 1);
    if (!read_in)
        return wc_error_set(error, WC_ERR_MEMORY, "no memory for %s", path);
    ssize_t n = pread(fd, read_in, (size_t)file.st_size, 0);
    if (n < 0) {
        free(read_in);
        return wc_error_set(error, WC_ERR_IO, "%s can't be read: %m", path);
    }
    read_in[n] = '\0';
    *text = read_in;
    return WC_OK;
}

wc_status wc_directory_get(int dir, const char *name, const char *where, size_t most, char **text,
                           wc_error *error) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%.400s/%s", where, name);
    int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return wc_error_set(error, WC_ERR_NOT_FOUND, "there is no %s", path);
    if (fd < 0)
        return wc_error_set(error, WC_ERR_IO, "%s: %m", path);
    wc_status status = read_file(fd, path, most, text, error);
    close(fd);
    return status;
}

/* ---- locks ---- */

/* Of the open file description: HDF5 opens and closes the same file in this process, which would
 * end other locks. */
bool wc_file_lock(int fd) {
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    return fcntl(fd, F_OFD_SETLK, &lock) == 0 || (errno != EAGAIN && errno != EACCES);
}

bool wc_directory_in_use(int dir, const char *name) {
    int fd = TEMP_FAILURE_RETRY(openat(dir, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC));
    if (fd < 0)
        return false;
    bool locked = wc_file_lock(fd);
    close(fd);
    return !locked;
}

/* ---- the directory ---- */

static wc_status make_parents(const char *dir, wc_error *error) {
    char path[PATH_MAX];
    size_t length = strlen(dir);
    if (length == 0 || length >= sizeof path)
        return wc_error_set(error, WC_ERR_IO, "\"%.200s\" is not a usable directory name", dir);
    memcpy(path, dir, length + 1);
    for (size_t i = 1; i <= length; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        path[i] = '\0';
        if (mkdir(path, 0777) < 0 && errno != EEXIST && access(path, F_OK) < 0)
            return wc_error_set(error, WC_ERR_IO,
                                "directory %s can't be made (at %s: %m): set WAVECUT_DIR to a "
                                "place that this job may write",
                                dir, path);
        path[i] = dir[i];
    }
    return WC_OK;
}

wc_status wc_store_prepare_dir(const char *dir, wc_error *error) {
    struct stat s;
    if (stat(dir, &s) < 0) {
        wc_status status = make_parents(dir, error);
        if (status != WC_OK)
            return status;
        if (stat(dir, &s) < 0)
            return wc_error_set(error, WC_ERR_IO, "directory %s: %m", dir);
    }
    if (!S_ISDIR(s.st_mode))
        return wc_error_set(error, WC_ERR_IO,
                            "%s is not a directory: set WAVECUT_DIR to another name", dir);
    if (faccessat(AT_FDCWD, dir, R_OK | X_OK, AT_EACCESS) < 0)
        return wc_error_set(error, WC_ERR_IO,
                            "directory %s can't be read (%m): change its permissions or set "
                            "WAVECUT_DIR to another place",
                            dir);
    return WC_OK;
}

wc_status wc_store_may_write(const char *dir, wc_error *error) {
    if (faccessat(AT_FDCWD, dir, W_OK, AT_EACCESS) < 0)
        return wc_error_set(error, WC_ERR_IO,
                            "directory %s can't be written (%m): change its permissions or set "
                            "WAVECUT_DIR to another place",
                            dir);
    return WC_OK;
}

/* ---- list ---- */

static int newest_first(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x < y) - (x > y);
}

static bool is_snapshot(int dir, const char *name, uint64_t *id) {
    struct stat s;
    bool partial;
    return wc_file_parse(name, id, &partial) && !partial &&
           fstatat(dir, name, &s, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(s.st_mode);
}

bool wc_store_is_trusted(const char *dir, uint64_t id) {
    struct stat file;
    char name[WC_FILE_NAME_BYTES];
    int fd;
    if (wc_directory_open(dir, &fd, NULL) != WC_OK)
        return false;
    wc_file_name(id, false, name);
    bool trusted = fstatat(fd, name, &file, AT_SYMLINK_NOFOLLOW) == 0 &&
                   (wc_directory_vouches(fd, &file) || file.st_uid == 0);
    close(fd);
    return trusted;
}

bool wc_store_is_snapshot(const char *dir, uint64_t id) {
    char name[WC_FILE_NAME_BYTES];
    int at;
    if (wc_directory_open(dir, &at, NULL) != WC_OK)
        return false;
    wc_file_name(id, false, name);
    int fd = TEMP_FAILURE_RETRY(openat(at, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    bool is_one = fd >= 0 && wc_trailer_is_there(fd);
    if (fd >= 0)
        close(fd);
    close(at);
    return is_one;
}

static wc_status collect(DIR *stream, const char *dir, uint64_t **ids, size_t *count,
                         wc_error *error) {
    size_t room = 0;
    struct dirent *entry;
    uint64_t id;
    while (errno = 0, (entry = readdir(stream))) {
        if (!is_snapshot(dirfd(stream), entry->d_name, &id))
            continue;
        if (*count == room) {
            room = room ? 2 * room : 16;
            uint64_t *more = reallocarray(*ids, room, sizeof **ids);
            if (!more)
                return wc_error_set(error, WC_ERR_MEMORY, "no memory for the list of %s", dir);
            *ids = more;
        }
        (*ids)[(*count)++] = id;
    }
    if (errno)
        return wc_error_set(error, WC_ERR_IO, "directory %s can't be read: %m", dir);
    return WC_OK;
}

wc_status wc_store_list(const char *dir, uint64_t **ids, size_t *count, wc_error *error) {
    int fd;
    wc_status status = wc_directory_open(dir, &fd, error);
    if (status != WC_OK)
        return status;
    DIR *stream = fdopendir(fd);
    if (!stream) {
        status = wc_error_set(error, WC_ERR_IO, "directory %s can't be read: %m", dir);
        close(fd);
        return status;
    }
    uint64_t *found = NULL;
    size_t n = 0;
    status = collect(stream, dir, &found, &n, error);
    closedir(stream);
    if (status != WC_OK) {
        free(found);
        return status;
    }
    if (n)
        qsort(found, n, sizeof *found, newest_first);
    *ids = found;
    *count = n;
    return WC_OK;
}
