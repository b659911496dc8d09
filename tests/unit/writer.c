/* SPDX-License-Identifier: BSD-3-Clause */
/* The background writer: any bytes from anywhere to anywhere, errors told once, the program never
 * waits. */
#include "job.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { ROOM = 6 << 20, ROOM_BLOCKS = ROOM / WC_BLOCK_BYTES };

static const wc_sums NO_SUMS = {NULL, NULL};

typedef struct fixture {
    void *dir;
    char path[PATH_MAX];
    wc_writer *writer;
    unsigned char *memory; /* page-aligned */
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
    f->memory = aligned_alloc(4096, ROOM);
    for (size_t i = 0; i < ROOM; i++)
        f->memory[i] = (unsigned char)(i * 2654435761u >> 13);
    return wc_writer_start(&f->writer, NULL) == WC_OK ? 0 : -1;
}

static int tear_down(void **state) {
    fixture *f = *state;
    if (f->writer)
        wc_writer_stop(f->writer);
    free(f->memory);
    int rc = job_remove_directory(&f->dir);
    free(f);
    return rc;
}

static void wait_well(fixture *f) {
    wc_error error = {WC_ERR_IO, ""};
    wc_writer_wait(f->writer, &error);
    if (error.status != WC_OK)
        fail_msg("%s", error.text);
}

static void expect_error(fixture *f, const char *words) {
    wc_error error = {WC_OK, ""};
    wc_writer_wait(f->writer, &error);
    assert_int_equal(error.status, WC_ERR_IO);
    if (!strstr(error.text, words))
        fail_msg("\"%s\" does not say \"%s\"", error.text, words);
    wait_well(f); /* it is told once */
}

static void expect_bytes(const fixture *f, uint64_t at, const unsigned char *bytes, size_t n) {
    unsigned char *got = malloc(n + 1);
    int fd = open(f->path, O_RDONLY);
    assert_int_equal(pread(fd, got, n, (off_t)at), n);
    assert_memory_equal(got, bytes, n);
    close(fd);
    free(got);
}

/* As FORMAT.md says, by xxHash itself. */
static void expect_sums(const unsigned char *from, size_t bytes, const uint64_t *blocks,
                        uint64_t checksum) {
    for (size_t at = 0; at < bytes; at += 65536) {
        size_t n = bytes - at < 65536 ? bytes - at : 65536;
        assert_true(blocks[at / 65536] == XXH3_64bits(from + at, n));
    }
    assert_true(checksum == XXH3_64bits(blocks, (bytes + 65535) / 65536 * sizeof *blocks));
}

/* Sizes on both sides of all limits, aligned and not, in memory and in the file. */
static void any_extent(void **state) {
    static const size_t sizes[] = {1, 4095, 4096, 4097, 65535, 65536, 70000, 200001, (4 << 20) + 5};
    static const size_t skews[] = {0, 1, 100, 4095};
    fixture *f = *state;
    assert_int_equal(wc_writer_open(f->writer, f->path, NULL), WC_OK);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (size_t m = 0; m < 4; m++)
            for (size_t k = 0; k < 4; k++) {
                uint64_t blocks[ROOM_BLOCKS] = {0}, checksum = 0, to = 8192 * (s + 1) + skews[k];
                wc_sums sums = {blocks, &checksum};
                const unsigned char *from = f->memory + 4096 * s + skews[m];
                assert_int_equal(wc_writer_extent(f->writer, from, NULL, sizes[s], to, sums, NULL),
                                 WC_OK);
                wait_well(f);
                expect_sums(from, sizes[s], blocks, checksum);
                expect_bytes(f, to, from, sizes[s]);
            }
    assert_int_equal(wc_writer_sync(f->writer, NULL), WC_OK);
    wait_well(f);
}

/* As much as several threads write at once, again and again: all of it is there, each block with its hash. */
static void many_units(void **state) {
    enum { BYTES = 45000000, BLOCKS = BYTES / WC_BLOCK_BYTES + 1 };
    static const size_t skews[] = {0, 1, 777};
    fixture *f = *state;
    unsigned char *memory = aligned_alloc(4096, BYTES + 4096 - BYTES % 4096 + 4096);
    uint64_t *hashes = calloc(BLOCKS, sizeof *hashes);
    for (size_t i = 0; i < BYTES + 1000; i++)
        memory[i] = (unsigned char)(i * 2654435761u >> 15);
    for (size_t i = 0; i < 3; i++) {
        uint64_t to = 4096 + skews[i], other = 1, checksum = 0, others = 0;
        wc_writer_open(f->writer, f->path, NULL);
        wc_writer_extent(f->writer, memory + 777, NULL, BYTES, to, (wc_sums){hashes, &checksum},
                         NULL);
        wc_writer_extent(f->writer, &checksum, NULL, 8, 0, NO_SUMS, NULL);
        wc_writer_extent(f->writer, memory, NULL, 10, to + BYTES, (wc_sums){&other, &others}, NULL);
        wc_writer_sync(f->writer, NULL);
        wait_well(f);
        expect_bytes(f, to, memory + 777, BYTES);
        expect_bytes(f, 0, (unsigned char *)&checksum, 8);
        expect_sums(memory + 777, BYTES, hashes, checksum);
        expect_sums(memory, 10, &other, others);
        memset(hashes, 0, BLOCKS * sizeof *hashes);
    }
    free(hashes);
    free(memory);
}

