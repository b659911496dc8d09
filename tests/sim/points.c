/* SPDX-License-Identifier: BSD-3-Clause */
/* What must hold, point by point: protocol.md, section 7. The real file and real deaths are in tests/fault. */
#include "hand.h"

#include "mpi/layer.h"

#include <string.h>

typedef struct totals {
    unsigned commits, voids, in_flight, restored;
} totals;

static totals run_seeds(uint64_t first, uint64_t n) {
    totals t = {0};
    for (uint64_t seed = first; seed < first + n; seed++) {
        sim_run(&(sim_options){.seed = seed});
        assert_string_equal(J.problem, "");
        t.commits += J.commits;
        t.voids += voids();
        t.in_flight += J.in_flight;
        t.restored += J.restored;
    }
    return t;
}

/* ---- the points ---- */

static void point_1_no_orphan_nothing_lost_nothing_twice(void **state) {
    (void)state;
    totals t = run_seeds(1, 400);
    assert_true(t.commits > 500);
    assert_true(t.in_flight > 2000);
}

/* What a sender tells of its channel decides: one more, and the cut waits for a message that never comes; one less, and
 * the receiver has too many. */
static wc_reason outcome_with_count_off_by(int64_t difference) {
    enum { COUNTS_BYTES = 32 + sizeof(wc_tag_count) };
    sim_packet *counts = NULL;
    sim_open(&(sim_options){.seed = 1, .quiet = true}, false, 2);
    for (int i = 0; i < 3; i++)
        pass(0, 1, 0);
    request(0);
    while (!(counts = sim_network_find_besides(MPI_COMM_WORLD, COUNTS_BYTES))) {
        sim_network_deliver();
        pass_safepoints();
    }
    wc_tag_count *count = (wc_tag_count *)(counts->data + counts->bytes - sizeof *count);
    assert_int_equal(count->count, 3);
    count->count += (uint64_t)difference;
    J.options.fault = "a forged count"; /* so that its discovery is no problem */
    finish_attempts();
    wc_reason found = void_reason();
    assert_int_equal(J.commits + voids(), 1);
    sim_close();
    return found;
}

static void point_2_counters_agree_or_nothing_is_committed(void **state) {
    (void)state;
    assert_int_equal(outcome_with_count_off_by(0), WC_REASON_NONE);
    assert_int_equal(outcome_with_count_off_by(1), WC_REASON_MESSAGE_MISSING);
    assert_int_equal(outcome_with_count_off_by(-1), WC_REASON_ORPHAN);
}

static void point_3_vector_clocks_agree(void **state) {
    (void)state;
    totals t = run_seeds(301, 100);
    assert_true(t.commits > 200);
    /* The clocks see a record that is later than it says. */
    sim_open(&(sim_options){.seed = 1, .quiet = true}, false, 2);
    request(0);
    sim_network_deliver_besides(MPI_COMM_WORLD);
    while (!recorded(0) || !recorded(1))
        pass_safepoints();
    pass(0, 1, 0);
    J.at[1].saved = J.at[1].state;
    finish_attempts();
    assert_int_equal(J.commits, 1);
    assert_non_null(strstr(J.problem, "knows more of rank 0"));
    sim_close();
}

static void point_4_restart_delivers_the_channels_first(void **state) {
    (void)state;
    totals t = run_seeds(501, 600);
    assert_true(t.restored > 100);
}

static void point_5_every_request_ends(void **state) {
    (void)state;
    for (uint64_t seed = 901; seed < 1000; seed++) {
        sim_run(&(sim_options){.seed = seed, .dies_at = 1 << 30});
        assert_string_equal(J.problem, "");
        assert_true(J.commits + voids() > 0);
        for (int i = 0; i < J.ranks; i++) {
            assert_int_equal(J.at[i].finished, J.commits + voids());
            assert_true(J.at[i].finished >= J.at[i].heard);
        }
    }
}

