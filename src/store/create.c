/* SPDX-License-Identifier: BSD-3-Clause */
#include "fault.h"
#include "file.h"
#include "layout.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

enum { TEXT_MOST = 8192 }; /* bytes of an attribute; HDF5's limit is 64 KiB for all in one header */

static wc_status hdf5_failed(const wc_store_file *f, const char *what, wc_error *error) {
    char cause[160];
    if (f->driver.failure)
        return wc_file_metadata_failed(f, error);
    wc_layout_cause(cause, sizeof cause);
    return wc_error_set(error, WC_ERR_IO, "%.250s: HDF5 can't make %.64s: %s", f->path, what,
                        cause);
}

/* ---- attributes ---- */

static bool put_attribute(hid_t object, const char *name, hid_t type, const void *value) {
    hid_t space = H5Screate(H5S_SCALAR);
    hid_t attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    bool done = attribute >= 0 && H5Awrite(attribute, type, value) >= 0;
    if (attribute >= 0)
        H5Aclose(attribute);
    H5Sclose(space);
    return done;
}

static bool put_u64(hid_t object, const char *name, uint64_t value) {
    return put_attribute(object, name, H5T_STD_U64LE, &value);
}

static bool put_text(hid_t object, const char *name, const char *text) {
    size_t bytes = strlen(text);
    hid_t type = wc_layout_text(bytes < TEXT_MOST ? bytes : TEXT_MOST);
    bool done = put_attribute(object, name, type, text);
    H5Tclose(type);
    return done;
}

