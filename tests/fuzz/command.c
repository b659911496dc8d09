/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * `wavecut` on files of another user that were made to do harm: libhdf5 may crash on them, hang or ask for all memory, and that is
 * an error with words and an exit status, like any other. Seeded; more of them with TESTS_FULL.
 */
#include "small.h"
#include "surgery.h"

#include "unit/job.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST = 1 << 18, OTHER = 12345, FEW = 12, MANY = 2500 };

/* The directory stands behind each. $GOOD is another one, with a good snapshot. */
static const char *const commands[] = {"verify",
                                       "info",
                                       "info --json",
                                       "ls",
                                       "verify --all --json",
                                       "messages --payload 64",
                                       "messages --json --payload 9 --as i16",
                                       "diff $GOOD",
                                       "diff --json $GOOD",
                                       "extract --force --message 0 --output $GOOD/out",
                                       "restart-plan",
                                       "prune --keep 1 --dry-run"};

typedef struct place {
    char *dir, *good, path[PATH_MAX];
    unsigned char small[MOST], bytes[MOST];
    size_t size;
    unsigned crashes;
} place;

static void write_file(const char *path, const void *from, size_t bytes) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, from, bytes), bytes);
    assert_int_equal(fchown(fd, OTHER, OTHER), 0);
    close(fd);
}

static size_t read_file(const char *path, unsigned char *to) {
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t size = fread(to, 1, MOST, f);
    fclose(f);
    return size;
}

static int set_up(void **state) {
    place *p = calloc(1, sizeof *p);
    void *dir, *good;
    wc_error error = {WC_OK, ""};
    if (!p || job_directory(&dir) != 0 || job_directory(&good) != 0)
        return -1;
    *state = p;
    p->dir = dir;
    p->good = good;
    if (small_write(p->dir, &error) != WC_OK || small_write(p->good, &error) != WC_OK)
        fail_msg("%s", error.text);
    setenv("GOOD", p->good, 1);
    assert_int_equal(chmod(p->good, 0777), 0); /* whoever runs a command writes to it */
    job_path(p->dir, 1, p->path);
    p->size = read_file(p->path, p->small);
    return 0;
}

static int tear_down(void **state) {
    place *p = *state;
    void *dir = p->dir, *good = p->good;
    free(p);
    return job_remove_directory(&dir) | job_remove_directory(&good);
}

static bool may_give_away(void) {
    if (geteuid() == 0)
        return true;
    print_message("no right to give files away: skipped\n");
    return false;
}

/* Exit status; *said: all that it has printed. As user `uid`, with a limit of time for what may hang. */
static int run(const place *p, const char *command, uid_t uid, char *said, size_t room) {
    char line[3 * PATH_MAX];
    int ends[2], status;
    size_t used = 0;
    snprintf(line, sizeof line, "exec timeout 300 %s %s %s 2>&1", WC_COMMAND, command, p->dir);
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        if (uid != geteuid() && (setgid(uid) < 0 || setuid(uid) < 0))
            _exit(99);
        execl("/bin/sh", "sh", "-c", line, (char *)NULL);
        _exit(98);
    }
    close(ends[1]);
    for (ssize_t n = 1; n > 0; used += n > 0 ? (size_t)n : 0) {
        n = read(ends[0], said + used, room - 1 - used);
        if (used == room - 1)
            break;
    }
    said[used] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* Each command ends well or says what is wrong, and says nothing that controls a terminal. */
static void expect_words(place *p, const char *what, unsigned number) {
    static char said[1 << 20];
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        int code = run(p, commands[i], geteuid(), said, sizeof said);
        bool told = code == 0 || code == 1 || code == 4 ||
                    (code == 3 && strncmp(commands[i], "extract", 7) == 0) || /* no message 0 */
                    (code == 7 && strncmp(commands[i], "diff", 4) == 0);
        if (!told || !said[0])
            fail_msg("%s %u: wavecut %s: %d: %s", what, number, commands[i], code, said);
        for (const char *c = said; *c; c++)
            if ((unsigned char)*c < ' ' && *c != '\n')
                fail_msg("%s %u: wavecut %s: byte %02x", what, number, commands[i], *c);
        p->crashes += strstr(said, "was ended by signal") != NULL;
    }
}

static void changed_files(void **state) {
    place *p = *state;
    const char *full = getenv("TESTS_FULL");
    if (!may_give_away())
        skip();
    for (unsigned seed = 0; seed < (full && *full ? MANY : FEW); seed++) {
        memcpy(p->bytes, p->small, p->size);
        size_t size = surgery_mutate(p->bytes, p->size, MOST, seed);
        write_file(p->path, p->bytes, size);
        expect_words(p, "seed", seed);
    }
    print_message("%u times the reading process was ended by a signal\n", p->crashes);
}

/* Those that were found to crash a libhdf5: 1.10.8, maybe not the one that is here. */
static void found_files(void **state) {
    place *p = *state;
    struct dirent *entry;
    if (!may_give_away())
        skip();
    DIR *found = opendir(WC_FOUND);
    assert_non_null(found);
    unsigned number = 0;
    while ((entry = readdir(found))) {
        char path[PATH_MAX];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", WC_FOUND, entry->d_name);
        write_file(p->path, p->bytes, read_file(path, p->bytes));
        expect_words(p, entry->d_name, ++number);
    }
    closedir(found);
    assert_true(number > 0);
    print_message("%u times the reading process was ended by a signal\n", p->crashes);
}

/* An ordinary user may look at another one's good snapshot: the limits don't hinder. */
static void as_ordinary_user(void **state) {
    place *p = *state;
    static char said[1 << 16];
    if (!may_give_away())
        skip();
    assert_int_equal(chmod(p->dir, 0755), 0);
    if (run(p, "--version >/dev/null; test -x " WC_COMMAND " || echo", OTHER, said, sizeof said)) {
        print_message("this build is not to be seen by other users: skipped\n");
        skip();
    }
    assert_int_equal(chown(p->path, OTHER + 1, OTHER + 1), 0);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        int code = run(p, commands[i], OTHER, said, sizeof said);
        bool untrusted = strcmp(commands[i], "restart-plan") == 0; /* a job doesn't take it */
        if (code != untrusted || (untrusted && !strstr(said, "belongs to another user")))
            fail_msg("wavecut %s: %d: %s", commands[i], code, said);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
        TEST(changed_files), TEST(found_files), TEST(as_ordinary_user)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
