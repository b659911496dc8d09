/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Calls that are rare or can't be snapshotted: they do what MPI does while attempts are under way. While what they have made exists,
 * or after them, a snapshot that is asked for is void and says which call it was; where src/mpi/CALLS.md says so, there are
 * snapshots afterwards as before. Only the first use of such a call meets an attempt that goes on, so each case has a run of its
 * own: unsupported KIND 0 CASE
 *
 * Each call that blocks in MPI is entered by rank 1 with a receive outstanding for a large message that rank 0 sends before
 * it comes to the call: a receive that the library has taken back must be MPI's again.
 */
#include "common.h"

#include <wavecut.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { HANGS_S = 20, TAG = 20 };

static char in[BIG], out[BIG];
static MPI_Request request = MPI_REQUEST_NULL;
static int number;

/* ---- the large message around a call ---- */

/* In an attempt, if one can be begun. */
static void begin_attempt(void) {
    for (int i = 0; i < 50 && !test_in_progress(); i++) {
        test_ask();
        test_idle();
    }
}

static void before(void) {
    number++;
    if (test.rank == 0) {
        test_fill(out, BIG, (unsigned)number);
        begin_attempt();
        MPI_Send(out, BIG, MPI_BYTE, 1, TAG, MPI_COMM_WORLD);
        return;
    }
    MPI_Irecv(in, BIG, MPI_BYTE, 0, TAG, MPI_COMM_WORLD, &request);
    begin_attempt();
}

static void after(void) {
    MPI_Status status;
    if (test.rank == 0)
        return;
    MPI_Wait(&request, &status);
    CHECK(test_status_is(&status, 0, TAG, BIG));
    CHECK(test_is_filled(in, BIG, (unsigned)number));
}

#define AROUND(call)                                                                               \
    do {                                                                                           \
        before();                                                                                  \
        CHECK_EQUAL(call, MPI_SUCCESS);                                                            \
        after();                                                                                   \
    } while (0)

/* ---- snapshots ---- */

/* ---- cases ---- */

static void window(void) {
    static volatile int value = -1;
    int mine = 7 + test.rank;
    MPI_Win win;
    AROUND(MPI_Win_create((void *)&value, sizeof value, sizeof value, MPI_INFO_NULL, MPI_COMM_WORLD,
                          &win));
    AROUND(MPI_Win_fence(0, win));
    MPI_Put(&mine, 1, MPI_INT, test.peer, 0, 1, MPI_INT, win);
    AROUND(MPI_Win_fence(0, win));
    CHECK_EQUAL(value, 7 + test.peer);
    test_expect_void("MPI_Win_create");
    AROUND(MPI_Win_free(&win));
}

/* Two at a time, and requests of their own. Of pages: MPICH 4.0 puts less in the wrong place. */
static void windows(void) {
    enum { PAGE = 4096 };
    int *mine, *shared, value = 3 + test.rank, got = -1;
    MPI_Win win, other;
    MPI_Request rma;
    AROUND(MPI_Win_allocate(PAGE, sizeof *mine, MPI_INFO_NULL, MPI_COMM_WORLD, &mine, &win));
    AROUND(MPI_Win_allocate_shared(PAGE, sizeof *shared, MPI_INFO_NULL, MPI_COMM_WORLD, &shared,
                                   &other));
    test_expect_void("MPI_Win_allocate_shared");
    AROUND(MPI_Win_free(&other));
    AROUND(MPI_Win_lock_all(0, win));
    MPI_Rput(&value, 1, MPI_INT, test.peer, 0, 1, MPI_INT, win, &rma);
    MPI_Wait(&rma, MPI_STATUS_IGNORE);
    AROUND(MPI_Win_flush_all(win));
    AROUND(MPI_Barrier(MPI_COMM_WORLD));
    MPI_Rget(&got, 1, MPI_INT, test.rank, 0, 1, MPI_INT, win, &rma);
    MPI_Wait(&rma, MPI_STATUS_IGNORE);
    CHECK_EQUAL(got, 3 + test.peer);
    AROUND(MPI_Win_unlock_all(win));
    test_expect_void("MPI_Win_allocate");
    AROUND(MPI_Win_free(&win));
}

