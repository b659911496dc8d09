/* SPDX-License-Identifier: BSD-3-Clause */
#include "datatype.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Integers and floating-point numbers are told apart by the list, their widths by MPI_Type_size. */
typedef enum kind { SIGNED, UNSIGNED, FLOATING, COMPLEX_, LOGICAL, RAW } kind;

/* Handles are no constants in every MPI, so this is a function and not a table. */
static int kind_of(MPI_Datatype t) {
    const struct {
        MPI_Datatype type;
        kind kind;
    } list[] = {
        {MPI_CHAR, SIGNED},
        {MPI_SIGNED_CHAR, SIGNED},
        {MPI_UNSIGNED_CHAR, UNSIGNED},
        {MPI_SHORT, SIGNED},
        {MPI_UNSIGNED_SHORT, UNSIGNED},
        {MPI_INT, SIGNED},
        {MPI_UNSIGNED, UNSIGNED},
        {MPI_LONG, SIGNED},
        {MPI_UNSIGNED_LONG, UNSIGNED},
        {MPI_LONG_LONG, SIGNED},
        {MPI_UNSIGNED_LONG_LONG, UNSIGNED},
        {MPI_INT8_T, SIGNED},
        {MPI_UINT8_T, UNSIGNED},
        {MPI_INT16_T, SIGNED},
        {MPI_UINT16_T, UNSIGNED},
        {MPI_INT32_T, SIGNED},
        {MPI_UINT32_T, UNSIGNED},
        {MPI_INT64_T, SIGNED},
        {MPI_UINT64_T, UNSIGNED},
        {MPI_AINT, SIGNED},
        {MPI_COUNT, SIGNED},
        {MPI_OFFSET, SIGNED},
        {MPI_WCHAR, SIGNED},
        {MPI_FLOAT, FLOATING},
        {MPI_DOUBLE, FLOATING},
        {MPI_LONG_DOUBLE, FLOATING},
        {MPI_C_BOOL, LOGICAL},
        {MPI_C_FLOAT_COMPLEX, COMPLEX_},
        {MPI_C_DOUBLE_COMPLEX, COMPLEX_},
        {MPI_C_LONG_DOUBLE_COMPLEX, COMPLEX_},
        {MPI_BYTE, RAW},
        {MPI_CHARACTER, SIGNED},
        {MPI_LOGICAL, SIGNED},
        {MPI_INTEGER, SIGNED},
        {MPI_INTEGER1, SIGNED},
        {MPI_INTEGER2, SIGNED},
        {MPI_INTEGER4, SIGNED},
        {MPI_INTEGER8, SIGNED},
        {MPI_REAL, FLOATING},
        {MPI_REAL4, FLOATING},
        {MPI_REAL8, FLOATING},
        {MPI_DOUBLE_PRECISION, FLOATING},
        {MPI_COMPLEX, COMPLEX_},
        {MPI_COMPLEX8, COMPLEX_},
        {MPI_COMPLEX16, COMPLEX_},
        {MPI_DOUBLE_COMPLEX, COMPLEX_},
        {MPI_CXX_BOOL, LOGICAL},
        {MPI_CXX_FLOAT_COMPLEX, COMPLEX_},
        {MPI_CXX_DOUBLE_COMPLEX, COMPLEX_},
        {MPI_CXX_LONG_DOUBLE_COMPLEX, COMPLEX_},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        if (list[i].type == t)
            return list[i].kind;
    return -1;
}

bool wc_datatype_stored(MPI_Datatype type, wc_type *stored) {
    static const struct {
        kind kind;
        size_t bytes;
        wc_type type;
    } widths[] = {
        {SIGNED, 1, WC_TYPE_I8},
        {SIGNED, 2, WC_TYPE_I16},
        {SIGNED, 4, WC_TYPE_I32},
        {SIGNED, 8, WC_TYPE_I64},
        {UNSIGNED, 1, WC_TYPE_U8},
        {UNSIGNED, 2, WC_TYPE_U16},
        {UNSIGNED, 4, WC_TYPE_U32},
        {UNSIGNED, 8, WC_TYPE_U64},
        {FLOATING, 4, WC_TYPE_F32},
        {FLOATING, 8, WC_TYPE_F64},
        {FLOATING, sizeof(long double), WC_TYPE_FLD},
        {COMPLEX_, 8, WC_TYPE_C32},
        {COMPLEX_, 16, WC_TYPE_C64},
        {COMPLEX_, 2 * sizeof(long double), WC_TYPE_CLD},
        {LOGICAL, 1, WC_TYPE_BOOL},
        {RAW, 1, WC_TYPE_BYTE},
    };
    int found = type == MPI_DATATYPE_NULL ? -1 : kind_of(type), bytes;
    if (found < 0)
        return false;
    PMPI_Type_size(type, &bytes);
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++)
        if ((int)widths[i].kind == found && widths[i].bytes == (size_t)bytes) {
            *stored = widths[i].type;
            return true;
        }
    return false;
}

