/* SPDX-License-Identifier: BSD-3-Clause */
#include "bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

int wc_direct_open(const char *path, int fd, int flags) {
    struct stat a, b;
    int direct = TEMP_FAILURE_RETRY(open(path, flags | O_CLOEXEC | O_DIRECT));
    if (direct >= 0 && (fstat(fd, &a) < 0 || fstat(direct, &b) < 0 || a.st_dev != b.st_dev ||
                        a.st_ino != b.st_ino)) {
        close(direct);
        direct = -1;
    }
    return direct;
}

wc_status wc_read_all(int fd, const char *path, void *to, size_t bytes, uint64_t offset,
                      wc_error *error) {
    char *at = to;
    while (bytes) {
        ssize_t n = pread(fd, at, bytes, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return wc_error_set(error, WC_ERR_IO, "%.300s can't be read at %llu: %m", path,
                                (unsigned long long)offset);
        if (n == 0)
            return wc_error_set(error, WC_ERR_DAMAGED, "%.300s is truncated: it ends at %llu", path,
                                (unsigned long long)offset);
        at += n;
        offset += (uint64_t)n;
        bytes -= (size_t)n;
    }
    return WC_OK;
}

/* How many bytes of these pages have been read. What is refused or isn't there, a plain read may get, or knows why not. */
static size_t read_pages(int direct, char *to, size_t bytes, uint64_t offset) {
    size_t done = 0;
    while (done < bytes) {
        ssize_t n =
            TEMP_FAILURE_RETRY(pread(direct, to + done, bytes - done, (off_t)(offset + done)));
        if (n <= 0 || n % WC_DIRECT_PAGE)
            break;
        done += (size_t)n;
    }
    return done;
}

wc_status wc_read_input(const wc_input *input, void *to, size_t bytes, uint64_t offset,
                        wc_error *error) {
    size_t head = (size_t)(-offset % WC_DIRECT_PAGE), done = 0;
    bool congruent = ((uintptr_t)to - offset) % WC_DIRECT_PAGE == 0;
    if (input->direct >= 0 && congruent && bytes >= head + WC_DIRECT_LEAST) {
        size_t pages = (bytes - head) / WC_DIRECT_PAGE * WC_DIRECT_PAGE;
        if (wc_read_all(input->fd, input->path, to, head, offset, error) != WC_OK)
            return error->status;
        done = head + read_pages(input->direct, (char *)to + head, pages, offset + head);
    }
    return wc_read_all(input->fd, input->path, (char *)to + done, bytes - done, offset + done,
                       error);
}

bool wc_write_all(int fd, const void *from, size_t bytes, uint64_t offset) {
    const char *at = from;
    while (bytes) {
        ssize_t n = TEMP_FAILURE_RETRY(pwrite(fd, at, bytes, (off_t)offset));
        if (n == 0)
            errno = EIO;
        if (n <= 0)
            return false;
        at += n;
        offset += (uint64_t)n;
        bytes -= (size_t)n;
    }
    return true;
}
