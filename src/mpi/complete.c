/* SPDX-License-Identifier: BSD-3-Clause */
/* Completion: the Wait and Test family, Request_free, Cancel, Request_get_status. A receive is
 * received when these say so. */
#include "layer.h"

#include "wc_calls.h"

#include <stdlib.h>

/* ---- one request ---- */

/* A receive that is looked after here, and is ready. */
static int finish(wc_request *r, MPI_Request *handle, MPI_Status *status) {
    bool stays = r->persistent;
    int rc = wc_request_finish(r, status);
    if (!stays)
        *handle = MPI_REQUEST_NULL;
    return rc;
}

static wc_request *find(MPI_Request handle) {
    return handle == MPI_REQUEST_NULL ? NULL : wc_request_find(handle);
}

/* MPI has completed one that it alone knows: it is `after` that, and stays if it is persistent. */
static void took(MPI_Request *request, MPI_Request after) {
    if (after != MPI_REQUEST_NULL)
        wc_persistent_completed(*request);
    else if (*request != MPI_REQUEST_NULL)
        L.outstanding -= !wc_foreign_completed(*request);
    *request = after;
}

/* The same on the FAST way. */
static void note_completed(MPI_Request handle, MPI_Request after) {
    if (after != MPI_REQUEST_NULL)
        wc_persistent_completed(handle);
    else if (handle != MPI_REQUEST_NULL)
        wc_posted_completed(handle);
}

/* As MPI_Test. */
static int test_one(MPI_Request *request, int *flag, MPI_Status *status) {
    wc_request *r = find(*request);
    if (r) {
        *flag = wc_request_ready(r);
        return *flag ? finish(r, request, status) : MPI_SUCCESS;
    }
    MPI_Request after = *request;
    *flag = 0;
    int rc = PMPI_Test(&after, flag, status);
    if (*flag)
        took(request, after);
    return rc;
}

/* On the FAST way MPI completes requests by itself. Immediate programs do this in a loop that looks
 * after the outside world; false: something is under way by now, go on the SLOW way. */
static bool go_on(unsigned *spins) {
    wc_layer_idle(spins);
    return L.way == WC_WAY_FAST;
}

static bool is_fast(void) {
    if (L.immediate && L.way == WC_WAY_FAST) {
        L.core.recordable = false;
        wc_layer_poll();
    }
    return L.way == WC_WAY_FAST;
}

/* Waits natively, or for what `native_test` puts into `flag`. True: MPI has ended it, with `rc`. */
#define WAIT_FAST(rc, native_wait, native_test, flag)                                              \
    ({                                                                                             \
        unsigned spins_ = 0;                                                                       \
        bool ended_ = !L.immediate;                                                                \
        if (ended_) {                                                                              \
            rc = native_wait;                                                                      \
        } else {                                                                                   \
            do {                                                                                   \
                rc = native_test;                                                                  \
                ended_ = flag || rc != MPI_SUCCESS;                                                \
            } while (!ended_ && go_on(&spins_));                                                   \
        }                                                                                          \
        ended_;                                                                                    \
    })

__attribute__((noinline)) static int wait_slow(MPI_Request *request, MPI_Status *status) {
    WC_GUARD("MPI_Wait");
    MPI_Request handle = *request;
    if (L.way == WC_WAY_OFF || handle == MPI_REQUEST_NULL)
        return WC_WAITING(PMPI_Wait(request, status));
    if (is_fast()) {
        int rc, flag;
        if (WAIT_FAST(rc, PMPI_Wait(request, status), PMPI_Test(request, &flag, status), flag)) {
            note_completed(handle, *request);
            return rc;
        }
    }
    WC_WATCHED(wc_watch_requests("MPI_Wait", false, 1, request));
    unsigned spins = 0;
    int rc, flag;
    wc_layer_touch();
    while ((rc = test_one(request, &flag, status)) == MPI_SUCCESS && !flag)
        wc_layer_idle(&spins);
    return rc;
}

/* Aligned programs wait natively, so what this call will have done can be noted before it. */
WC_EXPORT int MPI_Wait(MPI_Request *request, MPI_Status *status) {
    wc_persistent *p = L.ends_natively ? wc_persistent_look(*request) : NULL;
    if (!p)
        return wait_slow(request, status);
    wc_persistent_complete(p);
    return PMPI_Wait(request, status);
}

