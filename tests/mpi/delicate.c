/* SPDX-License-Identifier: BSD-3-Clause */
/* Programs that MPI allows, and that a library between them and MPI breaks easily. Two ranks or more, in pairs. */
#include "common.h"

#include <unistd.h>

static char in[2 * BIG], out[2 * BIG];

static void check_big(const MPI_Status *status, int tag, int number) {
    CHECK(test_status_is(status, test.peer, tag, BIG));
    CHECK(test_is_filled(in, BIG, test_seed(test.peer, number)));
}

/* Two ranks send large messages to each other's posted receives. */
static void crossing(int round) {
    MPI_Request request;
    MPI_Status status;
    test_fill(out, BIG, test_seed(test.rank, 0));
    MPI_Irecv(in, BIG, MPI_BYTE, test.peer, 1, MPI_COMM_WORLD, &request);
    test_ask();
    for (int i = 0; i < round % 4; i++)
        test_idle();
    MPI_Send(out, BIG, MPI_BYTE, test.peer, 1, MPI_COMM_WORLD);
    MPI_Wait(&request, &status);
    check_big(&status, 1, 0);
}

/* Irecv(large), Barrier, Wait against Send(large), Barrier. */
static void barrier(int round) {
    MPI_Request request;
    MPI_Status status;
    if ((test.rank + round) % 2) {
        test_fill(out, BIG, test_seed(test.rank, 0));
        test_ask();
        MPI_Send(out, BIG, MPI_BYTE, test.peer, 1, MPI_COMM_WORLD);
        MPI_Barrier(MPI_COMM_WORLD);
        return;
    }
    MPI_Irecv(in, BIG, MPI_BYTE, test.peer, 1, MPI_COMM_WORLD, &request);
    test_ask();
    test_idle();
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_Wait(&request, &status);
    check_big(&status, 1, 0);
}

/* ---- the order of matching ---- */

enum { SMALL = 8 };

/* Receives for tag 5, for tag 6, and for any tag, in this order; 5 before 5 whatever comes between. */
static const int orders[][3] = {{5, 6, 5}, {5, 5, 6}, {6, 5, 5}};

static void send_in_order(const int tags[3]) {
    int fives = 0;
    for (int i = 0; i < 3; i++) {
        int bytes = tags[i] == 6 ? BIG : SMALL, number = tags[i] == 6 ? 6 : fives++;
        test_fill(out, (size_t)bytes, test_seed(test.rank, number));
        MPI_Send(out, bytes, MPI_BYTE, test.peer, tags[i], MPI_COMM_WORLD);
        if (test.round % 2)
            test_idle();
    }
}

static void receive_in_order(int round) {
    static char first[SMALL], large[BIG], any[BIG];
    int wild = round % 4 < 2 ? test.peer : MPI_ANY_SOURCE;
    MPI_Request requests[3];
    MPI_Status statuses[3];
    MPI_Irecv(first, SMALL, MPI_BYTE, wild, 5, MPI_COMM_WORLD, &requests[0]);
    test_ask();
    MPI_Irecv(large, BIG, MPI_BYTE, test.peer, 6, MPI_COMM_WORLD, &requests[1]);
    MPI_Irecv(any, BIG, MPI_BYTE, wild, MPI_ANY_TAG, MPI_COMM_WORLD, &requests[2]);
    /* The sender begins when all are posted, sometimes. */
    if (round % 3)
        MPI_Send(NULL, 0, MPI_BYTE, test.peer, 4, MPI_COMM_WORLD);
    test_ask();
    if (round % 5 == 0)
        for (int i = 2; i >= 0; i--)
            MPI_Wait(&requests[i], &statuses[i]);
    else
        MPI_Waitall(3, requests, statuses);
    CHECK(test_status_is(&statuses[0], test.peer, 5, SMALL));
    CHECK(test_status_is(&statuses[1], test.peer, 6, BIG));
    CHECK(test_status_is(&statuses[2], test.peer, 5, SMALL));
    CHECK(test_is_filled(first, SMALL, test_seed(test.peer, 0)));
    CHECK(test_is_filled(large, BIG, test_seed(test.peer, 6)));
    CHECK(test_is_filled(any, SMALL, test_seed(test.peer, 1)));
}

/* Where the receives may come after the messages, the one for any tag must still find the second 5: only then it is what
 * is left. */
