/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Makes snapshots larger than the disk need be: what isn't written is zero, and takes no space.
 *   cli_make state DIR GIB                                an array of so many GiB of zeros, global, in rows over four ranks
 *   cli_make rows DIR CHANNELS                            as many used channels, with a message of 8 bytes in flight on each
 *   cli_make zeros DIR MILLIONS                           tables of so many million channels and messages, all of them zeros
 * and, of the small one that fuzzing begins with,
 *   cli_make version DIR NUMBER                           one in this version of the format, as a later Wavecut may write
 */
#include "small.h"
#include "surgery.h"

#include "store/block.h"
#include "store/store.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RANKS = 4, COLUMNS = 1 << 17, SIDE = 1 << 20 };

/* In the place of the C library's, which the store calls: no space is taken. */
int posix_fallocate(int fd, off_t offset, off_t length) {
    off_t end = lseek(fd, 0, SEEK_END);
    return end >= offset + length || ftruncate(fd, offset + length) == 0 ? 0 : 5;
}

static void fail(const wc_error *error) {
    fprintf(stderr, "cli_make: %s\n", error->text);
    exit(1);
}

static void put(int fd, const void *from, size_t bytes, uint64_t to) {
    for (size_t done = 0; done < bytes;) {
        ssize_t n = pwrite(fd, (const char *)from + done, bytes - done, (off_t)(to + done));
        if (n <= 0) {
            perror("cli_make");
            exit(1);
        }
        done += (size_t)n;
    }
}

static void *allocate(size_t count, size_t each) {
    void *memory = calloc(count ? count : 1, each);
    if (!memory) {
        fputs("cli_make: no memory\n", stderr);
        exit(1);
    }
    return memory;
}

/* ---- the array ---- */

/* All parts have as many whole blocks, which are all zero. */
static void write_array(int fd, const wc_array *a, const wc_array_place *place) {
    char *zeros = allocate(1, WC_BLOCK_BYTES);
    uint64_t blocks = a->blocks / RANKS, rows = a->shape[0] / RANKS,
             *hashes = allocate(blocks, sizeof *hashes);
    for (uint64_t i = 0; i < blocks; i++)
        wc_block_hashes(zeros, WC_BLOCK_BYTES, &hashes[i]);
    for (uint32_t rank = 0; rank < RANKS; rank++) {
        wc_index_row row = wc_index_row_of(&(wc_box){.ndims = 2,
                                                     .global = {a->shape[0], COLUMNS},
                                                     .offset = {rank * rows, 0},
                                                     .local = {rows, COLUMNS}});
        size_t bytes = wc_index_bytes(2);
        row.checksum = wc_block_checksum(hashes, blocks);
        row.blocks_first = rank * blocks;
        put(fd, &row, bytes, place->index + rank * bytes);
        put(fd, hashes, blocks * sizeof *hashes, place->blocks + rank * blocks * sizeof *hashes);
    }
    free(zeros);
    free(hashes);
}

/* ---- the channels ---- */

static const char COMM[] = "world";

static void write_channels(int fd, uint64_t channels, const wc_channel_place *place) {
    wc_counter_row *counters = allocate(channels, sizeof *counters);
    wc_message_row *messages = allocate(channels, sizeof *messages);
    uint64_t *payload = allocate(channels, sizeof *payload), hash;
    wc_comm_row comm = {.uid = 0x1111, .members_count = RANKS};
    uint32_t members[RANKS] = {0, 1, 2, 3};
    strcpy(comm.how, COMM);
    for (uint64_t i = 0; i < channels; i++) {
        uint32_t source = (uint32_t)(i % SIDE), destination = (uint32_t)(i / SIDE);
        payload[i] = i;
        wc_block_hashes(&payload[i], sizeof payload[i], &hash);
        counters[i] = (wc_counter_row){0x1111, source, destination, i + 1, i, 1};
        messages[i] = (wc_message_row){.comm = 0x1111,
                                       .source = source,
                                       .destination = destination,
                                       .tag = (int32_t)(i % 100),
                                       .bytes = sizeof payload[i],
                                       .offset = i * sizeof payload[i],
                                       .checksum = wc_block_checksum(&hash, 1)};
    }
    put(fd, counters, channels * sizeof *counters, place->counters);
    put(fd, messages, channels * sizeof *messages, place->messages);
    put(fd, payload, channels * sizeof *payload, place->payload);
    put(fd, &comm, sizeof comm, place->communicators);
    put(fd, members, sizeof members, place->members);
    free(counters);
    free(messages);
    free(payload);
}

