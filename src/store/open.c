/* SPDX-License-Identifier: BSD-3-Clause */
/* What HDF5 knows of a snapshot, taken down in one pass. Nothing is believed because it is there.
 */
#include "reader.h"

#include <stdlib.h>
#include <string.h>

enum { LEAST_OBJECT = 16 }; /* bytes that an object takes in a file, at the least */

/* ---- attributes ---- */

static bool is_scalar(hid_t attribute) {
    hid_t space = H5Aget_space(attribute);
    bool scalar = space >= 0 && H5Sget_simple_extent_npoints(space) == 1;
    if (space >= 0)
        H5Sclose(space);
    return scalar;
}

static bool get_number(hid_t object, const char *name, H5T_class_t class, hid_t type, void *value) {
    hid_t attribute = H5Aopen(object, name, H5P_DEFAULT);
    hid_t its = attribute >= 0 ? H5Aget_type(attribute) : -1;
    bool got = its >= 0 && H5Tget_class(its) == class && is_scalar(attribute) &&
               H5Aread(attribute, type, value) >= 0;
    if (its >= 0)
        H5Tclose(its);
    if (attribute >= 0)
        H5Aclose(attribute);
    return got;
}

static bool get_u64(hid_t object, const char *name, uint64_t *value) {
    return get_number(object, name, H5T_INTEGER, H5T_NATIVE_UINT64, value);
}

static bool get_u32(hid_t object, const char *name, uint32_t *value) {
    uint64_t wide;
    if (!get_u64(object, name, &wide) || wide > UINT32_MAX)
        return false;
    *value = (uint32_t)wide;
    return true;
}

/* Room for a text of this type with its terminating zero; NULL if it is none of fixed length, or longer than the file. */
static char *text_room(const wc_reader *r, hid_t type) {
    bool fixed = type >= 0 && H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) == 0;
    return fixed && H5Tget_size(type) <= r->trailer.end ? calloc(1, H5Tget_size(type) + 1) : NULL;
}

/* malloc'd; NULL if there is none. */
static char *get_text(const wc_reader *r, hid_t object, const char *name) {
    hid_t attribute = H5Aopen(object, name, H5P_DEFAULT);
    hid_t type = attribute >= 0 ? H5Aget_type(attribute) : -1;
    char *text = attribute >= 0 && is_scalar(attribute) ? text_room(r, type) : NULL;
    if (text && H5Aread(attribute, type, text) < 0) {
        free(text);
        text = NULL;
    }
    if (type >= 0)
        H5Tclose(type);
    if (attribute >= 0)
        H5Aclose(attribute);
    return text;
}

/* ---- what may be opened ---- */

/* A dataset; no link on the way leads elsewhere, in this file or another. Negative: there is none. */
static hid_t open_set(hid_t file, const char *path) {
    char way[WC_STORE_NAME_BYTES + 16];
    H5L_info_t link;
    for (const char *end = path; *end; end += strcspn(end, "/")) {
        end++;
        size_t length = (size_t)(end - path) + strcspn(end, "/");
        if (length >= sizeof way)
            return -1;
        memcpy(way, path, length);
        way[length] = '\0';
        if (H5Lget_info(file, way, &link, H5P_DEFAULT) < 0 || link.type != H5L_TYPE_HARD)
            return -1;
    }
    return H5Dopen2(file, path, H5P_DEFAULT);
}

/* An error where other files or filters would be needed: HDF5 would load what is named in HDF5_PLUGIN_PATH. */
static H5D_layout_t layout_of(hid_t set) {
    hid_t properties = H5Dget_create_plist(set);
    bool plain = properties >= 0 && H5Pget_external_count(properties) == 0 &&
                 H5Pget_nfilters(properties) == 0;
    H5D_layout_t layout = plain ? H5Pget_layout(properties) : H5D_LAYOUT_ERROR;
    if (properties >= 0)
        H5Pclose(properties);
    return layout;
}

