/* SPDX-License-Identifier: BSD-3-Clause */
/* The sequences of a trace go on over a restart. */
#ifndef WC_RUNTIME_SEQUENCES_H
#define WC_RUNTIME_SEQUENCES_H

#include "../store/error.h"

/* Reads from R.chosen how far this rank's streams had come. Errors: DAMAGED, IO, MEMORY. */
wc_status wc_sequences_read(wc_error *error);

/* They go on from there; communicators of the snapshot exist again. Forgets what was read. */
void wc_sequences_go_on(void);

#endif
