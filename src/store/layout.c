/* SPDX-License-Identifier: BSD-3-Clause */
#include "layout.h"

#include <stdio.h>
#include <string.h>

typedef enum wc_field_kind {
    FIELD_U32,
    FIELD_I32,
    FIELD_U64,
    FIELD_I64,
    FIELD_F64,
    FIELD_TEXT
} wc_field_kind;

typedef struct wc_field {
    const char *name;
    size_t offset, bytes;
    wc_field_kind kind;
} wc_field;

#define FIELD(row, name, kind)                                                                     \
    { #name, offsetof(row, name), sizeof(((row *)0)->name), FIELD_##kind }
#define END                                                                                        \
    { NULL, 0, 0, FIELD_U32 }

static const wc_field index_fields[] = {
    FIELD(wc_index_row, first, U64),        FIELD(wc_index_row, count, U64),
    FIELD(wc_index_row, checksum, U64),     FIELD(wc_index_row, present, U64),
    FIELD(wc_index_row, blocks_first, U64), END};

static const wc_field rank_fields[] = {
    FIELD(wc_rank_row, rank, U32),        FIELD(wc_rank_row, pid, U32),
    FIELD(wc_rank_row, step, U64),        FIELD(wc_rank_row, bytes, U64),
    FIELD(wc_rank_row, record_time, F64), FIELD(wc_rank_row, arm_s, F64),
    FIELD(wc_rank_row, record_s, F64),    FIELD(wc_rank_row, close_s, F64),
    FIELD(wc_rank_row, durable_s, F64),   FIELD(wc_rank_row, stall_s, F64),
    FIELD(wc_rank_row, host, TEXT),       END};

static const wc_field counter_fields[] = {FIELD(wc_counter_row, comm, U64),
                                          FIELD(wc_counter_row, source, U32),
                                          FIELD(wc_counter_row, destination, U32),
                                          FIELD(wc_counter_row, sent, U64),
                                          FIELD(wc_counter_row, received, U64),
                                          FIELD(wc_counter_row, in_flight, U64),
                                          END};

static const wc_field message_fields[] = {
    FIELD(wc_message_row, comm, U64),        FIELD(wc_message_row, source, U32),
    FIELD(wc_message_row, destination, U32), FIELD(wc_message_row, tag, I32),
    FIELD(wc_message_row, reserved, U32),    FIELD(wc_message_row, sequence, U64),
    FIELD(wc_message_row, bytes, U64),       FIELD(wc_message_row, offset, U64),
    FIELD(wc_message_row, checksum, U64),    END};

static const wc_field comm_fields[] = {FIELD(wc_comm_row, uid, U64),
                                       FIELD(wc_comm_row, parent_uid, U64),
                                       FIELD(wc_comm_row, ordinal, U64),
                                       FIELD(wc_comm_row, colour, I64),
                                       FIELD(wc_comm_row, collectives, U64),
                                       FIELD(wc_comm_row, members_first, U64),
                                       FIELD(wc_comm_row, members_count, U64),
                                       FIELD(wc_comm_row, how, TEXT),
                                       END};

static const wc_field event_fields[] = {FIELD(wc_event_row, rank, U32),
                                        FIELD(wc_event_row, kind, U32),
                                        FIELD(wc_event_row, peer, U32),
                                        FIELD(wc_event_row, tag, I32),
                                        FIELD(wc_event_row, comm, U64),
                                        FIELD(wc_event_row, sequence, U64),
                                        FIELD(wc_event_row, bytes, U64),
                                        FIELD(wc_event_row, time, F64),
                                        END};

static const wc_field event_index_fields[] = {FIELD(wc_event_index_row, first, U64),
                                              FIELD(wc_event_index_row, count, U64),
                                              FIELD(wc_event_index_row, dropped, U64), END};

static const wc_field stream_fields[] = {FIELD(wc_stream_row, rank, U32),
                                         FIELD(wc_stream_row, kind, U32),
                                         FIELD(wc_stream_row, peer, U32),
                                         FIELD(wc_stream_row, tag, I32),
                                         FIELD(wc_stream_row, comm, U64),
                                         FIELD(wc_stream_row, count, U64),
                                         END};

static const wc_field request_fields[] = {
    FIELD(wc_request_row, state, TEXT), FIELD(wc_request_row, source, I32),
    FIELD(wc_request_row, tag, I32),    FIELD(wc_request_row, comm, U64),
    FIELD(wc_request_row, order, U64),  FIELD(wc_request_row, count, U64),
    FIELD(wc_request_row, offset, I64), FIELD(wc_request_row, type, TEXT),
    FIELD(wc_request_row, array, TEXT), END};

/* Rows are written as they are: no padding, no other size than FORMAT.md says. */
_Static_assert(offsetof(wc_index_row, box) == 40, "row of /index");
_Static_assert(sizeof(wc_rank_row) == 136, "row of /ranks");
_Static_assert(sizeof(wc_counter_row) == 40, "row of /channels/counters");
_Static_assert(sizeof(wc_message_row) == 56, "row of /channels/messages");
_Static_assert(sizeof(wc_comm_row) == 72, "row of /communicators");
_Static_assert(sizeof(wc_event_row) == 48, "row of /trace/events");
_Static_assert(sizeof(wc_event_index_row) == 24, "row of /trace/index");
_Static_assert(sizeof(wc_stream_row) == 32, "row of /trace/streams");
_Static_assert(sizeof(wc_request_row) == 432, "element of a protected array of requests");

static const struct {
    const char *path;
    size_t row_bytes;
    const wc_field *fields; /* NULL: one number */
} tables[WC_TABLES] = {
    [WC_TABLE_INDEX] = {"/index", offsetof(wc_index_row, box), index_fields},
    [WC_TABLE_BLOCKS] = {"/blocks", sizeof(uint64_t), NULL},
    [WC_TABLE_RANKS] = {"/ranks", sizeof(wc_rank_row), rank_fields},
    [WC_TABLE_COUNTERS] = {"/channels/counters", sizeof(wc_counter_row), counter_fields},
    [WC_TABLE_MESSAGES] = {"/channels/messages", sizeof(wc_message_row), message_fields},
    [WC_TABLE_COMMUNICATORS] = {"/communicators", sizeof(wc_comm_row), comm_fields},
    [WC_TABLE_MEMBERS] = {"/communicator_members", sizeof(uint32_t), NULL},
    [WC_TABLE_PAYLOAD] = {"/channels/payload", 1, NULL},
    [WC_TABLE_EVENTS] = {"/trace/events", sizeof(wc_event_row), event_fields},
    [WC_TABLE_EVENT_INDEX] = {"/trace/index", sizeof(wc_event_index_row), event_index_fields},
    [WC_TABLE_STREAMS] = {"/trace/streams", sizeof(wc_stream_row), stream_fields},
};

const char *wc_table_path(wc_table table) {
    return tables[table].path;
}

size_t wc_table_row_bytes(wc_table table) {
    return tables[table].row_bytes;
}

hid_t wc_layout_text(size_t bytes) {
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, bytes ? bytes : 1); /* HDF5 knows no empty text: one zero byte */
    H5Tset_cset(type, H5T_CSET_UTF8);
    H5Tset_strpad(type, H5T_STR_NULLPAD);
    return type;
}

