/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages of all sizes: from nothing to more than an int can count. Above 1 GiB only with TESTS_FULL. */
#include "common.h"

#include <stdint.h>
#include <stdlib.h>

static const size_t sizes[] = {
    0, 1, 8, 1000, 4096, 4097, 65536, 65537, 1000003, 1 << 24, ((size_t)1 << 30) + 12345};
enum { SIZES = sizeof sizes / sizeof *sizes, PART = 1 << 20 };
static const size_t huge = ((size_t)9 << 28) + 12345; /* more than INT_MAX */

static unsigned char *in, *out;

/* Megabytes of 1 GiB and a rest: a datatype counts what an int can't. */
static MPI_Datatype make_type(size_t bytes) {
    MPI_Datatype part, type, types[2];
    int lengths[2] = {(int)(bytes / PART), (int)(bytes % PART)};
    MPI_Aint places[2] = {0, (MPI_Aint)(bytes / PART * PART)};
    MPI_Type_contiguous(PART, MPI_BYTE, &part);
    types[0] = part;
    types[1] = MPI_BYTE;
    MPI_Type_create_struct(2, lengths, places, types, &type);
    MPI_Type_commit(&type);
    MPI_Type_free(&part);
    return type;
}

/* Rank 1 has the receive posted, looks for the message first, or comes late, by turns. */
static void exchange(size_t bytes, int way) {
    MPI_Datatype type = make_type(bytes);
    MPI_Request request = MPI_REQUEST_NULL;
    MPI_Status status;
    MPI_Count elements;
    if (test.rank == 0) {
        test_fill(out, bytes, test_seed(0, 0));
        test_ask();
        MPI_Send(out, 1, type, 1, 1, MPI_COMM_WORLD);
    } else {
        if (way == 0)
            MPI_Irecv(in, 1, type, 0, 1, MPI_COMM_WORLD, &request);
        test_ask();
        for (int i = 0; i < way * 10; i++)
            test_idle();
        if (way == 1) {
            MPI_Probe(0, MPI_ANY_TAG, MPI_COMM_WORLD, &status);
            MPI_Get_elements_x(&status, MPI_BYTE, &elements);
            CHECK_EQUAL(elements, bytes);
        }
        if (way > 0)
            MPI_Irecv(in, 1, type, 0, 1, MPI_COMM_WORLD, &request);
        MPI_Wait(&request, &status);
        MPI_Get_elements_x(&status, MPI_BYTE, &elements);
        CHECK_EQUAL(elements, bytes);
        CHECK(status.MPI_SOURCE == 0 && status.MPI_TAG == 1);
        CHECK(test_is_filled(in, bytes, test_seed(0, 0)));
    }
    MPI_Type_free(&type);
}

static void reserve(size_t bytes) {
    if (!in) {
        in = malloc(bytes);
        out = malloc(bytes);
    }
    CHECK(in && out);
}

static void ordinary(int round) {
    reserve(sizes[SIZES - 2]);
    exchange(sizes[round % (SIZES - 1)], round / (SIZES - 1) % 3);
}

static void giant(int round) {
    reserve(huge);
    exchange(round % 2 ? huge : sizes[SIZES - 1], round % 3);
}

static void release(void) {
    free(in);
    free(out);
    in = out = NULL;
}

static const test_case cases[] = {
    {"ordinary", ordinary, 31, 0, release},
    {"giant", giant, 4, 0, release},
};

int main(int argc, char **argv) {
    return test_main(argc, argv, cases, getenv("TESTS_FULL") ? 2 : 1);
}