static void order(int round) {
    const int *tags = orders[round / 2 % 3];
    if ((test.rank + round) % 2) {
        if (round % 3)
            MPI_Recv(NULL, 0, MPI_BYTE, test.peer, 4, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        send_in_order(tags);
    } else {
        receive_in_order(round);
    }
}

/* ---- a communicator that is freed while its messages are under way ---- */

static void freed(int round) {
    MPI_Comm comm;
    MPI_Request requests[4];
    MPI_Status statuses[4];
    bool large = round % 2;
    int bytes = large ? BIG : SMALL;
    if (round % 3)
        MPI_Comm_dup(MPI_COMM_WORLD, &comm);
    else
        MPI_Comm_split(MPI_COMM_WORLD, 0, test.rank, &comm);
    test_fill(out, BIG, test_seed(test.rank, 0));
    MPI_Irecv(in, bytes, MPI_BYTE, test.peer, 1, comm, &requests[0]);
    MPI_Irecv(in + BIG, bytes, MPI_BYTE, test.peer, MPI_ANY_TAG, comm, &requests[1]);
    if (round % 4 < 2)
        test_ask();
    MPI_Isend(out, bytes, MPI_BYTE, test.peer, 1, comm, &requests[2]);
    /* One frees it while the other still sends on it. */
    if (test.rank % 2)
        for (int i = 0; i < round % 7 * 10; i++)
            test_idle();
    MPI_Isend(out, bytes, MPI_BYTE, test.peer, 2, comm, &requests[3]);
    MPI_Comm_free(&comm);
    CHECK(comm == MPI_COMM_NULL);
    test_ask();
    test_idle();
    MPI_Waitall(4, requests, statuses);
    CHECK(test_status_is(&statuses[0], test.peer, 1, bytes));
    CHECK(test_status_is(&statuses[1], test.peer, 2, bytes));
    CHECK(test_is_filled(in, (size_t)bytes, test_seed(test.peer, 0)));
    CHECK(test_is_filled(in + BIG, (size_t)bytes, test_seed(test.peer, 0)));
}

/* As many communicators as an MPI library has are used up quickly if freed ones stay. */
static void many_freed(int round) {
    enum { EACH = 40 };
    (void)round;
    for (int i = 0; i < EACH; i++) {
        MPI_Comm comm;
        char byte = 0, got = 1;
        MPI_Comm_dup(MPI_COMM_WORLD, &comm);
        MPI_Sendrecv(&byte, 1, MPI_BYTE, test.peer, 1, &got, 1, MPI_BYTE, test.peer, 1, comm,
                     MPI_STATUS_IGNORE);
        CHECK_EQUAL(got, 0);
        MPI_Comm_free(&comm);
    }
}

/* ---- Test in a loop for a message that is held ---- */

/* Rank 0 records, and sends after it; rank 1 tests for that message and can't record, while another channel (to itself)
 * makes progress all the time. */
static void held(int round) {
    int flag = 0, data = round, got = -1, loops = 0;
    if (test.rank == 0)
        for (int i = 0; i < 20; i++) {
            test_safepoint();
            test_ask();
            test_idle();
        }
    if (test.rank == 0)
        MPI_Send(&data, 1, MPI_INT, 1, 1, MPI_COMM_WORLD);
    if (test.rank != 1)
        return;
    MPI_Request request;
    MPI_Irecv(&got, 1, MPI_INT, 0, 1, MPI_COMM_WORLD, &request);
    while (!flag) {
        int echo = -1;
        MPI_Request send;
        MPI_Isend(&loops, 1, MPI_INT, 1, 2, MPI_COMM_WORLD, &send);
        MPI_Recv(&echo, 1, MPI_INT, 1, 2, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        MPI_Wait(&send, MPI_STATUS_IGNORE);
        CHECK_EQUAL(echo, loops++);
        MPI_Test(&request, &flag, MPI_STATUS_IGNORE);
    }
    CHECK_EQUAL(got, round);
}

static void wait_for_quiet(void) {
    while (test_in_progress()) {
        test_safepoint();
        test_idle();
    }
}

/* With safe points until it is there. */
static void receive_serving(int source, int *got) {
    for (int flag = 0; !flag; test_safepoint())
        MPI_Iprobe(source, 1, MPI_COMM_WORLD, &flag, MPI_STATUS_IGNORE);
    MPI_Recv(got, 1, MPI_INT, source, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
}

/* A record inside a blocking receive is only right directly after the safe point. Here a collective comes between, on the
 * way that calls take while no attempt is under way; a restart would repeat it on rank 1 alone. */
static void not_inside(int round) {
    int data = round, got = -1;
    if (test.rank == 0) {
        wait_for_quiet();
        MPI_Send(&data, 1, MPI_INT, 1, 1, MPI_COMM_WORLD);
        receive_serving(1, &got); /* rank 1 may have asked for one more attempt */
    }
    if (test.rank == 1) {
        receive_serving(0, &got);
        wait_for_quiet();
        MPI_Send(&data, 1, MPI_INT, 0, 1, MPI_COMM_WORLD);
        test_safepoint();
    }
    double record = test_last_record();
    MPI_Barrier(MPI_COMM_WORLD);
    if (test.rank == 1) {
        MPI_Recv(&got, 1, MPI_INT, 0, 2, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        CHECK_EQUAL(got, round);
        CHECK(test_last_record() == record);
    }
    for (int i = 0; i < 100 && test.rank == 0; i++) {
        test_safepoint();
        test_ask();
        test_idle();
        usleep(100); /* rank 1 must have heard of it */
    }
    if (test.rank == 0)
        MPI_Send(&data, 1, MPI_INT, 1, 2, MPI_COMM_WORLD);
}

#ifdef OPEN_MPI
enum { MAY_REFUSE = 1 };
#else
enum { MAY_REFUSE = 0 }; /* MPICH 4.0 forgets an attribute whose function has said no */
#endif

/* What the application wants to be done with an attribute is done in MPI_Comm_free, and may refuse it.
 * The keyval may be freed before the communicators that have the attribute, and those that don't. */
static struct {
    int keyval, deleted;
    bool refuses;
} attribute;

static int delete_attribute(MPI_Comm comm, int keyval, void *value, void *state) {
    (void)comm;
    CHECK_EQUAL(keyval, attribute.keyval);
    CHECK(value == &attribute && state == &test);
    if (attribute.refuses)
        return MPI_ERR_OTHER;
    attribute.deleted++;
    return MPI_SUCCESS;
}

static void attributes(int round) {
    MPI_Comm comm, copy, without;
    MPI_Comm_create_keyval(MPI_COMM_DUP_FN, delete_attribute, &attribute.keyval, &test);
    MPI_Comm_dup(MPI_COMM_WORLD, &without);
    MPI_Comm_dup(MPI_COMM_WORLD, &comm);
    MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN);
    MPI_Comm_set_attr(comm, attribute.keyval, &attribute);
    MPI_Comm_dup(comm, &copy);
    attribute.refuses = MAY_REFUSE && round % 3 == 0;
    if (attribute.refuses)
        CHECK(MPI_Comm_free(&comm) != MPI_SUCCESS);
    CHECK(comm != MPI_COMM_NULL);
    attribute.refuses = false;
    attribute.deleted = 0;
    MPI_Sendrecv_replace(&round, 1, MPI_INT, test.peer, 1, test.peer, 1, comm, MPI_STATUS_IGNORE);
    CHECK_EQUAL(round, test.round);
    CHECK(MPI_Comm_free(&comm) == MPI_SUCCESS && comm == MPI_COMM_NULL);
    CHECK_EQUAL(attribute.deleted, 1);
    int handle = attribute.keyval;
    MPI_Comm_free_keyval(&handle);
    CHECK(MPI_Comm_free(&copy) == MPI_SUCCESS);
    CHECK_EQUAL(attribute.deleted, 2);
    MPI_Comm_free(&without);
}

static const test_case cases[] = {
    {"crossing", crossing, 200, 0, NULL},
    {"barrier", barrier, 200, 0, NULL},
    {"order", order, 600, 0, NULL},
    {"freed", freed, 300, 0, NULL},
    {"many_freed", many_freed, 60, 0, NULL},
    {"held", held, 300, TEST_IMMEDIATE_ONLY, NULL},
    {"not_inside", not_inside, 10, TEST_IMMEDIATE_ONLY | TEST_ASKS_ITSELF, NULL},
    {"attributes", attributes, 100, 0, NULL}, /* last: errors that return take longer ways */
};

int main(int argc, char **argv) {
    return test_main(argc, argv, cases, sizeof cases / sizeof *cases);
}