/* At least as slowly as was asked for; how much slower, nobody can say. */
static void limited(void **state) {
    fixture *f = *state;
    uint64_t hashes[ROOM_BLOCKS], checksum;
    struct timespec start, end;
    wc_writer_limit(f->writer, 20 << 20);
    wc_writer_open(f->writer, f->path, NULL);
    clock_gettime(CLOCK_MONOTONIC, &start);
    wc_writer_extent(f->writer, f->memory, NULL, ROOM, 0, (wc_sums){hashes, &checksum},
                     NULL); /* a unit of 4 MiB, and the rest */
    wait_well(f);
    clock_gettime(CLOCK_MONOTONIC, &end);
    assert_true((double)(end.tv_sec - start.tv_sec) + 1e-9 * (double)(end.tv_nsec - start.tv_nsec) >
                0.19);
    expect_bytes(f, 0, f->memory, ROOM);
}

/* Parts of one array by several ranks share pages at their ends: nobody may write over his
 * neighbour. */
static void neighbours(void **state) {
    enum { RANKS = 3, BYTES = 100003 };
    fixture *f = *state;
    wc_writer *writers[RANKS];
    for (int r = 0; r < RANKS; r++) {
        assert_int_equal(wc_writer_start(&writers[r], NULL), WC_OK);
        assert_int_equal(wc_writer_open(writers[r], f->path, NULL), WC_OK);
    }
    for (int round = 0; round < 20; round++) {
        for (int r = 0; r < RANKS; r++) {
            /* as staged: address and offset agree modulo the page, so the bodies go out with
             * O_DIRECT */
            uint64_t to = 4096 + (uint64_t)r * BYTES;
            assert_int_equal(wc_writer_extent(writers[r], f->memory + to + 4096 * (size_t)round,
                                              NULL, BYTES, to, NO_SUMS, NULL),
                             WC_OK);
        }
        for (int r = 0; r < RANKS; r++) {
            wc_error error;
            wc_writer_wait(writers[r], &error);
            assert_int_equal(error.status, WC_OK);
        }
        expect_bytes(f, 4096, f->memory + 4096 + 4096 * (size_t)round, RANKS * BYTES);
    }
    for (int r = 0; r < RANKS; r++)
        wc_writer_stop(writers[r]);
}

typedef struct order {
    int seen[3], count;
    const uint64_t *hash;
    uint64_t hash_seen;
} order;

static void see(void *context, wc_error *error) {
    order *o = context;
    (void)error;
    o->seen[o->count] = o->count;
    o->count++;
    o->hash_seen = *o->hash;
}

/* Rows carry checksums of extents queued before them. */
static void in_order(void **state) {
    fixture *f = *state;
    uint64_t block = 0, hash = 0;
    order o = {.hash = &hash};
    wc_writer_open(f->writer, f->path, NULL);
    wc_writer_run(f->writer, see, &o, NULL);
    wc_writer_extent(f->writer, f->memory, NULL, 1000, 0, (wc_sums){&block, &hash}, NULL);
    wc_writer_run(f->writer, see, &o, NULL);
    wc_writer_extent(f->writer, &hash, NULL, sizeof hash, 2000, NO_SUMS, NULL);
    wait_well(f);
    assert_int_equal(o.count, 2);
    expect_sums(f->memory, 1000, &block, o.hash_seen);
    expect_bytes(f, 2000, (unsigned char *)&o.hash_seen, sizeof o.hash_seen);
}

static void many_pieces(void **state) {
    enum { PIECES = 20000 };
    fixture *f = *state;
    uint64_t(*hashes)[2] = calloc(PIECES, sizeof *hashes);
    wc_writer_open(f->writer, f->path, NULL);
    for (size_t i = 0; i < PIECES; i++)
        assert_int_equal(wc_writer_extent(f->writer, f->memory + 10 * i, NULL, 10, 10 * i,
                                          (wc_sums){&hashes[i][0], &hashes[i][1]}, NULL),
                         WC_OK);
    wc_writer_sync(f->writer, NULL);
    wait_well(f);
    expect_bytes(f, 0, f->memory, 10 * PIECES);
    for (size_t i = 0; i < PIECES; i++)
        expect_sums(f->memory + 10 * i, 10, &hashes[i][0], hashes[i][1]);
    free(hashes);
}

static void hold(void *context, wc_error *error) {
    atomic_int *gate = context;
    (void)error;
    while (!atomic_load(gate))
        usleep(100);
}

static void idle_does_not_wait(void **state) {
    fixture *f = *state;
    atomic_int gate = 0;
    wc_error error = {WC_ERR_IO, "untouched"};
    assert_true(wc_writer_idle(f->writer, &error));
    assert_int_equal(error.status, WC_OK);
    wc_writer_run(f->writer, hold, &gate, NULL);
    for (int i = 0; i < 1000; i++)
        assert_false(wc_writer_idle(f->writer, &error));
    atomic_store(&gate, 1);
    while (!wc_writer_idle(f->writer, &error))
        usleep(100);
    assert_int_equal(error.status, WC_OK);
}

