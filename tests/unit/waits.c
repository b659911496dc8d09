/* SPDX-License-Identifier: BSD-3-Clause */
/* Who waits for whom: answers made by hand, and what follows from them. */
#include "waitread.h"
#include "waittext.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 8, WORLD = 1 };

/* Answers of a job whose ranks compute, until told otherwise. */
typedef struct answers {
    int ranks;
    json_t *first[MOST], *second[MOST];
} answers;

static answers new_answers(int ranks) {
    answers a = {.ranks = ranks};
    for (int i = 0; i < ranks; i++) {
        json_t *world =
            json_pack("{s:s, s:s, s:s, s:i, s:i, s:o, s:i, s:[], s:[]}", "uid", "0000000000000001",
                      "made", "world", "parent", "0", "ordinal", 0, "colour", 0, "members",
                      json_sprintf("0-%d", ranks - 1), "collectives", 0, "sent", "received");
        a.second[i] =
            json_pack("{s:i, s:i, s:s, s:i, s:s, s:s, s:f, s:i, s:b, s:b, s:i, s:b, s:[], s:[o]}",
                      "waits", 1, "rank", i, "host", "node", "pid", 100 + i, "state", "outside",
                      "call", "", "since_s", 40.0, "calls", 7, "fresh", 1, "any", 0, "more", 0,
                      "uncounted", 0, "items", "communicators", world);
        assert_non_null(a.second[i]);
    }
    return a;
}

static void set(answers *a, int rank, const char *key, json_t *value) {
    json_object_set_new(a->second[rank], key, value);
}

static void set_world(answers *a, int rank, const char *key, json_t *value) {
    json_object_set_new(json_array_get(json_object_get(a->second[rank], "communicators"), 0), key,
                        value);
}

static void waits(answers *a, int rank, const char *call, const char *kind, int peer, int tag,
                  int number) {
    set(a, rank, "state", json_string("waits"));
    set(a, rank, "call", json_string(call));
    json_array_append_new(json_object_get(a->second[rank], "items"),
                          json_pack("{s:s, s:s, s:i, s:i, s:i}", "kind", kind, "comm",
                                    "0000000000000001", "peer", peer, "tag", tag, "number",
                                    number));
}

static void receives(answers *a, int rank, int source, int tag) {
    waits(a, rank, "MPI_Recv", "receive", source, tag, 0);
}

static void enters(answers *a, int rank, const char *call, int number) {
    waits(a, rank, call, "collective", -1, -1, number);
    set_world(a, rank, "collectives", json_integer(number));
}

static void streams(answers *a, int rank, const char *key, int peer, int tag, int messages) {
    json_t *world = json_array_get(json_object_get(a->second[rank], "communicators"), 0);
    json_array_append_new(json_object_get(world, key), json_pack("[i, i, i]", peer, tag, messages));
}

static wc_status understand(answers *a, wait_job *job, wc_error *error) {
    for (int i = 0; i < a->ranks; i++)
        if (!a->first[i])
            a->first[i] = json_incref(a->second[i]);
    wc_status status = wait_understand(a->ranks, a->first, a->second, job, error);
    for (int i = 0; i < a->ranks; i++) {
        json_decref(a->first[i]);
        json_decref(a->second[i]);
    }
    return status;
}

/* The verdict; the caller's to free. */
static char *judge(answers a) {
    wait_job job;
    wc_error error;
    assert_int_equal(understand(&a, &job, &error), WC_OK);
    wait_report report = wait_report_new(&job);
    json_t *all = wait_report_json(&report, "dir");
    char *text = strdup(json_string_value(json_object_get(all, "verdict")));
    assert_int_equal(json_is_true(json_object_get(all, "deadlock")), report.stuck > 0);
    json_decref(all);
    wait_report_free(&report);
    wait_job_free(&job);
    return text;
}

static void expect(answers a, const char *verdict) {
    char *text = judge(a);
    assert_string_equal(text, verdict);
    free(text);
}

/* ---- receives and sends ---- */

static void head_to_head(void **state) {
    (void)state;
    answers a = new_answers(2);
    receives(&a, 0, 1, 3);
    receives(&a, 1, 0, 3);
    expect(a, "deadlock: 0 -> 1 -> 0");
}

