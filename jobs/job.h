/* SPDX-License-Identifier: BSD-3-Clause */
/* What the example programs share and what has nothing to do with checkpoints: options, random
 * numbers, output. */
#ifndef JOB_H
#define JOB_H

#include <stddef.h>
#include <stdint.h>

typedef struct job_options {
    long steps;    /* --steps */
    long size;     /* --size */
    uint64_t seed; /* --seed */
    double
        slow_ms; /* --slow: pause in each pass of the main loop, to have the time to look at it */
    const char *out; /* --out: file for the result, to be compared bit for bit; NULL: none */
} job_options;

/* What the program does, and what these options mean to it; NULL: it doesn't take the option. */
typedef struct job_help {
    const char *program, *steps, *size, *seed, *out;
} job_help;

/* Parses the command line into `options`, which holds the defaults. A wrong option ends the
 * program. */
void job_read_options(int argc, char **argv, const job_help *help, job_options *options);

/* The next number of a random stream (splitmix64): the whole state is *stream, so it can be saved,
 * or sent along. */
uint64_t job_random(uint64_t *stream);

void job_pause(double ms);

/* Zeroed memory; the end of the job when there is none. */
void *job_allocate(size_t count, size_t bytes);

/* Gives MPI_Bsend the memory for so many messages of so many bytes at a time, and takes it back. */
void job_attach_buffer(size_t messages, size_t bytes);
void job_detach_buffer(void);

/*
 * Writes all ranks' bytes, one after the other, into the file. Collective over MPI_COMM_WORLD. With
 * path == NULL nothing is done. A failure ends the job.
 */
void job_save(const char *path, const void *mine, size_t bytes);

#endif