static void stop_does_what_is_queued(void **state) {
    fixture *f = *state;
    wc_writer_open(f->writer, f->path, NULL);
    for (size_t i = 0; i < 100; i++)
        wc_writer_extent(f->writer, f->memory + 4096 * i, NULL, 4096, 4096 * i, NO_SUMS, NULL);
    wc_writer_stop(f->writer);
    f->writer = NULL;
    expect_bytes(f, 0, f->memory, 409600);
}

/* ---- errors ---- */

static void no_file(void **state) {
    fixture *f = *state;
    char missing[PATH_MAX + 8];
    snprintf(missing, sizeof missing, "%s.none", f->path);
    wc_writer_open(f->writer, missing, NULL);
    wc_writer_extent(f->writer, f->memory, NULL, 10, 0, NO_SUMS, NULL);
    wc_writer_sync(f->writer, NULL);
    expect_error(f, missing); /* the first error, not those that follow from it */
    wc_writer_extent(f->writer, f->memory, NULL, 10, 0, NO_SUMS, NULL);
    expect_error(f, "no file is open");
    wc_writer_open(f->writer, f->path, NULL);
    wc_writer_extent(f->writer, f->memory, NULL, 10, 0, NO_SUMS, NULL);
    wc_writer_sync(f->writer, NULL);
    wait_well(f);
    expect_bytes(f, 0, f->memory, 10);
}

static void links_are_not_followed(void **state) {
    fixture *f = *state;
    char name[PATH_MAX + 8];
    snprintf(name, sizeof name, "%s.link", f->path);
    assert_int_equal(symlink(f->path, name), 0);
    wc_writer_open(f->writer, name, NULL);
    expect_error(f, name);
}

static void fail_task(void *context, wc_error *error) {
    wc_error_set(error, WC_ERR_IO, "%s", (const char *)context);
}

static void task_fails(void **state) {
    fixture *f = *state;
    wc_writer_open(f->writer, f->path, NULL);
    wc_writer_run(f->writer, fail_task, "first", NULL);
    wc_writer_run(f->writer, fail_task, "second", NULL);
    wc_writer_extent(f->writer, f->memory, NULL, 10, 0, NO_SUMS, NULL); /* its own business */
    expect_error(f, "first");
    expect_bytes(f, 0, f->memory, 10);
}

/* The signal that comes with it must not reach the program. */
static void file_size_limit(void **state) {
    fixture *f = *state;
    struct rlimit before, limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = before;
    limit.rlim_cur = 1 << 20;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    wc_writer_open(f->writer, f->path, NULL);
    wc_writer_extent(f->writer, f->memory, NULL, 4 << 20, 0, NO_SUMS, NULL);
    wc_error error;
    wc_writer_wait(f->writer, &error);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(error.status, WC_ERR_IO);
    assert_non_null(strstr(error.text, "ulimit"));
}

static void full_disk(void **state) {
    fixture *f = *state;
    if (mount("wavecut-test", f->dir, "tmpfs", 0, "size=1m") < 0) {
        print_message("no right to mount a small file system: skipped\n");
        skip();
    }
    int fd = open(f->path, O_WRONLY | O_CREAT, 0666);
    wc_writer_open(f->writer, f->path, NULL);
    uint64_t hashes[5][ROOM_BLOCKS], sums[5]; /* in units, of which several may fail */
    for (int i = 0; i < 5; i++)
        wc_writer_extent(f->writer, f->memory, NULL, ROOM, (uint64_t)i * ROOM,
                         (wc_sums){hashes[i], &sums[i]}, NULL);
    wc_error error;
    wc_writer_wait(f->writer, &error);
    close(fd);
    int unmounted = umount(f->dir); /* the writer holds nothing open after an error */
    assert_int_equal(error.status, WC_ERR_IO);
    assert_non_null(strstr(error.text, "WAVECUT_KEEP"));
    assert_non_null(strstr(error.text, f->path));
    assert_int_equal(unmounted, 0);
}

static void given_up(void **state) {
    fixture *f = *state;
    if (mount("wavecut-test", f->dir, "tmpfs", 0, "size=1m") < 0) {
        print_message("no right to mount a small file system: skipped\n");
        skip();
    }
    close(open(f->path, O_WRONLY | O_CREAT, 0666));
    wc_writer_open(f->writer, f->path, NULL);
    wc_writer_extent(f->writer, f->memory, NULL, 1000, 0, NO_SUMS, NULL);
    wc_writer_close(f->writer, NULL);
    wait_well(f);
    assert_int_equal(umount(f->dir), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
        TEST(any_extent),
        TEST(many_units),
        TEST(limited),
        TEST(neighbours),
        TEST(in_order),
        TEST(many_pieces),
        TEST(idle_does_not_wait),
        TEST(stop_does_what_is_queued),
        TEST(no_file),
        TEST(links_are_not_followed),
        TEST(task_fails),
        TEST(file_size_limit),
        TEST(full_disk),
        TEST(given_up)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
