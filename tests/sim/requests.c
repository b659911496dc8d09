/* SPDX-License-Identifier: BSD-3-Clause */
/* Completion: MPI 3.1, section 3.7. What is complete in fact may be seen later. */
#include "sim.h"

#include <string.h>

MPI_Request sim_request_new(sim_kind kind, int comm) {
    MPI_Request r = sim_alloc(sizeof *r);
    *r = (struct sim_request){.kind = kind, .owner = me->rank, .comm = comm, .active = true};
    return r;
}

static MPI_Status empty_status(void) {
    return (MPI_Status){.MPI_SOURCE = MPI_ANY_SOURCE, .MPI_TAG = MPI_ANY_TAG};
}

static void fill(MPI_Request r) {
    const sim_packet *p = r->packet;
    size_t bytes = p->bytes < r->room ? p->bytes : r->room;
    if (bytes)
        memcpy(r->buffer, p->data, bytes);
    r->status = (MPI_Status){.MPI_SOURCE = p->source,
                             .MPI_TAG = p->tag,
                             .MPI_ERROR = p->bytes > r->room ? MPI_ERR_TRUNCATE : MPI_SUCCESS,
                             .bytes = (MPI_Count)bytes};
    r->packet = NULL;
}

/* A cancelled receive is cancelled some time after, unless a message matches it before. */
static bool is_cancelled(MPI_Request r) {
    if (!r->cancelling || !r->posted)
        return false;
    sim_withdraw(r);
    r->status = empty_status();
    r->status.cancelled = 1;
    return true;
}

bool sim_completes(MPI_Request r) {
    if (!r->active)
        return true;
    if (r->complete || sim_choose(J.delay))
        return r->complete;
    switch (r->kind) {
    case SIM_SENDING:
        r->complete = r->met;
        r->status = empty_status();
        break;
    case SIM_RECEIVING:
        if (r->packet && r->packet->bytes && r->comm == J.stuck)
            break;
        r->complete = r->packet || is_cancelled(r);
        if (r->packet)
            fill(r);
        break;
    case SIM_MEETING:
        r->complete = sim_meeting_over(r);
        r->status = empty_status();
        if (r->complete)
            sim_meeting_result(r);
        break;
    }
    return r->complete;
}

/* Of a request that completes. */
static int finish(MPI_Request *request, MPI_Status *status) {
    MPI_Request r = *request;
    int rc = MPI_SUCCESS;
    if (status != MPI_STATUS_IGNORE) {
        int error = status->MPI_ERROR;
        *status = r && r->active ? r->status : empty_status();
        rc = status->MPI_ERROR;
        status->MPI_ERROR = error;
    } else if (r && r->active) {
        rc = r->status.MPI_ERROR;
    }
    if (!r)
        return rc;
    r->active = false;
    if (!r->persistent)
        *request = MPI_REQUEST_NULL;
    return rc;
}

static bool is_active(MPI_Request r) {
    return r && r->active;
}

int PMPI_Test(MPI_Request *request, int *flag, MPI_Status *status) {
    sim_preempt();
    *flag = !is_active(*request) || sim_completes(*request);
    return *flag ? finish(request, status) : MPI_SUCCESS;
}

int PMPI_Wait(MPI_Request *request, MPI_Status *status) {
    sim_preempt();
    while (is_active(*request) && !sim_completes(*request))
        sim_yield();
    return finish(request, status);
}

int PMPI_Request_get_status(MPI_Request r, int *flag, MPI_Status *status) {
    sim_preempt();
    *flag = !is_active(r) || sim_completes(r);
    if (*flag && status != MPI_STATUS_IGNORE)
        *status = is_active(r) ? r->status : empty_status();
    return MPI_SUCCESS;
}

/* ---- several ---- */

static MPI_Status *status_at(MPI_Status statuses[], int i) {
    return statuses ? &statuses[i] : MPI_STATUS_IGNORE;
}

int PMPI_Testall(int n, MPI_Request requests[], int *flag, MPI_Status statuses[]) {
    sim_preempt();
    *flag = 1;
    for (int i = 0; i < n; i++)
        *flag = (!is_active(requests[i]) || sim_completes(requests[i])) && *flag;
    for (int i = 0; i < n && *flag; i++)
        finish(&requests[i], status_at(statuses, i));
    return MPI_SUCCESS;
}

int PMPI_Waitall(int n, MPI_Request requests[], MPI_Status statuses[]) {
    int flag;
    for (PMPI_Testall(n, requests, &flag, statuses); !flag;
         PMPI_Testall(n, requests, &flag, statuses))
        sim_yield();
    return MPI_SUCCESS;
}

int PMPI_Testany(int n, MPI_Request requests[], int *index, int *flag, MPI_Status *status) {
    bool any = false;
    sim_preempt();
    for (int i = 0; i < n; i++) {
        any = any || is_active(requests[i]);
        if (!is_active(requests[i]) || !sim_completes(requests[i]))
            continue;
        *index = i;
        *flag = 1;
        return finish(&requests[i], status);
    }
    *index = MPI_UNDEFINED;
    *flag = !any;
    if (!any && status != MPI_STATUS_IGNORE)
        *status = empty_status();
    return MPI_SUCCESS;
}

int PMPI_Waitany(int n, MPI_Request requests[], int *index, MPI_Status *status) {
    int flag, rc;
    while ((rc = PMPI_Testany(n, requests, index, &flag, status)) == MPI_SUCCESS && !flag)
        sim_yield();
    return rc;
}

int PMPI_Testsome(int n, MPI_Request requests[], int *done, int indices[], MPI_Status statuses[]) {
    bool any = false;
    sim_preempt();
    *done = 0;
    for (int i = 0; i < n; i++) {
        any = any || is_active(requests[i]);
        if (!is_active(requests[i]) || !sim_completes(requests[i]))
            continue;
        finish(&requests[i], status_at(statuses, *done));
        indices[(*done)++] = i;
    }
    if (!any)
        *done = MPI_UNDEFINED;
    return MPI_SUCCESS;
}

int PMPI_Waitsome(int n, MPI_Request requests[], int *done, int indices[], MPI_Status statuses[]) {
    for (PMPI_Testsome(n, requests, done, indices, statuses); *done == 0;
         PMPI_Testsome(n, requests, done, indices, statuses))
        sim_yield();
    return MPI_SUCCESS;
}

/* ---- the rest ---- */

int PMPI_Cancel(MPI_Request *request) {
    sim_preempt();
    (*request)->cancelling = true;
    return MPI_SUCCESS;
}

int PMPI_Request_free(MPI_Request *request) {
    sim_preempt();
    *request = MPI_REQUEST_NULL;
    return MPI_SUCCESS;
}
