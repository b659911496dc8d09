/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The part of MPI 3.1 that src/mpi needs, for the simulation: no MPI library is involved. What a
 * wrapper calls and nobody simulates stays undeclared work: the linker drops the wrapper
 * (-ffunction-sections, --gc-sections), or complains.
 */
#ifndef SIM_MPI_H
#define SIM_MPI_H

#include <stddef.h>
#include <stdint.h>

typedef struct sim_request *MPI_Request;
typedef struct sim_packet *MPI_Message;
typedef int MPI_Comm, MPI_Datatype, MPI_Info, MPI_Errhandler;
typedef struct sim_group *MPI_Group;
typedef struct sim_op *MPI_Op;
typedef intptr_t MPI_Aint;
typedef int64_t MPI_Count;

typedef struct MPI_Status {
    int MPI_SOURCE, MPI_TAG, MPI_ERROR;
    int cancelled;
    MPI_Count bytes;
} MPI_Status;

typedef void MPI_User_function(void *in, void *inout, int *n, MPI_Datatype *type);

enum {
    MPI_SUCCESS = 0,
    MPI_ERR_TRUNCATE = 15,
    MPI_ERR_IN_STATUS = 18,
    MPI_ERR_PENDING = 19,
    MPI_ERR_NO_MEM = 34,
    MPI_MAX_LIBRARY_VERSION_STRING = 64
};
enum { MPI_ANY_SOURCE = -2, MPI_ANY_TAG = -1, MPI_PROC_NULL = -3, MPI_UNDEFINED = -32766 };
enum { MPI_COMM_NULL = 0, MPI_COMM_WORLD = 1, MPI_COMM_SELF = 2 };
enum { MPI_DATATYPE_NULL, MPI_BYTE, MPI_PACKED, MPI_INT, MPI_INT64_T, MPI_UINT64_T };
enum { MPI_THREAD_SINGLE, MPI_THREAD_FUNNELED, MPI_THREAD_SERIALIZED, MPI_THREAD_MULTIPLE };
enum { MPI_IDENT, MPI_CONGRUENT, MPI_SIMILAR, MPI_UNEQUAL };
enum { MPI_COMBINER_NAMED, MPI_COMBINER_CONTIGUOUS, MPI_COMBINER_DUP };
enum { MPI_TAG_UB = 1, MPI_ERRORS_RETURN = 1, MPI_ERRORS_ARE_FATAL = 2, MPI_INFO_NULL = 0 };

#define MPI_REQUEST_NULL ((MPI_Request)0)
#define MPI_STATUS_IGNORE ((MPI_Status *)0)
#define MPI_STATUSES_IGNORE ((MPI_Status *)0)
#define MPI_GROUP_EMPTY ((MPI_Group)0)
#define MPI_GROUP_NULL ((MPI_Group)-1)
#define MPI_IN_PLACE ((void *)-1)

extern MPI_Op MPI_SUM, MPI_MAX;

/* Each call twice: the wrapper's name and MPI's own. */
#define SIM_CALL(name, ...)                                                                        \
    int MPI_##name(__VA_ARGS__);                                                                   \
    int PMPI_##name(__VA_ARGS__);

#define SIM_SEND const void *buf, int n, MPI_Datatype type, int to, int tag, MPI_Comm comm
#define SIM_RECV void *buf, int n, MPI_Datatype type, int from, int tag, MPI_Comm comm

SIM_CALL(Init, int *argc, char ***argv)
SIM_CALL(Init_thread, int *argc, char ***argv, int required, int *provided)
SIM_CALL(Finalize, void)
SIM_CALL(Abort, MPI_Comm comm, int code)
SIM_CALL(Error_class, int code, int *class)
SIM_CALL(Get_library_version, char *version, int *length)

