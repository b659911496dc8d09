/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A program with a parallel HDF5 of its own, which is another library than the serial one that Wavecut loads. In each step
 * all ranks write their part of a row of one dataset, collectively, while snapshots are taken.
 *
 *   own_hdf5 aligned|immediate STEPS FILE [die]     die: after two thirds of the steps and two
 *                                                   snapshots, if this is no restart
 */
#include "job.h"

#include <hdf5.h>
#include <wavecut.h>

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CELLS = 1000, TAG = 1 };

static int rank, ranks;
static long step, steps;
static double cells[CELLS];
static hid_t file, dataset, collective;

static void check(bool well, const char *what) {
    if (well)
        return;
    fprintf(stderr, "own_hdf5: rank %d, step %ld: %s failed\n", rank, step, what);
    MPI_Abort(MPI_COMM_WORLD, 3);
}

static void open_file(const char *path, bool again) {
    hid_t parallel = H5Pcreate(H5P_FILE_ACCESS);
    check(H5Pset_fapl_mpio(parallel, MPI_COMM_WORLD, MPI_INFO_NULL) >= 0, "H5Pset_fapl_mpio");
    collective = H5Pcreate(H5P_DATASET_XFER);
    check(H5Pset_dxpl_mpio(collective, H5FD_MPIO_COLLECTIVE) >= 0, "H5Pset_dxpl_mpio");
    file = again ? H5Fopen(path, H5F_ACC_RDWR, parallel)
                 : H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, parallel);
    check(file >= 0, "opening the file");
    if (again) {
        dataset = H5Dopen2(file, "rows", H5P_DEFAULT);
    } else {
        hid_t space =
            H5Screate_simple(2, (hsize_t[]){(hsize_t)steps, CELLS * (hsize_t)ranks}, NULL);
        dataset = H5Dcreate2(file, "rows", H5T_NATIVE_DOUBLE, space, H5P_DEFAULT, H5P_DEFAULT,
                             H5P_DEFAULT);
        H5Sclose(space);
    }
    check(dataset >= 0, "opening the dataset");
    check(H5Fflush(file, H5F_SCOPE_GLOBAL) >= 0, "H5Fflush"); /* a death must not damage it */
    H5Pclose(parallel);
}

static void write_row(void) {
    hid_t all = H5Dget_space(dataset), part = H5Screate_simple(1, (hsize_t[]){CELLS}, NULL);
    H5Sselect_hyperslab(all, H5S_SELECT_SET, (hsize_t[]){(hsize_t)step, CELLS * (hsize_t)rank},
                        NULL, (hsize_t[]){1, CELLS}, NULL);
    check(H5Dwrite(dataset, H5T_NATIVE_DOUBLE, part, all, collective, cells) >= 0, "H5Dwrite");
    H5Sclose(part);
    H5Sclose(all);
}

/* The first cell wanders round the ranks, and comes a step later. */
static void update(void) {
    int next = (rank + 1) % ranks, previous = (rank + ranks - 1) % ranks;
    MPI_Send(cells, 1, MPI_DOUBLE, next, TAG, MPI_COMM_WORLD);
    if (step > 0)
        MPI_Recv(cells, 1, MPI_DOUBLE, previous, TAG, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    for (int i = 0; i < CELLS; i++)
        cells[i] += (double)(i + rank) / 8;
}

/* Writes the row of this step again and again until there are two. */
static void die_after_two(void) {
    for (uint64_t committed = 0; committed < 2;) {
        wavecut_info info;
        wavecut_safepoint();
        write_row();
        wavecut_status_get(&info);
        committed = info.committed;
        job_pause(0.2);
        MPI_Allreduce(MPI_IN_PLACE, &committed, 1, MPI_UINT64_T, MPI_MIN, MPI_COMM_WORLD);
    }
    raise(SIGKILL);
}

static void run(bool die) {
    for (; step < steps; step++) {
        wavecut_safepoint();
        write_row();
        if (die && step == steps * 2 / 3)
            die_after_two();
        update();
    }
}

int main(int argc, char **argv) {
    int restarted;
    wavecut_info info;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    if (argc < 4)
        MPI_Abort(MPI_COMM_WORLD, 2);
    steps = atol(argv[2]);
    if (wavecut_init(MPI_COMM_WORLD) != WAVECUT_OK ||
        wavecut_cut(strcmp(argv[1], "aligned") == 0 ? WAVECUT_ALIGNED : WAVECUT_IMMEDIATE) !=
            WAVECUT_OK ||
        wavecut_protect("cells", cells, CELLS, MPI_DOUBLE) != WAVECUT_OK ||
        wavecut_protect("step", &step, 1, MPI_LONG) != WAVECUT_OK ||
        wavecut_restore(&restarted) != WAVECUT_OK)
        MPI_Abort(MPI_COMM_WORLD, 1);
    open_file(argv[3], restarted);
    if (restarted && rank == 0)
        printf("own_hdf5: restarted at step %ld\n", step);
    run(argc > 4 && !restarted);
    H5Dclose(dataset);
    H5Pclose(collective);
    check(H5Fclose(file) >= 0, "H5Fclose");
    wavecut_status_get(&info);
    if (rank == 0)
        printf("own_hdf5: %d committed, %d void, %d failed: %s\n", (int)info.committed,
               (int)info.voided, (int)info.failed, info.last_reason);
    bool well = wavecut_finalize() == WAVECUT_OK;
    MPI_Finalize();
    return well ? 0 : 1;
}
