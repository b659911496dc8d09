/* SPDX-License-Identifier: BSD-3-Clause */
/* A file for copies that don't fit into the memory allowed for them. It has no name, and its space goes back with each snapshot. */
#ifndef WC_STATE_SPILL_H
#define WC_STATE_SPILL_H

#include "../store/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct wc_spill {
    int fd; /* if `open` */
    bool open, buffered;
    uint64_t end; /* of what is in it */
    char *buffer;
} wc_spill;

/* Called for each piece before it is written. */
typedef void wc_spill_pass(void *bytes, size_t count);

/* Appends `bytes`, which begin at *at then. The file is made in `directory` if it isn't there. `pass` may be NULL.
 * Errors: IO, MEMORY. */
wc_status wc_spill_write(wc_spill *spill, const char *directory, const void *from, uint64_t bytes,
                         wc_spill_pass *pass, uint64_t *at, wc_error *error);

void wc_spill_empty(wc_spill *spill);
void wc_spill_close(wc_spill *spill);

#endif
