/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line as a script sees it: exit codes, JSON, and what goes to which output. */
#include "job.h"

#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct outcome {
    int code; /* -1: ended by a signal */
    char out[1 << 16], err[1 << 14];
} outcome;

static void slurp(const char *path, char *text, size_t size) {
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    text[fread(text, 1, size - 1, f)] = '\0';
    fclose(f);
}

/* Runs `wavecut ARGUMENTS` in the test's directory; the arguments go through the shell. */
static const outcome *run(void **state, const char *arguments) {
    static outcome o;
    char command[4 * PATH_MAX], path[PATH_MAX];
    snprintf(command, sizeof command, "cd %s && %s %s >.out 2>.err", (char *)*state, WC_COMMAND,
             arguments);
    int status = system(command);
    o.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    snprintf(path, sizeof path, "%s/.out", (char *)*state);
    slurp(path, o.out, sizeof o.out);
    snprintf(path, sizeof path, "%s/.err", (char *)*state);
    slurp(path, o.err, sizeof o.err);
    return &o;
}

static json_t *run_json(void **state, const char *arguments, int code) {
    json_error_t error;
    const outcome *o = run(state, arguments);
    assert_int_equal(o->code, code);
    json_t *value = json_loads(o->out, 0, &error);
    if (!value)
        fail_msg("%s: no JSON: %s\n%s", arguments, error.text, o->out);
    return value;
}

static void expect(void **state, const char *arguments, int code, const char *out,
                   const char *err) {
    const outcome *o = run(state, arguments);
    if (o->code != code || !strstr(o->out, out) || !strstr(o->err, err))
        fail_msg("wavecut %s: code %d (not %d?), out: %s\nerr: %s", arguments, o->code, code,
                 o->out, o->err);
}

static const char *text_of(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    assert_non_null(text);
    return text;
}

static json_int_t number_of(const json_t *object, const char *key) {
    const json_t *number = json_object_get(object, key);
    assert_true(json_is_integer(number));
    return json_integer_value(number);
}

static void make_default(void **state, char dir[PATH_MAX]) {
    snprintf(dir, PATH_MAX, "%s/wavecut-ckpt", (char *)*state);
    assert_int_equal(mkdir(dir, 0777), 0);
}

static void spoil(const char *dir, uint64_t id) {
    char path[PATH_MAX];
    struct stat s;
    job_path(dir, id, path);
    int fd = open(path, O_WRONLY);
    assert_int_equal(fstat(fd, &s), 0);
    assert_int_equal(pwrite(fd, "spoilt", 6, s.st_size / 2), 6);
    close(fd);
}

static void usage(void **state) {
    expect(state, "", 2, "", "Usage: wavecut");
    expect(state, "dance", 2, "", "there is no command \"dance\"");
    expect(state, "--nonsense", 2, "", "nonsense");
    expect(state, "ls --nonsense", 2, "", "wavecut ls");
    expect(state, "ls a b", 2, "", "\"b\" is one argument too many");
    expect(state, "--help", 0, "request [DIR]", "");
    expect(state, "--help", 0, "Exit status: 0", "");
    expect(state, "--version", 0, "wavecut " WC_VERSION, "");
    static const char *const commands[] = {"ls", "info", "verify", "request"};
    for (int i = 0; i < 4; i++) {
        char arguments[64];
        snprintf(arguments, sizeof arguments, "%s --help", commands[i]);
        expect(state, arguments, 0, "Exit status: 0", "");
        snprintf(arguments, sizeof arguments, "%s --version", commands[i]);
        expect(state, arguments, 0, WC_VERSION, "");
    }
}

static void nothing_there(void **state) {
    char dir[PATH_MAX];
    static const char *const commands[] = {"ls", "info", "verify", "verify --all", "request"};
    for (int i = 0; i < 5; i++)
        expect(state, commands[i], 3, "", "wavecut-ckpt");
    make_default(state, dir);
    expect(state, "ls", 0, "no snapshots in wavecut-ckpt", "");
    expect(state, "info", 3, "", "no snapshot in wavecut-ckpt");
    expect(state, "verify", 3, "", "no snapshot in wavecut-ckpt");
    expect(state, "info none.h5", 3, "", "none.h5");
}

static void list(void **state) {
    char dir[PATH_MAX];
    make_default(state, dir);
    job_write(dir, 1, 5, JOB_NO_MISTAKE);
    job_write(dir, 2, 5, JOB_NO_MISTAKE);
    expect(state, "ls", 0, "wavecut-000002.h5  2025-11-23 08:09:51", "");
    json_t *all = run_json(state, "ls --json", 0);
    json_t *snapshots = json_object_get(all, "snapshots");
    assert_int_equal(json_array_size(snapshots), 2);
    const json_t *newest = json_array_get(snapshots, 0);
    assert_int_equal(number_of(newest, "id"), 2);
    assert_int_equal(number_of(newest, "ranks"), JOB_RANKS);
    assert_int_equal(number_of(newest, "messages_in_flight"), JOB_MESSAGES);
    assert_string_equal(text_of(newest, "status"), "complete");
    assert_string_equal(text_of(newest, "cut"), "aligned");
    assert_true(json_is_null(json_object_get(all, "finished_run")));
    json_decref(all);
    assert_int_equal(wc_store_mark_finished(dir, 77, NULL), WC_OK);
    expect(state, "ls", 0, "the run has finished", "");
    expect(state, "ls ./wavecut-ckpt/", 0, "wavecut-000001.h5", "");
    setenv("WAVECUT_DIR", dir, 1);
    expect(state, "ls", 0, "wavecut-000001.h5", "");
    unsetenv("WAVECUT_DIR");
}

