/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How a running job gets on: DIR/progress.json, which rank 0 replaces now and then, and `wavecut status` and `wavecut run` read.
 * One JSON object (runtime/progress.c writes it); not durable, and nothing depends on it.
 */
#ifndef WC_STORE_PROGRESS_H
#define WC_STORE_PROGRESS_H

#include "error.h"

#include <stddef.h>

/* Errors: NOT_FOUND (the directory), IO. */
wc_status wc_progress_put(const char *dir, const char *text, size_t length, wc_error *error);

/* *text is the caller's to free. Errors: NOT_FOUND (no job has been here), IO, MEMORY. */
wc_status wc_progress_get(const char *dir, char **text, wc_error *error);

#endif
