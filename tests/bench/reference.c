/* SPDX-License-Identifier: BSD-3-Clause */
#include "reference.h"

#include <mpi.h>

#ifdef BENCH_HDF5
#include <hdf5.h>
#endif

#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

enum { PIECE = 4 << 20, BLOCK = 64 << 10 }; /* as Wavecut's writer has them */

double reference_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

double reference_slowest(double mine) {
    double slowest;
    PMPI_Allreduce(&mine, &slowest, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
    return slowest;
}

static void expect(int holds, const char *what) {
    if (holds)
        return;
    perror(what);
    PMPI_Abort(MPI_COMM_WORLD, 1);
}

static double begin(void) {
    PMPI_Barrier(MPI_COMM_WORLD);
    return reference_now();
}

void *reference_map(size_t bytes) {
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    expect(memory != MAP_FAILED, "memory");
    madvise(memory, bytes, MADV_HUGEPAGE);
    return memory;
}

double reference_copy(void *to, const void *from, size_t bytes) {
    double start = begin();
    memcpy(to, from, bytes);
    return reference_slowest(reference_now() - start);
}

double reference_hash(const void *from, size_t bytes) {
    static volatile uint64_t kept; /* so that it is computed */
    double start = begin();
    for (size_t at = 0; at < bytes; at += BLOCK)
        kept = XXH3_64bits((const char *)from + at, bytes - at < BLOCK ? bytes - at : BLOCK);
    (void)kept;
    return reference_slowest(reference_now() - start);
}

static void name_file(char path[PATH_MAX], const char *directory, const char *kind, int rank) {
    snprintf(path, PATH_MAX, "%s/%s-%d", directory, kind, rank);
}

double reference_direct(const char *directory, const void *from, size_t bytes) {
    char path[PATH_MAX];
    int rank;
    PMPI_Comm_rank(MPI_COMM_WORLD, &rank);
    name_file(path, directory, "direct", rank);
    double start = begin();
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_DIRECT, 0666);
    expect(fd >= 0, path);
    for (size_t at = 0; at < bytes;) {
        size_t left = bytes - at;
        ssize_t n = pwrite(fd, (const char *)from + at, left < PIECE ? left : PIECE, (off_t)at);
        expect(n > 0, path);
        at += (size_t)n;
    }
    expect(fsync(fd) == 0 && close(fd) == 0, path);
    double slowest = reference_slowest(reference_now() - start);
    unlink(path);
    return slowest;
}

#ifdef BENCH_HDF5
static void write_dataset(const char *path, const double *from, hsize_t count, hsize_t first,
                          hsize_t total) {
    hid_t access = H5Pcreate(H5P_FILE_ACCESS), transfer = H5Pcreate(H5P_DATASET_XFER);
    H5Pset_fapl_mpio(access, MPI_COMM_WORLD, MPI_INFO_NULL);
    H5Pset_dxpl_mpio(transfer, H5FD_MPIO_COLLECTIVE);
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, access);
    hid_t whole = H5Screate_simple(1, &total, NULL), part = H5Screate_simple(1, &count, NULL);
    hid_t dataset =
        H5Dcreate2(file, "u", H5T_IEEE_F64LE, whole, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    H5Sselect_hyperslab(whole, H5S_SELECT_SET, &first, NULL, &count, NULL);
    herr_t wrote = H5Dwrite(dataset, H5T_NATIVE_DOUBLE, part, whole, transfer, from);
    H5Dclose(dataset);
    H5Sclose(part);
    H5Sclose(whole);
    expect(wrote >= 0 && H5Fclose(file) >= 0, path);
    H5Pclose(transfer);
    H5Pclose(access);
}

void reference_hdf5(const char *directory, const double *from, size_t count, double *closed,
                    double *durable) {
    char path[PATH_MAX];
    int rank;
    hsize_t mine = count, first = 0, total;
    PMPI_Comm_rank(MPI_COMM_WORLD, &rank);
    PMPI_Exscan(&mine, &first, 1, MPI_UINT64_T, MPI_SUM, MPI_COMM_WORLD);
    PMPI_Allreduce(&mine, &total, 1, MPI_UINT64_T, MPI_SUM, MPI_COMM_WORLD);
    name_file(path, directory, "parallel-hdf5", 0);
    double start = begin();
    write_dataset(path, from, mine, rank ? first : 0, total);
    *closed = reference_slowest(reference_now() - start);
    int fd = open(path, O_WRONLY);
    expect(fd >= 0 && fsync(fd) == 0 && close(fd) == 0, path);
    *durable = reference_slowest(reference_now() - start);
    if (rank == 0)
        unlink(path);
}
#else
void reference_hdf5(const char *directory, const double *from, size_t count, double *closed,
                    double *durable) {
    (void)directory;
    (void)from;
    (void)count;
    *closed = *durable = NAN;
}
#endif