static void two_cycles_and_one_who_hangs_with_them(void **state) {
    (void)state;
    answers a = new_answers(6);
    receives(&a, 0, 1, 3);
    receives(&a, 1, 0, 3);
    waits(&a, 2, "MPI_Send", "send", 3, 0, 0);
    receives(&a, 3, 4, 0);
    waits(&a, 4, "MPI_Ssend", "send", 2, 0, 0);
    receives(&a, 5, 2, 0);
    expect(a, "deadlock: 0 -> 1 -> 0; 2 -> 3 -> 4 -> 2; with these hangs 5");
}

static void waits_for_itself(void **state) {
    (void)state;
    answers a = new_answers(2);
    receives(&a, 0, 0, 3);
    expect(a, "deadlock: 0 -> 0");
}

static void a_message_on_its_way(void **state) {
    (void)state;
    answers a = new_answers(2);
    receives(&a, 0, 1, 3);
    receives(&a, 1, 0, 3);
    streams(&a, 1, "sent", 0, 3, 5);
    streams(&a, 0, "received", 1, 3, 4);
    expect(a, "no deadlock: 2 of 2 ranks wait, and what they wait for is on its way or MPI's own "
              "affair");
}

static void a_message_that_another_receive_has(void **state) {
    (void)state;
    answers a = new_answers(2);
    receives(&a, 0, 1, 3);
    waits(&a, 0, "MPI_Recv", "arrived", 1, 3, 0);
    receives(&a, 1, 0, 3);
    streams(&a, 1, "sent", 0, 3, 5);
    streams(&a, 0, "received", 1, 3, 4);
    expect(a, "deadlock: 0 -> 1 -> 0");
}

static void a_send_that_is_being_received(void **state) {
    (void)state;
    answers a = new_answers(2);
    waits(&a, 0, "MPI_Send", "send", 1, 3, 0);
    receives(&a, 1, 0, -1);
    char *text = judge(a);
    assert_memory_equal(text, "no deadlock", 11);
    free(text);
}

static void other_tag(void **state) {
    (void)state;
    answers a = new_answers(2);
    wait_job job;
    wait_miss *misses;
    wc_error error;
    receives(&a, 0, 1, 8);
    receives(&a, 1, 0, 8);
    streams(&a, 1, "sent", 0, 7, 1);
    assert_int_equal(understand(&a, &job, &error), WC_OK);
    assert_int_equal(wait_reduce(&job), 2);
    assert_int_equal(wait_misses(&job, &misses), 1);
    assert_int_equal(misses[0].what, WAIT_MISS_TAG);
    assert_int_equal(misses[0].flight->tag, 7);
    assert_int_equal(misses[0].item->tag, 8);
    free(misses);
    wait_job_free(&job);
}

/* ---- and, or ---- */

static void any_source_where_one_computes(void **state) {
    (void)state;
    answers a = new_answers(3);
    receives(&a, 0, -1, 3);
    receives(&a, 1, 0, 3);
    expect(a, "no deadlock: 2 of 3 ranks wait, in the end for rank 2, which computes, outside of "
              "MPI, for 40 s");
}

static void any_source_knot(void **state) {
    (void)state;
    answers a = new_answers(4);
    receives(&a, 0, -1, 3);
    receives(&a, 1, -1, 3);
    receives(&a, 2, -1, 3);
    receives(&a, 3, 0, 3);
    expect(a, "deadlock: ranks 0-3 are a knot: what each waits for only the others could do");
}

static void all_needs_all(void **state) {
    (void)state;
    for (int any = 0; any < 2; any++) {
        answers a = new_answers(3);
        waits(&a, 0, "MPI_Waitall", "receive", 1, 3, 0);
        waits(&a, 0, "MPI_Waitall", "receive", 2, 3, 0);
        set(&a, 0, "any", json_boolean(any));
        receives(&a, 1, 0, 3);
        if (any)
            expect(a, "no deadlock: 2 of 3 ranks wait, in the end for rank 2, which computes, "
                      "outside of MPI, for 40 s");
        else
            expect(a, "deadlock: 0 -> 1 -> 0");
    }
}

static void any_of_more_than_are_told(void **state) {
    (void)state;
    answers a = new_answers(2);
    waits(&a, 0, "MPI_Waitany", "receive", 1, 3, 0);
    set(&a, 0, "any", json_true());
    set(&a, 0, "more", json_integer(1));
    receives(&a, 1, 0, 3);
    char *text = judge(a);
    assert_memory_equal(text, "no deadlock", 11);
    free(text);
}