WC_EXPORT int MPI_Test(MPI_Request *request, int *flag, MPI_Status *status) {
    WC_GUARD(__func__);
    MPI_Request handle = *request;
    if (L.way == WC_WAY_OFF || handle == MPI_REQUEST_NULL)
        return PMPI_Test(request, flag, status);
    if (is_fast()) {
        int rc = PMPI_Test(request, flag, status);
        if (*flag)
            note_completed(handle, *request);
        return rc;
    }
    wc_layer_touch();
    int rc = test_one(request, flag, status);
    if (!*flag)
        wc_core_starved(&L.core);
    return rc;
}

/* ---- all ---- */

enum { FEW = 64 };

static inline int count_active(int n, const MPI_Request requests[]) {
    int active = n;
    for (int i = n; i > 0; i--)
        if (__builtin_expect(requests[i - 1] == MPI_REQUEST_NULL, 0))
            active--;
    return active;
}

/* Handles before the call: MPI nulls what it completes. */
static MPI_Request *keep_handles(const MPI_Request requests[], int n, MPI_Request few[FEW]) {
    MPI_Request *handles = n <= FEW ? few : wc_core_alloc((size_t)n * sizeof *handles);
    for (int i = 0; i < n; i++)
        handles[i] = requests[i];
    return handles;
}

static void drop_handles(MPI_Request *handles, const MPI_Request few[FEW]) {
    if (handles != few)
        free(handles);
}

static MPI_Status *status_at(MPI_Status statuses[], int i) {
    return statuses == MPI_STATUSES_IGNORE ? MPI_STATUS_IGNORE : &statuses[i];
}

static void set_error(MPI_Status statuses[], int i, int code) {
    if (statuses != MPI_STATUSES_IGNORE)
        statuses[i].MPI_ERROR = code;
}

/* Where errors return, only statuses tell which persistent requests are not complete. */
static MPI_Status *tell_errors(int n, MPI_Status statuses[]) {
    bool needed = L.careful && L.persistent.count && statuses == MPI_STATUSES_IGNORE;
    return needed ? wc_core_alloc((size_t)n * sizeof *statuses) : statuses;
}

/* MPI has completed all; if one has failed, not those that are pending. */
static void note_all(int n, const MPI_Request requests[], const MPI_Request handles[],
                     const MPI_Status *told, int rc) {
    bool all = rc == MPI_SUCCESS || (rc == MPI_ERR_IN_STATUS && told == MPI_STATUSES_IGNORE);
    for (int i = 0; i < n; i++)
        if (all || requests[i] == MPI_REQUEST_NULL ||
            (rc == MPI_ERR_IN_STATUS && told[i].MPI_ERROR != MPI_ERR_PENDING))
            note_completed(handles[i], requests[i]);
}

/* The requests without the receives that are looked after here: MPI completes those that are left,
 * and knows which of them are active at all. `ours`: were there any receives? */
static MPI_Request *others(int n, const MPI_Request requests[], MPI_Request few[FEW], bool *ours) {
    MPI_Request *rest = keep_handles(requests, n, few);
    *ours = false;
    for (int i = 0; i < n; i++)
        if (rest[i] != MPI_REQUEST_NULL && wc_request_find(rest[i])) {
            rest[i] = MPI_REQUEST_NULL;
            *ours = true;
        }
    return rest;
}

/* MPI has completed the others; MPI says which have failed only if one has. Now the receives. */
static int finish_all(int n, MPI_Request requests[], MPI_Status statuses[], int rc) {
    for (int i = 0; i < n; i++) {
        wc_request *r = find(requests[i]);
        int one = r ? finish(r, &requests[i], status_at(statuses, i)) : MPI_SUCCESS;
        if (one != MPI_SUCCESS && rc == MPI_SUCCESS) {
            rc = MPI_ERR_IN_STATUS;
            for (int k = 0; k < n; k++)
                set_error(statuses, k, MPI_SUCCESS);
        }
        if (r && rc != MPI_SUCCESS)
            set_error(statuses, i, one);
    }
    return rc;
}

