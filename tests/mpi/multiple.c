/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * MPI_THREAD_MULTIPLE: two ranks of several threads that all communicate at once. Between two rounds they meet, and the main thread
 * passes the safe point while the others are in no call of MPI. Each message says who has sent it and is expected once.
 */
#include "common.h"

#include <wavecut.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    THREADS = 4, /* with the main thread */
    SHARED_TAG = 50,
    POOL = 8,    /* messages of each thread to the pool in a round */
    LAG = 3,     /* so many messages at most are on the way at a safe point */
    SMALL = 200, /* bytes at most: a send of so few ends by itself */
    WORDS = 3    /* of a head */
};

typedef struct thread {
    int number;
    pthread_t id;
    unsigned random;
    MPI_Comm comm;      /* of its own */
    int sent, received; /* of the pairs */
    char *in, *out;     /* [BIG] */
} thread;

static thread threads[THREADS];
static pthread_barrier_t meeting;
static void (*task)(thread *); /* of this round; NULL: it is over */
static MPI_Comm shared;
static atomic_int pool_got[THREADS]; /* of the peer's thread: how many of its messages, as a set */
static atomic_ulong pool_set[THREADS];

static unsigned choose(thread *t, unsigned n) {
    t->random ^= t->random << 13;
    t->random ^= t->random >> 17;
    t->random ^= t->random << 5;
    return t->random % n;
}

static void meet(void) {
    pthread_barrier_wait(&meeting);
}

static void *serve(void *argument) {
    for (;;) {
        meet();
        if (!task)
            return NULL;
        task(argument);
        meet();
    }
}

static void do_nothing(thread *t) {
    (void)t;
}

/* All threads do it, and are back. */
static void together(void (*what)(thread *)) {
    task = what;
    meet();
    what(&threads[0]);
    meet();
}

/* ---- messages ---- */

/* The next one of a thread is as long as both sides know. */
static int bytes_of(const thread *t, int number) {
    unsigned x = (unsigned)(t->number * 7919 + number * 104729);
    return WORDS * (int)sizeof(int) + (int)(x % SMALL);
}

static void compose(char *buffer, int bytes, int sender, int number) {
    const int head[WORDS] = {test.rank, sender, number};
    test_fill(buffer, (size_t)bytes, (unsigned)(sender * 31 + number));
    memcpy(buffer, head, sizeof head);
}

static void check(const char *buffer, int bytes, int sender, int number) {
    int head[WORDS];
    char *expected = malloc((size_t)bytes);
    memcpy(head, buffer, sizeof head);
    CHECK_EQUAL(head[0], test.peer);
    CHECK_EQUAL(head[1], sender);
    CHECK_EQUAL(head[2], number);
    test_fill(expected, (size_t)bytes, (unsigned)(sender * 31 + number));
    CHECK(memcmp(buffer + sizeof head, expected + sizeof head, (size_t)bytes - sizeof head) == 0);
    free(expected);
}

/* ---- pairs: each thread with its counterpart, on one communicator, by tags ---- */

/* One message, in one way or another, of those whose send ends by itself. */
static void send_next(thread *t) {
    MPI_Request request;
    int bytes = bytes_of(t, t->sent);
    compose(t->out, bytes, t->number, t->sent++);
    switch (choose(t, 3)) {
    case 0:
        MPI_Send(t->out, bytes, MPI_BYTE, test.peer, t->number, MPI_COMM_WORLD);
        return;
    case 1:
        MPI_Isend(t->out, bytes, MPI_BYTE, test.peer, t->number, MPI_COMM_WORLD, &request);
        MPI_Wait(&request, MPI_STATUS_IGNORE);
        return;
    default:
        MPI_Isend(t->out, bytes, MPI_BYTE, test.peer, t->number, MPI_COMM_WORLD, &request);
        MPI_Waitall(1, &request, MPI_STATUSES_IGNORE);
    }
}

