/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages of more elements than an int counts (MPI 4.0, the variants with _c): one element of a
 * datatype that holds them all, so that the rest of this room knows only ints.
 */
#include "layer.h"

#include "wc_calls.h"

#ifdef WC_HAVE_Send_c

typedef struct wc_large {
    int count;
    MPI_Datatype type, given;
} wc_large;

static int make(wc_large *large, MPI_Count count, MPI_Datatype type) {
    *large = (wc_large){-1, type, type};
    return count < 0 ? MPI_SUCCESS /* MPI will refuse it */
                     : wc_long_type((uint64_t)count, type, &large->type, &large->count);
}

/* A receive may still need it: for that there is the wrapper. */
static void drop(wc_large *large) {
    if (large->type != large->given)
        MPI_Type_free(&large->type);
}

/* X(name without _c, parameters, arguments for the call without _c, count, type) */
#define LARGE_1(name, parameters, arguments, n, kind)                                              \
    WC_EXPORT int MPI_##name##_c parameters {                                                      \
        wc_large large[1];                                                                         \
        int rc = make(&large[0], n, kind);                                                         \
        if (rc == MPI_SUCCESS)                                                                     \
            rc = MPI_##name arguments;                                                             \
        drop(&large[0]);                                                                           \
        return rc;                                                                                 \
    }

#define LARGE_2(name, parameters, arguments, n, kind, m, tokind)                                   \
    WC_EXPORT int MPI_##name##_c parameters {                                                      \
        wc_large large[2];                                                                         \
        int rc = make(&large[0], n, kind), also = make(&large[1], m, tokind);                      \
        if (rc == MPI_SUCCESS)                                                                     \
            rc = also;                                                                             \
        if (rc == MPI_SUCCESS)                                                                     \
            rc = MPI_##name arguments;                                                             \
        drop(&large[0]);                                                                           \
        drop(&large[1]);                                                                           \
        return rc;                                                                                 \
    }

WC_LARGE_1(LARGE_1)
WC_LARGE_2(LARGE_2)

#endif
