/* SPDX-License-Identifier: BSD-3-Clause */
#include "job.h"

#include <mpi.h>

#include <argp.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- options ---- */

static long read_number(const char *text, long least, struct argp_state *state, const char *what) {
    char *end;
    errno = 0;
    long n = strtol(text, &end, 10);
    if (end == text || *end || errno || n < least)
        argp_error(state, "--%s=%s: a whole number from %ld on is wanted", what, text, least);
    return n;
}

static error_t read_option(int key, char *text, struct argp_state *state) {
    job_options *o = state->input;
    char *end;
    switch (key) {
    case 'n':
        o->steps = read_number(text, 1, state, "steps");
        return 0;
    case 's':
        o->size = read_number(text, 1, state, "size");
        return 0;
    case 'r':
        o->seed = (uint64_t)read_number(text, 0, state, "seed");
        return 0;
    case 'w':
        o->slow_ms = strtod(text, &end);
        if (end == text || *end || !(o->slow_ms >= 0 && o->slow_ms < 1e6))
            argp_error(state, "--slow=%s: milliseconds are wanted", text);
        return 0;
    case 'o':
        o->out = text;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

void job_read_options(int argc, char **argv, const job_help *help, job_options *options) {
    const struct argp_option all[] = {
        {"steps", 'n', "N", 0, help->steps, 0},
        {"size", 's', "N", 0, help->size, 0},
        {"seed", 'r', "N", 0, help->seed, 0},
        {"slow", 'w', "MS", 0, "Pause in each pass of the main loop, in milliseconds", 0},
        {"out", 'o', "FILE", 0, help->out, 0}};
    struct argp_option taken[sizeof all / sizeof *all + 1] = {0};
    for (size_t i = 0, n = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].doc)
            taken[n++] = all[i];
    const struct argp parser = {taken, read_option, NULL, help->program, NULL, NULL, NULL};
    argp_parse(&parser, argc, argv, 0, NULL, options);
}

/* ---- random numbers, time ---- */

uint64_t job_random(uint64_t *stream) {
    uint64_t z = *stream += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

void job_pause(double ms) {
    if (ms <= 0)
        return;
    struct timespec t = {(time_t)(ms / 1e3), (long)((ms - 1e3 * (double)(time_t)(ms / 1e3)) * 1e6)};
    while (nanosleep(&t, &t) != 0 && errno == EINTR)
        ;
}

/* ---- memory ---- */

void *job_allocate(size_t count, size_t bytes) {
    void *memory = calloc(count ? count : 1, bytes);
    if (!memory) {
        fprintf(stderr, "no memory for %zu times %zu bytes\n", count, bytes);
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
    return memory;
}

void job_attach_buffer(size_t messages, size_t bytes) {
    bytes += MPI_BSEND_OVERHEAD;
    if (messages > INT_MAX / bytes) {
        fprintf(stderr, "%zu messages are too many for MPI_Bsend: take a smaller --size\n",
                messages);
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
    MPI_Buffer_attach(job_allocate(messages, bytes), (int)(messages * bytes));
}

void job_detach_buffer(void) {
    void *buffer;
    int bytes;
    MPI_Buffer_detach(&buffer, &bytes);
    free(buffer);
}

/* ---- output ---- */

static void stop_job(const char *path) {
    fprintf(stderr, "%s: %s\n", path, strerror(errno));
    MPI_Abort(MPI_COMM_WORLD, 1);
}

static void write_all(FILE *f, const char *path, const void *data, size_t bytes) {
    if (fwrite(data, 1, bytes, f) != bytes)
        stop_job(path);
}

void job_save(const char *path, const void *mine, size_t bytes) {
    enum { TAG = 1000 };
    int rank, ranks;
    if (!path)
        return;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    if (bytes > INT_MAX) {
        errno = EFBIG;
        stop_job(path);
    }
    if (rank > 0) {
        MPI_Send(mine, (int)bytes, MPI_BYTE, 0, TAG, MPI_COMM_WORLD);
        return;
    }
    FILE *f = fopen(path, "wb");
    if (!f)
        stop_job(path);
    write_all(f, path, mine, bytes);
    for (int r = 1; r < ranks; r++) {
        MPI_Status status;
        int n;
        MPI_Probe(r, TAG, MPI_COMM_WORLD, &status);
        MPI_Get_count(&status, MPI_BYTE, &n);
        void *theirs = job_allocate((size_t)n, 1);
        MPI_Recv(theirs, n, MPI_BYTE, r, TAG, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        write_all(f, path, theirs, (size_t)n);
        free(theirs);
    }
    if (fclose(f) != 0)
        stop_job(path);
}
