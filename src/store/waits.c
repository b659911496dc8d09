/* SPDX-License-Identifier: BSD-3-Clause */
#include "waits.h"

#include "directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char ASK[] = "ask";

/* An answer is short, unless a rank has used very many tags. */
enum { MOST_BYTES = 64 << 20, NAME_BYTES = 40 };

static wc_status path_of(const char *dir, char path[PATH_MAX], wc_error *error) {
    int n = snprintf(path, PATH_MAX, "%s/waits", dir);
    return n < PATH_MAX ? WC_OK : wc_error_set(error, WC_ERR_IO, "%.80s...: too long", dir);
}

static wc_status open_waits(const char *dir, int *fd, wc_error *error) {
    char path[PATH_MAX];
    wc_status status = path_of(dir, path, error);
    return status == WC_OK ? wc_directory_open(path, fd, error) : status;
}

static void answer_name(int rank, bool partial, char name[NAME_BYTES]) {
    snprintf(name, NAME_BYTES, "rank-%d.json%s", rank, partial ? ".partial" : "");
}

static bool is_answer(const char *name) {
    int rank, end = 0;
    char expected[NAME_BYTES];
    if (sscanf(name, "rank-%d.json%n", &rank, &end) != 1 || !end)
        return false;
    answer_name(rank, strcmp(name + end, ".partial") == 0, expected);
    return strcmp(name, expected) == 0;
}

/* Not the question: somebody may be asking already. */
static wc_status clear(const char *path, wc_error *error) {
    DIR *stream = opendir(path);
    if (!stream)
        return wc_error_set(error, WC_ERR_IO, "directory %s can't be opened: %m", path);
    wc_status status = WC_OK;
    struct dirent *entry;
    while ((entry = readdir(stream)))
        if (is_answer(entry->d_name) && unlinkat(dirfd(stream), entry->d_name, 0) < 0 &&
            errno != ENOENT)
            status =
                wc_error_set(error, WC_ERR_IO, "%s/%s can't be removed: %m", path, entry->d_name);
    closedir(stream);
    return status;
}

wc_status wc_waits_prepare(const char *dir, wc_error *error) {
    char path[PATH_MAX];
    wc_status status = path_of(dir, path, error);
    if (status != WC_OK)
        return status;
    status = wc_store_prepare_dir(path, error);
    return status == WC_OK ? clear(path, error) : status;
}

/* ---- the job's side ---- */

uint64_t wc_waits_asked(const char *dir) {
    int directory;
    if (open_waits(dir, &directory, NULL) != WC_OK)
        return 0;
    struct stat file;
    uint64_t number = 0;
    char text[32], end;
    int fd = openat(directory, ASK, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    bool counts = fd >= 0 && fstat(fd, &file) == 0 && S_ISREG(file.st_mode) &&
                  (wc_directory_vouches(directory, &file) || file.st_uid == 0);
    ssize_t n = counts ? read(fd, text, sizeof text - 1) : -1;
    text[n > 0 ? n : 0] = '\0';
    if (sscanf(text, "ask %16" SCNx64 "%c", &number, &end) != 2 || end != '\n')
        number = 0;
    if (fd >= 0)
        close(fd);
    close(directory);
    return number;
}

wc_status wc_waits_answer(const char *dir, int rank, const char *text, size_t length,
                          wc_error *error) {
    int directory;
    char name[NAME_BYTES];
    wc_status status = open_waits(dir, &directory, error);
    if (status != WC_OK)
        return status;
    answer_name(rank, false, name);
    if (!wc_directory_put(directory, name, text, length))
        status = wc_error_set(error, WC_ERR_IO, "%s/waits/%s can't be written: %m", dir, name);
    close(directory);
    return status;
}

/* ---- the asker's side ---- */

wc_status wc_waits_open(const char *dir, int *fd, wc_error *error) {
    int directory;
    wc_error none;
    wc_status status = wc_directory_open(dir, &directory, error);
    if (status != WC_OK)
        return status;
    close(directory);
    status = open_waits(dir, &directory, &none);
    if (status == WC_ERR_NOT_FOUND)
        return wc_error_set(error, WC_ERR_NOT_FOUND,
                            "no watched job has been started in %s: preload the library and set "
                            "WAVECUT_WATCH to this directory",
                            dir);
    if (status != WC_OK) {
        *error = none;
        return status;
    }
    *fd = openat(directory, ASK, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
    close(directory);
    if (*fd < 0)
        return wc_error_set(error, WC_ERR_IO, "%s/waits/%s can't be written: %m", dir, ASK);
    if (wc_file_lock(*fd))
        return WC_OK;
    close(*fd);
    return wc_error_set(error, WC_ERR_IO, "somebody else is asking in %s: try again", dir);
}

wc_status wc_waits_ask(int fd, uint64_t number, wc_error *error) {
    char text[32];
    int n = snprintf(text, sizeof text, "ask %016" PRIx64 "\n", number);
    if (pwrite(fd, text, (size_t)n, 0) == n)
        return WC_OK;
    return wc_error_set(error, WC_ERR_IO, "the question can't be written: %m");
}

wc_status wc_waits_read(const char *dir, int rank, char **text, wc_error *error) {
    int directory;
    char name[NAME_BYTES], path[PATH_MAX];
    wc_status status = open_waits(dir, &directory, error);
    if (status != WC_OK)
        return status;
    answer_name(rank, false, name);
    status = path_of(dir, path, error);
    if (status == WC_OK)
        status = wc_directory_get(directory, name, path, MOST_BYTES, text, error);
    close(directory);
    return status;
}