static void list_with_damage(void **state) {
    char dir[PATH_MAX], path[PATH_MAX];
    make_default(state, dir);
    job_write(dir, 1, 5, JOB_NO_MISTAKE);
    job_write(dir, 2, 5, JOB_NO_MISTAKE);
    job_path(dir, 2, path);
    assert_int_equal(truncate(path, 5000), 0);
    expect(state, "ls", 1, "damaged", "wavecut-000002.h5 is damaged");
    json_t *all = run_json(state, "ls --json", 1);
    const json_t *newest = json_array_get(json_object_get(all, "snapshots"), 0);
    assert_string_equal(text_of(newest, "status"), "damaged");
    text_of(newest, "error");
    json_decref(all);
    expect(state, "info", 1, "", "damaged");
    expect(state, "info wavecut-ckpt/wavecut-000001.h5", 0, "Test MPI 1.0", "");
}

static void show(void **state) {
    char dir[PATH_MAX];
    make_default(state, dir);
    job_write(dir, 1, 5, JOB_NO_MISTAKE);
    expect(state, "info", 0, "12 x 700", "");
    expect(state, "info", 0, "host-2", "");
    expect(state, "info", 0, "4 messages in flight", "");
    json_t *all = run_json(state, "info --json", 0);
    assert_string_equal(text_of(all, "program"), "./job --with arguments");
    assert_int_equal(json_array_size(json_object_get(all, "arrays")), JOB_ARRAYS);
    assert_int_equal(json_array_size(json_object_get(all, "ranks")), JOB_RANKS);
    const json_t *channel = json_array_get(json_object_get(all, "channels"), 0);
    assert_int_equal(number_of(channel, "in_flight"), 1);
    assert_int_equal(number_of(channel, "bytes"), 100000);
    json_decref(all);
}

static void verify(void **state) {
    char dir[PATH_MAX];
    make_default(state, dir);
    job_write(dir, 1, 5, JOB_NO_MISTAKE);
    job_write(dir, 2, 5, JOB_MISCOUNTS);
    job_write(dir, 3, 5, JOB_NO_MISTAKE);
    job_write(dir, 4, 5, JOB_NO_MISTAKE);
    spoil(dir, 4);
    expect(state, "verify", 1, "wavecut-000004.h5: damaged: ", "takes the newest good snapshot");
    expect(state, "verify", 1, "/state/", ""); /* what, of whom, and where */
    expect(state, "verify", 1, " of rank ", "");
    expect(state, "verify", 1, ": bytes ", "");
    expect(state, "verify wavecut-ckpt/wavecut-000003.h5", 0, "wavecut-000003.h5: ok", "");
    expect(state, "verify wavecut-ckpt/wavecut-000002.h5", 1, "no consistent cut", "");
    json_t *all = run_json(state, "verify --all --json", 1);
    assert_int_equal(json_array_size(all), 4);
    static const char *const expected[] = {"damaged", "ok", "inconsistent", "ok"};
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(text_of(json_array_get(all, i), "status"), expected[i]);
    assert_int_equal(number_of(json_array_get(all, 1), "messages"), JOB_MESSAGES);
    assert_true(json_is_true(json_object_get(json_array_get(all, 1), "consistent")));
    const json_t *witness = json_object_get(json_array_get(all, 2), "witness");
    assert_string_equal(text_of(witness, "kind"), "lost");
    assert_string_equal(text_of(witness, "communicator"), "0000000000001111");
    assert_int_equal(number_of(witness, "source"), 0);
    assert_int_equal(number_of(witness, "sent"), 9);
    json_decref(all);
    json_decref(run_json(state,
                         "verify --json wavecut-ckpt/wavecut-000001.h5 "
                         "wavecut-ckpt/wavecut-000003.h5",
                         0));
}

static void request(void **state) {
    char dir[PATH_MAX];
    make_default(state, dir);
    expect(state, "request", 0, "asked for a snapshot", "");
    assert_true(wc_store_take_request(dir));
    json_t *all = run_json(state, "request --json wavecut-ckpt", 0);
    assert_true(json_is_true(json_object_get(all, "requested")));
    json_decref(all);
    assert_true(wc_store_take_request(dir));
    assert_int_equal(wc_store_mark_finished(dir, 77, NULL), WC_OK);
    expect(state, "request", 3, "", "finished");
    assert_false(wc_store_take_request(dir));
}

