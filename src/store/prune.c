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

/* ---- unfinished files ---- */

/* Calls `visit` for each of this user's. */
static void each_partial(int dir, const char *where,
                         void (*visit)(void *context, uint64_t id, const char *name), void *context,
                         wc_error *error) {
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
        if (wc_file_parse(entry->d_name, &id, &partial) && partial &&
            wc_directory_owns(dir, entry->d_name))
            visit(context, id, entry->d_name);
    }
    if (errno && error->status == WC_OK)
        wc_error_set(error, WC_ERR_IO, "directory %s can't be read: %m", where);
    closedir(stream);
}

typedef struct wc_partials {
    int dir;
    const char *where;
    uint64_t newest; /* of the snapshots */
    bool remove;     /* the stale ones */
    uint64_t writing, *stale;
    size_t count;
    wc_error *error;
} wc_partials;

/*
 * An unfinished file is stale when a snapshot that is not older has been committed and nobody holds
 * its lock. One with a higher number may be another run's on a file system whose locks don't reach
 * here: it stays, and is replaced when its number comes.
 */
static void visit_partial(void *context, uint64_t id, const char *name) {
    wc_partials *p = context;
    if (wc_directory_in_use(p->dir, name)) {
        p->writing = id;
    } else if (id <= p->newest && p->remove) {
        remove_file(p->dir, p->where, name, p->error);
    } else if (id <= p->newest) {
        uint64_t *more = reallocarray(p->stale, p->count + 1, sizeof *more);
        if (!more) {
            wc_error_set(p->error, WC_ERR_MEMORY, "no memory for the list of %s", p->where);
            return;
        }
        p->stale = more;
        p->stale[p->count++] = id;
    }
}

wc_status wc_store_partials(const char *dir, uint64_t newest, uint64_t *writing, uint64_t **stale,
                            size_t *count, wc_error *error) {
    wc_error found = {WC_OK, ""};
    wc_partials p = {.where = dir, .newest = newest, .error = &found};
    wc_status status = wc_directory_open(dir, &p.dir, error);
    if (status != WC_OK)
        return status;
    each_partial(p.dir, dir, visit_partial, &p, &found);
    close(p.dir);
    if (found.status != WC_OK) {
        free(p.stale);
        return wc_error_set(error, found.status, "%s", found.text);
    }
    *writing = p.writing;
    *stale = p.stale;
    *count = p.count;
    return WC_OK;
}

wc_status wc_store_remove(const char *dir, uint64_t id, bool partial, wc_error *error) {
    char name[WC_FILE_NAME_BYTES];
    wc_error found = {WC_OK, ""};
    int fd;
    wc_status status = wc_directory_open(dir, &fd, error);
    if (status != WC_OK)
        return status;
    wc_file_name(id, partial, name);
    if (!wc_directory_owns(fd, name))
        wc_error_set(&found, WC_ERR_IO, "%s/%s belongs to another user", dir, name);
    else if (partial && wc_directory_in_use(fd, name))
        wc_error_set(&found, WC_ERR_IO, "%s/%s is being written", dir, name);
    else
        remove_file(fd, dir, name, &found);
    close(fd);
    return found.status == WC_OK ? WC_OK : wc_error_set(error, found.status, "%s", found.text);
}

/* ---- after a commit ---- */

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
        wc_partials p = {
            .dir = fd, .where = dir, .newest = count ? ids[0] : 0, .remove = true, .error = &found};
        if (count)
            each_partial(fd, dir, visit_partial, &p, &found);
        if (count && wc_directory_owns(fd, WC_FINISHED_PARTIAL) &&
            !wc_directory_in_use(fd, WC_FINISHED_PARTIAL))
            remove_file(fd, dir, WC_FINISHED_PARTIAL, &found); /* of a run that was killed then */
        free(ids);
    }
    close(fd);
    WC_FAULT("after_prune");
    return found.status == WC_OK ? status : wc_error_set(error, found.status, "%s", found.text);
}
