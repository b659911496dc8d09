/* SPDX-License-Identifier: BSD-3-Clause */
/* The directory of a run: what is listed, what is removed, the mark of the end and the request. */
#include "job.h"

#include "store/claim.h"
#include "store/progress.h"
#include "store/waits.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char *in(const char *dir, const char *name) {
    static char path[4][PATH_MAX + 64];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/%s", dir, name);
    return path[turn];
}

static void touch(const char *dir, const char *name) {
    int fd = open(in(dir, name), O_WRONLY | O_CREAT, 0666);
    assert_true(fd >= 0);
    close(fd);
}

static bool exists(const char *dir, const char *name) {
    struct stat s;
    return lstat(in(dir, name), &s) == 0;
}

static void expect_words(const wc_error *error, const char *words) {
    if (!strstr(error->text, words))
        fail_msg("\"%s\" does not say \"%s\"", error->text, words);
}

/* ---- list ---- */

static const char *const others[] = {"wavecut-1.h5",
                                     "wavecut-0000001.h5",
                                     "wavecut-000001.h5.bak",
                                     "wavecut-00001x.h5",
                                     "wavecut-.h5",
                                     "wavecut--00001.h5",
                                     "xwavecut-000001.h5",
                                     "wavecut-18446744073709551616.h5",
                                     "wavecut-000001.h5.partial.x",
                                     "notes.txt"};

enum { OTHERS = sizeof others / sizeof *others };

static void only_snapshots_are_listed(void **state) {
    uint64_t *ids;
    size_t n;
    for (int i = 0; i < OTHERS; i++)
        touch(*state, others[i]);
    touch(*state, "wavecut-000007.h5");
    touch(*state, "wavecut-1234567.h5");
    touch(*state, "wavecut-000041.h5");
    touch(*state, "wavecut-000042.h5.partial");
    assert_int_equal(mkdir(in(*state, "wavecut-000050.h5"), 0777), 0);
    assert_int_equal(symlink("wavecut-000007.h5", in(*state, "wavecut-000051.h5")), 0);
    assert_int_equal(wc_store_list(*state, &ids, &n, NULL), WC_OK);
    assert_int_equal(n, 3);
    assert_int_equal(ids[0], 1234567);
    assert_int_equal(ids[1], 41);
    assert_int_equal(ids[2], 7);
    free(ids);
}

static void nothing_to_list(void **state) {
    uint64_t *ids;
    size_t n = 9;
    wc_error error;
    assert_int_equal(wc_store_list(*state, &ids, &n, NULL), WC_OK);
    assert_int_equal(n, 0);
    free(ids);
    assert_int_equal(wc_store_list(in(*state, "none"), &ids, &n, &error), WC_ERR_NOT_FOUND);
    expect_words(&error, "none");
}

/* ---- prune ---- */

static void some_files(const char *dir) {
    for (int i = 0; i < OTHERS; i++)
        touch(dir, others[i]);
    touch(dir, "wavecut-000001.h5");
    touch(dir, "wavecut-000002.h5");
    touch(dir, "wavecut-000005.h5");
    touch(dir, "wavecut-000003.h5.partial");
    touch(dir, "wavecut-000006.h5.partial");
    touch(dir, "finished.partial");
    assert_int_equal(symlink("notes.txt", in(dir, "wavecut-000004.h5.partial")), 0);
}

static void prune_keeps(void **state) {
    some_files(*state);
    assert_int_equal(wc_store_prune(*state, 2, NULL), WC_OK);
    assert_false(exists(*state, "wavecut-000001.h5"));
    assert_true(exists(*state, "wavecut-000002.h5"));
    assert_true(exists(*state, "wavecut-000005.h5"));
    assert_false(exists(*state, "wavecut-000003.h5.partial")); /* stale */
    assert_false(exists(*state, "finished.partial"));          /* likewise */
    assert_true(exists(*state, "wavecut-000006.h5.partial"));  /* newer than what is committed */
    assert_true(exists(*state, "wavecut-000004.h5.partial"));  /* a link is not ours */
    for (int i = 0; i < OTHERS; i++)
        assert_true(exists(*state, others[i]));
}

