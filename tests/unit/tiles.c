/* SPDX-License-Identifier: BSD-3-Clause */
/* Global arrays in chunks: whatever boxes write them and whatever boxes read them, each element is where HDF5 has it. */
#include "job.h"

#include "../../src/store/trailer.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_BOXES = 12, EACH = sizeof(uint32_t) };

/* The boxes of a grid with cells of this shape, the last ones perhaps smaller, write an array. */
typedef struct tiling {
    uint32_t ndims;
    uint64_t shape[3], chunk[3], cell[3];
} tiling;

static const tiling tilings[] = {
    {1, {2100}, {1024}, {1024}},
    {2, {60, 80}, {60, 40}, {60, 40}}, /* 9600 bytes: there are gaps between them */
    {2, {70, 90}, {30, 40}, {30, 40}}, /* the last ones are not full */
    {2, {64, 96}, {32, 48}, {32, 48}},
    {2, {64, 128}, {64, 32}, {64, 32}},     /* 8192 bytes: there are no gaps */
    {2, {60, 70}, {20, 70}, {40, 35}},      /* boxes of other shapes than the chunks */
    {2, {330, 250}, {110, 43}, {200, 117}}, /* likewise, and ragged */
    {3, {4, 100, 30}, {2, 50, 30}, {2, 50, 30}},
    {3, {5, 40, 50}, {1, 40, 28}, {5, 40, 28}},   /* a box has several chunks, in a row */
    {2, {100, 1030}, {1, 1030}, {50, 1030}},      /* 100 chunks */
    {2, {1600, 1600}, {32, 32}, {1600, 1600}},    /* 2500; boxes of more than one unit */
    {2, {900, 2600}, {900, 2600}, {900, 1300}},   /* likewise, in lines */
    {2, {1001, 1003}, {1001, 1003}, {334, 1003}}, /* each in one piece, but not of whole pages */
};

enum { TILINGS = sizeof tilings / sizeof *tilings, PAGE = 4096 };

static uint32_t value(uint64_t place) {
    return (uint32_t)(place * 2654435761u + 12345);
}

static uint64_t cells(const tiling *t, uint32_t d) {
    return (t->shape[d] - 1) / t->cell[d] + 1;
}

static uint32_t boxes(const tiling *t) {
    uint64_t n = 1;
    for (uint32_t d = 0; d < t->ndims; d++)
        n *= cells(t, d);
    assert_true(n <= MOST_BOXES);
    return (uint32_t)n;
}

static wc_box box_of(const tiling *t, uint64_t i) {
    wc_box box = {.ndims = t->ndims};
    for (uint32_t d = t->ndims; d-- > 0; i /= cells(t, d)) {
        box.global[d] = t->shape[d];
        box.offset[d] = i % cells(t, d) * t->cell[d];
        uint64_t left = t->shape[d] - box.offset[d];
        box.local[d] = left < t->cell[d] ? left : t->cell[d];
    }
    return box;
}

static wc_array array_of(const tiling *t) {
    wc_array a = {.name = "u", .type = WC_TYPE_U32, .ndims = t->ndims, .total = 1};
    for (uint32_t d = 0; d < t->ndims; d++) {
        a.shape[d] = t->shape[d];
        a.chunk[d] = t->chunk[d];
        a.total *= t->shape[d];
    }
    return a;
}

static uint32_t *elements(const wc_box *box, uint64_t *count) {
    assert_true(wc_box_check(box, count));
    uint32_t *to = malloc(*count * EACH + 1);
    for (uint64_t i = 0; i < *count; i++) {
        uint64_t rest = i, place = 0, stride = 1;
        for (uint32_t d = box->ndims; d-- > 0; rest /= box->local[d]) {
            place += (box->offset[d] + rest % box->local[d]) * stride;
            stride *= box->global[d];
        }
        to[i] = value(place);
    }
    return to;
}

/* ---- writing ---- */

