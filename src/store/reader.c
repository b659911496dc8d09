/* SPDX-License-Identifier: BSD-3-Clause */
/* A committed snapshot. HDF5 tells where things are, once, at the opening; bytes are read with
 * pread. */
#include "layout.h"
#include "trailer.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A dataset's bytes in the file. */
typedef struct wc_part {
    uint64_t offset, count; /* elements or rows */
} wc_part;

struct wc_reader {
    char path[PATH_MAX];
    int fd;
    wc_snapshot_head head;
    char *texts[3]; /* the head's */
    wc_array *arrays;
    wc_part *data, *index; /* [count] */
    size_t count, room;
    wc_part ranks, counters, messages, payload, communicators, members;
};

static wc_status damaged(const wc_reader *r, const char *what, wc_error *error) {
    return wc_error_set(error, WC_ERR_DAMAGED, "%s is damaged: %s", r->path, what);
}

static wc_status no_memory(const wc_reader *r, wc_error *error) {
    return wc_error_set(error, WC_ERR_MEMORY, "no memory to read %s", r->path);
}

/* ---- what HDF5 knows ---- */

static wc_status get_number(wc_reader *r, hid_t file, const char *name, uint64_t *value,
                            wc_error *error) {
    hid_t attribute = H5Aopen(file, name, H5P_DEFAULT);
    bool good = attribute >= 0 && H5Aread(attribute, H5T_NATIVE_UINT64, value) >= 0;
    if (attribute >= 0)
        H5Aclose(attribute);
    return good ? WC_OK
                : wc_error_set(error, WC_ERR_DAMAGED, "%s is damaged: it has no number \"%s\"",
                               r->path, name);
}

/* A text with its terminating zero, malloc'd. */
static wc_status get_text(wc_reader *r, hid_t file, const char *name, char **text,
                          wc_error *error) {
    hid_t attribute = H5Aopen(file, name, H5P_DEFAULT);
    hid_t type = attribute >= 0 ? H5Aget_type(attribute) : -1;
    size_t bytes = type >= 0 && H5Tget_class(type) == H5T_STRING && !H5Tis_variable_str(type)
                       ? H5Tget_size(type)
                       : 0;
    *text = bytes ? calloc(bytes + 1, 1) : NULL;
    bool good = *text && H5Aread(attribute, type, *text) >= 0;
    if (type >= 0)
        H5Tclose(type);
    if (attribute >= 0)
        H5Aclose(attribute);
    return good ? WC_OK
                : wc_error_set(error, WC_ERR_DAMAGED, "%s is damaged: it has no text \"%s\"",
                               r->path, name);
}

static wc_status read_head(wc_reader *r, hid_t file, wc_error *error) {
    uint64_t format, complete, ranks, initiator;
    wc_status status = get_number(r, file, "format", &format, error);
    if (status == WC_OK && format != WC_FORMAT_VERSION)
        return wc_error_set(error, WC_ERR_UNSUPPORTED,
                            "%s has format %llu, and this version reads %d", r->path,
                            (unsigned long long)format, WC_FORMAT_VERSION);
    if (status != WC_OK || (status = get_number(r, file, "complete", &complete, error)) != WC_OK)
        return status;
    if (complete != 1)
        return damaged(r, "it was never completed", error);
    struct {
        const char *name;
        uint64_t *value;
    } numbers[] = {{"id", &r->head.id},
                   {"parent_id", &r->head.parent_id},
                   {"run_id", &r->head.run_id},
                   {"ranks", &ranks},
                   {"initiator", &initiator}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers && status == WC_OK; i++)
        status = get_number(r, file, numbers[i].name, numbers[i].value, error);
    static const char *const texts[] = {"mpi_library", "program", "wavecut"};
    for (size_t i = 0; i < 3 && status == WC_OK; i++)
        status = get_text(r, file, texts[i], &r->texts[i], error);
    char *cut = NULL;
    if (status == WC_OK)
        status = get_text(r, file, "cut", &cut, error);
    if (status == WC_OK) {
        r->head.immediate = strcmp(cut, "immediate") == 0;
        r->head.ranks = (uint32_t)ranks;
        r->head.initiator = (uint32_t)initiator;
        r->head.mpi_library = r->texts[0];
        r->head.program = r->texts[1];
        r->head.version = r->texts[2];
        hid_t time = H5Aopen(file, "time", H5P_DEFAULT);
        if (time < 0 || H5Aread(time, H5T_NATIVE_DOUBLE, &r->head.time) < 0)
            status = damaged(r, "it has no time", error);
        if (time >= 0)
            H5Aclose(time);
    }
    free(cut);
    return status;
}