SIM_CALL(Send, SIM_SEND)
SIM_CALL(Ssend, SIM_SEND)
SIM_CALL(Bsend, SIM_SEND)
SIM_CALL(Rsend, SIM_SEND)
SIM_CALL(Isend, SIM_SEND, MPI_Request *request)
SIM_CALL(Issend, SIM_SEND, MPI_Request *request)
SIM_CALL(Ibsend, SIM_SEND, MPI_Request *request)
SIM_CALL(Irsend, SIM_SEND, MPI_Request *request)
SIM_CALL(Send_init, SIM_SEND, MPI_Request *request)
SIM_CALL(Ssend_init, SIM_SEND, MPI_Request *request)
SIM_CALL(Bsend_init, SIM_SEND, MPI_Request *request)
SIM_CALL(Rsend_init, SIM_SEND, MPI_Request *request)
SIM_CALL(Buffer_detach, void *buffer, int *size)
SIM_CALL(Recv, SIM_RECV, MPI_Status *status)
SIM_CALL(Irecv, SIM_RECV, MPI_Request *request)
SIM_CALL(Recv_init, SIM_RECV, MPI_Request *request)
SIM_CALL(Start, MPI_Request *request)
SIM_CALL(Startall, int n, MPI_Request requests[])
SIM_CALL(Probe, int from, int tag, MPI_Comm comm, MPI_Status *status)
SIM_CALL(Iprobe, int from, int tag, MPI_Comm comm, int *flag, MPI_Status *status)
SIM_CALL(Mprobe, int from, int tag, MPI_Comm comm, MPI_Message *message, MPI_Status *status)
SIM_CALL(Improbe, int from, int tag, MPI_Comm comm, int *flag, MPI_Message *message,
         MPI_Status *status)
SIM_CALL(Mrecv, void *buf, int n, MPI_Datatype type, MPI_Message *message, MPI_Status *status)
SIM_CALL(Imrecv, void *buf, int n, MPI_Datatype type, MPI_Message *message, MPI_Request *request)
SIM_CALL(Sendrecv, const void *sendbuf, int sendcount, MPI_Datatype sendtype, int dest, int sendtag,
         void *recvbuf, int recvcount, MPI_Datatype recvtype, int source, int recvtag,
         MPI_Comm comm, MPI_Status *status)
SIM_CALL(Sendrecv_replace, void *buf, int count, MPI_Datatype type, int dest, int sendtag,
         int source, int recvtag, MPI_Comm comm, MPI_Status *status)

SIM_CALL(Wait, MPI_Request *request, MPI_Status *status)
SIM_CALL(Test, MPI_Request *request, int *flag, MPI_Status *status)
SIM_CALL(Waitall, int n, MPI_Request requests[], MPI_Status statuses[])
SIM_CALL(Testall, int n, MPI_Request requests[], int *flag, MPI_Status statuses[])
SIM_CALL(Waitany, int n, MPI_Request requests[], int *index, MPI_Status *status)
SIM_CALL(Testany, int n, MPI_Request requests[], int *index, int *flag, MPI_Status *status)
SIM_CALL(Waitsome, int n, MPI_Request requests[], int *done, int indices[], MPI_Status statuses[])
SIM_CALL(Testsome, int n, MPI_Request requests[], int *done, int indices[], MPI_Status statuses[])
SIM_CALL(Request_free, MPI_Request *request)
SIM_CALL(Request_get_status, MPI_Request request, int *flag, MPI_Status *status)
SIM_CALL(Cancel, MPI_Request *request)
SIM_CALL(Test_cancelled, const MPI_Status *status, int *flag)
SIM_CALL(Get_count, const MPI_Status *status, MPI_Datatype type, int *count)
SIM_CALL(Get_elements_x, const MPI_Status *status, MPI_Datatype type, MPI_Count *count)
SIM_CALL(Status_set_elements, MPI_Status *status, MPI_Datatype type, int count)
SIM_CALL(Status_set_elements_x, MPI_Status *status, MPI_Datatype type, MPI_Count count)
SIM_CALL(Status_set_cancelled, MPI_Status *status, int flag)

SIM_CALL(Comm_rank, MPI_Comm comm, int *rank)
SIM_CALL(Comm_size, MPI_Comm comm, int *size)
SIM_CALL(Comm_group, MPI_Comm comm, MPI_Group *group)
SIM_CALL(Comm_remote_size, MPI_Comm comm, int *size)
SIM_CALL(Comm_remote_group, MPI_Comm comm, MPI_Group *group)
SIM_CALL(Comm_create_group, MPI_Comm comm, MPI_Group group, int tag, MPI_Comm *made)
SIM_CALL(Intercomm_create, MPI_Comm local, int leader, MPI_Comm peer, int remote, int tag,
         MPI_Comm *made)