static void receive_in_one_way(thread *t, MPI_Status *status) {
    MPI_Request request;
    int flag = 0, index;
    switch (choose(t, 6)) {
    case 0:
        MPI_Recv(t->in, BIG, MPI_BYTE, test.peer, t->number, MPI_COMM_WORLD, status);
        return;
    case 1:
        MPI_Probe(MPI_ANY_SOURCE, t->number, MPI_COMM_WORLD, status);
        MPI_Recv(t->in, BIG, MPI_BYTE, status->MPI_SOURCE, t->number, MPI_COMM_WORLD, status);
        return;
    case 2:
        while (!flag)
            MPI_Iprobe(test.peer, t->number, MPI_COMM_WORLD, &flag, status);
        break;
    default:;
    }
    MPI_Irecv(t->in, BIG, MPI_BYTE, choose(t, 2) ? MPI_ANY_SOURCE : test.peer, t->number,
              MPI_COMM_WORLD, &request);
    switch (choose(t, 4)) {
    case 0:
        MPI_Wait(&request, status);
        return;
    case 1:
        for (flag = 0; !flag;)
            MPI_Test(&request, &flag, status);
        return;
    case 2:
        MPI_Waitany(1, &request, &index, status);
        return;
    default:
        MPI_Waitall(1, &request, status);
    }
}

static void receive_next(thread *t) {
    MPI_Status status;
    int bytes = bytes_of(t, t->received);
    receive_in_one_way(t, &status);
    CHECK(test_status_is(&status, test.peer, t->number, bytes));
    check(t->in, bytes, t->number, t->received++);
}

/* A large one each way, at the same time. */
static void exchange(thread *t) {
    MPI_Request requests[2];
    MPI_Status statuses[2];
    int tag = THREADS + t->number;
    compose(t->out, BIG, t->number, test.round);
    switch (choose(t, 3)) {
    case 0:
        MPI_Irecv(t->in, BIG, MPI_BYTE, test.peer, tag, MPI_COMM_WORLD, &requests[0]);
        MPI_Isend(t->out, BIG, MPI_BYTE, test.peer, tag, MPI_COMM_WORLD, &requests[1]);
        MPI_Waitall(2, requests, statuses);
        break;
    case 1:
        MPI_Sendrecv(t->out, BIG, MPI_BYTE, test.peer, tag, t->in, BIG, MPI_BYTE, test.peer, tag,
                     MPI_COMM_WORLD, &statuses[0]);
        break;
    default:
        MPI_Recv_init(t->in, BIG, MPI_BYTE, test.peer, tag, MPI_COMM_WORLD, &requests[0]);
        MPI_Send_init(t->out, BIG, MPI_BYTE, test.peer, tag, MPI_COMM_WORLD, &requests[1]);
        MPI_Startall(2, requests);
        MPI_Waitall(2, requests, statuses);
        MPI_Request_free(&requests[0]);
        MPI_Request_free(&requests[1]);
    }
    CHECK(test_status_is(&statuses[0], test.peer, tag, BIG));
    check(t->in, BIG, t->number, test.round);
}

/* What is sent in a round is received in it, but for some that wait: so channels are full at safe points. */
static void do_pairs(thread *t) {
    int target = (test.round + 1) * 10, lag = (test.round * 5 + t->number) % (LAG + 1);
    while (t->sent < target || t->received < target - lag) {
        /* Never both sides wait: one of them has sent what the other one waits for. */
        bool may_receive = t->received < target - lag && t->received < t->sent;
        if (t->sent < target && !(may_receive && choose(t, 2)))
            send_next(t);
        else
            receive_next(t);
    }
    if (test.round % 4 == t->number)
        sched_yield();
    if ((test.round + t->number) % 3 == 0)
        exchange(t);
}

static void pairs(int round) {
    for (int i = 0; i < THREADS && round == 0; i++)
        threads[i].sent = threads[i].received = 0;
    together(do_pairs);
}

static void receive_rest(thread *t) {
    while (t->received < t->sent)
        receive_next(t);
}

static unsigned long long committed_before;

static unsigned long long committed(void) {
    wavecut_info info = {0};
    if (test.kind != TEST_PLAIN)
        wavecut_status_get(&info);
    return info.committed;
}