/* As MPI_Testall: all or none. */
static int test_all(int n, MPI_Request requests[], int *flag, MPI_Status statuses[]) {
    bool ours;
    *flag = 1;
    for (int i = 0; i < n; i++) {
        wc_request *r = find(requests[i]);
        *flag = (!r || wc_request_ready(r)) && *flag;
    }
    if (!*flag)
        return MPI_SUCCESS;
    MPI_Request few[FEW], *rest = others(n, requests, few, &ours);
    int rc = PMPI_Testall(n, rest, flag, statuses);
    *flag = *flag || rc != MPI_SUCCESS;
    for (int i = 0; i < n && *flag; i++)
        if (!find(requests[i]))
            took(&requests[i], rest[i]);
    drop_handles(rest, few);
    return *flag ? finish_all(n, requests, statuses, rc) : rc;
}

/* Is everything that was started in `requests`? Then nothing has to be looked up. */
static inline bool is_everything(int n, const MPI_Request requests[]) {
    return L.plain && count_active(n, requests) == wc_outstanding();
}

enum { MANY = 8 };

/* As PMPI_Testall. MPICH's looks at each request several times, which many needn't suffer in each turn of a loop: the last
 * to be started is often the last to complete. */
static inline int testall_last_first(int n, MPI_Request requests[], int *flag,
                                     MPI_Status statuses[]) {
    if (n > MANY) {
        int rc = PMPI_Request_get_status(requests[n - 1], flag, MPI_STATUS_IGNORE);
        if (!*flag || rc != MPI_SUCCESS)
            return rc;
    }
    return PMPI_Testall(n, requests, flag, statuses);
}

static bool waitall_everything(int n, MPI_Request requests[], MPI_Status statuses[], int *rc) {
    int flag;
    if (!WAIT_FAST(*rc, PMPI_Waitall(n, requests, statuses),
                   testall_last_first(n, requests, &flag, statuses), flag))
        return false;
    L.outstanding -= wc_outstanding();
    if (*rc == MPI_SUCCESS)
        L.posted_next = L.posted;
    else
        L.outstanding += count_active(n, requests);
    return true;
}

static bool waitall_some(int n, MPI_Request requests[], MPI_Status statuses[], int *rc) {
    int flag;
    MPI_Request few[FEW], *handles = keep_handles(requests, n, few);
    MPI_Status *told = tell_errors(n, statuses);
    bool done = WAIT_FAST(*rc, PMPI_Waitall(n, requests, told),
                          PMPI_Testall(n, requests, &flag, told), flag);
    if (done)
        note_all(n, requests, handles, told, *rc);
    if (told != statuses)
        free(told);
    drop_handles(handles, few);
    return done;
}

__attribute__((noinline)) static int waitall_slow(int n, MPI_Request requests[],
                                                  MPI_Status statuses[]) {
    WC_GUARD("MPI_Waitall");
    if (L.way == WC_WAY_OFF)
        return WC_WAITING(PMPI_Waitall(n, requests, statuses));
    if (is_fast()) {
        int rc;
        if (is_everything(n, requests) ? waitall_everything(n, requests, statuses, &rc)
                                       : waitall_some(n, requests, statuses, &rc))
            return rc;
    }
    WC_WATCHED(wc_watch_requests("MPI_Waitall", false, n, requests));
    unsigned spins = 0;
    int rc, flag;
    wc_layer_touch();
    while ((rc = test_all(n, requests, &flag, statuses)) == MPI_SUCCESS && !flag)
        wc_layer_idle(&spins);
    return rc;
}

/* The same in few instructions, for lists without null requests. */
static inline bool is_all_that_started(int n, const MPI_Request requests[], int outstanding) {
    if (n != outstanding)
        return false;
    const MPI_Request null = MPI_REQUEST_NULL;
    for (size_t i = (unsigned)n; i; i--)
        if (__builtin_expect(requests[i - 1] == null, 0))
            return false;
    return true;
}

