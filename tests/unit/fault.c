/* SPDX-License-Identifier: BSD-3-Clause */
/* Killed at any point of a commit, the directory holds the old snapshot or the new one, and the
 * next one can be taken. */
#include "job.h"

#include "store/fault.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef WC_FAULTS

static const struct {
    const char *name;
    bool committed; /* snapshot 2 is there afterwards */
} points[] = {{"after_create", false},   {"after_extent", false},    {"after_extent#9", false},
              {"before_sync", false},    {"after_sync", false},      {"after_channels", false},
              {"before_trailer", false}, {"before_complete", false}, {"after_trailer", false},
              {"before_rename", false},  {"after_rename", true},     {"after_publish", true},
              {"before_prune", true},    {"in_prune", true},         {"after_prune", true}};

static void write_and_prune(const char *dir, uint64_t id) {
    job_write(dir, id, (unsigned)id, JOB_NO_MISTAKE);
    wc_store_prune(dir, 2, NULL);
}

static int kill_at(const char *dir, const char *fault) {
    pid_t child = fork();
    if (child == 0) {
        setenv("WAVECUT_FAULT", fault, 1);
        wc_fault_setup(0);
        write_and_prune(dir, 2);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void expect_restorable(const char *dir, uint64_t id) {
    char path[PATH_MAX];
    wc_error error;
    job_path(dir, id, path);
    if (job_restore(path, (unsigned)id, &error) != WC_OK)
        fail_msg("%s", error.text);
}

static void killed_at_each_point(void **state) {
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        char dir[PATH_MAX];
        uint64_t *ids;
        size_t n;
        snprintf(dir, sizeof dir, "%s/%s", (char *)*state, points[i].name);
        assert_int_equal(mkdir(dir, 0777), 0);
        job_write(dir, 1, 1, JOB_NO_MISTAKE);
        assert_int_equal(kill_at(dir, points[i].name), SIGKILL);
        assert_int_equal(wc_store_list(dir, &ids, &n, NULL), WC_OK);
        if (n != (points[i].committed ? 2 : 1))
            fail_msg("%s: %zu snapshots", points[i].name, n);
        free(ids);
        for (uint64_t id = 1; id <= n; id++)
            expect_restorable(dir, id);
        write_and_prune(dir, n + 1); /* what the killed run left is not in the way */
        expect_restorable(dir, n + 1);
    }
}

static void other_ranks_live(void **state) {
    assert_int_equal(kill_at(*state, "before_rename@1,in_close"), 0);
}

static void names_are_checked(void **state) {
    static const struct {
        const char *value;
        wc_status status;
    } rows[] = {{"", WC_OK},
                {"before_rename", WC_OK},
                {"before_rename@3,handover_order", WC_OK},
                {"after_extent@3#2,after_extent#1", WC_OK},
                {"after_extent#0", WC_ERR_SETTING},
                {"after_extent#", WC_ERR_SETTING},
                {"after_extent#2@1", WC_ERR_SETTING},
                {"before_renam", WC_ERR_SETTING},
                {"before_rename@", WC_ERR_SETTING},
                {"before_rename@x", WC_ERR_SETTING},
                {"before_rename@-1", WC_ERR_SETTING},
                {"in_close,,in_close", WC_ERR_SETTING}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        wc_error error = {WC_OK, ""};
        setenv("WAVECUT_FAULT", rows[i].value, 1);
        if (wc_fault_check(&error) != rows[i].status)
            fail_msg("\"%s\": %s", rows[i].value, error.text);
    }
    unsetenv("WAVECUT_FAULT");
}

static void switches(void **state) {
    (void)state;
    setenv("WAVECUT_FAULT", "handover_order@2,requests_allowed", 1);
    wc_fault_setup(2);
    assert_true(wc_fault_on("handover_order"));
    assert_true(wc_fault_on("requests_allowed"));
    assert_false(wc_fault_on("stash_not_recorded"));
    wc_fault_setup(1);
    assert_false(wc_fault_on("handover_order"));
    unsetenv("WAVECUT_FAULT");
    wc_fault_setup(2);
    assert_false(wc_fault_on("requests_allowed"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, job_directory, job_remove_directory)
        TEST(killed_at_each_point), TEST(other_ranks_live), TEST(names_are_checked),
        TEST(switches)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

static void refused(void **state) {
    wc_error error = {WC_OK, ""};
    (void)state;
    unsetenv("WAVECUT_FAULT");
    assert_int_equal(wc_fault_check(&error), WC_OK);
    setenv("WAVECUT_FAULT", "before_rename", 1);
    assert_int_equal(wc_fault_check(&error), WC_ERR_SETTING);
    assert_non_null(strstr(error.text, "WAVECUT_FAULT"));
    wc_fault_setup(0);
    assert_false(wc_fault_on("handover_order"));
    WC_FAULT("before_rename");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
