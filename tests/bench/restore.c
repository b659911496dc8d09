/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A restart against reading the same bytes, none of them in the page cache:
 *
 *   direct    each rank reads as many bytes of the file into its array with O_DIRECT, PIECE by PIECE
 *   verify    wavecut_init: the snapshot is chosen, and all of it read and checked
 *   restore   the same, and wavecut_restore: until the program has its state
 *
 *   restore MIB make         takes a snapshot in WAVECUT_DIR, of an array of so many MiB on each rank
 *   restore MIB FILE         prints a line, in seconds: direct verify restore; WAVECUT_RESTART is that file, too
 */
#include "reference.h"

#include <wavecut.h>

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PIECE = 4 << 20 };

static void expect(int holds, const char *what) {
    if (holds)
        return;
    perror(what);
    PMPI_Abort(MPI_COMM_WORLD, 1);
}

static void forget(const char *file) {
    int fd = open(file, O_RDONLY);
    expect(fd >= 0 && posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0 && close(fd) == 0, file);
    PMPI_Barrier(MPI_COMM_WORLD);
}

static double read_direct(const char *file, char *to, size_t bytes, int rank) {
    forget(file);
    double start = reference_now();
    int fd = open(file, O_RDONLY | O_DIRECT);
    expect(fd >= 0, file);
    for (size_t at = 0; at < bytes;) {
        size_t left = bytes - at;
        ssize_t n =
            pread(fd, to + at, left < PIECE ? left : PIECE, (off_t)(bytes * (size_t)rank + at));
        expect(n > 0, file);
        at += (size_t)n;
    }
    close(fd);
    return reference_slowest(reference_now() - start);
}

static void take_snapshot(int rank) {
    wavecut_info info;
    if (rank == 0)
        wavecut_request();
    do {
        wavecut_safepoint();
        usleep(100);
        wavecut_status_get(&info);
    } while (!info.committed);
}

int main(int argc, char **argv) {
    int rank, restarted;
    if (argc < 3)
        return 2;
    MPI_Init(&argc, &argv);
    PMPI_Comm_rank(MPI_COMM_WORLD, &rank);
    int make = strcmp(argv[2], "make") == 0;
    size_t count = (size_t)atoi(argv[1]) * (1 << 20) / sizeof(double);
    double *state = reference_map(count * sizeof *state), direct = 0;
    memset(state, 0, count * sizeof *state);
    if (!make) {
        direct = read_direct(argv[2], (char *)state, count * sizeof *state, rank);
        forget(argv[2]);
    }
    double start = reference_now();
    expect(!wavecut_init(MPI_COMM_WORLD) && !wavecut_cut(WAVECUT_IMMEDIATE), "wavecut_init");
    double verify = reference_slowest(reference_now() - start);
    for (size_t i = 0; make && i < count; i++)
        state[i] = (double)(i * 2654435761u + (size_t)rank);
    expect(!wavecut_protect("u", state, count, MPI_DOUBLE), "wavecut_protect");
    start = reference_now();
    expect(!wavecut_restore(&restarted) && restarted == !make, "wavecut_restore");
    double restore = verify + reference_slowest(reference_now() - start);
    if (make)
        take_snapshot(rank);
    else if (rank == 0)
        printf("%.6f %.6f %.6f\n", direct, verify, restore);
    wavecut_finalize();
    MPI_Finalize();
    return 0;
}