static bool put_time(hid_t object, double time) {
    char text[40], seconds[32];
    time_t whole = (time_t)time;
    struct tm utc;
    if (!gmtime_r(&whole, &utc))
        return false;
    strftime(seconds, sizeof seconds, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(text, sizeof text, "%s.%03dZ", seconds, (int)((time - (double)whole) * 1000));
    return put_attribute(object, "time", H5T_IEEE_F64LE, &time) && put_text(object, "utc", text);
}

static wc_status put_head(wc_store_file *f, const wc_snapshot_head *head, wc_error *error) {
    if (!put_u64(f->h5, "complete", 0) || !put_u64(f->h5, "format", WC_FORMAT_VERSION) ||
        !put_u64(f->h5, "id", head->id) || !put_u64(f->h5, "parent_id", head->parent_id) ||
        !put_u64(f->h5, "run_id", head->run_id) || !put_u64(f->h5, "ranks", head->ranks) ||
        !put_u64(f->h5, "initiator", head->initiator) || !put_time(f->h5, head->time) ||
        !put_text(f->h5, "cut", head->immediate ? "immediate" : "aligned") ||
        !put_text(f->h5, "mpi_library", head->mpi_library ? head->mpi_library : "") ||
        !put_text(f->h5, "wavecut", head->version ? head->version : ""))
        return hdf5_failed(f, "the attributes", error);
    return WC_OK;
}

/* A dataset, because arguments may be longer than an attribute can be. */
static wc_status put_program(wc_store_file *f, const char *program, wc_error *error) {
    hid_t type = wc_layout_text(program ? strlen(program) : 0), space = H5Screate(H5S_SCALAR);
    hid_t set = H5Dcreate2(f->h5, "/program", type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    bool done =
        set >= 0 && H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, program ? program : "") >= 0;
    if (set >= 0)
        H5Dclose(set);
    H5Sclose(space);
    H5Tclose(type);
    return done ? WC_OK : hdf5_failed(f, "/program", error);
}

/* ---- datasets ---- */

typedef struct wc_dataset {
    const char *path;
    hid_t type;
    int ndims;
    hsize_t dims[WC_STORE_MAX_DIMS], chunk[WC_STORE_MAX_DIMS];
    uint64_t chunks; /* 0: contiguous */
    uint64_t bytes;  /* of it, or of a chunk */
    wc_extent_kind kind;
    bool global; /* marked: a reader must tell a global array from ranks' elements one after the
                    other */
} wc_dataset;

static herr_t set_layout(hid_t properties, const wc_dataset *d) {
    return d->chunks ? H5Pset_chunk(properties, d->ndims, d->chunk)
                     : H5Pset_layout(properties, H5D_CONTIGUOUS);
}

/* Its space taken now, never filled: the ranks write it past HDF5. */
static hid_t creation_properties(const wc_dataset *d) {
    hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
    if (properties >= 0 && set_layout(properties, d) >= 0 &&
        H5Pset_alloc_time(properties, H5D_ALLOC_TIME_EARLY) >= 0 &&
        H5Pset_fill_time(properties, H5D_FILL_TIME_NEVER) >= 0)
        return properties;
    H5Pclose(properties);
    return -1;
}

static hid_t make_dataset(const wc_store_file *f, const wc_dataset *d) {
    hid_t properties = creation_properties(d), links = H5Pcreate(H5P_LINK_CREATE);
    hid_t space = H5Screate_simple(d->ndims, d->dims, NULL), set = -1;
    if (properties >= 0 && links >= 0 && space >= 0 &&
        H5Pset_create_intermediate_group(links, 1) >= 0)
        set = H5Dcreate2(f->h5, d->path, d->type, space, links, properties, H5P_DEFAULT);
    H5Sclose(space);
    H5Pclose(links);
    H5Pclose(properties);
    return set;
}

/* Each chunk's space was taken at the end of the file: if the last one is where it should be, so are all. To find one
 * HDF5 goes through all of them, so of many only some are looked at. */
static bool are_in_line(hid_t set, const wc_dataset *d, haddr_t first) {
    const uint64_t stride = d->chunks / 64 + 1;
    bool good = true;
    for (uint64_t left = d->chunks; left && good; left -= left < stride ? left : stride) {
        haddr_t at;
        good = wc_layout_chunk(set, left - 1, &at) &&
               at == first + (left - 1) * wc_chunk_step(d->bytes);
    }
    return good;
}

/* Where it lies; what the ranks will write must be exactly there. */
static wc_status locate(wc_store_file *f, const wc_dataset *d, hid_t set, uint64_t *offset,
                        wc_error *error) {
    H5D_space_status_t allocated;
    haddr_t at = HADDR_UNDEF;
    uint64_t chunks = d->chunks ? d->chunks : 1;
    if (!d->bytes) {
        *offset = 0;
        return WC_OK;
    }
    bool given = d->chunks ? wc_layout_chunk(set, 0, &at)
                           : H5Dget_space_status(set, &allocated) >= 0 &&
                                 allocated == H5D_SPACE_STATUS_ALLOCATED;
    if (!d->chunks)
        at = H5Dget_offset(set);
    if (!given || at == HADDR_UNDEF || at == 0 || H5Dget_storage_size(set) != chunks * d->bytes ||
        !are_in_line(set, d, at))
        return wc_error_set(error, WC_ERR_IO,
                            "%.250s: HDF5 has not given %.200s the space that it needs", f->path,
                            d->path);
    *offset = at;
    return wc_extents_add(&f->extents, (wc_extent){at, d->bytes, d->kind}, chunks,
                          wc_chunk_step(d->bytes), error);
}

static wc_status add_dataset(wc_store_file *f, const wc_dataset *d, uint64_t *offset,
                             wc_error *error) {
    hid_t set = make_dataset(f, d);
    if (set < 0)
        return hdf5_failed(f, d->path, error);
    wc_status status = locate(f, d, set, offset, error);
    if (status == WC_OK && d->global && !put_u64(set, "global", 1))
        status = hdf5_failed(f, d->path, error);
    H5Dclose(set);
    return status;
}

/* `type` is closed. */
static wc_status add_rows(wc_store_file *f, const char *path, hid_t type, size_t row_bytes,
                          uint64_t rows, wc_extent_kind kind, uint64_t *offset, wc_error *error) {
    wc_dataset d = {.path = path, .type = type, .ndims = 1, .dims = {rows}, .kind = kind};
    wc_status status =
        wc_multiply(rows, row_bytes, &d.bytes)
            ? add_dataset(f, &d, offset, error)
            : wc_error_set(error, WC_ERR_ARGUMENT, "%s is too large for a file", path);
    H5Tclose(type);
    return status;
}

static wc_status add_table(wc_store_file *f, wc_table table, uint64_t rows, uint64_t *offset,
                           wc_error *error) {
    return add_rows(f, wc_table_path(table), wc_table_type(table), wc_table_row_bytes(table), rows,
                    table == WC_TABLE_PAYLOAD ? WC_EXTENT_DATA : WC_EXTENT_ROWS, offset, error);
}

static wc_status describe(const wc_array *array, wc_dataset *d, wc_error *error) {
    uint64_t elements = array->ndims ? 1 : array->total;
    uint64_t chunk = wc_type_bytes(array->type);
    bool fits = array->ndims <= WC_STORE_MAX_DIMS;
    d->ndims = array->ndims ? (int)array->ndims : 1;
    d->dims[0] = array->total;
    for (uint32_t i = 0; i < array->ndims && fits; i++) {
        d->dims[i] = array->shape[i];
        d->chunk[i] = array->chunk[i];
        chunk *= array->chunk[i];
        fits = wc_multiply(elements, array->shape[i], &elements);
    }
    fits = fits && elements == array->total &&
           wc_multiply(elements, wc_type_bytes(array->type), &d->bytes) && d->bytes <= INT64_MAX;
    if (fits && wc_array_is_chunked(array)) {
        d->chunks = wc_array_chunks(array);
        d->bytes = chunk;
    }
    if (!fits)
        return wc_error_set(error, WC_ERR_ARGUMENT,
                            "the shape of \"%s\" does not fit its %" PRIu64 " elements",
                            array->name, array->total);
    d->global = array->ndims > 0;
    return WC_OK;
}

static wc_status add_array(wc_store_file *f, const wc_array *array, uint32_t ranks,
                           wc_array_place *place, wc_error *error) {
    char path[WC_STORE_NAME_BYTES + 16];
    wc_dataset d = {.path = path, .kind = WC_EXTENT_DATA};
    wc_status status = describe(array, &d, error);
    if (status != WC_OK)
        return status;
    snprintf(path, sizeof path, "/state/%s", array->name);
    if (f->stripe && wc_type_bytes(array->type) * array->total >= f->stripe)
        f->driver.step = f->stripe;
    d.type = wc_layout_type(array->type);
    status = add_dataset(f, &d, &place->data, error);
    H5Tclose(d.type);
    if (status != WC_OK)
        return status;
    snprintf(path, sizeof path, "/index/%s", array->name);
    status = add_rows(f, path, wc_index_type(array->ndims), wc_index_bytes(array->ndims), ranks,
                      WC_EXTENT_ROWS, &place->index, error);
    if (status != WC_OK)
        return status;
    snprintf(path, sizeof path, "/blocks/%s", array->name);
    return add_rows(f, path, wc_table_type(WC_TABLE_BLOCKS), sizeof(uint64_t), array->blocks,
                    WC_EXTENT_ROWS, &place->blocks, error);
}

/* Also there when nothing is in it. */
static wc_status add_group(wc_store_file *f, const char *path, wc_error *error) {
    hid_t group = H5Gcreate2(f->h5, path, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    if (group < 0)
        return hdf5_failed(f, path, error);
    H5Gclose(group);
    return WC_OK;
}

/* ---- space ---- */

static wc_status no_space(const wc_store_file *f, uint64_t bytes, int cause, wc_error *error) {
    struct statvfs s;
    if ((cause == ENOSPC || cause == EDQUOT) && fstatvfs(f->fd, &s) == 0)
        return wc_error_set(error, WC_ERR_IO,
                            "%.250s needs %" PRIu64 " bytes and %" PRIu64
                            " are free (%s): free some space, keep fewer snapshots (WAVECUT_KEEP) "
                            "or set WAVECUT_DIR to another file system",
                            f->path, bytes, (uint64_t)s.f_bavail * s.f_frsize, strerror(cause));
    return wc_error_set(error, WC_ERR_IO, "%.250s: %" PRIu64 " bytes can't be had: %s%s", f->path,
                        bytes, strerror(cause), wc_error_advice(cause));
}

/* Takes the space of what has been added, so that a full disk is known now. */
static wc_status take_space(wc_store_file *f, wc_error *error) {
    hsize_t size;
    if (H5Fget_filesize(f->h5, &size) < 0)
        return hdf5_failed(f, "the file", error);
    for (size_t i = 0; i < f->extents.count; i++) {
        const wc_extent *e = &f->extents.at[i];
        if (e->offset > size || e->size > size - e->offset)
            return wc_error_set(error, WC_ERR_IO, "%.250s: HDF5 put a dataset behind its end",
                                f->path);
    }
    int cause = f->driver.failure;
    if (cause)
        return no_space(f, size, cause, error);
    if (size <= f->size) /* what was added fits into what there was */
        return WC_OK;
    do
        cause = posix_fallocate(f->fd, (off_t)f->size, (off_t)(size - f->size));
    while (cause == EINTR);
    if (cause)
        return no_space(f, size - f->size, cause, error);
    f->size = size;
    return WC_OK;
}

/* ---- the file ---- */

/* The file of a run that was killed here; its number comes again. */
static wc_status remove_stale(const wc_store_file *f, wc_error *error) {
    if (!wc_directory_owns(f->dir, f->partial))
        return wc_error_set(error, WC_ERR_IO,
                            "%.300s is in the way, and is not a file of this user: remove it",
                            f->path);
    if (wc_directory_in_use(f->dir, f->partial))
        return wc_error_set(error, WC_ERR_IO,
                            "%.300s is being written by another run: give each run a WAVECUT_DIR "
                            "of its own",
                            f->path);
    if (unlinkat(f->dir, f->partial, 0) < 0 && errno != ENOENT)
        return wc_error_set(error, WC_ERR_IO, "%.300s can't be removed: %m%s", f->path,
                            wc_error_advice(errno));
    return WC_OK;
}

static wc_status make_file(wc_store_file *f, wc_error *error) {
    const int flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    struct stat s;
    if (fstatat(f->dir, f->final, &s, AT_SYMLINK_NOFOLLOW) == 0)
        return wc_error_set(error, WC_ERR_IO, "%.300s: this snapshot exists already: %s", f->path,
                            f->final);
    f->fd = TEMP_FAILURE_RETRY(openat(f->dir, f->partial, flags, 0666));
    if (f->fd < 0 && errno == EEXIST) {
        wc_status status = remove_stale(f, error);
        if (status != WC_OK)
            return status;
        f->fd = TEMP_FAILURE_RETRY(openat(f->dir, f->partial, flags, 0666));
    }
    if (f->fd < 0)
        return wc_error_set(error, WC_ERR_IO, "%.300s can't be made: %m%s", f->path,
                            wc_error_advice(errno));
    wc_file_lock(f->fd);
    return WC_OK;
}

/* So many children has a node of a chunked array's index: all of them in one node, so that no other node is put between
 * the chunks. */
static bool set_node_size(hid_t creation, const wc_array *arrays, size_t narrays) {
    uint64_t most = 0;
    for (size_t i = 0; i < narrays; i++)
        if (wc_array_is_chunked(&arrays[i]) && wc_array_chunks(&arrays[i]) > most)
            most = wc_array_chunks(&arrays[i]);
    return most <= 64 || H5Pset_istore_k(creation, (unsigned)(most + 1) / 2) >= 0;
}

static wc_status start_hdf5(wc_store_file *f, const wc_array *arrays, size_t narrays,
                            wc_error *error) {
    f->driver = (wc_driver){.fd = f->fd};
    hid_t creation = H5Pcreate(H5P_FILE_CREATE), access = wc_layout_access(&f->driver);
    /* The attributes stay in the root's header: a simpler file. */
    if (creation >= 0 && access >= 0 && H5Pset_attr_phase_change(creation, 64, 0) >= 0 &&
        set_node_size(creation, arrays, narrays))
        f->h5 = H5Fcreate(f->path, H5F_ACC_TRUNC, creation, access);
    H5Pclose(access);
    H5Pclose(creation);
    return f->h5 >= 0 ? WC_OK : hdf5_failed(f, "the file", error);
}

static wc_store_file *allocate(const char *dir, uint64_t id) {
    wc_store_file *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->dir = f->fd = -1;
    f->h5 = -1;
    wc_file_name(id, true, f->partial);
    wc_file_name(id, false, f->final);
    if (asprintf(&f->path, "%s/%s", dir, f->partial) < 0) {
        free(f);
        return NULL;
    }
    return f;
}

static wc_status fill(wc_store_file *f, const wc_snapshot_head *head, const wc_array *arrays,
                      size_t narrays, wc_array_place *places, uint64_t *ranks_place,
                      wc_error *error) {
    f->stripe = (head->stripe + WC_STORE_PAGE - 1) / WC_STORE_PAGE * WC_STORE_PAGE;
    wc_status status = start_hdf5(f, arrays, narrays, error);
    if (status == WC_OK)
        status = put_head(f, head, error);
    if (status == WC_OK)
        status = put_program(f, head->program, error);
    if (status == WC_OK)
        status = add_group(f, "/state", error);
    if (status == WC_OK)
        status = add_group(f, "/index", error);
    if (status == WC_OK)
        status = add_group(f, "/blocks", error);
    if (status == WC_OK)
        status = add_table(f, WC_TABLE_RANKS, head->ranks, ranks_place, error);
    for (size_t i = 0; i < narrays && status == WC_OK; i++)
        status = add_array(f, &arrays[i], head->ranks, &places[i], error);
    return status == WC_OK ? take_space(f, error) : status;
}

wc_status wc_store_create(const char *dir, const wc_snapshot_head *head, const wc_array *arrays,
                          size_t narrays, wc_array_place *places, uint64_t *ranks_place,
                          wc_store_file **file, wc_error *error) {
    wc_store_file *f = allocate(dir, head->id);
    if (!f)
        return wc_error_set(error, WC_ERR_MEMORY, "no memory for a snapshot");
    wc_quiet quiet;
    wc_quiet_begin(&quiet);
    wc_status status = wc_directory_open(dir, &f->dir, error);
    if (status == WC_OK)
        status = make_file(f, error);
    if (status == WC_OK)
        status = fill(f, head, arrays, narrays, places, ranks_place, error);
    wc_quiet_end(&quiet);
    if (status != WC_OK) {
        wc_store_abandon(f);
        return status;
    }
    *file = f;
    WC_FAULT("after_create");
    return WC_OK;
}

wc_status wc_store_add_channels(wc_store_file *f, const wc_channel_sizes *sizes,
                                wc_channel_place *place, wc_error *error) {
    const struct {
        wc_table table;
        uint64_t rows, *offset;
    } all[] = {{WC_TABLE_COUNTERS, sizes->counters, &place->counters},
               {WC_TABLE_MESSAGES, sizes->messages, &place->messages},
               {WC_TABLE_PAYLOAD, sizes->payload_bytes, &place->payload},
               {WC_TABLE_COMMUNICATORS, sizes->communicators, &place->communicators},
               {WC_TABLE_MEMBERS, sizes->members, &place->members},
               {WC_TABLE_EVENTS, sizes->events, &place->events},
               {WC_TABLE_EVENT_INDEX, sizes->traced, &place->event_index},
               {WC_TABLE_STREAMS, sizes->streams, &place->streams}};
    const size_t count = sizeof all / sizeof *all - (sizes->traced ? 0 : 3);
    wc_status status = WC_OK;
    wc_quiet quiet;
    wc_quiet_begin(&quiet);
    for (size_t i = 0; i < count && status == WC_OK; i++)
        status = add_table(f, all[i].table, all[i].rows, all[i].offset, error);
    if (status == WC_OK)
        status = take_space(f, error);
    wc_quiet_end(&quiet);
    if (status == WC_OK)
        WC_FAULT("after_channels");
    return status;
}

const char *wc_store_path(const wc_store_file *file) {
    return file->path;
}
