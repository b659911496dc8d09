/* SPDX-License-Identifier: BSD-3-Clause */
/* Another user's file is read in a process that may do little, and whose death is an error like any other. */
#include "job.h"

#include "cli/command.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OTHER = 12345 };

/* Of somebody else, if `foreign`. */
static char *make_file(void **state, bool foreign) {
    static char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/file", (char *)*state);
    int fd = open(path, O_WRONLY | O_CREAT, 0644);
    assert_true(fd >= 0);
    if (foreign && fchown(fd, OTHER, OTHER) < 0) {
        close(fd);
        print_message("no right to give files away: skipped\n");
        skip();
    }
    close(fd);
    return path;
}

/* What cli_guarded returns, and what it says on standard error. */
static int guarded(void **state, bool foreign, int (*work)(void *), void *context, char said[512]) {
    char *path = make_file(state, foreign), log[PATH_MAX];
    snprintf(log, sizeof log, "%s/log", (char *)*state);
    int fd = open(log, O_RDWR | O_CREAT | O_TRUNC, 0600), before = dup(STDERR_FILENO);
    assert_true(fd >= 0);
    dup2(fd, STDERR_FILENO);
    int code = cli_guarded("verify", &path, 1, work, context);
    fflush(stderr);
    dup2(before, STDERR_FILENO);
    close(before);
    ssize_t n = pread(fd, said, 511, 0);
    said[n > 0 ? n : 0] = '\0';
    close(fd);
    return code;
}

static int crash(void *signal) {
    struct sigaction plain = {.sa_handler = SIG_DFL}; /* a sanitizer may have its own */
    sigaction(*(int *)signal, &plain, NULL);
    raise(*(int *)signal);
    return 0;
}

static void deaths(void **state) {
    int signals[] = {SIGSEGV, SIGABRT, SIGBUS, SIGXCPU};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        char said[512];
        assert_int_equal(guarded(state, true, crash, &signals[i], said), CLI_DAMAGED);
        if (!strstr(said, "wavecut verify: reading it was ended by signal"))
            fail_msg("%s", said);
    }
}

static int pass_on(void *code) {
    return *(int *)code;
}

static void codes(void **state) {
    for (int code = 0; code < 5; code++) {
        char said[512];
        assert_int_equal(guarded(state, true, pass_on, &code, said), code);
        assert_int_equal(guarded(state, false, pass_on, &code, said), code);
        assert_string_equal(said, "");
    }
}

/* 0: all limits are as they should be in a process of its own. */
static int look_at_limits(void *parent) {
    struct rlimit core, processes, time, memory;
    getrlimit(RLIMIT_CORE, &core);
    getrlimit(RLIMIT_NPROC, &processes);
    getrlimit(RLIMIT_CPU, &time);
    getrlimit(RLIMIT_AS, &memory);
#ifdef __SANITIZE_ADDRESS__
    memory.rlim_max = 0; /* has no limit there */
#endif
    bool limited = !core.rlim_max && !processes.rlim_max && time.rlim_max != RLIM_INFINITY &&
                   memory.rlim_max != RLIM_INFINITY;
    return getpid() != *(pid_t *)parent && limited ? 0 : 1;
}

static int is_parent(void *parent) {
    return getpid() == *(pid_t *)parent ? 0 : 1;
}

static void limits(void **state) {
    pid_t self = getpid();
    char said[512];
    assert_int_equal(guarded(state, false, is_parent, &self, said), 0);
    assert_int_equal(guarded(state, true, look_at_limits, &self, said), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, job_directory, job_remove_directory)
        TEST(deaths), TEST(codes), TEST(limits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