/* The figures of the peer's threads are those of this rank: both do the same rounds. */
static void end_pairs(void) {
    together(receive_rest);
    CHECK(test.kind == TEST_PLAIN || committed() > committed_before);
    committed_before = committed();
}

/* ---- pool: whoever asks first gets what comes, by wildcards, on one communicator ---- */

static void got(const char *buffer, const MPI_Status *status) {
    int head[WORDS], bytes;
    MPI_Get_count(status, MPI_BYTE, &bytes);
    memcpy(head, buffer, sizeof head);
    int sender = head[1], number = head[2];
    CHECK_EQUAL(status->MPI_TAG, SHARED_TAG + sender);
    CHECK(sender >= 0 && sender < THREADS && number / POOL == test.round);
    check(buffer, bytes, sender, number);
    unsigned long bit = 1ul << (number % POOL);
    CHECK(!(atomic_fetch_or(&pool_set[sender], bit) & bit));
    atomic_fetch_add(&pool_got[sender], 1);
}

static void do_pool(thread *t) {
    MPI_Request requests[POOL];
    MPI_Status status;
    enum { ROOM = SMALL + WORDS * sizeof(int) };
    char *out = t->out;
    for (int i = 0; i < POOL; i++, out += ROOM) {
        int number = test.round * POOL + i, bytes = bytes_of(t, number);
        compose(out, bytes, t->number, number);
        MPI_Isend(out, bytes, MPI_BYTE, test.peer, SHARED_TAG + t->number, shared, &requests[i]);
    }
    for (int i = 0; i < POOL; i++) {
        MPI_Request request;
        int flag = 0;
        if (choose(t, 2)) {
            MPI_Recv(t->in, ROOM, MPI_BYTE, MPI_ANY_SOURCE, MPI_ANY_TAG, shared, &status);
        } else {
            MPI_Irecv(t->in, ROOM, MPI_BYTE, MPI_ANY_SOURCE, MPI_ANY_TAG, shared, &request);
            while (!flag)
                MPI_Test(&request, &flag, &status);
        }
        got(t->in, &status);
    }
    MPI_Waitall(POOL, requests, MPI_STATUSES_IGNORE);
}

static void pool(int round) {
    (void)round;
    for (int i = 0; i < THREADS; i++) {
        atomic_store(&pool_got[i], 0);
        atomic_store(&pool_set[i], 0);
    }
    together(do_pool);
    for (int i = 0; i < THREADS; i++)
        CHECK_EQUAL(atomic_load(&pool_got[i]), POOL);
}

/* ---- collectives: of each thread, on its own communicator, while others send ---- */

static void do_collectives(thread *t) {
    int value = t->number + test.round, sum = 0, all[2];
    for (int i = 0; i < 3; i++) {
        switch (((unsigned)test.round + (unsigned)t->number + (unsigned)i) % 4) {
        case 0:
            MPI_Allreduce(&value, &sum, 1, MPI_INT, MPI_SUM, t->comm);
            CHECK_EQUAL(sum, 2 * value);
            break;
        case 1:
            MPI_Barrier(t->comm);
            break;
        case 2:
            sum = test.rank ? -1 : value;
            MPI_Bcast(&sum, 1, MPI_INT, 0, t->comm);
            CHECK_EQUAL(sum, value);
            break;
        default:
            value = value * 2 + test.rank;
            MPI_Allgather(&value, 1, MPI_INT, all, 1, MPI_INT, t->comm);
            CHECK_EQUAL(all[test.peer] - test.peer, all[test.rank] - test.rank);
            value = (value - test.rank) / 2;
        }
    }
    if (t->number % 2)
        exchange(t);
}

static void collectives(int round) {
    (void)round;
    together(do_collectives);
}

#ifdef OPEN_MPI

/* ---- files: some threads read and write with their counterparts, others send ---- */

