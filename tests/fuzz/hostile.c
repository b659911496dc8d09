/* SPDX-License-Identifier: BSD-3-Clause */
/* Files that were made to do harm, with all checksums right: each is refused for what is wrong with it. */
#include "contents.h"
#include "small.h"
#include "surgery.h"

#include "unit/job.h"

#include <fcntl.h>
#include <hdf5.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST = 1 << 20, FILTER = 32100 };

typedef struct crafted {
    char *dir, path[PATH_MAX];
    anatomy anatomy;
    hid_t h5;
} crafted;

static unsigned char bytes[MOST];

static size_t read_file(const char *path) {
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t size = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    return size;
}

/* The small snapshot, open for HDF5, without its trailer. */
static int set_up(void **state) {
    crafted *c = calloc(1, sizeof *c);
    void *dir;
    wc_error error = {WC_OK, ""};
    if (!c || job_directory(&dir) != 0)
        return -1;
    *state = c;
    c->dir = dir;
    if (small_write(c->dir, &error) != WC_OK)
        fail_msg("%s", error.text);
    job_path(c->dir, 1, c->path);
    assert_true(anatomy_read(bytes, read_file(c->path), &c->anatomy));
    assert_int_equal(truncate(c->path, (off_t)c->anatomy.end), 0);
    c->h5 = H5Fopen(c->path, H5F_ACC_RDWR, H5P_DEFAULT);
    assert_true(c->h5 >= 0);
    return 0;
}

static int tear_down(void **state) {
    crafted *c = *state;
    void *dir = c->dir;
    anatomy_free(&c->anatomy);
    free(c);
    return job_remove_directory(&dir);
}

static void finish(crafted *c) {
    assert_true(H5Fclose(c->h5) >= 0);
    size_t size = read_file(c->path);
    c->anatomy.end = size;
    size = surgery_trailer(bytes, sizeof bytes, &c->anatomy);
    assert_true(size > 0);
    FILE *f = fopen(c->path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, size, f), size);
    fclose(f);
}

/* Reading and verification refuse it, both with these words. */
static void expect_refused(crafted *c, const char *words) {
    uint64_t digest;
    wc_error error = {WC_OK, ""};
    finish(c);
    assert_int_equal(contents_read(c->path, &digest, &error), WC_ERR_DAMAGED);
    if (!strstr(error.text, words) || !strstr(error.text, c->path))
        fail_msg("\"%s\" does not say \"%s\"", error.text, words);
    assert_int_equal(contents_verify(c->path, &error), WC_ERR_DAMAGED);
}

/* That the way through `finish` changes nothing. */
static void untouched(void **state) {
    crafted *c = *state;
    uint64_t digest;
    wc_error error = {WC_OK, ""};
    finish(c);
    if (contents_read(c->path, &digest, &error) != WC_OK ||
        contents_verify(c->path, &error) != WC_OK)
        fail_msg("%s", error.text);
}

/* ---- links ---- */

static void soft_link(void **state) {
    crafted *c = *state;
    assert_true(H5Lmove(c->h5, "/ranks", c->h5, "/elsewhere", H5P_DEFAULT, H5P_DEFAULT) >= 0);
    assert_true(H5Lcreate_soft("/elsewhere", c->h5, "/ranks", H5P_DEFAULT, H5P_DEFAULT) >= 0);
    expect_refused(c, "/ranks is missing or not what it should be");
}

static void soft_link_of_a_group(void **state) {
    crafted *c = *state;
    assert_true(H5Lmove(c->h5, "/channels", c->h5, "/elsewhere", H5P_DEFAULT, H5P_DEFAULT) >= 0);
    assert_true(H5Lcreate_soft("/elsewhere", c->h5, "/channels", H5P_DEFAULT, H5P_DEFAULT) >= 0);
    expect_refused(c, "/channels/counters is missing or not what it should be");
}

/* Of a trace all is there, or nothing. */
static void part_of_a_trace(void **state) {
    crafted *c = *state;
    assert_true(H5Ldelete(c->h5, "/trace/streams", H5P_DEFAULT) >= 0);
    expect_refused(c, "/trace/streams is missing or not what it should be");
}

static void soft_link_of_a_trace(void **state) {
    crafted *c = *state;
    assert_true(H5Lmove(c->h5, "/trace", c->h5, "/elsewhere", H5P_DEFAULT, H5P_DEFAULT) >= 0);
    assert_true(H5Lcreate_soft("/elsewhere", c->h5, "/trace", H5P_DEFAULT, H5P_DEFAULT) >= 0);
    expect_refused(c, "/trace/events is missing or not what it should be");
}