/* ---- nothing is claimed of what isn't known ---- */

static void one_that_has_done_something(void **state) {
    (void)state;
    answers a = new_answers(2);
    receives(&a, 0, 1, 3);
    receives(&a, 1, 0, 3);
    a.first[1] = json_deep_copy(a.second[1]);
    json_object_set_new(a.first[1], "calls", json_integer(6));
    expect(a, "no deadlock: 1 of 2 ranks wait, in the end for rank 1, which runs");
}

static void one_that_does_not_answer(void **state) {
    (void)state;
    answers a = new_answers(2);
    receives(&a, 0, 1, 3);
    json_decref(a.second[1]);
    a.second[1] = NULL;
    expect(a,
           "no deadlock: 1 of 2 ranks wait, in the end for rank 1, which gives no answer; 1 rank "
           "gives no answer");
}

static void one_that_was_too_busy_to_answer(void **state) {
    (void)state;
    answers a = new_answers(2);
    receives(&a, 0, 1, 3);
    receives(&a, 1, 0, 3);
    set(&a, 1, "fresh", json_false());
    expect(a, "no deadlock: 1 of 2 ranks wait, in the end for rank 1, which runs");
}

static void more_tags_than_are_counted(void **state) {
    (void)state;
    answers a = new_answers(2);
    receives(&a, 0, 1, 3);
    receives(&a, 1, 0, 3);
    set(&a, 1, "uncounted", json_true());
    char *text = judge(a);
    assert_memory_equal(text, "no deadlock", 11);
    assert_non_null(strstr(text, "too many tags"));
    free(text);
}

static void something_that_is_not_followed(void **state) {
    (void)state;
    answers a = new_answers(2);
    receives(&a, 0, 1, 3);
    waits(&a, 1, "MPI_Win_fence", "other", 0, 0, 0);
    char *text = judge(a);
    assert_memory_equal(text, "no deadlock", 11);
    free(text);
}

/* ---- collectives and the end ---- */

static void barrier_without_one(void **state) {
    (void)state;
    answers a = new_answers(4);
    enters(&a, 0, "MPI_Barrier", 5);
    receives(&a, 1, 0, 3);
    enters(&a, 2, "MPI_Barrier", 5);
    set_world(&a, 1, "collectives", json_integer(4));
    set_world(&a, 3, "collectives", json_integer(4));
    expect(a, "deadlock: 0 -> 1 -> 0; with it hangs 2"); /* rank 3 may still come: no matter */
}

/* A broadcast may go on without one who comes later. */
static void broadcast_without_some(void **state) {
    (void)state;
    answers a = new_answers(3);
    enters(&a, 0, "MPI_Bcast", 5);
    receives(&a, 1, 0, 3);
    expect(a, "no deadlock: 2 of 3 ranks wait, in the end for rank 2, which computes, outside of "
              "MPI, for 40 s");
}

static void all_in_it(void **state) {
    (void)state;
    answers a = new_answers(2);
    enters(&a, 0, "MPI_Barrier", 5);
    enters(&a, 1, "MPI_Barrier", 5);
    char *text = judge(a);
    assert_memory_equal(text, "no deadlock", 11);
    free(text);
}

static void different_ones(void **state) {
    (void)state;
    answers a = new_answers(2);
    enters(&a, 0, "MPI_Barrier", 5);
    enters(&a, 1, "MPI_Bcast", 5);
    expect(a, "deadlock: 0 -> 1 -> 0; different collectives on world: MPI_Barrier on rank 0, "
              "MPI_Bcast on rank 1");
}

static void large_counts_are_no_difference(void **state) {
    (void)state;
    answers a = new_answers(2);
    enters(&a, 0, "MPI_Bcast", 5);
    enters(&a, 1, "MPI_Bcast_c", 5);
    char *text = judge(a);
    assert_memory_equal(text, "no deadlock", 11);
    free(text);
}

