/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Calls that are rare or can't be snapshotted: they do what MPI does while attempts are under way; after one that can't be, a
 * snapshot that is asked for is void and says which call it was. After neighbourhood collectives and MPI-IO there are
 * snapshots as before: no request is left, and files are not part of it. Only the first use of such a call meets an attempt that goes on, so each case has
 * a run of its own: unsupported KIND 0 CASE
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

/* ---- cases ---- */

/* Both ranks send to each other; on the second start the messages are there before the receive. */
static void persistent(void) {
    MPI_Request both[2];
    MPI_Status statuses[2];
    int mine, got = -1, index;
    begin_attempt();
    for (int early = 0; early < 2; early++) {
        mine = 10 * early + test.rank;
        if (early) {
            MPI_Send(&mine, 1, MPI_INT, test.peer, 1, MPI_COMM_WORLD);
            for (int i = 0; i < 100; i++) {
                test_idle();
                usleep(100);
            }
        }
        if (early == 0)
            MPI_Recv_init(&got, 1, MPI_INT, test.peer, 1, MPI_COMM_WORLD, &both[0]);
        MPI_Start(&both[0]);
        if (early == 0) {
            MPI_Send_init(&mine, 1, MPI_INT, test.peer, 1, MPI_COMM_WORLD, &both[1]);
            MPI_Start(&both[1]);
            MPI_Waitall(2, both, statuses);
        } else { /* the send is inactive: it is nothing to wait for */
            MPI_Waitany(2, both, &index, &statuses[0]);
            CHECK_EQUAL(index, 0);
        }
        CHECK(both[0] != MPI_REQUEST_NULL && both[1] != MPI_REQUEST_NULL);
        CHECK(test_status_is(&statuses[0], test.peer, 1, sizeof(int)));
        CHECK_EQUAL(got, 10 * early + test.peer);
    }
    MPI_Waitany(2, both, &index, &statuses[0]);
    CHECK_EQUAL(index, MPI_UNDEFINED);
    MPI_Request_free(&both[0]);
    MPI_Request_free(&both[1]);
}

/* A persistent receive that is made before any attempt, and is active when one begins. */
static void persistent_active(void) {
    MPI_Request receive;
    MPI_Status status;
    int mine = test.rank, got = -1;
    MPI_Recv_init(&got, 1, MPI_INT, test.peer, 1, MPI_COMM_WORLD, &receive);
    for (int i = 0; i < 20; i++) {
        MPI_Start(&receive);
        begin_attempt();
        MPI_Send(&mine, 1, MPI_INT, test.peer, 1, MPI_COMM_WORLD);
        MPI_Wait(&receive, &status);
        CHECK(test_status_is(&status, test.peer, 1, sizeof(int)));
        CHECK_EQUAL(got, test.peer + 2 * i);
        mine += 2;
    }
    MPI_Request_free(&receive);
}

static void matched(void) {
    MPI_Message message;
    MPI_Status status = {0};
    MPI_Request sends[2], receive;
    int flag = 0;
    test_fill(out, BIG, 5u + (unsigned)test.rank);
    begin_attempt();
    MPI_Isend(out, BIG, MPI_BYTE, test.peer, 1, MPI_COMM_WORLD, &sends[0]);
    MPI_Isend(out, 8, MPI_BYTE, test.peer, 2, MPI_COMM_WORLD, &sends[1]);
    for (int i = 0; i < 100; i++)
        test_idle();
    MPI_Mprobe(MPI_ANY_SOURCE, 1, MPI_COMM_WORLD, &message, &status);
    CHECK(test_status_is(&status, test.peer, 1, BIG));
    MPI_Mrecv(in, BIG, MPI_BYTE, &message, &status);
    CHECK(test_status_is(&status, test.peer, 1, BIG));
    CHECK(test_is_filled(in, BIG, 5u + (unsigned)test.peer));
    while (!flag)
        MPI_Improbe(test.peer, MPI_ANY_TAG, MPI_COMM_WORLD, &flag, &message, &status);
    CHECK(test_status_is(&status, test.peer, 2, 8));
    MPI_Imrecv(in, 8, MPI_BYTE, &message, &receive);
    MPI_Wait(&receive, &status);
    CHECK(test_status_is(&status, test.peer, 2, 8));
    MPI_Wait(&sends[0], MPI_STATUS_IGNORE);
    MPI_Wait(&sends[1], MPI_STATUS_IGNORE);
    MPI_Mprobe(MPI_PROC_NULL, 1, MPI_COMM_WORLD, &message, &status);
    CHECK(message == MPI_MESSAGE_NO_PROC);
}

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

static MPI_File open_file(char *path) {
    MPI_File file;
    int pid = (int)getpid();
    MPI_Bcast(&pid, 1, MPI_INT, 0, MPI_COMM_WORLD);
    sprintf(path, "unsupported-%d", pid);
    AROUND(MPI_File_open(MPI_COMM_WORLD, path,
                         MPI_MODE_CREATE | MPI_MODE_RDWR | MPI_MODE_DELETE_ON_CLOSE, MPI_INFO_NULL,
                         &file));
    return file;
}

static void file_collective(void) {
    char path[64];
    int mine = test.rank + 3, got = -1, at = test.rank * (int)sizeof mine,
        other = test.peer * (int)sizeof mine;
    MPI_File file = open_file(path);
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
    MPI_File file = open_file(path);
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

static void idup(void) {
    MPI_Comm copy;
    MPI_Request made;
    int got = -1;
    before();
    MPI_Comm_idup(MPI_COMM_WORLD, &copy, &made);
    MPI_Wait(&made, MPI_STATUS_IGNORE);
    after();
    MPI_Sendrecv(&test.rank, 1, MPI_INT, test.peer, 1, &got, 1, MPI_INT, test.peer, 1, copy,
                 MPI_STATUS_IGNORE);
    CHECK_EQUAL(got, test.peer);
    MPI_Comm_free(&copy);
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

static const struct {
    const char *name;
    void (*run)(void);
    const char *reason; /* NULL: snapshots are still possible */
} cases[] = {
    {"persistent", persistent, "MPI_Recv_init"},
    {"persistent_active", persistent_active, "MPI_Recv_init"},
    {"matched", matched, "MPI_Mprobe"},
    {"window", window, "MPI_Win_create"},
    {"neighbours", neighbours, NULL},
    {"file_collective", file_collective, NULL},
    {"file_nonblocking", file_nonblocking, NULL},
    {"intercomm", intercomm, "MPI_Intercomm_create"},
    {"idup", idup, "MPI_Comm_idup"},
    {"create_group", create_group, "MPI_Comm_create_group"},
};

/* The next attempts, which no case disturbs any more. */
static void check_reason(const char *reason) {
    wavecut_info info;
    unsigned long long attempts = test_attempts();
    for (int enough = 0; !enough;) {
        test_safepoint();
        test_ask();
        test_idle();
        enough = test_attempts() > attempts + 3;
        MPI_Allreduce(MPI_IN_PLACE, &enough, 1, MPI_INT, MPI_LAND, MPI_COMM_WORLD);
    }
    wavecut_status_get(&info);
    if (reason && !strstr(info.last_reason, reason))
        test_fail(__FILE__, __LINE__, "void because of \"%s\", expected %s", info.last_reason,
                  reason);
}

int main(int argc, char **argv) {
    bool found = false;
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
        if (test.kind != TEST_PLAIN)
            check_reason(cases[i].reason);
    }
    CHECK(found);
    test_end();
    return 0;
}
