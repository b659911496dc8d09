/* SPDX-License-Identifier: BSD-3-Clause */
/* What programs with random traffic don't come to: by hand. */
#include "hand.h"

#include "mpi/layer.h"

static void open_job(bool immediate, int ranks) {
    sim_open(&(sim_options){.seed = 1, .quiet = true}, immediate, ranks);
}

static void open_forging_job(bool immediate) {
    open_job(immediate, 2);
    J.options.fault = "a forged count"; /* so that its discovery is no problem */
}

/* One attempt, void for this reason; and the next one is as good as any. */
static void expect_void(wc_reason reason) {
    finish_attempts();
    assert_string_equal(J.problem, "");
    assert_int_equal(J.commits, 0);
    assert_int_equal(voids(), 1);
    assert_int_equal(void_reason(), reason);
}

static void expect_commit(void) {
    unsigned before = voids();
    request(0);
    finish_attempts();
    assert_string_equal(J.problem, "");
    assert_int_equal(voids(), before);
    assert_int_equal(J.commits, 1);
}

static void request_and_record(void) {
    request(0);
    sim_network_deliver_besides(MPI_COMM_WORLD);
    for (int i = 0; i < 1000 && !(recorded(0) && recorded(1)); i++) {
        progress_all();
        pass_safepoints();
    }
    assert_true(recorded(0) && recorded(1));
}

/* ---- receives of a program, by hand ---- */

static MPI_Request requests[2];
static int numbers[2];

static void allow_open_requests(void *unused) {
    (void)unused;
    L.core.config.requests_allowed = true;
    wc_layer_update();
}

static void post(int which, int source, int tag) {
    MPI_Irecv(&numbers[which], 1, MPI_INT, source, tag, MPI_COMM_WORLD, &requests[which]);
}

static void post_any(void *unused) {
    (void)unused;
    post(0, MPI_ANY_SOURCE, MPI_ANY_TAG);
}

static void post_first(void *unused) {
    (void)unused;
    post(0, 0, 0);
}

static void post_two(void *unused) {
    (void)unused;
    post(0, 0, 0);
    post(1, 0, 0);
}

static void wait_first(void *unused) {
    (void)unused;
    MPI_Wait(&requests[0], MPI_STATUS_IGNORE);
}

static void wait_second(void *unused) {
    (void)unused;
    MPI_Wait(&requests[1], MPI_STATUS_IGNORE);
}

static void cancel_first(void *unused) {
    MPI_Cancel(&requests[0]);
    wait_first(unused);
}

/* Of two. */
static int other(void) {
    return 1 - me->rank;
}

static void send_part(void *unused) {
    (void)unused;
    MPI_Send("abc", 3, MPI_BYTE, other(), 0, MPI_COMM_WORLD);
}

static void send_number(void *unused) {
    static const int number = 7;
    (void)unused;
    MPI_Send(&number, 1, MPI_INT, other(), 0, MPI_COMM_WORLD);
}

/* ---- what can't be saved ---- */

static void a_part_of_a_datatype(void **state) {
    (void)state;
    for (int immediate = 0; immediate < 2; immediate++) {
        open_job(immediate, 2);
        let(1, allow_open_requests, NULL);
        let(0, send_part, NULL);
        let(1, post_any, NULL);
        deliver(0, 1); /* matched before anybody knows of a request */
        request_and_record();
        let(1, wait_first, NULL);
        expect_void(WC_REASON_PARTIAL_TYPE);
        expect_commit();
        sim_close();
    }
}

/* Matched before the record, and still on its way when the time is over. */
static void a_message_that_never_comes(void **state) {
    (void)state;
    for (int immediate = 0; immediate < 2; immediate++) {
        open_job(immediate, 2);
        let(1, allow_open_requests, NULL);
        let(0, send_number, NULL);
        let(1, post_any, NULL);
        J.stuck = MPI_COMM_WORLD;
        deliver(0, 1);
        request(0);
        expect_void(WC_REASON_MESSAGE_MISSING);
        J.stuck = MPI_COMM_NULL;
        let(1, wait_first, NULL);
        assert_int_equal(numbers[0], 7);
        expect_commit();
        sim_close();
    }
}

static void send_synchronously(void *unused) {
    (void)unused;
    MPI_Issend(&numbers[1], 1, MPI_INT, other(), 1, MPI_COMM_WORLD, &requests[1]);
}