/* The notes' figure: p1 initiates. m3 and m5 are on their way to p1, m4 to p2; m6 and m7 come after the records. */
static void point_6_the_figure_of_the_notes(void **state) {
    (void)state;
    enum { P1, P2, P3 };
    sim_open(&(sim_options){.seed = 1, .quiet = true}, true, 3);
    pass(P1, P2, 1);
    pass(P2, P3, 2);
    send(P2, P1, 3);
    send(P3, P2, 4);
    send(P3, P1, 5);
    request(P1);
    progress_all();
    pass_safepoint(P1); /* p1 records, its marker goes to p2 */
    assert_true(recorded(P1));
    assert_false(recorded(P2));
    send(P1, P2, 6);
    deliver(P2, P1); /* m3 */
    receive(P1);
    deliver(P1, P2); /* the marker: p2 records, and hands it on */
    pass_safepoint(P2);
    assert_true(recorded(P2));
    assert_false(recorded(P3));
    send(P2, P3, 7);
    deliver(P3, P2); /* m4 */
    receive(P2);
    deliver(P3, P1); /* m5 */
    receive(P1);
    deliver(P1, P2); /* m6 */
    receive(P2);
    deliver(P2, P3); /* the marker: p3 records */
    pass_safepoint(P3);
    assert_true(recorded(P3));
    deliver(P2, P3); /* m7 */
    receive(P3);
    finish_attempts();

    assert_string_equal(J.problem, "");
    assert_int_equal(J.commits, 1);
    uint32_t m[SIM_QUEUE];
    assert_int_equal(sim_oracle_in_flight(P1, m), 2);
    assert_int_equal(m[0], 3);
    assert_int_equal(m[1], 5);
    assert_int_equal(sim_oracle_in_flight(P2, m), 1);
    assert_int_equal(m[0], 4);
    assert_int_equal(sim_oracle_in_flight(P3, m), 0);
    sim_close();
}

static void point_7_any_rank_all_at_once_and_during(void **state) {
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        sim_open(&(sim_options){.seed = 6, .quiet = true}, kind, 4);
        for (int i = 0; i < J.ranks; i++) { /* one */
            request(i);
            finish_attempts();
            assert_int_equal(J.commits + voids(), i + 1);
        }
        for (int i = 0; i < J.ranks; i++) /* all */
            request(i);
        finish_attempts();
        assert_int_equal(J.commits + voids(), 5);
        request(2); /* and during */
        while (!recorded(1)) {
            sim_network_deliver_besides(MPI_COMM_WORLD);
            pass_safepoints();
        }
        request(1);
        request(3);
        finish_attempts();
        assert_int_equal(J.commits + voids(), 7);
        assert_true(J.commits > 4);
        assert_string_equal(J.problem, "");
        sim_close();
    }
}

static void be_aligned(void *unused) {
    (void)unused;
    wc_layer_set_immediate(false);
}

static void kinds_of_cuts_must_agree(void **state) {
    (void)state;
    sim_open(&(sim_options){.seed = 3, .quiet = true}, true, 3);
    let(1, be_aligned, NULL);
    request(0);
    finish_attempts();
    assert_int_equal(J.commits, 0);
    assert_int_equal(J.voids[WC_REASON_MODES_DIFFER], 1);
    assert_string_equal(J.problem, "");
    sim_close();
}

/* The collective clock: where programs meet in collectives all the time, on communicators that overlap
 * too, the ranks record between the same ones. */
static void records_fall_between_the_same_collectives(void **state) {
    (void)state;
    static const char *const names[] = {"rows and columns", "barrier, then receive", "sparse"};
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        unsigned commits = 0, differ = 0;
        size_t program = 0;
        while (strcmp(sim_programs[program].name, names[k]) != 0)
            program++;
        for (uint64_t n = 1; n <= 60; n++) {
            sim_run(&(sim_options){.seed = n * sim_program_count + program});
            assert_string_equal(J.problem, "");
            commits += J.commits;
            differ += J.voids[WC_REASON_COLLECTIVES_DIFFER];
        }
        assert_true(commits > 60);
        assert_true(10 * differ < commits);
    }
}

static void point_8_a_death_leaves_the_last_snapshot(void **state) {
    (void)state;
    unsigned restored = 0;
    for (int turn = 500; turn < 30000; turn += 610) {
        for (uint64_t general = 0; general < 6; general++) {
            uint64_t seed = sim_program_count * (7 + general) + general;
            sim_run(&(sim_options){.seed = seed, .dies_at = turn});
            assert_string_equal(J.problem, "");
            restored += J.restored;
        }
    }
    assert_true(restored > 50);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(point_1_no_orphan_nothing_lost_nothing_twice),
        cmocka_unit_test(point_2_counters_agree_or_nothing_is_committed),
        cmocka_unit_test(point_3_vector_clocks_agree),
        cmocka_unit_test(point_4_restart_delivers_the_channels_first),
        cmocka_unit_test(point_5_every_request_ends),
        cmocka_unit_test(point_6_the_figure_of_the_notes),
        cmocka_unit_test(point_7_any_rank_all_at_once_and_during),
        cmocka_unit_test(kinds_of_cuts_must_agree),
        cmocka_unit_test(records_fall_between_the_same_collectives),
        cmocka_unit_test(point_8_a_death_leaves_the_last_snapshot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
