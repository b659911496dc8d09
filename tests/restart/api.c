/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The contract of wavecut.h, call by call: the status, and the text that says what is wrong.
 *
 *   api CASE     on four ranks; ends with 0 if everything was as it must be
 */
#include "job.h"

#include <wavecut.h>

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RANKS = 4 };

static int rank, wrong;
static MPI_Comm job; /* of wavecut_init */

static void complain(const char *where, int line, const char *format, const char *a,
                     const char *b) {
    fprintf(stderr, "api: rank %d, line %d: %s: ", rank, line, where);
    fprintf(stderr, format, a, b);
    fprintf(stderr, "\n");
    wrong++;
}

/* The call returns this status, and its text has the words; "" are in any text. */
static void returns(wavecut_status got, wavecut_status wanted, const char *words, const char *call,
                    int line) {
    if (got != wanted)
        complain(call, line, "%s instead of %s", wavecut_status_name(got),
                 wavecut_status_name(wanted));
    else if (wanted != WAVECUT_OK && !strstr(wavecut_error_text(), words))
        complain(call, line, "\"%s\" does not say \"%s\"", wavecut_error_text(), words);
}

#define RETURNS(call, status, words) returns(call, WAVECUT_##status, words, #call, __LINE__)
#define WORKS(call) RETURNS(call, OK, "")
#define TRUE(what)                                                                                 \
    do {                                                                                           \
        if (!(what))                                                                               \
            complain(#what, __LINE__, "is not so%s%s", "", "");                                    \
    } while (0)

static wavecut_info info(void) {
    wavecut_info i = {0};
    WORKS(wavecut_status_get(&i));
    return i;
}

/* Passes safe points until there is a snapshot more, or the last attempt was given up for the reason in `words`, on all
 * ranks alike. With NULL there must be a snapshot. */
static void attempt(const char *words) {
    wavecut_info before = info(), now;
    int first;
    MPI_Comm_rank(job, &first);
    for (int over = 0; !over;) {
        WORKS(wavecut_safepoint());
        now = info();
        if (first == 0 && !now.in_progress)
            WORKS(wavecut_request());
        bool told = words && now.voided > before.voided && strstr(now.last_reason, words);
        over = now.committed > before.committed || now.failed > before.failed || told;
        job_pause(0.2); /* more ranks than cores: they shouldn't spin */
        MPI_Allreduce(MPI_IN_PLACE, &over, 1, MPI_INT, MPI_MIN, job);
    }
    if ((now.committed > before.committed) != !words)
        complain("attempt", __LINE__, words ? "a snapshot, despite \"%s\"%s" : "no snapshot: %s%s",
                 words ? words : now.last_reason, "");
    else if (words && !strstr(now.last_reason, words))
        complain("attempt", __LINE__, "\"%s\" does not say \"%s\"", now.last_reason, words);
}

static void begin(MPI_Comm comm) {
    job = comm;
    WORKS(wavecut_init(comm));
}

static int restore(void) {
    int restarted = -1;
    WORKS(wavecut_restore(&restarted));
    return restarted;
}

/* ---- calls in the wrong order ---- */

/* None of the calls that need a run. */
static void nothing_is_open(void) {
    int x = 0;
    const size_t one[] = {1}, zero[] = {0};
    RETURNS(wavecut_cut(WAVECUT_ALIGNED), ERR_ORDER, "wavecut_cut");
    RETURNS(wavecut_protect("x", &x, 1, MPI_INT), ERR_ORDER, "wavecut_protect");
    RETURNS(wavecut_protect_array("x", &x, MPI_INT, 1, one, one, zero), ERR_ORDER,
            "wavecut_protect_array");
    RETURNS(wavecut_unprotect("x"), ERR_ORDER, "wavecut_unprotect");
    RETURNS(wavecut_hint("x", WAVECUT_STABLE), ERR_ORDER, "wavecut_hint");
    RETURNS(wavecut_stored("x", NULL, NULL), ERR_ORDER, "wavecut_stored");
    RETURNS(wavecut_restore(NULL), ERR_ORDER, "wavecut_restore");
    RETURNS(wavecut_safepoint(), ERR_ORDER, "wavecut_safepoint");
    RETURNS(wavecut_request(), ERR_ORDER, "wavecut_request");
    RETURNS(wavecut_finalize(), ERR_ORDER, "wavecut_finalize");
}

static void order(void) {
    wavecut_info i;
    nothing_is_open();
    RETURNS(wavecut_status_get(&i), ERR_ORDER, "wavecut_status_get");
    begin(MPI_COMM_WORLD);
    RETURNS(wavecut_safepoint(), ERR_ORDER, "wavecut_restore"); /* what must come first */
    RETURNS(wavecut_request(), ERR_ORDER, "wavecut_restore");
    TRUE(restore() == 0);
    RETURNS(wavecut_restore(NULL), ERR_ORDER, "once");
    RETURNS(wavecut_cut(WAVECUT_IMMEDIATE), ERR_ORDER, "wavecut_restore");
    RETURNS(wavecut_stored("x", NULL, NULL), ERR_ORDER, "wavecut_restore");
    RETURNS(wavecut_status_get(NULL), ERR_ARGUMENT, "NULL");
    attempt(NULL);
    WORKS(wavecut_finalize());
    nothing_is_open();
    RETURNS(wavecut_init(MPI_COMM_WORLD), ERR_ORDER, "after wavecut_finalize");
    WORKS(wavecut_status_get(&i)); /* what was done can still be asked for */
}

/* ---- what can be protected ---- */

static void names(void) {
    static const char *const bad[] = {"",    "/a",       "a/",  "a//b", ".",   "..", "a/../b",
                                      "a b", "\xc3\xa9", "a\n", "a:b",  "./a", "a/."};
    char longest[WAVECUT_NAME_MAX + 2];
    int x[2] = {0};
    begin(MPI_COMM_WORLD);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        RETURNS(wavecut_protect(bad[i], x, 1, MPI_INT), ERR_NAME, bad[i]);
    RETURNS(wavecut_protect(NULL, x, 1, MPI_INT), ERR_NAME, "NULL");
    memset(longest, 'n', sizeof longest);
    longest[WAVECUT_NAME_MAX + 1] = 0;
    RETURNS(wavecut_protect(longest, x, 1, MPI_INT), ERR_NAME, "256 bytes; at most 255");
    longest[WAVECUT_NAME_MAX] = 0;
    WORKS(wavecut_protect(longest, x, 1, MPI_INT));
    WORKS(wavecut_protect("ocean/deep/salt-1.0_b", x, 1, MPI_INT));
    RETURNS(wavecut_protect("ocean/deep", x, 1, MPI_INT), ERR_NAME, "\"ocean/deep/salt-1.0_b\"");
    RETURNS(wavecut_protect("ocean/deep/salt-1.0_b/x", x, 1, MPI_INT), ERR_NAME, "a group of");
    WORKS(wavecut_protect("ocean/deep2", x, 1, MPI_INT));
    RETURNS(wavecut_unprotect("ocean"), ERR_NAME, "\"ocean\" is not protected");
    RETURNS(wavecut_unprotect(NULL), ERR_NAME, "NULL");
    TRUE(restore() == 0);
    attempt(NULL);
    WORKS(wavecut_finalize());
}

static void arguments(void) {
    static double x[3] = {1, 2, 3};
    MPI_Datatype pair;
    MPI_Type_contiguous(2, MPI_DOUBLE, &pair);
    MPI_Type_commit(&pair);
    RETURNS(wavecut_init(MPI_COMM_NULL), ERR_ARGUMENT, "an intracommunicator");
    begin(MPI_COMM_WORLD);
    RETURNS(wavecut_cut((wavecut_cut_mode)7), ERR_ARGUMENT, "7");
    WORKS(wavecut_protect("x", x, 3, MPI_DOUBLE));
    RETURNS(wavecut_protect("x", x, 3, pair), ERR_TYPE, "\"x\": the datatype");
    RETURNS(wavecut_protect("x", x, 3, MPI_DATATYPE_NULL), ERR_TYPE, "MPI_DATATYPE_NULL");
    RETURNS(wavecut_protect("x", NULL, 3, MPI_DOUBLE), ERR_ARGUMENT, "\"x\": the address of 3");
    RETURNS(wavecut_protect("x", x, SIZE_MAX / 4, MPI_DOUBLE), ERR_ARGUMENT, "more than there is");
    RETURNS(wavecut_hint("y", WAVECUT_STABLE), ERR_NAME, "\"y\" is not protected");
    RETURNS(wavecut_hint(NULL, WAVECUT_STABLE), ERR_NAME, "not protected");
    RETURNS(wavecut_hint("x", (wavecut_hint_kind)9), ERR_ARGUMENT, "not 9");
    WORKS(wavecut_protect_requests("r", NULL, 0));
    RETURNS(wavecut_hint("r", WAVECUT_STABLE), ERR_ARGUMENT, "hints are for arrays");
    TRUE(restore() == 0);
    attempt(NULL); /* with "x" as it was before these failures */
    WORKS(wavecut_finalize());
    MPI_Type_free(&pair);
}

/* Sizes on both sides of a huge page. It can be had without a run, and goes back when nothing in it is protected any more. */
static void memory(void) {
    static const size_t sizes[] = {0, 1, 4096, 2 << 20, (5 << 20) + 1};
    void *at[5];
    RETURNS(wavecut_alloc(1, NULL), ERR_ARGUMENT, "NULL");
    RETURNS(wavecut_alloc(SIZE_MAX - 5, &at[0]), ERR_MEMORY, "18446744073709551610 bytes");
    for (int i = 0; i < 5; i++) {
        WORKS(wavecut_alloc(sizes[i], &at[i]));
        TRUE((uintptr_t)at[i] % 4096 == 0);
        for (size_t k = 0; k < sizes[i]; k++)
            TRUE(((const char *)at[i])[k] == 0);
        memset(at[i], 1, sizes[i]);
    }
    begin(MPI_COMM_WORLD);
    WORKS(wavecut_protect("x", (char *)at[3] + 4096, 10, MPI_CHAR));
    WORKS(wavecut_protect("y", (char *)at[4] + (5 << 20), 1, MPI_CHAR));
    RETURNS(wavecut_free(at[3]), ERR_ORDER, "\"x\" in it is protected");
    RETURNS(wavecut_free(at[4]), ERR_ORDER, "\"y\" in it is protected");
    RETURNS(wavecut_free((char *)at[3] + 4096), ERR_ARGUMENT, "is not from wavecut_alloc");
    WORKS(wavecut_unprotect("x"));
    for (int i = 0; i < 4; i++)
        WORKS(wavecut_free(at[i]));
    TRUE(restore() == 0);
    attempt(NULL);
    WORKS(wavecut_finalize());
    WORKS(wavecut_free(at[4]));
    RETURNS(wavecut_free(at[4]), ERR_ARGUMENT, "is not from wavecut_alloc");
    WORKS(wavecut_free(NULL));
}

/* ---- what is in the file; read by the script, and by the next start ---- */

static void fill(double *to, int n, double first) {
    for (int i = 0; i < n; i++)
        to[i] = first + i;
}

static void protect_changes(double *x, size_t n, double *some) {
    WORKS(wavecut_protect("x", x, n, MPI_DOUBLE));
    WORKS(wavecut_protect("groups/none", NULL, 0, MPI_FLOAT));
    WORKS(wavecut_protect("groups/of/some", some, rank % 2 ? 3 : 0, MPI_DOUBLE));
    if (rank == 2)
        WORKS(wavecut_protect("groups/of/one", some, 2, MPI_DOUBLE));
}

/* A name gets another place and length after it was in a snapshot, and one ends. */
static void changes(void) {
    double first[10], second[RANKS + 2], some[3];
    int left_out = 0;
    fill(first, 10, 1000);
    fill(second, RANKS + 2, 100 * rank);
    fill(some, 3, 10 * rank);
    begin(MPI_COMM_WORLD);
    RETURNS(wavecut_stored("x", NULL, NULL), ERR_NOT_FOUND, "\"x\""); /* a fresh start */
    protect_changes(first, 10, some);
    WORKS(wavecut_protect("left_out", &left_out, 1, MPI_INT));
    TRUE(restore() == 0);
    attempt(NULL);
    WORKS(wavecut_protect("x", second, (size_t)rank + 2, MPI_DOUBLE));
    WORKS(wavecut_unprotect("left_out"));
    RETURNS(wavecut_unprotect("left_out"), ERR_NAME, "\"left_out\"");
    attempt(NULL);
}

static void stored_is(const char *name, size_t wanted, MPI_Datatype type) {
    size_t count = SIZE_MAX;
    MPI_Datatype got = MPI_DATATYPE_NULL;
    WORKS(wavecut_stored(name, &count, &got));
    TRUE(count == wanted);
    TRUE(got == type);
}

/* One rank's length is wrong: nobody starts, and nothing has been touched. */
static void mismatch(void) {
    double x[RANKS + 3], some[3];
    fill(x, RANKS + 3, 7);
    fill(some, 3, 7);
    begin(MPI_COMM_WORLD);
    protect_changes(x, (size_t)rank + 2 + (rank == 1), some);
    for (int i = 0; i < 2; i++) /* asked again it is no fresh start either */
        RETURNS(wavecut_restore(NULL), ERR_MISMATCH,
                "\"x\" has 3 elements in the snapshot and is protected with 4");
    TRUE(strstr(wavecut_error_text(), "rank 1"));
    for (int i = 0; i < RANKS + 3; i++)
        TRUE(x[i] == 7 + i);
    TRUE(some[0] == 7 && some[1] == 8 && some[2] == 9);
    RETURNS(wavecut_safepoint(), ERR_ORDER, "wavecut_safepoint");
    WORKS(wavecut_finalize()); /* and leaves no mark: the next start goes on */
}

static void changes_again(void) {
    double x[RANKS + 2] = {0}, some[3] = {0};
    size_t count = 77;
    MPI_Datatype type = MPI_CHAR;
    begin(MPI_COMM_WORLD);
    stored_is("x", (size_t)rank + 2, MPI_DOUBLE);
    stored_is("groups/none", 0, MPI_FLOAT);
    stored_is("groups/of/some", rank % 2 ? 3 : 0, MPI_DOUBLE);
    WORKS(wavecut_stored("x", NULL, NULL));
    if (rank == 2)
        stored_is("groups/of/one", 2, MPI_DOUBLE);
    else
        RETURNS(wavecut_stored("groups/of/one", &count, &type), ERR_NOT_FOUND, "\"groups/of/one\"");
    RETURNS(wavecut_stored("left_out", &count, &type), ERR_NOT_FOUND, "\"left_out\"");
    RETURNS(wavecut_stored("groups", &count, &type), ERR_NOT_FOUND, "\"groups\"");
    RETURNS(wavecut_stored(NULL, &count, &type), ERR_NOT_FOUND, "");
    TRUE(rank == 2 || (count == 77 && type == MPI_CHAR));
    protect_changes(x, (size_t)rank + 2, some);
    TRUE(restore() == 1);
    for (int i = 0; i < rank + 2; i++)
        TRUE(x[i] == 100 * rank + i);
    for (int i = 0; i < 3; i++)
        TRUE(some[i] == (rank % 2 || (rank == 2 && i < 2) ? 10 * rank + i : 0));
    WORKS(wavecut_finalize());
}

static void types(void) {
    double x = 1;
    float y = 2;
    begin(MPI_COMM_WORLD);
    WORKS(rank == 2 ? wavecut_protect("temp", &y, 1, MPI_FLOAT)
                    : wavecut_protect("temp", &x, 1, MPI_DOUBLE));
    TRUE(restore() == 0);
    attempt("\"temp\" is protected as f64 on one rank and as f32 on another");
    WORKS(wavecut_protect("temp", &x, 1, MPI_DOUBLE));
    attempt(NULL);
    /* What is a name on one rank is a group on another. */
    WORKS(wavecut_protect(rank == 1 ? "a/b" : "a", &x, 1, MPI_DOUBLE));
    attempt("\"a\" and \"a/b\": a name can't be a group of another");
    WORKS(wavecut_finalize());
}

/* ---- global arrays ---- */

enum { COLUMNS = 3, ROWS = 9 };
static const size_t rows_of[RANKS] = {4, 0, 2, 3}, first_of[RANKS] = {0, 4, 4, 6};

static wavecut_status split(double *field, size_t local, size_t first) {
    return wavecut_protect_array("field", field, MPI_DOUBLE, 2, (size_t[]){ROWS, COLUMNS},
                                 (size_t[]){local, COLUMNS}, (size_t[]){first, 0});
}

static void array(void) {
    double field[ROWS * COLUMNS] = {0};
    size_t count;
    int again = getenv("API_AGAIN") != NULL, n = (int)rows_of[rank] * COLUMNS;
    begin(MPI_COMM_WORLD);
    if (again) {
        WORKS(wavecut_stored("field", &count, NULL));
        TRUE((int)count == n);
    } else {
        fill(field, n, (double)first_of[rank] * COLUMNS);
    }
    WORKS(split(n ? field : NULL, rows_of[rank], first_of[rank]));
    TRUE(restore() == again);
    for (int i = 0; i < n; i++)
        TRUE(field[i] == (double)first_of[rank] * COLUMNS + i);
    if (!again)
        attempt(NULL); /* no finalize: it would be the end of this run */
}

static void wrong_splits(void) {
    static double x[100];
    const size_t two[] = {4, 4}, part[] = {2, 4}, none[] = {0, 0}, shifted[] = {3, 0};
    const size_t columns[] = {4, 2}, huge[] = {SIZE_MAX / 2, 16};
    const size_t many[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1}, zeros[9] = {0};
    begin(MPI_COMM_WORLD);
#define SPLIT(n, global, local, offset)                                                            \
    wavecut_protect_array("f", x, MPI_DOUBLE, n, global, local, offset)
    RETURNS(SPLIT(0, two, part, none), ERR_ARGUMENT, "\"f\": a global array has 1 to 8 dimensions");
    RETURNS(SPLIT(9, many, many, zeros), ERR_ARGUMENT, "1 to 8 dimensions");
    RETURNS(SPLIT(2, NULL, part, none), ERR_ARGUMENT, "with shapes");
    RETURNS(SPLIT(2, two, part, shifted), ERR_ARGUMENT,
            "\"f\": along axis 0 this part [3, 5) is outside the global array of 4");
    RETURNS(SPLIT(2, two, part, huge), ERR_ARGUMENT, "outside the global array");
    RETURNS(SPLIT(2, two, columns, shifted), ERR_ARGUMENT, "along axis 0 this part [3, 7)");
    RETURNS(SPLIT(2, huge, huge, none), ERR_ARGUMENT, "too large");
    RETURNS(wavecut_protect_array("f", NULL, MPI_DOUBLE, 2, two, part, none), ERR_ARGUMENT,
            "\"f\": the address");
    WORKS(SPLIT(8, many, many, zeros));
    WORKS(wavecut_unprotect("f"));
    TRUE(restore() == 0);
    /* These only all ranks together can find. */
    /* The last row is nobody's; one row is of two; as many as there are, but not these; in any order. */
    WORKS(split(x, rank == 3 ? 2 : rows_of[rank], first_of[rank]));
    attempt("the parts of \"field\" don't fill the global array: 24 of 27 elements");
    WORKS(split(x, rows_of[rank] + (rank == 1), first_of[rank]));
    attempt("the parts of \"field\" don't fill the global array: 30 of 27 elements");
    WORKS(split(x, rows_of[rank], rank == 2 ? 6 : first_of[rank]));
    attempt("the parts of \"field\" overlap in the global array");
    WORKS(split(x, rows_of[rank], rank == 2 ? 7 : rank == 3 ? 4 : first_of[rank]));
    attempt(NULL);
    WORKS(wavecut_protect_array("field", x, MPI_DOUBLE, 1, (size_t[]){rank == 0 ? 4 : 5},
                                (size_t[]){1}, (size_t[]){(size_t)rank}));
    attempt("\"field\" is protected with different global shapes");
    WORKS(split(x, rows_of[rank], first_of[rank]));
    attempt(NULL);
    WORKS(wavecut_finalize());
}

/* ---- communicators ---- */

static void nested(void) {
    int x = 0;
    MPI_Comm same, reversed;
    MPI_Comm_dup(MPI_COMM_WORLD, &same);
    MPI_Comm_split(MPI_COMM_WORLD, 0, -rank, &reversed);
    begin(MPI_COMM_WORLD);
    WORKS(wavecut_init(same));
    RETURNS(wavecut_init(MPI_COMM_SELF), ERR_ORDER, "with another communicator");
    RETURNS(wavecut_init(reversed), ERR_ORDER, "with another communicator");
    WORKS(wavecut_protect("x", &x, 1, MPI_INT));
    TRUE(restore() == 0);
    WORKS(wavecut_init(same));
    WORKS(wavecut_finalize());
    WORKS(wavecut_finalize());
    attempt(NULL); /* the first one is still open */
    WORKS(wavecut_finalize());
    RETURNS(wavecut_finalize(), ERR_ORDER, "once");
    MPI_Comm_free(&same);
    MPI_Comm_free(&reversed);
}

/* An ensemble: each half has its own directory. API_AGAIN: from the snapshots of both. */
static void halves(void) {
    MPI_Comm half;
    const char *base = getenv("WAVECUT_DIR");
    char directory[PATH_MAX];
    double x = 100 + rank;
    int there = rank ^ 1, here = -1, again = getenv("API_AGAIN") != NULL;
    snprintf(directory, sizeof directory, "%s-%d", base ? base : "", rank % 2);
    setenv("WAVECUT_DIR", directory, 1);
    MPI_Comm_split(MPI_COMM_WORLD, rank % 2, rank, &half);
    begin(half);
    x = again ? 0 : x;
    WORKS(wavecut_protect("x", &x, 1, MPI_DOUBLE));
    TRUE(restore() == again);
    TRUE(x == 100 + rank);
    MPI_Send(&x, 1, MPI_DOUBLE, rank / 2 ? 0 : 1, 5, half); /* in flight inside of the half */
    if (!again)
        attempt(NULL);
    MPI_Recv(&x, 1, MPI_DOUBLE, MPI_ANY_SOURCE, 5, half, MPI_STATUS_IGNORE);
    if (again) {
        MPI_Recv(&x, 1, MPI_DOUBLE, MPI_ANY_SOURCE, 5, half, MPI_STATUS_IGNORE);
        char reason[256];
        MPI_Sendrecv(&rank, 1, MPI_INT, there, 9, &here, 1, MPI_INT, there, 9, MPI_COMM_WORLD,
                     MPI_STATUS_IGNORE);
        snprintf(reason, sizeof reason,
                 "rank 0 exchanged messages with a rank outside the communicator of wavecut_init "
                 "(rank %d of its communicator, tag 9)",
                 1 - rank % 2);
        TRUE(here == there);
        attempt(reason);
        WORKS(wavecut_finalize());
    }
    MPI_Comm_free(&half);
}

/* ---- the beginning and the end of a run ---- */

/* What the environment says about the start must lead to this: fresh, restarted, finished. */
static void starts(const char *how) {
    int x = 0;
    if (strcmp(how, "finished") == 0) {
        RETURNS(wavecut_init(MPI_COMM_WORLD), ERR_FINISHED, getenv("WAVECUT_DIR"));
        RETURNS(wavecut_init(MPI_COMM_WORLD), ERR_FINISHED, "WAVECUT_RESTART=never");
        nothing_is_open();
        return;
    }
    begin(MPI_COMM_WORLD);
    WORKS(wavecut_protect("x", &x, 1, MPI_INT));
    int restarted = restore();
    TRUE(restarted == (strcmp(how, "fresh") != 0));
    TRUE(info().restarted == restarted);
    if (rank == 0)
        printf("api: x is %d\n", x);
    x += 1;
    attempt(NULL);
    x += 10;
    attempt(NULL);
    if (getenv("API_FINISH"))
        WORKS(wavecut_finalize());
}

static void fresh(void) {
    starts("fresh");
}

static void restarted(void) {
    starts("restarted");
}

static void finished(void) {
    starts("finished");
}

static const struct {
    const char *name;
    void (*run)(void);
} cases[] = {{"order", order},
             {"names", names},
             {"arguments", arguments},
             {"memory", memory},
             {"changes", changes},
             {"changes_again", changes_again},
             {"mismatch", mismatch},
             {"types", types},
             {"array", array},
             {"wrong_splits", wrong_splits},
             {"nested", nested},
             {"halves", halves},
             {"fresh", fresh},
             {"restarted", restarted},
             {"finished", finished}};

int main(int argc, char **argv) {
    int level, size, all;
    const char *name = argc > 1 ? argv[1] : "";
    RETURNS(wavecut_init(MPI_COMM_WORLD), ERR_ORDER, "between MPI_Init and MPI_Finalize");
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &level);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    size_t i = 0, n = sizeof cases / sizeof *cases;
    while (i < n && strcmp(cases[i].name, name) != 0)
        i++;
    if (i == n || size != RANKS)
        MPI_Abort(MPI_COMM_WORLD, 2);
    cases[i].run();
    MPI_Allreduce(&wrong, &all, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    MPI_Finalize();
    RETURNS(wavecut_init(MPI_COMM_WORLD), ERR_ORDER, "between MPI_Init and MPI_Finalize");
    if (rank == 0 && !all)
        printf("api: ended well\n");
    return all || wrong ? 1 : 0;
}