static char *get_program(const wc_reader *r, hid_t file) {
    hid_t set = open_set(file, "/program");
    hid_t type = set >= 0 ? H5Dget_type(set) : -1, space = set >= 0 ? H5Dget_space(set) : -1;
    bool scalar =
        space >= 0 && H5Sget_simple_extent_npoints(space) == 1 && layout_of(set) == H5D_CONTIGUOUS;
    char *text = scalar ? text_room(r, type) : NULL;
    if (text && H5Dread(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, text) < 0) {
        free(text);
        text = NULL;
    }
    if (space >= 0)
        H5Sclose(space);
    if (type >= 0)
        H5Tclose(type);
    if (set >= 0)
        H5Dclose(set);
    return text;
}

static wc_status scan_head(wc_reader *r, hid_t file, wc_error *error) {
    uint64_t format, complete;
    wc_snapshot_head *h = &r->head;
    if (!get_u64(file, "format", &format))
        return wc_reader_damaged(r, error, "it is no snapshot");
    if (format != WC_FORMAT_VERSION)
        return wc_error_set(error, WC_ERR_UNSUPPORTED,
                            "%.300s has format %llu, and this version of Wavecut reads %d", r->path,
                            (unsigned long long)format, WC_FORMAT_VERSION);
    if (!get_u64(file, "complete", &complete) || complete != 1)
        return wc_reader_damaged(r, error, "it was never completed");
    char *cut = get_text(r, file, "cut");
    bool got = cut && get_u64(file, "id", &h->id) && get_u64(file, "parent_id", &h->parent_id) &&
               get_u64(file, "run_id", &h->run_id) && get_u32(file, "ranks", &h->ranks) &&
               get_u32(file, "initiator", &h->initiator) && h->ranks > 0 &&
               get_number(file, "time", H5T_FLOAT, H5T_NATIVE_DOUBLE, &h->time) &&
               (strcmp(cut, "aligned") == 0 || strcmp(cut, "immediate") == 0) &&
               (r->mpi_library = get_text(r, file, "mpi_library")) &&
               (r->version = get_text(r, file, "wavecut")) && (r->program = get_program(r, file));
    h->immediate = cut && strcmp(cut, "immediate") == 0;
    h->mpi_library = r->mpi_library;
    h->version = r->version;
    h->program = r->program;
    free(cut);
    return got ? WC_OK : wc_reader_damaged(r, error, "its head is not complete");
}

/* ---- datasets ---- */

/* Things of their own don't take more than the file has. So nothing counts twice by many links, and a circle of them ends. */
static bool claim(wc_reader *r, uint64_t bytes) {
    bool fits = bytes <= r->trailer.end - r->claimed;
    r->claimed += fits ? bytes : 0;
    return fits;
}

/* Its bytes must be an extent that the trailer knows. */
static bool place_of(wc_reader *r, hid_t set, uint64_t count, uint64_t bytes_each,
                     wc_extent_kind kind, wc_place *place) {
    uint64_t bytes;
    if (!wc_multiply(count, bytes_each, &bytes) || layout_of(set) != H5D_CONTIGUOUS ||
        !claim(r, bytes))
        return false;
    *place = (wc_place){.count = count};
    if (!bytes)
        return true;
    haddr_t at = H5Dget_offset(set);
    if (at == HADDR_UNDEF || !wc_trailer_has(&r->trailer, (wc_extent){at, bytes, kind}, 1, bytes))
        return false;
    place->offset = at;
    return true;
}

static bool shape_of(hid_t set, int *ndims, hsize_t shape[WC_STORE_MAX_DIMS], uint64_t *count) {
    hid_t space = H5Dget_space(set);
    *ndims = space >= 0 ? H5Sget_simple_extent_ndims(space) : -1;
    bool good = *ndims >= 1 && *ndims <= WC_STORE_MAX_DIMS &&
                H5Sget_simple_extent_dims(space, shape, NULL) == *ndims;
    if (space >= 0)
        H5Sclose(space);
    *count = 1;
    for (int i = 0; i < *ndims && good; i++)
        good = wc_multiply(*count, shape[i], count);
    return good;
}

