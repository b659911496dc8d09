/* SPDX-License-Identifier: BSD-3-Clause */
/* What the parts of the store know of a snapshot directory. */
#ifndef WC_STORE_DIRECTORY_H
#define WC_STORE_DIRECTORY_H

#include "store.h"

#include <sys/stat.h>

enum { WC_FILE_NAME_BYTES = 64 };

/* The mark of a finished run while it is being made. */
#define WC_FINISHED_PARTIAL "finished.partial"

/* wavecut-<id>.h5, or wavecut-<id>.h5.partial. */
void wc_file_name(uint64_t id, bool partial, char name[WC_FILE_NAME_BYTES]);

/* Is this exactly the name of a snapshot, or of an unfinished one? */
bool wc_file_parse(const char *name, uint64_t *id, bool *partial);

/* Opens the directory for openat() and fsync(). Errors: NOT_FOUND, IO. */
wc_status wc_directory_open(const char *dir, int *fd, wc_error *error);

/* Is NAME in the directory a regular file of this user? */
bool wc_directory_owns(int dir, const char *name);

/* Does a file that was found in the directory belong to this user or to the directory's owner? What others put there, who may have
 * a right to write to it, decides nothing. */
bool wc_directory_vouches(int dir, const struct stat *file);

/*
 * Replaces the small file NAME by these bytes, by way of NAME.partial: a reader sees the old or the new one, never a part.
 * Not durable. False: errno says why.
 */
bool wc_directory_put(int dir, const char *name, const void *bytes, size_t length);

/*
 * Reads the small file NAME, of at most `most` bytes, with a zero behind them; *text is the caller's to free. `where` is for the
 * error. Errors: NOT_FOUND, IO (also: no regular file, or too large), MEMORY.
 */
wc_status wc_directory_get(int dir, const char *name, const char *where, size_t most, char **text,
                           wc_error *error);

/* Takes the writer's lock of an open file. False: somebody else is writing it. File systems without
 * locks grant it. */
bool wc_file_lock(int fd);

/* Is somebody writing NAME? Only files that wc_directory_owns accepts should be asked for. */
bool wc_directory_in_use(int dir, const char *name);

#endif
