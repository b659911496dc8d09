/* SPDX-License-Identifier: BSD-3-Clause */
/* Are the communicators that the program has made again those of the snapshot? */
#ifndef WC_RUNTIME_COMMUNICATORS_H
#define WC_RUNTIME_COMMUNICATORS_H

#include "../store/error.h"

/*
 * Compares this rank's with those of R.chosen: a communicator that stands in the same place of the program's order must be
 * made by the same call, of the same ranks. One that only the program or only the snapshot has may have been freed before
 * the cut, or be made later. Local. Errors: MISMATCH, DAMAGED, IO.
 */
wc_status wc_communicators_check(wc_error *error);

#endif
