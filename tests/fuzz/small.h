/* SPDX-License-Identifier: BSD-3-Clause */
/* A snapshot of a few KiB that has something of everything: to be damaged byte by byte, and to begin fuzzing with. */
#ifndef WC_TESTS_FUZZ_SMALL_H
#define WC_TESTS_FUZZ_SMALL_H

#include "store/store.h"

/* Writes DIR/wavecut-000001.h5: two ranks; a global array in chunks of which the last reaches beyond it, local ones, one without
 * elements, one that rank 1 does not have, one of requests; messages in flight, one of them empty. Errors: of the store. */
wc_status small_write(const char *dir, wc_error *error);

#endif
