/* SPDX-License-Identifier: BSD-3-Clause */
/* Communicators, groups, datatypes, operations, statuses; and what belongs to no chapter. */
#include "sim.h"

#include <string.h>

enum { COMMS = 256, TYPES = 64 };

typedef struct communicator {
    int members[SIM_RANKS]; /* ranks of the world */
    int size;               /* 0: of each rank alone */
    MPI_Comm other;         /* of an intercommunicator: what the other group has for it */
    bool hidden;            /* for sim_among */
} communicator;

struct sim_group {
    int members[SIM_RANKS], size;
};

struct sim_op {
    MPI_User_function *function;
};

static communicator comms[COMMS];
static int comm_count;
static size_t types[TYPES];
static int type_count;

/* ---- operations ---- */

static void sum(void *in, void *inout, int *n, MPI_Datatype *type) {
    for (int i = 0; i < *n; i++) {
        if (*type == MPI_INT)
            ((int *)inout)[i] += ((const int *)in)[i];
        else
            ((int64_t *)inout)[i] += ((const int64_t *)in)[i];
    }
}

static void max(void *in, void *inout, int *n, MPI_Datatype *type) {
    for (int i = 0; i < *n; i++) {
        if (*type == MPI_INT && ((const int *)in)[i] > ((int *)inout)[i])
            ((int *)inout)[i] = ((const int *)in)[i];
        if (*type != MPI_INT && ((const int64_t *)in)[i] > ((int64_t *)inout)[i])
            ((int64_t *)inout)[i] = ((const int64_t *)in)[i];
    }
}

static struct sim_op sum_op = {sum}, max_op = {max};
MPI_Op MPI_SUM = &sum_op, MPI_MAX = &max_op;

void sim_reduce(MPI_Op op, const void *in, void *inout, int n, MPI_Datatype type) {
    op->function((void *)in, inout, &n, &type);
}

int PMPI_Op_create(MPI_User_function *function, int commutes, MPI_Op *op) {
    (void)commutes;
    *op = sim_alloc(sizeof **op);
    (*op)->function = function;
    return MPI_SUCCESS;
}

int PMPI_Op_free(MPI_Op *op) {
    *op = NULL;
    return MPI_SUCCESS;
}

/* ---- communicators ---- */

void sim_objects_open(void) {
    comm_count = MPI_COMM_SELF + 1;
    comms[MPI_COMM_WORLD].size = J.ranks;
    for (int i = 0; i < J.ranks; i++)
        comms[MPI_COMM_WORLD].members[i] = i;
    comms[MPI_COMM_SELF].size = 0;
    type_count = MPI_UINT64_T + 1;
    types[MPI_BYTE] = types[MPI_PACKED] = 1;
    types[MPI_INT] = sizeof(int);
    types[MPI_INT64_T] = types[MPI_UINT64_T] = 8;
}

MPI_Comm sim_comm_make(const int *members, int n) {
    comms[comm_count] = (communicator){.size = n};
    if (n)
        memcpy(comms[comm_count].members, members, (size_t)n * sizeof *members);
    return comm_count++;
}

static MPI_Comm make_inter(MPI_Comm first, MPI_Comm second) {
    MPI_Comm made = sim_comm_make(comms[first].members, comms[first].size);
    comms[made].other = sim_comm_make(comms[second].members, comms[second].size);
    comms[comms[made].other].other = made;
    return made;
}

MPI_Comm sim_comm_of_peers(MPI_Comm comm) {
    return comms[comm].other ? comms[comm].other : comm;
}

MPI_Comm sim_comm_shared(MPI_Comm comm) {
    return comms[comm].other && comms[comm].other < comm ? comms[comm].other : comm;
}

int sim_comm_members(MPI_Comm comm) {
    return sim_comm_size(comm) + (comms[comm].other ? sim_comm_size(comms[comm].other) : 0);
}

int sim_comm_member(MPI_Comm comm) {
    bool second = sim_comm_shared(comm) != comm;
    return sim_comm_rank(comm) + (second ? sim_comm_size(comms[comm].other) : 0);
}

int sim_comm_size(MPI_Comm comm) {
    return comms[comm].size ? comms[comm].size : 1;
}

int sim_world_rank(MPI_Comm comm, int rank) {
    return comms[comm].size ? comms[comm].members[rank] : me->rank;
}

int sim_comm_rank(MPI_Comm comm) {
    int i = 0;
    while (i < sim_comm_size(comm) && sim_world_rank(comm, i) != me->rank)
        i++;
    return i;
}

