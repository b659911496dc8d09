/* SPDX-License-Identifier: BSD-3-Clause */
#include "error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

wc_status wc_error_set(wc_error *error, wc_status status, const char *format, ...) {
    if (!error)
        return status;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    error->status = status;
    return status;
}

const char *wc_error_advice(int cause) {
    switch (cause) {
    case ENOSPC:
    case EDQUOT:
        return "; free some space, keep fewer snapshots (WAVECUT_KEEP) or set WAVECUT_DIR to "
               "another file system";
    case EFBIG:
        return "; the file size limit (ulimit -f) is too low";
    case EROFS:
        return "; mount it for writing, or set WAVECUT_DIR to another file system";
    default:
        return "";
    }
}
