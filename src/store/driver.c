/* SPDX-License-Identifier: BSD-3-Clause */
#include "driver.h"

#if H5_VERSION_GE(1, 13, 0)
#include <H5FDdevelop.h>
#endif

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct wc_driver_file {
    H5FD_t base; /* HDF5's, must be first */
    wc_driver *driver;
    haddr_t allocated, end; /* of what HDF5 has given out; of the file as HDF5 knows it */
} wc_driver_file;

static wc_driver_file *file_of(const H5FD_t *base) {
    return (wc_driver_file *)(uintptr_t)base;
}

static void keep_failure(wc_driver *driver, int cause) {
    if (!driver->failure)
        driver->failure = cause;
}

static H5FD_t *open_file(const char *name, unsigned flags, hid_t access, haddr_t most) {
    wc_driver *const *driver = H5Pget_driver_info(access);
    struct stat s;
    (void)name;
    (void)flags;
    (void)most;
    if (!driver)
        return NULL;
    if (fstat((*driver)->fd, &s) < 0) {
        keep_failure(*driver, errno);
        return NULL;
    }
    wc_driver_file *file = calloc(1, sizeof *file);
    if (!file)
        return NULL;
    file->driver = *driver;
    file->end = (haddr_t)s.st_size;
    return &file->base;
}

static herr_t close_file(H5FD_t *base) {
    free(file_of(base));
    return 0;
}

/* HDF5 asks once without a file. Where it reads, metadata aren't accumulated: HDF5 1.10 crashes there when an address is
 * beyond all files. */
static herr_t query(const H5FD_t *base, unsigned long *flags) {
    *flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_AGGREGATE_SMALLDATA;
    if (!base || !file_of(base)->driver->discard)
        *flags |= H5FD_FEAT_ACCUMULATE_METADATA;
    return 0;
}

/* HDF5 asks for this before it takes space behind it. What is left out is lost. */
static haddr_t get_allocated(const H5FD_t *base, H5FD_mem_t type) {
    wc_driver_file *file = file_of(base);
    uint64_t step = file->driver->step;
    if (type == H5FD_MEM_DRAW && step) {
        file->allocated = (file->allocated + step - 1) / step * step;
        file->driver->step = 0;
    }
    return file->allocated;
}

static herr_t set_allocated(H5FD_t *base, H5FD_mem_t type, haddr_t to) {
    (void)type;
    file_of(base)->allocated = to;
    return 0;
}

static haddr_t get_end(const H5FD_t *base, H5FD_mem_t type) {
    (void)type;
    return file_of(base)->end;
}

/* What lies behind the end reads as zeros, as HDF5 wants it; but not where no file can be, nor more than a file has that is only
 * read. A damaged address or size is no failure of the disk, and must not fill the memory. */
static herr_t read_file(H5FD_t *base, H5FD_mem_t type, hid_t transfer, haddr_t from, size_t size,
                        void *to) {
    const wc_driver_file *file = file_of(base);
    int fd = file->driver->fd;
    char *at = to;
    (void)type;
    (void)transfer;
    if (size > INT64_MAX || from > INT64_MAX - size || (file->driver->discard && size > file->end))
        return -1;
    while (size) {
        ssize_t n = pread(fd, at, size, (off_t)from);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            keep_failure(file_of(base)->driver, errno);
            return -1;
        }
        if (n == 0) {
            memset(at, 0, size);
            return 0;
        }
        at += n;
        from += (haddr_t)n;
        size -= (size_t)n;
    }
    return 0;
}

static herr_t write_file(H5FD_t *base, H5FD_mem_t type, hid_t transfer, haddr_t to, size_t size,
                         const void *from) {
    wc_driver_file *file = file_of(base);
    const char *at = from;
    (void)type;
    (void)transfer;
    if (to + size > file->end)
        file->end = to + size;
    while (size && !file->driver->discard) {
        ssize_t n = pwrite(file->driver->fd, at, size, (off_t)to);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            keep_failure(file->driver, n < 0 ? errno : EIO);
            return 0;
        }
        at += n;
        to += (haddr_t)n;
        size -= (size_t)n;
    }
    return 0;
}

static herr_t truncate_file(H5FD_t *base, hid_t transfer, hbool_t closing) {
    wc_driver_file *file = file_of(base);
    (void)transfer;
    (void)closing;
    if (!file->driver->discard &&
        TEMP_FAILURE_RETRY(ftruncate(file->driver->fd, (off_t)file->allocated)) < 0)
        keep_failure(file->driver, errno);
    file->end = file->allocated;
    return 0;
}

static const H5FD_class_t class = {
#if H5_VERSION_GE(1, 13, 0)
    .version = H5FD_CLASS_VERSION,
    .value = (H5FD_class_value_t)407, /* of the range for experiments: it is in no file */
#endif
    .name = "wavecut",
    .maxaddr = INT64_MAX,
    .fc_degree = H5F_CLOSE_STRONG,
    .fapl_size = sizeof(wc_driver *),
    .open = open_file,
    .close = close_file,
    .query = query,
    .get_eoa = get_allocated,
    .set_eoa = set_allocated,
    .get_eof = get_end,
    .read = read_file,
    .write = write_file,
    .truncate = truncate_file,
    .fl_map = H5FD_FLMAP_DICHOTOMY};

/*
 * Registered once and for all: HDF5 1.10 looks at a file's driver after it has given up the file's
 * hold on it. Again only if the program has closed an HDF5 that it shares with us.
 */
static hid_t registered(void) {
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static hid_t id = -1;
    pthread_mutex_lock(&lock);
    if (id < 0 || H5Iget_type(id) != H5I_VFL)
        id = H5FDregister(&class);
    hid_t result = id;
    pthread_mutex_unlock(&lock);
    return result;
}

bool wc_driver_set(hid_t access, wc_driver *driver) {
    hid_t id = registered();
    return id >= 0 && H5Pset_driver(access, id, &driver) >= 0;
}