/* Finds a one-dimensional dataset of `type` (taken) and where its bytes are. */
static wc_status find_part(wc_reader *r, hid_t file, const char *name, hid_t type, wc_part *part,
                           wc_error *error) {
    hid_t dataset = H5Dopen2(file, name, H5P_DEFAULT);
    hid_t its = dataset >= 0 ? H5Dget_type(dataset) : -1,
          space = dataset >= 0 ? H5Dget_space(dataset) : -1;
    bool good = its >= 0 && space >= 0 && H5Tequal(its, type) > 0;
    if (good) {
        part->count = (uint64_t)H5Sget_simple_extent_npoints(space);
        haddr_t offset = H5Dget_offset(dataset);
        good = part->count == 0 || (offset != HADDR_UNDEF && H5Dget_storage_size(dataset) ==
                                                                 part->count * H5Tget_size(type));
        part->offset = part->count ? (uint64_t)offset : 0;
    }
    if (space >= 0)
        H5Sclose(space);
    if (its >= 0)
        H5Tclose(its);
    if (dataset >= 0)
        H5Dclose(dataset);
    H5Tclose(type);
    H5Eclear2(H5E_DEFAULT);
    return good ? WC_OK
                : wc_error_set(error, WC_ERR_DAMAGED,
                               "%s is damaged: %s is missing, or not what it should be", r->path,
                               name);
}

/* ---- arrays ---- */

static bool find_type(hid_t dataset, wc_type *type) {
    hid_t its = H5Dget_type(dataset);
    bool found = false;
    for (int t = 0; t < WC_TYPE_COUNT && !found; t++) {
        hid_t candidate = wc_layout_element((wc_type)t);
        found = H5Tequal(its, candidate) > 0;
        if (found)
            *type = (wc_type)t;
        H5Tclose(candidate);
    }
    H5Tclose(its);
    return found;
}

static bool is_global(hid_t dataset) {
    return H5Aexists(dataset, "global") > 0;
}

static bool get_shape(hid_t dataset, wc_array *a) {
    hsize_t shape[WC_STORE_MAX_DIMS];
    hid_t space = H5Dget_space(dataset);
    int ndims = H5Sget_simple_extent_ndims(space);
    bool good = ndims >= 1 && ndims <= WC_STORE_MAX_DIMS &&
                H5Sget_simple_extent_dims(space, shape, NULL) == ndims;
    H5Sclose(space);
    a->total = 1;
    for (int d = 0; good && d < ndims; d++)
        a->total *= shape[d];
    if (good && is_global(dataset)) {
        a->ndims = (uint32_t)ndims;
        for (int d = 0; d < ndims; d++)
            a->shape[d] = shape[d];
    }
    return good;
}

static bool make_room(wc_reader *r) {
    if (r->count < r->room)
        return true;
    size_t room = r->room ? 2 * r->room : 16;
    wc_array *arrays = realloc(r->arrays, room * sizeof *arrays);
    r->arrays = arrays ? arrays : r->arrays;
    wc_part *data = realloc(r->data, room * sizeof *data);
    r->data = data ? data : r->data;
    wc_part *index = realloc(r->index, room * sizeof *index);
    r->index = index ? index : r->index;
    if (arrays && data && index)
        r->room = room;
    return arrays && data && index;
}

static herr_t visit(hid_t group, const char *name, const H5O_info_t *info, void *reader) {
    wc_reader *r = reader;
    if (info->type != H5O_TYPE_DATASET)
        return 0;
    if (strlen(name) >= WC_STORE_NAME_BYTES || !make_room(r))
        return -1;
    wc_array *a = &r->arrays[r->count];
    *a = (wc_array){0};
    strcpy(a->name, name);
    hid_t dataset = H5Dopen2(group, name, H5P_DEFAULT);
    if (dataset < 0)
        return -1;
    bool good = find_type(dataset, &a->type) && get_shape(dataset, a);
    haddr_t offset = H5Dget_offset(dataset);
    bool placed =
        good && (a->total == 0 || (offset != HADDR_UNDEF && H5Dget_storage_size(dataset) ==
                                                                a->total * wc_type_bytes(a->type)));
    H5Dclose(dataset);
    if (!placed)
        return -1;
    r->data[r->count++] = (wc_part){.offset = a->total ? (uint64_t)offset : 0, .count = a->total};
    return 0;
}

