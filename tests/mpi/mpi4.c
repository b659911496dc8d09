/* SPDX-License-Identifier: BSD-3-Clause */
/* Calls that came with MPI 4.0: a send and a receive under one request, and counts of any size (those
 * above an int only with TESTS_FULL). */
#include "common.h"

#include <stdlib.h>
#include <unistd.h>

enum { WORDS = BIG / sizeof(int) };

static int in[WORDS], out[WORDS];

static void fill(int *words, int n, int sender) {
    test_fill(words, (size_t)n * sizeof *words, test_seed(sender, n));
}

static void check(const int *words, int n, const MPI_Status *status, int tag) {
    CHECK(test_status_is(status, test.peer, tag, n * (int)sizeof *words));
    CHECK(test_is_filled(words, (size_t)n * sizeof *words, test_seed(test.peer, n)));
}

/* Completes one request in this or that way. */
static void complete(MPI_Request *request, int way, MPI_Status *status) {
    MPI_Request both[2] = {MPI_REQUEST_NULL, *request};
    int flag = 0, index;
    switch (way % 4) {
    case 0:
        MPI_Wait(request, status);
        return;
    case 1:
        while (!flag)
            MPI_Test(request, &flag, status);
        return;
    case 2:
        MPI_Waitany(2, both, &index, status);
        CHECK_EQUAL(index, 1);
        break;
    default:
        MPI_Waitsome(2, both, &flag, &index, status);
        CHECK(flag == 1 && index == 1);
    }
    CHECK(both[1] == MPI_REQUEST_NULL);
    *request = MPI_REQUEST_NULL;
}

/* ---- a send and a receive under one request ---- */

