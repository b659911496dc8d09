/* SPDX-License-Identifier: BSD-3-Clause */
/* How often snapshots are taken with WAVECUT_INTERVAL=auto: the formula, what snapshots cost, and how often the job fails. */
#include "job.h"

#include "runtime/cost.h"
#include "runtime/interval.h"
#include "store/history.h"

#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const double HOUR = 3600, MINUTE = 60;

/* ---- the formula ---- */

static const double mtbfs[] = {24 * 3600, 6 * 3600, 15 * 60};

/* Daly's examples, with a dump of 5 minutes; his restart of 10 minutes has no part in them. */
static void examples_of_daly(void **state) {
    static const double minutes[] = {117, 57, 9.1}, rounded_to[] = {1, 1, 0.1};
    (void)state;
    for (int i = 0; i < 3; i++) {
        double t = wc_interval_daly(5 * MINUTE, mtbfs[i]) / MINUTE;
        assert_true(fabs(t - minutes[i]) <= rounded_to[i] / 2);
    }
    assert_true(wc_interval_daly(2 * HOUR, HOUR) == HOUR);
    assert_true(wc_interval_daly(5 * HOUR, HOUR) == HOUR);
}

static double uniform(uint64_t *stream) {
    uint64_t z = *stream += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return ((double)((z ^ (z >> 31)) >> 11) + 0.5) / 9007199254740992.0;
}

typedef struct machine {
    double cost, latency, restart, mtbf;
} machine;

/*
 * A run on a machine that fails at random, played through: seconds for each second of work, with snapshots after `t` seconds
 * of work each. The same failures for each t. After a restart the work of the last snapshot that was durable is there.
 */
static double play(const machine *m, double t) {
    enum { FAILURES = 1 << 17 };
    uint64_t stream = 1;
    double elapsed = 0, work = 0;
    for (int i = 0; i < FAILURES; i++) {
        double up = -m->mtbf * log(uniform(&stream));
        double durable = up - m->restart - m->latency + m->cost;
        double snapshots = durable > 0 ? floor(durable / (t + m->cost)) : 0;
        elapsed += up;
        work += snapshots * t;
    }
    return elapsed / work;
}

/*
 * Where a curve is lower than at a fifth more and a fifth less, its least point is within 10 %: it is a parabola of log t, all but.
 * So neither the time of a restart nor that until a snapshot is durable has a part in it.
 */
static void no_other_interval_is_better(void **state) {
    const machine machines[] = {{5 * MINUTE, 5 * MINUTE, 10 * MINUTE, 0},
                                {5 * MINUTE, 8 * MINUTE, 1 * MINUTE, 0},
                                {0.05, 4, 30, 0},
                                {20, 20, 0, 0}};
    (void)state;
    for (size_t k = 0; k < sizeof machines / sizeof *machines; k++)
        for (int i = 0; i < 3; i++) {
            machine m = machines[k];
            m.mtbf = mtbfs[i];
            double t = wc_interval_daly(m.cost, m.mtbf), best = play(&m, t);
            assert_true(best < play(&m, 1.2 * t));
            assert_true(best < play(&m, t / 1.2));
        }
}

/* What is lost beside the work itself, where both bounds are at hand. */
static void bounds(void **state) {
    (void)state;
    wc_interval_basis b = {.cost_s = 1, .latency_s = 10, .mtbf_s = 24 * HOUR};
    assert_true(wc_interval_choose(&b) == wc_interval_daly(1, 24 * HOUR) + 1);
    b.latency_s = 1000; /* the next one can't begin before this one is durable */
    assert_true(wc_interval_choose(&b) == 1000);
    b.latency_s = 10;
    b.overhead_percent = 0.5; /* a second in 200 */
    assert_true(wc_interval_choose(&b) == 200);
    b.overhead_percent = 50;
    assert_true(wc_interval_choose(&b) == 10);
}

static void mtbf_of_failures(void **state) {
    (void)state;
    assert_true(wc_interval_mtbf(0, 0) == WC_INTERVAL_MTBF_S);
    assert_true(wc_interval_mtbf(10 * 24 * HOUR, 0) == 10 * 24 * HOUR);
    assert_true(wc_interval_mtbf(10 * HOUR, 4) == 2.5 * HOUR);
    assert_true(wc_interval_mtbf(0, 4) == 1); /* not 0, by which all is divided */
}