static hid_t field_type(const wc_field *field) {
    switch (field->kind) {
    case FIELD_U32:
        return H5Tcopy(H5T_STD_U32LE);
    case FIELD_I32:
        return H5Tcopy(H5T_STD_I32LE);
    case FIELD_U64:
        return H5Tcopy(H5T_STD_U64LE);
    case FIELD_I64:
        return H5Tcopy(H5T_STD_I64LE);
    case FIELD_F64:
        return H5Tcopy(H5T_IEEE_F64LE);
    default:
        return wc_layout_text(field->bytes);
    }
}

static hid_t row_type(const wc_field *fields, size_t bytes) {
    hid_t row = H5Tcreate(H5T_COMPOUND, bytes);
    for (const wc_field *f = fields; f->name && row >= 0; f++) {
        hid_t type = field_type(f);
        if (H5Tinsert(row, f->name, f->offset, type) < 0) {
            H5Tclose(row);
            row = -1;
        }
        H5Tclose(type);
    }
    return row;
}

hid_t wc_index_type(uint32_t ndims) {
    hid_t row = row_type(index_fields, wc_index_bytes(ndims));
    if (row < 0 || !ndims)
        return row;
    hsize_t n = ndims;
    hid_t numbers = H5Tarray_create2(H5T_STD_U64LE, 1, &n);
    size_t offset = wc_index_bytes(0), shape = offset + ndims * sizeof(uint64_t);
    if (H5Tinsert(row, "offset", offset, numbers) < 0 ||
        H5Tinsert(row, "shape", shape, numbers) < 0) {
        H5Tclose(row);
        row = -1;
    }
    H5Tclose(numbers);
    return row;
}

hid_t wc_table_type(wc_table table) {
    if (tables[table].fields)
        return row_type(tables[table].fields, tables[table].row_bytes);
    if (table == WC_TABLE_BLOCKS)
        return H5Tcopy(H5T_STD_U64LE);
    return H5Tcopy(table == WC_TABLE_PAYLOAD ? H5T_STD_U8LE : H5T_STD_U32LE);
}

/* ---- element types ---- */

/* As h5py and numpy write and read them. */
static hid_t complex_type(hid_t part) {
    size_t bytes = H5Tget_size(part);
    hid_t type = H5Tcreate(H5T_COMPOUND, 2 * bytes);
    if (H5Tinsert(type, "r", 0, part) < 0 || H5Tinsert(type, "i", bytes, part) < 0) {
        H5Tclose(type);
        return -1;
    }
    return type;
}

