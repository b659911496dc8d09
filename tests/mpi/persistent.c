/* SPDX-License-Identifier: BSD-3-Clause */
/* Persistent requests: started before, in and after attempts, completed, freed and cancelled while active. What their completion
 * looks like among others is in completion.c. */
#include "common.h"

#include <string.h>

enum { SMALL = 8, LONGEST = 2, TAG = 1 };

static char in[LONGEST][BIG], out[LONGEST][BIG];

static int length(int round) {
    return round % 2 ? BIG : SMALL;
}

static void check_in(int i, const MPI_Status *status, int bytes, int number) {
    CHECK(test_status_is(status, test.peer, TAG + i, bytes));
    CHECK(test_is_filled(in[i], (size_t)bytes, test_seed(test.peer, number)));
}

/* ---- halo exchange ---- */

/* Made once; the sends of a round are at times started before the receives, and completed in the next one. */
static struct {
    MPI_Request receives[2], sends[2];
    bool made;
} halo;

static void make_halo(void) {
    for (int i = 0; i < 2; i++) {
        int bytes = i ? BIG : SMALL;
        MPI_Recv_init(in[i], BIG, MPI_BYTE, i ? MPI_ANY_SOURCE : test.peer, TAG + i, MPI_COMM_WORLD,
                      &halo.receives[i]);
        MPI_Send_init(out[i], bytes, MPI_BYTE, test.peer, TAG + i, MPI_COMM_WORLD, &halo.sends[i]);
    }
    halo.made = true;
}

static void exchange(int round) {
    MPI_Status statuses[2];
    bool early = round % 3 == 0;
    if (!halo.made)
        make_halo();
    for (int i = 0; i < 2; i++)
        test_fill(out[i], BIG, test_seed(test.rank, i));
    if (early)
        MPI_Startall(2, halo.sends);
    test_ask();
    MPI_Startall(2, halo.receives);
    test_ask();
    if (round % 4 == 0)
        test_idle();
    if (!early)
        MPI_Startall(2, halo.sends);
    MPI_Waitall(2, halo.receives, statuses);
    for (int i = 0; i < 2; i++)
        check_in(i, &statuses[i], i ? BIG : SMALL, i);
    MPI_Waitall(2, halo.sends, statuses);
}

static void end_exchange(void) {
    if (test.kind != TEST_PLAIN)
        test_expect_snapshot(); /* they are inactive */
    for (int i = 0; i < 2; i++) {
        MPI_Request_free(&halo.receives[i]);
        MPI_Request_free(&halo.sends[i]);
    }
    halo.made = false;
}

/* ---- in the order of starting ---- */

/* A persistent receive stands among others as if it was posted where it is started, on whichever way. */
static void order(int round) {
    static char first[SMALL], second[SMALL], third[SMALL];
    MPI_Request requests[3], sends[3];
    MPI_Status statuses[3];
    MPI_Recv_init(second, SMALL, MPI_BYTE, test.peer, TAG, MPI_COMM_WORLD, &requests[1]);
    MPI_Irecv(first, SMALL, MPI_BYTE, test.peer, TAG, MPI_COMM_WORLD, &requests[0]);
    if (round % 3 == 0)
        test_ask();
    MPI_Start(&requests[1]);
    if (round % 3 == 1)
        test_ask();
    MPI_Irecv(third, SMALL, MPI_BYTE, round % 2 ? test.peer : MPI_ANY_SOURCE, TAG, MPI_COMM_WORLD,
              &requests[2]);
    test_ask();
    for (int i = 0; i < 3; i++) {
        test_fill(out[0] + i * SMALL, SMALL, test_seed(test.rank, i));
        MPI_Isend(out[0] + i * SMALL, SMALL, MPI_BYTE, test.peer, TAG, MPI_COMM_WORLD, &sends[i]);
        if (round % 4 == i)
            test_idle();
    }
    MPI_Waitall(3, requests, statuses);
    CHECK(test_is_filled(first, SMALL, test_seed(test.peer, 0)));
    CHECK(test_is_filled(second, SMALL, test_seed(test.peer, 1)));
    CHECK(test_is_filled(third, SMALL, test_seed(test.peer, 2)));
    MPI_Waitall(3, sends, statuses);
    MPI_Request_free(&requests[1]);
}

