/* SPDX-License-Identifier: BSD-3-Clause */
/* A snapshot is committed as a whole or not at all, and never over another one. */
#include "job.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static bool exists(const char *dir, const char *name) {
    char path[PATH_MAX + 64];
    struct stat s;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return lstat(path, &s) == 0;
}

static void expect_words(const wc_error *error, const char *words) {
    if (!strstr(error->text, words))
        fail_msg("\"%s\" does not say \"%s\"", error->text, words);
}

static wc_status try_create(const char *dir, uint64_t id, uint64_t bytes, wc_store_file **file,
                            wc_error *error) {
    wc_array array = {.name = "x", .type = WC_TYPE_U8, .total = bytes};
    wc_snapshot_head head = {.id = id, .ranks = 1};
    wc_array_place place;
    uint64_t ranks_place;
    return wc_store_create(dir, &head, &array, 1, &place, &ranks_place, file, error);
}

static void abandoned(void **state) {
    wc_store_file *file = job_prepare(*state, 1, 5, JOB_NO_MISTAKE);
    assert_true(exists(*state, "wavecut-000001.h5.partial"));
    wc_store_abandon(file);
    assert_false(exists(*state, "wavecut-000001.h5.partial"));
    assert_false(exists(*state, "wavecut-000001.h5"));
}

static void published(void **state) {
    job_write(*state, 1, 5, JOB_NO_MISTAKE);
    assert_false(exists(*state, "wavecut-000001.h5.partial"));
    assert_true(exists(*state, "wavecut-000001.h5"));
}

static void not_over_another(void **state) {
    char path[PATH_MAX];
    wc_error error = {WC_OK, ""};
    wc_store_file *file;
    job_write(*state, 1, 5, JOB_NO_MISTAKE);
    assert_int_equal(try_create(*state, 1, 10, &file, &error), WC_ERR_IO);
    expect_words(&error, "exists already");

    /* It comes up while ours is being written. */
    file = job_prepare(*state, 2, 6, JOB_NO_MISTAKE);
    char first[PATH_MAX];
    job_path(*state, 1, first);
    job_path(*state, 2, path);
    assert_int_equal(link(first, path), 0);
    assert_int_equal(wc_store_publish(file, &error), WC_ERR_IO);
    expect_words(&error, "wavecut-000002.h5");
    assert_false(exists(*state, "wavecut-000002.h5.partial"));
    assert_int_equal(job_restore(path, 5, &error), WC_OK); /* the other one, untouched */
}

/* A run was killed here; its number comes again. */
static void stale_partial_is_replaced(void **state) {
    char path[PATH_MAX];
    wc_error error = {WC_OK, ""};
    snprintf(path, sizeof path, "%s/wavecut-000001.h5.partial", (char *)*state);
    FILE *f = fopen(path, "w");
    fputs("rubbish", f);
    fclose(f);
    job_write(*state, 1, 5, JOB_NO_MISTAKE);
    job_path(*state, 1, path);
    assert_int_equal(job_restore(path, 5, &error), WC_OK);
}

