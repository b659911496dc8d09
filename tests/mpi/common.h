/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Programs that check themselves while snapshots follow each other as fast as they can.
 *
 *   PROGRAM plain|aligned|immediate PERCENT [CASE]
 *
 * `plain` is the same without Wavecut: what MPI itself gives is what the cases expect. PERCENT scales the rounds of each
 * case. After its rounds each case must still be one that can be snapshotted.
 */
#ifndef TESTS_MPI_COMMON_H
#define TESTS_MPI_COMMON_H

#include <mpi.h>
#include <stdbool.h>
#include <stddef.h>

enum { BIG = 1 << 18 }; /* bytes: far above every eager limit */

enum { TEST_IMMEDIATE_ONLY = 1 /* its safe points are not aligned */, TEST_ASKS_ITSELF = 2 };

typedef struct test_case {
    const char *name;
    void (*run)(int round);
    int rounds; /* at 100 percent */
    int flags;
    void (*end)(void); /* when all rounds are over; may be NULL */
} test_case;

typedef enum test_kind { TEST_PLAIN, TEST_ALIGNED, TEST_IMMEDIATE } test_kind;

typedef struct test_state {
    int rank, ranks;
    int peer; /* the other one of two */
    test_kind kind;
    const char *name;
    int round;
} test_state;

extern test_state test;

int test_main(int argc, char **argv, const test_case *cases, size_t n);

/* Waits until there is another snapshot. All ranks call it. */
void test_expect_snapshot(void);
/* The next attempts, which nothing disturbs, are void because of `call`. All ranks call it. */
void test_expect_void(const char *call);

/* For programs that do not go in rounds: test_begin, and what test_main has besides. */
void test_begin(int *argc, char ***argv);
void test_end(void);

/* Ends the whole run. */
void test_fail(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4), noreturn));

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            test_fail(__FILE__, __LINE__, "%s", #condition);                                       \
    } while (0)
#define CHECK_EQUAL(a, b)                                                                          \
    do {                                                                                           \
        long long a_ = (long long)(a), b_ = (long long)(b);                                        \
        if (a_ != b_)                                                                              \
            test_fail(__FILE__, __LINE__, "%s is %lld, expected %s, %lld", #a, a_, #b, b_);        \
    } while (0)

/* Asks for a snapshot. */
void test_ask(void);
/* A message that may be looked for in vain: gives the library a chance to see what others ask for. */
void test_idle(void);

void test_safepoint(void);
bool test_in_progress(void);
unsigned long long test_attempts(void); /* that have ended */
double test_last_record(void); /* how long it took: another one if there was another record */

/* Bytes that depend on where they are, and on `seed`. */
void test_fill(void *buffer, size_t bytes, unsigned seed);
bool test_is_filled(const void *buffer, size_t bytes, unsigned seed);
/* A seed for a message of this round. */
unsigned test_seed(int sender, int number);

bool test_is_cancelled(const MPI_Status *status);
/* Are these its source, tag and bytes? MPI_ERROR is not looked at. */
bool test_status_is(const MPI_Status *status, int source, int tag, int bytes);

#endif
