/* SPDX-License-Identifier: BSD-3-Clause */
#include "history.h"

#include "directory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char NAME[] = "history";

/* What is older than fits is forgotten. */
enum { MOST_BYTES = 1 << 15 };

/* Of this user: what others say doesn't count. -1: there is none, or it can't be opened (errno). */
static int open_own(int dir, int flags) {
    struct stat s;
    int fd = TEMP_FAILURE_RETRY(
        openat(dir, NAME, O_RDWR | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | flags, 0666));
    if (fd < 0)
        return -1;
    if (fstat(fd, &s) == 0 && S_ISREG(s.st_mode) && s.st_uid == geteuid())
        return fd;
    close(fd);
    errno = EPERM;
    return -1;
}

static bool append(int fd, const char *what, time_t when) {
    char line[64], text[32];
    struct tm utc;
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&when, &utc));
    int length = snprintf(line, sizeof line, "%s %s\n", what, text);
    return TEMP_FAILURE_RETRY(write(fd, line, (size_t)length)) == length;
}

/* ---- reading ---- */

typedef struct sum {
    wc_history history;
    bool running;
    time_t started;
} sum;

static void add_line(sum *s, const char *line) {
    char what[8];
    struct tm utc = {0};
    int at = 0;
    if (sscanf(line, "%7s %n", what, &at) != 1 || !at ||
        !strptime(line + at, "%Y-%m-%dT%H:%M:%SZ", &utc))
        return; /* a file that somebody has edited */
    time_t when = timegm(&utc);
    bool lost = strcmp(what, "lost") == 0;
    if (s->running && (lost || strcmp(what, "stop") == 0)) {
        s->running = false;
        s->history.failures += lost;
        s->history.up_s += when > s->started ? (double)(when - s->started) : 0;
    } else if (strcmp(what, "start") == 0) {
        s->running = true;
        s->started = when;
    }
}

static sum read_lines(int fd, off_t size) {
    static char text[MOST_BYTES + 1];
    sum s = {.running = false};
    ssize_t n = pread(fd, text, MOST_BYTES, size > MOST_BYTES ? size - MOST_BYTES : 0);
    text[n > 0 ? n : 0] = '\0';
    char *rest = text, *line;
    while ((line = strsep(&rest, "\n")))
        add_line(&s, line);
    return s;
}

/* ---- calls ---- */

static bool start(int fd, wc_history *before) {
    struct stat file;
    if (fstat(fd, &file) < 0)
        return false;
    sum s = read_lines(fd, file.st_size);
    if (s.running) { /* its end is told by nobody else */
        time_t seen = file.st_mtime;
        if (!append(fd, "lost", seen))
            return false;
        s.history.failures++;
        s.history.up_s += seen > s.started ? (double)(seen - s.started) : 0;
    }
    *before = s.history;
    return append(fd, "start", time(NULL));
}

wc_status wc_history_start(const char *dir, wc_history *before, wc_error *error) {
    int directory;
    wc_status status = wc_directory_open(dir, &directory, error);
    if (status != WC_OK)
        return status;
    int fd = open_own(directory, O_CREAT);
    if (fd < 0 || !start(fd, before))
        status = wc_error_set(error, WC_ERR_IO, "%.400s/%s can't be written: %m", dir, NAME);
    if (fd >= 0)
        close(fd);
    close(directory);
    return status;
}

/* -1: there is none. */
static int open_history(const char *dir) {
    int directory;
    if (wc_directory_open(dir, &directory, NULL) != WC_OK)
        return -1;
    int fd = open_own(directory, 0);
    close(directory);
    return fd;
}

void wc_history_seen(const char *dir) {
    int fd = open_history(dir);
    if (fd < 0)
        return;
    futimens(fd, NULL);
    close(fd);
}

wc_status wc_history_stop(const char *dir, wc_error *error) {
    struct stat file;
    wc_status status = WC_OK;
    int fd = open_history(dir);
    if (fd < 0)
        return WC_OK;
    if (fstat(fd, &file) == 0 && read_lines(fd, file.st_size).running &&
        !append(fd, "stop", time(NULL)))
        status = wc_error_set(error, WC_ERR_IO, "%.400s/%s can't be written: %m", dir, NAME);
    close(fd);
    return status;
}