static void neighbours(void) {
    int dims = 2, periods = 1, rank = test.rank, to[2] = {-1, -1};
    MPI_Comm ring;
    MPI_Request all;
    AROUND(MPI_Cart_create(MPI_COMM_WORLD, 1, &dims, &periods, 0, &ring));
    AROUND(MPI_Neighbor_allgather(&rank, 1, MPI_INT, to, 1, MPI_INT, ring));
    CHECK(to[0] == test.peer && to[1] == test.peer);
    before();
    MPI_Ineighbor_allgather(&rank, 1, MPI_INT, to, 1, MPI_INT, ring, &all);
    MPI_Wait(&all, MPI_STATUS_IGNORE);
    after();
    CHECK(to[0] == test.peer && to[1] == test.peer);
    MPI_Comm_free(&ring);
}

static MPI_File open_file(MPI_Comm comm, char *path) {
    MPI_File file;
    int pid = (int)getpid();
    MPI_Bcast(&pid, 1, MPI_INT, 0, MPI_COMM_WORLD);
    sprintf(path, "unsupported-%d", pid);
    AROUND(MPI_File_open(comm, path, MPI_MODE_CREATE | MPI_MODE_RDWR | MPI_MODE_DELETE_ON_CLOSE,
                         MPI_INFO_NULL, &file));
    return file;
}

static void file_collective(void) {
    char path[64];
    int mine = test.rank + 3, got = -1, at = test.rank * (int)sizeof mine,
        other = test.peer * (int)sizeof mine;
    MPI_File file = open_file(MPI_COMM_WORLD, path);
    AROUND(MPI_File_write_at_all(file, at, &mine, 1, MPI_INT, MPI_STATUS_IGNORE));
    AROUND(MPI_File_sync(file));
    AROUND(MPI_Barrier(MPI_COMM_WORLD));
    AROUND(MPI_File_read_at_all(file, other, &got, 1, MPI_INT, MPI_STATUS_IGNORE));
    CHECK_EQUAL(got, test.peer + 3);
    AROUND(MPI_File_set_size(file, 100));
    AROUND(MPI_File_close(&file));
}

static void file_nonblocking(void) {
    char path[64];
    int mine = test.rank + 3, got = -1, at = test.rank * (int)sizeof mine,
        other = test.peer * (int)sizeof mine;
    MPI_Request write;
    MPI_Status status;
    MPI_File file = open_file(MPI_COMM_WORLD, path);
    before();
    MPI_File_iwrite_at(file, at, &mine, 1, MPI_INT, &write);
    MPI_Wait(&write, &status);
    after();
    AROUND(MPI_File_sync(file));
    AROUND(MPI_Barrier(MPI_COMM_WORLD));
    MPI_File_iread_at(file, other, &got, 1, MPI_INT, &write);
    MPI_Waitall(1, &write, &status);
    CHECK_EQUAL(got, test.peer + 3);
    AROUND(MPI_File_close(&file));
}

/* The communicator that it was opened on is freed before it is closed. */
static void file_split(void) {
    char path[64];
    int mine = test.rank + 3, got = -1, at = test.rank * (int)sizeof mine,
        other = test.peer * (int)sizeof mine;
    MPI_Comm copy;
    AROUND(MPI_Comm_dup(MPI_COMM_WORLD, &copy));
    MPI_File file = open_file(copy, path);
    AROUND(MPI_Comm_free(&copy));
    test_safepoint();
    AROUND(MPI_File_write_at_all_begin(file, at, &mine, 1, MPI_INT));
    test_expect_void("MPI_File_write_at_all_begin");
    AROUND(MPI_File_write_at_all_end(file, &mine, MPI_STATUS_IGNORE));
    if (test.kind != TEST_PLAIN)
        test_expect_snapshot();
    AROUND(MPI_File_sync(file));
    AROUND(MPI_Barrier(MPI_COMM_WORLD));
    AROUND(MPI_File_read_at_all_begin(file, other, &got, 1, MPI_INT));
    AROUND(MPI_File_read_at_all_end(file, &got, MPI_STATUS_IGNORE));
    CHECK_EQUAL(got, test.peer + 3);
    AROUND(MPI_File_close(&file));
}