static void do_files(thread *t) {
    MPI_File file;
    char name[32];
    int own = test.round * 100 + t->number * 10 + test.rank, other = -1;
    if (t->number % 2) {
        exchange(t);
        return;
    }
    snprintf(name, sizeof name, "file-%d", t->number);
    MPI_File_open(t->comm, name, MPI_MODE_CREATE | MPI_MODE_RDWR, MPI_INFO_NULL, &file);
    MPI_File_write_at_all(file, test.rank * (MPI_Offset)sizeof own, &own, 1, MPI_INT,
                          MPI_STATUS_IGNORE);
    MPI_File_sync(file);
    MPI_Barrier(t->comm);
    MPI_File_read_at(file, test.peer * (MPI_Offset)sizeof own, &other, 1, MPI_INT,
                     MPI_STATUS_IGNORE);
    MPI_File_close(&file);
    CHECK_EQUAL(other, own - test.rank + test.peer);
}

static void files(int round) {
    (void)round;
    together(do_files);
}

#endif

/* ---- blocked: one thread is in a barrier, and others wait until it is out of it; for that a large message must come through ---- */

static struct {
    pthread_barrier_t posted;
    pthread_mutex_t lock;
    pthread_cond_t left;
    int rounds; /* in which the thread has left the barrier */
} blocked = {.lock = PTHREAD_MUTEX_INITIALIZER, .left = PTHREAD_COND_INITIALIZER};

static void wait_until_left(int round) {
    pthread_mutex_lock(&blocked.lock);
    while (blocked.rounds <= round)
        pthread_cond_wait(&blocked.left, &blocked.lock);
    pthread_mutex_unlock(&blocked.lock);
}

static void leave(int round) {
    pthread_mutex_lock(&blocked.lock);
    blocked.rounds = round + 1;
    pthread_cond_broadcast(&blocked.left);
    pthread_mutex_unlock(&blocked.lock);
}

/* The rank that waits: a receive is posted, and its thread comes back to MPI only after the barrier. */
static void do_blocked_receiver(thread *t) {
    MPI_Request request;
    MPI_Status status;
    int tag = THREADS + t->number;
    if (t->number == 0) {
        pthread_barrier_wait(&blocked.posted);
        MPI_Barrier(t->comm);
        leave(test.round);
        return;
    }
    MPI_Irecv(t->in, BIG, MPI_BYTE, t->number % 2 ? test.peer : MPI_ANY_SOURCE, tag, MPI_COMM_WORLD,
              &request);
    pthread_barrier_wait(&blocked.posted);
    wait_until_left(test.round);
    MPI_Wait(&request, &status);
    CHECK(test_status_is(&status, test.peer, tag, BIG));
    check(t->in, BIG, t->number, test.round);
}

/* The rank for which it waits: the barrier comes after its messages, which end when they are received. */
static void do_blocked_sender(thread *t) {
    if (t->number) {
        compose(t->out, BIG, t->number, test.round);
        MPI_Ssend(t->out, BIG, MPI_BYTE, test.peer, THREADS + t->number, MPI_COMM_WORLD);
    }
    pthread_barrier_wait(&blocked.posted);
    if (t->number == 0)
        MPI_Barrier(t->comm);
}

static void run_blocked(int round) {
    if (round == 0)
        blocked.rounds = 0;
    together(round % 2 == test.rank ? do_blocked_receiver : do_blocked_sender);
}

/* ---- elsewhere: a thread is inside a call at the safe point ---- */

enum { ELSEWHERE_TAG = 99 };

static const char *const elsewhere_calls[] = {"MPI_Recv", "MPI_Wait", "MPI_Probe", "MPI_Barrier",
                                              "MPI_Ssend"};

