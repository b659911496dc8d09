/* SPDX-License-Identifier: BSD-3-Clause */
/* Verification finds a snapshot that is whole, with all hashes right, and still no consistent cut.
 */
#include "job.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    job_mistake mistake;
    const char *words;
} rows[] = {
    {JOB_LOSES_A_MESSAGE, "1 messages are in flight from rank 2 to rank 1, and 0"},
    {JOB_MISCOUNTS, "no consistent cut: rank 0 has sent 9 messages to rank 1"},
    {JOB_UNKNOWN_COMM, "communicator 0000000000003333"},
    {JOB_OVERLAPS, "/index/particles: rank 2 begins at element 999"},
    {JOB_BLOCKS_OVERLAP,
     "/index/particles: rank 2 begins at block 0, and the ranks before it have 1"},
    {JOB_PARTS_OVERLAP, "/index/field: the ranks' parts don't fill the array, some overlap"},
    {JOB_OUTSIDE_PAYLOAD, "outside /channels/payload"},
    {JOB_WRONG_ORDER, "out of order"},
    {JOB_OUTSIDE_ARRAY, "/index/particles: rank 2 begins at element 18446744073709551605"},
    {JOB_UNKNOWN_MEMBER, "/communicator_members"},
    {JOB_ORPHAN, "no consistent cut: rank 0 sent message 4 (tag 5, 64 bytes, communicator "
                 "0000000000001111) after its record in step 100, and rank 1 received it before "
                 "its own in step 101"},
    {JOB_RECEIVED_TWICE,
     "no consistent cut: rank 0 has sent 4 messages to rank 1, which has received 4, and 1 are in "
     "flight: 1 is received and in flight (communicator 0000000000001111 with tag 5"},
    {JOB_SEND_MISSING,
     "/trace/events: behind message 3 from rank 0 to rank 1, tag 5, comes message 5"},
    {JOB_UNKNOWN_EVENT, "/trace/events: event 1 of rank 1 is none"},
    {JOB_EVENTS_OVERLAP, "/trace/index: rank 2 doesn't begin where the one before ends"}};

_Static_assert(sizeof rows / sizeof *rows == JOB_MISTAKES - 1, "each mistake has its row");

static void mistakes_are_found(void **state) {
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char path[PATH_MAX];
        wc_error error = {WC_OK, ""};
        job_write(*state, i + 1, 5, rows[i].mistake);
        job_path(*state, i + 1, path);
        wc_status status = job_restore(path, 5, &error);
        if (status != WC_ERR_DAMAGED || !strstr(error.text, rows[i].words))
            fail_msg("mistake %d: status %d: \"%s\" does not say \"%s\"", rows[i].mistake, status,
                     error.text, rows[i].words);
    }
}

static void expect_witness(const wc_witness *found, const wc_witness *expected) {
    assert_int_equal(found->kind, expected->kind);
    assert_int_equal(found->comm, expected->comm);
    assert_int_equal(found->source, expected->source);
    assert_int_equal(found->destination, expected->destination);
    assert_int_equal(found->source_step, expected->source_step);
    assert_int_equal(found->destination_step, expected->destination_step);
    assert_int_equal(found->tag, expected->tag);
    assert_int_equal(found->named, expected->named);
    assert_int_equal(found->sequence, expected->sequence);
    assert_int_equal(found->bytes, expected->bytes);
    assert_int_equal(found->sent, expected->sent);
    assert_int_equal(found->received, expected->received);
    assert_int_equal(found->in_flight, expected->in_flight);
}

/* The witness is that of the trace, which names the message, also where the counters tell as much; a channel
 * without a trace has numbers. */
static void witnesses(void **state) {
    static const struct {
        job_mistake mistake;
        uint64_t findings;
        wc_witness witness;
    } expected[] = {
        {JOB_NO_MISTAKE, 0, {0}},
        {JOB_ORPHAN,
         1,
         {.kind = WC_WITNESS_ORPHAN,
          .comm = 0x1111,
          .source = 0,
          .destination = 1,
          .source_step = 100,
          .destination_step = 101,
          .tag = 5,
          .named = true,
          .sequence = 4,
          .bytes = 64}},
        {JOB_MISCOUNTS,
         1,
         {.kind = WC_WITNESS_LOST,
          .comm = 0x1111,
          .source = 0,
          .destination = 1,
          .source_step = 100,
          .destination_step = 101,
          .tag = -1,
          .sent = 9,
          .received = 6,
          .in_flight = 2}},
    };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        char path[PATH_MAX];
        wc_error error;
        wc_reader *r;
        wc_consistency found;
        job_write(*state, i + 1, 5, expected[i].mistake);
        job_path(*state, i + 1, path);
        assert_int_equal(wc_reader_open(path, &r, &error), WC_OK);
        assert_int_equal(wc_reader_consistency(r, &found, &error), WC_OK);
        wc_reader_close(r);
        assert_int_equal(found.findings, expected[i].findings);
        assert_true(found.traced);
        assert_int_equal(found.events, 14);
        expect_witness(&found.witness, &expected[i].witness);
    }
}

/* What a restarting rank reads is checked there too, without a verification before. */
static void reading_checks_too(void **state) {
    char path[PATH_MAX];
    wc_error error = {WC_OK, ""};
    wc_reader *r;
    wc_index_row row;
    wc_message_row *messages;
    size_t n;
    job_write(*state, 1, 5, JOB_OUTSIDE_ARRAY);
    job_path(*state, 1, path);
    assert_int_equal(wc_reader_open(path, &r, &error), WC_OK);
    const wc_array *arrays;
    size_t narrays = wc_reader_arrays(r, &arrays), i = 0;
    while (strcmp(arrays[i].name, "particles") != 0)
        i++;
    assert_int_equal(wc_reader_index(r, i, 2, &row, &error), WC_ERR_DAMAGED);
    assert_int_equal(wc_reader_extent(r, i, 2, NULL, &error), WC_ERR_DAMAGED);
    assert_int_equal(wc_reader_index(r, i, JOB_RANKS, &row, &error), WC_ERR_ARGUMENT);
    assert_int_equal(wc_reader_index(r, narrays, 0, &row, &error), WC_ERR_ARGUMENT);
    wc_reader_close(r);

    job_write(*state, 2, 5, JOB_OUTSIDE_PAYLOAD);
    job_path(*state, 2, path);
    assert_int_equal(wc_reader_open(path, &r, &error), WC_OK);
    assert_int_equal(wc_reader_messages(r, &messages, &n, &error), WC_OK);
    assert_int_equal(wc_reader_payload(r, &messages[0], NULL, &error), WC_ERR_DAMAGED);
    free(messages);
    wc_reader_close(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, job_directory, job_remove_directory)
        TEST(mistakes_are_found), TEST(witnesses), TEST(reading_checks_too)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
