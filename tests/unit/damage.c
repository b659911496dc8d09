/* SPDX-License-Identifier: BSD-3-Clause */
/* A damaged file is never restored wrong and never crashes the reader: each byte of it is under
 * some hash. */
#include "job.h"

#include "store/hash.h"
#include "store/trailer.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SEED = 5 };

typedef struct damage {
    char *dir, path[PATH_MAX];
    int fd;
    uint64_t size;
    wc_trailer trailer; /* as it was written */
} damage;

static int set_up(void **state) {
    damage *d = calloc(1, sizeof *d);
    void *dir;
    struct stat s;
    if (!d || job_directory(&dir) != 0)
        return -1;
    *state = d;
    d->dir = dir;
    job_write(d->dir, 1, SEED, JOB_NO_MISTAKE);
    job_path(d->dir, 1, d->path);
    d->fd = open(d->path, O_RDWR);
    if (d->fd < 0 || fstat(d->fd, &s) < 0)
        return -1;
    d->size = (uint64_t)s.st_size;
    return wc_trailer_read(d->fd, d->path, &d->trailer, NULL) == WC_OK ? 0 : -1;
}

static int tear_down(void **state) {
    damage *d = *state;
    void *dir = d->dir;
    close(d->fd);
    wc_trailer_free(&d->trailer);
    free(d);
    return job_remove_directory(&dir);
}

static void flip(const damage *d, uint64_t at, unsigned char mask) {
    unsigned char byte;
    assert_int_equal(pread(d->fd, &byte, 1, (off_t)at), 1);
    byte ^= mask;
    assert_int_equal(pwrite(d->fd, &byte, 1, (off_t)at), 1);
}

static void expect_damaged(const damage *d, const char *what, uint64_t at) {
    wc_error error = {WC_OK, ""};
    wc_status status = job_restore(d->path, SEED, &error);
    if (status != WC_ERR_DAMAGED || !strstr(error.text, d->path))
        fail_msg("%s at %llu of %llu: status %d: %s", what, (unsigned long long)at,
                 (unsigned long long)d->size, status, error.text);
}

static void flip_and_expect(const damage *d, uint64_t at) {
    unsigned char mask = (unsigned char)(1u << at % 8);
    flip(d, at, mask);
    expect_damaged(d, "a flipped bit", at);
    flip(d, at, mask);
}

static void flip_range(const damage *d, uint64_t from, uint64_t to, uint64_t stride) {
    for (uint64_t at = from; at < to; at += stride)
        flip_and_expect(d, at);
    if (to > from)
        flip_and_expect(d, to - 1);
}

static void flipped_in_metadata(void **state) {
    const damage *d = *state;
    uint64_t from = 0;
    for (size_t i = 0; i <= d->trailer.extents.count; i++) {
        const wc_extent *e = &d->trailer.extents.at[i];
        flip_range(d, from, i < d->trailer.extents.count ? e->offset : d->trailer.end, 37);
        if (i < d->trailer.extents.count)
            from = e->offset + e->size;
    }
}

static void flipped_in_tables(void **state) {
    const damage *d = *state;
    for (size_t i = 0; i < d->trailer.extents.count; i++) {
        const wc_extent *e = &d->trailer.extents.at[i];
        if (e->kind == WC_EXTENT_ROWS)
            flip_range(d, e->offset, e->offset + e->size, 5);
    }
}

static void flipped_in_data(void **state) {
    const damage *d = *state;
    for (size_t i = 0; i < d->trailer.extents.count; i++) {
        const wc_extent *e = &d->trailer.extents.at[i];
        if (e->kind == WC_EXTENT_DATA)
            flip_range(d, e->offset, e->offset + e->size, e->size / 11 + 1);
    }
}

static void flipped_in_trailer(void **state) {
    const damage *d = *state;
    flip_range(d, d->trailer.end, d->size, 1);
}