MPI_Datatype wc_datatype_of(wc_type stored) {
    switch (stored) {
    case WC_TYPE_I8:
        return MPI_INT8_T;
    case WC_TYPE_U8:
        return MPI_UINT8_T;
    case WC_TYPE_I16:
        return MPI_INT16_T;
    case WC_TYPE_U16:
        return MPI_UINT16_T;
    case WC_TYPE_I32:
        return MPI_INT32_T;
    case WC_TYPE_U32:
        return MPI_UINT32_T;
    case WC_TYPE_I64:
        return MPI_INT64_T;
    case WC_TYPE_U64:
        return MPI_UINT64_T;
    case WC_TYPE_F32:
        return MPI_FLOAT;
    case WC_TYPE_F64:
        return MPI_DOUBLE;
    case WC_TYPE_FLD:
        return MPI_LONG_DOUBLE;
    case WC_TYPE_C32:
        return MPI_C_FLOAT_COMPLEX;
    case WC_TYPE_C64:
        return MPI_C_DOUBLE_COMPLEX;
    case WC_TYPE_CLD:
        return MPI_C_LONG_DOUBLE_COMPLEX;
    case WC_TYPE_BOOL:
        return MPI_C_BOOL;
    case WC_TYPE_REQUEST:
        return MPI_DATATYPE_NULL;
    default:
        return MPI_BYTE;
    }
}

/* ---- in words: NAME, or HOW[integers;addresses](what it is made of) ---- */

enum { NUMBERS = 32, DEPTH = 8 };

static const struct {
    int combiner;
    const char *name;
} combiners[] = {{MPI_COMBINER_DUP, "dup"},
                 {MPI_COMBINER_CONTIGUOUS, "contiguous"},
                 {MPI_COMBINER_VECTOR, "vector"},
                 {MPI_COMBINER_HVECTOR, "hvector"},
                 {MPI_COMBINER_RESIZED, "resized"},
                 {MPI_COMBINER_SUBARRAY, "subarray"},
                 {MPI_COMBINER_INDEXED_BLOCK, "blocks"}};

typedef struct wc_made_of {
    int combiner, integers, addresses;
    int integer[NUMBERS];
    MPI_Aint address[NUMBERS];
} wc_made_of;

static const char *name_of(int combiner) {
    size_t i = 0, n = sizeof combiners / sizeof *combiners;
    while (i < n && combiners[i].combiner != combiner)
        i++;
    return i < n ? combiners[i].name : NULL;
}

/* Appends to the text; false when it is full. */
static bool __attribute__((format(printf, 3, 4)))
append(char *text, size_t size, const char *format, ...) {
    size_t used = strlen(text);
    va_list arguments;
    va_start(arguments, format);
    int wanted = vsnprintf(text + used, size - used, format, arguments);
    va_end(arguments);
    return wanted >= 0 && (size_t)wanted < size - used;
}

static bool append_numbers(const wc_made_of *m, char *text, size_t size) {
    bool fits = append(text, size, "%s[", name_of(m->combiner));
    for (int i = 0; i < m->integers && fits; i++)
        fits = append(text, size, i ? ",%d" : "%d", m->integer[i]);
    fits = fits && append(text, size, ";");
    for (int i = 0; i < m->addresses && fits; i++)
        fits = append(text, size, i ? ",%lld" : "%lld", (long long)m->address[i]);
    return fits && append(text, size, "]");
}

