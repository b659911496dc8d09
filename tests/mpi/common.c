/* SPDX-License-Identifier: BSD-3-Clause */
#include "common.h"

#include <wavecut.h>

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    LIMIT_S = 40, /* of one case: then it hangs */
    UNUSED_TAG = 12345,
    LEAST = 2 /* attempts that must end during a case */
};

test_state test = {.name = "begin"};
static int state[4096]; /* protected */

void test_fail(const char *file, int line, const char *format, ...) {
    const char *base = strrchr(file, '/');
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fprintf(stderr, "%s:%d: rank %d, %s, round %d: %s\n", base ? base + 1 : file, line, test.rank,
            test.name, test.round, text);
    MPI_Abort(MPI_COMM_WORLD, 1);
    abort();
}

static void on_alarm(int signal) {
    char text[256];
    (void)signal;
    int n = snprintf(text, sizeof text, "rank %d, %s, round %d: hangs\n", test.rank, test.name,
                     test.round);
    if (write(2, text, (size_t)n) == n && getenv("TEST_HANGS"))
        pause(); /* to be looked at with a debugger */
    _exit(1);
}

/* Sets the limit for what follows. */
static void limit(void) {
    alarm(getenv("TESTS_FULL") ? 25 * LIMIT_S : LIMIT_S);
}

/* ---- snapshots ---- */

static wavecut_info info(void) {
    wavecut_info i = {0};
    if (test.kind != TEST_PLAIN)
        CHECK(wavecut_status_get(&i) == WAVECUT_OK);
    return i;
}

unsigned long long test_attempts(void) {
    wavecut_info i = info();
    return i.committed + i.voided + i.failed;
}

bool test_in_progress(void) {
    return info().in_progress;
}

double test_last_record(void) {
    return info().stall_s;
}

/* In every other round at once, so that attempts follow each other without a gap; in the others when none is under way, so
 * that there are gaps. */
void test_ask(void) {
    if (test.kind != TEST_PLAIN && (test.round % 2 || !info().in_progress))
        CHECK(wavecut_request() == WAVECUT_OK);
}

void test_idle(void) {
    int flag;
    MPI_Iprobe(MPI_ANY_SOURCE, UNUSED_TAG, MPI_COMM_WORLD, &flag, MPI_STATUS_IGNORE);
    CHECK(!flag);
}

void test_safepoint(void) {
    state[test.round & 4095]++;
    if (test.kind != TEST_PLAIN)
        CHECK(wavecut_safepoint() == WAVECUT_OK);
}

/* What a case has done must not stand in the way of the next snapshots: all ranks wait for one. Only immediate programs may
 * pass safe points without counting. */
void test_expect_snapshot(void) {
    unsigned long long mine = info().committed, most, least = 0;
    MPI_Allreduce(&mine, &most, 1, MPI_UNSIGNED_LONG_LONG, MPI_MAX, MPI_COMM_WORLD);
    unsigned long long attempts = test_attempts();
    while (least <= most) {
        test_safepoint();
        test_ask();
        test_idle();
        least = info().committed;
        if (test.kind == TEST_ALIGNED)
            MPI_Allreduce(MPI_IN_PLACE, &least, 1, MPI_UNSIGNED_LONG_LONG, MPI_MIN, MPI_COMM_WORLD);
        if (test_attempts() > attempts + 100)
            test_fail(__FILE__, __LINE__, "no snapshot can be taken any more: %s",
                      info().last_reason);
    }
}

void test_expect_void(const char *call) {
    unsigned long long attempts = test_attempts();
    for (int enough = test.kind == TEST_PLAIN; !enough;) {
        test_safepoint();
        test_ask();
        test_idle();
        enough = test_attempts() > attempts + 3;
        MPI_Allreduce(MPI_IN_PLACE, &enough, 1, MPI_INT, MPI_LAND, MPI_COMM_WORLD);
    }
    if (test.kind != TEST_PLAIN && !strstr(info().last_reason, call))
        test_fail(__FILE__, __LINE__, "void because of \"%s\", expected %s", info().last_reason,
                  call);
}

/* ---- cases ---- */

static void run_round(const test_case *c) {
    test_safepoint();
    if (!(c->flags & TEST_ASKS_ITSELF))
        test_ask();
    c->run(test.round);
    test.round++;
}