/* In the middle of a part, at its ends, and in a short last block: the error says which block. */
static void named(void **state) {
    static const struct {
        uint64_t at; /* of rank 1's 307208 bytes of "big" */
        const char *words;
    } rows[] = {{0, "bytes 0 to 65535 of its 307208"},
                {65535, "bytes 0 to 65535 of"},
                {65536, "bytes 65536 to 131071 of"},
                {262144, "bytes 262144 to 307207 of"},
                {307207, "bytes 262144 to 307207 of"}};
    const damage *d = *state;
    const wc_extent *big = &d->trailer.extents.at[0];
    for (size_t i = 1; i < d->trailer.extents.count; i++)
        if (d->trailer.extents.at[i].kind == WC_EXTENT_DATA &&
            d->trailer.extents.at[i].size > big->size)
            big = &d->trailer.extents.at[i];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        wc_error error = {WC_OK, ""};
        uint64_t at = big->offset + 307200 + rows[i].at;
        flip(d, at, 1);
        assert_int_equal(job_restore(d->path, SEED, &error), WC_ERR_DAMAGED);
        if (!strstr(error.text, "/state/big of rank 1") || !strstr(error.text, rows[i].words))
            fail_msg("\"%s\" does not say \"%s\"", error.text, rows[i].words);
        flip(d, at, 1);
    }
}

/* A write that never reached the disk. */
static void lost_pages(void **state) {
    static const char zeros[4096];
    const damage *d = *state;
    char page[4096];
    for (uint64_t at = 0; at < d->size; at += sizeof page) {
        ssize_t n = pread(d->fd, page, sizeof page, (off_t)at);
        if (n <= 0 || memcmp(page, zeros, (size_t)n) == 0)
            continue;
        assert_int_equal(pwrite(d->fd, zeros, (size_t)n, (off_t)at), n);
        expect_damaged(d, "a lost page", at);
        assert_int_equal(pwrite(d->fd, page, (size_t)n, (off_t)at), n);
    }
}

static void truncated(void **state) {
    const damage *d = *state;
    for (uint64_t size = d->size - 1; size > 0; size -= size > 30000 ? 20011 : size / 7 + 1) {
        assert_int_equal(ftruncate(d->fd, (off_t)size), 0);
        expect_damaged(d, "cut off", size);
    }
    assert_int_equal(ftruncate(d->fd, 0), 0);
    expect_damaged(d, "emptied", 0);
}

static void grown(void **state) {
    const damage *d = *state;
    assert_int_equal(pwrite(d->fd, "x", 1, (off_t)d->size), 1);
    expect_damaged(d, "grown", d->size);
}

/* Opens and verifies in a child, without HDF5's clean-up at the end: some damage makes it complain
 * there. */
