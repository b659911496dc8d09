/* SPDX-License-Identifier: BSD-3-Clause */
#include "progress.h"

#include "directory.h"

#include <unistd.h>

static const char NAME[] = "progress.json";

enum { MOST_BYTES = 65536 };

wc_status wc_progress_put(const char *dir, const char *text, size_t length, wc_error *error) {
    int directory;
    wc_status status = wc_directory_open(dir, &directory, error);
    if (status != WC_OK)
        return status;
    if (!wc_directory_put(directory, NAME, text, length))
        status = wc_error_set(error, WC_ERR_IO, "%s/%s can't be written: %m", dir, NAME);
    close(directory);
    return status;
}

wc_status wc_progress_get(const char *dir, char **text, wc_error *error) {
    int directory;
    wc_status status = wc_directory_open(dir, &directory, error);
    if (status != WC_OK)
        return status;
    status = wc_directory_get(directory, NAME, dir, MOST_BYTES, text, error);
    close(directory);
    return status;
}