/* ---- freed and cancelled ---- */

/* What is freed while it is active comes to its end all the same. */
static void freed(int round) {
    static volatile char late[BIG];
    int bytes = length(round);
    MPI_Request receive, send, other;
    test_fill(out[0], BIG, test_seed(test.rank, 0));
    late[bytes - 1] = (char)(out[0][bytes - 1] + 100); /* the other's differs by less */
    char old = late[bytes - 1];
    MPI_Recv_init((char *)late, bytes, MPI_BYTE, test.peer, TAG, MPI_COMM_WORLD, &receive);
    MPI_Send_init(out[0], SMALL, MPI_BYTE, test.peer, TAG + 1, MPI_COMM_WORLD, &send);
    MPI_Ssend_init(out[0], SMALL, MPI_BYTE, test.peer, TAG + 1, MPI_COMM_WORLD, &other);
    MPI_Start(&receive);
    if (round % 3)
        test_ask();
    MPI_Request_free(&receive);
    CHECK(receive == MPI_REQUEST_NULL);
    test_ask();
    MPI_Start(&send);
    MPI_Request_free(&send);
    MPI_Request_free(&other); /* never started */
    CHECK(send == MPI_REQUEST_NULL && other == MPI_REQUEST_NULL);
    MPI_Send(out[0], bytes, MPI_BYTE, test.peer, TAG, MPI_COMM_WORLD);
    MPI_Recv(in[0], SMALL, MPI_BYTE, test.peer, TAG + 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    CHECK(test_is_filled(in[0], SMALL, test_seed(test.peer, 0)));
    while (late[bytes - 1] == old)
        test_idle();
    while (!test_is_filled((char *)late, (size_t)bytes, test_seed(test.peer, 0)))
        test_idle();
    MPI_Barrier(MPI_COMM_WORLD); /* `out` may be filled again */
}

/* Nothing is sent to it before it is cancelled; after that it is started again. */
static void cancelled(int round) {
    MPI_Request receive, send;
    MPI_Status status;
    int bytes = length(round), flag = 0;
    test_fill(out[0], BIG, test_seed(test.rank, 0));
    MPI_Recv_init(in[0], BIG, MPI_BYTE, round % 3 ? test.peer : MPI_ANY_SOURCE, TAG, MPI_COMM_WORLD,
                  &receive);
    MPI_Start(&receive);
    test_ask();
    for (int i = 0; i < round % 4; i++)
        test_idle();
    MPI_Cancel(&receive);
    if (round % 5 == 0)
        for (; !flag; MPI_Test(&receive, &flag, &status))
            test_idle();
    else
        MPI_Wait(&receive, &status);
    CHECK(receive != MPI_REQUEST_NULL && test_is_cancelled(&status));
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_Start(&receive);
    test_ask();
    MPI_Isend(out[0], bytes, MPI_BYTE, test.peer, TAG, MPI_COMM_WORLD, &send);
    for (flag = 0; !flag && round % 2;)
        MPI_Request_get_status(receive, &flag, &status);
    MPI_Wait(&receive, &status);
    check_in(0, &status, bytes, 0);
    MPI_Wait(&send, MPI_STATUS_IGNORE);
    MPI_Request_free(&receive);
}

/* ---- what they need stays ---- */

/* The datatype of a receive, which the program has let go of before it is started; every other element is received. */
static void type_freed(int round) {
    MPI_Datatype type;
    MPI_Request receive, send;
    MPI_Status status;
    int count = length(round) / 2;
    MPI_Type_vector(count, 1, 2, MPI_BYTE, &type);
    MPI_Type_commit(&type);
    memset(in[0], 0, BIG);
    test_fill(out[0], BIG, test_seed(test.rank, 0));
    MPI_Recv_init(in[0], 1, type, test.peer, TAG, MPI_COMM_WORLD, &receive);
    MPI_Type_free(&type);
    test_ask();
    MPI_Start(&receive);
    test_ask();
    MPI_Isend(out[0], count, MPI_BYTE, test.peer, TAG, MPI_COMM_WORLD, &send);
    MPI_Wait(&receive, &status);
    MPI_Wait(&send, MPI_STATUS_IGNORE);
    test_fill(out[1], (size_t)count, test_seed(test.peer, 0));
    for (int i = 0; i < count; i++)
        CHECK(in[0][2 * i] == out[1][i] && in[0][2 * i + 1] == 0);
    MPI_Request_free(&receive);
}

/* ---- where errors return ---- */

/* A message that is too long: the receive is over, with the error, and can be started again. */
static void errors(int round) {
    static MPI_Comm comm;
    MPI_Request requests[2], send, long_send, first;
    MPI_Status statuses[2];
    if (round == 0)
        MPI_Comm_dup(MPI_COMM_WORLD, &comm);
    MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN);
    MPI_Comm_set_errhandler(MPI_COMM_WORLD,
                            MPI_ERRORS_RETURN); /* MPICH asks this one for Waitall */
    MPI_Recv_init(in[0], SMALL, MPI_BYTE, test.peer, TAG, comm, &requests[0]);
    MPI_Recv_init(in[1], SMALL, MPI_BYTE, test.peer, TAG + 1, comm, &requests[1]);
    MPI_Startall(2, requests);
    test_ask();
    test_fill(out[0], BIG, test_seed(test.rank, 0));
    MPI_Isend(out[0], SMALL + 8, MPI_BYTE, test.peer, TAG, comm, &long_send);
    MPI_Isend(out[0], SMALL, MPI_BYTE, test.peer, TAG + 1, comm, &send);
    first = requests[0];
    if (round % 2) {
        CHECK(MPI_Wait(&requests[0], &statuses[0]) != MPI_SUCCESS);
        MPI_Wait(&requests[1], &statuses[1]);
    } else if (MPI_Waitall(2, requests, round % 4 ? statuses : MPI_STATUSES_IGNORE) !=
               MPI_SUCCESS) {
        MPI_Wait(&requests[1], MPI_STATUS_IGNORE); /* it may be pending */
    } else {
        CHECK(false);
    }
    CHECK(requests[0] == first && test_is_filled(in[1], SMALL, test_seed(test.peer, 0)));
    MPI_Wait(&long_send, MPI_STATUS_IGNORE);
    MPI_Wait(&send, MPI_STATUS_IGNORE);
    MPI_Start(&requests[0]);
    test_ask();
    MPI_Isend(out[0], SMALL, MPI_BYTE, test.peer, TAG, comm, &send);
    CHECK(MPI_Wait(&requests[0], &statuses[0]) == MPI_SUCCESS);
    check_in(0, &statuses[0], SMALL, 0);
    MPI_Wait(&send, MPI_STATUS_IGNORE);
    for (int i = 0; i < 2; i++)
        MPI_Request_free(&requests[i]);
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_ARE_FATAL);
}

static const test_case cases[] = {
    {"exchange", exchange, 400, 0, end_exchange},
    {"order", order, 400, 0, NULL},
    {"freed", freed, 200, 0, NULL},
    {"cancelled", cancelled, 200, 0, NULL},
    {"type_freed", type_freed, 200, 0, NULL},
    {"errors", errors, 200, 0, NULL}, /* last: errors that return take longer ways */
};

int main(int argc, char **argv) {
    return test_main(argc, argv, cases, sizeof cases / sizeof *cases);
}
