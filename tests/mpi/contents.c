/* SPDX-License-Identifier: BSD-3-Clause */
/* What messages are made of, receives that are too short, calls that MPI refuses, and the other ways to send and to probe. */
#include "common.h"

#include <stdlib.h>
#include <string.h>

enum { SMALL = 8, BLOCKS = 20000 };

static char in[BIG], out[BIG];

/* ---- datatypes ---- */

typedef struct gapped {
    char letter;
    int number;
    double real; /* the type leaves out `number`, and nothing is behind it */
} gapped;

static gapped got[BLOCKS], sent[BLOCKS];

static MPI_Datatype make_gapped(void) {
    MPI_Datatype parts, type, types[2] = {MPI_CHAR, MPI_DOUBLE};
    int lengths[2] = {1, 1};
    MPI_Aint places[2] = {offsetof(gapped, letter), offsetof(gapped, real)};
    MPI_Type_create_struct(2, lengths, places, types, &parts);
    MPI_Type_create_resized(parts, 0, sizeof(gapped), &type);
    MPI_Type_free(&parts);
    MPI_Type_commit(&type);
    return type;
}

/* The type is freed as soon as the receive is posted; what lies in the gaps stays. */
static void structs(int round) {
    int n = round % 2 ? BLOCKS : 3;
    MPI_Request request;
    MPI_Status status;
    MPI_Datatype type = make_gapped();
    for (int i = 0; i < n; i++) {
        sent[i] = (gapped){(char)(i + test.rank), round, i + 0.5 * round};
        got[i] = (gapped){0, -7, 0};
    }
    MPI_Irecv(got, n, type, test.peer, 1, MPI_COMM_WORLD, &request);
    MPI_Type_free(&type);
    CHECK(type == MPI_DATATYPE_NULL);
    test_ask();
    test_idle();
    type = make_gapped();
    MPI_Send(sent, n, type, test.peer, 1, MPI_COMM_WORLD);
    MPI_Wait(&request, &status);
    CHECK(test_status_is(&status, test.peer, 1, n * 9));
    for (int i = 0; i < n; i++)
        CHECK(got[i].letter == (char)(i + test.peer) && got[i].number == -7 &&
              got[i].real == i + 0.5 * round);
    MPI_Type_free(&type);
}

/* A column of a matrix, into the rows of another. */
static void vectors(int round) {
    enum { N = 300 };
    static int from[N][N], row[N], to[N][N];
    MPI_Datatype column;
    MPI_Status status;
    int count;
    MPI_Type_vector(N, 1, N, MPI_INT, &column);
    MPI_Type_commit(&column);
    for (int i = 0; i < N; i++) {
        from[i][3] = i * 3 + round + test.rank;
        from[i][4] = row[i] = to[i][5] = -1;
    }
    test_ask();
    MPI_Sendrecv(&from[0][3], 1, column, test.peer, 1, row, N, MPI_INT, test.peer, 1,
                 MPI_COMM_WORLD, &status);
    MPI_Get_count(&status, MPI_INT, &count);
    CHECK_EQUAL(count, N);
    test_ask();
    MPI_Sendrecv(row, N, MPI_INT, test.peer, 2, &to[0][5], 1, column, test.peer, 2, MPI_COMM_WORLD,
                 &status);
    MPI_Get_count(&status, column, &count);
    CHECK_EQUAL(count, 1);
    for (int i = 0; i < N; i++) {
        CHECK_EQUAL(row[i], i * 3 + round + test.peer);
        CHECK_EQUAL(to[i][5], i * 3 + round + test.rank);
    }
    MPI_Type_free(&column);
}

/* Three ints are one and a half pairs. */
static void partial(int round) {
    int three[3] = {1, 2, round}, four[4] = {-1, -1, -1, -1}, count;
    MPI_Datatype pair;
    MPI_Request request;
    MPI_Status status;
    MPI_Type_contiguous(2, MPI_INT, &pair);
    MPI_Type_commit(&pair);
    MPI_Irecv(four, 2, pair, test.peer, 1, MPI_COMM_WORLD, &request);
    test_ask();
    MPI_Send(three, 3, MPI_INT, test.peer, 1, MPI_COMM_WORLD);
    MPI_Wait(&request, &status);
    MPI_Get_count(&status, pair, &count);
    CHECK_EQUAL(count, MPI_UNDEFINED);
    MPI_Get_elements(&status, pair, &count);
    CHECK_EQUAL(count, 3);
    CHECK(four[0] == 1 && four[1] == 2 && four[2] == round && four[3] == -1);
    MPI_Type_free(&pair);
}

/* ---- errors ---- */

static int class_of(int code) {
    int class;
    MPI_Error_class(code, &class);
    return class;
}

/* Messages longer than their receives: the code, and what comes after. (Open MPI 4.1 writes behind the buffer, and MPICH
 * 4.0 raises some of the errors on MPI_COMM_WORLD, whatever the communicator.) */

static void wait_for_both(int round, MPI_Request requests[3]) {
    MPI_Status statuses[3];
    if (round % 4 < 2) {
        CHECK_EQUAL(class_of(MPI_Wait(&requests[0], &statuses[0])), MPI_ERR_TRUNCATE);
        CHECK_EQUAL(MPI_Waitall(2, requests + 1, statuses + 1), MPI_SUCCESS);
    } else {
        CHECK_EQUAL(class_of(MPI_Waitall(3, requests, statuses)), MPI_ERR_IN_STATUS);
        CHECK_EQUAL(class_of(statuses[0].MPI_ERROR), MPI_ERR_TRUNCATE);
        for (int i = 1; i < 3; i++) /* those that were still pending end now */
            if (class_of(statuses[i].MPI_ERROR) == MPI_ERR_PENDING)
                CHECK_EQUAL(MPI_Wait(&requests[i], &statuses[i]), MPI_SUCCESS);
    }
    for (int i = 0; i < 3; i++)
        CHECK(requests[i] == MPI_REQUEST_NULL);
}

static void truncated(int round) {
    int half = round % 2 ? BIG / 4 : SMALL, bytes = 2 * half;
    MPI_Request requests[3];
    MPI_Status status;
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    test_fill(out, BIG, test_seed(test.rank, 0));
    MPI_Irecv(in, half, MPI_BYTE, test.peer, 1, MPI_COMM_WORLD, &requests[0]);
    test_ask();
    MPI_Irecv(in + BIG / 2, bytes, MPI_BYTE, round % 3 ? test.peer : MPI_ANY_SOURCE, 2,
              MPI_COMM_WORLD, &requests[1]);
    MPI_Isend(out, bytes, MPI_BYTE, test.peer, 1, MPI_COMM_WORLD, &requests[2]);
    MPI_Send(out, bytes, MPI_BYTE, test.peer, 2, MPI_COMM_WORLD);
    wait_for_both(round, requests);
    CHECK(test_is_filled(in + BIG / 2, (size_t)bytes, test_seed(test.peer, 0)));
    test_ask();
    MPI_Isend(out, bytes, MPI_BYTE, test.peer, 3, MPI_COMM_WORLD, &requests[0]);
    CHECK_EQUAL(class_of(MPI_Recv(in, half, MPI_BYTE, test.peer, 3, MPI_COMM_WORLD, &status)),
                MPI_ERR_TRUNCATE);
    MPI_Wait(&requests[0], MPI_STATUS_IGNORE);
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_ARE_FATAL);
}

/* What MPI refuses at once leaves nothing behind that a snapshot would count or wait for. */
static void refused(int round) {
    int nobody = test.ranks + 3;
    MPI_Request request;
    MPI_Status status;
    (void)round;
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    for (int i = 0; i < 2; i++) {
        CHECK_EQUAL(class_of(MPI_Send(out, 1, MPI_BYTE, nobody, 1, MPI_COMM_WORLD)), MPI_ERR_RANK);
        CHECK_EQUAL(class_of(MPI_Ssend(out, -1, MPI_BYTE, test.peer, 1, MPI_COMM_WORLD)),
                    MPI_ERR_COUNT);
        CHECK_EQUAL(class_of(MPI_Isend(out, 1, MPI_BYTE, nobody, 1, MPI_COMM_WORLD, &request)),
                    MPI_ERR_RANK);
        CHECK_EQUAL(class_of(MPI_Irecv(in, 1, MPI_BYTE, nobody, 1, MPI_COMM_WORLD, &request)),
                    MPI_ERR_RANK);
        CHECK_EQUAL(class_of(MPI_Irecv(in, -1, MPI_BYTE, test.peer, 1, MPI_COMM_WORLD, &request)),
                    MPI_ERR_COUNT);
        CHECK_EQUAL(
            class_of(MPI_Irecv(in, 1, MPI_DATATYPE_NULL, test.peer, 1, MPI_COMM_WORLD, &request)),
            MPI_ERR_TYPE);
        CHECK_EQUAL(
            class_of(MPI_Recv(in, 1, MPI_BYTE, nobody, MPI_ANY_TAG, MPI_COMM_WORLD, &status)),
            MPI_ERR_RANK);
        CHECK_EQUAL(class_of(MPI_Sendrecv(out, 1, MPI_BYTE, nobody, 1, in, 1, MPI_BYTE, test.peer,
                                          1, MPI_COMM_WORLD, &status)),
                    MPI_ERR_RANK);
        CHECK_EQUAL(class_of(MPI_Bcast(in, 1, MPI_BYTE, nobody, MPI_COMM_WORLD)), MPI_ERR_ROOT);
        CHECK_EQUAL(class_of(MPI_Irecv(in, 1, MPI_BYTE, test.peer, -5, MPI_COMM_WORLD, &request)),
                    MPI_ERR_TAG);
        test_ask(); /* and again while an attempt is under way */
    }
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_ARE_FATAL);
}

/* ---- ways to send ---- */

static void sendrecv(int round) {
    MPI_Status status;
    int bytes = round % 2 ? BIG : SMALL, wild = round % 3 ? test.peer : MPI_ANY_SOURCE;
    test_fill(out, (size_t)bytes, test_seed(test.rank, 0));
    test_ask();
    MPI_Sendrecv(out, bytes, MPI_BYTE, test.peer, 1, in, BIG, MPI_BYTE, wild,
                 round % 5 ? 1 : MPI_ANY_TAG, MPI_COMM_WORLD, &status);
    CHECK(test_status_is(&status, test.peer, 1, bytes));
    CHECK(test_is_filled(in, (size_t)bytes, test_seed(test.peer, 0)));
    test_ask();
    MPI_Sendrecv_replace(out, bytes, MPI_BYTE, test.peer, 2, wild, 2, MPI_COMM_WORLD, &status);
    CHECK(test_status_is(&status, test.peer, 2, bytes));
    CHECK(test_is_filled(out, (size_t)bytes, test_seed(test.peer, 0)));
    /* To and from nobody. */
    int next = test.rank == 0 ? 1 : MPI_PROC_NULL, previous = test.rank == 1 ? 0 : MPI_PROC_NULL;
    MPI_Sendrecv(&round, 1, MPI_INT, next, 3, &bytes, 1, MPI_INT, previous, 3, MPI_COMM_WORLD,
                 &status);
    CHECK(
        test_status_is(&status, previous, previous == 0 ? 3 : MPI_ANY_TAG, previous == 0 ? 4 : 0));
    CHECK(test.rank == 0 || bytes == round);
}

/* All that is in the buffer has left it when it is detached. */
static void buffered(int round) {
    static char space[2 * BIG + 4 * MPI_BSEND_OVERHEAD];
    void *detached;
    int size, bytes = round % 2 ? BIG : SMALL;
    MPI_Request requests[2];
    MPI_Status status;
    test_fill(out, (size_t)bytes, test_seed(test.rank, 0));
    MPI_Buffer_attach(space, sizeof space);
    MPI_Irecv(in, bytes, MPI_BYTE, test.peer, 1, MPI_COMM_WORLD, &requests[0]);
    test_ask();
    MPI_Bsend(out, bytes, MPI_BYTE, test.peer, 1, MPI_COMM_WORLD);
    MPI_Ibsend(out, SMALL, MPI_BYTE, test.peer, 2, MPI_COMM_WORLD, &requests[1]);
    MPI_Wait(&requests[1], MPI_STATUS_IGNORE);
    memset(out, 0, SMALL);
    if (round % 3)
        MPI_Buffer_detach(&detached, &size);
    MPI_Wait(&requests[0], &status);
    CHECK(test_status_is(&status, test.peer, 1, bytes));
    CHECK(test_is_filled(in, (size_t)bytes, test_seed(test.peer, 0)));
    MPI_Recv(in, SMALL, MPI_BYTE, test.peer, 2, MPI_COMM_WORLD, &status);
    CHECK(test_is_filled(in, SMALL, test_seed(test.peer, 0)));
    if (round % 3 == 0)
        MPI_Buffer_detach(&detached, &size);
    CHECK(detached == space && size == (int)sizeof space);
}

/* A ready send's receive is posted: the other one says so first. */
static void modes(int round) {
    int bytes = round % 2 ? BIG : SMALL;
    MPI_Request requests[4], sends[2];
    MPI_Status statuses[4];
    test_fill(out, (size_t)bytes, test_seed(test.rank, 0));
    for (int i = 0; i < 4; i++)
        MPI_Irecv(in + i * SMALL, SMALL, MPI_BYTE, test.peer, i, MPI_COMM_WORLD, &requests[i]);
    test_ask();
    test_idle();
    MPI_Sendrecv(NULL, 0, MPI_BYTE, test.peer, 8, NULL, 0, MPI_BYTE, test.peer, 8, MPI_COMM_WORLD,
                 MPI_STATUS_IGNORE);
    MPI_Rsend(out, SMALL, MPI_BYTE, test.peer, 1, MPI_COMM_WORLD);
    MPI_Irsend(out, SMALL, MPI_BYTE, test.peer, 0, MPI_COMM_WORLD, &sends[0]);
    MPI_Issend(out, SMALL, MPI_BYTE, test.peer, 2, MPI_COMM_WORLD, &sends[1]);
    test_ask();
    MPI_Ssend(out, SMALL, MPI_BYTE, test.peer, 3, MPI_COMM_WORLD);
    MPI_Waitall(2, sends, statuses);
    MPI_Waitall(4, requests, statuses);
    for (int i = 0; i < 4; i++) {
        CHECK(test_status_is(&statuses[i], test.peer, i, SMALL));
        CHECK(test_is_filled(in + i * SMALL, SMALL, test_seed(test.peer, 0)));
    }
    /* To oneself, large enough to need the receive. */
    MPI_Irecv(in, bytes, MPI_BYTE, test.rank, 9, MPI_COMM_WORLD, &requests[0]);
    MPI_Ssend(out, bytes, MPI_BYTE, test.rank, 9, MPI_COMM_WORLD);
    MPI_Wait(&requests[0], &statuses[0]);
    CHECK(test_status_is(&statuses[0], test.rank, 9, bytes));
    CHECK(test_is_filled(in, (size_t)bytes, test_seed(test.rank, 0)));
}

/* ---- probes ---- */

/* Probed with all four kinds of wildcards, and received by what the probe has told. */
static void probed(int round) {
    MPI_Request requests[2];
    MPI_Status status = {0}, again = {0}, ignored[2]; /* MPICH's Iprobe leaves a part as it is */
    int flag = 0, tag = round % 50, bytes = round % 3 ? SMALL + round % 5 : BIG;
    test_fill(out, (size_t)bytes, test_seed(test.rank, 0));
    MPI_Isend(out, bytes, MPI_BYTE, test.peer, tag, MPI_COMM_WORLD, &requests[0]);
    MPI_Isend(out, 1, MPI_BYTE, test.peer, 60, MPI_COMM_WORLD, &requests[1]);
    test_ask();
    int source = round & 1 ? MPI_ANY_SOURCE : test.peer, wanted = round & 2 ? MPI_ANY_TAG : tag;
    if (round & 4)
        MPI_Probe(source, wanted, MPI_COMM_WORLD, &status);
    else
        while (!flag)
            MPI_Iprobe(source, wanted, MPI_COMM_WORLD, &flag, &status);
    CHECK(test_status_is(&status, test.peer, tag, bytes));
    MPI_Iprobe(source, wanted, MPI_COMM_WORLD, &flag, &again); /* it stays there */
    CHECK(flag && test_status_is(&again, test.peer, tag, bytes));
    if (round % 5 == 0)
        test_ask();
    MPI_Recv(in, bytes, MPI_BYTE, status.MPI_SOURCE, status.MPI_TAG, MPI_COMM_WORLD, &again);
    CHECK(test_status_is(&again, test.peer, tag, bytes));
    CHECK(test_is_filled(in, (size_t)bytes, test_seed(test.peer, 0)));
    MPI_Recv(in, 1, MPI_BYTE, test.peer, 60, MPI_COMM_WORLD, &status);
    MPI_Waitall(2, requests, ignored);
    MPI_Iprobe(MPI_PROC_NULL, 1, MPI_COMM_WORLD, &flag, &status);
    CHECK(flag && test_status_is(&status, MPI_PROC_NULL, MPI_ANY_TAG, 0));
}

/* The highest tag that the program is told of is one it may use. */
static void highest_tag(int round) {
    int *highest, found;
    MPI_Status status;
    MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_TAG_UB, &highest, &found);
    CHECK(found && *highest >= 32767);
    test_ask();
    MPI_Sendrecv(&round, 1, MPI_INT, test.peer, *highest, in, 1, MPI_INT, test.peer, MPI_ANY_TAG,
                 MPI_COMM_WORLD, &status);
    CHECK(test_status_is(&status, test.peer, *highest, sizeof(int)));
    CHECK(memcmp(in, &round, sizeof round) == 0);
}

static const test_case cases[] = {
    {"structs", structs, 200, 0, NULL},   {"vectors", vectors, 200, 0, NULL},
    {"partial", partial, 200, 0, NULL},   {"truncated", truncated, 200, 0, NULL},
    {"refused", refused, 100, 0, NULL},   {"sendrecv", sendrecv, 200, 0, NULL},
    {"buffered", buffered, 200, 0, NULL}, {"modes", modes, 200, 0, NULL},
    {"probed", probed, 400, 0, NULL},     {"highest_tag", highest_tag, 100, 0, NULL},
};

int main(int argc, char **argv) {
    return test_main(argc, argv, cases, sizeof cases / sizeof *cases);
}
