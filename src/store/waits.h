/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The question of `wavecut waits`, and the answers of a watched job's ranks: small files in DIR/waits,
 * so that it works from any machine that sees DIR.
 *
 *   ask          one line, the number of the question; locked by who asks
 *   rank-N.json  the last answer of rank N, with the question's number; 0: nobody had asked
 */
#ifndef WC_STORE_WAITS_H
#define WC_STORE_WAITS_H

#include "error.h"

#include <stddef.h>
#include <stdint.h>

/* Makes DIR and DIR/waits, and takes away the answers of an earlier job. One rank, before the others answer.
 * Errors: IO. */
wc_status wc_waits_prepare(const char *dir, wc_error *error);

/* The number of the question; 0: none. Counts only if it belongs to this user, the directory's owner, or
 * root. */
uint64_t wc_waits_asked(const char *dir);

/* Errors: NOT_FOUND (the directory), IO. */
wc_status wc_waits_answer(const char *dir, int rank, const char *text, size_t length,
                          wc_error *error);

/* One who asks at a time. *fd is the caller's to close: then the next one may. Errors: NOT_FOUND (nobody is
 * watched here), IO, also where somebody else asks. */
wc_status wc_waits_open(const char *dir, int *fd, wc_error *error);

/* Errors: IO. */
wc_status wc_waits_ask(int fd, uint64_t number, wc_error *error);

/* What rank N has answered last: *text is the caller's to free. Errors: NOT_FOUND, IO, MEMORY. */
wc_status wc_waits_read(const char *dir, int rank, char **text, wc_error *error);

#endif
