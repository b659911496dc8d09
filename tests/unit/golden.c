/* SPDX-License-Identifier: BSD-3-Clause */
/* The snapshot that every later version must read: golden/make.c says what is in it. */
#include "job.h"

#include <complex.h>
#include <stdlib.h>
#include <string.h>

static const char FILE_NAME[] = WC_GOLDEN "/format-2.h5";

enum { RANKS = 4 };

static int set_up(void **state) {
    wc_error error;
    return wc_reader_open(FILE_NAME, (wc_reader **)state, &error) == WC_OK ? 0 : -1;
}

static int tear_down(void **state) {
    wc_reader_close(*state);
    return 0;
}

static void run(const char *command) {
    if (system(command) != 0)
        fail_msg("failed: %s", command);
}

static void is_accepted(void **state) {
    wc_verdict v;
    wc_error error;
    assert_int_equal(wc_reader_verify(*state, &v, &error), WC_OK);
    assert_string_equal(v.first_failure, "");
    assert_int_equal(v.extents, 5 * RANKS + 2 + 2);
    assert_int_equal(v.messages, 3 * RANKS);
    run(WC_COMMAND " verify " WC_GOLDEN "/format-2.h5 >/dev/null");
    run(WC_COMMAND " info " WC_GOLDEN "/format-2.h5 >/dev/null");
}

static void read_by_h5py(void **state) {
    (void)state;
    run(WC_PYTHON " " WC_GOLDEN "/read.py " WC_GOLDEN "/format-2.h5");
}

/* ---- by the reader ---- */

/* What a rank has of an array: malloc'd. */
static void *part_of(wc_reader *r, const char *name, uint32_t rank, wc_type type, uint64_t count) {
    const wc_array *arrays;
    size_t n = wc_reader_arrays(r, &arrays), i = 0;
    wc_index_row row;
    wc_error error;
    while (i < n && strcmp(arrays[i].name, name) != 0)
        i++;
    assert_int_not_equal(i, n);
    assert_int_equal(arrays[i].type, type);
    assert_int_equal(wc_reader_index(r, i, rank, &row, &error), WC_OK);
    assert_int_equal(row.count, count);
    void *part = malloc(count * wc_type_bytes(type) + 1);
    assert_int_equal(wc_reader_extent(r, i, rank, part, &error), WC_OK);
    return part;
}

static void expect(wc_reader *r, const char *name, uint32_t rank, wc_type type, const void *values,
                   uint64_t count) {
    void *part = part_of(r, name, rank, type, count);
    assert_memory_equal(part, values, count * wc_type_bytes(type));
    free(part);
}

static void arrays_of(wc_reader *r, uint32_t rank) {
    double field[64][128];
    double _Complex wave[3];
    int64_t ids[15];
    float masses[5];
    uint8_t flags[7];
    const int32_t inbox[3] = {0};
    for (uint32_t i = 0; i < 64 * 128; i++)
        field[i / 128][i % 128] = i / 128 * 1000.0 + 128 * rank + i % 128;
    for (int i = 0; i < 3; i++)
        wave[i] = rank + i * 0.25 * _Complex_I;
    for (int64_t i = 0; i < 15; i++)
        ids[i] = -INT64_C(1000000000000) * rank - i;
    for (uint32_t i = 0; i < 5; i++)
        masses[i] = 0.5F + (float)(rank * 10 + i);
    for (uint32_t i = 0; i < 7; i++)
        flags[i] = (uint8_t)(rank * 16 + i);
    expect(r, "field", rank, WC_TYPE_F64, field, rank < 2 ? 64 * 128 : 0);
    expect(r, "ocean/wave", rank, WC_TYPE_C64, wave, 3);
    expect(r, "ids", rank, WC_TYPE_I64, ids, 5 * (uint64_t)rank);
    expect(r, "masses", rank, WC_TYPE_F32, masses, rank % 2 ? 5 : 0);
    expect(r, "flags", rank, WC_TYPE_U8, flags, 7);
    expect(r, "inbox", rank, WC_TYPE_I32, inbox, 3);
}

static void requests_of(wc_reader *r, uint32_t rank) {
    const wc_request_row rows[2] = {{.state = "none"},
                                    {.state = "receive",
                                     .source = (int32_t)(rank + RANKS - 1) % RANKS,
                                     .tag = 9,
                                     .comm = 1,
                                     .order = 1,
                                     .count = 1,
                                     .offset = 4,
                                     .type = "i32",
                                     .array = "inbox"}};
    expect(r, "requests", rank, WC_TYPE_REQUEST, rows, 2);
}

static void arrays(void **state) {
    assert_int_equal(wc_reader_head(*state)->ranks, RANKS);
    assert_int_equal(wc_reader_head(*state)->immediate, 1);
    for (uint32_t rank = 0; rank < RANKS; rank++) {
        arrays_of(*state, rank);
        requests_of(*state, rank);
    }
}

/* The global array as one, across its chunks. */
static void whole_field(void **state) {
    const wc_box whole = {.ndims = 2, .global = {64, 256}, .local = {64, 256}};
    double *field = malloc(64 * 256 * sizeof *field);
    wc_error error;
    assert_int_equal(wc_reader_part(*state, 0, &whole, field, &error),
                     WC_OK); /* the first by name */
    for (int i = 0; i < 64 * 256; i++)
        assert_true(field[i] == i / 256 * 1000.0 + i % 256);
    free(field);
}

static void messages(void **state) {
    wc_message_row *rows;
    size_t n;
    wc_error error;
    int seen[3] = {0};
    assert_int_equal(wc_reader_messages(*state, &rows, &n, &error), WC_OK);
    assert_int_equal(n, 3 * RANKS);
    for (size_t i = 0; i < n; i++) {
        const wc_message_row *m = &rows[i];
        int32_t numbers[10];
        const size_t counts[3] = {10, 0, 1};
        assert_in_range(m->tag, 5, 7);
        assert_int_equal(m->bytes, counts[m->tag - 5] * sizeof *numbers);
        assert_int_equal(m->destination, m->tag == 7 ? m->source ^ 1 : (m->source + 1) % RANKS);
        assert_int_equal(m->comm == 1, m->tag != 7);
        assert_int_equal(wc_reader_payload(*state, m, numbers, &error), WC_OK);
        for (size_t k = 0; k < counts[m->tag - 5]; k++)
            assert_int_equal(numbers[k], m->source * 100 + k);
        seen[m->tag - 5]++;
    }
    for (int i = 0; i < 3; i++)
        assert_int_equal(seen[i], RANKS);
    free(rows);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
        TEST(is_accepted), TEST(read_by_h5py), TEST(arrays), TEST(whole_field), TEST(messages)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
