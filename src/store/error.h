/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Status and text of a failure. The first function that knows which error it is writes the text,
 * all others pass it on. The codes are those of wavecut.h, without mpi.h.
 */
#ifndef WC_STORE_ERROR_H
#define WC_STORE_ERROR_H

typedef enum wc_status {
    WC_OK = 0,
    WC_ERR_ARGUMENT = 1,
    WC_ERR_ORDER = 2,
    WC_ERR_NAME = 3,
    WC_ERR_TYPE = 4,
    WC_ERR_MISMATCH = 5,
    WC_ERR_NOT_FOUND = 6,
    WC_ERR_DAMAGED = 7,
    WC_ERR_FINISHED = 8,
    WC_ERR_IO = 9,
    WC_ERR_MEMORY = 10,
    WC_ERR_SETTING = 11,
    WC_ERR_MPI = 12,
    WC_ERR_UNSUPPORTED = 13,
    WC_ERR_PEER = 14,
    WC_ERR_CALLBACK = 15
} wc_status;

typedef struct wc_error {
    wc_status status;
    char text[512];
} wc_error;

/* Writes the text (cut if too long) and returns `status`. `error` may be NULL. */
wc_status wc_error_set(wc_error *error, wc_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* What to do about the cause (errno) of a write that has failed: to be put behind it, and empty if nobody knows. */
const char *wc_error_advice(int cause);

#endif