static void other_index_of_a_trace(void **state) {
    crafted *c = *state;
    assert_true(H5Lmove(c->h5, "/trace/index", c->h5, "/elsewhere", H5P_DEFAULT, H5P_DEFAULT) >= 0);
    hid_t old = H5Dopen2(c->h5, "/elsewhere", H5P_DEFAULT), type = H5Dget_type(old);
    hsize_t none = 0;
    hid_t space = H5Screate_simple(1, &none, NULL);
    hid_t set =
        H5Dcreate2(c->h5, "/trace/index", type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(set >= 0);
    H5Dclose(set);
    H5Sclose(space);
    H5Tclose(type);
    H5Dclose(old);
    expect_refused(c, "/trace/index has not one row for each rank");
}

static void soft_link_in_state(void **state) {
    crafted *c = *state;
    assert_true(H5Lcreate_soft("/state/step", c->h5, "/state/x", H5P_DEFAULT, H5P_DEFAULT) >= 0);
    expect_refused(c, "/state/x can't be read");
}

static void external_link(void **state) {
    crafted *c = *state;
    assert_true(H5Ldelete(c->h5, "/ranks", H5P_DEFAULT) >= 0);
    assert_true(H5Lcreate_external(c->path, "/communicators", c->h5, "/ranks", H5P_DEFAULT,
                                   H5P_DEFAULT) >= 0);
    expect_refused(c, "/ranks is missing or not what it should be");
}

static void external_link_in_state(void **state) {
    crafted *c = *state;
    assert_true(
        H5Lcreate_external("/etc/passwd", "/", c->h5, "/state/x", H5P_DEFAULT, H5P_DEFAULT) >= 0);
    expect_refused(c, "/state/x can't be read");
}

/* A group that is in itself, twice: without a limit more paths than can ever be followed. */
static void circle(void **state) {
    crafted *c = *state;
    assert_true(
        H5Lcreate_hard(c->h5, "/state", c->h5, "/state/ocean/a", H5P_DEFAULT, H5P_DEFAULT) >= 0);
    assert_true(
        H5Lcreate_hard(c->h5, "/state", c->h5, "/state/ocean/b", H5P_DEFAULT, H5P_DEFAULT) >= 0);
    expect_refused(c, "is damaged");
}

/* One array under many names: more data than the file has. */
static void many_names(void **state) {
    crafted *c = *state;
    for (int i = 0; i < 20; i++) {
        char name[32];
        snprintf(name, sizeof name, "/state/u%d", i);
        assert_true(
            H5Lcreate_hard(c->h5, "/state/ocean/u", c->h5, name, H5P_DEFAULT, H5P_DEFAULT) >= 0);
    }
    expect_refused(c, "is not what it should be");
}

static void hostile_name(void **state) {
    crafted *c = *state;
    wc_error error;
    uint64_t digest;
    assert_true(H5Lmove(c->h5, "/state/step", c->h5, "/state/\033]0;gotcha\a", H5P_DEFAULT,
                        H5P_DEFAULT) >= 0);
    expect_refused(c, "a name in /state is none of an array");
    contents_read(c->path, &digest, &error);
    assert_null(strchr(error.text, '\033'));
}

/* ---- data that are not here ---- */

/* `wavecut info` shows the program: it must not show another file. */
static void external_storage(void **state) {
    crafted *c = *state;
    hid_t text = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR);
    hid_t plain = H5Pcreate(H5P_DATASET_CREATE);
    hsize_t one = 1;
    H5Tset_size(text, 32);
    H5Sclose(space);
    space = H5Screate_simple(1, &one, NULL);
    assert_true(H5Ldelete(c->h5, "/program", H5P_DEFAULT) >= 0);
    assert_true(H5Pset_external(plain, "/etc/passwd", 0, 32) >= 0);
    hid_t set = H5Dcreate2(c->h5, "/program", text, space, H5P_DEFAULT, plain, H5P_DEFAULT);
    assert_true(set >= 0);
    H5Dclose(set);
    H5Pclose(plain);
    H5Sclose(space);
    H5Tclose(text);
    expect_refused(c, "its head is not complete");
}