/* In an immediate program, while nothing is under way: often all is complete already. */
__attribute__((noinline)) static int waitall_at_hand(int n, MPI_Request requests[],
                                                     MPI_Status statuses[]) {
    int flag;
    bool fast = L.immediate && L.way == WC_WAY_FAST && L.plain;
    if (__builtin_expect(!fast || !is_all_that_started(n, requests, wc_outstanding()) ||
                             wc_layer_clock() >= L.next_tick,
                         0))
        return waitall_slow(n, requests, statuses);
    L.core.recordable = false;
    int rc = testall_last_first(n, requests, &flag, statuses);
    if (__builtin_expect(!flag, 0))
        return waitall_slow(n, requests, statuses);
    L.outstanding -= n;
    L.posted_next = L.posted;
    return rc;
}

/* Aligned programs wait natively, so what this call will have done can be noted before it. */
WC_EXPORT int MPI_Waitall(int n, MPI_Request requests[], MPI_Status statuses[]) {
    if (__builtin_expect(!is_all_that_started(n, requests, L.outstanding), 0))
        return waitall_at_hand(n, requests, statuses);
    L.outstanding = 0;
    L.posted_next = L.posted;
    return PMPI_Waitall(n, requests, statuses);
}

WC_EXPORT int MPI_Testall(int n, MPI_Request requests[], int *flag, MPI_Status statuses[]) {
    WC_GUARD(__func__);
    if (L.way == WC_WAY_OFF)
        return PMPI_Testall(n, requests, flag, statuses);
    if (is_fast()) {
        MPI_Request few[FEW], *handles = keep_handles(requests, n, few);
        MPI_Status *told = tell_errors(n, statuses);
        *flag = 0;
        int rc = PMPI_Testall(n, requests, flag, told);
        if (*flag || rc != MPI_SUCCESS)
            note_all(n, requests, handles, told, rc);
        if (told != statuses)
            free(told);
        drop_handles(handles, few);
        return rc;
    }
    wc_layer_touch();
    int rc = test_all(n, requests, flag, statuses);
    if (!*flag)
        wc_core_starved(&L.core);
    return rc;
}

/* ---- any and some ---- */

static void note_some(const MPI_Request requests[], const MPI_Request handles[], int n,
                      const int indices[]) {
    for (int k = 0; k < n; k++)
        note_completed(handles[indices[k]], requests[indices[k]]);
}

static wc_request *find_ready(MPI_Request handle) {
    wc_request *r = find(handle);
    return r && wc_request_ready(r) ? r : NULL;
}

/* As MPI_Testany. */
static int test_any(int n, MPI_Request requests[], int *index, int *flag, MPI_Status *status) {
    *flag = 1;
    for (*index = 0; *index < n; ++*index) {
        wc_request *r = find_ready(requests[*index]);
        if (r)
            return finish(r, &requests[*index], status);
    }
    bool ours;
    MPI_Request few[FEW], *rest = others(n, requests, few, &ours);
    int rc = PMPI_Testany(n, rest, index, flag, status);
    if (*flag && *index != MPI_UNDEFINED)
        took(&requests[*index], rest[*index]);
    else if (*flag && ours)
        *flag = 0; /* none of the others is active, but a receive is */
    drop_handles(rest, few);
    return rc;
}

WC_EXPORT int MPI_Waitany(int n, MPI_Request requests[], int *index, MPI_Status *status) {
    WC_GUARD(__func__);
    if (L.way == WC_WAY_OFF)
        return WC_WAITING(PMPI_Waitany(n, requests, index, status));
    int rc, flag;
    if (is_fast()) {
        MPI_Request few[FEW], *handles = keep_handles(requests, n, few);
        *index = MPI_UNDEFINED;
        bool done = WAIT_FAST(rc, PMPI_Waitany(n, requests, index, status),
                              PMPI_Testany(n, requests, index, &flag, status), flag);
        if (done)
            note_some(requests, handles, *index != MPI_UNDEFINED, index);
        drop_handles(handles, few);
        if (done)
            return rc;
    }
    WC_WATCHED(wc_watch_requests("MPI_Waitany", true, n, requests));
    unsigned spins = 0;
    wc_layer_touch();
    while ((rc = test_any(n, requests, index, &flag, status)) == MPI_SUCCESS && !flag)
        wc_layer_idle(&spins);
    return rc;
}