static void prune_keeps_all(void **state) {
    some_files(*state);
    assert_int_equal(wc_store_prune(*state, 0, NULL), WC_OK);
    assert_true(exists(*state, "wavecut-000001.h5"));
    assert_true(exists(*state, "wavecut-000002.h5"));
    assert_false(exists(*state, "wavecut-000003.h5.partial"));
    assert_int_equal(wc_store_prune(*state, 7, NULL), WC_OK);
    assert_true(exists(*state, "wavecut-000001.h5"));
}

/* Without a committed snapshot nothing is stale. */
static void prune_without_snapshots(void **state) {
    touch(*state, "wavecut-000003.h5.partial");
    assert_int_equal(wc_store_prune(*state, 1, NULL), WC_OK);
    assert_true(exists(*state, "wavecut-000003.h5.partial"));
}

static void prune_leaves_what_is_being_written(void **state) {
    static wc_store_file *file; /* in reach of a leak check in the child */
    file = job_prepare(*state, 3, 5, JOB_NO_MISTAKE);
    touch(*state, "wavecut-000008.h5");
    pid_t child = fork();
    if (child == 0)
        _exit(wc_store_prune(*state, 1, NULL) == WC_OK ? 0 : 1);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_true(exists(*state, "wavecut-000003.h5.partial"));
    wc_store_abandon(file);
}

static void prune_leaves_what_others_own(void **state) {
    if (geteuid() != 0) {
        print_message("no right to give files away: skipped\n");
        skip();
    }
    some_files(*state);
    assert_int_equal(chown(in(*state, "wavecut-000001.h5"), 12345, 12345), 0);
    assert_int_equal(chown(in(*state, "wavecut-000003.h5.partial"), 12345, 12345), 0);
    assert_int_equal(wc_store_prune(*state, 1, NULL), WC_OK);
    assert_true(exists(*state, "wavecut-000001.h5"));
    assert_true(exists(*state, "wavecut-000003.h5.partial"));
    assert_false(exists(*state, "wavecut-000002.h5"));
}

/* ---- the mark of a finished run ---- */

static void finished_mark(void **state) {
    uint64_t run = 1;
    assert_int_equal(wc_store_read_finished(*state, &run, NULL), WC_OK);
    assert_int_equal(run, 0);
    assert_int_equal(wc_store_clear_finished(*state, NULL), WC_OK);
    touch(*state, "finished.partial"); /* of a run that was killed while it left its mark */
    assert_int_equal(wc_store_mark_finished(*state, 0xfedcba9876543210, NULL), WC_OK);
    assert_false(exists(*state, "finished.partial"));
    assert_int_equal(wc_store_read_finished(*state, &run, NULL), WC_OK);
    assert_true(run == 0xfedcba9876543210);
    assert_int_equal(wc_store_mark_finished(*state, 5, NULL), WC_OK);
    assert_int_equal(wc_store_read_finished(*state, &run, NULL), WC_OK);
    assert_int_equal(run, 5);
    assert_int_equal(wc_store_clear_finished(*state, NULL), WC_OK);
    assert_int_equal(wc_store_read_finished(*state, &run, NULL), WC_OK);
    assert_int_equal(run, 0);
}

static void bad_mark(void **state) {
    uint64_t run;
    wc_error error;
    touch(*state, "finished");
    assert_int_equal(wc_store_read_finished(*state, &run, &error), WC_ERR_DAMAGED);
    expect_words(&error, "remove it");
    assert_int_equal(unlink(in(*state, "finished")), 0);
    assert_int_equal(symlink("/etc/passwd", in(*state, "finished")), 0);
    assert_int_equal(wc_store_read_finished(*state, &run, &error), WC_ERR_IO);
    expect_words(&error, "finished");
}

/* ---- requests ---- */

static void request_is_taken_once(void **state) {
    assert_false(wc_store_take_request(*state));
    assert_int_equal(wc_store_put_request(*state, NULL), WC_OK);
    assert_int_equal(wc_store_put_request(*state, NULL), WC_OK); /* one is as good as two */
    assert_true(wc_store_take_request(*state));
    assert_false(wc_store_take_request(*state));
    assert_false(exists(*state, "request"));
}

