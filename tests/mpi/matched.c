/* SPDX-License-Identifier: BSD-3-Clause */
/* Matched probes: messages that are held before, in and after attempts, received out of order, too long for their receive, and held
 * at a safe point. */
#include "common.h"

#include <wavecut.h>

#include <string.h>

enum { SMALL = 8, TAG = 1 };

static char in[2][BIG], out[2][BIG];

static void send_two(int bytes, MPI_Request sends[2]) {
    for (int i = 0; i < 2; i++) {
        test_fill(out[i], BIG, test_seed(test.rank, i));
        if (test.round % 3 == i)
            MPI_Issend(out[i], bytes, MPI_BYTE, test.peer, TAG, MPI_COMM_WORLD, &sends[i]);
        else
            MPI_Isend(out[i], bytes, MPI_BYTE, test.peer, TAG, MPI_COMM_WORLD, &sends[i]);
    }
}

static void match(MPI_Message *message, MPI_Status *status) {
    int source = test.round % 2 ? MPI_ANY_SOURCE : test.peer;
    int tag = test.round % 3 ? TAG : MPI_ANY_TAG, flag = 0;
    if (test.round % 5 < 3)
        MPI_Mprobe(source, tag, MPI_COMM_WORLD, message, status);
    else
        while (!flag)
            MPI_Improbe(source, tag, MPI_COMM_WORLD, &flag, message, status);
}

static void receive(MPI_Message *message, char *buffer, MPI_Status *status) {
    MPI_Request request;
    if (test.round % 4 < 2) {
        MPI_Mrecv(buffer, BIG, MPI_BYTE, message, status);
    } else {
        MPI_Imrecv(buffer, BIG, MPI_BYTE, message, &request);
        test_ask();
        MPI_Wait(&request, status);
        CHECK(request == MPI_REQUEST_NULL);
    }
    CHECK(*message == MPI_MESSAGE_NULL);
}

static void check(const char *buffer, const MPI_Status *status, int bytes, int number) {
    CHECK(test_status_is(status, test.peer, TAG, bytes));
    CHECK(test_is_filled(buffer, (size_t)bytes, test_seed(test.peer, number)));
}

/* An attempt begins before the probe, or while the message is held. The second one is received first, at times. */
static void held(int round) {
    MPI_Message message;
    MPI_Request sends[2];
    MPI_Status status, told = {0}; /* MPICH 4.0 leaves a part of it alone */
    int bytes = round % 2 ? BIG : SMALL;
    bool last = round % 7 < 4;
    if (round % 4 == 0)
        test_ask();
    send_two(bytes, sends);
    match(&message, &told);
    CHECK(test_status_is(&told, test.peer, TAG, bytes));
    test_ask();
    for (int i = 0; i < round % 5; i++)
        test_idle();
    if (!last) {
        receive(&message, in[0], &status);
        check(in[0], &status, bytes, 0);
    }
    MPI_Recv(in[1], BIG, MPI_BYTE, test.peer, TAG, MPI_COMM_WORLD, &status);
    check(in[1], &status, bytes, 1);
    if (last) {
        receive(&message, in[0], &status);
        check(in[0], &status, bytes, 0);
    }
    MPI_Waitall(2, sends, MPI_STATUSES_IGNORE);
}

/* As mpi4py receives objects. In immediate programs a record may be taken inside the probe. */
static void probe_receive(int round) {
    MPI_Message message;
    MPI_Status status;
    MPI_Request send;
    int bytes = round % 2 ? BIG : SMALL;
    test_fill(out[0], BIG, test_seed(test.rank, 0));
    MPI_Isend(out[0], bytes, MPI_BYTE, test.peer, TAG, MPI_COMM_WORLD, &send);
    MPI_Mprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &message, &status);
    MPI_Mrecv(in[0], BIG, MPI_BYTE, &message, &status);
    check(in[0], &status, bytes, 0);
    MPI_Wait(&send, MPI_STATUS_IGNORE);
}

static void nobody(int round) {
    MPI_Message message;
    MPI_Status status;
    MPI_Request request;
    int flag = 0;
    if (round % 2)
        MPI_Mprobe(MPI_PROC_NULL, TAG, MPI_COMM_WORLD, &message, &status);
    else
        MPI_Improbe(MPI_PROC_NULL, TAG, MPI_COMM_WORLD, &flag, &message, &status);
    CHECK(message == MPI_MESSAGE_NO_PROC);
    if (round % 3)
        MPI_Mrecv(in[0], SMALL, MPI_BYTE, &message, &status);
    else
        MPI_Imrecv(in[0], SMALL, MPI_BYTE, &message, &request);
    if (round % 3 == 0)
        MPI_Wait(&request, &status);
    CHECK(message == MPI_MESSAGE_NULL);
}

/* What is too long for its receive, where errors return. */
static void too_long(int round) {
    static MPI_Comm comm;
    MPI_Message message;
    MPI_Status status = {0};
    MPI_Request send;
    int class = MPI_SUCCESS;
    if (round == 0)
        MPI_Comm_dup(MPI_COMM_WORLD, &comm);
    MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN);
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN); /* MPICH asks this one at times */
    test_fill(out[0], BIG, test_seed(test.rank, 0));
    test_ask();
    MPI_Isend(out[0], SMALL + 8, MPI_BYTE, test.peer, TAG, comm, &send);
    for (int i = 0; i < round % 5; i++)
        test_idle();
    MPI_Mprobe(test.peer, TAG, comm, &message, &status);
    CHECK(test_status_is(&status, test.peer, TAG, SMALL + 8));
    in[0][SMALL] = 77;
    MPI_Error_class(MPI_Mrecv(in[0], SMALL, MPI_BYTE, &message, &status), &class);
    CHECK_EQUAL(class, MPI_ERR_TRUNCATE);
    CHECK(in[0][SMALL] == 77);
    MPI_Wait(&send, MPI_STATUS_IGNORE);
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_ARE_FATAL);
}

/* Nothing can be recorded while a message is held, and the reason names the call. */
static void end(void) {
    MPI_Message message;
    MPI_Status status;
    MPI_Request send;
    test_fill(out[0], BIG, test_seed(test.rank, 0));
    MPI_Isend(out[0], SMALL, MPI_BYTE, test.peer, TAG, MPI_COMM_WORLD, &send);
    MPI_Mprobe(test.peer, TAG, MPI_COMM_WORLD, &message, &status);
    MPI_Wait(&send, MPI_STATUS_IGNORE);
    test_expect_void("MPI_Mprobe");
    MPI_Mrecv(in[0], SMALL, MPI_BYTE, &message, &status);
    check(in[0], &status, SMALL, 0);
}

static const test_case cases[] = {
    {"held", held, 400, 0, NULL},
    {"probe_receive", probe_receive, 400, 0, NULL},
    {"nobody", nobody, 100, 0, end},
    {"too_long", too_long, 200, 0, NULL}, /* last: errors that return take longer ways */
};

int main(int argc, char **argv) {
    return test_main(argc, argv, cases, sizeof cases / sizeof *cases);
}