/* Plugins are code: see plugin.c, which would leave a trace. */
static void filter_by_plugin(void **state) {
    crafted *c = *state;
    char trace[PATH_MAX + 32], chunk[32] = "./program";
    hsize_t one = 1, origin = 0;
    snprintf(trace, sizeof trace, "%s/plugin-was-loaded", c->dir);
    setenv("WC_PLUGIN_TRACE", trace, 1);
    hid_t text = H5Tcopy(H5T_C_S1), space = H5Screate_simple(1, &one, NULL);
    hid_t filtered = H5Pcreate(H5P_DATASET_CREATE);
    H5Tset_size(text, sizeof chunk);
    assert_true(H5Ldelete(c->h5, "/program", H5P_DEFAULT) >= 0);
    assert_true(H5Pset_chunk(filtered, 1, &one) >= 0);
    unsigned plugins;
    H5PLget_loading_state(&plugins);
    H5PLset_loading_state(0); /* not by this test itself */
    assert_true(H5Pset_filter(filtered, FILTER, H5Z_FLAG_OPTIONAL, 0, NULL) >= 0);
    hid_t set = H5Dcreate2(c->h5, "/program", text, space, H5P_DEFAULT, filtered, H5P_DEFAULT);
    assert_true(set >= 0);
    assert_true(H5Dwrite_chunk(set, H5P_DEFAULT, 0, &origin, sizeof chunk, chunk) >= 0);
    H5Dclose(set);
    H5PLset_loading_state(plugins);
    H5Pclose(filtered);
    H5Sclose(space);
    H5Tclose(text);
    expect_refused(c, "its head is not complete");
    assert_int_not_equal(access(trace, F_OK), 0);
    H5PLget_loading_state(&plugins);
    assert_int_not_equal(plugins, 0); /* the program's own setting is left */

    /* And it is a plugin that would have been loaded. */
    c->h5 = H5Fopen(c->path, H5F_ACC_RDONLY, H5P_DEFAULT);
    set = H5Dopen2(c->h5, "/program", H5P_DEFAULT);
    text = H5Dget_type(set);
    H5Dread(set, text, H5S_ALL, H5S_ALL, H5P_DEFAULT, chunk);
    H5Tclose(text);
    H5Dclose(set);
    H5Fclose(c->h5);
    assert_int_equal(access(trace, F_OK), 0);
}

/* ---- numbers ---- */

static void set_number(crafted *c, const char *name, uint64_t value) {
    hid_t attribute = H5Aopen(c->h5, name, H5P_DEFAULT);
    assert_true(H5Awrite(attribute, H5T_NATIVE_UINT64, &value) >= 0);
    H5Aclose(attribute);
}

static void too_many_ranks(void **state) {
    set_number(*state, "ranks", 1ull << 32);
    expect_refused(*state, "its head is not complete");
}

static void other_number_of_ranks(void **state) {
    set_number(*state, "ranks", UINT32_MAX);
    expect_refused(*state, "/ranks has not one row for each rank");
}

static void never_completed(void **state) {
    set_number(*state, "complete", 0);
    expect_refused(*state, "it was never completed");
}

/* Larger than the file. */
static void large_shapes(void **state) {
    crafted *c = *state;
    static const hsize_t shapes[][2] = {{1ull << 33, 1ull << 30}, {1ull << 40, 16}, {1 << 20, 16}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        hid_t space = H5Screate_simple(2, shapes[i], NULL), scalar = H5Screate(H5S_SCALAR);
        hid_t late = H5Pcreate(H5P_DATASET_CREATE);
        hsize_t chunk[2] = {64, 16};
        H5Pset_chunk(late, 2, chunk);
        hid_t set =
            H5Dcreate2(c->h5, "/state/x", H5T_STD_U8LE, space, H5P_DEFAULT, late, H5P_DEFAULT);
        assert_true(set >= 0);
        hid_t mark = H5Acreate2(set, "global", H5T_STD_U64LE, scalar, H5P_DEFAULT, H5P_DEFAULT);
        H5Aclose(mark);
        H5Dclose(set);
        H5Pclose(late);
        H5Sclose(space);
        H5Sclose(scalar);
        expect_refused(c, "/state/x is not what it should be");
        assert_int_equal(truncate(c->path, (off_t)c->anatomy.end), 0);
        c->h5 = H5Fopen(c->path, H5F_ACC_RDWR, H5P_DEFAULT);
        assert_true(H5Ldelete(c->h5, "/state/x", H5P_DEFAULT) >= 0);
    }
    H5Fclose(c->h5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
        TEST(untouched),
        TEST(soft_link),
        TEST(soft_link_of_a_group),
        TEST(part_of_a_trace),
        TEST(soft_link_of_a_trace),
        TEST(other_index_of_a_trace),
        TEST(soft_link_in_state),
        TEST(external_link),
        TEST(external_link_in_state),
        TEST(circle),
        TEST(many_names),
        TEST(hostile_name),
        TEST(external_storage),
        TEST(filter_by_plugin),
        TEST(too_many_ranks),
        TEST(other_number_of_ranks),
        TEST(never_completed),
        TEST(large_shapes)};
    setenv("HDF5_PLUGIN_PATH", WC_PLUGINS, 1); /* before HDF5 looks */
    setenv("HDF5_USE_FILE_LOCKING", "FALSE", 1);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