static void write_boxes(const tiling *t, const wc_array *a, const char *path, wc_array_place place,
                        uint64_t ranks_place) {
    wc_writer *w;
    wc_error error = {WC_OK, ""};
    wc_index_row rows[MOST_BOXES];
    wc_rank_row ranks[MOST_BOXES] = {0};
    wc_box own[MOST_BOXES];
    uint32_t *data[MOST_BOXES], n = boxes(t);
    uint64_t *hashes[MOST_BOXES], blocks = 0;
    const wc_sums none = {NULL, NULL};
    size_t bytes = wc_index_bytes(t->ndims);
    assert_int_equal(wc_writer_start(&w, &error), WC_OK);
    assert_int_equal(wc_writer_open(w, path, &error), WC_OK);
    for (uint32_t i = 0; i < n; i++) {
        uint64_t count;
        own[i] = box_of(t, i);
        ranks[i].rank = i;
        rows[i] = wc_index_row_of(&own[i]);
        data[i] = elements(&own[i], &count);
        assert_int_equal(count, rows[i].count);
        rows[i].blocks_first = blocks;
        blocks += wc_blocks(count * EACH);
        hashes[i] = calloc(blocks - rows[i].blocks_first, sizeof *hashes[i]);
        assert_int_equal(wc_writer_box(w, data[i], NULL, &own[i], a->chunk, EACH, place.data,
                                       (wc_sums){hashes[i], &rows[i].checksum}, &error),
                         WC_OK);
    }
    wc_writer_extent(w, ranks, NULL, n * sizeof *ranks, ranks_place, none, &error);
    for (uint32_t i = 0; i < n; i++)
        wc_writer_extent(w, &rows[i], NULL, bytes, place.index + i * bytes, none, &error);
    for (uint32_t i = 0; i < n; i++)
        wc_writer_extent(w, hashes[i], NULL, wc_blocks(rows[i].count * EACH) * sizeof *hashes[i],
                         place.blocks + rows[i].blocks_first * sizeof *hashes[i], none, &error);
    wc_writer_sync(w, &error);
    wc_writer_wait(w, &error);
    if (error.status != WC_OK)
        fail_msg("%s", error.text);
    wc_writer_stop(w);
    for (uint32_t i = 0; i < n; i++) {
        free(data[i]);
        free(hashes[i]);
    }
}

static void write_snapshot(const char *dir, uint64_t id) {
    const tiling *t = &tilings[id - 1];
    wc_array a = array_of(t);
    wc_snapshot_head head = {.id = id, .ranks = boxes(t)};
    for (uint32_t i = 0; i < head.ranks; i++) {
        wc_box box = box_of(t, i);
        a.blocks += wc_blocks(wc_box_elements(&box) * EACH);
    }
    wc_array_place place;
    wc_channel_place channels;
    wc_store_file *file;
    uint64_t ranks_place;
    wc_error error;
    if (wc_store_create(dir, &head, &a, 1, &place, &ranks_place, &file, &error) != WC_OK)
        fail_msg("tiling %d: %s", (int)id - 1, error.text);
    write_boxes(t, &a, wc_store_path(file), place, ranks_place);
    if (wc_store_add_channels(file, &(wc_channel_sizes){0}, &channels, &error) != WC_OK ||
        wc_store_publish(file, &error) != WC_OK)
        fail_msg("tiling %d: %s", (int)id - 1, error.text);
}

/* ---- reading ---- */

static void expect_part(wc_reader *r, const wc_box *part) {
    wc_error error;
    uint64_t count;
    uint32_t *expected = elements(part, &count), *got = malloc(count * EACH + 1);
    assert_int_equal(wc_reader_part(r, 0, part, got, &error), WC_OK);
    assert_memory_equal(got, expected, count * EACH);
    free(got);
    free(expected);
}

/* To where it can be read around the page cache. */
static void expect_extent(wc_reader *r, const wc_box *box, uint32_t rank) {
    wc_error error;
    wc_index_row row;
    uint64_t count;
    assert_int_equal(wc_reader_index(r, 0, rank, &row, &error), WC_OK);
    uint32_t *expected = elements(box, &count);
    size_t skew = wc_reader_place(r, 0, &row) % PAGE;
    char *got = aligned_alloc(PAGE, (skew + count * EACH + PAGE) / PAGE * PAGE);
    assert_int_equal(wc_reader_extent(r, 0, rank, got + skew, &error), WC_OK);
    assert_memory_equal(got + skew, expected, count * EACH);
    free(got);
    free(expected);
}

static void expect_all(const char *path, const tiling *t) {
    wc_reader *r;
    wc_verdict v;
    wc_error error;
    const wc_array *arrays;
    if (wc_reader_open(path, &r, &error) != WC_OK)
        fail_msg("%s", error.text);
    assert_int_equal(wc_reader_arrays(r, &arrays), 1);
    assert_memory_equal(arrays[0].chunk, t->chunk, t->ndims * sizeof *t->chunk);
    assert_int_equal(wc_reader_verify(r, &v, &error), WC_OK);
    assert_string_equal(v.first_failure, "");
    assert_int_equal(v.bytes, arrays[0].total * EACH);
    for (uint32_t i = 0; i < boxes(t); i++) {
        wc_box box = box_of(t, i);
        expect_part(r, &box);
        expect_extent(r, &box, i);
    }
    wc_box part = {.ndims = t->ndims};
    for (uint32_t d = 0; d < t->ndims; d++)
        part.global[d] = part.local[d] = t->shape[d];
    expect_part(r, &part);
    for (uint32_t d = 0; d < t->ndims; d++) {
        part.offset[d] = 1;
        part.local[d] -= 2;
    }
    expect_part(r, &part);
    wc_reader_close(r);
}