SIM_CALL(Intercomm_merge, MPI_Comm inter, int high, MPI_Comm *made)
SIM_CALL(Comm_test_inter, MPI_Comm comm, int *flag)
SIM_CALL(Comm_set_errhandler, MPI_Comm comm, MPI_Errhandler handler)
SIM_CALL(Comm_get_errhandler, MPI_Comm comm, MPI_Errhandler *handler)
SIM_CALL(Errhandler_free, MPI_Errhandler *handler)
SIM_CALL(Comm_call_errhandler, MPI_Comm comm, int code)
SIM_CALL(Comm_get_attr, MPI_Comm comm, int keyval, void *value, int *found)
SIM_CALL(Comm_set_attr, MPI_Comm comm, int keyval, void *value)
SIM_CALL(Comm_delete_attr, MPI_Comm comm, int keyval)
SIM_CALL(Comm_get_info, MPI_Comm comm, MPI_Info *info)
SIM_CALL(Comm_set_info, MPI_Comm comm, MPI_Info info)
SIM_CALL(Info_get, MPI_Info info, const char *key, int length, char *value, int *found)
SIM_CALL(Info_set, MPI_Info info, const char *key, const char *value)
SIM_CALL(Info_free, MPI_Info *info)
SIM_CALL(Comm_dup, MPI_Comm comm, MPI_Comm *made)
SIM_CALL(Comm_idup, MPI_Comm comm, MPI_Comm *newcomm, MPI_Request *request)
SIM_CALL(Comm_dup_with_info, MPI_Comm comm, MPI_Info info, MPI_Comm *made)
SIM_CALL(Comm_split, MPI_Comm comm, int color, int key, MPI_Comm *made)
SIM_CALL(Comm_split_type, MPI_Comm comm, int type, int key, MPI_Info info, MPI_Comm *made)
SIM_CALL(Comm_create, MPI_Comm comm, MPI_Group group, MPI_Comm *made)
SIM_CALL(Cart_create, MPI_Comm comm, int ndims, const int dims[], const int periods[], int reorder,
         MPI_Comm *made)
SIM_CALL(Cart_sub, MPI_Comm comm, const int remain[], MPI_Comm *made)
SIM_CALL(Graph_create, MPI_Comm comm, int n, const int index[], const int edges[], int reorder,
         MPI_Comm *made)
SIM_CALL(Dist_graph_create_adjacent, MPI_Comm comm, int indegree, const int sources[],
         const int source_weights[], int outdegree, const int destinations[], const int weights[],
         MPI_Info info, int reorder, MPI_Comm *made)
SIM_CALL(Dist_graph_create, MPI_Comm comm, int n, const int nodes[], const int degrees[],
         const int targets[], const int weights[], MPI_Info info, int reorder, MPI_Comm *made)
SIM_CALL(Comm_free, MPI_Comm *comm)
SIM_CALL(Comm_disconnect, MPI_Comm *comm)
SIM_CALL(Attr_get, MPI_Comm comm, int keyval, void *value, int *found)
SIM_CALL(Group_free, MPI_Group *group)
SIM_CALL(Group_size, MPI_Group group, int *size)
SIM_CALL(Group_incl, MPI_Group group, int n, const int ranks[], MPI_Group *made)
SIM_CALL(Group_translate_ranks, MPI_Group from, int n, const int ranks[], MPI_Group to,
         int translated[])
SIM_CALL(Group_intersection, MPI_Group a, MPI_Group b, MPI_Group *made)
SIM_CALL(Group_compare, MPI_Group a, MPI_Group b, int *result)

SIM_CALL(Type_size_x, MPI_Datatype type, MPI_Count *bytes)
SIM_CALL(Type_get_extent, MPI_Datatype type, MPI_Aint *lb, MPI_Aint *extent)
SIM_CALL(Type_get_extent_x, MPI_Datatype type, MPI_Count *lb, MPI_Count *extent)
SIM_CALL(Type_get_true_extent_x, MPI_Datatype type, MPI_Count *lb, MPI_Count *extent)
SIM_CALL(Type_get_envelope, MPI_Datatype type, int *integers, int *addresses, int *types,
         int *combiner)
SIM_CALL(Type_contiguous, int n, MPI_Datatype type, MPI_Datatype *made)
SIM_CALL(Type_create_struct, int n, const int lengths[], const MPI_Aint places[],
         const MPI_Datatype types[], MPI_Datatype *made)
SIM_CALL(Type_commit, MPI_Datatype *type)
SIM_CALL(Type_free, MPI_Datatype *type)
SIM_CALL(Pack, const void *in, int n, MPI_Datatype type, void *out, int size, int *position,
         MPI_Comm comm)