/* ---- the cost ---- */

static const int64_t MS = 1000000;

typedef struct program {
    wc_cost cost;
    int64_t now, step;
} program;

/* Steps of so many ms, looked at each ms. How many costs were measured. */
static int go(program *p, int steps, int ms, bool busy) {
    int measured = 0;
    for (int i = 0; i < steps * ms; i++) {
        p->now += MS;
        p->step += i % ms == 0;
        measured += wc_cost_look(&p->cost, p->step, busy, p->now);
    }
    return measured;
}

/* A snapshot during which steps are slower. */
static int snapshot(program *p, int steps, int ms, double stall_s) {
    int measured = go(p, steps, ms, true);
    wc_cost_committed(&p->cost, stall_s, (double)(steps * ms) * 1e-3);
    return measured;
}

static bool near(double a, double b) {
    return fabs(a - b) < 1e-9;
}

static void slower_steps(void **state) {
    program p = {.now = 0};
    (void)state;
    assert_int_equal(go(&p, 20, 10, false), 0);
    assert_int_equal(snapshot(&p, 4, 15, 0.003), 0);
    assert_int_equal(go(&p, 20, 10, false), 1); /* when the step is over */
    wc_cost_means mean = wc_cost_mean(&p.cost);
    assert_true(near(mean.lost_s, 4 * 0.005));
    assert_true(near(mean.stall_s, 0.003));
    assert_true(near(mean.latency_s, 0.060));
}

/* Steps that are longer than the snapshot: a second in a step of ten is seen. */
static void long_steps(void **state) {
    program p = {.now = 0};
    (void)state;
    go(&p, 5, 10000, false);
    p.step++; /* the request comes at a safe point */
    for (int i = 0; i < 500; i++)
        wc_cost_look(&p.cost, p.step, true, p.now += MS);
    wc_cost_committed(&p.cost, 0.1, 0.5);
    for (int i = 0; i < 10500; i++)
        wc_cost_look(&p.cost, p.step, false, p.now += MS);
    assert_int_equal(go(&p, 1, 10000, false), 1);
    assert_true(fabs(wc_cost_mean(&p.cost).lost_s - 1) < 0.01);
}

/* Void attempts are no snapshots, and the time after one is no step. */
static void void_attempts(void **state) {
    program p = {.now = 0};
    (void)state;
    go(&p, 20, 10, false);
    go(&p, 3, 30, true);
    assert_int_equal(go(&p, 20, 10, false), 0);
    assert_int_equal(p.cost.count, 0);
    snapshot(&p, 2, 12, 0.001);
    assert_int_equal(go(&p, 2, 10, false), 1);
    assert_true(near(wc_cost_mean(&p.cost).lost_s, 2 * 0.002));
}

/* Without steps the stall is what is known; so is it before the first quiet time. */
static void no_steps(void **state) {
    program p = {.now = 0};
    (void)state;
    for (int i = 0; i < 10; i++) {
        for (int k = 0; k < 100; k++)
            assert_false(wc_cost_look(&p.cost, 0, k >= 50, p.now += MS));
        wc_cost_committed(&p.cost, 0.002, 0.05);
    }
    assert_true(near(wc_cost_mean(&p.cost).lost_s, 0.002));
    p = (program){.now = 0};
    assert_int_equal(snapshot(&p, 4, 15, 0.004), 0);
    assert_int_equal(go(&p, 20, 10, false), 0);
    assert_true(near(wc_cost_mean(&p.cost).lost_s, 0.004));
}

