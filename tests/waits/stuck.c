/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Programs that hang, or look as if they did: ordinary ones, which know nothing of Wavecut. Those that
 * end by themselves end with 0.
 *   stuck CASE [multiple]
 * multiple: with MPI_THREAD_MULTIPLE.
 */
#include <mpi.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int rank, ranks;

enum { LARGE = 1 << 20 }; /* bytes: more than any MPI sends eagerly */
static char large[LARGE];

/* Without a call of MPI. */
static void compute(void) {
    for (volatile unsigned long i = 0;; i++)
        if (i % 1024 == 0)
            usleep(1000);
}

static void receive(int source, int tag, MPI_Comm comm) {
    int n;
    MPI_Recv(&n, 1, MPI_INT, source, tag, comm, MPI_STATUS_IGNORE);
}

static void post(int dest, int tag, MPI_Comm comm) {
    MPI_Send(&rank, 1, MPI_INT, dest, tag, comm);
}

static void head_to_head(void) {
    receive(1 - rank, 3, MPI_COMM_WORLD);
}

/* Each sends to the next and receives from it, where it should receive from the one before. */
static void sendrecv(void) {
    int n, next = (rank + 1) % ranks;
    MPI_Sendrecv(&rank, 1, MPI_INT, next, 4, &n, 1, MPI_INT, next, 4, MPI_COMM_WORLD,
                 MPI_STATUS_IGNORE);
}

static void large_sends(void) {
    MPI_Send(large, LARGE, MPI_BYTE, (rank + 1) % ranks, 0, MPI_COMM_WORLD);
    MPI_Recv(large, LARGE, MPI_BYTE, (rank + ranks - 1) % ranks, 0, MPI_COMM_WORLD,
             MPI_STATUS_IGNORE);
}

/* All but the last wait for any of them; the last one is none of them. */
static void knot(void) {
    MPI_Comm some;
    int last = ranks - 1;
    MPI_Comm_split(MPI_COMM_WORLD, rank == last, 0, &some);
    if (rank == last)
        compute();
    receive(MPI_ANY_SOURCE, MPI_ANY_TAG, some);
}

/* Rank 0 waits for any, and the last one may still send. */
static void one_may_send(void) {
    if (rank == ranks - 1)
        compute();
    receive(rank ? 0 : MPI_ANY_SOURCE, 1, MPI_COMM_WORLD);
}

static void wait_for_two(int any) {
    int n[2], index;
    MPI_Request requests[2];
    if (rank == 2)
        compute();
    if (rank == 1)
        receive(0, 1, MPI_COMM_WORLD);
    MPI_Irecv(&n[0], 1, MPI_INT, 1, 1, MPI_COMM_WORLD, &requests[0]);
    MPI_Irecv(&n[1], 1, MPI_INT, 2, 1, MPI_COMM_WORLD, &requests[1]);
    if (any)
        MPI_Waitany(2, requests, &index, MPI_STATUS_IGNORE);
    else
        MPI_Waitall(2, requests, MPI_STATUSES_IGNORE);
}

static void all_of_two(void) {
    wait_for_two(0);
}

static void any_of_two(void) {
    wait_for_two(1);
}

static void wrong_tag(void) {
    if (rank == 0)
        post(1, 7, MPI_COMM_WORLD);
    if (rank == 2)
        MPI_Barrier(MPI_COMM_WORLD);
    receive(1 - rank, 8, MPI_COMM_WORLD);
}

static void wrong_comm(void) {
    MPI_Comm copy;
    MPI_Comm_dup(MPI_COMM_WORLD, &copy);
    if (rank == 0)
        post(1, 5, copy);
    receive(1 - rank, 5, MPI_COMM_WORLD);
}

/* One of the receives that were posted has taken the message, and nobody has asked for it. */
static void taken_by_another(void) {
    int n;
    MPI_Request request;
    if (rank == 0)
        MPI_Irecv(&n, 1, MPI_INT, 1, 6, MPI_COMM_WORLD, &request);
    MPI_Barrier(MPI_COMM_WORLD);
    if (rank == 1)
        post(0, 6, MPI_COMM_WORLD);
    receive(1 - rank, 6, MPI_COMM_WORLD);
}

