/* SPDX-License-Identifier: BSD-3-Clause */
/* What the calls of wavecut.h have in common: how they answer. */
#ifndef WC_RUNTIME_API_H
#define WC_RUNTIME_API_H

#include "../store/error.h"

#include "wavecut.h"

#include <stdbool.h>

/* Keeps the text for wavecut_error_text, and returns the status. */
wavecut_status wc_answer(wc_error error);

/* The same for a failure of this rank alone, which is also told on standard error. */
wavecut_status wc_fail(wc_error error);

/* ERR_ORDER: `call` `when`. */
wavecut_status wc_out_of_order(const char *call, const char *when);

/* wavecut_protect_requests; `fortran`: the requests are handles of Fortran. */
wavecut_status wc_protect_requests(const char *name, void *requests, int count, bool fortran);

bool wc_is_running(void); /* between wavecut_init and wavecut_finalize, and not in a callback */

#endif