static void request_of_others(void **state) {
    assert_int_equal(symlink("/etc/passwd", in(*state, "request")), 0);
    assert_false(wc_store_take_request(*state));
    wc_error error;
    assert_int_equal(wc_store_put_request(*state, &error), WC_ERR_IO);
    assert_int_equal(unlink(in(*state, "request")), 0);
    if (geteuid() != 0) {
        print_message("no right to give files away: skipped\n");
        skip();
    }
    touch(*state, "request");
    assert_int_equal(chown(in(*state, "request"), 12345, 12345), 0);
    assert_false(wc_store_take_request(*state));
    assert_true(exists(*state, "request"));
    assert_int_equal(chown(*state, 12345, 12345), 0); /* the directory's owner may ask */
    assert_true(wc_store_take_request(*state));
}

/* Another user may make the file where the directory lets everybody, but it does not count. */
static void request_by_another_process(void **state) {
    if (geteuid() != 0) {
        print_message("no right to be somebody else: skipped\n");
        skip();
    }
    assert_int_equal(chmod(*state, 01777), 0);
    pid_t child = fork();
    if (child == 0)
        _exit(setgid(12345) == 0 && setuid(12345) == 0 &&
                      wc_store_put_request(*state, NULL) == WC_OK
                  ? 0
                  : 1);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_false(wc_store_take_request(*state));
    assert_true(exists(*state, "request"));
}

/* ---- what others may have put there ---- */

/* Whoever may write to the directory leads nobody to write elsewhere. */
static void links_are_not_followed(void **state) {
    wc_error error = {WC_OK, ""};
    int fd;
    touch(*state, "victim");
    assert_int_equal(symlink("victim", in(*state, "finished.partial")), 0);
    assert_int_equal(wc_store_mark_finished(*state, 5, &error), WC_ERR_IO);
    expect_words(&error, "finished.partial can't be made");
    assert_int_equal(wc_waits_prepare(*state, &error), WC_OK);
    assert_int_equal(symlink("../victim", in(*state, "waits/rank-0.json.partial")), 0);
    assert_int_equal(symlink("../victim", in(*state, "waits/ask")), 0);
    assert_int_equal(wc_waits_answer(*state, 0, "{}", 2, &error), WC_ERR_IO);
    assert_int_equal(wc_waits_open(*state, &fd, &error), WC_ERR_IO);
    struct stat s;
    assert_int_equal(stat(in(*state, "victim"), &s), 0);
    assert_int_equal(s.st_size, 0);
    assert_int_equal(unlink(in(*state, "victim")), 0);
    assert_int_equal(wc_store_mark_finished(*state, 5, &error), WC_ERR_IO);
    assert_false(exists(*state, "victim")); /* nor made */
}

/* Nor to read elsewhere, or to wait for a pipe. */
static void links_are_not_read(void **state) {
    wc_error error = {WC_OK, ""};
    char *text;
    assert_int_equal(wc_waits_prepare(*state, &error), WC_OK);
    assert_int_equal(symlink("/etc/passwd", in(*state, "waits/rank-0.json")), 0);
    assert_int_equal(wc_waits_read(*state, 0, &text, &error), WC_ERR_IO);
    assert_int_equal(mkfifo(in(*state, "waits/rank-1.json"), 0666), 0);
    assert_int_equal(wc_waits_read(*state, 1, &text, &error), WC_ERR_IO);
    expect_words(&error, "is no regular file");
    assert_int_equal(mkfifo(in(*state, "waits/ask"), 0666), 0);
    assert_int_equal(wc_waits_asked(*state), 0);
    assert_int_equal(mkfifo(in(*state, "finished"), 0666), 0);
    uint64_t run;
    assert_int_equal(wc_store_read_finished(*state, &run, &error), WC_ERR_DAMAGED);
}

static void question_of_others(void **state) {
    int fd;
    if (geteuid() != 0) {
        print_message("no right to be somebody else: skipped\n");
        skip();
    }
    assert_int_equal(wc_waits_prepare(*state, NULL), WC_OK);
    assert_int_equal(wc_waits_open(*state, &fd, NULL), WC_OK);
    assert_int_equal(wc_waits_ask(fd, 7, NULL), WC_OK);
    close(fd);
    assert_int_equal(wc_waits_asked(*state), 7);
    assert_int_equal(chown(in(*state, "waits/ask"), 12345, 12345), 0);
    assert_int_equal(wc_waits_asked(*state), 0);
    assert_int_equal(chown(in(*state, "waits"), 12345, 12345),
                     0); /* the directory's owner may ask */
    assert_int_equal(wc_waits_asked(*state), 7);
}

/* ---- who runs the job ---- */