static int queried, released, cancelled;

static int query(void *state, MPI_Status *status) {
    queried++;
    MPI_Status_set_elements(status, MPI_BYTE, *(int *)state);
    MPI_Status_set_cancelled(status, cancelled > 0);
    status->MPI_SOURCE = MPI_UNDEFINED;
    status->MPI_TAG = MPI_UNDEFINED;
    return MPI_SUCCESS;
}

static int release(void *state) {
    released += *(int *)state == 5;
    return MPI_SUCCESS;
}

static int cancel(void *state, int complete) {
    cancelled += *(int *)state == 5 && !complete;
    return MPI_SUCCESS;
}

static void generalized(void) {
    MPI_Request own, second;
    MPI_Status status;
    int state = 5, count, flag;
    begin_attempt();
    MPI_Grequest_start(query, release, cancel, &state, &own);
    test_expect_void("MPI_Grequest_start");
    MPI_Test(&own, &flag, &status);
    CHECK(!flag && !released);
    MPI_Grequest_complete(own);
    MPI_Wait(&own, &status);
    MPI_Get_count(&status, MPI_BYTE, &count);
    CHECK(count == 5 && queried > 0 && released == 1 && own == MPI_REQUEST_NULL);
    if (test.kind != TEST_PLAIN)
        test_expect_snapshot();
    MPI_Grequest_start(query, release, cancel, &state, &second);
    MPI_Cancel(&second); /* of no send */
    CHECK_EQUAL(cancelled, 1);
    MPI_Grequest_complete(second);
    MPI_Wait(&second, &status);
    MPI_Test_cancelled(&status, &flag);
    CHECK(flag && released == 2);
}

static void intercomm(void) {
    MPI_Comm half, inter, merged;
    int got = -1, size;
    MPI_Status status;
    AROUND(MPI_Comm_split(MPI_COMM_WORLD, test.rank, 0, &half));
    AROUND(MPI_Intercomm_create(half, 0, MPI_COMM_WORLD, test.peer, 3, &inter));
    MPI_Sendrecv(&test.rank, 1, MPI_INT, 0, 1, &got, 1, MPI_INT, 0, 1, inter, &status);
    CHECK_EQUAL(got, test.peer);
    AROUND(MPI_Barrier(inter));
    AROUND(MPI_Intercomm_merge(inter, test.rank, &merged));
    MPI_Comm_size(merged, &size);
    CHECK_EQUAL(size, 2);
    MPI_Comm_free(&merged);
    MPI_Comm_free(&inter);
    MPI_Comm_free(&half);
}

static void look_around(void) {
    for (int i = 0, flag; i < 200; i++) {
        MPI_Iprobe(test.peer, TAG + 1, MPI_COMM_WORLD, &flag, MPI_STATUS_IGNORE);
        usleep(100);
    }
}

/* Rank 0 has a copy that is not there yet: the attempt must not touch it. Both MPIs let it have an error
 * handler before that, and mpi4py gives it one. */
static void idup(void) {
    MPI_Comm copy;
    MPI_Request made;
    int got = -1;
    before();
    if (test.rank == 1)
        look_around();
    MPI_Comm_idup(MPI_COMM_WORLD, &copy, &made);
    MPI_Comm_set_errhandler(copy, MPI_ERRORS_ARE_FATAL);
    if (test.rank == 0)
        look_around();
    MPI_Wait(&made, MPI_STATUS_IGNORE);
    after();
    MPI_Sendrecv(&test.rank, 1, MPI_INT, test.peer, 1, &got, 1, MPI_INT, test.peer, 1, copy,
                 MPI_STATUS_IGNORE);
    CHECK_EQUAL(got, test.peer);
    MPI_Comm_free(&copy);
}