/* Small ones and large ones; with wildcards; another message of that tag comes after it. */
static void isendrecv(int round) {
    MPI_Request request;
    MPI_Status status;
    int n = round % 3 == 0 ? WORDS : round % 50, late = -1, mine = round * 2 + test.rank;
    fill(out, n, test.rank);
    MPI_Isendrecv(out, n, MPI_INT, test.peer, 1, in, WORDS, MPI_INT,
                  round % 5 == 0 ? MPI_ANY_SOURCE : test.peer, round % 7 == 0 ? MPI_ANY_TAG : 1,
                  MPI_COMM_WORLD, &request);
    if (round % 2)
        test_ask();
    MPI_Send(&mine, 1, MPI_INT, test.peer, 1, MPI_COMM_WORLD);
    complete(&request, round, &status);
    check(in, n, &status, 1);
    MPI_Recv(&late, 1, MPI_INT, test.peer, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    CHECK_EQUAL(late, round * 2 + test.peer);
}

static void isendrecv_replace(int round) {
    MPI_Request request;
    MPI_Status status;
    MPI_Datatype pairs;
    int n = round % 3 == 0 ? WORDS / 2 : 2 + round % 50;
    MPI_Type_vector(n, 1, 2, MPI_INT, &pairs); /* every other word */
    MPI_Type_commit(&pairs);
    for (int i = 0; i < n; i++) {
        in[2 * i] = round + i + test.rank;
        in[2 * i + 1] = -1 - i;
    }
    MPI_Isendrecv_replace(in, 1, pairs, test.peer, 2, test.peer, 2, MPI_COMM_WORLD, &request);
    if (round % 2)
        test_ask();
    complete(&request, round, &status);
    MPI_Type_free(&pairs);
    CHECK(test_status_is(&status, test.peer, 2, n * (int)sizeof(int)));
    for (int i = 0; i < n; i++)
        CHECK(in[2 * i] == round + i + test.peer && in[2 * i + 1] == -1 - i);
}

/* One half of it goes to nobody. */
static void half(int round) {
    MPI_Request request;
    MPI_Status status;
    fill(out, 4, test.rank);
    bool sends = (round + test.rank) % 2;
    MPI_Isendrecv(out, 4, MPI_INT, sends ? test.peer : MPI_PROC_NULL, 3, in, 4, MPI_INT,
                  sends ? MPI_PROC_NULL : test.peer, 3, MPI_COMM_WORLD, &request);
    test_ask();
    complete(&request, round, &status);
    if (!sends) /* the status of one that receives from nobody is not what MPICH 4.0 gives */
        check(in, 4, &status, 3);
}

/* The request is freed: both go on. */
static void freed(int round) {
    MPI_Request request;
    int seen = 0;
    fill(out, 8, test.rank);
    in[7] = ~test_seed(test.peer, 8);
    MPI_Isendrecv(out, 8, MPI_INT, test.peer, 4, in, 8, MPI_INT, test.peer, 4, MPI_COMM_WORLD,
                  &request);
    MPI_Request_free(&request);
    test_ask();
    while (!seen) {
        test_idle();
        seen = test_is_filled(in, 8 * sizeof *in, test_seed(test.peer, 8));
    }
    (void)round;
    MPI_Barrier(MPI_COMM_WORLD);
}

/* ---- large counts ---- */

#if MPI_VERSION >= 4

/* More than an int counts. */
static void huge(void) {
    static unsigned char *buffer;
    const MPI_Count n = ((MPI_Count)1 << 31) + 77;
    MPI_Status status;
    MPI_Count got;
    buffer = buffer ? buffer : malloc((size_t)n);
    CHECK(buffer);
    if (test.rank == 0) {
        test_fill(buffer, (size_t)n, test_seed(0, 1));
        test_ask();
        MPI_Send_c(buffer, n, MPI_BYTE, 1, 7, MPI_COMM_WORLD);
    } else {
        test_ask();
        MPI_Recv_c(buffer, n, MPI_BYTE, 0, 7, MPI_COMM_WORLD, &status);
        MPI_Get_count_c(&status, MPI_BYTE, &got);
        CHECK_EQUAL(got, n);
        CHECK(test_is_filled(buffer, (size_t)n, test_seed(0, 1)));
    }
}

static void counts(int round) {
    MPI_Request requests[2];
    MPI_Status statuses[2];
    MPI_Count n = round % 3 == 0 ? WORDS : round % 50, got;
    if (round == 0 && getenv("TESTS_FULL"))
        huge();
    fill(out, (int)n, test.rank);
    MPI_Irecv_c(in, WORDS, MPI_INT, test.peer, 5, MPI_COMM_WORLD, &requests[0]);
    test_ask();
    switch (round % 4) {
    case 0:
        MPI_Isend_c(out, n, MPI_INT, test.peer, 5, MPI_COMM_WORLD, &requests[1]);
        break;
    case 1:
        MPI_Issend_c(out, n, MPI_INT, test.peer, 5, MPI_COMM_WORLD, &requests[1]);
        break;
    case 2:
        MPI_Send_c(out, n, MPI_INT, test.peer, 5, MPI_COMM_WORLD);
        requests[1] = MPI_REQUEST_NULL;
        break;
    default:
        MPI_Ssend_c(out, n, MPI_INT, test.peer, 5, MPI_COMM_WORLD);
        requests[1] = MPI_REQUEST_NULL;
    }
    MPI_Waitall(2, requests, statuses);
    MPI_Get_count_c(&statuses[0], MPI_INT, &got);
    CHECK_EQUAL(got, n);
    check(in, (int)n, &statuses[0], 5);
    MPI_Sendrecv_c(out, n, MPI_INT, test.peer, 6, in, WORDS, MPI_INT, test.peer, 6, MPI_COMM_WORLD,
                   &statuses[0]);
    check(in, (int)n, &statuses[0], 6);
}

static void collectives(int round) {
    MPI_Request request;
    int sum = 0, all[2] = {0, 0};
    MPI_Allreduce_c(&test.rank, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    CHECK_EQUAL(sum, 1);
    test_ask();
    if (round % 2)
        usleep(200 * (unsigned)test.rank);
    MPI_Iallgather_c(&round, 1, MPI_INT, all, 1, MPI_INT, MPI_COMM_WORLD, &request);
    MPI_Wait(&request, MPI_STATUS_IGNORE);
    CHECK(all[0] == round && all[1] == round);
}

#endif

/* ---- looks at several requests, MPI 4.1 ---- */

#if MPI_VERSION > 4 || (MPI_VERSION == 4 && MPI_SUBVERSION >= 1)

/* A small message and a large one, by turns awaited together, first come, or some. What has been looked at is not
 * completed by it. */
static void looks(int round) {
    MPI_Request requests[3] = {MPI_REQUEST_NULL, MPI_REQUEST_NULL, MPI_REQUEST_NULL}, send;
    MPI_Status statuses[3], status;
    int flag = 0, index = -1, indices[3], done = 0, small = -1, mine = 4 * round + test.rank;
    fill(out, WORDS, test.rank);
    MPI_Irecv(in, WORDS, MPI_INT, test.peer, 8, MPI_COMM_WORLD, &requests[1]);
    MPI_Irecv(&small, 1, MPI_INT, test.peer, 9, MPI_COMM_WORLD, &requests[2]);
    test_ask();
    MPI_Isend(out, WORDS, MPI_INT, test.peer, 8, MPI_COMM_WORLD, &send);
    MPI_Send(&mine, 1, MPI_INT, test.peer, 9, MPI_COMM_WORLD);
    if (round % 3 == 0) {
        while (!flag)
            MPI_Request_get_status_all(3, requests, &flag, statuses);
        check(in, WORDS, &statuses[1], 8);
        CHECK(test_status_is(&statuses[2], test.peer, 9, sizeof small));
    } else if (round % 3 == 1) {
        while (!flag)
            MPI_Request_get_status_any(3, requests, &index, &flag, &status);
        CHECK(index == 1 || index == 2);
        CHECK(test_status_is(&status, test.peer, 7 + index,
                             (int)(index == 1 ? sizeof in : sizeof small)));
    } else {
        while (done < 2)
            MPI_Request_get_status_some(3, requests, &done, indices, statuses);
        CHECK_EQUAL(indices[0] + indices[1], 3);
    }
    CHECK(requests[1] != MPI_REQUEST_NULL && requests[2] != MPI_REQUEST_NULL);
    MPI_Waitall(3, requests, statuses);
    check(in, WORDS, &statuses[1], 8);
    CHECK_EQUAL(small, 4 * round + test.peer);
    MPI_Request_get_status_any(3, requests, &index, &flag, &status);
    CHECK(flag && index == MPI_UNDEFINED);
    MPI_Wait(&send, MPI_STATUS_IGNORE);
}

#endif

static const test_case cases[] = {
    {"isendrecv", isendrecv, 2000, 0, NULL}, {"replace", isendrecv_replace, 1000, 0, NULL},
    {"half", half, 1000, 0, NULL},           {"freed", freed, 500, 0, NULL},
#if MPI_VERSION >= 4
    {"counts", counts, 1000, 0, NULL},       {"collectives", collectives, 1000, 0, NULL},
#endif
#if MPI_VERSION > 4 || (MPI_VERSION == 4 && MPI_SUBVERSION >= 1)
    {"looks", looks, 1000, 0, NULL},
#endif
};

int main(int argc, char **argv) {
    return test_main(argc, argv, cases, sizeof cases / sizeof *cases);
}