static bool enough(unsigned long long before) {
    int yes = test.kind == TEST_PLAIN || test_attempts() - before >= LEAST;
    MPI_Allreduce(MPI_IN_PLACE, &yes, 1, MPI_INT, MPI_LAND, MPI_COMM_WORLD);
    return yes;
}

static void run_case(const test_case *c, int percent) {
    int rounds = c->rounds * percent / 100 + 2;
    wavecut_info before = info();
    unsigned long long attempts = test_attempts();
    limit();
    test.name = c->name;
    for (test.round = 0; test.round < rounds;)
        run_round(c);
    while (!enough(attempts)) /* writing may take longer than all the rounds */
        run_round(c);
    if (c->end)
        c->end();
    wavecut_info after = info();
    if (test.kind != TEST_PLAIN)
        test_expect_snapshot();
    if (test.rank == 0)
        printf("%-12s %5d rounds, %3llu snapshots, %3llu void%s%s\n", c->name, test.round,
               (unsigned long long)(after.committed - before.committed),
               (unsigned long long)(after.voided - before.voided),
               after.voided > before.voided ? ": " : "",
               after.voided > before.voided ? after.last_reason : "");
    fflush(stdout);
}

void test_begin(int *argc, char ***argv) {
    int initialized; /* by a program with threads */
    MPI_Initialized(&initialized);
    if (!initialized)
        MPI_Init(argc, argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &test.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &test.ranks);
    test.peer = test.rank ^ 1;
    signal(SIGALRM, on_alarm);
    limit();
    CHECK(*argc > 1);
    const char *kind = (*argv)[1];
    test.kind = strcmp(kind, "plain") == 0     ? TEST_PLAIN
                : strcmp(kind, "aligned") == 0 ? TEST_ALIGNED
                                               : TEST_IMMEDIATE;
    if (test.kind == TEST_PLAIN)
        return;
    CHECK(wavecut_init(MPI_COMM_WORLD) == WAVECUT_OK);
    CHECK(wavecut_cut(test.kind == TEST_ALIGNED ? WAVECUT_ALIGNED : WAVECUT_IMMEDIATE) ==
          WAVECUT_OK);
    CHECK(wavecut_protect("state", state, 4096, MPI_INT) == WAVECUT_OK);
    CHECK(wavecut_restore(NULL) == WAVECUT_OK);
}

void test_end(void) {
    if (test.kind != TEST_PLAIN)
        CHECK(wavecut_finalize() == WAVECUT_OK);
    MPI_Finalize();
}

int test_main(int argc, char **argv, const test_case *cases, size_t n) {
    test_begin(&argc, &argv);
    bool any = false;
    CHECK(argc > 2);
    for (size_t i = 0; i < n; i++) {
        bool wanted = argc < 4 || strcmp(argv[3], cases[i].name) == 0;
        if (!wanted || ((cases[i].flags & TEST_IMMEDIATE_ONLY) && test.kind == TEST_ALIGNED))
            continue;
        run_case(&cases[i], atoi(argv[2]));
        any = true;
    }
    CHECK(any);
    test.name = "end";
    test_end();
    return 0;
}

/* ---- contents ---- */

static unsigned char byte_at(size_t i, unsigned seed) {
    return (unsigned char)(seed * 37 + i * 13 + (i >> 8) * 7 + (i >> 16));
}

void test_fill(void *buffer, size_t bytes, unsigned seed) {
    for (size_t i = 0; i < bytes; i++)
        ((unsigned char *)buffer)[i] = byte_at(i, seed);
}

bool test_is_filled(const void *buffer, size_t bytes, unsigned seed) {
    for (size_t i = 0; i < bytes; i++)
        if (((const unsigned char *)buffer)[i] != byte_at(i, seed))
            return false;
    return true;
}

unsigned test_seed(int sender, int number) {
    return (unsigned)(test.round * 101 + sender * 17 + number);
}

bool test_is_cancelled(const MPI_Status *status) {
    int flag;
    MPI_Test_cancelled(status, &flag);
    return flag;
}

bool test_status_is(const MPI_Status *status, int source, int tag, int bytes) {
    int count;
    MPI_Get_count(status, MPI_BYTE, &count);
    return status->MPI_SOURCE == source && status->MPI_TAG == tag && count == bytes &&
           !test_is_cancelled(status);
}
