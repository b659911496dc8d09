/* SPDX-License-Identifier: BSD-3-Clause */
/* The Wait and Test family with requests of all kinds; requests that are freed, cancelled, or only looked at. */
#include "common.h"

enum {
    SMALL = 8,
    NOTHING,
    IN_SMALL,
    OUT_SMALL,
    IN_BIG,
    OUT_BIG,
    IN_NULL,
    OUT_NULL,
    IN_ANY,
    OUT_ANY,
    GATHER,
    KINDS
};

static char in[KINDS][BIG], out[BIG];
static int gathered[2], mine;
static MPI_Comm wild; /* for the receive that takes whatever comes */

/* The same, some of them persistent; that of NOTHING is never started. */
static MPI_Request kept[KINDS];

static void make_kept(void) {
    MPI_Comm world = MPI_COMM_WORLD;
    int other = test.peer;
    MPI_Recv_init(in[NOTHING], SMALL, MPI_BYTE, other, 1, world, &kept[NOTHING]);
    MPI_Recv_init(in[IN_ANY], BIG, MPI_BYTE, MPI_ANY_SOURCE, MPI_ANY_TAG, wild, &kept[IN_ANY]);
    MPI_Recv_init(in[IN_SMALL], SMALL, MPI_BYTE, other, 1, world, &kept[IN_SMALL]);
#ifdef OPEN_MPI /* MPICH 4.0 takes active ones of MPI_PROC_NULL for inactive */
    MPI_Recv_init(in[IN_NULL], SMALL, MPI_BYTE, MPI_PROC_NULL, 1, world, &kept[IN_NULL]);
    MPI_Send_init(out, SMALL, MPI_BYTE, MPI_PROC_NULL, 1, world, &kept[OUT_NULL]);
#endif
    MPI_Send_init(out, BIG, MPI_BYTE, other, 2, world, &kept[OUT_BIG]);
    MPI_Recv_init(in[IN_BIG], BIG, MPI_BYTE, other, 2, world, &kept[IN_BIG]);
    MPI_Ssend_init(out, SMALL, MPI_BYTE, other, 1, world, &kept[OUT_SMALL]);
}

static void start_kept(MPI_Request requests[KINDS]) {
    bool other_way = test.round % 5 == 0; /* a plain one among them */
    for (int i = 0; i < KINDS; i++)
        requests[i] = kept[i];
    MPI_Start(&requests[IN_ANY]);
    MPI_Startall(2, &requests[IN_SMALL]);
    test_ask();
    if (test.round % 3)
        test_idle();
    if (other_way)
        MPI_Irecv(in[IN_BIG], BIG, MPI_BYTE, test.peer, 2, MPI_COMM_WORLD, &requests[IN_BIG]);
    else
        MPI_Start(&requests[IN_BIG]);
    MPI_Startall(1, &requests[OUT_BIG]);
    if (kept[IN_NULL] != MPI_REQUEST_NULL) {
        MPI_Startall(2, &requests[IN_NULL]);
    } else {
        MPI_Irecv(in[IN_NULL], SMALL, MPI_BYTE, MPI_PROC_NULL, 1, MPI_COMM_WORLD,
                  &requests[IN_NULL]);
        MPI_Isend(out, SMALL, MPI_BYTE, MPI_PROC_NULL, 1, MPI_COMM_WORLD, &requests[OUT_NULL]);
    }
    MPI_Iallgather(&mine, 1, MPI_INT, gathered, 1, MPI_INT, MPI_COMM_WORLD, &requests[GATHER]);
    MPI_Isend(out, test.round % 2 ? BIG : SMALL, MPI_BYTE, test.peer, 9, wild, &requests[OUT_ANY]);
    test_ask();
}

