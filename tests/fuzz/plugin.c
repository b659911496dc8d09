/* SPDX-License-Identifier: BSD-3-Clause */
/* A filter plugin for HDF5 that leaves a trace when it is loaded: the file that WC_PLUGIN_TRACE names. */
#include <H5PLextern.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static size_t pass(unsigned flags, size_t count, const unsigned *values, size_t bytes, size_t *room,
                   void **buffer) {
    (void)flags;
    (void)count;
    (void)values;
    (void)room;
    (void)buffer;
    return bytes;
}

static const H5Z_class2_t filter = {H5Z_CLASS_T_VERS, 32100, 1,    1,
                                    "wavecut-test",   NULL,  NULL, pass};

static void __attribute__((constructor)) leave_trace(void) {
    const char *path = getenv("WC_PLUGIN_TRACE");
    int fd = path ? open(path, O_WRONLY | O_CREAT, 0600) : -1;
    if (fd >= 0)
        close(fd);
}

H5PL_type_t H5PLget_plugin_type(void) {
    return H5PL_TYPE_FILTER;
}

const void *H5PLget_plugin_info(void) {
    return &filter;
}