/* ---- another version ---- */

enum { MOST = 1 << 18 };

static void write_version(const char *dir, uint64_t version) {
    static unsigned char bytes[MOST];
    wc_error error = {WC_OK, ""};
    char path[4096];
    anatomy a;
    wc_store_snapshot_path(dir, 1, path, sizeof path);
    if (small_write(dir, &error) != WC_OK)
        fail(&error);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    ssize_t size = pread(fd, bytes, sizeof bytes, 0);
    if (size <= 0 || !anatomy_read(bytes, (size_t)size, &a))
        exit(1);
    memcpy(bytes + a.end + sizeof version, &version, sizeof version); /* word 1 of the trailer */
    surgery_seal(bytes, (size_t)size);
    put(fd, bytes, (size_t)size, 0);
    close(fd);
    anatomy_free(&a);
}

/* ---- the file ---- */

int main(int argc, char **argv) {
    wc_error error = {WC_OK, "usage: cli_make state|rows|zeros|version DIR NUMBER"};
    wc_store_file *file;
    wc_array_place array_place;
    wc_channel_place place;
    uint64_t ranks_place, number = argc == 4 ? strtoull(argv[3], NULL, 10) : 0;
    if (!number)
        fail(&error);
    if (strcmp(argv[1], "version") == 0) {
        write_version(argv[2], number);
        return 0;
    }
    bool state = strcmp(argv[1], "state") == 0, rows = strcmp(argv[1], "rows") == 0;
    wc_snapshot_head head = {.id = 1,
                             .run_id = 77,
                             .ranks = RANKS,
                             .time = 1763885391.25,
                             .mpi_library = "Test MPI 1.0",
                             .program = "./large",
                             .version = "0"};
    uint64_t height = state ? (number << 30) / COLUMNS / sizeof(double) : RANKS;
    wc_array array = {.name = "field",
                      .type = WC_TYPE_F64,
                      .ndims = 2,
                      .total = height * COLUMNS,
                      .blocks = RANKS * wc_blocks(height / RANKS * COLUMNS * sizeof(double)),
                      .shape = {height, COLUMNS},
                      .chunk = {height, COLUMNS}};
    if (wc_store_create(argv[2], &head, &array, 1, &array_place, &ranks_place, &file, &error) !=
        WC_OK)
        fail(&error);
    uint64_t count = state ? 0 : rows ? number : number * 1000000;
    wc_channel_sizes sizes = {.counters = count,
                              .messages = count,
                              .payload_bytes = rows ? count * sizeof(uint64_t) : 0,
                              .communicators = rows,
                              .members = rows ? RANKS : 0};
    if (wc_store_add_channels(file, &sizes, &place, &error) != WC_OK)
        fail(&error);
    int fd = open(wc_store_path(file), O_WRONLY | O_CLOEXEC);
    write_array(fd, &array, &array_place);
    for (uint32_t rank = 0; rank < RANKS; rank++)
        put(fd, &(wc_rank_row){.rank = rank, .host = "host"}, sizeof(wc_rank_row),
            ranks_place + rank * sizeof(wc_rank_row));
    if (rows)
        write_channels(fd, count, &place);
    close(fd);
    if (wc_store_publish(file, &error) != WC_OK)
        fail(&error);
    return 0;
}
