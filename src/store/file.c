/* SPDX-License-Identifier: BSD-3-Clause */
/* A snapshot in the making: rank 0's side. */
#include "fault.h"
#include "layout.h"
#include "trailer.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { ALIGNMENT = 4096 };

struct wc_store_file {
    char dir[PATH_MAX], name[64], path[PATH_MAX + 80]; /* name: without .partial */
    hid_t hdf5;
    wc_extent *extents; /* written by the ranks */
    size_t count, room;
    uint32_t ranks;
};

static wc_status hdf5_error(wc_store_file *f, const char *what, wc_error *error) {
    return wc_layout_error(error, WC_ERR_IO, what, f->path);
}

static wc_status system_error(wc_store_file *f, const char *what, wc_error *error) {
    return wc_error_set(error, WC_ERR_IO, "can't %s %s: %s", what, f->path, strerror(errno));
}

/* ---- attributes ---- */

static bool put_attribute(hid_t object, const char *name, hid_t type, const void *value) {
    hid_t space = H5Screate(H5S_SCALAR);
    hid_t attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    bool good = attribute >= 0 && H5Awrite(attribute, type, value) >= 0;
    if (attribute >= 0)
        H5Aclose(attribute);
    H5Sclose(space);
    return good;
}

static bool put_text(hid_t object, const char *name, const char *text) {
    hid_t type = wc_layout_string(strlen(text));
    bool good = put_attribute(object, name, type, text);
    H5Tclose(type);
    return good;
}

static bool put_number(hid_t object, const char *name, uint64_t value) {
    return put_attribute(object, name, H5T_NATIVE_UINT64, &value);
}

/* ---- datasets ---- */

static wc_status note_extent(wc_store_file *f, uint64_t offset, uint64_t bytes, bool hashed,
                             wc_error *error) {
    if (f->count == f->room) {
        size_t room = f->room ? 2 * f->room : 32;
        wc_extent *more = realloc(f->extents, room * sizeof *more);
        if (!more)
            return wc_error_set(error, WC_ERR_MEMORY, "no memory to make %s", f->path);
        f->extents = more;
        f->room = room;
    }
    f->extents[f->count++] = (wc_extent){.offset = offset, .bytes = bytes, .hashed = hashed};
    return WC_OK;
}

static hid_t creation_plan(void) {
    hid_t plan = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_layout(plan, H5D_CONTIGUOUS);
    H5Pset_alloc_time(plan, H5D_ALLOC_TIME_EARLY);
    H5Pset_fill_time(plan, H5D_FILL_TIME_NEVER);
    return plan;
}

/* Where the dataset's bytes are. An empty one has none. */
static wc_status locate(wc_store_file *f, hid_t dataset, uint64_t bytes, bool hashed,
                        uint64_t *place, wc_error *error) {
    *place = 0;
    if (!bytes)
        return WC_OK;
    haddr_t offset = H5Dget_offset(dataset);
    if (offset == HADDR_UNDEF || H5Dget_storage_size(dataset) != bytes)
        return hdf5_error(f, "HDF5 has not taken the space for a dataset of", error);
    *place = (uint64_t)offset;
    return note_extent(f, *place, bytes, hashed, error);
}

/* Makes a dataset whose bytes the ranks write. Takes `type`. */
static wc_status make_dataset(wc_store_file *f, const char *name, hid_t type, int ndims,
                              const hsize_t *shape, bool hashed, uint64_t *place, wc_error *error) {
    hid_t space = H5Screate_simple(ndims, shape, NULL), plan = creation_plan();
    hid_t links = H5Pcreate(H5P_LINK_CREATE);
    H5Pset_create_intermediate_group(links, 1);
    hid_t dataset = H5Dcreate2(f->hdf5, name, type, space, links, plan, H5P_DEFAULT);
    wc_status status = WC_OK;
    if (dataset < 0) {
        status = hdf5_error(f, "can't make a dataset in", error);
    } else {
        uint64_t bytes = H5Tget_size(type);
        for (int d = 0; d < ndims; d++)
            bytes *= shape[d];
        status = locate(f, dataset, bytes, hashed, place, error);
        H5Dclose(dataset);
    }
    H5Pclose(links);
    H5Pclose(plan);
    H5Sclose(space);
    H5Tclose(type);
    return status;
}

static wc_status make_table(wc_store_file *f, const char *name, wc_table table, uint64_t rows,
                            uint64_t *place, wc_error *error) {
    hsize_t shape = rows;
    return make_dataset(f, name, wc_layout_row(table), 1, &shape, true, place, error);
}

/* A reader must tell a global array of one dimension from ranks' elements one after the other. */
static wc_status mark_global(wc_store_file *f, const char *name, wc_error *error) {
    hid_t dataset = H5Dopen2(f->hdf5, name, H5P_DEFAULT);
    bool good = dataset >= 0 && put_number(dataset, "global", 1);
    if (dataset >= 0)
        H5Dclose(dataset);
    return good ? WC_OK : hdf5_error(f, "can't mark a global array in", error);
}

