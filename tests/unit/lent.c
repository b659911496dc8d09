/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory that the writer takes bytes from until the program wants it back: at any moment, wherever it lies, in the file are the bytes
 * that it had when it was lent, and the checksum is theirs. */
#include "job.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, BYTES = (9 << 20) + 12345 };

typedef struct fixture {
    void *dir;
    char path[PATH_MAX];
    wc_writer *writer;
    unsigned char *right, *copy, *got;
} fixture;

static int set_up(void **state) {
    fixture *f = calloc(1, sizeof *f);
    if (!f || job_directory(&f->dir) != 0)
        return -1;
    *state = f;
    snprintf(f->path, sizeof f->path, "%s/file", (char *)f->dir);
    int fd = open(f->path, O_WRONLY | O_CREAT, 0666);
    if (fd < 0 || close(fd) < 0)
        return -1;
    f->right = malloc(BYTES);
    f->copy = aligned_alloc(PAGE, (BYTES / PAGE + 2) * PAGE);
    f->got = malloc(BYTES);
    for (size_t i = 0; i < BYTES; i++)
        f->right[i] = (unsigned char)(i * 2654435761u >> 11);
    return wc_writer_start(&f->writer, NULL) == WC_OK ? 0 : -1;
}

static int tear_down(void **state) {
    fixture *f = *state;
    if (f->writer)
        wc_writer_stop(f->writer);
    free(f->right);
    free(f->copy);
    free(f->got);
    int rc = job_remove_directory(&f->dir);
    free(f);
    return rc;
}

/* Pages of its own, so that what is gone is gone. */
static unsigned char *program_memory(const fixture *f, size_t skew) {
    unsigned char *memory =
        mmap(NULL, BYTES + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(memory != MAP_FAILED);
    memcpy(memory + skew, f->right, BYTES);
    return memory;
}

static void queue(fixture *f, wc_lent *lent, uint64_t to, const wc_box *box, wc_sums sums) {
    assert_int_equal(wc_writer_open(f->writer, f->path, NULL), WC_OK);
    if (box)
        assert_int_equal(
            wc_writer_box(f->writer, lent->copy, lent, box, box->global, 1, to, sums, NULL), WC_OK);
    else
        assert_int_equal(wc_writer_extent(f->writer, lent->copy, lent, BYTES, to, sums, NULL),
                         WC_OK);
}

static uint64_t checksum(const void *bytes, size_t count) {
    uint64_t blocks[BYTES / WC_BLOCK_BYTES + 1];
    wc_block_hashes(bytes, count, blocks);
    return wc_block_checksum(blocks, wc_blocks(count));
}

static void expect_right(fixture *f, uint64_t to, const uint64_t *hash) {
    wc_error error = {WC_ERR_IO, ""};
    wc_writer_wait(f->writer, &error);
    if (error.status != WC_OK)
        fail_msg("%s", error.text);
    int fd = open(f->path, O_RDONLY);
    assert_int_equal(pread(fd, f->got, BYTES, (off_t)to), BYTES);
    close(fd);
    assert_memory_equal(f->got, f->right, BYTES);
    assert_true(*hash == checksum(f->right, BYTES));
}

static int set_up_with_copier(void **state) {
    int rc = set_up(state);
    wc_lent_start_copier();
    return rc;
}

static int tear_down_with_copier(void **state) {
    wc_lent_stop_copier();
    return tear_down(state);
}

/* Lent, and taken back after so many microseconds; then the program writes it, or it is gone. */
static void lend(fixture *f, size_t skew, uint64_t to, long after_us, bool gone) {
    unsigned char *memory = program_memory(f, skew);
    wc_lent lent;
    uint64_t hash = 0, blocks[BYTES / WC_BLOCK_BYTES + 1];
    memset(f->copy, 0x55, BYTES + PAGE);
    wc_lent_begin(&lent, memory + skew, f->copy + to % PAGE, BYTES);
    wc_lent_offer(&lent); /* nobody is there, but for the tests with a copier */
    queue(f, &lent, to, NULL, (wc_sums){blocks, &hash});
    nanosleep(&(struct timespec){.tv_nsec = after_us * 1000}, NULL);
    wc_lent_take_back(&lent);
    if (gone)
        munmap(memory, BYTES + PAGE);
    else
        memset(memory, 0xAA, BYTES + PAGE);
    expect_right(f, to, &hash);
    if (!gone)
        munmap(memory, BYTES + PAGE);
}

static void taken_back_at_any_time(void **state) {
    static const struct {
        size_t skew;
        uint64_t to;
    } places[] = {{0, 0}, {0, 8192}, {8, 4096 + 8}, {0, 100}, {16, 8192}, {4095, 1}};
    fixture *f = *state;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        for (long round = 0; round < 6; round++)
            lend(f, places[i].skew, places[i].to, round * round * 300, round % 2);
}

static void not_taken_back(void **state) {
    fixture *f = *state;
    unsigned char *memory = program_memory(f, 0);
    wc_lent lent;
    uint64_t hash = 0, blocks[BYTES / WC_BLOCK_BYTES + 1];
    memset(f->copy, 0x55, BYTES);
    wc_lent_begin(&lent, memory, f->copy, BYTES);
    queue(f, &lent, 0, NULL, (wc_sums){blocks, &hash});
    expect_right(f, 0, &hash);
    memset(f->got, 0x55, BYTES); /* there was no need for a copy */
    assert_memory_equal(f->copy, f->got, BYTES);
    wc_lent_drop(&lent);
    munmap(memory, BYTES + PAGE);
}

/* A part of a global array: rows that don't stand together in the file. */
static void box(void **state) {
    enum { COLUMNS = 999, WHOLE = 5000 };
    const uint64_t rows = BYTES / COLUMNS, bytes = rows * COLUMNS;
    const wc_box part = {
        .ndims = 2, .global = {rows, WHOLE}, .offset = {0, 1000}, .local = {rows, COLUMNS}};
    fixture *f = *state;
    for (long round = 0; round < 6; round++) {
        unsigned char *memory = program_memory(f, 0);
        wc_lent lent;
        uint64_t hash = 0, blocks[BYTES / WC_BLOCK_BYTES + 1];
        wc_error error;
        wc_lent_begin(&lent, memory, f->copy, bytes);
        queue(f, &lent, 0, &part, (wc_sums){blocks, &hash});
        nanosleep(&(struct timespec){.tv_nsec = round * 2000000}, NULL);
        wc_lent_take_back(&lent);
        munmap(memory, BYTES + PAGE);
        wc_writer_wait(f->writer, &error);
        assert_int_equal(error.status, WC_OK);
        assert_true(hash == checksum(f->right, bytes));
        int fd = open(f->path, O_RDONLY);
        for (uint64_t r = 0; r < rows; r++) {
            assert_int_equal(pread(fd, f->got, COLUMNS, (off_t)(r * WHOLE + 1000)), COLUMNS);
            assert_memory_equal(f->got, f->right + r * COLUMNS, COLUMNS);
        }
        close(fd);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
        TEST(taken_back_at_any_time), TEST(not_taken_back), TEST(box),
        cmocka_unit_test_setup_teardown(taken_back_at_any_time, set_up_with_copier,
                                        tear_down_with_copier),
        cmocka_unit_test_setup_teardown(box, set_up_with_copier, tear_down_with_copier)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