static void barrier(void) {
    if (rank == 1)
        receive(0, 2, MPI_COMM_WORLD);
    MPI_Barrier(MPI_COMM_WORLD);
}

/* As the second collective, so that the first one is no hint. */
static void different(void) {
    static int from[1 << 14], to[1 << 14];
    MPI_Barrier(MPI_COMM_WORLD);
    if (rank == 1)
        MPI_Allgather(from, 1 << 12, MPI_INT, to, 1 << 12, MPI_INT, MPI_COMM_WORLD);
    else
        MPI_Allreduce(from, to, 1 << 14, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
}

static void nonblocking(void) {
    MPI_Request request;
    if (rank == 1)
        receive(0, 2, MPI_COMM_WORLD);
    MPI_Ibarrier(MPI_COMM_WORLD, &request);
    MPI_Wait(&request, MPI_STATUS_IGNORE);
}

static void make_comm(void) {
    MPI_Comm copy;
    if (rank == 0)
        compute();
    MPI_Comm_dup(MPI_COMM_WORLD, &copy);
}

/* One message by each kind of call, all received; then a receive for one too many. */
static void exchanged(void) {
    int n, other = 1 - rank, index;
    MPI_Request requests[2];
    MPI_Message message;
    MPI_Status status;
    MPI_Send_init(&rank, 1, MPI_INT, other, 1, MPI_COMM_WORLD, &requests[0]);
    MPI_Recv_init(&n, 1, MPI_INT, MPI_ANY_SOURCE, 1, MPI_COMM_WORLD, &requests[1]);
    MPI_Startall(2, requests);
    MPI_Waitall(2, requests, MPI_STATUSES_IGNORE);
    MPI_Isend(&rank, 1, MPI_INT, other, 2, MPI_COMM_WORLD, &requests[0]);
    MPI_Mprobe(MPI_ANY_SOURCE, 2, MPI_COMM_WORLD, &message, &status);
    MPI_Mrecv(&n, 1, MPI_INT, &message, MPI_STATUS_IGNORE);
    MPI_Waitany(1, requests, &index, MPI_STATUS_IGNORE);
    MPI_Isend(&rank, 1, MPI_INT, other, 3, MPI_COMM_WORLD, &requests[0]);
    MPI_Probe(other, MPI_ANY_TAG, MPI_COMM_WORLD, &status);
    receive(status.MPI_SOURCE, status.MPI_TAG, MPI_COMM_WORLD);
    MPI_Wait(&requests[0], MPI_STATUS_IGNORE);
    MPI_Sendrecv_replace(&n, 1, MPI_INT, other, 4, other, 4, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    MPI_Start(&requests[1]);
    MPI_Wait(&requests[1], MPI_STATUS_IGNORE);
}

static void open_file(void) {
    MPI_File file;
    MPI_File_open(MPI_COMM_SELF, "alone", MPI_MODE_CREATE | MPI_MODE_WRONLY, MPI_INFO_NULL, &file);
    MPI_File_close(&file);
    if (rank == 0)
        compute();
    MPI_File_open(MPI_COMM_WORLD, "all", MPI_MODE_CREATE | MPI_MODE_WRONLY, MPI_INFO_NULL, &file);
}

static void slow(void) {
    if (rank == 1)
        compute();
    receive((rank + 1) % ranks, 2, MPI_COMM_WORLD);
}

static void in_flight(void) {
    if (rank == 0)
        for (int i = 0; i < 3; i++)
            post(1, 5, MPI_COMM_WORLD);
    compute();
}

static void finalize(void) {
    if (rank == 0)
        receive(1, 2, MPI_COMM_WORLD);
}

static void polls(void) {
    int n, flag = 0;
    MPI_Request request;
    MPI_Irecv(&n, 1, MPI_INT, 1 - rank, 2, MPI_COMM_WORLD, &request);
    while (!flag)
        MPI_Test(&request, &flag, MPI_STATUS_IGNORE);
}

static void probes(void) {
    MPI_Status status;
    if (rank == 0)
        MPI_Probe(1, 2, MPI_COMM_WORLD, &status);
    receive(0, 2, MPI_COMM_WORLD);
}

/* In a frame of its own: what comes next on the stack overwrites the requests. */
__attribute__((noinline)) static void exchange(char *mine, int other, int tag) {
    MPI_Request requests[16];
    for (int i = 0; i < 8; i++) {
        MPI_Irecv(mine + i * 1024, 1024, MPI_BYTE, other, tag, MPI_COMM_WORLD, &requests[2 * i]);
        MPI_Isend(large, 1024, MPI_BYTE, other, tag, MPI_COMM_WORLD, &requests[2 * i + 1]);
    }
    MPI_Waitall(16, requests, MPI_STATUSES_IGNORE);
    for (int i = 0; i < 16; i++)
        ((volatile MPI_Request *)requests)[i] = (MPI_Request)(intptr_t)8;
}

/* Both in calls that wait at once, many times, and for ever at the end. */
static void *exchange_and_wait(void *tags) {
    int tag = *(const int *)tags, other = 1 - rank;
    char *mine = malloc(2 * LARGE);
    for (int i = 0; i < 400; i++) {
        exchange(mine, other, tag);
        MPI_Sendrecv(mine, LARGE, MPI_BYTE, other, tag, mine + LARGE, LARGE, MPI_BYTE, other, tag,
                     MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    }
    free(mine);
    receive(other, tag, MPI_COMM_WORLD);
    return NULL;
}

static void two_threads(void) {
    static const int tags[2] = {1, 2};
    pthread_t other;
    pthread_create(&other, NULL, exchange_and_wait, (void *)&tags[0]);
    exchange_and_wait((void *)&tags[1]);
    pthread_join(other, NULL);
}

/* Many messages of all kinds, until a file is there. */
static void busy(void) {
    int next = (rank + 1) % ranks, before = (rank + ranks - 1) % ranks, n[2], all = 0;
    for (int i = 0; !all; i++) {
        int there = i % 64 == 0 && access("enough", F_OK) == 0;
        MPI_Request requests[2];
        MPI_Comm copy;
        MPI_Irecv(&n[0], 1, MPI_INT, before, i % 5, MPI_COMM_WORLD, &requests[0]);
        MPI_Isend(&rank, 1, MPI_INT, next, i % 5, MPI_COMM_WORLD, &requests[1]);
        MPI_Waitall(2, requests, MPI_STATUSES_IGNORE);
        if (i % 64 == 0)
            MPI_Allreduce(&there, &all, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
        MPI_Sendrecv(&rank, 1, MPI_INT, next, 9, &n[1], 1, MPI_INT, MPI_ANY_SOURCE, 9,
                     MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        MPI_Comm_dup(MPI_COMM_WORLD, &copy);
        MPI_Barrier(copy);
        MPI_Comm_free(&copy);
        if (n[0] != before || n[1] != before)
            MPI_Abort(MPI_COMM_WORLD, 9);
    }
}

static const struct {
    const char *name;
    void (*run)(void);
} cases[] = {{"head_to_head", head_to_head},
             {"sendrecv", sendrecv},
             {"large_sends", large_sends},
             {"knot", knot},
             {"one_may_send", one_may_send},
             {"all_of_two", all_of_two},
             {"any_of_two", any_of_two},
             {"wrong_tag", wrong_tag},
             {"wrong_comm", wrong_comm},
             {"taken_by_another", taken_by_another},
             {"barrier", barrier},
             {"different", different},
             {"nonblocking", nonblocking},
             {"make_comm", make_comm},
             {"exchanged", exchanged},
             {"open_file", open_file},
             {"slow", slow},
             {"in_flight", in_flight},
             {"finalize", finalize},
             {"polls", polls},
             {"probes", probes},
             {"two_threads", two_threads},
             {"busy", busy}};

int main(int argc, char **argv) {
    int level;
    if (argc > 2 && strcmp(argv[2], "multiple") == 0)
        MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &level);
    else
        MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (argc > 1 && strcmp(argv[1], cases[i].name) == 0) {
            cases[i].run();
            MPI_Finalize();
            return 0;
        }
    fprintf(stderr, "stuck: which case?\n");
    MPI_Abort(MPI_COMM_WORLD, 2);
    return 2;
}
