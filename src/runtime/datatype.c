/* SPDX-License-Identifier: BSD-3-Clause */
#include "datatype.h"

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
    default:
        return MPI_BYTE;
    }
}
