/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The element types a snapshot can hold. The runtime maps MPI datatypes to these, the store maps
 * these to HDF5. The numbers are never written to a file: files carry HDF5 types.
 */
#ifndef WC_STORE_TYPE_H
#define WC_STORE_TYPE_H

#include <complex.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One element of a protected array of requests. No padding, no pointers. */
typedef struct wc_request_row {
    char state[8];       /* "none": a null request; "receive": outstanding; "started": a persistent
                      one that was active; "ended": its part is done */
    int32_t source, tag; /* of a receive: asked for, in its communicator; -1: any */
    uint64_t comm;       /* uid */
    uint64_t order;      /* of posting, among the receives of this rank */
    uint64_t count;      /* elements of `type` */
    int64_t offset;      /* bytes from the beginning of `array` to its buffer */
    char type[128];      /* an element type's name, or a derived type: see FORMAT.md */
    char array[256];     /* the protected array that its buffer is in; "" if it has none */
} wc_request_row;

/* X(name, C type, kind): kinds are INT (signed), UINT, FLOAT, LFLOAT (long double), COMPLEX,
 * LCOMPLEX, BOOL, OPAQUE, ROW */
#define WC_TYPE_LIST(X)                                                                            \
    X(I8, int8_t, INT)                                                                             \
    X(U8, uint8_t, UINT)                                                                           \
    X(I16, int16_t, INT)                                                                           \
    X(U16, uint16_t, UINT)                                                                         \
    X(I32, int32_t, INT)                                                                           \
    X(U32, uint32_t, UINT)                                                                         \
    X(I64, int64_t, INT)                                                                           \
    X(U64, uint64_t, UINT)                                                                         \
    X(F32, float, FLOAT)                                                                           \
    X(F64, double, FLOAT)                                                                          \
    X(FLD, long double, LFLOAT)                                                                    \
    X(C32, float _Complex, COMPLEX)                                                                \
    X(C64, double _Complex, COMPLEX)                                                               \
    X(CLD, long double _Complex, LCOMPLEX)                                                         \
    X(BOOL, bool, BOOL)                                                                            \
    X(BYTE, unsigned char, OPAQUE)                                                                 \
    X(REQUEST, wc_request_row, ROW)

typedef enum wc_type {
#define WC_TYPE_CODE(name, ctype, kind) WC_TYPE_##name,
    WC_TYPE_LIST(WC_TYPE_CODE)
#undef WC_TYPE_CODE
        WC_TYPE_COUNT
} wc_type;

size_t wc_type_bytes(wc_type type);     /* bytes of one element in memory and in the file */
const char *wc_type_name(wc_type type); /* "i32", "f64", ...: static */

#endif