static hid_t bool_type(void) {
    hid_t type = H5Tenum_create(H5T_STD_I8LE);
    int8_t no = 0, yes = 1;
    if (H5Tenum_insert(type, "FALSE", &no) < 0 || H5Tenum_insert(type, "TRUE", &yes) < 0) {
        H5Tclose(type);
        return -1;
    }
    return type;
}

static hid_t byte_type(void) {
    hid_t type = H5Tcreate(H5T_OPAQUE, 1);
    H5Tset_tag(type, "MPI_BYTE");
    return type;
}

hid_t wc_layout_type(wc_type type) {
    switch (type) {
    case WC_TYPE_I8:
        return H5Tcopy(H5T_STD_I8LE);
    case WC_TYPE_U8:
        return H5Tcopy(H5T_STD_U8LE);
    case WC_TYPE_I16:
        return H5Tcopy(H5T_STD_I16LE);
    case WC_TYPE_U16:
        return H5Tcopy(H5T_STD_U16LE);
    case WC_TYPE_I32:
        return H5Tcopy(H5T_STD_I32LE);
    case WC_TYPE_U32:
        return H5Tcopy(H5T_STD_U32LE);
    case WC_TYPE_I64:
        return H5Tcopy(H5T_STD_I64LE);
    case WC_TYPE_U64:
        return H5Tcopy(H5T_STD_U64LE);
    case WC_TYPE_F32:
        return H5Tcopy(H5T_IEEE_F32LE);
    case WC_TYPE_F64:
        return H5Tcopy(H5T_IEEE_F64LE);
    case WC_TYPE_FLD:
        return H5Tcopy(H5T_NATIVE_LDOUBLE);
    case WC_TYPE_C32:
        return complex_type(H5T_IEEE_F32LE);
    case WC_TYPE_C64:
        return complex_type(H5T_IEEE_F64LE);
    case WC_TYPE_CLD:
        return complex_type(H5T_NATIVE_LDOUBLE);
    case WC_TYPE_BOOL:
        return bool_type();
    case WC_TYPE_BYTE:
        return byte_type();
    case WC_TYPE_REQUEST:
        return row_type(request_fields, sizeof(wc_request_row));
    default:
        return -1;
    }
}

bool wc_layout_type_of(hid_t type, wc_type *found) {
    for (int i = 0; i < WC_TYPE_COUNT; i++) {
        hid_t candidate = wc_layout_type((wc_type)i);
        bool equal = H5Tequal(type, candidate) > 0;
        H5Tclose(candidate);
        if (equal) {
            *found = (wc_type)i;
            return true;
        }
    }
    return false;
}

/* ---- chunks ---- */

bool wc_layout_chunk(hid_t set, uint64_t number, haddr_t *at) {
    hsize_t shape[WC_STORE_MAX_DIMS], chunk[WC_STORE_MAX_DIMS], place[WC_STORE_MAX_DIMS], size;
    unsigned filters;
    hid_t space = H5Dget_space(set), properties = H5Dget_create_plist(set);
    int n = H5Sget_simple_extent_ndims(space);
    bool good = n >= 1 && n <= WC_STORE_MAX_DIMS &&
                H5Sget_simple_extent_dims(space, shape, NULL) == n &&
                H5Pget_chunk(properties, n, chunk) == n;
    for (int d = n - 1; d >= 0 && good; d--) {
        uint64_t chunks = shape[d] ? (shape[d] - 1) / chunk[d] + 1 : 1;
        place[d] = number % chunks * chunk[d];
        number /= chunks;
    }
    good = good && H5Dget_chunk_info_by_coord(set, place, &filters, at, &size) >= 0 &&
           *at != HADDR_UNDEF && !filters;
    H5Pclose(properties);
    H5Sclose(space);
    return good;
}

/* ---- HDF5's ways ---- */

hid_t wc_layout_access(wc_driver *driver) {
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    if (access < 0)
        return -1;
    if (wc_driver_set(access, driver) &&
        H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_V18) >= 0 &&
        H5Pset_alignment(access, WC_STORE_PAGE, WC_STORE_PAGE) >= 0)
        return access;
    H5Pclose(access);
    return -1;
}

void wc_quiet_begin(wc_quiet *quiet) {
    H5Eget_auto2(H5E_DEFAULT, &quiet->print, &quiet->data);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

void wc_quiet_end(const wc_quiet *quiet) {
    H5Eset_auto2(H5E_DEFAULT, quiet->print, quiet->data);
}

static herr_t keep_innermost(unsigned n, const H5E_error2_t *entry, void *text) {
    if (n == 0)
        *(const char **)text = entry->desc;
    return 0;
}

void wc_layout_cause(char *text, size_t size) {
    const char *innermost = NULL;
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_innermost, &innermost);
    snprintf(text, size, "%s", innermost ? innermost : "no reason given");
}