/* Rows are where they should be, of the type they should have. `expected` is closed. */
static wc_status scan_rows(wc_reader *r, hid_t file, const char *path, hid_t expected,
                           size_t row_bytes, wc_extent_kind kind, wc_place *place,
                           wc_error *error) {
    hsize_t shape[WC_STORE_MAX_DIMS];
    uint64_t count;
    int ndims;
    hid_t set = open_set(file, path);
    hid_t type = set >= 0 ? H5Dget_type(set) : -1;
    bool good = type >= 0 && H5Tequal(type, expected) > 0 && shape_of(set, &ndims, shape, &count) &&
                ndims == 1 && place_of(r, set, count, row_bytes, kind, place);
    if (type >= 0)
        H5Tclose(type);
    if (set >= 0)
        H5Dclose(set);
    H5Tclose(expected);
    return good ? WC_OK
                : wc_reader_damaged(r, error, "%.260s is missing or not what it should be", path);
}

static wc_status scan_table(wc_reader *r, hid_t file, wc_table table, wc_error *error) {
    return scan_rows(r, file, wc_table_path(table), wc_table_type(table), wc_table_row_bytes(table),
                     table == WC_TABLE_PAYLOAD ? WC_EXTENT_DATA : WC_EXTENT_ROWS, &r->tables[table],
                     error);
}

/* ---- arrays ---- */

static bool make_room(wc_reader *r) {
    if (r->count < r->room)
        return true;
    size_t room = r->room ? 2 * r->room : 16;
    wc_array *arrays = reallocarray(r->arrays, room, sizeof *arrays);
    r->arrays = arrays ? arrays : r->arrays;
    wc_place *data = arrays ? reallocarray(r->data, room, sizeof *data) : NULL;
    r->data = data ? data : r->data;
    if (!data)
        return false;
    r->room = room;
    return true;
}

static bool get_chunk(hid_t set, wc_array *array) {
    hsize_t chunk[WC_STORE_MAX_DIMS];
    hid_t properties = H5Dget_create_plist(set);
    int ndims = (int)array->ndims;
    bool good = properties >= 0 && H5Pget_chunk(properties, ndims, chunk) == ndims;
    if (properties >= 0)
        H5Pclose(properties);
    for (int i = 0; i < ndims && good; i++) {
        array->chunk[i] = chunk[i];
        good = chunk[i] >= 1 && chunk[i] <= array->shape[i];
    }
    return good && wc_array_is_chunked(array);
}

/* Likewise, where it has chunks: each of them. */
static bool chunks_of(wc_reader *r, hid_t set, wc_array *array, wc_place *place) {
    uint64_t bytes = wc_type_bytes(array->type), all;
    haddr_t at;
    if (!get_chunk(set, array))
        return false;
    for (uint32_t d = 0; d < array->ndims; d++)
        if (!wc_multiply(bytes, array->chunk[d], &bytes))
            return false;
    *place = (wc_place){.count = array->total};
    if (bytes > INT64_MAX || !wc_multiply(bytes, wc_array_chunks(array), &all) || !claim(r, all) ||
        !wc_layout_chunk(set, 0, &at) ||
        !wc_trailer_has(&r->trailer, (wc_extent){at, bytes, WC_EXTENT_DATA}, wc_array_chunks(array),
                        wc_chunk_step(bytes)))
        return false;
    place->offset = at;
    return true;
}

static bool describe(wc_reader *r, hid_t set, wc_array *array, wc_place *place) {
    hsize_t shape[WC_STORE_MAX_DIMS];
    int ndims;
    hid_t type = H5Dget_type(set);
    bool good = type >= 0 && wc_layout_type_of(type, &array->type) &&
                shape_of(set, &ndims, shape, &array->total);
    if (type >= 0)
        H5Tclose(type);
    if (!good)
        return false;
    if (H5Aexists(set, "global") > 0) {
        array->ndims = (uint32_t)ndims;
        for (int i = 0; i < ndims; i++)
            array->shape[i] = array->chunk[i] = shape[i];
        if (layout_of(set) == H5D_CHUNKED)
            return chunks_of(r, set, array, place);
    } else if (ndims != 1) {
        return false;
    }
    return place_of(r, set, array->total, wc_type_bytes(array->type), WC_EXTENT_DATA, place);
}