static void start(MPI_Request requests[KINDS]) {
    MPI_Comm world = MPI_COMM_WORLD;
    int other = test.peer;
    for (int i = 0; i < KINDS; i++)
        requests[i] = MPI_REQUEST_NULL;
    MPI_Irecv(in[IN_ANY], BIG, MPI_BYTE, MPI_ANY_SOURCE, MPI_ANY_TAG, wild, &requests[IN_ANY]);
    MPI_Irecv(in[IN_SMALL], SMALL, MPI_BYTE, other, 1, world, &requests[IN_SMALL]);
    MPI_Irecv(in[IN_NULL], SMALL, MPI_BYTE, MPI_PROC_NULL, 1, world, &requests[IN_NULL]);
    test_ask();
    MPI_Isend(out, SMALL, MPI_BYTE, MPI_PROC_NULL, 1, world, &requests[OUT_NULL]);
    MPI_Isend(out, BIG, MPI_BYTE, other, 2, world, &requests[OUT_BIG]);
    MPI_Irecv(in[IN_BIG], BIG, MPI_BYTE, other, 2, world, &requests[IN_BIG]);
    if (test.round % 3 == 0)
        test_idle();
    MPI_Iallgather(&mine, 1, MPI_INT, gathered, 1, MPI_INT, world, &requests[GATHER]);
    MPI_Isend(out, SMALL, MPI_BYTE, other, 1, world, &requests[OUT_SMALL]);
    MPI_Isend(out, test.round % 2 ? BIG : SMALL, MPI_BYTE, other, 9, wild, &requests[OUT_ANY]);
    test_ask();
}

static bool is_persistent(const MPI_Request requests[KINDS], int i) {
    return kept[i] != MPI_REQUEST_NULL && requests[i] == kept[i];
}

static bool is_empty(const MPI_Status *status) {
    return test_status_is(status, MPI_ANY_SOURCE, MPI_ANY_TAG, 0);
}

/* MPICH 4.0 doesn't always give what the standard says. */
static bool is_of_null(const MPI_Status *status) {
    MPI_Request request;
    MPI_Status native;
    int flag, bytes;
    PMPI_Irecv(NULL, 0, MPI_BYTE, MPI_PROC_NULL, 1, MPI_COMM_WORLD, &request);
    PMPI_Test(&request, &flag, &native);
    MPI_Get_count(&native, MPI_BYTE, &bytes);
    return test_status_is(status, MPI_PROC_NULL, MPI_ANY_TAG, 0) ||
           test_status_is(status, native.MPI_SOURCE, native.MPI_TAG, bytes);
}

static void check_one(int i, const MPI_Status *status) {
    int big = test.round % 2 ? BIG : SMALL;
    switch (i) {
    case IN_SMALL:
        CHECK(test_status_is(status, test.peer, 1, SMALL));
        CHECK(test_is_filled(in[i], SMALL, test_seed(test.peer, 0)));
        break;
    case IN_BIG:
        CHECK(test_status_is(status, test.peer, 2, BIG));
        CHECK(test_is_filled(in[i], BIG, test_seed(test.peer, 0)));
        break;
    case IN_ANY:
        CHECK(test_status_is(status, test.peer, 9, big));
        CHECK(test_is_filled(in[i], (size_t)big, test_seed(test.peer, 0)));
        break;
    case IN_NULL:
        CHECK(is_of_null(status));
        break;
    case GATHER:
        CHECK_EQUAL(gathered[0], test.round);
        CHECK_EQUAL(gathered[1], test.round + 1);
        break;
    default:
        break;
    }
}

/* Each completes what it can: sets the indices and how many. */
typedef int complete_function(MPI_Request requests[KINDS], int indices[], MPI_Status statuses[]);

static int all_of_them(int indices[]) {
    for (int i = 0; i < KINDS; i++)
        indices[i] = i;
    return KINDS;
}

static int by_wait(MPI_Request requests[KINDS], int indices[], MPI_Status statuses[]) {
    for (int i = 0; i < KINDS; i++) {
        int at = test.round % 2 ? i : KINDS - 1 - i;
        CHECK_EQUAL(MPI_Wait(&requests[at], &statuses[at]), MPI_SUCCESS);
    }
    return all_of_them(indices);
}

static int by_test(MPI_Request requests[KINDS], int indices[], MPI_Status statuses[]) {
    for (int i = 0; i < KINDS; i++)
        for (int flag = 0; !flag;)
            CHECK_EQUAL(MPI_Test(&requests[i], &flag, &statuses[i]), MPI_SUCCESS);
    return all_of_them(indices);
}

static int by_waitall(MPI_Request requests[KINDS], int indices[], MPI_Status statuses[]) {
    CHECK_EQUAL(MPI_Waitall(KINDS, requests, statuses), MPI_SUCCESS);
    CHECK(is_empty(&statuses[NOTHING]));
    return all_of_them(indices);
}

