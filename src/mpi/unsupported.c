/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Calls that move messages, or make communicators, in ways that this version can't follow. They do
 * what MPI does; attempts are void from then on, or while what they have made exists, and say why.
 */
#include "layer.h"

#include "wc_calls.h"

/* The shapes of calls.list, as X(name, parameters, arguments). All but the last may wait for other ranks
 * inside MPI: they may need the receives that were taken back. `before` and `then` are what else is to be
 * done. */
#define NATIVE(name, parameters, arguments, before, then)                                          \
    WC_EXPORT int MPI_##name parameters {                                                          \
        WC_GUARD(__func__);                                                                        \
        before;                                                                                    \
        bool slow = wc_native_enter("MPI_" #name, NULL);                                           \
        int rc = PMPI_##name arguments;                                                            \
        wc_native_leave(slow);                                                                     \
        then;                                                                                      \
        return rc;                                                                                 \
    }

#define WAITS(name, parameters, arguments) NATIVE(name, parameters, arguments, , )

#define WAITS_STARTS(name, parameters, arguments)                                                  \
    NATIVE(name, parameters, arguments, , wc_foreign_started(rc, request))

#define FORBIDS(name, parameters, arguments)                                                       \
    NATIVE(name, parameters, arguments, wc_forbid("MPI_" #name), )

#define CLOSES(name, parameters, arguments)                                                        \
    NATIVE(name, parameters, arguments, , if (rc == MPI_SUCCESS) wc_close(WC_OPEN_WINDOW))

/* The request is a persistent one. Nothing tells yet which messages or collectives it has been. */
#define FORBIDS_PERSISTENT(name, parameters, arguments)                                            \
    WC_EXPORT int MPI_##name parameters {                                                          \
        WC_GUARD(__func__);                                                                        \
        wc_forbid("MPI_" #name);                                                                   \
        return wc_persistent_made(PMPI_##name arguments, request);                                 \
    }

WC_HANDLED_WAITS(WAITS)
WC_HANDLED_WAITS_STARTS(WAITS_STARTS)
WC_WINDOW_WAITS(WAITS)
WC_WINDOW_WAITS_STARTS(WAITS_STARTS)
WC_WINDOW_CLOSES(CLOSES)
WC_AFTER_WAITS(FORBIDS)
WC_AFTER_PLAIN_STARTS(FORBIDS_PERSISTENT)
WC_AFTER_INIT(FORBIDS_PERSISTENT)