int PMPI_Comm_rank(MPI_Comm comm, int *rank) {
    *rank = sim_comm_rank(comm);
    return MPI_SUCCESS;
}

int PMPI_Comm_size(MPI_Comm comm, int *size) {
    *size = sim_comm_size(comm);
    return MPI_SUCCESS;
}

int PMPI_Comm_dup(MPI_Comm comm, MPI_Comm *made) {
    if (comms[comm].size == 0) {
        *made = sim_comm_make(NULL, 0);
        return MPI_SUCCESS;
    }
    /* The first member makes it, all use it. */
    int mine = 0;
    if (sim_comm_member(comm) == 0)
        mine = comms[comm].other ? make_inter(comm, comms[comm].other)
                                 : sim_comm_make(comms[comm].members, comms[comm].size);
    mine = *(const int *)sim_gather_all(comm, &mine, sizeof mine);
    *made = sim_comm_shared(comm) == comm ? mine : comms[mine].other;
    return MPI_SUCCESS;
}

int PMPI_Comm_split(MPI_Comm comm, int color, int key, MPI_Comm *made) {
    int mine[2] = {color, key}, members[SIM_RANKS], n = 0, first = -1;
    const int(*all)[2] = sim_gather_all(comm, mine, sizeof mine);
    for (int i = 0; i < sim_comm_size(comm); i++)
        if (all[i][0] == color) {
            first = first < 0 ? i : first;
            members[n++] = sim_world_rank(comm, i); /* keys go with the ranks here */
        }
    int handle = first == sim_comm_rank(comm) ? sim_comm_make(members, n) : 0;
    *made = ((const int *)sim_gather_all(comm, &handle, sizeof handle))[first];
    return MPI_SUCCESS;
}

/* One that is only for what these ranks do together. */
static MPI_Comm among(const int *members, int n) {
    for (MPI_Comm c = 0; c < comm_count; c++)
        if (comms[c].hidden && comms[c].size == n &&
            memcmp(comms[c].members, members, (size_t)n * sizeof *members) == 0)
            return c;
    MPI_Comm made = sim_comm_make(members, n);
    comms[made].hidden = true;
    return made;
}

int PMPI_Comm_create_group(MPI_Comm comm, MPI_Group group, int tag, MPI_Comm *made) {
    (void)comm;
    (void)tag;
    MPI_Comm here = among(group->members, group->size);
    int mine = sim_comm_rank(here) == 0 ? sim_comm_make(group->members, group->size) : 0;
    *made = *(const int *)sim_gather_all(here, &mine, sizeof mine);
    return MPI_SUCCESS;
}

/* The leaders meet, and tell the others. */
int PMPI_Intercomm_create(MPI_Comm local, int leader, MPI_Comm peer, int remote, int tag,
                          MPI_Comm *made) {
    int mine = 0;
    (void)tag;
    if (sim_comm_rank(local) == leader) {
        int leaders[2] = {me->rank, sim_world_rank(peer, remote)};
        bool first = leaders[0] < leaders[1];
        MPI_Comm here = among(first ? leaders : (int[]){leaders[1], leaders[0]}, 2);
        const int *locals = sim_gather_all(here, &local, sizeof local);
        mine = first ? make_inter(locals[0], locals[1]) : 0;
        mine = *(const int *)sim_gather_all(here, &mine, sizeof mine);
        mine = first ? mine : comms[mine].other;
    }
    *made = ((const int *)sim_gather_all(local, &mine, sizeof mine))[leader];
    return MPI_SUCCESS;
}

/* The first group comes first, whatever `high` says. */
int PMPI_Intercomm_merge(MPI_Comm inter, int high, MPI_Comm *made) {
    int mine = 0;
    (void)high;
    if (sim_comm_member(inter) == 0) {
        const communicator *a = &comms[inter], *b = &comms[a->other];
        int members[SIM_RANKS];
        memcpy(members, a->members, (size_t)a->size * sizeof *members);
        memcpy(members + a->size, b->members, (size_t)b->size * sizeof *members);
        mine = sim_comm_make(members, a->size + b->size);
    }
    *made = *(const int *)sim_gather_all(inter, &mine, sizeof mine);
    return MPI_SUCCESS;
}

int PMPI_Comm_free(MPI_Comm *comm) {
    sim_preempt();
    *comm = MPI_COMM_NULL;
    return MPI_SUCCESS;
}

int PMPI_Comm_test_inter(MPI_Comm comm, int *flag) {
    *flag = comms[comm].other != 0;
    return MPI_SUCCESS;
}

int PMPI_Comm_remote_size(MPI_Comm comm, int *size) {
    return PMPI_Comm_size(comms[comm].other, size);
}

