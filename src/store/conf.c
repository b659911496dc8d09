/* SPDX-License-Identifier: BSD-3-Clause */
#include "conf.h"

#include "directory.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* More is no settings file. */
enum { MOST_BYTES = 1 << 16 };

/* A pipe must not hold the job up. */
static const int FLAGS = O_RDONLY | O_NONBLOCK | O_CLOEXEC;

static wc_status read_text(int fd, const char *path, char **text, wc_error *error) {
    size_t length = 0;
    ssize_t n;
    char *read_so_far = malloc(MOST_BYTES + 1);
    if (!read_so_far)
        return wc_error_set(error, WC_ERR_MEMORY, "no memory for %s", path);
    while ((n = TEMP_FAILURE_RETRY(read(fd, read_so_far + length, MOST_BYTES + 1 - length))) > 0)
        length += (size_t)n;
    wc_status status = WC_OK;
    if (n < 0)
        status = wc_error_set(error, WC_ERR_IO, "%s can't be read: %m", path);
    else if (length > MOST_BYTES || memchr(read_so_far, '\0', length))
        status = wc_error_set(error, WC_ERR_SETTING,
                              "%s is not a settings file: lines like \"interval = 600\"", path);
    if (status != WC_OK) {
        free(read_so_far);
        return status;
    }
    read_so_far[length] = '\0';
    *text = read_so_far;
    return WC_OK;
}

static wc_status read_file(int fd, const char *path, char **text, wc_error *error) {
    struct stat s;
    if (fstat(fd, &s) < 0)
        return wc_error_set(error, WC_ERR_IO, "%s can't be read: %m", path);
    if (!S_ISREG(s.st_mode))
        return wc_error_set(error, WC_ERR_SETTING, "%s is not a file, so no settings file", path);
    return read_text(fd, path, text, error);
}

wc_status wc_conf_read(const char *path, char **text, wc_error *error) {
    int fd = TEMP_FAILURE_RETRY(open(path, FLAGS));
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return wc_error_set(error, WC_ERR_NOT_FOUND,
                            "WAVECUT_CONFIG: there is no settings file \"%.400s\"", path);
    if (fd < 0)
        return wc_error_set(error, WC_ERR_IO, "WAVECUT_CONFIG: %.400s can't be read: %m", path);
    wc_status status = read_file(fd, path, text, error);
    close(fd);
    return status;
}

static bool counts(int directory, int fd) {
    struct stat s;
    return fstat(fd, &s) == 0 && wc_directory_vouches(directory, &s);
}

wc_status wc_conf_read_in(const char *dir, char **text, bool *passed_over, wc_error *error) {
    int directory;
    char path[PATH_MAX + sizeof WC_CONF_NAME];
    *text = NULL;
    *passed_over = false;
    if (wc_directory_open(dir, &directory, NULL) != WC_OK)
        return WC_OK; /* what is wrong with it is said where it is needed */
    snprintf(path, sizeof path, "%s/" WC_CONF_NAME, dir);
    int fd = TEMP_FAILURE_RETRY(openat(directory, WC_CONF_NAME, FLAGS | O_NOFOLLOW));
    wc_status status = WC_OK;
    if (fd >= 0) {
        *passed_over = !counts(directory, fd);
        if (!*passed_over)
            status = read_file(fd, path, text, error);
        close(fd);
    } else if (errno == ELOOP) {
        status = wc_error_set(error, WC_ERR_SETTING,
                              "%.400s is a link, which is not followed: WAVECUT_CONFIG may name "
                              "the file that it points to",
                              path);
    } else if (errno != ENOENT) {
        status = wc_error_set(error, WC_ERR_IO, "%.400s can't be read: %m", path);
    }
    close(directory);
    return status;
}
