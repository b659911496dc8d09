/* SPDX-License-Identifier: BSD-3-Clause */
/* Who asks for snapshots, and when one that came to nothing is asked for again. */
#ifndef WC_RUNTIME_TRIGGER_H
#define WC_RUNTIME_TRIGGER_H

#include "../core/vote.h"

#include <stdint.h>

void wc_trigger_start(int64_t now); /* the run begins */
void wc_trigger_tick(int64_t now);
int64_t wc_trigger_next(void); /* when the next one is due, on rank 0; 0: not by time */
void wc_trigger_finished(const wc_vote *outcome, int64_t now);

#endif