static wc_status make_array(wc_store_file *f, const wc_array *a, wc_array_place *place,
                            wc_error *error) {
    char name[WC_STORE_NAME_BYTES + 16];
    hsize_t shape[WC_STORE_MAX_DIMS] = {a->total};
    for (uint32_t d = 0; d < a->ndims; d++)
        shape[d] = a->shape[d];
    snprintf(name, sizeof name, "/state/%s", a->name);
    wc_status status =
        make_dataset(f, name, wc_layout_element(a->type), a->ndims ? (int)a->ndims : 1, shape,
                     false, &place->data, error);
    if (status == WC_OK && a->ndims)
        status = mark_global(f, name, error);
    snprintf(name, sizeof name, "/index/%s", a->name);
    return status == WC_OK ? make_table(f, name, WC_TABLE_INDEX, f->ranks, &place->index, error)
                           : status;
}

static wc_status make_group(wc_store_file *f, const char *name, wc_error *error) {
    hid_t group = H5Gcreate2(f->hdf5, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    if (group < 0)
        return hdf5_error(f, "can't make a group in", error);
    H5Gclose(group);
    return WC_OK;
}

static wc_status put_head(wc_store_file *f, const wc_snapshot_head *head, wc_error *error) {
    char when[40];
    time_t seconds = (time_t)head->time;
    struct tm utc;
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &utc));
    bool good =
        put_number(f->hdf5, "format", WC_FORMAT_VERSION) && put_number(f->hdf5, "complete", 0) &&
        put_number(f->hdf5, "id", head->id) && put_number(f->hdf5, "parent_id", head->parent_id) &&
        put_number(f->hdf5, "run_id", head->run_id) && put_number(f->hdf5, "ranks", head->ranks) &&
        put_number(f->hdf5, "initiator", head->initiator) &&
        put_text(f->hdf5, "cut", head->immediate ? "immediate" : "aligned") &&
        put_attribute(f->hdf5, "time", H5T_NATIVE_DOUBLE, &head->time) &&
        put_text(f->hdf5, "utc", when) && put_text(f->hdf5, "mpi_library", head->mpi_library) &&
        put_text(f->hdf5, "program", head->program) && put_text(f->hdf5, "wavecut", head->version);
    return good ? WC_OK : hdf5_error(f, "can't write the head of", error);
}

/* ---- space ---- */