int PMPI_Comm_set_errhandler(MPI_Comm comm, MPI_Errhandler handler) {
    (void)comm;
    (void)handler;
    return MPI_SUCCESS;
}

/* Errors are fatal: none is simulated. */
int PMPI_Comm_get_errhandler(MPI_Comm comm, MPI_Errhandler *handler) {
    (void)comm;
    *handler = MPI_ERRORS_ARE_FATAL;
    return MPI_SUCCESS;
}

int PMPI_Errhandler_free(MPI_Errhandler *handler) {
    *handler = 0;
    return MPI_SUCCESS;
}

int PMPI_Comm_call_errhandler(MPI_Comm comm, int code) {
    sim_problem("rank %d: error %d on communicator %d", me->rank, code, comm);
    return MPI_SUCCESS;
}

int PMPI_Comm_get_attr(MPI_Comm comm, int keyval, void *value, int *found) {
    static int bound = 32767;
    (void)comm;
    (void)keyval;
    *(int **)value = &bound;
    *found = 1;
    return MPI_SUCCESS;
}

/* No communicator has others. */
int PMPI_Comm_delete_attr(MPI_Comm comm, int keyval) {
    sim_problem("rank %d: communicator %d has no attribute %d", me->rank, comm, keyval);
    return MPI_SUCCESS;
}

/* No communicator has hints. */
int PMPI_Comm_get_info(MPI_Comm comm, MPI_Info *info) {
    (void)comm;
    *info = MPI_INFO_NULL;
    return MPI_ERR_NO_MEM;
}

int PMPI_Comm_set_info(MPI_Comm comm, MPI_Info info) {
    (void)comm;
    (void)info;
    return MPI_SUCCESS;
}

int PMPI_Info_get(MPI_Info info, const char *key, int length, char *value, int *found) {
    (void)info;
    (void)key;
    (void)length;
    (void)value;
    *found = 0;
    return MPI_SUCCESS;
}

int PMPI_Info_set(MPI_Info info, const char *key, const char *value) {
    (void)info;
    (void)key;
    (void)value;
    return MPI_SUCCESS;
}

int PMPI_Info_free(MPI_Info *info) {
    (void)info;
    return MPI_SUCCESS;
}

/* ---- groups ---- */

int PMPI_Comm_group(MPI_Comm comm, MPI_Group *group) {
    *group = sim_alloc(sizeof **group);
    (*group)->size = sim_comm_size(comm);
    for (int i = 0; i < (*group)->size; i++)
        (*group)->members[i] = sim_world_rank(comm, i);
    return MPI_SUCCESS;
}

int PMPI_Comm_remote_group(MPI_Comm comm, MPI_Group *group) {
    return PMPI_Comm_group(comms[comm].other, group);
}

int PMPI_Group_size(MPI_Group group, int *size) {
    *size = group->size;
    return MPI_SUCCESS;
}

int PMPI_Group_incl(MPI_Group group, int n, const int ranks[], MPI_Group *made) {
    *made = sim_alloc(sizeof **made);
    (*made)->size = n;
    for (int i = 0; i < n; i++)
        (*made)->members[i] = group->members[ranks[i]];
    return MPI_SUCCESS;
}

int PMPI_Group_free(MPI_Group *group) {
    *group = MPI_GROUP_EMPTY;
    return MPI_SUCCESS;
}

static int place_in(MPI_Group group, int world) {
    for (int i = 0; i < group->size; i++)
        if (group->members[i] == world)
            return i;
    return MPI_UNDEFINED;
}

int PMPI_Group_translate_ranks(MPI_Group from, int n, const int ranks[], MPI_Group to,
                               int translated[]) {
    for (int i = 0; i < n; i++)
        translated[i] = place_in(to, from->members[ranks[i]]);
    return MPI_SUCCESS;
}

int PMPI_Group_intersection(MPI_Group a, MPI_Group b, MPI_Group *made) {
    *made = sim_alloc(sizeof **made);
    for (int i = 0; i < a->size; i++)
        if (place_in(b, a->members[i]) != MPI_UNDEFINED)
            (*made)->members[(*made)->size++] = a->members[i];
    return MPI_SUCCESS;
}

int PMPI_Group_compare(MPI_Group a, MPI_Group b, int *result) {
    *result = a->size == b->size ? MPI_IDENT : MPI_UNEQUAL;
    for (int i = 0; i < a->size; i++)
        if (place_in(b, a->members[i]) == MPI_UNDEFINED)
            *result = MPI_UNEQUAL;
    return MPI_SUCCESS;
}

/* ---- datatypes ---- */