static int by_testall(MPI_Request requests[KINDS], int indices[], MPI_Status statuses[]) {
    for (int flag = 0; !flag;) {
        CHECK_EQUAL(MPI_Testall(KINDS, requests, &flag, statuses), MPI_SUCCESS);
        if (!flag)
            CHECK(requests[IN_BIG] != MPI_REQUEST_NULL);
    }
    CHECK(is_empty(&statuses[NOTHING]));
    return all_of_them(indices);
}

static int by_waitany(MPI_Request requests[KINDS], int indices[], MPI_Status statuses[]) {
    CHECK_EQUAL(MPI_Waitany(KINDS, requests, indices, statuses), MPI_SUCCESS);
    return indices[0] == MPI_UNDEFINED ? MPI_UNDEFINED : 1;
}

static int by_testany(MPI_Request requests[KINDS], int indices[], MPI_Status statuses[]) {
    int flag;
    CHECK_EQUAL(MPI_Testany(KINDS, requests, indices, &flag, statuses), MPI_SUCCESS);
    if (!flag)
        CHECK_EQUAL(indices[0], MPI_UNDEFINED);
    return !flag ? 0 : indices[0] == MPI_UNDEFINED ? MPI_UNDEFINED : 1;
}

static int by_waitsome(MPI_Request requests[KINDS], int indices[], MPI_Status statuses[]) {
    int n;
    CHECK_EQUAL(MPI_Waitsome(KINDS, requests, &n, indices, statuses), MPI_SUCCESS);
    CHECK(n != 0);
    return n;
}

static int by_testsome(MPI_Request requests[KINDS], int indices[], MPI_Status statuses[]) {
    int n;
    CHECK_EQUAL(MPI_Testsome(KINDS, requests, &n, indices, statuses), MPI_SUCCESS);
    return n;
}

static complete_function *const functions[] = {by_wait,    by_test,    by_waitall,  by_testall,
                                               by_waitany, by_testany, by_waitsome, by_testsome};

/* Waitany and Testany give an empty status where nothing is active. What is persistent stays. */
static void check_nothing_left(MPI_Request requests[KINDS]) {
    int index = 0, flag = 0, n = 0, indices[KINDS];
    MPI_Status status, statuses[KINDS];
    bool lax = kept[NOTHING] != MPI_REQUEST_NULL; /* MPICH 4.0 forgets the status then */
    for (int i = 0; i < KINDS; i++)
        CHECK(requests[i] == MPI_REQUEST_NULL || is_persistent(requests, i));
    MPI_Waitany(KINDS, requests, &index, &status);
    CHECK(index == MPI_UNDEFINED && (lax || is_empty(&status)));
    MPI_Testany(KINDS, requests, &index, &flag, &status);
    CHECK(flag && index == MPI_UNDEFINED && (lax || is_empty(&status)));
    MPI_Waitsome(KINDS, requests, &n, indices, statuses);
    CHECK_EQUAL(n, MPI_UNDEFINED);
    MPI_Testsome(KINDS, requests, &n, indices, statuses);
    CHECK_EQUAL(n, MPI_UNDEFINED);
    MPI_Testall(0, requests, &flag, statuses);
    CHECK(flag);
    MPI_Wait(&requests[0], &status);
    CHECK(is_empty(&status));
}

static void complete_all(MPI_Request requests[KINDS]) {
    MPI_Request before[KINDS];
    MPI_Status statuses[KINDS];
    int indices[KINDS], times[KINDS] = {0}, n;
    do {
        for (int i = 0; i < KINDS; i++)
            before[i] = requests[i];
        n = functions[test.round % 8](requests, indices, statuses);
        for (int i = 0; i < n; i++) {
            times[indices[i]]++;
            CHECK(n == KINDS || before[indices[i]] != MPI_REQUEST_NULL);
            check_one(indices[i], &statuses[i]);
        }
    } while (n != MPI_UNDEFINED && n != KINDS);
    for (int i = NOTHING + 1; i < KINDS; i++)
        CHECK_EQUAL(times[i], 1);
    CHECK(n == KINDS || times[NOTHING] == 0);
    check_nothing_left(requests);
}

static void prepare(int round) {
    for (int i = 0; i < KINDS && round == 0; i++)
        kept[i] = MPI_REQUEST_NULL;
    test_fill(out, BIG, test_seed(test.rank, 0));
    mine = round + test.rank;
    if (round == 0)
        MPI_Comm_dup(MPI_COMM_WORLD, &wild);
}

static void family(int round) {
    MPI_Request requests[KINDS];
    prepare(round);
    start(requests);
    complete_all(requests);
}