typedef struct wc_walk {
    wc_reader *reader;
    const char *prefix; /* of the names in the group: "" or "ocean/" */
    wc_error *error;
} wc_walk;

static wc_status add_array(wc_reader *r, hid_t set, const char *name, wc_error *error) {
    if (!make_room(r))
        return wc_error_set(error, WC_ERR_MEMORY, "no memory to read %.300s", r->path);
    wc_array *array = &r->arrays[r->count];
    memset(array, 0, sizeof *array);
    strcpy(array->name, name);
    if (!describe(r, set, array, &r->data[r->count]))
        return wc_reader_damaged(r, error, "/state/%s is not what it should be", name);
    r->count++;
    return WC_OK;
}

static herr_t visit(hid_t group, const char *name, const H5L_info_t *info, void *context);

static wc_status visit_object(const wc_walk *walk, hid_t object, const char *name) {
    char prefix[WC_STORE_NAME_BYTES + 1];
    wc_error *error = walk->error;
    wc_walk below = {.reader = walk->reader, .prefix = prefix, .error = error};
    if (H5Iget_type(object) == H5I_DATASET)
        return add_array(walk->reader, object, name, error);
    if (H5Iget_type(object) != H5I_GROUP)
        return wc_reader_damaged(walk->reader, error, "/state/%s is no dataset", name);
    snprintf(prefix, sizeof prefix, "%s/", name);
    if (H5Literate(object, H5_INDEX_NAME, H5_ITER_INC, NULL, visit, &below) >= 0)
        return WC_OK;
    return error->status != WC_OK
               ? error->status
               : wc_reader_damaged(walk->reader, error, "/state/%s can't be read", name);
}

/* As a part of a protected name has it. */
static bool is_name(const char *name) {
    return *name && !name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                       "0123456789_.-")];
}

/* Only hard links, and names that a protected array can have. */
static herr_t visit(hid_t group, const char *name, const H5L_info_t *info, void *context) {
    const wc_walk *walk = context;
    char full[WC_STORE_NAME_BYTES];
    if (!is_name(name)) {
        wc_reader_damaged(walk->reader, walk->error, "a name in /state%s%.200s is none of an array",
                          *walk->prefix ? "/" : "", walk->prefix);
        return -1;
    }
    int length = snprintf(full, sizeof full, "%s%s", walk->prefix, name);
    hid_t object = info->type == H5L_TYPE_HARD && length < (int)sizeof full &&
                           claim(walk->reader, LEAST_OBJECT)
                       ? H5Oopen(group, name, H5P_DEFAULT)
                       : -1;
    if (object < 0) {
        wc_reader_damaged(walk->reader, walk->error, "/state/%.200s can't be read", name);
        return -1;
    }
    wc_status status = visit_object(walk, object, full);
    H5Oclose(object);
    return status == WC_OK ? 0 : -1;
}