static wc_status read_arrays(wc_reader *r, hid_t file, wc_error *error) {
    hid_t state = H5Gopen2(file, "/state", H5P_DEFAULT);
    herr_t rc =
        state < 0 ? -1 : H5Ovisit2(state, H5_INDEX_NAME, H5_ITER_INC, visit, r, H5O_INFO_BASIC);
    if (state >= 0)
        H5Gclose(state);
    if (rc < 0)
        return damaged(r, "an array in /state is not what it should be", error);
    wc_status status = WC_OK;
    for (size_t i = 0; i < r->count && status == WC_OK; i++) {
        char name[WC_STORE_NAME_BYTES + 16];
        snprintf(name, sizeof name, "/index/%s", r->arrays[i].name);
        status = find_part(r, file, name, wc_layout_row(WC_TABLE_INDEX), &r->index[i], error);
        if (status == WC_OK && r->index[i].count != r->head.ranks)
            status = damaged(r, "an index has not one row for each rank", error);
    }
    return status;
}

static wc_status read_layout(wc_reader *r, hid_t file, wc_error *error) {
    wc_status status = read_head(r, file, error);
    const struct {
        const char *name;
        hid_t type;
        wc_part *part;
    } parts[] = {{"/ranks", wc_layout_row(WC_TABLE_RANKS), &r->ranks},
                 {"/channels/counters", wc_layout_row(WC_TABLE_COUNTERS), &r->counters},
                 {"/channels/messages", wc_layout_row(WC_TABLE_MESSAGES), &r->messages},
                 {"/channels/payload", H5Tcopy(H5T_NATIVE_UINT8), &r->payload},
                 {"/communicators", wc_layout_row(WC_TABLE_COMMUNICATORS), &r->communicators},
                 {"/communicator_members", H5Tcopy(H5T_NATIVE_UINT32), &r->members}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (status == WC_OK)
            status = find_part(r, file, parts[i].name, parts[i].type, parts[i].part, error);
        else
            H5Tclose(parts[i].type);
    }
    if (status == WC_OK && r->ranks.count != r->head.ranks)
        status = damaged(r, "/ranks has not one row for each rank", error);
    return status == WC_OK ? read_arrays(r, file, error) : status;
}

/* ---- life ---- */

static wc_status open_file(wc_reader *r, wc_error *error) {
    r->fd = open(r->path, O_RDONLY | O_CLOEXEC);
    if (r->fd < 0)
        return wc_error_set(error, errno == ENOENT ? WC_ERR_NOT_FOUND : WC_ERR_IO,
                            "can't open %s: %s", r->path, strerror(errno));
    wc_status status = wc_trailer_check(r->fd, r->path, error);
    if (status != WC_OK)
        return status;
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    hid_t plan = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_file_locking(plan, 0, 1);
    hid_t file = H5Fopen(r->path, H5F_ACC_RDONLY, plan);
    H5Pclose(plan);
    if (file < 0)
        return wc_layout_error(error, WC_ERR_DAMAGED, "HDF5 can't open", r->path);
    status = read_layout(r, file, error);
    H5Fclose(file);
    return status;
}

wc_status wc_reader_open(const char *path, wc_reader **reader, wc_error *error) {
    if (strlen(path) >= PATH_MAX)
        return wc_error_set(error, WC_ERR_NOT_FOUND, "the name of a snapshot is too long: %.80s...",
                            path);
    wc_reader *r = calloc(1, sizeof *r);
    if (!r)
        return wc_error_set(error, WC_ERR_MEMORY, "no memory to read %s", path);
    strcpy(r->path, path);
    wc_status status = open_file(r, error);
    if (status != WC_OK) {
        wc_reader_close(r);
        return status;
    }
    *reader = r;
    return WC_OK;
}

void wc_reader_close(wc_reader *r) {
    if (r->fd >= 0)
        close(r->fd);
    for (size_t i = 0; i < 3; i++)
        free(r->texts[i]);
    free(r->arrays);
    free(r->data);
    free(r->index);
    free(r);
}

const wc_snapshot_head *wc_reader_head(const wc_reader *r) {
    return &r->head;
}

size_t wc_reader_arrays(const wc_reader *r, const wc_array **arrays) {
    *arrays = r->arrays;
    return r->count;
}

/* ---- state ---- */