/* A full disk is known before anything is written. */
static wc_status take_space(wc_store_file *f, wc_error *error) {
    hsize_t size;
    if (H5Fflush(f->hdf5, H5F_SCOPE_GLOBAL) < 0 || H5Fget_filesize(f->hdf5, &size) < 0)
        return hdf5_error(f, "can't flush", error);
    int fd = open(f->path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return system_error(f, "open", error);
    int rc = posix_fallocate(fd, 0, (off_t)size);
    close(fd);
    errno = rc;
    return rc ? wc_error_set(error, WC_ERR_IO, "can't take %llu MiB for %s: %s",
                             (unsigned long long)(size >> 20) + 1, f->path, strerror(rc))
              : WC_OK;
}

/* ---- life ---- */

static hid_t access_plan(void) {
    hid_t plan = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_libver_bounds(plan, H5F_LIBVER_V18, H5F_LIBVER_V18);
    H5Pset_alignment(plan, ALIGNMENT, ALIGNMENT);
    H5Pset_file_locking(plan, 0, 1);
    return plan;
}

/* A .partial that a killed run has left under this name is in the way. */
static void remove_stale(const char *path) {
    struct stat st;
    if (lstat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid())
        unlink(path);
}

static wc_status create(wc_store_file *f, const wc_snapshot_head *head, const wc_array *arrays,
                        size_t narrays, wc_array_place *places, uint64_t *ranks_place,
                        wc_error *error) {
    remove_stale(f->path);
    hid_t plan = access_plan();
    f->hdf5 = H5Fcreate(f->path, H5F_ACC_EXCL, H5P_DEFAULT, plan);
    H5Pclose(plan);
    if (f->hdf5 < 0)
        return hdf5_error(f, "can't make", error);
    wc_status status = put_head(f, head, error);
    if (status == WC_OK)
        status = make_group(f, "/state", error);
    if (status == WC_OK)
        status = make_group(f, "/index", error);
    if (status == WC_OK)
        status = make_table(f, "/ranks", WC_TABLE_RANKS, head->ranks, ranks_place, error);
    for (size_t i = 0; i < narrays && status == WC_OK; i++)
        status = make_array(f, &arrays[i], &places[i], error);
    return status == WC_OK ? take_space(f, error) : status;
}

wc_status wc_store_create(const char *dir, const wc_snapshot_head *head, const wc_array *arrays,
                          size_t narrays, wc_array_place *places, uint64_t *ranks_place,
                          wc_store_file **file, wc_error *error) {
    wc_store_file *f = calloc(1, sizeof *f);
    if (!f)
        return wc_error_set(error, WC_ERR_MEMORY, "no memory to make a snapshot in %s", dir);
    f->hdf5 = -1;
    f->ranks = head->ranks;
    snprintf(f->dir, sizeof f->dir, "%s", dir);
    snprintf(f->name, sizeof f->name, "wavecut-%06llu.h5", (unsigned long long)head->id);
    snprintf(f->path, sizeof f->path, "%s/%s.partial", f->dir, f->name);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    wc_status status = create(f, head, arrays, narrays, places, ranks_place, error);
    if (status != WC_OK) {
        wc_store_abandon(f);
        return status;
    }
    WC_FAULT("after_create");
    *file = f;
    return WC_OK;
}

wc_status wc_store_add_channels(wc_store_file *f, const wc_channel_sizes *sizes,
                                wc_channel_place *place, wc_error *error) {
    hsize_t bytes = sizes->payload_bytes, members = sizes->members;
    wc_status status = make_group(f, "/channels", error);
    if (status == WC_OK)
        status = make_table(f, "/channels/counters", WC_TABLE_COUNTERS, sizes->counters,
                            &place->counters, error);
    if (status == WC_OK)
        status = make_table(f, "/channels/messages", WC_TABLE_MESSAGES, sizes->messages,
                            &place->messages, error);
    if (status == WC_OK)
        status = make_dataset(f, "/channels/payload", H5Tcopy(H5T_NATIVE_UINT8), 1, &bytes, false,
                              &place->payload, error);
    if (status == WC_OK)
        status = make_table(f, "/communicators", WC_TABLE_COMMUNICATORS, sizes->communicators,
                            &place->communicators, error);
    if (status == WC_OK)
        status = make_dataset(f, "/communicator_members", H5Tcopy(H5T_NATIVE_UINT32), 1, &members,
                              true, &place->members, error);
    if (status == WC_OK)
        status = take_space(f, error);
    WC_FAULT("after_channels");
    return status;
}

const char *wc_store_path(const wc_store_file *f) {
    return f->path;
}

static void release(wc_store_file *f) {
    if (f->hdf5 >= 0)
        H5Fclose(f->hdf5);
    free(f->extents);
    free(f);
}

void wc_store_abandon(wc_store_file *f) {
    if (f->hdf5 >= 0)
        unlink(f->path); /* only what this has made */
    release(f);
}

/* ---- publish ---- */

static wc_status complete(wc_store_file *f, wc_error *error) {
    uint64_t yes = 1;
    hid_t attribute = H5Aopen(f->hdf5, "complete", H5P_DEFAULT);
    bool good = attribute >= 0 && H5Awrite(attribute, H5T_NATIVE_UINT64, &yes) >= 0;
    if (attribute >= 0)
        H5Aclose(attribute);
    hid_t hdf5 = f->hdf5;
    f->hdf5 = -1;
    if (H5Fclose(hdf5) < 0 || !good)
        return hdf5_error(f, "can't complete", error);
    return WC_OK;
}

static wc_status seal(wc_store_file *f, wc_error *error) {
    int fd = open(f->path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return system_error(f, "open", error);
    wc_status status = wc_trailer_write(fd, f->path, f->extents, f->count, error);
    if (status == WC_OK && fsync(fd) < 0)
        status = system_error(f, "fsync", error);
    if (close(fd) < 0 && status == WC_OK)
        status = system_error(f, "close", error);
    return status;
}

/* A snapshot with this number that is there already stays. */
static wc_status rename_new(wc_store_file *f, int dir, wc_error *error) {
    char partial[80];
    snprintf(partial, sizeof partial, "%s.partial", f->name);
    int rc = renameat2(dir, partial, dir, f->name, RENAME_NOREPLACE);
    if (rc < 0 && errno == EINVAL) { /* not on every file system */
        rc = linkat(dir, partial, dir, f->name, 0);
        if (rc == 0)
            rc = unlinkat(dir, partial, 0);
    }
    if (rc < 0)
        return system_error(f, "give its name to", error);
    WC_FAULT("after_rename");
    return fsync(dir) < 0 ? wc_error_set(error, WC_ERR_IO, "can't fsync the directory %s: %s",
                                         f->dir, strerror(errno))
                          : WC_OK;
}

wc_status wc_store_publish(wc_store_file *f, wc_error *error) {
    WC_FAULT("before_complete");
    wc_status status = complete(f, error);
    if (status == WC_OK)
        status = seal(f, error);
    WC_FAULT("before_rename");
    if (status == WC_OK) {
        int dir = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        status =
            dir < 0 ? system_error(f, "open the directory of", error) : rename_new(f, dir, error);
        if (dir >= 0)
            close(dir);
    }
    if (status != WC_OK)
        unlink(f->path);
    release(f);
    return status;
}
