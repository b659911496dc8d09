/* SPDX-License-Identifier: BSD-3-Clause */
/* Ranks that are moved by hand, in a job that was opened with sim_open. For cmocka's tests. */
#ifndef SIM_HAND_H
#define SIM_HAND_H

#include "sim.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* Lets a rank do something that it can do at once. */
void let(int rank, void (*command)(void *), void *argument);
/* What they can only do together; who has begun goes on with it. */
void begin(int rank, void (*command)(void *));
void let_all(void (*command)(void *));

void request(int rank);
void pass_safepoint(int rank);
void pass_safepoints(void);
/* Control messages arrive, and ranks look at them. */
void progress_all(void);
/* Until nobody has an attempt under way. Aligned ranks pass their safe points together. */
void finish_attempts(void);
bool recorded(int rank);

/* Messages on the world. */
void send(int from, int to, uint32_t token);
void deliver(int from, int to);
void receive(int rank); /* one that is at hand */
void pass(int from, int to, uint32_t token);

unsigned voids(void);        /* of all reasons */
wc_reason void_reason(void); /* of the last one; NONE */

#endif
