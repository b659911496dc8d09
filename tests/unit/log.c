/* SPDX-License-Identifier: BSD-3-Clause */
/* What the library says on standard error. */
#include "job.h"

#include "runtime/log.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* A directory's name, or what libhdf5 says of a file, may be anybody's. */
static void nothing_controls_the_terminal(void **state) {
    char path[PATH_MAX], said[256] = "";
    snprintf(path, sizeof path, "%s/log", (char *)*state);
    int fd = open(path, O_RDWR | O_CREAT, 0600), before = dup(STDERR_FILENO);
    dup2(fd, STDERR_FILENO);
    wc_log_setup(WC_LOG_INFO, 0);
    wc_log_job(WC_LOG_INFO, "%s",
               "a\033]0;x\a\r\n\177 \xc2\x9b"
               "31m \xc3\xa9");
    wc_log_rank(WC_LOG_DEBUG, "not told");
    fflush(stderr);
    dup2(before, STDERR_FILENO);
    close(before);
    assert_true(pread(fd, said, sizeof said - 1, 0) > 0);
    close(fd);
    assert_string_equal(said, "wavecut: a?]0;x???? ??31m \xc3\xa9\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(
        nothing_controls_the_terminal, job_directory, job_remove_directory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