static void one_runs_at_a_time(void **state) {
    wc_error error = {WC_OK, ""};
    wc_claim first, second, seen;
    assert_int_equal(wc_claim_look(*state, &seen, &error), WC_OK);
    assert_int_equal(seen.pid, 0);
    assert_false(exists(*state, "run.lock")); /* looking leaves nothing */
    assert_int_equal(wc_claim_take(*state, &first, &error), WC_OK);
    assert_true(first.fd >= 0);
    assert_int_equal(wc_claim_take(*state, &second, &error), WC_OK);
    assert_int_equal(second.fd, -1);
    assert_int_equal(second.pid, getpid());
    assert_string_equal(second.host, first.host);
    assert_true(second.since > 0 && second.since <= (double)time(NULL));
    assert_int_equal(wc_claim_look(*state, &seen, &error), WC_OK);
    assert_int_equal(seen.pid, getpid());
    wc_claim_give_back(&second); /* it has nothing */
    wc_claim_give_back(&first);
    assert_int_equal(wc_claim_look(*state, &seen, &error), WC_OK);
    assert_int_equal(seen.pid, 0);
    assert_int_equal(wc_claim_take(*state, &second, &error), WC_OK);
    assert_true(second.fd >= 0);
    wc_claim_give_back(&second);
}

/* What was left behind, or put there. */
static void locks_of_the_dead(void **state) {
    wc_error error = {WC_OK, ""};
    wc_claim claim;
    static const char *const texts[] = {"host elsewhere\npid 1\nsince 1\n", "", "host", "\x1b[2J"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        FILE *f = fopen(in(*state, "run.lock"), "w");
        fputs(texts[i], f);
        fclose(f);
        assert_int_equal(wc_claim_look(*state, &claim, &error), WC_OK);
        assert_int_equal(claim.pid, 0);
        assert_int_equal(wc_claim_take(*state, &claim, &error), WC_OK);
        assert_true(claim.fd >= 0 && claim.pid == getpid());
        wc_claim_give_back(&claim);
    }
    assert_int_equal(unlink(in(*state, "run.lock")), 0);
    assert_int_equal(symlink("victim", in(*state, "run.lock")), 0);
    assert_int_equal(wc_claim_take(*state, &claim, &error), WC_ERR_IO);
    assert_false(exists(*state, "victim"));
    assert_int_equal(unlink(in(*state, "run.lock")), 0);
    assert_int_equal(mkfifo(in(*state, "run.lock"), 0666), 0);
    assert_int_equal(wc_claim_take(*state, &claim, &error), WC_ERR_IO);
}

static void progress_is_replaced(void **state) {
    wc_error error = {WC_OK, ""};
    char *text;
    assert_int_equal(wc_progress_get(*state, &text, &error), WC_ERR_NOT_FOUND);
    touch(*state, "progress.json.partial"); /* of one that was killed */
    for (int i = 0; i < 2; i++) {
        assert_int_equal(wc_progress_put(*state, i ? "{}" : "{\"a\":1}", i ? 2 : 7, &error), WC_OK);
        assert_int_equal(wc_progress_get(*state, &text, &error), WC_OK);
        assert_string_equal(text, i ? "{}" : "{\"a\":1}");
        free(text);
    }
    assert_false(exists(*state, "progress.json.partial"));
    assert_int_equal(truncate(in(*state, "progress.json"), 1 << 20), 0);
    assert_int_equal(wc_progress_get(*state, &text, &error), WC_ERR_IO);
    expect_words(&error, "too large");
}

static void snapshots_of_others(void **state) {
    if (geteuid() != 0) {
        print_message("no right to give files away: skipped\n");
        skip();
    }
    touch(*state, "wavecut-000001.h5");
    assert_true(wc_store_is_trusted(*state, 1));
    assert_false(wc_store_is_trusted(*state, 2)); /* there is none */
    assert_int_equal(chown(in(*state, "wavecut-000001.h5"), 12345, 12345), 0);
    assert_false(wc_store_is_trusted(*state, 1));
    assert_int_equal(chown(*state, 12345, 12345),
                     0); /* the directory's owner decides what is in it */
    assert_true(wc_store_is_trusted(*state, 1));
}

static unsigned mode_of(const char *dir, const char *name) {
    struct stat s;
    assert_int_equal(stat(in(dir, name), &s), 0);
    return s.st_mode & 07777;
}

