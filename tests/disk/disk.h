/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A disk that crashes. The sources of src/store, as they are shipped, are linked so that each of their system calls comes
 * by here (the linker's --wrap): it is done, in a directory in memory, and noted. What a crash would have left of it is then
 * made in another directory.
 *
 *   calls.c    the system calls: done, noted, and failing where a test wants it
 *   record.c   what was done to the files of one directory, in order
 *   crash.c    what a crash leaves of it
 *   job.c      a job of a few ranks that takes snapshots
 *   main.c     wavecut-disk: many seeds, and what must hold after each crash
 *   errors.c   wavecut-disk-errors: each call fails in turn
 */
#ifndef WC_TESTS_DISK_DISK_H
#define WC_TESTS_DISK_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

enum { DISK_NODES = 5, DISK_NAME = 64, DISK_SECTOR = 512 };

/* The calls of the store that can fail: all of them are wrapped, see CMakeLists.txt and the script `calls`. */
#define DISK_CALLS(X)                                                                              \
    X(open)                                                                                        \
    X(openat)                                                                                      \
    X(close)                                                                                       \
    X(read)                                                                                        \
    X(write)                                                                                       \
    X(pread)                                                                                       \
    X(pwrite)                                                                                      \
    X(fsync)                                                                                       \
    X(ftruncate)                                                                                   \
    X(posix_fallocate)                                                                             \
    X(renameat)                                                                                    \
    X(renameat2)                                                                                   \
    X(linkat)                                                                                      \
    X(unlinkat)                                                                                    \
    X(mkdir)                                                                                       \
    X(stat)                                                                                        \
    X(fstat)                                                                                       \
    X(fstatat)                                                                                     \
    X(access)                                                                                      \
    X(faccessat)                                                                                   \
    X(fcntl)                                                                                       \
    X(fdopendir)                                                                                   \
    X(readdir)

typedef enum disk_call {
#define DISK_CALL(name) DISK_##name,
    DISK_CALLS(DISK_CALL)
#undef DISK_CALL
        DISK_CALL_COUNT
} disk_call;

const char *disk_call_name(disk_call call);

/* ---- random numbers: of a seed, always the same ---- */

uint64_t disk_random(uint64_t *state);
/* One of 0 … n - 1. */
uint64_t disk_below(uint64_t *state, uint64_t n);
bool disk_chance(uint64_t *state, double probability);

/* ---- what is done ---- */

typedef enum disk_kind {
    DISK_WRITE,
    DISK_SIZE, /* set to `size` */
    DISK_NAMED, /* in the directory: `gone` is no name any more, `came` is the file's; either may be "" */
    DISK_SYNCED,
    DISK_NOT_SYNCED /* an fsync that has failed: what it should have written is never tried again */
} disk_kind;

/* A file is one for as long as it exists, whatever its names. The directory is file 0. */
typedef struct disk_file {
    dev_t device;
    ino_t inode;
    unsigned char *base; /* what is on the disk from the beginning */
    uint64_t base_size;
    uint64_t size;        /* now */
    char name[DISK_NAME]; /* at the beginning; "": made since */
} disk_file;

typedef struct disk_operation {
    disk_kind kind;
    int node; /* the machine that did it: its fsync is for what it has written itself */
    size_t file;
    uint64_t at, bytes, size; /* of a write: where, and the file's size afterwards */
    unsigned char *data;
    char gone[DISK_NAME], came[DISK_NAME];
} disk_operation;

typedef struct disk_record {
    disk_file *files;
    size_t file_count;
    disk_operation *operations;
    size_t count;
} disk_record;

/* From now on what happens in `dir` is noted; what is in it is on the disk. */
void disk_watch(const char *dir);
void disk_forget(void);
const disk_record *disk_recorded(void);
size_t disk_operations(void);

/* The machine whose calls follow. */
void disk_on_node(int node);

/* Several threads of one writer may be at work at a time: what they have noted since `from` is put into one order. */
void disk_settle(size_t from);

/* For calls.c: after the call has succeeded. */
void disk_note_created(int dir, const char *name, int fd);
void disk_note_write(int fd, const void *data, size_t bytes, uint64_t at);
void disk_note_size(int fd);
/* The file called `name` is no longer `gone`, and is `came`; either may be "". */
void disk_note_named(int dir, const char *name, const char *gone, const char *came);
void disk_note_sync(int fd, bool done);

/* fstat, which neither fails nor counts. */
int disk_stat(int fd, struct stat *s);

/* ---- what fails ---- */

enum { DISK_SHORT = -1 }; /* instead of an errno: half of the bytes */

/* The call number `at`, from 0 on, of those of `only` (DISK_CALL_COUNT: any) fails with `cause`; `lasting`: the later ones too. */
void disk_fail(disk_call only, long at, int cause, bool lasting);
/* How many there have been since disk_fail, and which one has failed first (DISK_CALL_COUNT: none). */
long disk_mend(disk_call *failed);
bool disk_has_failed(disk_call call);

/* What the file system can't do. */
typedef enum disk_system {
    DISK_DOES_ALL,
    DISK_NO_RENAME2, /* as NFS */
    DISK_NO_LINK     /* nor hard links */
} disk_system;
void disk_be(disk_system system);

/* ---- the crash ---- */

/*
 * Makes in the empty directory `to` what may be on the disk if everything stops within the operation number `at`: what was synchronized
 * before, and of the rest what `seed` decides. `told` gets what that was.
 */
void disk_crash(size_t at, uint64_t seed, const char *to, char *told, size_t size);

/* Ends the program: the test itself can't go on. */
void disk_stop(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif
