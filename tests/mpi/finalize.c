/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A request in the moment in which the program ends: finalize KIND 0 WAY
 *
 *   late      one rank asks right before wavecut_finalize
 *   all       every rank asks, with large messages on their way that are received after wavecut_finalize
 *   none      MPI_Finalize without wavecut_finalize
 *   signal    SIGUSR1 to one rank, then MPI_Finalize
 *   early     asked for before anything has been done
 */
#include "common.h"

#include <wavecut.h>

#include <signal.h>
#include <string.h>
#include <unistd.h>

static char in[16 * BIG], out[16 * BIG];

/* What was sent before wavecut_finalize is received after it, whoever has it by then. One message doesn't fit. */
static void across(void) {
    MPI_Request requests[2], receive;
    MPI_Status status;
    int class;
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    test_fill(out, sizeof out, (unsigned)test.rank);
    MPI_Irecv(in, BIG, MPI_BYTE, test.peer, 2, MPI_COMM_WORLD, &receive);
    test_ask();
    MPI_Isend(out, (int)sizeof out, MPI_BYTE, test.peer, 1, MPI_COMM_WORLD, &requests[0]);
    MPI_Isend(out, (int)sizeof out, MPI_BYTE, test.peer, 2, MPI_COMM_WORLD, &requests[1]);
    test_safepoint();
    for (int i = 0; i < 20 + test.rank * 20; i++) {
        test_ask();
        test_idle();
    }
    if (test.kind != TEST_PLAIN)
        CHECK(wavecut_finalize() == WAVECUT_OK);
    MPI_Error_class(MPI_Wait(&receive, &status), &class);
    CHECK_EQUAL(class, MPI_ERR_TRUNCATE);
    CHECK_EQUAL(MPI_Recv(in, (int)sizeof in, MPI_BYTE, test.peer, 1, MPI_COMM_WORLD, &status),
                MPI_SUCCESS);
    CHECK(test_status_is(&status, test.peer, 1, (int)sizeof in));
    CHECK(test_is_filled(in, sizeof in, (unsigned)test.peer));
    MPI_Wait(&requests[0], MPI_STATUS_IGNORE);
    MPI_Wait(&requests[1], MPI_STATUS_IGNORE);
}

static void some_rounds(void) {
    for (test.round = 0; test.round < 200; test.round++) {
        int got = -1;
        test_safepoint();
        if (test.round % 50 == 20)
            test_ask();
        MPI_Sendrecv(&test.round, 1, MPI_INT, test.peer, 1, &got, 1, MPI_INT, test.peer, 1,
                     MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        CHECK_EQUAL(got, test.round);
    }
}

int main(int argc, char **argv) {
    test_begin(&argc, &argv);
    CHECK(argc == 4);
    const char *way = argv[3];
    test.name = way;
    if (strcmp(way, "early") == 0)
        test_ask();
    else
        some_rounds();
    if (strcmp(way, "all") == 0) {
        across();
        MPI_Finalize();
        return 0;
    }
    if (strcmp(way, "signal") == 0)
        raise(test.rank == 1 && test.kind != TEST_PLAIN ? SIGUSR1 : SIGCHLD);
    else if (test.rank == 1)
        test_ask();
    if (strcmp(way, "none") == 0 || strcmp(way, "signal") == 0)
        MPI_Finalize();
    else
        test_end();
    return 0;
}
