/* SPDX-License-Identifier: BSD-3-Clause */
#include "vote.h"

#include <stdio.h>

const char *wc_reason_text(wc_reason reason) {
    static const char *const texts[] = {
#define WC_REASON_TEXT(name, text) text,
        WC_REASON_LIST(WC_REASON_TEXT)
#undef WC_REASON_TEXT
    };
    return texts[reason];
}

wc_vote wc_vote_neutral(void) {
    return (wc_vote){.step = INT64_MIN,
                     .slack = INT64_MAX,
                     .void_rank = -1,
                     .peer = -1,
                     .tag = -1,
                     .initiator = INT32_MAX};
}

static void take_reason(wc_vote *into, const wc_vote *other) {
    into->void_rank = other->void_rank;
    into->reason = other->reason;
    into->peer = other->peer;
    into->tag = other->tag;
    snprintf(into->text, sizeof into->text, "%s", other->text);
}

void wc_vote_merge(wc_vote *into, const wc_vote *other) {
    if (other->step > into->step)
        into->step = other->step;
    if (other->slack < into->slack)
        into->slack = other->slack;
    into->sum += other->sum;
    into->flags |= other->flags;
    if (other->initiator < into->initiator)
        into->initiator = other->initiator;
    if (other->void_rank >= 0 && (into->void_rank < 0 || other->void_rank < into->void_rank))
        take_reason(into, other);
}

void wc_vote_void(wc_vote *vote, int rank, wc_reason reason, int peer, int tag, const char *text) {
    if (vote->void_rank >= 0)
        return;
    vote->void_rank = rank;
    vote->reason = (int32_t)reason;
    vote->peer = peer;
    vote->tag = tag;
    snprintf(vote->text, sizeof vote->text, "%s", text ? text : "");
}
