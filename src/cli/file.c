/* SPDX-License-Identifier: BSD-3-Clause */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What goes when a signal ends the command. */
static const char *volatile unfinished;

static void clean_up(int number) {
    if (unfinished)
        unlink(unfinished);
    signal(number, SIG_DFL);
    raise(number);
}

static void catch_signals(void) {
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction before;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler == SIG_DFL)
            signal(numbers[i], clean_up);
}

static wc_status is_there(const cli_file *f, wc_error *error) {
    return wc_error_set(error, WC_ERR_ARGUMENT, "%.400s is there already; --force replaces it",
                        f->path);
}

/* A device, a pipe or a link is never replaced: /dev/null least of all. */
static wc_status check_place(const cli_file *f, wc_error *error) {
    struct stat s;
    if (lstat(f->path, &s) < 0)
        return WC_OK;
    if (!S_ISREG(s.st_mode))
        return wc_error_set(error, WC_ERR_ARGUMENT,
                            "%.400s is no regular file, and isn't replaced; standard output goes "
                            "anywhere",
                            f->path);
    return f->force ? WC_OK : is_there(f, error);
}

static wc_status use_standard_output(cli_file *f, wc_error *error) {
    f->fd = STDOUT_FILENO;
    if (!isatty(f->fd))
        return WC_OK;
    return wc_error_set(error, WC_ERR_ARGUMENT,
                        "this would write bytes to the terminal: name a file (--output), or send "
                        "it somewhere");
}

wc_status cli_file_create(cli_file *f, const char *path, bool force, wc_error *error) {
    *f = (cli_file){.fd = -1, .force = force, .path = path};
    if (!path)
        return use_standard_output(f, error);
    if (check_place(f, error) != WC_OK)
        return error->status;
    int length = snprintf(f->partial, sizeof f->partial, "%s.partial-%ld", path, (long)getpid());
    if (length >= (int)sizeof f->partial)
        return wc_error_set(error, WC_ERR_IO, "%.80s...: the name is too long", path);
    f->fd = open(f->partial, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (f->fd < 0)
        return wc_error_set(error, WC_ERR_IO, "%.400s can't be made: %m%s", f->partial,
                            wc_error_advice(errno));
    unfinished = f->partial;
    catch_signals();
    return WC_OK;
}

wc_status cli_file_write(cli_file *f, const void *from, size_t bytes, wc_error *error) {
    const char *at = from;
    while (bytes) {
        ssize_t n = TEMP_FAILURE_RETRY(write(f->fd, at, bytes));
        if (n < 0)
            return wc_error_set(error, WC_ERR_IO, "%.400s can't be written: %m%s",
                                f->path ? f->path : "standard output", wc_error_advice(errno));
        at += n;
        bytes -= (size_t)n;
    }
    return WC_OK;
}

static wc_status sync_directory(const cli_file *f, wc_error *error) {
    char copy[PATH_MAX];
    snprintf(copy, sizeof copy, "%s", f->path);
    int dir = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool durable = dir >= 0 && fsync(dir) == 0;
    wc_status status =
        durable ? WC_OK
                : wc_error_set(error, WC_ERR_IO,
                               "the directory of %.400s can't be synchronized: %m", f->path);
    if (dir >= 0)
        close(dir);
    return status;
}

/* Where the file system can't rename without replacing, a link does it. */
static int give_name(const cli_file *f) {
    if (f->force)
        return rename(f->partial, f->path);
    if (renameat2(AT_FDCWD, f->partial, AT_FDCWD, f->path, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS && errno != ENOTSUP)
        return -1;
    return link(f->partial, f->path) == 0 ? unlink(f->partial) : -1;
}

wc_status cli_file_commit(cli_file *f, wc_error *error) {
    if (!f->path)
        return WC_OK;
    bool written = fsync(f->fd) == 0;
    written &= close(f->fd) == 0;
    f->fd = -1;
    wc_status status = WC_OK;
    if (!written)
        status = wc_error_set(error, WC_ERR_IO, "%.400s can't be written: %m%s", f->path,
                              wc_error_advice(errno));
    else if (give_name(f) < 0)
        status = errno == EEXIST
                     ? is_there(f, error)
                     : wc_error_set(error, WC_ERR_IO, "%.400s can't be made: %m", f->path);
    if (status != WC_OK) {
        cli_file_abandon(f);
        return status;
    }
    unfinished = NULL;
    return sync_directory(f, error);
}

void cli_file_abandon(cli_file *f) {
    if (!f->path)
        return;
    if (f->fd >= 0)
        close(f->fd);
    f->fd = -1;
    if (unfinished)
        unlink(f->partial);
    unfinished = NULL;
}