static void comes_back(void **state) {
    char path[PATH_MAX];
    for (uint64_t id = 1; id <= TILINGS; id++) {
        write_snapshot(*state, id);
        job_path(*state, id, path);
        expect_all(path, &tilings[id - 1]);
    }
}

/* The values are those of `value`, and the chunks those that were asked for. */
static void read_by_h5py(void **state) {
    for (uint64_t id = 1; id <= TILINGS; id++) {
        const tiling *t = &tilings[id - 1];
        char path[PATH_MAX], command[2 * PATH_MAX + 400];
        write_snapshot(*state, id);
        job_path(*state, id, path);
        snprintf(
            command, sizeof command,
            "HDF5_USE_FILE_LOCKING=FALSE %s -c '\n"
            "import h5py, numpy\n"
            "with h5py.File(\"%s\") as f:\n"
            "    u = f[\"state/u\"]\n"
            "    places = numpy.arange(u.size, dtype=numpy.uint32).reshape(u.shape)\n"
            "    assert (u[...] == places * numpy.uint32(2654435761) + numpy.uint32(12345)).all()\n"
            "    assert u.shape == (%d, %d, %d)[:%d] and (u.chunks or u.shape) == (%d, %d, "
            "%d)[:%d]'",
            WC_PYTHON, path, (int)t->shape[0], (int)t->shape[1], (int)t->shape[2], (int)t->ndims,
            (int)t->chunk[0], (int)t->chunk[1], (int)t->chunk[2], (int)t->ndims);
        assert_int_equal(system(command), 0);
    }
}

/* ---- damage ---- */

static bool is_refused(const char *path) {
    wc_reader *r;
    wc_verdict v;
    wc_error error;
    if (wc_reader_open(path, &r, &error) != WC_OK)
        return error.status == WC_ERR_DAMAGED;
    bool refused = wc_reader_verify(r, &v, &error) == WC_OK && v.failures > 0;
    wc_reader_close(r);
    return refused;
}

/* In full chunks with gaps between them: everything is under some hash. */
static void flipped_bits(void **state) {
    char path[PATH_MAX], byte;
    wc_trailer trailer;
    wc_error error;
    write_snapshot(*state, 4);
    job_path(*state, 4, path);
    int fd = open(path, O_RDWR);
    assert_int_equal(wc_trailer_read(fd, path, &trailer, &error), WC_OK);
    assert_true(trailer.extents.count > 4);
    for (uint64_t at = 0; at < trailer.end; at += 97) {
        assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
        byte ^= 4;
        assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
        if (!is_refused(path))
            fail_msg("a flipped bit at %llu is not seen", (unsigned long long)at);
        byte ^= 4;
        assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
    }
    assert_false(is_refused(path));
    wc_trailer_free(&trailer);
    close(fd);
}

/* What is read of an array is checked, and damage elsewhere is not its affair. */
static void parts_are_verified(void **state) {
    char path[PATH_MAX], byte;
    wc_reader *r;
    wc_error error;
    wc_index_row row;
    write_snapshot(*state, TILINGS);
    job_path(*state, TILINGS, path);
    assert_int_equal(wc_reader_open(path, &r, &error), WC_OK);
    assert_int_equal(wc_reader_index(r, 0, 1, &row, &error), WC_OK);
    off_t at = (off_t)wc_reader_place(r, 0, &row) + 100 * 1003 * EACH;
    int fd = open(path, O_RDWR);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 4;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
    wc_box part = {2, {1001, 1003}, {400, 500}, {100, 1}};
    assert_int_equal(wc_reader_part(r, 0, &part, NULL, &error), WC_ERR_DAMAGED);
    assert_non_null(strstr(error.text, "/state/u of rank 1 "));
    part.offset[0] = 600;
    expect_part(r, &part);
    part.offset[0] = 0;
    part.local[0] = 400;
    expect_part(r, &part);
    wc_reader_close(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, job_directory, job_remove_directory)
        TEST(comes_back), TEST(read_by_h5py), TEST(flipped_bits), TEST(parts_are_verified)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
