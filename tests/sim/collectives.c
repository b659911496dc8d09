/* SPDX-License-Identifier: BSD-3-Clause */
/* Collectives: MPI 3.1, chapter 5. Each ends on a rank as soon as the standard lets it, or later. */
#include "sim.h"

#include <string.h>

typedef enum meeting_kind { ALL, FROM_ROOT, TO_ROOT } meeting_kind;

/* One collective call of a communicator. */
struct sim_meeting {
    int comm;
    unsigned number; /* on that communicator */
    meeting_kind kind;
    int root, n;
    MPI_Datatype type;
    bool reduces;
    int arrived;
    bool root_arrived;
    size_t bytes;
    unsigned char *gathered; /* in rank order; or what it is reduced to */
    struct sim_meeting *next;
};

enum { SLOTS = 256 };

static sim_meeting *table[SLOTS];
static unsigned calls[SLOTS][SIM_RANKS]; /* so far, of each communicator and rank of the world */

void sim_collectives_open(void) {
    memset(table, 0, sizeof table);
    memset(calls, 0, sizeof calls);
}

static sim_meeting *meet(MPI_Comm comm, meeting_kind kind, int root) {
    bool root_here = sim_comm_rank(comm) == root;
    comm = sim_comm_shared(comm);
    unsigned number = calls[comm][me->rank]++;
    sim_meeting **at = &table[((unsigned)comm * 16 + number) % SLOTS];
    while (*at && ((*at)->comm != comm || (*at)->number != number))
        at = &(*at)->next;
    if (!*at) {
        *at = sim_alloc(sizeof **at);
        **at = (sim_meeting){.comm = comm, .number = number, .kind = kind, .root = root};
    }
    if ((*at)->kind != kind || (*at)->root != root)
        sim_problem("rank %d is in another collective than the others, communicator %d", me->rank,
                    comm);
    (*at)->arrived++;
    (*at)->root_arrived = (*at)->root_arrived || root_here;
    return *at;
}

static bool is_over(const sim_meeting *m) {
    bool root = m->kind != ALL && sim_comm_rank(m->comm) == m->root;
    switch (m->kind) {
    case FROM_ROOT:
        return m->root_arrived;
    case TO_ROOT:
        return !root || m->arrived == sim_comm_members(m->comm);
    default:
        return m->arrived == sim_comm_members(m->comm);
    }
}

bool sim_meeting_over(const MPI_Request r) {
    return is_over(r->meeting);
}

void sim_meeting_result(MPI_Request r) {
    const sim_meeting *m = r->meeting;
    if (r->buffer && m->bytes)
        memcpy(r->buffer, m->gathered, m->bytes);
}

static MPI_Request start(sim_meeting *m, void *result) {
    MPI_Request r = sim_request_new(SIM_MEETING, m->comm);
    r->meeting = m;
    r->buffer = result;
    return r;
}

const void *sim_gather_all(MPI_Comm comm, const void *mine, size_t bytes) {
    sim_meeting *m = meet(comm, ALL, -1);
    if (!m->gathered)
        m->gathered = sim_alloc(bytes * (size_t)sim_comm_members(comm));
    memcpy(m->gathered + bytes * (size_t)sim_comm_member(comm), mine, bytes);
    MPI_Request r = start(m, NULL);
    PMPI_Wait(&r, MPI_STATUS_IGNORE);
    return m->gathered;
}

/* ---- barrier ---- */

int PMPI_Ibarrier(MPI_Comm comm, MPI_Request *request) {
    sim_preempt();
    *request = start(meet(comm, ALL, -1), NULL);
    return MPI_SUCCESS;
}

int PMPI_Barrier(MPI_Comm comm) {
    MPI_Request r;
    PMPI_Ibarrier(comm, &r);
    return PMPI_Wait(&r, MPI_STATUS_IGNORE);
}

/* ---- communicators, without waiting ---- */

int PMPI_Comm_idup(MPI_Comm comm, MPI_Comm *newcomm, MPI_Request *request) {
    sim_preempt();
    sim_meeting *m = meet(comm, ALL, -1);
    if (!m->gathered) { /* who comes first makes it */
        int members[SIM_RANKS], n = sim_comm_size(comm);
        for (int i = 0; i < n; i++)
            members[i] = sim_world_rank(comm, i);
        m->gathered = sim_alloc(sizeof *newcomm);
        *(MPI_Comm *)m->gathered = sim_comm_make(members, n);
    }
    *newcomm = *(const MPI_Comm *)m->gathered;
    *request = start(m, NULL);
    return MPI_SUCCESS;
}

/* ---- reductions ---- */

static MPI_Request reduce(SIM_REDUCED, meeting_kind kind, int root, MPI_Comm comm) {
    sim_preempt();
    sim_meeting *m = meet(comm, kind, root);
    if (from == MPI_IN_PLACE)
        from = to;
    m->bytes = (size_t)n * sim_type_bytes(type);
    if (m->gathered) {
        sim_reduce(op, from, m->gathered, n, type);
    } else {
        m->gathered = sim_alloc(m->bytes);
        memcpy(m->gathered, from, m->bytes);
    }
    bool receives = kind == ALL || sim_comm_rank(comm) == root;
    return start(m, receives ? to : NULL);
}

int PMPI_Iallreduce(SIM_REDUCED, MPI_Comm comm, MPI_Request *request) {
    *request = reduce(from, to, n, type, op, ALL, -1, comm);
    return MPI_SUCCESS;
}

int PMPI_Allreduce(SIM_REDUCED, MPI_Comm comm) {
    MPI_Request r = reduce(from, to, n, type, op, ALL, -1, comm);
    return PMPI_Wait(&r, MPI_STATUS_IGNORE);
}

int PMPI_Reduce(SIM_REDUCED, int root, MPI_Comm comm) {
    MPI_Request r = reduce(from, to, n, type, op, TO_ROOT, root, comm);
    return PMPI_Wait(&r, MPI_STATUS_IGNORE);
}

/* ---- broadcast ---- */

int PMPI_Ibcast(void *buf, int n, MPI_Datatype type, int root, MPI_Comm comm,
                MPI_Request *request) {
    sim_preempt();
    sim_meeting *m = meet(comm, FROM_ROOT, root);
    bool gives = sim_comm_rank(comm) == root;
    m->bytes = (size_t)n * sim_type_bytes(type);
    if (gives) {
        m->gathered = sim_alloc(m->bytes);
        memcpy(m->gathered, buf, m->bytes);
    }
    *request = start(m, gives ? NULL : buf);
    return MPI_SUCCESS;
}

int PMPI_Bcast(void *buf, int n, MPI_Datatype type, int root, MPI_Comm comm) {
    MPI_Request r;
    PMPI_Ibcast(buf, n, type, root, comm, &r);
    return PMPI_Wait(&r, MPI_STATUS_IGNORE);
}
