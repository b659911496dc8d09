/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The sparse exchange by Issend, Iprobe and Ibarrier (Hoefler, Siebert, Lumsdaine: Scalable Communication Protocols for
 * Dynamic Sparse Data Exchange, 2010): a rank knows whom it sends to, nobody knows who sends to him, and a barrier that is
 * entered when one's own messages are received tells when all are. If a synchronous send completes too early, messages are
 * lost.
 */
#include "common.h"

#include <stdint.h>

enum { RANKS = 16 };

static uint32_t mix(uint32_t round, int from, int to) {
    uint32_t h = round * 0x9E3779B9u ^ (uint32_t)from * 0x85EBCA6Bu ^ (uint32_t)to * 0xC2B2AE35u;
    h = (h ^ h >> 15) * 0x2C1B3C6Du;
    return h ^ h >> 13;
}

static bool sends(int round, int from, int to) {
    return mix((uint32_t)round, from, to) % 3 == 0;
}

static int bytes_of(int round, int from, int to) {
    return mix((uint32_t)round, to, from) % 40 == 0 ? 100000 : 8;
}

static char in[100000], out[RANKS][100000];

static int receive_some(int round, int tag) {
    int flag;
    MPI_Status status = {0}; /* MPICH's Iprobe doesn't say that nothing was cancelled */
    MPI_Iprobe(MPI_ANY_SOURCE, tag, MPI_COMM_WORLD, &flag, &status);
    if (!flag)
        return 0;
    int from = status.MPI_SOURCE, bytes = bytes_of(round, from, test.rank);
    CHECK(sends(round, from, test.rank));
    CHECK(test_status_is(&status, from, tag, bytes));
    MPI_Recv(in, bytes, MPI_BYTE, from, tag, MPI_COMM_WORLD, &status);
    CHECK(test_status_is(&status, from, tag, bytes));
    CHECK(test_is_filled(in, (size_t)bytes, (unsigned)(round + from)));
    return 1;
}

/* A fast rank may be a round ahead, never two: two tags are enough. */
static void sparse(int round) {
    MPI_Request requests[RANKS], barrier = MPI_REQUEST_NULL;
    MPI_Status statuses[RANKS];
    int n = 0, got = 0, expected = 0, done = 0, tag = 1 + round % 2;
    for (int r = 0; r < test.ranks; r++) {
        expected += sends(round, r, test.rank);
        if (!sends(round, test.rank, r))
            continue;
        int bytes = bytes_of(round, test.rank, r);
        test_fill(out[r], (size_t)bytes, (unsigned)(round + test.rank));
        MPI_Issend(out[r], bytes, MPI_BYTE, r, tag, MPI_COMM_WORLD, &requests[n++]);
    }
    while (!done) {
        got += receive_some(round, tag);
        if (barrier != MPI_REQUEST_NULL) {
            MPI_Test(&barrier, &done, MPI_STATUS_IGNORE);
            continue;
        }
        int all;
        MPI_Testall(n, requests, &all, statuses);
        if (all)
            MPI_Ibarrier(MPI_COMM_WORLD, &barrier);
    }
    CHECK_EQUAL(got, expected);
}

static const test_case cases[] = {{"sparse", sparse, 3000, 0, NULL}};

int main(int argc, char **argv) {
    return test_main(argc, argv, cases, 1);
}
