/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What snapshots are compared with: the same bytes copied or written by the program itself, on all ranks at once. Each
 * call begins with a barrier and returns the time of the slowest rank in seconds.
 *
 * All MPI is called past Wavecut (PMPI_): it is no part of the program that is snapshotted.
 */
#ifndef REFERENCE_H
#define REFERENCE_H

#include <stddef.h>

double reference_now(void);
double reference_slowest(double mine);

/* Anonymous memory in huge pages, as Wavecut's staging has it. */
void *reference_map(size_t bytes);

/* Seconds for one pass of the checksum over the bytes, by all ranks at once. */
double reference_hash(const void *from, size_t bytes);

double reference_copy(void *to, const void *from, size_t bytes);

/* `from` begins on a page, and `bytes` are whole pages. Each rank writes a file of its own, with O_DIRECT and fsync. */
double reference_direct(const char *directory, const void *from, size_t bytes);

/*
 * One file and one dataset, written collectively with parallel HDF5. *closed: until H5Fclose returns; *durable: until
 * fsync has, too. Both are NAN in a build without parallel HDF5.
 */
void reference_hdf5(const char *directory, const double *from, size_t count, double *closed,
                    double *durable);

#endif
