/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * MPI_THREAD_SERIALIZED: two threads take turns in MPI, with the same requests; a receive that one has posted the other waits
 * for, and a record may come in calls of either.
 */
#include "common.h"

#include <pthread.h>

enum { BYTES = 1000, TAG = 3 };

typedef void work(int round);

/* What the other thread is to do; NULL: nothing, it waits. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    work *what;
    int round;
    bool over;
} other = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static char in[2][BYTES], out[2][BYTES];
static MPI_Request requests[2];

static void *serve(void *unused) {
    pthread_mutex_lock(&other.lock);
    while (!other.over) {
        if (other.what) {
            other.what(other.round);
            other.what = NULL;
            pthread_cond_broadcast(&other.changed);
        }
        pthread_cond_wait(&other.changed, &other.lock);
    }
    pthread_mutex_unlock(&other.lock);
    return unused;
}

static void on_other_thread(work *what, int round) {
    pthread_mutex_lock(&other.lock);
    other.what = what;
    other.round = round;
    pthread_cond_broadcast(&other.changed);
    while (other.what)
        pthread_cond_wait(&other.changed, &other.lock);
    pthread_mutex_unlock(&other.lock);
}

static void in_turn(work *what, int round, int step) {
    if ((round + step) % 2)
        on_other_thread(what, round);
    else
        what(round);
}

static void post(int round) {
    (void)round;
    MPI_Irecv(in[0], BYTES, MPI_BYTE, test.peer, TAG, MPI_COMM_WORLD, &requests[0]);
}

static void send(int round) {
    test_fill(out[0], BYTES, test_seed(test.rank, round));
    MPI_Isend(out[0], BYTES, MPI_BYTE, test.peer, TAG, MPI_COMM_WORLD, &requests[1]);
}

static void wait_both(int round) {
    MPI_Status statuses[2];
    MPI_Waitall(2, requests, statuses);
    CHECK(test_status_is(&statuses[0], test.peer, TAG, BYTES));
    CHECK(test_is_filled(in[0], BYTES, test_seed(test.peer, round)));
}

static void send_more(int round) {
    test_fill(out[1], BYTES, test_seed(test.rank, round + 1));
    MPI_Isend(out[1], BYTES, MPI_BYTE, test.peer, TAG + 1, MPI_COMM_WORLD, &requests[1]);
}

static void receive(int round) {
    MPI_Status status;
    MPI_Recv(in[1], BYTES, MPI_BYTE, MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &status);
    CHECK(test_status_is(&status, test.peer, TAG + 1, BYTES));
    CHECK(test_is_filled(in[1], BYTES, test_seed(test.peer, round + 1)));
}

static void wait_send(int round) {
    (void)round;
    MPI_Wait(&requests[1], MPI_STATUS_IGNORE);
}

static void meet(int round) {
    int sum;
    MPI_Allreduce(&round, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    CHECK_EQUAL(sum, 2 * round);
}

static void turns(int round) {
    static work *const works[] = {post, send, wait_both, send_more, receive, wait_send};
    for (int i = 0; i < (int)(sizeof works / sizeof *works); i++)
        in_turn(works[i], round / 2, i + (round & 1));
    if (round % 5 == 0)
        in_turn(meet, round, 0);
}

static const test_case cases[] = {{"turns", turns, 4000, 0, NULL}};

int main(int argc, char **argv) {
    int provided;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_SERIALIZED, &provided);
    if (provided < MPI_THREAD_SERIALIZED)
        test_fail(__FILE__, __LINE__, "MPI_THREAD_SERIALIZED is not there");
    pthread_create(&other.thread, NULL, serve, NULL);
    int rc = test_main(argc, argv, cases, 1);
    pthread_mutex_lock(&other.lock);
    other.over = true;
    pthread_cond_broadcast(&other.changed);
    pthread_mutex_unlock(&other.lock);
    pthread_join(other.thread, NULL);
    return rc;
}