static void family_end(void) {
    MPI_Comm_free(&wild);
}

static void persistent(int round) {
    MPI_Request requests[KINDS];
    prepare(round);
    if (round == 0)
        make_kept();
    start_kept(requests);
    complete_all(requests);
}

static void persistent_end(void) {
    if (test.kind != TEST_PLAIN)
        test_expect_snapshot(); /* inactive ones hinder none */
    for (int i = 0; i < KINDS; i++)
        if (kept[i] != MPI_REQUEST_NULL)
            MPI_Request_free(&kept[i]);
    family_end();
}

/* ---- requests that are not waited for ---- */

/* The data of a receive whose request was freed come all the same. */
static void request_freed(int round) {
    static volatile char late[BIG];
    int bytes = round % 2 ? BIG : SMALL;
    MPI_Request request, send;
    test_fill(out, BIG, test_seed(test.rank, 0));
    late[bytes - 1] = (char)(out[bytes - 1] + 100); /* the other's differs by less */
    char old = late[bytes - 1];
    MPI_Irecv((char *)late, bytes, MPI_BYTE, test.peer, 1, MPI_COMM_WORLD, &request);
    if (round % 3)
        test_ask();
    MPI_Request_free(&request);
    CHECK(request == MPI_REQUEST_NULL);
    test_ask();
    MPI_Isend(out, SMALL, MPI_BYTE, test.peer, 3, MPI_COMM_WORLD, &send);
    MPI_Request_free(&send);
    CHECK(send == MPI_REQUEST_NULL);
    MPI_Send(out, bytes, MPI_BYTE, test.peer, 1, MPI_COMM_WORLD);
    MPI_Recv(in[0], SMALL, MPI_BYTE, test.peer, 3, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    CHECK(test_is_filled(in[0], SMALL, test_seed(test.peer, 0)));
    while (late[bytes - 1] == old)
        test_idle();
    while (!test_is_filled((char *)late, (size_t)bytes, test_seed(test.peer, 0)))
        test_idle();
    MPI_Barrier(MPI_COMM_WORLD); /* `out` may be filled again */
}

/* Nothing is ever sent to it. */
static void cancel_unmatched(int source, int tag) {
    MPI_Request request;
    MPI_Status status;
    int flag = 0;
    MPI_Irecv(in[0], BIG, MPI_BYTE, source, tag, MPI_COMM_SELF, &request);
    test_ask();
    if (test.round % 2)
        test_idle();
    MPI_Cancel(&request);
    if (test.round % 3 == 0) {
        while (!flag)
            MPI_Request_get_status(request, &flag, &status);
        CHECK(test_is_cancelled(&status));
    }
    if (test.round % 5 == 0)
        MPI_Waitall(1, &request, &status);
    else
        MPI_Wait(&request, &status);
    CHECK(request == MPI_REQUEST_NULL);
    CHECK(test_is_cancelled(&status));
}

/* The second message has been received, so the first, with the same tag, has met the receive. */
static void cancel_matched(int round) {
    MPI_Request request;
    MPI_Status status;
    int bytes = round % 2 ? BIG : SMALL;
    if (test.rank == 0) {
        test_fill(out, BIG, test_seed(0, 0));
        MPI_Send(out, bytes, MPI_BYTE, 1, 1, MPI_COMM_WORLD);
        MPI_Send(out, SMALL, MPI_BYTE, 1, 1, MPI_COMM_WORLD);
        return;
    }
    MPI_Irecv(in[0], BIG, MPI_BYTE, 0, 1, MPI_COMM_WORLD, &request);
    test_ask();
    MPI_Recv(in[1], SMALL, MPI_BYTE, 0, 1, MPI_COMM_WORLD, &status);
    CHECK(test_status_is(&status, 0, 1, SMALL));
    MPI_Cancel(&request);
    MPI_Wait(&request, &status);
    CHECK(test_status_is(&status, 0, 1, bytes));
    CHECK(test_is_filled(in[0], (size_t)bytes, test_seed(0, 0)));
}

/* A message on its way is either in the cancelled receive or there for the next one. */
static void cancel_race(int round) {
    MPI_Request request;
    MPI_Status status;
    int bytes = round % 2 ? BIG : SMALL;
    if (test.rank == 0) {
        test_fill(out, BIG, test_seed(0, 0));
        MPI_Send(out, bytes, MPI_BYTE, 1, 1, MPI_COMM_WORLD);
        return;
    }
    MPI_Irecv(in[0], BIG, MPI_BYTE, round % 3 ? 0 : MPI_ANY_SOURCE, 1, MPI_COMM_WORLD, &request);
    test_ask();
    for (int i = 0; i < round % 5; i++)
        test_idle();
    MPI_Cancel(&request);
    MPI_Wait(&request, &status);
    if (test_is_cancelled(&status))
        MPI_Recv(in[0], BIG, MPI_BYTE, 0, 1, MPI_COMM_WORLD, &status);
    CHECK(test_status_is(&status, 0, 1, bytes));
    CHECK(test_is_filled(in[0], (size_t)bytes, test_seed(0, 0)));
}

static void cancelled(int round) {
    cancel_unmatched(0, 7);
    cancel_unmatched(MPI_ANY_SOURCE, MPI_ANY_TAG);
    cancel_matched(round);
    cancel_race(round);
}

/* Request_get_status tells and leaves the request; what it has told doesn't change. */
static void looked_at(int round) {
    MPI_Request requests[2], none = MPI_REQUEST_NULL;
    MPI_Status status, again;
    int flag = 0, bytes = round % 2 ? BIG : SMALL;
    test_fill(out, BIG, test_seed(test.rank, 0));
    MPI_Irecv(in[0], BIG, MPI_BYTE, round % 3 ? test.peer : MPI_ANY_SOURCE, 1, MPI_COMM_WORLD,
              &requests[0]);
    test_ask();
    MPI_Isend(out, bytes, MPI_BYTE, test.peer, 1, MPI_COMM_WORLD, &requests[1]);
    for (int i = 0; i < 2; i++)
        for (flag = 0; !flag;)
            MPI_Request_get_status(requests[i], &flag, i ? MPI_STATUS_IGNORE : &status);
    CHECK(requests[0] != MPI_REQUEST_NULL);
    CHECK(test_status_is(&status, test.peer, 1, bytes));
    CHECK(test_is_filled(in[0], (size_t)bytes, test_seed(test.peer, 0)));
    in[0][0]++; /* it is the program's now */
    test_ask();
    test_idle();
    MPI_Wait(&requests[0], &again);
    CHECK(test_status_is(&again, test.peer, 1, bytes));
    MPI_Wait(&requests[1], MPI_STATUS_IGNORE);
    MPI_Request_get_status(none, &flag, &status);
    CHECK(flag && is_empty(&status));
}

/* ---- a collective among them ---- */

/* As many requests as there are of messages, but one of them is a barrier's, and one of the messages' is left out. */
static void with_barrier(int round) {
    int got[2], number = round;
    MPI_Request left_out, requests[3], last[2];
    MPI_Status statuses[3];
    if (round % 20 == 0) /* mostly nothing is under way */
        test_ask();
    MPI_Irecv(&got[0], 1, MPI_INT, test.peer, 1, MPI_COMM_WORLD, &left_out);
    MPI_Irecv(&got[1], 1, MPI_INT, test.peer, 2, MPI_COMM_WORLD, &requests[0]);
    MPI_Isend(&number, 1, MPI_INT, test.peer, 2, MPI_COMM_WORLD, &requests[1]);
    MPI_Ibarrier(MPI_COMM_WORLD, &requests[2]);
    for (int flag = 0, i = 0; i < 50; i++) /* so that all is complete at the first look */
        PMPI_Iprobe(MPI_ANY_SOURCE, 3, MPI_COMM_WORLD, &flag, statuses);
    MPI_Waitall(3, requests, statuses);
    CHECK_EQUAL(got[1], round);
    MPI_Isend(&number, 1, MPI_INT, test.peer, 1, MPI_COMM_WORLD, &last[0]);
    last[1] = left_out;
    MPI_Waitall(2, last, statuses);
    CHECK_EQUAL(got[0], round);
}

static const test_case cases[] = {
    {"with_barrier", with_barrier, 1000, TEST_ASKS_ITSELF, NULL},
    {"family", family, 400, 0, family_end},
    {"persistent", persistent, 400, 0, persistent_end},
    {"request_freed", request_freed, 200, 0, NULL},
    {"cancelled", cancelled, 300, 0, NULL},
    {"looked_at", looked_at, 300, 0, NULL},
};

int main(int argc, char **argv) {
    return test_main(argc, argv, cases, sizeof cases / sizeof *cases);
}