WC_EXPORT int MPI_Testany(int n, MPI_Request requests[], int *index, int *flag,
                          MPI_Status *status) {
    WC_GUARD(__func__);
    if (L.way == WC_WAY_OFF)
        return PMPI_Testany(n, requests, index, flag, status);
    if (is_fast()) {
        MPI_Request few[FEW], *handles = keep_handles(requests, n, few);
        *index = MPI_UNDEFINED;
        int rc = PMPI_Testany(n, requests, index, flag, status);
        note_some(requests, handles, *index != MPI_UNDEFINED, index);
        drop_handles(handles, few);
        return rc;
    }
    wc_layer_touch();
    int rc = test_any(n, requests, index, flag, status);
    if (!*flag)
        wc_core_starved(&L.core);
    if (!*flag)
        *index = MPI_UNDEFINED;
    return rc;
}

/* As MPI_Testsome. */
static int test_some(int n, MPI_Request requests[], int *done, int indices[],
                     MPI_Status statuses[]) {
    bool ours;
    MPI_Request few[FEW], *rest = others(n, requests, few, &ours);
    int rc = PMPI_Testsome(n, rest, done, indices, statuses);
    bool idle = *done == MPI_UNDEFINED; /* none of the others is active */
    if (idle)
        *done = 0;
    for (int k = 0; k < *done; k++) {
        took(&requests[indices[k]], rest[indices[k]]);
        if (rc == MPI_SUCCESS)
            set_error(statuses, k, MPI_SUCCESS); /* MPI sets it only where one has failed */
    }
    drop_handles(rest, few);
    for (int i = 0; ours && i < n; i++) {
        wc_request *r = find_ready(requests[i]);
        if (!r)
            continue;
        int one = finish(r, &requests[i], status_at(statuses, *done));
        if (one != MPI_SUCCESS)
            rc = MPI_ERR_IN_STATUS;
        set_error(statuses, *done, one);
        indices[(*done)++] = i;
    }
    if (idle && !ours)
        *done = MPI_UNDEFINED;
    return rc;
}

WC_EXPORT int MPI_Waitsome(int n, MPI_Request requests[], int *done, int indices[],
                           MPI_Status statuses[]) {
    WC_GUARD(__func__);
    if (L.way == WC_WAY_OFF)
        return WC_WAITING(PMPI_Waitsome(n, requests, done, indices, statuses));
    int rc;
    if (is_fast()) {
        MPI_Request few[FEW], *handles = keep_handles(requests, n, few);
        *done = 0;
        bool some = WAIT_FAST(rc, PMPI_Waitsome(n, requests, done, indices, statuses),
                              PMPI_Testsome(n, requests, done, indices, statuses), *done);
        if (some)
            note_some(requests, handles, *done, indices);
        drop_handles(handles, few);
        if (some)
            return rc;
    }
    WC_WATCHED(wc_watch_requests("MPI_Waitsome", true, n, requests));
    unsigned spins = 0;
    wc_layer_touch();
    while ((rc = test_some(n, requests, done, indices, statuses)) == MPI_SUCCESS && !*done)
        wc_layer_idle(&spins);
    return rc;
}

WC_EXPORT int MPI_Testsome(int n, MPI_Request requests[], int *done, int indices[],
                           MPI_Status statuses[]) {
    WC_GUARD(__func__);
    if (L.way == WC_WAY_OFF)
        return PMPI_Testsome(n, requests, done, indices, statuses);
    if (is_fast()) {
        MPI_Request few[FEW], *handles = keep_handles(requests, n, few);
        *done = 0;
        int rc = PMPI_Testsome(n, requests, done, indices, statuses);
        note_some(requests, handles, *done, indices);
        drop_handles(handles, few);
        return rc;
    }
    wc_layer_touch();
    int rc = test_some(n, requests, done, indices, statuses);
    if (!*done)
        wc_core_starved(&L.core);
    return rc;
}

/* ---- without completing ---- */

/* The receive of this handle, in the table from now on. NULL: none. */
static wc_request *look_after(MPI_Request handle) {
    if (L.way == WC_WAY_OFF || handle == MPI_REQUEST_NULL)
        return NULL;
    wc_posted_adopt();
    wc_layer_update();
    return wc_request_find(handle);
}

