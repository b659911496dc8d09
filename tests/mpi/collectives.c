/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Collectives all the time, on communicators that overlap: rows in each round, columns in every third, the world in every
 * tenth, with messages across them. An immediate program's ranks must record between the same ones.
 */
#include "common.h"

#include <wavecut.h>

static MPI_Comm row, column;

static int expected(MPI_Comm comm, int round) {
    int size, sum = 0;
    MPI_Group group, world;
    MPI_Comm_size(comm, &size);
    MPI_Comm_group(comm, &group);
    MPI_Comm_group(MPI_COMM_WORLD, &world);
    for (int i = 0; i < size; i++) {
        int rank;
        MPI_Group_translate_ranks(group, 1, &i, world, &rank);
        sum += round * (rank + 1);
    }
    MPI_Group_free(&group);
    MPI_Group_free(&world);
    return sum;
}

static void reduce(MPI_Comm comm, int round) {
    int mine = round * (test.rank + 1), sum;
    MPI_Allreduce(&mine, &sum, 1, MPI_INT, MPI_SUM, comm);
    CHECK_EQUAL(sum, expected(comm, round));
}

static void collectives(int round) {
    int got, next = (test.rank + 1) % test.ranks,
             previous = (test.rank + test.ranks - 1) % test.ranks;
    MPI_Request send;
    if (round == 0) {
        MPI_Comm_split(MPI_COMM_WORLD, test.rank / 2, test.rank, &row);
        MPI_Comm_split(MPI_COMM_WORLD, test.rank % 2, test.rank, &column);
    }
    reduce(row, round);
    MPI_Isend(&round, 1, MPI_INT, next, 1, MPI_COMM_WORLD, &send);
    if (round % 3 == 0)
        reduce(column, round);
    MPI_Recv(&got, 1, MPI_INT, previous, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    CHECK_EQUAL(got, round);
    MPI_Wait(&send, MPI_STATUS_IGNORE);
    if (round % 10 == 0)
        reduce(MPI_COMM_WORLD, round);
}

/* Most attempts succeed: without the clock it is a matter of luck. */
static void end(void) {
    wavecut_info info = {0};
    if (test.kind != TEST_IMMEDIATE)
        return;
    CHECK(wavecut_status_get(&info) == WAVECUT_OK);
    CHECK(info.committed >= info.voided);
}

static const test_case cases[] = {{"collectives", collectives, 4000, 0, end}};

int main(int argc, char **argv) {
    return test_main(argc, argv, cases, 1);
}
