/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the ranks tell each other in the reductions of the frame (protocol.md, section 3). One
 * struct and one commutative, associative operation serve all phases; each phase reads the fields
 * it needs.
 */
#ifndef WC_CORE_VOTE_H
#define WC_CORE_VOTE_H

#include "reason.h"

#include <stdint.h>

typedef enum wc_phase {
    WC_PHASE_AGREE,  /* request heard: K, kinds of cut and sends, may this attempt begin? */
    WC_PHASE_A,      /* recorded */
    WC_PHASE_B,      /* own markers received */
    WC_PHASE_COMMIT, /* channel state complete, data durable */
    WC_PHASES
} wc_phase;

#define WC_VOTE_IMMEDIATE 1u   /* some rank cuts immediately */
#define WC_VOTE_ALIGNED 2u     /* some rank cuts aligned */
#define WC_VOTE_COLLECTIVES 4u /* some rank has completed some since the last attempt began */

#define WC_VOTE_TEXT 72

typedef struct wc_vote {
    int64_t step;            /* max: the step to record at */
    int64_t slack;           /* min: steps that were left to the agreed one when the result came */
    uint64_t sum;            /* sum: collective counts, see wc_comm_clock */
    uint32_t flags;          /* or */
    int32_t void_rank;       /* the lowest rank that voids, with its reason; -1: nobody */
    int32_t reason;          /* wc_reason */
    int32_t peer, tag;       /* of the message in question; -1: none */
    int32_t initiator;       /* min of the ranks that asked; INT32_MAX: did not ask */
    char text[WC_VOTE_TEXT]; /* more about the reason: a call's name, a file error */
} wc_vote;

/* A vote that changes nothing. */
wc_vote wc_vote_neutral(void);

/* *into = *into ⊕ *other */
void wc_vote_merge(wc_vote *into, const wc_vote *other);

/* Makes the vote void for `rank`, unless it is void already. `text` may be NULL. */
void wc_vote_void(wc_vote *vote, int rank, wc_reason reason, int peer, int tag, const char *text);

#endif