size_t sim_type_bytes(MPI_Datatype type) {
    return types[type];
}

int PMPI_Type_contiguous(int n, MPI_Datatype type, MPI_Datatype *made) {
    types[type_count] = (size_t)n * types[type];
    *made = type_count++;
    return MPI_SUCCESS;
}

int PMPI_Type_commit(MPI_Datatype *type) {
    (void)type;
    return MPI_SUCCESS;
}

int PMPI_Type_free(MPI_Datatype *type) {
    *type = MPI_DATATYPE_NULL;
    return MPI_SUCCESS;
}

int PMPI_Type_size_x(MPI_Datatype type, MPI_Count *bytes) {
    *bytes = (MPI_Count)types[type];
    return MPI_SUCCESS;
}

int PMPI_Type_get_extent_x(MPI_Datatype type, MPI_Count *lb, MPI_Count *extent) {
    *lb = 0;
    *extent = (MPI_Count)types[type];
    return MPI_SUCCESS;
}

int PMPI_Type_get_true_extent_x(MPI_Datatype type, MPI_Count *lb, MPI_Count *extent) {
    return PMPI_Type_get_extent_x(type, lb, extent);
}

int PMPI_Type_get_envelope(MPI_Datatype type, int *integers, int *addresses, int *parts,
                           int *combiner) {
    (void)type;
    *integers = *addresses = *parts = 0;
    *combiner = MPI_COMBINER_NAMED;
    return MPI_SUCCESS;
}

int PMPI_Type_get_extent(MPI_Datatype type, MPI_Aint *lb, MPI_Aint *extent) {
    *lb = 0;
    *extent = (MPI_Aint)types[type];
    return MPI_SUCCESS;
}

/* No message is that long here. */
int PMPI_Type_create_struct(int n, const int lengths[], const MPI_Aint places[],
                            const MPI_Datatype parts[], MPI_Datatype *made) {
    (void)n;
    (void)lengths;
    (void)places;
    *made = parts[0];
    sim_problem("rank %d makes a struct", me->rank);
    return MPI_SUCCESS;
}

int PMPI_Pack(const void *in, int n, MPI_Datatype type, void *out, int size, int *position,
              MPI_Comm comm) {
    (void)comm;
    size_t bytes = (size_t)n * types[type];
    if ((size_t)size < bytes)
        sim_problem("rank %d packs more than there is room for", me->rank);
    memcpy(out, in, bytes);
    *position = (int)bytes;
    return MPI_SUCCESS;
}

/* ---- statuses ---- */

int MPI_Test_cancelled(const MPI_Status *status, int *flag) {
    return PMPI_Test_cancelled(status, flag);
}

int PMPI_Test_cancelled(const MPI_Status *status, int *flag) {
    *flag = status->cancelled;
    return MPI_SUCCESS;
}

int PMPI_Get_elements_x(const MPI_Status *status, MPI_Datatype type, MPI_Count *count) {
    *count = status->bytes / (MPI_Count)types[type];
    return MPI_SUCCESS;
}

int PMPI_Get_count(const MPI_Status *status, MPI_Datatype type, int *count) {
    bool whole = status->bytes % (MPI_Count)types[type] == 0;
    *count = whole ? (int)(status->bytes / (MPI_Count)types[type]) : MPI_UNDEFINED;
    return MPI_SUCCESS;
}

int PMPI_Status_set_elements_x(MPI_Status *status, MPI_Datatype type, MPI_Count count) {
    status->bytes = count * (MPI_Count)types[type];
    return MPI_SUCCESS;
}

int PMPI_Status_set_elements(MPI_Status *status, MPI_Datatype type, int count) {
    return PMPI_Status_set_elements_x(status, type, count);
}

int PMPI_Status_set_cancelled(MPI_Status *status, int flag) {
    status->cancelled = flag;
    return MPI_SUCCESS;
}

/* ---- the library itself ---- */

int PMPI_Init(int *argc, char ***argv) {
    (void)argc;
    (void)argv;
    return MPI_SUCCESS;
}

int PMPI_Finalize(void) {
    return MPI_SUCCESS;
}

int PMPI_Abort(MPI_Comm comm, int code) {
    sim_problem("rank %d aborts the job on communicator %d with %d", me->rank, comm, code);
    for (;;)
        sim_yield();
}

int PMPI_Error_class(int code, int *class) {
    *class = code;
    return MPI_SUCCESS;
}

int PMPI_Get_library_version(char *version, int *length) {
    strcpy(version, "MPICH, as simulated");
    *length = (int)strlen(version);
    return MPI_SUCCESS;
}