/* Waits for the peer's main thread. */
static void do_elsewhere(thread *t) {
    MPI_Request request;
    int empty = 0;
    if (t->number != 1)
        return;
    switch (test.round % 5) {
    case 0:
        MPI_Recv(&empty, 1, MPI_INT, test.peer, ELSEWHERE_TAG, t->comm, MPI_STATUS_IGNORE);
        return;
    case 1:
        MPI_Irecv(&empty, 1, MPI_INT, MPI_ANY_SOURCE, MPI_ANY_TAG, t->comm, &request);
        MPI_Wait(&request, MPI_STATUS_IGNORE);
        return;
    case 2:
        MPI_Probe(MPI_ANY_SOURCE, ELSEWHERE_TAG, t->comm, MPI_STATUS_IGNORE);
        MPI_Recv(&empty, 1, MPI_INT, test.peer, ELSEWHERE_TAG, t->comm, MPI_STATUS_IGNORE);
        return;
    case 3:
        MPI_Barrier(t->comm);
        return;
    default:
        MPI_Ssend(&empty, 1, MPI_INT, test.peer, ELSEWHERE_TAG, t->comm);
    }
}

/* What the thread waits for. */
static void let_go(void) {
    MPI_Comm comm = threads[1].comm;
    int empty = 0;
    if (test.round % 5 == 3)
        MPI_Barrier(comm);
    else if (test.round % 5 == 4)
        MPI_Recv(&empty, 1, MPI_INT, test.peer, ELSEWHERE_TAG, comm, MPI_STATUS_IGNORE);
    else
        MPI_Send(&empty, 1, MPI_INT, test.peer, ELSEWHERE_TAG, comm);
}

/* Was the last attempt void for that reason? The other rank of an immediate program may wait in vain for the collective first. */
static bool is_void(const char *call) {
    wavecut_info info = {0};
    wavecut_status_get(&info);
    const char *found =
        strstr(info.last_reason, "was at its safe point while another thread of it was inside: ");
    bool named = found && strcmp(strchr(found, ':') + 2, call) == 0;
    return named || (test.kind == TEST_IMMEDIATE && strcmp(call, "MPI_Barrier") == 0 &&
                     strstr(info.last_reason, "waited for a collective that did not come"));
}

static void expect_void(const char *call) {
    for (int over = test.kind == TEST_PLAIN; !over;) {
        test_safepoint();
        CHECK(wavecut_request() == WAVECUT_OK);
        over = is_void(call);
        MPI_Allreduce(MPI_IN_PLACE, &over, 1, MPI_INT, MPI_LAND, MPI_COMM_WORLD);
    }
}

/* The thread of one rank waits; the main thread of the other one lets it go. */
static void elsewhere(int round) {
    bool waits = round / 5 % 2 == test.rank;
    MPI_Barrier(MPI_COMM_WORLD);
    task = waits ? do_elsewhere : do_nothing;
    meet();
    expect_void(elsewhere_calls[round % 5]);
    if (!waits)
        let_go();
    meet();
}

static const test_case cases[] = {{"pairs", pairs, 400, 0, end_pairs},
                                  {"pool", pool, 400, 0, NULL},
                                  {"collectives", collectives, 120, 0, NULL},
#ifdef OPEN_MPI /* MPICH 4.0 itself does not come back */
                                  {"files", files, 120, 0, NULL},
#endif
                                  {"blocked", run_blocked, 400, 0, NULL},
                                  {"elsewhere", elsewhere, 80, 0, NULL}};

int main(int argc, char **argv) {
    int provided;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &provided);
    if (provided < MPI_THREAD_MULTIPLE)
        test_fail(__FILE__, __LINE__, "MPI_THREAD_MULTIPLE is not there");
    MPI_Comm_dup(MPI_COMM_WORLD, &shared);
    pthread_barrier_init(&meeting, NULL, THREADS);
    pthread_barrier_init(&blocked.posted, NULL, THREADS);
    for (int i = 0; i < THREADS; i++) {
        threads[i] =
            (thread){.number = i, .random = (unsigned)i + 1, .in = malloc(BIG), .out = malloc(BIG)};
        MPI_Comm_dup(MPI_COMM_WORLD, &threads[i].comm);
        if (i)
            pthread_create(&threads[i].id, NULL, serve, &threads[i]);
    }
    int rc = test_main(argc, argv, cases, sizeof cases / sizeof *cases);
    task = NULL;
    meet();
    for (int i = 1; i < THREADS; i++)
        pthread_join(threads[i].id, NULL);
    return rc;
}