static void cancel_send(void) {
    MPI_Request sent;
    MPI_Status status;
    int got = -1, taken_back;
    before();
    MPI_Isend(&test.rank, 1, MPI_INT, test.peer, 1, MPI_COMM_WORLD, &sent);
    MPI_Cancel(&sent);
    MPI_Wait(&sent, &status);
    MPI_Test_cancelled(&status, &taken_back);
    CHECK_EQUAL(taken_back, 0); /* neither MPI takes back what has left */
    after();
    MPI_Recv(&got, 1, MPI_INT, test.peer, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    CHECK_EQUAL(got, test.peer);
}

static void create_group(void) {
    MPI_Comm copy;
    MPI_Group world;
    int got = -1;
    MPI_Comm_group(MPI_COMM_WORLD, &world);
    AROUND(MPI_Comm_create_group(MPI_COMM_WORLD, world, 4, &copy));
    MPI_Sendrecv(&test.rank, 1, MPI_INT, test.peer, 1, &got, 1, MPI_INT, test.peer, 1, copy,
                 MPI_STATUS_IGNORE);
    CHECK_EQUAL(got, test.peer);
    MPI_Comm_free(&copy);
    MPI_Group_free(&world);
}

/* ---- processes ---- */

/* Rank 1 connects to rank 0: each sees the other as a process that it did not know. */
static void connect_ranks(void) {
    char port[MPI_MAX_PORT_NAME];
    MPI_Comm other;
    int got = -1, size;
    begin_attempt();
    if (test.rank == 0) {
        MPI_Open_port(MPI_INFO_NULL, port);
        MPI_Send(port, MPI_MAX_PORT_NAME, MPI_CHAR, 1, 1, MPI_COMM_WORLD);
        MPI_Comm_accept(port, MPI_INFO_NULL, 0, MPI_COMM_SELF, &other);
        MPI_Close_port(port);
    } else {
        MPI_Recv(port, MPI_MAX_PORT_NAME, MPI_CHAR, 0, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        MPI_Comm_connect(port, MPI_INFO_NULL, 0, MPI_COMM_SELF, &other);
    }
    MPI_Comm_remote_size(other, &size);
    CHECK_EQUAL(size, 1);
    MPI_Sendrecv(&test.rank, 1, MPI_INT, 0, 2, &got, 1, MPI_INT, 0, 2, other, MPI_STATUS_IGNORE);
    CHECK_EQUAL(got, test.peer);
    MPI_Comm_disconnect(&other);
}

static void spawned(MPI_Comm parents) {
    int word;
    MPI_Bcast(&word, 1, MPI_INT, 0, parents);
    MPI_Send(&word, 1, MPI_INT, 1, 3, parents);
    MPI_Comm_disconnect(&parents);
    MPI_Finalize();
}

static char *program;

static void spawn(void) {
    MPI_Comm children;
    int word = 17, got = -1, error = -1;
    AROUND(MPI_Comm_spawn(program, MPI_ARGV_NULL, 1, MPI_INFO_NULL, 0, MPI_COMM_WORLD, &children,
                          &error));
    CHECK_EQUAL(error, MPI_SUCCESS);
    AROUND(MPI_Bcast(&word, 1, MPI_INT, test.rank == 0 ? MPI_ROOT : MPI_PROC_NULL, children));
    if (test.rank == 1) {
        MPI_Recv(&got, 1, MPI_INT, 0, 3, children, MPI_STATUS_IGNORE);
        CHECK_EQUAL(got, 17);
    }
    test_expect_void("MPI_Comm_spawn");
    MPI_Comm_disconnect(
        &children); /* Open MPI waits here for the other ranks without looking for messages */
}

#if MPI_VERSION >= 4

static void partitioned(void) {
    MPI_Request send, receive;
    int mine[4], got[4] = {-1, -1, -1, -1}, arrived = 0;
    begin_attempt();
    for (int i = 0; i < 4; i++)
        mine[i] = 10 * test.rank + i;
    MPI_Psend_init(mine, 2, 2, MPI_INT, test.peer, 1, MPI_COMM_WORLD, MPI_INFO_NULL, &send);
    MPI_Precv_init(got, 2, 2, MPI_INT, test.peer, 1, MPI_COMM_WORLD, MPI_INFO_NULL, &receive);
    for (int round = 0; round < 3; round++) {
        MPI_Start(&receive);
        MPI_Start(&send);
        MPI_Pready(1, send);
        MPI_Pready(0, send);
        while (!arrived)
            MPI_Parrived(receive, 1, &arrived);
        MPI_Wait(&send, MPI_STATUS_IGNORE);
        MPI_Wait(&receive, MPI_STATUS_IGNORE);
        for (int i = 0; i < 4; i++)
            CHECK_EQUAL(got[i], 10 * test.peer + i);
    }
    MPI_Request_free(&send);
    MPI_Request_free(&receive);
}

static void persistent_collective(void) {
    MPI_Request reduction;
    int sum = -1;
    begin_attempt();
    MPI_Allreduce_init(&test.rank, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD, MPI_INFO_NULL,
                       &reduction);
    for (int round = 0; round < 3; round++) {
        sum = -1;
        MPI_Start(&reduction);
        MPI_Wait(&reduction, MPI_STATUS_IGNORE);
        CHECK_EQUAL(sum, 1);
    }
    MPI_Request_free(&reduction);
}

/* A session by itself is nothing to a snapshot. */
static void session(void) {
    MPI_Session own;
    MPI_Group world;
    MPI_Comm comm;
    int sum = -1;
    MPI_Session_init(MPI_INFO_NULL, MPI_ERRORS_ARE_FATAL, &own);
    if (test.kind != TEST_PLAIN)
        test_expect_snapshot();
    MPI_Group_from_session_pset(own, "mpi://WORLD", &world);
    AROUND(
        MPI_Comm_create_from_group(world, "wavecut", MPI_INFO_NULL, MPI_ERRORS_ARE_FATAL, &comm));
    MPI_Allreduce(&test.rank, &sum, 1, MPI_INT, MPI_SUM, comm);
    CHECK_EQUAL(sum, 1);
    MPI_Group_free(&world);
    MPI_Comm_free(&comm);
    MPI_Session_finalize(&own);
}

#endif

static const struct {
    const char *name;
    void (*run)(void);
    const char *after; /* the call that snapshots are void after; NULL: there are some again */
} cases[] = {
    {"window", window, NULL},
    {"windows", windows, NULL},
    {"neighbours", neighbours, NULL},
    {"file_collective", file_collective, NULL},
    {"file_nonblocking", file_nonblocking, NULL},
    {"file_split", file_split, NULL},
    {"generalized", generalized, NULL},
    {"connect", connect_ranks, "MPI_Comm_"},
    {"spawn", spawn, NULL},
#if MPI_VERSION >= 4
    {"partitioned", partitioned, "MPI_Psend_init"},
    {"persistent_collective", persistent_collective, "MPI_Allreduce_init"},
    {"session", session, "MPI_Comm_create_from_group"},
#endif
    {"intercomm", intercomm, NULL},
    {"idup", idup, NULL},
    {"cancel_send", cancel_send, NULL},
    {"create_group", create_group, NULL},
};

int main(int argc, char **argv) {
    bool found = false;
    MPI_Comm parents = MPI_COMM_NULL;
    program = argv[0];
    if (argc == 1) { /* has been spawned */
        MPI_Init(&argc, &argv);
        MPI_Comm_get_parent(&parents);
        spawned(parents);
        return 0;
    }
    test_begin(&argc, &argv);
    CHECK(argc == 4);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (strcmp(argv[3], cases[i].name) != 0)
            continue;
        found = true;
        test.name = cases[i].name;
        alarm(HANGS_S);
        test_safepoint();
        cases[i].run();
        if (cases[i].after)
            test_expect_void(cases[i].after);
        else if (test.kind != TEST_PLAIN)
            test_expect_snapshot();
    }
    CHECK(found);
    test_end();
    return 0;
}
