/* SPDX-License-Identifier: BSD-3-Clause */
#include "directory.h"
#include "fault.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void remove_file(int dir, const char *where, const char *name, wc_error *error) {
    if (unlinkat(dir, name, 0) < 0 && errno != ENOENT && error->status == WC_OK)
        wc_error_set(error, WC_ERR_IO, "%s/%s can't be removed: %m", where, name);
}

static void remove_snapshots(int dir, const char *where, const uint64_t *ids, size_t count,
                             wc_error *error) {
    for (size_t i = 0; i < count; i++) {
        char name[WC_FILE_NAME_BYTES];
        wc_file_name(ids[i], false, name);
        if (wc_directory_owns(dir, name))
            remove_file(dir, where, name, error);
    }
}

/*
 * An unfinished file is stale when a snapshot that is not older has been committed and nobody holds
 * its lock. One with a higher number may be another run's on a file system whose locks don't reach
 * here: it stays, and is replaced when its number comes.
 */
static void remove_stale(int dir, const char *where, uint64_t newest, wc_error *error) {
    int copy = TEMP_FAILURE_RETRY(openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    DIR *stream = copy >= 0 ? fdopendir(copy) : NULL;
    if (!stream) {
        wc_error_set(error, WC_ERR_IO, "directory %s can't be read: %m", where);
        if (copy >= 0)
            close(copy);
        return;
    }
    struct dirent *entry;
    while (errno = 0, (entry = readdir(stream))) {
        uint64_t id;
        bool partial;
        if (wc_file_parse(entry->d_name, &id, &partial) && partial && id <= newest &&
            wc_directory_owns(dir, entry->d_name) && !wc_directory_in_use(dir, entry->d_name))
            remove_file(dir, where, entry->d_name, error);
    }
    if (errno && error->status == WC_OK)
        wc_error_set(error, WC_ERR_IO, "directory %s can't be read: %m", where);
    closedir(stream);
}

wc_status wc_store_prune(const char *dir, uint64_t keep, wc_error *error) {
    uint64_t *ids;
    size_t count;
    int fd;
    wc_error found = {WC_OK, ""};
    WC_FAULT("before_prune");
    wc_status status = wc_directory_open(dir, &fd, error);
    if (status != WC_OK)
        return status;
    status = wc_store_list(dir, &ids, &count, error);
    if (status == WC_OK) {
        if (keep && count > keep)
            remove_snapshots(fd, dir, ids + keep, count - keep, &found);
        WC_FAULT("in_prune");
        if (count)
            remove_stale(fd, dir, ids[0], &found);
        free(ids);
    }
    close(fd);
    WC_FAULT("after_prune");
    return found.status == WC_OK ? status : wc_error_set(error, found.status, "%s", found.text);
}