static void one_in_finalize(void **state) {
    (void)state;
    answers a = new_answers(2);
    receives(&a, 0, 1, 3);
    waits(&a, 1, "MPI_Finalize", "finalize", 0, 0, 0);
    expect(a, "deadlock: 0 -> 1 -> 0");
    a = new_answers(2);
    receives(&a, 0, 1, 3);
    set(&a, 1, "state", json_string("ended"));
    expect(a, "deadlock: rank 0 is in MPI_Recv from rank 1, tag 3, world, which can't come any "
              "more");
    a = new_answers(2);
    waits(&a, 0, "MPI_Finalize", "finalize", 0, 0, 0);
    expect(a, "no deadlock: 1 of 2 ranks wait, in the end for rank 1, which computes, outside of "
              "MPI, for 40 s");
}

/* ---- answers that make no sense ---- */

static void refuses(answers a) {
    wait_job job;
    wc_error error;
    assert_int_equal(understand(&a, &job, &error), WC_ERR_DAMAGED);
    assert_non_null(strstr(error.text, "rank-1.json"));
}

static void nonsense(void **state) {
    (void)state;
    answers a = new_answers(2);
    set(&a, 1, "state", json_string("odd"));
    refuses(a);
    a = new_answers(2);
    set(&a, 1, "items", json_string("none"));
    refuses(a);
    a = new_answers(2);
    receives(&a, 1, 2, 0); /* there is no rank 2 */
    refuses(a);
    a = new_answers(2);
    json_object_del(a.second[1], "communicators");
    refuses(a);
    a = new_answers(2);
    json_t *odd = json_pack("{s:s, s:s, s:s, s:i, s:i, s:s, s:i, s:[], s:[]}", "uid", "2", "made",
                            "dup", "parent", "1", "ordinal", 1, "colour", 0, "members", "0-9",
                            "collectives", 0, "sent", "received");
    json_array_append_new(json_object_get(a.second[1], "communicators"), odd);
    refuses(a);
}