static void expect_no_crash(const damage *d, uint64_t at) {
    pid_t child = fork();
    if (child == 0) {
        wc_error error = {WC_OK, ""};
        wc_reader *reader;
        wc_verdict verdict;
        alarm(30);
        if (wc_reader_open(d->path, &reader, &error) == WC_OK) {
            wc_reader_verify(reader, &verdict, &error);
            wc_reader_close(reader);
        }
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (status != 0)
        fail_msg("metadata changed at %llu: the reader ended with status %d",
                 (unsigned long long)at, status);
}

static void renew_trailer(const damage *d) {
    wc_extents extents = {0};
    wc_error error = {WC_OK, ""};
    assert_int_equal(ftruncate(d->fd, (off_t)d->trailer.end), 0);
    for (size_t i = 0; i < d->trailer.extents.count; i++)
        assert_int_equal(wc_extents_add(&extents, d->trailer.extents.at[i], 1, 0, &error), WC_OK);
    assert_int_equal(wc_trailer_append(d->fd, d->path, &extents, &error), WC_OK);
    free(extents.at);
}

/*
 * Worse than damage: somebody changes the metadata and makes the hashes fit. It may be accepted or
 * refused, but must not crash, hang, or be read past its end. tests/fuzz has more of it.
 */
static void made_to_harm(void **state) {
    const damage *d = *state;
    uint64_t first = d->trailer.extents.at[0].offset;
    for (uint64_t at = 0; at < first; at += at < 512 ? 11 : 211) {
        unsigned char mask = (unsigned char)(1u << at % 8);
        flip(d, at, mask);
        renew_trailer(d);
        expect_no_crash(d, at);
        flip(d, at, mask);
    }
}

/* The hashes of blocks are under the checksum in the index, too. */
static void other_hashes(void **state) {
    const damage *d = *state;
    uint64_t word;
    for (size_t i = 0; i < d->trailer.extents.count; i++) {
        const wc_extent *e = &d->trailer.extents.at[i];
        if (e->kind != WC_EXTENT_ROWS || e->size != 15 * sizeof word) /* /blocks/big */
            continue;
        flip(d, e->offset + 7 * sizeof word, 1);
        renew_trailer(d);
        expect_damaged(d, "a hash", e->offset);
        return;
    }
    fail_msg("/blocks/big is not there");
}

/* ---- what is no snapshot ---- */

static void expect_refused(const char *path, wc_status status, const char *word) {
    wc_error error = {WC_OK, ""};
    wc_reader *reader;
    assert_int_equal(wc_reader_open(path, &reader, &error), status);
    if (!strstr(error.text, path) || !strstr(error.text, word))
        fail_msg("\"%s\" names neither \"%s\" nor \"%s\"", error.text, path, word);
}

static void write_file(const char *path, const char *text) {
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void no_snapshot(void **state) {
    const damage *d = *state;
    char path[PATH_MAX + 16];
    expect_refused(d->dir, WC_ERR_NOT_FOUND, "no file");
    snprintf(path, sizeof path, "%s/none.h5", d->dir);
    expect_refused(path, WC_ERR_NOT_FOUND, "there is no");
    write_file(path, "");
    expect_refused(path, WC_ERR_DAMAGED, "no HDF5");
    write_file(path, "neither this, though it is longer than what a trailer takes at the least, "
                     "as a reader might find out");
    expect_refused(path, WC_ERR_DAMAGED, "no HDF5");
    write_file(path, "\x89HDF\r\n\x1a\n");
    expect_refused(path, WC_ERR_DAMAGED, "trailer");
}

/* The whole trailer is right, but for the version. */
static void other_format(void **state) {
    const damage *d = *state;
    size_t bytes = (size_t)(d->size - d->trailer.end);
    for (uint64_t version = 1; version <= WC_FORMAT_VERSION + 1; version += WC_FORMAT_VERSION) {
        char *trailer = malloc(bytes), word[20];
        assert_int_equal(pread(d->fd, trailer, bytes, (off_t)d->trailer.end), bytes);
        memcpy(trailer + 8, &version, sizeof version);
        uint64_t hash = XXH3_64bits(trailer, bytes - 16);
        memcpy(trailer + bytes - 16, &hash, sizeof hash);
        assert_int_equal(pwrite(d->fd, trailer, bytes, (off_t)d->trailer.end), bytes);
        snprintf(word, sizeof word, "has format %d,", (int)version);
        expect_refused(d->path, WC_ERR_UNSUPPORTED, word);
        free(trailer);
    }
}

/* All is written, but it was never published. */
static void unfinished(void **state) {
    const damage *d = *state;
    wc_store_file *file = job_prepare(d->dir, 2, SEED, JOB_NO_MISTAKE);
    expect_refused(wc_store_path(file), WC_ERR_DAMAGED, "is damaged");
    wc_store_abandon(file);
}

static void undamaged(void **state) {
    const damage *d = *state;
    wc_error error = {WC_OK, ""};
    flip(d, 0, 1);
    flip(d, 0, 1);
    if (job_restore(d->path, SEED, &error) != WC_OK)
        fail_msg("%s", error.text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
        TEST(undamaged),
        TEST(flipped_in_metadata),
        TEST(flipped_in_tables),
        TEST(flipped_in_data),
        TEST(named),
        TEST(other_hashes),
        TEST(other_format),
        TEST(flipped_in_trailer),
        TEST(lost_pages),
        TEST(truncated),
        TEST(grown),
        TEST(made_to_harm),
        TEST(no_snapshot),
        TEST(unfinished)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
