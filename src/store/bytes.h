/* SPDX-License-Identifier: BSD-3-Clause */
/* Bytes of a file, all of those that are asked for; and around the page cache, where the file system allows that. */
#ifndef WC_STORE_BYTES_H
#define WC_STORE_BYTES_H

#include "error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    WC_DIRECT_PAGE = 4096,     /* address, offset and size are multiples of it */
    WC_DIRECT_LEAST = 64 << 10 /* below, going around the page cache costs more than it saves */
};

/* A file that is read. */
typedef struct wc_input {
    int fd, direct; /* direct: the same one by wc_direct_open; -1: not to be had, or not wanted */
    const char *path;
} wc_input;

/* The file of `fd`, which is at `path`, once more, with O_DIRECT and `flags`. -1: that is not to be had, or `path` is another file
 * now. */
int wc_direct_open(const char *path, int fd, int flags);

/* pread of all `bytes`. Errors: IO, DAMAGED (the file ends before). */
wc_status wc_read_all(int fd, const char *path, void *to, size_t bytes, uint64_t offset,
                      wc_error *error);

/* The same. The whole pages of it are read around the page cache, if they are as far from a page's beginning in memory as in the
 * file. */
wc_status wc_read_input(const wc_input *input, void *to, size_t bytes, uint64_t offset,
                        wc_error *error);

/* pwrite of all `bytes`; false and errno if that is not possible. */
bool wc_write_all(int fd, const void *from, size_t bytes, uint64_t offset);

#endif