static void umask_is_respected(void **state) {
    static const mode_t masks[] = {0, 022, 027, 077};
    mode_t before = umask(0);
    for (size_t i = 0; i < sizeof masks / sizeof *masks; i++) {
        char dir[PATH_MAX], name[64];
        umask(masks[i]);
        snprintf(name, sizeof name, "run-%zu", i);
        snprintf(dir, sizeof dir, "%s/%s", (char *)*state, name);
        assert_int_equal(wc_store_prepare_dir(dir, NULL), WC_OK);
        assert_int_equal(wc_store_put_request(dir, NULL), WC_OK);
        assert_int_equal(wc_store_mark_finished(dir, 5, NULL), WC_OK);
        assert_int_equal(wc_waits_prepare(dir, NULL), WC_OK);
        assert_int_equal(wc_waits_answer(dir, 0, "{}", 2, NULL), WC_OK);
        job_write(dir, 1, 5, JOB_NO_MISTAKE);
        assert_int_equal(mode_of(dir, "."), 0777 & ~masks[i]);
        assert_int_equal(mode_of(dir, "waits"), 0777 & ~masks[i]);
        assert_int_equal(mode_of(dir, "request"), 0666 & ~masks[i]);
        assert_int_equal(mode_of(dir, "finished"), 0666 & ~masks[i]);
        assert_int_equal(mode_of(dir, "waits/rank-0.json"), 0666 & ~masks[i]);
        assert_int_equal(mode_of(dir, "wavecut-000001.h5"), 0666 & ~masks[i]);
    }
    umask(before);
}

/* ---- preparation ---- */

static void directory_is_made(void **state) {
    struct stat s;
    assert_int_equal(wc_store_prepare_dir(in(*state, "a/b/c"), NULL), WC_OK);
    assert_int_equal(stat(in(*state, "a/b/c"), &s), 0);
    assert_true(S_ISDIR(s.st_mode));
    assert_int_equal(wc_store_prepare_dir(in(*state, "a/b/c/"), NULL), WC_OK);
}

static void directory_is_a_file(void **state) {
    wc_error error;
    touch(*state, "file");
    assert_int_equal(wc_store_prepare_dir(in(*state, "file"), &error), WC_ERR_IO);
    expect_words(&error, "is not a directory");
    expect_words(&error, "WAVECUT_DIR");
    assert_int_equal(wc_store_prepare_dir(in(*state, "file/below"), &error), WC_ERR_IO);
    expect_words(&error, "file/below");
    assert_int_equal(wc_store_prepare_dir("", &error), WC_ERR_IO);
}

/* In a child, since root may write everywhere. */
static void directory_is_not_writable(void **state) {
    assert_int_equal(chmod(*state, 0755), 0);
    pid_t child = fork();
    if (child == 0) {
        wc_error error = {WC_OK, ""};
        if (geteuid() == 0 && (setegid(12345) < 0 || seteuid(12345) < 0))
            _exit(2);
        if (geteuid() != 12345 && chmod(*state, 0555) < 0)
            _exit(3);
        bool refused = wc_store_prepare_dir(*state, &error) == WC_OK &&
                       wc_store_may_write(*state, &error) == WC_ERR_IO &&
                       strstr(error.text, "can't be written") &&
                       wc_store_prepare_dir(in(*state, "below"), &error) == WC_ERR_IO &&
                       strstr(error.text, "can't be made");
        _exit(refused ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(chmod(*state, 0755), 0);
    assert_int_equal(status, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, job_directory, job_remove_directory)
        TEST(only_snapshots_are_listed),
        TEST(nothing_to_list),
        TEST(prune_keeps),
        TEST(prune_keeps_all),
        TEST(prune_without_snapshots),
        TEST(prune_leaves_what_is_being_written),
        TEST(prune_leaves_what_others_own),
        TEST(finished_mark),
        TEST(bad_mark),
        TEST(request_is_taken_once),
        TEST(request_of_others),
        TEST(request_by_another_process),
        TEST(links_are_not_followed),
        TEST(links_are_not_read),
        TEST(question_of_others),
        TEST(one_runs_at_a_time),
        TEST(locks_of_the_dead),
        TEST(progress_is_replaced),
        TEST(snapshots_of_others),
        TEST(umask_is_respected),
        TEST(directory_is_made),
        TEST(directory_is_a_file),
        TEST(directory_is_not_writable)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