/* A receive that is ready: from now on the application may read the buffer, and write it. */
static void tell(wc_request *r, MPI_Status *status) {
    if (r->inner == MPI_REQUEST_NULL)
        wc_request_make_cancelled(&r->status);
    else if (!r->recv.cancelled && !r->recv.handed)
        wc_request_handed(r, r->recv.message ? r->recv.message->source : r->status.MPI_SOURCE,
                          r->recv.message ? r->recv.message->tag : r->status.MPI_TAG);
    if (status == MPI_STATUS_IGNORE)
        return;
    *status = r->status;
    if (r->recv.message) {
        status->MPI_SOURCE = r->recv.message->source;
        status->MPI_TAG = r->recv.message->tag;
    }
}

WC_EXPORT int MPI_Request_get_status(MPI_Request request, int *flag, MPI_Status *status) {
    WC_GUARD(__func__);
    wc_request *r = look_after(request);
    if (!r)
        return PMPI_Request_get_status(request, flag, status);
    wc_layer_touch();
    *flag = wc_request_ready(r);
    if (*flag)
        tell(r, status);
    else
        wc_core_starved(&L.core);
    return MPI_SUCCESS;
}

#ifdef WC_HAVE_Request_get_status_all

/* MPICH has learned only lately that they change nothing. */
#if defined(MPICH_NUMVERSION) && MPICH_NUMVERSION < 40302300
#define SAME_REQUESTS MPI_Request requests[]
#else
#define SAME_REQUESTS const MPI_Request requests[]
#endif

/* The receives go into the table. */
static void look_after_all(void) {
    wc_posted_adopt();
    wc_layer_update();
    wc_layer_touch();
}

/* After a look in vain. */
static int looked(bool found, int rc) {
    if (!found)
        wc_core_starved(&L.core);
    return rc;
}

WC_EXPORT int MPI_Request_get_status_all(int n, SAME_REQUESTS, int *flag, MPI_Status statuses[]) {
    WC_GUARD(__func__);
    if (L.way == WC_WAY_OFF)
        return PMPI_Request_get_status_all(n, requests, flag, statuses);
    look_after_all();
    *flag = 1;
    for (int i = 0; i < n; i++) {
        wc_request *r = find(requests[i]);
        *flag = (!r || wc_request_ready(r)) && *flag;
    }
    if (!*flag)
        return looked(false, MPI_SUCCESS);
    bool ours;
    MPI_Request few[FEW], *rest = others(n, requests, few, &ours);
    int rc = PMPI_Request_get_status_all(n, rest, flag, statuses);
    drop_handles(rest, few);
    for (int i = 0; *flag && ours && i < n; i++) {
        wc_request *r = find(requests[i]);
        if (r)
            tell(r, status_at(statuses, i));
    }
    return looked(*flag, rc);
}

WC_EXPORT int MPI_Request_get_status_any(int n, SAME_REQUESTS, int *index, int *flag,
                                         MPI_Status *status) {
    WC_GUARD(__func__);
    if (L.way == WC_WAY_OFF)
        return PMPI_Request_get_status_any(n, requests, index, flag, status);
    look_after_all();
    *flag = 1;
    for (*index = 0; *index < n; ++*index) {
        wc_request *r = find_ready(requests[*index]);
        if (!r)
            continue;
        tell(r, status);
        return MPI_SUCCESS;
    }
    bool ours;
    MPI_Request few[FEW], *rest = others(n, requests, few, &ours);
    int rc = PMPI_Request_get_status_any(n, rest, index, flag, status);
    if (*flag && *index == MPI_UNDEFINED && ours)
        *flag = 0; /* none of the others is active, but a receive is */
    drop_handles(rest, few);
    return looked(*flag, rc);
}

WC_EXPORT int MPI_Request_get_status_some(int n, SAME_REQUESTS, int *done, int indices[],
                                          MPI_Status statuses[]) {
    WC_GUARD(__func__);
    if (L.way == WC_WAY_OFF)
        return PMPI_Request_get_status_some(n, requests, done, indices, statuses);
    look_after_all();
    bool ours;
    MPI_Request few[FEW], *rest = others(n, requests, few, &ours);
    int rc = PMPI_Request_get_status_some(n, rest, done, indices, statuses);
    drop_handles(rest, few);
    if (*done == MPI_UNDEFINED && ours)
        *done = 0; /* none of the others is active, but a receive is */
    for (int i = 0; ours && i < n; i++) {
        wc_request *r = find_ready(requests[i]);
        if (!r)
            continue;
        tell(r, status_at(statuses, *done));
        indices[(*done)++] = i;
    }
    return looked(*done != 0, rc);
}

