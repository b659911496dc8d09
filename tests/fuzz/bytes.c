/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every way in which a disk or a file system may spoil a small snapshot: it is detected, by reading and by verification, or it
 * changes nothing of what a restart gets. Nothing crashes, hangs, or takes memory without bound. A sample, and all of it with
 * TESTS_FULL.
 */
#include "contents.h"
#include "small.h"
#include "surgery.h"

#include "unit/job.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECTOR = 512, MOST = 1 << 18 };

typedef struct victim {
    char *dir, path[PATH_MAX];
    int fd;
    size_t size;
    unsigned char bytes[MOST]; /* as it was written */
    uint64_t digest;
    size_t harmless; /* changes without effect so far */
} victim;

static bool in_valgrind(void) {
    const char *preload = getenv("LD_PRELOAD");
    return preload && strstr(preload, "vgpreload");
}

static bool all(void) {
    const char *full = getenv("TESTS_FULL");
    return full && *full && !in_valgrind();
}

/* Every how many of them is tried: primes, so that all bits and all parts of words have their turn. */
static size_t every(size_t few) {
    return all() ? 1 : in_valgrind() ? 31 * few : few;
}

static void load(victim *v, const char *path, unsigned char bytes[MOST], size_t *size) {
    wc_error error = {WC_OK, ""};
    v->fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(v->fd >= 0);
    ssize_t n = pread(v->fd, bytes, MOST, 0);
    assert_true(n > 0 && n < MOST);
    *size = (size_t)n;
    if (contents_read(path, &v->digest, &error) != WC_OK || contents_verify(path, &error) != WC_OK)
        fail_msg("before any damage: %s", error.text);
}

static int set_up(void **state) {
    victim *v = calloc(1, sizeof *v);
    void *dir;
    wc_error error = {WC_OK, ""};
    if (!v || job_directory(&dir) != 0)
        return -1;
    v->dir = dir;
    *state = v;
    if (small_write(v->dir, &error) != WC_OK)
        fail_msg("%s", error.text);
    job_path(v->dir, 1, v->path);
    load(v, v->path, v->bytes, &v->size);
    return 0;
}

static int tear_down(void **state) {
    victim *v = *state;
    void *dir = v->dir;
    close(v->fd);
    free(v);
    return job_remove_directory(&dir);
}

static void put(const victim *v, size_t at, const void *from, size_t n) {
    assert_int_equal(pwrite(v->fd, from, n, (off_t)at), n);
}

static void put_back(const victim *v) {
    assert_int_equal(ftruncate(v->fd, (off_t)v->size), 0);
    put(v, 0, v->bytes, v->size);
}

static bool is_detected(const victim *v, const char *what, size_t at, wc_status status,
                        const wc_error *error) {
    if (status == WC_OK)
        return false;
    if (status != WC_ERR_DAMAGED || !strstr(error->text, v->path))
        fail_msg("%s at %zu of %zu: status %d: %s", what, at, v->size, status, error->text);
    return true;
}

/* As the file is now. */
static void judge(victim *v, const char *what, size_t at) {
    uint64_t digest = 0;
    wc_error reading = {WC_OK, ""}, verifying = {WC_OK, ""};
    wc_status status = contents_read(v->path, &digest, &reading);
    bool read_in = !is_detected(v, what, at, status, &reading);
    status = contents_verify(v->path, &verifying);
    bool verified = !is_detected(v, what, at, status, &verifying);
    if (read_in != verified)
        fail_msg("%s at %zu: reading: %s; verification: %s", what, at,
                 read_in ? "well" : reading.text, verified ? "well" : verifying.text);
    if (read_in && digest != v->digest)
        fail_msg("%s at %zu of %zu: something else is restored", what, at, v->size);
    v->harmless += read_in;
}

/* ---- bytes ---- */

static void flip(victim *v, size_t at, unsigned char mask) {
    unsigned char byte = v->bytes[at] ^ mask;
    put(v, at, &byte, 1);
    judge(v, "a changed byte", at);
    put(v, at, &v->bytes[at], 1);
}