/* Steps that are faster and slower by chance cost nothing in the mean; the last sixteen count. */
static void mean_of_the_last(void **state) {
    program p = {.now = 0};
    (void)state;
    go(&p, 20, 10, false);
    snapshot(&p, 4, 15, 0.001);
    go(&p, 20, 10, false);
    assert_true(isinf(wc_cost_mean(&p.cost).lost_error_s));
    for (int i = 0; i < 30; i++) {
        snapshot(&p, 4, i < 14 ? 40 : i % 2 ? 14 : 6, 0);
        go(&p, 20, 10, false);
    }
    wc_cost_means mean = wc_cost_mean(&p.cost);
    assert_true(near(mean.lost_s, 0) && near(mean.stall_s, 0));
    assert_true(near(mean.lost_error_s, 0.016 / sqrt(15))); /* 16 of +- 16 ms */
}

/* ---- failures ---- */

static void write_history(const char *dir, const char *text, time_t seen) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/history", dir);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    const struct timespec times[] = {{.tv_sec = seen}, {.tv_sec = seen}};
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(futimens(fd, times), 0);
    close(fd);
}

static void read_history(const char *dir, char text[1024]) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/history", dir);
    int fd = open(path, O_RDONLY);
    ssize_t n = read(fd, text, 1023);
    close(fd);
    assert_true(n >= 0);
    text[n] = '\0';
}

static void failures_are_counted(void **state) {
    const char *dir = *state;
    wc_history before;
    wc_error error = {WC_OK, ""};
    char text[1024];
    assert_int_equal(wc_history_stop(dir, &error), WC_OK); /* none yet: none is made */
    assert_int_equal(wc_history_start(dir, &before, &error), WC_OK);
    assert_true(before.up_s == 0 && before.failures == 0);
    /* One that was seen last after an hour, one that ended well after 50 seconds, and one that has not ended. */
    write_history(dir,
                  "start 2026-01-01T00:00:00Z\nlost 2026-01-01T01:00:00Z\n"
                  "start 2026-01-02T00:00:00Z\nstop 2026-01-02T00:00:50Z\n"
                  "start 2026-01-03T00:00:00Z\n",
                  1767398400 + 10); /* 2026-01-03T00:00:10Z */
    assert_int_equal(wc_history_start(dir, &before, &error), WC_OK);
    assert_true(before.up_s == 3660);
    assert_int_equal(before.failures, 2);
    read_history(dir, text);
    assert_non_null(strstr(text, "\nlost 2026-01-03T00:00:10Z\nstart "));
    wc_history_seen(dir);
    assert_int_equal(wc_history_stop(dir, &error), WC_OK);
    assert_int_equal(wc_history_stop(dir, &error), WC_OK); /* by whom it is told doesn't matter */
    read_history(dir, text);
    assert_non_null(strstr(text, "\nstop "));
    assert_null(strstr(strstr(text, "\nstop 2026-01-02") + 1, "\nstop 2026-01-02"));
    assert_int_equal(wc_history_start(dir, &before, &error), WC_OK);
    assert_int_equal(before.failures, 2);
}

static void strange_histories(void **state) {
    const char *dir = *state;
    char path[PATH_MAX];
    wc_history before;
    wc_error error = {WC_OK, ""};
    write_history(dir, "lost\nstart\n\nstop 2026-01-01\nstart yesterday\n\x01 2026-01-01T00:00:00Z",
                  0);
    assert_int_equal(wc_history_start(dir, &before, &error), WC_OK);
    assert_true(before.up_s == 0 && before.failures == 0);
    snprintf(path, sizeof path, "%s/history", dir);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/tmp/elsewhere", path), 0);
    assert_int_equal(wc_history_start(dir, &before, &error), WC_ERR_IO);
    assert_int_not_equal(access("/tmp/elsewhere", F_OK), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(wc_history_start(dir, &before, &error), WC_ERR_IO);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(examples_of_daly),
        cmocka_unit_test(no_other_interval_is_better),
        cmocka_unit_test(bounds),
        cmocka_unit_test(mtbf_of_failures),
        cmocka_unit_test(slower_steps),
        cmocka_unit_test(long_steps),
        cmocka_unit_test(void_attempts),
        cmocka_unit_test(no_steps),
        cmocka_unit_test(mean_of_the_last),
        cmocka_unit_test_setup_teardown(failures_are_counted, job_directory, job_remove_directory),
        cmocka_unit_test_setup_teardown(strange_histories, job_directory, job_remove_directory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