static int by_name(const void *a, const void *b) {
    const wc_array *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

/* HDF5 gives "a-b" before "a/b"; sorted by name the list is the same on both sides of a restart. */
static bool sort_arrays(wc_reader *r) {
    wc_array **order = calloc(r->count + 1, sizeof *order);
    wc_array *arrays = calloc(r->count + 1, sizeof *arrays);
    wc_place *data = calloc(r->count + 1, sizeof *data);
    r->index = calloc(r->count + 1, sizeof *r->index);
    r->blocks = calloc(r->count + 1, sizeof *r->blocks);
    bool good = order && arrays && data && r->index && r->blocks;
    if (good) {
        for (size_t i = 0; i < r->count; i++)
            order[i] = &r->arrays[i];
        qsort(order, r->count, sizeof *order, by_name);
        for (size_t i = 0; i < r->count; i++) {
            arrays[i] = *order[i];
            data[i] = r->data[order[i] - r->arrays];
        }
        free(r->arrays);
        free(r->data);
        r->arrays = arrays;
        r->data = data;
    } else {
        free(arrays);
        free(data);
    }
    free(order);
    return good;
}

static wc_status scan_array_tables(wc_reader *r, hid_t file, size_t i, wc_error *error) {
    wc_array *array = &r->arrays[i];
    char path[WC_STORE_NAME_BYTES + 16];
    snprintf(path, sizeof path, "/index/%s", array->name);
    wc_status status = scan_rows(r, file, path, wc_index_type(array->ndims),
                                 wc_index_bytes(array->ndims), WC_EXTENT_ROWS, &r->index[i], error);
    if (status == WC_OK && r->index[i].count != r->head.ranks)
        status = wc_reader_damaged(r, error, "%s has not one row for each rank", path);
    if (status != WC_OK)
        return status;
    snprintf(path, sizeof path, "/blocks/%s", array->name);
    status = scan_rows(r, file, path, wc_table_type(WC_TABLE_BLOCKS), sizeof(uint64_t),
                       WC_EXTENT_ROWS, &r->blocks[i], error);
    array->blocks = r->blocks[i].count;
    return status;
}

static wc_status scan_arrays(wc_reader *r, hid_t file, wc_error *error) {
    wc_error found = {WC_OK, ""};
    wc_walk walk = {.reader = r, .prefix = "", .error = &found};
    hid_t state = H5Gopen2(file, "/state", H5P_DEFAULT);
    herr_t walked =
        state >= 0 ? H5Literate(state, H5_INDEX_NAME, H5_ITER_INC, NULL, visit, &walk) : -1;
    if (state >= 0)
        H5Gclose(state);
    if (found.status != WC_OK)
        return wc_error_set(error, found.status, "%s", found.text);
    if (walked < 0)
        return wc_reader_damaged(r, error, "/state can't be read");
    if (!sort_arrays(r))
        return wc_error_set(error, WC_ERR_MEMORY, "no memory to read %.300s", r->path);
    wc_status status = WC_OK;
    for (size_t i = 0; i < r->count && status == WC_OK; i++)
        status = scan_array_tables(r, file, i, error);
    return status;
}

static wc_status scan_file(wc_reader *r, hid_t file, wc_error *error) {
    wc_status status = scan_head(r, file, error);
    bool traced = H5Lexists(file, "/trace", H5P_DEFAULT) > 0;
    for (int t = 0; t < (traced ? WC_TABLES : WC_TABLE_EVENTS) && status == WC_OK; t++)
        if (t != WC_TABLE_INDEX && t != WC_TABLE_BLOCKS)
            status = scan_table(r, file, (wc_table)t, error);
    if (status == WC_OK && r->tables[WC_TABLE_RANKS].count != r->head.ranks)
        status = wc_reader_damaged(r, error, "/ranks has not one row for each rank");
    if (status == WC_OK && traced && r->tables[WC_TABLE_EVENT_INDEX].count != r->head.ranks)
        status = wc_reader_damaged(r, error, "/trace/index has not one row for each rank");
    return status == WC_OK ? scan_arrays(r, file, error) : status;
}

wc_status wc_reader_scan(wc_reader *r, wc_error *error) {
    wc_driver driver = {.fd = r->fd, .discard = true};
    wc_status status;
    wc_quiet quiet;
    unsigned plugins = 0;
    wc_quiet_begin(&quiet);
    H5PLget_loading_state(&plugins);
    H5PLset_loading_state(0);
    hid_t access = wc_layout_access(&driver);
    hid_t file = access >= 0 ? H5Fopen(r->path, H5F_ACC_RDONLY, access) : -1;
    if (file >= 0) {
        status = scan_file(r, file, error);
        H5Fclose(file);
    } else {
        char cause[160];
        wc_layout_cause(cause, sizeof cause);
        status = wc_reader_damaged(r, error, "HDF5 can't open it: %s", cause);
    }
    H5Pclose(access);
    H5PLset_loading_state(plugins);
    wc_quiet_end(&quiet);
    if (driver.failure)
        return wc_error_set(error, WC_ERR_IO, "%.300s can't be read: %s", r->path,
                            strerror(driver.failure));
    return status;
}