static void is_not_over(void *unused) {
    int flag;
    (void)unused;
    MPI_Test(&requests[1], &flag, MPI_STATUS_IGNORE);
    assert_false(flag);
}

static void receive_second(void *unused) {
    (void)unused;
    MPI_Recv(&numbers[1], 1, MPI_INT, 0, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
}

/* The receive that has what is missing is there. What comes after it stays in MPI, where a synchronous send isn't over before
 * its receive. */
static void nothing_behind_the_cut_is_pulled(void **state) {
    (void)state;
    open_job(false, 2);
    let(1, allow_open_requests, NULL);
    let(0, send_number, NULL);
    let(1, post_first, NULL);
    J.stuck = MPI_COMM_WORLD;
    deliver(0, 1);
    request_and_record();
    let(0, send_synchronously, NULL);
    deliver(0, 1);
    expect_void(WC_REASON_MESSAGE_MISSING);
    let(0, is_not_over, NULL);
    J.stuck = MPI_COMM_NULL;
    let(1, wait_first, NULL);
    let(1, receive_second, NULL);
    let(0, wait_second, NULL);
    expect_commit();
    sim_close();
}

/* ---- counts that can't be ---- */

static void forge(int64_t difference) {
    enum { COUNTS_BYTES = 32 + sizeof(wc_tag_count) };
    sim_packet *counts = NULL;
    for (int i = 0; i < 1000 && !counts; i++) {
        counts = sim_network_find_besides(MPI_COMM_WORLD, COUNTS_BYTES);
        if (counts)
            break;
        sim_network_deliver();
        pass_safepoints();
    }
    assert_non_null(counts);
    wc_tag_count *count = (wc_tag_count *)(counts->data + counts->bytes - sizeof *count);
    count->count += (uint64_t)difference;
}

static void counts_of_an_immediate_cut(void **state) {
    (void)state;
    for (int difference = -1; difference <= 1; difference += 2) {
        open_forging_job(true);
        pass(0, 1, 0);
        request(0);
        forge(difference);
        expect_void(difference < 0 ? WC_REASON_ORPHAN : WC_REASON_COUNTERS);
        sim_close();
    }
}

static void put_into_stash(void *unused) {
    (void)unused;
    sim_restore_message(1, 0, 0, "x", 1);
}

/* The sender knows of one message less than came, and one waits in the stash. */
static void counts_of_a_stash(void **state) {
    (void)state;
    open_forging_job(false);
    pass(0, 1, 0);
    let(1, put_into_stash, NULL);
    request(0);
    forge(-1);
    expect_void(WC_REASON_COUNTERS);
    sim_close();
}

/* ---- order of receives ---- */

/* The second of two receives takes the first message once the first receive is cancelled. */
static void a_cancelled_receive_took_nothing(void **state) {
    (void)state;
    open_job(false, 2);
    let(1, allow_open_requests, NULL);
    let(1, post_two, NULL);
    let(0, send_number, NULL);
    request_and_record();
    let(1, cancel_first, NULL);
    deliver(0, 1);
    let(1, wait_second, NULL);
    assert_int_equal(numbers[1], 7);
    finish_attempts();
    assert_int_equal(voids(), 0);
    assert_int_equal(J.commits, 1);
    sim_close();
}

static void meet(void *unused) {
    (void)unused;
    MPI_Barrier(MPI_COMM_WORLD);
}

/* After the record, MPI matches a receive of any source inside a barrier. It is still filling after that: from whom, and on which
 * side of the marker? */
static void matched_in_a_barrier_and_incomplete(void **state) {
    (void)state;
    open_job(true, 2);
    let(0, allow_open_requests, NULL);
    request(0);
    progress_all();
    pass_safepoint(0);
    assert_true(recorded(0) && !recorded(1));
    let(0, post_any, NULL);
    begin(0, meet);
    let(1, send_number, NULL);
    J.stuck = MPI_COMM_WORLD;
    while (sim_network_deliver())
        ;
    let_all(meet);
    J.stuck = MPI_COMM_NULL;
    expect_void(WC_REASON_ORDER_UNKNOWN);
    let(0, wait_first, NULL);
    assert_int_equal(numbers[0], 7);
    sim_close();
}

/* ---- communicators ---- */

static void make_copy(void *unused) {
    (void)unused;
    MPI_Comm_dup(MPI_COMM_WORLD, &me->comms[3]);
}

static void free_copy(void *unused) {
    (void)unused;
    MPI_Comm_free(&me->comms[3]);
}

static void send_on_copy(void *unused) {
    (void)unused;
    sim_send(3, 1, 0, 0, 0);
}

static void receive_on_copy(void *unused) {
    (void)unused;
    sim_slot slot;
    sim_slot_set(&slot, 3, 0, 0);
    sim_slot_receive(&slot);
}

/* Rank 1 records, receives and frees before rank 0 records: in flight, on a communicator that a restart would not have. */
static void in_flight_on_a_freed_communicator(void **state) {
    (void)state;
    for (int immediate = 0; immediate < 2; immediate++) {
        open_job(immediate, 2);
        let_all(make_copy); /* nobody waits for another one */
        let(0, send_on_copy, NULL);
        request(0);
        for (int i = 0; i < 1000 && !recorded(1); i++) {
            progress_all();
            pass_safepoint(1);
        }
        assert_true(recorded(1) && !recorded(0));
        while (sim_network_deliver())
            ;
        let(1, receive_on_copy, NULL);
        let(1, free_copy, NULL);
        expect_void(WC_REASON_FREED_COMM);
        let(0, free_copy, NULL);
        expect_commit();
        sim_close();
    }
}

static void make_by_group(void *unused) {
    (void)unused;
    MPI_Group world;
    PMPI_Comm_group(MPI_COMM_WORLD, &world);
    MPI_Comm_create_group(MPI_COMM_WORLD, world, 0, &me->comms[3]);
    MPI_Comm_free(&me->comms[3]);
}

static void make_by_two_groups(void *unused) {
    (void)unused;
    MPI_Intercomm_create(me->comms[2], 0, MPI_COMM_WORLD, other(), 0, &me->comms[3]);
    MPI_Comm_free(&me->comms[3]);
}

/* One makes it after its record, the other one before; it is gone by then, but after a restart one of them would wait for the
 * other to make it. */
static void made_and_freed_before_a_record(void **state) {
    (void)state;
    for (int immediate = 0; immediate < 2; immediate++)
        for (int two_groups = 0; two_groups < 2; two_groups++) {
            open_job(immediate, 2);
            request(0);
            for (int i = 0; i < 1000 && !recorded(1); i++) {
                progress_all();
                pass_safepoint(1);
            }
            assert_true(recorded(1) && !recorded(0));
            let_all(two_groups ? make_by_two_groups : make_by_group);
            expect_void(WC_REASON_COLLECTIVES_DIFFER);
            expect_commit();
            sim_close();
        }
}

/* ---- ranks that take no part ---- */

static void messages_from_and_to_outside(void **state) {
    (void)state;
    enum { OUTSIDE = 2 };
    for (int immediate = 0; immediate < 2; immediate++)
        for (int from_outside = 0; from_outside < 2; from_outside++) {
            sim_open(&(sim_options){.seed = 1, .quiet = true, .members = 2}, immediate, 3);
            if (from_outside)
                pass(OUTSIDE, 1, 0);
            else
                pass(1, OUTSIDE, 0);
            request(0);
            expect_void(WC_REASON_OUTSIDE);
            expect_commit();
            sim_close();
        }
}

/* ---- the end ---- */

static void finalize(void *unused) {
    (void)unused;
    MPI_Finalize();
}

/* The program leaves a message in the library's hands, and a receive open. */
static void what_is_left_at_the_end(void **state) {
    (void)state;
    open_job(false, 2);
    let(1, allow_open_requests, NULL);
    let(1, post_any, NULL);
    let(1, put_into_stash, NULL);
    let_all(finalize);
    assert_string_equal(J.problem, "");
    sim_close();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_part_of_a_datatype),
        cmocka_unit_test(a_message_that_never_comes),
        cmocka_unit_test(nothing_behind_the_cut_is_pulled),
        cmocka_unit_test(counts_of_an_immediate_cut),
        cmocka_unit_test(counts_of_a_stash),
        cmocka_unit_test(a_cancelled_receive_took_nothing),
        cmocka_unit_test(matched_in_a_barrier_and_incomplete),
        cmocka_unit_test(in_flight_on_a_freed_communicator),
        cmocka_unit_test(made_and_freed_before_a_record),
        cmocka_unit_test(messages_from_and_to_outside),
        cmocka_unit_test(what_is_left_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