#endif

WC_EXPORT int MPI_Request_free(MPI_Request *request) {
    WC_GUARD(__func__);
    wc_persistent *p = L.way == WC_WAY_OFF ? NULL : wc_persistent_find(*request);
    wc_request *r = p && !p->active ? NULL : look_after(*request);
    if (!r && p)
        L.outstanding -= p->active;
    else if (!r && *request != MPI_REQUEST_NULL)
        L.outstanding -= !wc_foreign_completed(*request);
    if (p)
        wc_persistent_forget(p);
    if (!r) {
        L.core.recordable = false;
        return PMPI_Request_free(request);
    }
    /* MPI would go on filling the buffer: so do we, under the same handle. */
    r->detached = true;
    L.detached++;
    *request = MPI_REQUEST_NULL;
    return MPI_SUCCESS;
}

static bool is_generalized(MPI_Request handle) {
    const wc_grequest *g = L.grequests;
    while (g && g->handle != handle)
        g = g->next;
    return g;
}

static int cancel_operation(MPI_Request *request) {
    const wc_persistent *p = L.way == WC_WAY_OFF ? NULL : wc_persistent_find(*request);
    if (is_generalized(*request) || (p && !p->active))
        return PMPI_Cancel(request);
    /* A send that is cancelled is one message less, and nobody can tell which stream's. Neither library
     * cancels those that have left: only what is not over now may end so. */
    MPI_Status status;
    int over = 0, cancelled = 0, rc = PMPI_Cancel(request);
    if (rc == MPI_SUCCESS)
        PMPI_Request_get_status(*request, &over, &status);
    if (over)
        PMPI_Test_cancelled(&status, &cancelled);
    if (!over || cancelled)
        wc_forbid("MPI_Cancel of a send");
    return rc;
}

WC_EXPORT int MPI_Cancel(MPI_Request *request) {
    WC_GUARD(__func__);
    wc_request *r = look_after(*request);
    if (!r)
        return cancel_operation(request);
    if (r->recv.cancelled)
        return MPI_SUCCESS;
    bool native = r->recv.state == WC_RECV_NATIVE;
    /* One that has matched a message in the library can't be cancelled any more: it completes. */
    if (!native && !wc_core_cancel(&L.core, &r->recv))
        return MPI_SUCCESS;
    r->recv.cancelled = true;
    return native ? PMPI_Cancel(&r->inner) : MPI_SUCCESS;
}

/* ---- types that receives still need ---- */

static WC_PROCESS struct {
    MPI_Datatype *types;
    size_t count, room;
} unfreed;

static bool in_use(MPI_Datatype type) {
    for (const wc_posted *p = L.posted; p < L.posted_next; p++)
        if (p->type == type)
            return true;
    WC_EACH_ENTRY(&L.receives, wc_request, r) {
        if (r->type == type)
            return true;
    }
    return wc_persistent_uses(type);
}

static void free_unused(void) {
    size_t kept = 0;
    for (size_t i = 0; i < unfreed.count; i++) {
        if (in_use(unfreed.types[i]))
            unfreed.types[kept++] = unfreed.types[i];
        else
            PMPI_Type_free(&unfreed.types[i]);
    }
    unfreed.count = kept;
}

int wc_type_free(MPI_Datatype *type) {
    free_unused();
    if (!in_use(*type))
        return PMPI_Type_free(type);
    if (unfreed.count == unfreed.room) {
        unfreed.room = unfreed.room ? unfreed.room * 2 : 8;
        unfreed.types = wc_core_grow(unfreed.types, unfreed.room * sizeof *unfreed.types);
    }
    unfreed.types[unfreed.count++] = *type;
    *type = MPI_DATATYPE_NULL;
    return MPI_SUCCESS;
}

WC_EXPORT int MPI_Type_free(MPI_Datatype *type) {
    WC_GUARD(__func__);
    return L.way == WC_WAY_OFF ? PMPI_Type_free(type) : wc_type_free(type);
}
