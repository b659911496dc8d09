/* SPDX-License-Identifier: BSD-3-Clause */
/* What the parts of core/ know of each other. */
#ifndef WC_CORE_INTERNAL_H
#define WC_CORE_INTERNAL_H

#include "core.h"

#include <assert.h>

/* frame.c: this rank's point on the cut, valid or void as core->vote says. */
void wc_frame_record(wc_core *core);

/* An immediate program's rank is where it records. */
bool wc_frame_may_record(const wc_core *core);

bool wc_cut_arrived(wc_core *core); /* every byte of the cut is here */

/* Those that MPI has, in posting order. The caller frees the list. */
wc_recv **wc_native_receives(wc_core *core, size_t *n);

/* clock.c */
void wc_clock_begin(wc_core *core);
void wc_clock_progress(wc_core *core);
bool wc_clock_has_stopped(wc_core *core);
bool wc_clock_has_come(const wc_core *core); /* to the targets of all communicators */
void wc_clock_forget(wc_core *core, const wc_comm *comm);

/* counted.c */
bool wc_counted_logs(const wc_core *core,
                     const wc_recv *r); /* may what it received belong to the cut? */
void wc_counted_log(wc_core *core, wc_recv *r, wc_stream *stream); /* copies it into the cut */
void wc_counted_handed(wc_core *core, wc_recv *r, wc_stream *stream);
void wc_counted_free(wc_core *core);
void wc_counted_record(wc_core *core);
void wc_counted_close(wc_core *core);  /* B is complete: all markers are here */
bool wc_counted_settle(wc_core *core); /* true when every message in flight is in the cut */

/* pulled.c */
void wc_pulled_arm(wc_core *core);
void wc_pulled_record(wc_core *core);
void wc_pulled_close(wc_core *core);
bool wc_pulled_settle(wc_core *core);
void wc_pulled_progress(wc_core *core);
void wc_pulled_stash(wc_core *core, wc_message *m); /* appends; the stash becomes a holder */
wc_message *wc_pulled_find(wc_core *core, const wc_recv *r, bool held_too);
void wc_pulled_bind(wc_core *core, wc_recv *r, wc_message *m);
void wc_pulled_poll_bound(wc_core *core);

#endif