/* What the chunk at the edge holds beyond the array has no meaning, and nothing else. */
static void each_byte(void **state) {
    victim *v = *state;
    enum { BEYOND = 4 * 32 * 4 }; /* rows, columns, bytes: small.c */
    size_t stride = every(13);
    for (size_t at = 0; at < v->size; at += stride) {
        if (all())
            for (int bit = 0; bit < 8; bit++)
                flip(v, at, (unsigned char)(1u << bit));
        else
            flip(v, at, (unsigned char)(1u << at % 8));
    }
    size_t tried = all() ? 8 : 1;
    print_message("%zu changes, %zu harmless\n", (v->size + stride - 1) / stride * tried,
                  v->harmless);
    assert_in_range(v->harmless, 0, BEYOND / stride * tried + 1);
}

static void each_length(void **state) {
    victim *v = *state;
    for (size_t size = 0; size < v->size; size += every(37)) {
        assert_int_equal(ftruncate(v->fd, (off_t)size), 0);
        judge(v, "the end", size);
        put_back(v);
    }
    for (size_t more = 1; more < 2 * SECTOR; more += every(37)) {
        assert_int_equal(ftruncate(v->fd, (off_t)(v->size + more)), 0);
        judge(v, "zeros appended", more);
        put_back(v);
    }
    assert_int_equal(v->harmless, 0);
}

/* ---- sectors ---- */

static size_t sector_bytes(const victim *v, size_t at) {
    return v->size - at < SECTOR ? v->size - at : SECTOR;
}

static void put_sector(victim *v, size_t at, const unsigned char *from, const char *what) {
    size_t n = sector_bytes(v, at);
    if (memcmp(v->bytes + at, from, n) == 0)
        return;
    put(v, at, from, n);
    judge(v, what, at);
    put(v, at, v->bytes + at, n);
}

static void zeroed_sectors(void **state) {
    static const unsigned char zeros[SECTOR];
    victim *v = *state;
    for (size_t at = 0; at < v->size; at += SECTOR)
        put_sector(v, at, zeros, "a zeroed sector");
}

/* A write that went to the wrong place: another sector stands there too. */
static void doubled_sectors(void **state) {
    victim *v = *state;
    for (size_t at = 0; at < v->size; at += SECTOR)
        for (size_t other = 0; other + SECTOR <= v->size; other += SECTOR)
            if ((at / SECTOR + other / SECTOR) % every(7) == 0)
                put_sector(v, at, v->bytes + other, "a doubled sector");
}

static void swapped_sectors(void **state) {
    victim *v = *state;
    for (size_t at = 0; at + SECTOR <= v->size; at += SECTOR)
        for (size_t other = at + SECTOR; other + SECTOR <= v->size; other += SECTOR) {
            if ((at / SECTOR + other / SECTOR) % every(7) ||
                memcmp(v->bytes + at, v->bytes + other, SECTOR) == 0)
                continue;
            put(v, at, v->bytes + other, SECTOR);
            put(v, other, v->bytes + at, SECTOR);
            judge(v, "swapped sectors", at);
            put_back(v);
        }
}

/* ---- two files ---- */

/* Of another snapshot of the same layout: all sectors up to one, or one alone. */
static void mixed_files(void **state) {
    static unsigned char other[MOST];
    victim *v = *state;
    for (size_t i = 0; i < v->size; i++)
        other[i] = v->bytes[i];
    anatomy a;
    assert_true(anatomy_read(other, v->size, &a));
    for (size_t i = 0; i < a.extents.count; i++) /* other contents, with hashes that fit */
        for (uint64_t k = 0; k < a.extents.at[i].size; k++)
            other[a.extents.at[i].offset + k] ^= (unsigned char)(1 + k % 3);
    assert_int_equal(surgery_trailer(other, sizeof other, &a), v->size);
    anatomy_free(&a);
    for (size_t at = 0; at < v->size; at += SECTOR) {
        put_sector(v, at, other + at, "another file's sector");
        if (memcmp(v->bytes, other, at) == 0)
            continue;
        put(v, 0, other, at);
        judge(v, "another file's beginning", at);
        put_back(v);
    }
    assert_in_range(v->harmless, 0, 1); /* the sector beyond the array */
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
        TEST(each_byte),       TEST(each_length),     TEST(zeroed_sectors),
        TEST(doubled_sectors), TEST(swapped_sectors), TEST(mixed_files)};
#ifndef __SANITIZE_ADDRESS__ /* which maps more than any limit allows, as valgrind does */
    const struct rlimit memory = {256 << 20, 256 << 20};
    if (!in_valgrind())
        setrlimit(RLIMIT_AS, &memory);
#endif
    return cmocka_run_group_tests(tests, NULL, NULL);
}