static size_t allocated(void) {
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

/* What a communicator takes is not what its members, or the job's ranks, would take. */
static void many_members(void **state) {
    (void)state;
    enum { RANKS = 1 << 18, COMMS = 200 };
    json_t **once = calloc(RANKS, sizeof(json_t *)), *list;
    answers a = new_answers(1);
    wait_job job;
    wc_error error;
    list = json_object_get(a.second[0], "communicators");
    for (int i = 0; i < COMMS; i++)
        json_array_append_new(list, json_pack("{s:o, s:s, s:s, s:i, s:i, s:o, s:i, s:[], s:[]}",
                                              "uid", json_sprintf("%x", i + 2), "made", "dup",
                                              "parent", "1", "ordinal", i + 1, "colour", 0,
                                              "members", json_sprintf("0-%d", RANKS - 1),
                                              "collectives", 1, "sent", "received"));
    once[0] = a.second[0];
    size_t before = allocated();
    assert_int_equal(wait_understand(RANKS, once, once, &job, &error), WC_OK);
    assert_true(allocated() - before < RANKS * (sizeof(wait_rank) + COMMS));
    assert_int_equal(job.comm_count, 1 + COMMS);
    assert_int_equal(job.comms[COMMS].size, RANKS);
    wait_job_free(&job);
    json_decref(a.second[0]);
    free(once);
}

/* ---- many ranks ---- */

static void a_long_ring(void **state) {
    (void)state;
    enum { RANKS = 100000 };
    wait_range member = {0, 0};
    wait_comm world = {.size = 1, .members = &member, .range_count = 1};
    wait_item *items = calloc(RANKS, sizeof *items);
    wait_job job = {
        .ranks = RANKS, .rank = calloc(RANKS, sizeof *job.rank), .comms = &world, .comm_count = 1};
    wait_core *cores;
    for (int i = 0; i < RANKS; i++) {
        items[i] = (wait_item){.kind = WAIT_RECEIVE, .peer = (i + 1) % RANKS};
        job.rank[i] = (wait_rank){.state = WAIT_WAITS, .items = &items[i], .count = 1};
    }
    assert_int_equal(wait_reduce(&job), RANKS);
    assert_int_equal(wait_cores(&job, &cores), 1);
    assert_int_equal(cores[0].kind, WAIT_CYCLE);
    assert_int_equal(cores[0].count, RANKS);
    free(cores[0].ranks);
    free(cores);
    free(job.rank);
    free(items);
}

/* ---- any graph ---- */

typedef struct wish {
    int count, peer[3];
    bool any;
} wish;

/* Stuck are those of the largest set in which nobody is helped by one outside. */
static unsigned largest_stuck(const wish *wishes, int n) {
    unsigned all = 0;
    for (unsigned set_ = 1; set_ < 1u << n; set_++) {
        bool closed = true;
        for (int i = 0; i < n && closed; i++) {
            if (!(set_ >> i & 1))
                continue;
            int met = 0;
            for (int k = 0; k < wishes[i].count; k++)
                met += !(set_ >> wishes[i].peer[k] & 1);
            closed = wishes[i].count && (wishes[i].any ? met == 0 : met < wishes[i].count);
        }
        if (closed)
            all |= set_;
    }
    return all;
}

static void random_graphs(void **state) {
    (void)state;
    unsigned seed = 1;
    size_t stuck_ones = 0, cycles = 0, knots = 0;
    for (int round = 0; round < 2000; round++) {
        int n = 2 + rand_r(&seed) % 5;
        wish wishes[MOST] = {{0}};
        answers a = new_answers(n);
        for (int i = 0; i < n; i++) {
            wishes[i].count = rand_r(&seed) % 5 ? 1 + rand_r(&seed) % 3 : 0;
            wishes[i].any = rand_r(&seed) % 2;
            set(&a, i, "any", json_boolean(wishes[i].any));
            for (int k = 0; k < wishes[i].count; k++) {
                wishes[i].peer[k] = rand_r(&seed) % n;
                waits(&a, i, "MPI_Waitsome", "receive", wishes[i].peer[k], 0, 0);
            }
        }
        wait_job job;
        wait_core *cores;
        wc_error error;
        assert_int_equal(understand(&a, &job, &error), WC_OK);
        size_t stuck = wait_reduce(&job), count = wait_cores(&job, &cores);
        unsigned expected = largest_stuck(wishes, n);
        for (int i = 0; i < n; i++)
            assert_int_equal(job.rank[i].stuck, expected >> i & 1);
        assert_int_equal(count > 0, stuck > 0);
        stuck_ones += stuck;
        for (size_t c = 0; c < count; c++) {
            assert_int_not_equal(cores[c].kind, WAIT_HOPELESS);
            for (size_t i = 0; i < cores[c].count; i++) {
                int rank = cores[c].ranks[i], next = cores[c].ranks[(i + 1) % cores[c].count];
                bool waits_for_next = false;
                assert_true(job.rank[rank].stuck);
                for (int k = 0; k < wishes[rank].count; k++)
                    waits_for_next = waits_for_next || wishes[rank].peer[k] == next;
                assert_true(waits_for_next || cores[c].kind == WAIT_KNOT);
            }
            cycles += cores[c].kind == WAIT_CYCLE;
            knots += cores[c].kind == WAIT_KNOT;
            free(cores[c].ranks);
        }
        free(cores);
        wait_job_free(&job);
    }
    assert_true(stuck_ones > 100 && cycles > 100 && knots > 100); /* else it has shown little */
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(head_to_head),
                                       cmocka_unit_test(two_cycles_and_one_who_hangs_with_them),
                                       cmocka_unit_test(waits_for_itself),
                                       cmocka_unit_test(a_message_on_its_way),
                                       cmocka_unit_test(a_message_that_another_receive_has),
                                       cmocka_unit_test(a_send_that_is_being_received),
                                       cmocka_unit_test(other_tag),
                                       cmocka_unit_test(any_source_where_one_computes),
                                       cmocka_unit_test(any_source_knot),
                                       cmocka_unit_test(all_needs_all),
                                       cmocka_unit_test(any_of_more_than_are_told),
                                       cmocka_unit_test(one_that_has_done_something),
                                       cmocka_unit_test(one_that_does_not_answer),
                                       cmocka_unit_test(one_that_was_too_busy_to_answer),
                                       cmocka_unit_test(more_tags_than_are_counted),
                                       cmocka_unit_test(something_that_is_not_followed),
                                       cmocka_unit_test(barrier_without_one),
                                       cmocka_unit_test(broadcast_without_some),
                                       cmocka_unit_test(all_in_it),
                                       cmocka_unit_test(different_ones),
                                       cmocka_unit_test(large_counts_are_no_difference),
                                       cmocka_unit_test(one_in_finalize),
                                       cmocka_unit_test(nonsense),
                                       cmocka_unit_test(many_members),
                                       cmocka_unit_test(a_long_ring),
                                       cmocka_unit_test(random_graphs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