static void expect_harmless(const char *output) {
    for (const char *c = output; *c; c++)
        if (((unsigned char)*c < ' ' && *c != '\n') || (*c == '\xc2' && c[1] == '\x9b') ||
            strncmp(c, "\xe2\x80\xae", 3) == 0)
            fail_msg("byte %02x in: %s", (unsigned char)*c, output);
}

/* Nothing from a file reaches the terminal as it is. */
static void strange_strings(void **state) {
    char dir[PATH_MAX];
    wc_snapshot_head head = {.id = 1,
                             .ranks = 1,
                             .program = "\033]0;gotcha\a \xff \\ \xc3\xa9 \xc2\x9b"
                                        "31m \xe2\x80\xae",
                             .mpi_library = "a\nb",
                             .version = "\r"};
    wc_store_file *file;
    wc_channel_place place;
    uint64_t ranks_place;
    wc_rank_row rank = {.host = "\033[2Jhost\177", .stall_s = NAN};
    make_default(state, dir);
    assert_int_equal(wc_store_create(dir, &head, NULL, 0, NULL, &ranks_place, &file, NULL), WC_OK);
    int fd = open(wc_store_path(file), O_WRONLY);
    assert_int_equal(pwrite(fd, &rank, sizeof rank, (off_t)ranks_place), sizeof rank);
    close(fd);
    assert_int_equal(wc_store_add_channels(file, &(wc_channel_sizes){0}, &place, NULL), WC_OK);
    assert_int_equal(wc_store_publish(file, NULL), WC_OK);
    expect(state, "info", 0, "\\x1b]0;gotcha\\x07 \\xff \\\\", "");
    expect(state, "info", 0, "\\x1b[2Jhost\\x7f", "");
    expect_harmless(run(state, "info")->out);
    expect_harmless(run(state, "info --json")->out);
    json_t *all = run_json(state, "info --json", 0);
    text_of(all, "program");
    const json_t *first = json_array_get(json_object_get(all, "ranks"), 0);
    assert_string_equal(text_of(first, "host"), "\033[2Jhost\177"); /* escaped by JSON's own ways */
    assert_true(json_is_null(json_object_get(first, "stall_s")));
    json_decref(all);
}

/* Nor from the name of a file or a directory. */
static void strange_names(void **state) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/a\033[2J\xc2\x9b", (char *)*state);
    assert_int_equal(mkdir(path, 0777), 0);
    static const char *const commands[] = {"ls a*",
                                           "ls --json a*",
                                           "info a*",
                                           "verify a*",
                                           "verify --json a*/x.h5",
                                           "request a*",
                                           "request --json a*",
                                           "diff a* a*",
                                           "messages a*",
                                           "extract a* x",
                                           "restart-plan a*",
                                           "restart-plan --json a*",
                                           "prune --keep 1 a*",
                                           "prune --keep 1 --json a*"};
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        const outcome *o = run(state, commands[i]);
        assert_true(strlen(o->out) + strlen(o->err) > 0);
        expect_harmless(o->out);
        expect_harmless(o->err);
    }
}

static void no_colours_in_files(void **state) {
    char dir[PATH_MAX];
    make_default(state, dir);
    job_write(dir, 1, 5, JOB_NO_MISTAKE);
    assert_null(strchr(run(state, "ls")->out, '\033'));
    assert_null(strchr(run(state, "verify")->err, '\r'));
}

static void full_output(void **state) {
    char command[2 * PATH_MAX];
    snprintf(command, sizeof command, "cd %s && mkdir d && %s ls d >/dev/full 2>/dev/null",
             (char *)*state, WC_COMMAND);
    int status = system(command);
    assert_int_equal(WEXITSTATUS(status), 4);
}

/* Of another user: read in a child without rights, with the same result. */
static void foreign_files(void **state) {
    char dir[PATH_MAX], path[PATH_MAX];
    if (geteuid() != 0) {
        print_message("no right to give files away: skipped\n");
        skip();
    }
    make_default(state, dir);
    job_write(dir, 1, 5, JOB_NO_MISTAKE);
    job_path(dir, 1, path);
    assert_int_equal(chown(path, 12345, 12345), 0);
    expect(state, "ls", 0, "complete", "");
    expect(state, "verify", 0, "ok", "");
    json_decref(run_json(state, "info --json", 0));
    assert_int_equal(truncate(path, 5000), 0);
    expect(state, "verify", 1, "damaged", "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, job_directory, job_remove_directory)
        TEST(usage),         TEST(nothing_there),
        TEST(list),          TEST(list_with_damage),
        TEST(show),          TEST(verify),
        TEST(request),       TEST(strange_strings),
        TEST(strange_names), TEST(no_colours_in_files),
        TEST(full_output),   TEST(foreign_files)};
    unsetenv("WAVECUT_DIR");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
