/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Why an attempt is void. One list makes the codes and the texts.
 */
#ifndef WC_CORE_REASON_H
#define WC_CORE_REASON_H

#define WC_REASON_LIST(X)                                                                          \
    X(NONE, "")                                                                                    \
    X(LATE, "had already passed the step that was agreed on")                                      \
    X(ENDING, "is finalizing")                                                                     \
    X(REQUEST_OPEN, "has a request outstanding at its safe point")                                 \
    X(COLLECTIVE_OPEN,                                                                             \
      "has a nonblocking collective or file operation outstanding at its safe point")              \
    X(OPEN, "has something at its safe point that a snapshot can't hold, made by")                 \
    X(UNSUPPORTED, "used a call that this version can't snapshot")                                 \
    X(COLLECTIVES_DIFFER, "has completed other collectives than other ranks")                      \
    X(COLLECTIVE_MISSING, "waited for a collective that did not come")                             \
    X(ORPHAN, "received a message that its sender has not sent yet at the cut: the program is "    \
              "not aligned, use wavecut_cut(WAVECUT_IMMEDIATE)")                                   \
    X(HELD, "needs a message from behind the marker to go on")                                     \
    X(ORDER_UNKNOWN, "met a marker and a message inside a blocking collective")                    \
    X(MESSAGE_MISSING, "did not receive a message in flight in time")                              \
    X(COUNTERS, "counted other messages than were sent (an error in Wavecut: please report it)")   \
    X(STREAMS, "uses too many different tags")                                                     \
    X(FREED_COMM, "has messages in flight on a communicator that was freed")                       \
    X(PARTIAL_TYPE, "received a part of a datatype, which can't be copied")                        \
    X(OUTSIDE, "exchanged messages with a rank outside the communicator of wavecut_init")          \
    X(THREAD, "was at its safe point while another thread of it was inside")                       \
    X(MODES_DIFFER, "chose another kind of cut than other ranks")                                  \
    X(CALLBACK, "could not save a part of its state")                                              \
    X(MEMORY, "has no memory for the snapshot")                                                    \
    X(STORE, "could not write the snapshot")

typedef enum wc_reason {
#define WC_REASON_CODE(name, text) WC_REASON_##name,
    WC_REASON_LIST(WC_REASON_CODE)
#undef WC_REASON_CODE
} wc_reason;

const char *wc_reason_text(wc_reason reason);

#endif