SIM_CALL(Pack_size, int n, MPI_Datatype type, MPI_Comm comm, int *bytes)
SIM_CALL(Op_create, MPI_User_function *function, int commutes, MPI_Op *op)
SIM_CALL(Op_free, MPI_Op *op)

/* Collectives, and their nonblocking forms. */
#define SIM_COLLECTIVE(name, iname, ...)                                                           \
    SIM_CALL(name, __VA_ARGS__)                                                                    \
    SIM_CALL(iname, __VA_ARGS__, MPI_Request *request)
#define SIM_FROM const void *from, int n, MPI_Datatype type
#define SIM_TO void *to, int m, MPI_Datatype totype
#define SIM_FROMS const void *from, const int ns[], const int places[], MPI_Datatype type
#define SIM_TOS void *to, const int ms[], const int toplaces[], MPI_Datatype totype
#define SIM_REDUCED const void *from, void *to, int n, MPI_Datatype type, MPI_Op op

SIM_COLLECTIVE(Barrier, Ibarrier, MPI_Comm comm)
SIM_COLLECTIVE(Bcast, Ibcast, void *buf, int n, MPI_Datatype type, int root, MPI_Comm comm)
SIM_COLLECTIVE(Gather, Igather, SIM_FROM, SIM_TO, int root, MPI_Comm comm)
SIM_COLLECTIVE(Gatherv, Igatherv, SIM_FROM, void *to, const int ms[], const int places[],
               MPI_Datatype totype, int root, MPI_Comm comm)
SIM_COLLECTIVE(Scatter, Iscatter, SIM_FROM, SIM_TO, int root, MPI_Comm comm)
SIM_COLLECTIVE(Scatterv, Iscatterv, SIM_FROMS, SIM_TO, int root, MPI_Comm comm)
SIM_COLLECTIVE(Allgather, Iallgather, SIM_FROM, SIM_TO, MPI_Comm comm)
SIM_COLLECTIVE(Allgatherv, Iallgatherv, SIM_FROM, void *to, const int ms[], const int places[],
               MPI_Datatype totype, MPI_Comm comm)
SIM_COLLECTIVE(Alltoall, Ialltoall, SIM_FROM, SIM_TO, MPI_Comm comm)
SIM_COLLECTIVE(Alltoallv, Ialltoallv, SIM_FROMS, SIM_TOS, MPI_Comm comm)
SIM_COLLECTIVE(Alltoallw, Ialltoallw, const void *from, const int ns[], const int places[],
               const MPI_Datatype types[], void *to, const int ms[], const int toplaces[],
               const MPI_Datatype totypes[], MPI_Comm comm)
SIM_COLLECTIVE(Reduce, Ireduce, SIM_REDUCED, int root, MPI_Comm comm)
SIM_COLLECTIVE(Allreduce, Iallreduce, SIM_REDUCED, MPI_Comm comm)
SIM_COLLECTIVE(Reduce_scatter, Ireduce_scatter, const void *from, void *to, const int ns[],
               MPI_Datatype type, MPI_Op op, MPI_Comm comm)
SIM_COLLECTIVE(Reduce_scatter_block, Ireduce_scatter_block, SIM_REDUCED, MPI_Comm comm)
SIM_COLLECTIVE(Scan, Iscan, SIM_REDUCED, MPI_Comm comm)
SIM_COLLECTIVE(Exscan, Iexscan, SIM_REDUCED, MPI_Comm comm)
SIM_COLLECTIVE(Neighbor_allgather, Ineighbor_allgather, SIM_FROM, SIM_TO, MPI_Comm comm)
SIM_COLLECTIVE(Neighbor_allgatherv, Ineighbor_allgatherv, SIM_FROM, void *to, const int ms[],
               const int places[], MPI_Datatype totype, MPI_Comm comm)
SIM_COLLECTIVE(Neighbor_alltoall, Ineighbor_alltoall, SIM_FROM, SIM_TO, MPI_Comm comm)
SIM_COLLECTIVE(Neighbor_alltoallv, Ineighbor_alltoallv, SIM_FROMS, SIM_TOS, MPI_Comm comm)
SIM_COLLECTIVE(Neighbor_alltoallw, Ineighbor_alltoallw, const void *from, const int ns[],
               const MPI_Aint places[], const MPI_Datatype types[], void *to, const int ms[],
               const MPI_Aint toplaces[], const MPI_Datatype totypes[], MPI_Comm comm)

#endif
