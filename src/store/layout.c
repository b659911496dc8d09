/* SPDX-License-Identifier: BSD-3-Clause */
#include "layout.h"

#include <stdio.h>
#include <string.h>

static hid_t make_complex(hid_t part, size_t bytes) {
    hid_t type = H5Tcreate(H5T_COMPOUND, 2 * bytes);
    H5Tinsert(type, "r", 0, part);
    H5Tinsert(type, "i", bytes, part);
    return type;
}

/* As h5py stores numpy's bool. */
static hid_t make_bool(void) {
    hid_t type = H5Tenum_create(H5T_NATIVE_INT8);
    int8_t no = 0, yes = 1;
    H5Tenum_insert(type, "FALSE", &no);
    H5Tenum_insert(type, "TRUE", &yes);
    return type;
}

static hid_t make_integer(size_t bytes, bool is_signed) {
    switch (bytes) {
    case 1:
        return H5Tcopy(is_signed ? H5T_NATIVE_INT8 : H5T_NATIVE_UINT8);
    case 2:
        return H5Tcopy(is_signed ? H5T_NATIVE_INT16 : H5T_NATIVE_UINT16);
    case 4:
        return H5Tcopy(is_signed ? H5T_NATIVE_INT32 : H5T_NATIVE_UINT32);
    default:
        return H5Tcopy(is_signed ? H5T_NATIVE_INT64 : H5T_NATIVE_UINT64);
    }
}

static hid_t float_part(size_t bytes) {
    return bytes == sizeof(float)    ? H5T_NATIVE_FLOAT
           : bytes == sizeof(double) ? H5T_NATIVE_DOUBLE
                                     : H5T_NATIVE_LDOUBLE;
}

hid_t wc_layout_element(wc_type type) {
    enum { INT, UINT, FLOAT, LFLOAT, COMPLEX, LCOMPLEX, BOOL, OPAQUE };
    static const int kinds[] = {
#define KIND(name, ctype, kind) kind,
        WC_TYPE_LIST(KIND)
#undef KIND
    };
    size_t bytes = wc_type_bytes(type);
    switch (kinds[type]) {
    case INT:
    case UINT:
        return make_integer(bytes, kinds[type] == INT);
    case FLOAT:
    case LFLOAT:
        return H5Tcopy(float_part(bytes));
    case COMPLEX:
    case LCOMPLEX:
        return make_complex(float_part(bytes / 2), bytes / 2);
    case BOOL:
        return make_bool();
    default: {
        hid_t opaque = H5Tcreate(H5T_OPAQUE, bytes);
        H5Tset_tag(opaque, "bytes");
        return opaque;
    }
    }
}

hid_t wc_layout_string(size_t bytes) {
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, bytes ? bytes : 1);
    H5Tset_cset(type, H5T_CSET_UTF8);
    H5Tset_strpad(type, H5T_STR_NULLPAD);
    return type;
}

/* ---- rows ---- */

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

static const wc_field index_fields[] = {
    FIELD(wc_index_row, first, U64), FIELD(wc_index_row, count, U64),
    FIELD(wc_index_row, checksum, U64), FIELD(wc_index_row, present, U64)};

static const wc_field rank_fields[] = {
    FIELD(wc_rank_row, rank, U32),        FIELD(wc_rank_row, pid, U32),
    FIELD(wc_rank_row, step, U64),        FIELD(wc_rank_row, bytes, U64),
    FIELD(wc_rank_row, record_time, F64), FIELD(wc_rank_row, arm_s, F64),
    FIELD(wc_rank_row, record_s, F64),    FIELD(wc_rank_row, close_s, F64),
    FIELD(wc_rank_row, durable_s, F64),   FIELD(wc_rank_row, stall_s, F64),
    FIELD(wc_rank_row, host, TEXT)};

static const wc_field counter_fields[] = {
    FIELD(wc_counter_row, comm, U64),        FIELD(wc_counter_row, source, U32),
    FIELD(wc_counter_row, destination, U32), FIELD(wc_counter_row, sent, U64),
    FIELD(wc_counter_row, received, U64),    FIELD(wc_counter_row, in_flight, U64)};

static const wc_field message_fields[] = {
    FIELD(wc_message_row, comm, U64),        FIELD(wc_message_row, source, U32),
    FIELD(wc_message_row, destination, U32), FIELD(wc_message_row, tag, I32),
    FIELD(wc_message_row, reserved, U32),    FIELD(wc_message_row, sequence, U64),
    FIELD(wc_message_row, bytes, U64),       FIELD(wc_message_row, offset, U64),
    FIELD(wc_message_row, checksum, U64)};

static const wc_field comm_fields[] = {
    FIELD(wc_comm_row, uid, U64),           FIELD(wc_comm_row, parent_uid, U64),
    FIELD(wc_comm_row, ordinal, U64),       FIELD(wc_comm_row, colour, I64),
    FIELD(wc_comm_row, collectives, U64),   FIELD(wc_comm_row, members_first, U64),
    FIELD(wc_comm_row, members_count, U64), FIELD(wc_comm_row, how, TEXT)};

static const struct {
    const wc_field *fields;
    size_t count, bytes;
} tables[] = {
#define TABLE(fields, row)                                                                         \
    { fields, sizeof fields / sizeof *fields, sizeof(row) }
    [WC_TABLE_RANKS] = TABLE(rank_fields, wc_rank_row),
    [WC_TABLE_INDEX] = TABLE(index_fields, wc_index_row),
    [WC_TABLE_COUNTERS] = TABLE(counter_fields, wc_counter_row),
    [WC_TABLE_MESSAGES] = TABLE(message_fields, wc_message_row),
    [WC_TABLE_COMMUNICATORS] = TABLE(comm_fields, wc_comm_row)};

size_t wc_layout_row_bytes(wc_table table) {
    return tables[table].bytes;
}

static void insert_field(hid_t row, const wc_field *f) {
    const hid_t numbers[] = {[FIELD_U32] = H5T_NATIVE_UINT32,
                             [FIELD_I32] = H5T_NATIVE_INT32,
                             [FIELD_U64] = H5T_NATIVE_UINT64,
                             [FIELD_I64] = H5T_NATIVE_INT64,
                             [FIELD_F64] = H5T_NATIVE_DOUBLE};
    if (f->kind != FIELD_TEXT) {
        H5Tinsert(row, f->name, f->offset, numbers[f->kind]);
        return;
    }
    hid_t text = wc_layout_string(f->bytes);
    H5Tinsert(row, f->name, f->offset, text);
    H5Tclose(text);
}

hid_t wc_layout_row(wc_table table) {
    hid_t row = H5Tcreate(H5T_COMPOUND, tables[table].bytes);
    for (size_t i = 0; i < tables[table].count; i++)
        insert_field(row, &tables[table].fields[i]);
    return row;
}

/* ---- errors ---- */

static herr_t take_innermost(unsigned n, const H5E_error2_t *e, void *text) {
    if (n == 0 && e->desc)
        snprintf(text, 256, "%s", e->desc);
    return 0;
}

wc_status wc_layout_error(wc_error *error, wc_status status, const char *what, const char *path) {
    char why[256] = "";
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, take_innermost, why);
    H5Eclear2(H5E_DEFAULT);
    return wc_error_set(error, status, "%s %s%s%s", what, path, why[0] ? ": HDF5: " : "", why);
}
