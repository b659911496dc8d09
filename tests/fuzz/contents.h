/* SPDX-License-Identifier: BSD-3-Clause */
/* What a restart gets out of a snapshot, as one number: two files with the same number restore the same. */
#ifndef WC_TESTS_FUZZ_CONTENTS_H
#define WC_TESTS_FUZZ_CONTENTS_H

#include "store/store.h"

/* Opens it and reads all that the reader offers: head, tables, each rank's elements, each message. Errors: the first. */
wc_status contents_read(const char *path, uint64_t *digest, wc_error *error);

/* Opens and verifies it, as `wavecut verify` does. Errors: DAMAGED too if verification has found something. */
wc_status contents_verify(const char *path, wc_error *error);

#endif