static void other_run_is_left_alone(void **state) {
    wc_error error = {WC_OK, ""};
    static wc_store_file *file; /* in reach of a leak check in the child */
    file = job_prepare(*state, 1, 5, JOB_NO_MISTAKE);
    pid_t child = fork(); /* another process: the lock is this one's */
    if (child == 0) {
        wc_store_file *theirs;
        bool right = try_create(*state, 1, 10, &theirs, &error) == WC_ERR_IO &&
                     strstr(error.text, "another run") != NULL;
        _exit(right ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(wc_store_publish(file, &error), WC_OK);
}

static void replaced_by_somebody(void **state) {
    char path[PATH_MAX];
    wc_error error = {WC_OK, ""};
    wc_store_file *file = job_prepare(*state, 1, 5, JOB_NO_MISTAKE);
    snprintf(path, sizeof path, "%s", wc_store_path(file));
    assert_int_equal(unlink(path), 0);
    FILE *f = fopen(path, "w");
    fputs("theirs", f);
    fclose(f);
    assert_int_equal(wc_store_publish(file, &error), WC_ERR_IO);
    expect_words(&error, "replaced");
    assert_true(exists(*state, "wavecut-000001.h5.partial")); /* it is theirs */
    assert_false(exists(*state, "wavecut-000001.h5"));
}

/* Nobody is led to write elsewhere. */
static void links_are_not_followed(void **state) {
    char path[PATH_MAX], target[PATH_MAX];
    wc_error error = {WC_OK, ""};
    wc_store_file *file;
    snprintf(path, sizeof path, "%s/wavecut-000001.h5.partial", (char *)*state);
    snprintf(target, sizeof target, "%s/victim", (char *)*state);
    assert_int_equal(symlink(target, path), 0);
    assert_int_equal(try_create(*state, 1, 10, &file, &error), WC_ERR_IO);
    expect_words(&error, "in the way");
    assert_false(exists(*state, "victim"));
}

/* The directory has another name now, and under its old one is somebody's, who would like to have files of his written: nothing of
 * it is touched, and the snapshot is not counted on. */
static void directory_is_replaced(void **state) {
    char dir[PATH_MAX], aside[PATH_MAX], partial[PATH_MAX + 64];
    wc_error error = {WC_OK, ""};
    struct stat s;
    snprintf(dir, sizeof dir, "%s/run", (char *)*state);
    snprintf(aside, sizeof aside, "%s/aside", (char *)*state);
    snprintf(partial, sizeof partial, "%s/wavecut-000001.h5.partial", dir);
    assert_int_equal(mkdir(dir, 0777), 0);
    wc_store_file *file = job_prepare(dir, 1, 5, JOB_NO_MISTAKE);
    assert_int_equal(rename(dir, aside), 0);
    assert_int_equal(mkdir(dir, 0777), 0);
    int fd = open(partial, O_WRONLY | O_CREAT, 0666);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(wc_store_publish(file, &error), WC_ERR_IO);
    expect_words(&error, "its directory was replaced");
    assert_int_equal(stat(partial, &s), 0);
    assert_int_equal(s.st_size, 0);
    assert_false(exists(dir, "wavecut-000001.h5"));
    assert_false(exists(aside, "wavecut-000001.h5"));
    assert_false(exists(aside, "wavecut-000001.h5.partial"));
}

static void bad_shapes(void **state) {
    wc_array array = {.name = "x",
                      .type = WC_TYPE_F64,
                      .ndims = 3,
                      .total = 0,
                      .shape = {1ull << 32, 1ull << 32, 16},
                      .chunk = {1ull << 32, 1ull << 32, 16}};
    wc_snapshot_head head = {.id = 1, .ranks = 1};
    wc_array_place place;
    uint64_t ranks_place;
    wc_store_file *file;
    wc_error error = {WC_OK, ""};
    assert_int_equal(wc_store_create(*state, &head, &array, 1, &place, &ranks_place, &file, &error),
                     WC_ERR_ARGUMENT);
    expect_words(&error, "\"x\"");
    assert_false(exists(*state, "wavecut-000001.h5.partial"));
}

/* ---- no space ---- */

/* With a limit on the size of files, which needs no rights. */
static void file_size_limit(void **state) {
    struct rlimit before, limit;
    wc_error error = {WC_OK, ""};
    wc_store_file *file;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = before;
    limit.rlim_cur = 1 << 20;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    wc_status status = try_create(*state, 1, 8 << 20, &file, &error);
    setrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, SIG_DFL);
    assert_int_equal(status, WC_ERR_IO);
    expect_words(&error, "wavecut-000001.h5.partial");
    assert_false(exists(*state, "wavecut-000001.h5.partial"));
}

/* The last writes fail, when all data are there. HDF5 must not leave anything that crashes at exit.
 */
static void commit_fails(void **state) {
    struct rlimit before, limit;
    wc_error error = {WC_OK, ""};
    wc_store_file *file = job_prepare(*state, 1, 5, JOB_NO_MISTAKE);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = before;
    limit.rlim_cur = 64;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    wc_status status = wc_store_publish(file, &error);
    setrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, SIG_DFL);
    assert_int_equal(status, WC_ERR_IO);
    expect_words(&error, "metadata can't be written");
    assert_false(exists(*state, "wavecut-000001.h5.partial"));
    assert_false(exists(*state, "wavecut-000001.h5"));
    job_write(*state, 1, 5, JOB_NO_MISTAKE);
}

static void full_disk(void **state) {
    wc_error error = {WC_OK, ""};
    wc_store_file *file;
    if (mount("wavecut-test", *state, "tmpfs", 0, "size=4m") < 0) {
        print_message("no right to mount a small file system: skipped\n");
        skip();
    }
    job_write(*state, 1, 5, JOB_NO_MISTAKE);
    wc_status status = try_create(*state, 2, 8 << 20, &file, &error);
    bool gone = !exists(*state, "wavecut-000002.h5.partial");
    wc_error again = {WC_OK, ""};
    wc_status small = try_create(*state, 2, 2 << 20, &file, &again); /* the space is back */
    if (small == WC_OK)
        wc_store_abandon(file);
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/rest", (char *)*state); /* now not a single byte is free */
    int fd = open(path, O_WRONLY | O_CREAT, 0666);
    for (off_t at = 0; posix_fallocate(fd, at, 4096) == 0; at += 4096)
        ;
    close(fd);
    wc_error none = {WC_OK, ""};
    wc_status nothing = try_create(*state, 2, 1, &file, &none);
    job_path(*state, 1, path);
    wc_error old = {WC_OK, ""};
    wc_status kept = job_restore(path, 5, &old);
    umount(*state);
    assert_int_equal(status, WC_ERR_IO);
    expect_words(&error, "free some space");
    expect_words(&error, "needs 8");
    assert_true(gone);
    assert_int_equal(small, WC_OK);
    assert_int_equal(nothing, WC_ERR_IO);
    assert_int_equal(kept, WC_OK);
}

static void missing_directory(void **state) {
    char path[PATH_MAX];
    wc_error error = {WC_OK, ""};
    wc_store_file *file;
    snprintf(path, sizeof path, "%s/none", (char *)*state);
    assert_int_equal(try_create(path, 1, 10, &file, &error), WC_ERR_NOT_FOUND);
    expect_words(&error, path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, job_directory, job_remove_directory)
        TEST(published),
        TEST(abandoned),
        TEST(not_over_another),
        TEST(stale_partial_is_replaced),
        TEST(other_run_is_left_alone),
        TEST(replaced_by_somebody),
        TEST(links_are_not_followed),
        TEST(directory_is_replaced),
        TEST(bad_shapes),
        TEST(file_size_limit),
        TEST(commit_fails),
        TEST(full_disk),
        TEST(missing_directory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
