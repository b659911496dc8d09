/* SPDX-License-Identifier: BSD-3-Clause */
/* A snapshot comes back as it was written, to the library and to h5py. */
#include "job.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void comes_back(void **state) {
    char path[PATH_MAX];
    wc_error error;
    job_write(*state, 1, 5, JOB_NO_MISTAKE);
    job_path(*state, 1, path);
    if (job_restore(path, 5, &error) != WC_OK)
        fail_msg("%s", error.text);
}

static void head_comes_back(void **state) {
    char path[PATH_MAX];
    wc_error error;
    wc_reader *r;
    job_write(*state, 1, 5, JOB_NO_MISTAKE);
    job_path(*state, 1, path);
    assert_int_equal(wc_reader_open(path, &r, &error), WC_OK);
    const wc_snapshot_head *head = wc_reader_head(r);
    assert_int_equal(head->id, 1);
    assert_int_equal(head->parent_id, 0);
    assert_int_equal(head->ranks, JOB_RANKS);
    assert_int_equal(head->initiator, 2);
    assert_int_equal(head->immediate, 0);
    assert_true(head->time == 1763885391.25);
    assert_string_equal(head->mpi_library, "Test MPI 1.0");
    assert_string_equal(head->version, "0.1.0");
    const wc_array *arrays;
    size_t n = wc_reader_arrays(r, &arrays);
    for (size_t i = 1; i < n; i++)
        assert_true(strcmp(arrays[i - 1].name, arrays[i].name) < 0);
    wc_reader_close(r);
}

static void verdict_counts(void **state) {
    char path[PATH_MAX];
    wc_error error;
    wc_reader *r;
    wc_verdict v;
    job_write(*state, 1, 5, JOB_NO_MISTAKE);
    job_path(*state, 1, path);
    assert_int_equal(wc_reader_open(path, &r, &error), WC_OK);
    assert_int_equal(wc_reader_verify(r, &v, &error), WC_OK);
    assert_string_equal(v.first_failure, "");
    assert_int_equal(v.failures, 0);
    assert_int_equal(v.extents, JOB_ARRAYS * JOB_RANKS - 1);
    assert_int_equal(v.messages, JOB_MESSAGES);
    wc_reader_close(r);
}

/* No arrays, no channels, and arguments that no attribute can hold. */
static void nothing_but_arguments(void **state) {
    enum { LENGTH = 300000 };
    char path[PATH_MAX], *program = malloc(LENGTH + 1);
    memset(program, 'x', LENGTH);
    program[LENGTH] = '\0';
    wc_snapshot_head head = {
        .id = 3, .ranks = 1, .program = program, .mpi_library = "", .version = ""};
    wc_error error;
    wc_store_file *file;
    wc_channel_place place;
    uint64_t ranks_place;
    assert_int_equal(wc_store_create(*state, &head, NULL, 0, NULL, &ranks_place, &file, &error),
                     WC_OK);
    assert_int_equal(wc_store_add_channels(file, &(wc_channel_sizes){0}, &place, &error), WC_OK);
    assert_int_equal(place.messages, 0);
    assert_int_equal(place.payload, 0);
    assert_int_equal(wc_store_publish(file, &error), WC_OK);
    wc_reader *r;
    wc_verdict v;
    job_path(*state, 3, path);
    if (wc_reader_open(path, &r, &error) != WC_OK)
        fail_msg("%s", error.text);
    assert_string_equal(wc_reader_head(r)->program, program);
    assert_int_equal(wc_reader_verify(r, &v, &error), WC_OK);
    assert_int_equal(v.failures, 0);
    wc_reader_close(r);
    free(program);
}

static void large_data_are_aligned(void **state) {
    wc_array array = {.name = "big", .type = WC_TYPE_U8, .total = 100000};
    wc_snapshot_head head = {.id = 1, .ranks = 1};
    wc_array_place place;
    uint64_t ranks_place;
    wc_store_file *file;
    wc_error error;
    assert_int_equal(wc_store_create(*state, &head, &array, 1, &place, &ranks_place, &file, &error),
                     WC_OK);
    assert_int_equal(place.data % 4096, 0);
    struct stat s;
    assert_int_equal(stat(wc_store_path(file), &s), 0);
    assert_true((uint64_t)s.st_size >= place.data + 100000);
    assert_true((uint64_t)s.st_blocks * 512 >= 100000); /* the space is taken */
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s", wc_store_path(file));
    wc_store_abandon(file);
    assert_int_equal(access(path, F_OK), -1);
}

static void stripes(void **state) {
    wc_array arrays[] = {{.name = "a", .type = WC_TYPE_U8, .total = 100},
                         {.name = "b", .type = WC_TYPE_F64, .total = 300000},
                         {.name = "c", .type = WC_TYPE_F64, .total = 131072},
                         {.name = "d", .type = WC_TYPE_U8, .total = 70000},
                         {.name = "e",
                          .type = WC_TYPE_F64,
                          .ndims = 2,
                          .total = 512 * 512,
                          .shape = {512, 512},
                          .chunk = {256, 512}}};
    wc_snapshot_head head = {.id = 1, .ranks = 1, .stripe = 1 << 20};
    wc_array_place places[5];
    uint64_t ranks_place;
    wc_store_file *file;
    wc_error error;
    if (wc_store_create(*state, &head, arrays, 5, places, &ranks_place, &file, &error) != WC_OK)
        fail_msg("%s", error.text);
    assert_true(places[0].data < 1 << 20);
    assert_int_equal(places[1].data % (1 << 20), 0);
    assert_int_equal(places[2].data % (1 << 20), 0);
    assert_int_equal(places[3].data % 4096, 0);
    assert_int_equal(places[4].data % (1 << 20), 0);
    assert_true(places[4].data < 8 << 20); /* little is lost */
    wc_store_abandon(file);
}

static void read_by_h5py(void **state) {
    char path[PATH_MAX], command[2 * PATH_MAX];
    job_write(*state, 1, 5, JOB_NO_MISTAKE);
    job_path(*state, 1, path);
    snprintf(command, sizeof command, "%s %s %s", WC_PYTHON, WC_READ_SCRIPT, path);
    assert_int_equal(system(command), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, job_directory, job_remove_directory)
        TEST(comes_back),   TEST(head_comes_back),       TEST(verdict_counts),
        TEST(read_by_h5py), TEST(nothing_but_arguments), TEST(large_data_are_aligned),
        TEST(stripes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