wc_status wc_reader_index(wc_reader *r, size_t array, uint32_t rank, wc_index_row *row,
                          wc_error *error) {
    wc_index_row found;
    if (rank >= r->head.ranks)
        return wc_error_set(error, WC_ERR_ARGUMENT, "%s has no rank %u", r->path, rank);
    wc_status status =
        wc_read_exactly(r->fd, r->path, &found, sizeof found,
                        r->index[array].offset + (uint64_t)rank * sizeof found, error);
    if (status != WC_OK)
        return status;
    uint64_t total = r->arrays[array].total;
    if (found.present > 1 || found.count > total ||
        (found.count && found.first > total - found.count))
        return wc_error_set(error, WC_ERR_DAMAGED,
                            "%s is damaged: /index/%s places rank %u outside the array", r->path,
                            r->arrays[array].name, rank);
    *row = found;
    return WC_OK;
}

/* Reads into memory, or just looks; either way the hash is of what was read. */
static wc_status read_hashed(wc_reader *r, uint64_t from, uint64_t bytes, void *to, uint64_t *hash,
                             wc_error *error) {
    if (!to)
        return wc_hash_part(r->fd, r->path, from, bytes, hash, error);
    wc_status status = wc_read_exactly(r->fd, r->path, to, bytes, from, error);
    if (status == WC_OK)
        *hash = XXH3_64bits(to, bytes);
    return status;
}

wc_status wc_reader_extent(wc_reader *r, size_t array, uint32_t rank, void *to, wc_error *error) {
    wc_index_row row;
    uint64_t hash, each = wc_type_bytes(r->arrays[array].type);
    wc_status status = wc_reader_index(r, array, rank, &row, error);
    if (status != WC_OK || row.count == 0)
        return status;
    status = read_hashed(r, r->data[array].offset + row.first * each, row.count * each, to, &hash,
                         error);
    if (status == WC_OK && hash != row.checksum)
        return wc_error_set(error, WC_ERR_DAMAGED,
                            "%s is damaged: the bytes of /state/%s of rank %u have changed",
                            r->path, r->arrays[array].name, rank);
    return status;
}

/* ---- tables ---- */

static wc_status read_table(wc_reader *r, const wc_part *part, size_t each, void **rows,
                            size_t *count, wc_error *error) {
    void *read = malloc(part->count * each + 1);
    if (!read)
        return no_memory(r, error);
    wc_status status =
        wc_read_exactly(r->fd, r->path, read, part->count * each, part->offset, error);
    if (status != WC_OK) {
        free(read);
        return status;
    }
    *rows = read;
    *count = part->count;
    return WC_OK;
}

wc_status wc_reader_ranks(wc_reader *r, wc_rank_row **rows, size_t *count, wc_error *error) {
    void *read;
    wc_status status = read_table(r, &r->ranks, sizeof **rows, &read, count, error);
    if (status != WC_OK)
        return status;
    *rows = read;
    for (size_t i = 0; i < *count; i++)
        (*rows)[i].host[WC_HOST_BYTES - 1] = 0;
    return WC_OK;
}

wc_status wc_reader_counters(wc_reader *r, wc_counter_row **rows, size_t *count, wc_error *error) {
    void *read;
    wc_status status = read_table(r, &r->counters, sizeof **rows, &read, count, error);
    if (status == WC_OK)
        *rows = read;
    return status;
}

wc_status wc_reader_messages(wc_reader *r, wc_message_row **rows, size_t *count, wc_error *error) {
    void *read;
    wc_status status = read_table(r, &r->messages, sizeof **rows, &read, count, error);
    if (status == WC_OK)
        *rows = read;
    return status;
}

wc_status wc_reader_communicators(wc_reader *r, wc_comm_row **rows, size_t *count,
                                  wc_error *error) {
    void *read;
    wc_status status = read_table(r, &r->communicators, sizeof **rows, &read, count, error);
    if (status != WC_OK)
        return status;
    *rows = read;
    for (size_t i = 0; i < *count; i++)
        (*rows)[i].how[sizeof(*rows)->how - 1] = 0;
    return WC_OK;
}

wc_status wc_reader_payload(wc_reader *r, const wc_message_row *row, void *to, wc_error *error) {
    uint64_t hash;
    if (row->bytes > r->payload.count || row->offset > r->payload.count - row->bytes)
        return damaged(r, "a message in flight is outside /channels/payload", error);
    if (row->bytes == 0)
        return WC_OK;
    wc_status status =
        read_hashed(r, r->payload.offset + row->offset, row->bytes, to, &hash, error);
    if (status == WC_OK && hash != row->checksum)
        return wc_error_set(
            error, WC_ERR_DAMAGED,
            "%s is damaged: the bytes of a message in flight from rank %u to rank %u have changed",
            r->path, row->source, row->destination);
    return status;
}
