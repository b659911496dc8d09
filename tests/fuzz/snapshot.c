/* SPDX-License-Identifier: BSD-3-Clause */
/* A file that says it is a snapshot: opened, read and verified. */
#include "contents.h"
#include "harness.h"
#include "surgery.h"

#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void finding(const char *what, const wc_error *error) {
    fprintf(stderr, "%s: status %d: %s\n", what, error->status, error->text);
    abort();
}

/* An error is one that a reader may return, and is fit for a terminal once it is escaped. */
static void judge(wc_status status, const wc_error *error) {
    if (status == WC_OK)
        return;
    if (status != error->status || !error->text[0] ||
        (status != WC_ERR_DAMAGED && status != WC_ERR_UNSUPPORTED && status != WC_ERR_MEMORY))
        finding("an error that makes no sense", error);
    char *text = cli_escape(error->text);
    for (const char *c = text; c && *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            finding("not escaped", error);
    free(text);
}

static int file_of(const uint8_t *data, size_t size) {
    static int fd = -1;
    if (fd < 0)
        fd = memfd_create("snapshot", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, 0) < 0 || pwrite(fd, data, size, 0) != (ssize_t)size)
        abort();
    return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char path[64];
    uint64_t digest;
    wc_error reading = {WC_OK, ""}, verifying = {WC_OK, ""};
    snprintf(path, sizeof path, "/proc/self/fd/%d", file_of(data, size));
    wc_status read_in = contents_read(path, &digest, &reading);
    wc_status verified = contents_verify(path, &verifying);
    judge(read_in, &reading);
    judge(verified, &verifying);
    if (verified == WC_OK && read_in != WC_OK)
        finding("verified, but can't be read", &reading);
    return 0;
}

#ifdef WC_LIBFUZZER
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t room, unsigned seed) {
    return seed % 16 ? surgery_mutate(data, size, room, seed) : LLVMFuzzerMutate(data, size, room);
}
#endif