static bool describe(MPI_Datatype type, char *text, size_t size) {
    wc_made_of m;
    wc_type stored;
    int inner_types;
    if (type == MPI_PACKED)
        return append(text, size, "packed");
    if (wc_datatype_stored(type, &stored))
        return append(text, size, "%s", wc_type_name(stored));
    PMPI_Type_get_envelope(type, &m.integers, &m.addresses, &inner_types, &m.combiner);
    if (m.combiner == MPI_COMBINER_NAMED || inner_types != 1 || m.integers > NUMBERS ||
        m.addresses > NUMBERS || !name_of(m.combiner))
        return false;
    MPI_Datatype inner;
    int ignored;
    PMPI_Type_get_contents(type, NUMBERS, NUMBERS, 1, m.integer, m.address, &inner);
    bool told = append_numbers(&m, text, size) && append(text, size, "(") &&
                describe(inner, text, size) && append(text, size, ")");
    PMPI_Type_get_envelope(inner, &ignored, &ignored, &ignored, &m.combiner);
    if (m.combiner != MPI_COMBINER_NAMED)
        PMPI_Type_free(&inner);
    return told;
}

bool wc_datatype_describe(MPI_Datatype type, char *text, size_t size) {
    *text = 0;
    return describe(type, text, size);
}

/* The numbers up to `end`, which is passed over; -1: that is not what follows. */
static int read_numbers(const char **text, char end, long long numbers[NUMBERS]) {
    int n = 0;
    while (**text != end) {
        char *behind;
        if (n == NUMBERS || (n > 0 && *(*text)++ != ','))
            return -1;
        numbers[n++] = strtoll(*text, &behind, 10);
        if (behind == *text)
            return -1;
        *text = behind;
    }
    ++*text;
    return n;
}

static bool read_combiner(const char **text, int *combiner) {
    for (size_t i = 0; i < sizeof combiners / sizeof *combiners; i++) {
        size_t length = strlen(combiners[i].name);
        if (strncmp(*text, combiners[i].name, length) == 0 && (*text)[length] == '[') {
            *combiner = combiners[i].combiner;
            *text += length + 1;
            return true;
        }
    }
    return false;
}

static bool read_made_of(const char **text, wc_made_of *m) {
    long long numbers[NUMBERS];
    if (!read_combiner(text, &m->combiner) || (m->integers = read_numbers(text, ';', numbers)) < 0)
        return false;
    for (int i = 0; i < m->integers; i++)
        m->integer[i] = (int)numbers[i];
    if ((m->addresses = read_numbers(text, ']', numbers)) < 0 || *(*text)++ != '(')
        return false;
    for (int i = 0; i < m->addresses; i++)
        m->address[i] = (MPI_Aint)numbers[i];
    return true;
}

/* What MPI_Type_create_subarray asks for; not each MPI checks it. */
static bool is_box(int dims, const int *sizes, const int *parts, const int *starts) {
    for (int d = 0; d < dims; d++)
        if (sizes[d] < 1 || parts[d] < 1 || starts[d] < 0 || parts[d] > sizes[d] - starts[d])
            return false;
    return true;
}

static bool build(const wc_made_of *m, MPI_Datatype inner, MPI_Datatype *type) {
    const int *n = m->integer, dims = m->integers ? n[0] : 0;
#define TAKES(i, a) (m->integers == (i) && m->addresses == (a))
    switch (m->combiner) {
    case MPI_COMBINER_DUP:
        return TAKES(0, 0) && PMPI_Type_dup(inner, type) == MPI_SUCCESS;
    case MPI_COMBINER_CONTIGUOUS:
        return TAKES(1, 0) && PMPI_Type_contiguous(n[0], inner, type) == MPI_SUCCESS;
    case MPI_COMBINER_VECTOR:
        return TAKES(3, 0) && PMPI_Type_vector(n[0], n[1], n[2], inner, type) == MPI_SUCCESS;
    case MPI_COMBINER_HVECTOR:
        return TAKES(2, 1) &&
               PMPI_Type_create_hvector(n[0], n[1], m->address[0], inner, type) == MPI_SUCCESS;
    case MPI_COMBINER_RESIZED:
        return TAKES(0, 2) &&
               PMPI_Type_create_resized(inner, m->address[0], m->address[1], type) == MPI_SUCCESS;
    case MPI_COMBINER_SUBARRAY:
        return dims > 0 && dims < NUMBERS / 3 && TAKES(3 * dims + 2, 0) &&
               is_box(dims, n + 1, n + 1 + dims, n + 1 + 2 * dims) &&
               PMPI_Type_create_subarray(dims, n + 1, n + 1 + dims, n + 1 + 2 * dims,
                                         n[3 * dims + 1] == MPI_ORDER_C ? MPI_ORDER_C
                                                                        : MPI_ORDER_FORTRAN,
                                         inner, type) == MPI_SUCCESS;
    case MPI_COMBINER_INDEXED_BLOCK:
        return dims >= 0 && dims < NUMBERS && TAKES(dims + 2, 0) &&
               PMPI_Type_create_indexed_block(dims, n[1], n + 2, inner, type) == MPI_SUCCESS;
    default:
        return false;
    }
#undef TAKES
}

static bool make(const char *text, int depth, MPI_Datatype *type, bool *made) {
    wc_made_of m;
    MPI_Datatype inner;
    bool inner_made;
    size_t length = strcspn(text, ")");
    *made = false;
    for (int i = 0; i < WC_TYPE_COUNT; i++)
        if (strlen(wc_type_name((wc_type)i)) == length &&
            strncmp(wc_type_name((wc_type)i), text, length) == 0) {
            *type = wc_datatype_of((wc_type)i);
            return *type != MPI_DATATYPE_NULL;
        }
    if (length == 6 && strncmp(text, "packed", 6) == 0) {
        *type = MPI_PACKED;
        return true;
    }
    if (depth == DEPTH || !read_made_of(&text, &m) || !make(text, depth + 1, &inner, &inner_made))
        return false;
    *made = build(&m, inner, type);
    if (inner_made)
        PMPI_Type_free(&inner);
    return *made;
}

/* The text may come from any file: what MPI refuses must not end the job. Errors of calls without a communicator are raised on
 * MPI_COMM_WORLD (MPI 3.1, 8.3) or MPI_COMM_SELF (MPI 4.0, 9.3). */
static bool make_quietly(const char *text, MPI_Datatype *type, bool *made) {
    const MPI_Comm comms[2] = {MPI_COMM_WORLD, MPI_COMM_SELF};
    MPI_Errhandler before[2];
    for (int i = 0; i < 2; i++) {
        PMPI_Comm_get_errhandler(comms[i], &before[i]);
        PMPI_Comm_set_errhandler(comms[i], MPI_ERRORS_RETURN);
    }
    bool good = make(text, 0, type, made);
    for (int i = 0; i < 2; i++) {
        PMPI_Comm_set_errhandler(comms[i], before[i]);
        PMPI_Errhandler_free(&before[i]);
    }
    return good;
}

bool wc_datatype_make(const char *text, MPI_Datatype *type, bool *made) {
    if (!make_quietly(text, type, made))
        return false;
    if (*made)
        PMPI_Type_commit(type);
    return true;
}

bool wc_datatype_span(uint64_t count, MPI_Datatype type, int64_t *from, int64_t *to) {
    MPI_Aint lb, extent, true_lb, true_extent;
    int64_t last, end;
    PMPI_Type_get_extent(type, &lb, &extent);
    PMPI_Type_get_true_extent(type, &true_lb, &true_extent);
    *from = *to = 0;
    if (!count || true_extent <= 0)
        return true;
    return count <= INT64_MAX &&
           !__builtin_mul_overflow((int64_t)count - 1, (int64_t)extent, &last) &&
           !__builtin_add_overflow((int64_t)true_lb, (int64_t)true_extent, &end) &&
           !__builtin_add_overflow((int64_t)true_lb, last < 0 ? last : 0, from) &&
           !__builtin_add_overflow(end, last > 0 ? last : 0, to);
}
