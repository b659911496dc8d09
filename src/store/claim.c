/* SPDX-License-Identifier: BSD-3-Clause */
#include "claim.h"

#include "directory.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char LOCK[] = "run.lock";

typedef enum wc_lock { LOCK_OURS, LOCK_THEIRS, LOCK_UNKNOWN } wc_lock;

/* Of the open file description, as wc_file_lock. */
static wc_lock try_lock(int fd, bool only_look) {
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, only_look ? F_OFD_GETLK : F_OFD_SETLK, &lock) == 0)
        return only_look && lock.l_type != F_UNLCK ? LOCK_THEIRS : LOCK_OURS;
    return errno == EAGAIN || errno == EACCES ? LOCK_THEIRS : LOCK_UNKNOWN;
}

static void read_owner(int fd, wc_claim *claim) {
    char text[256];
    long long since;
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    if (sscanf(text, "host %63s pid %ld since %lld", claim->host, &claim->pid, &since) == 3)
        claim->since = (double)since;
    else
        claim->pid = 0;
}

/* Where locks say nothing. */
static bool may_be_alive(const wc_claim *claim) {
    char here[WC_HOST_BYTES] = "";
    gethostname(here, sizeof here - 1);
    if (!claim->pid)
        return false;
    return strcmp(claim->host, here) != 0 || kill((pid_t)claim->pid, 0) == 0 || errno == EPERM;
}

/* Not so important that a full disk should hinder the job. */
static void write_owner(wc_claim *claim) {
    char text[256];
    claim->pid = getpid();
    claim->since = (double)time(NULL);
    claim->host[0] = '\0';
    gethostname(claim->host, sizeof claim->host - 1);
    int n = snprintf(text, sizeof text, "host %s\npid %ld\nsince %lld\n", claim->host, claim->pid,
                     (long long)claim->since);
    bool written = ftruncate(claim->fd, 0) == 0 && pwrite(claim->fd, text, (size_t)n, 0) == n;
    (void)written;
}

static wc_status open_lock(const char *dir, int flags, int *fd, wc_error *error) {
    int directory;
    struct stat s;
    wc_status status = wc_directory_open(dir, &directory, error);
    if (status != WC_OK)
        return status;
    *fd = (int)TEMP_FAILURE_RETRY(
        openat(directory, LOCK, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0666));
    int cause = errno;
    close(directory);
    errno = cause;
    if (*fd < 0)
        return wc_error_set(error, errno == ENOENT ? WC_ERR_NOT_FOUND : WC_ERR_IO, "%s/%s: %m%s",
                            dir, LOCK, wc_error_advice(errno));
    if (fstat(*fd, &s) == 0 && S_ISREG(s.st_mode))
        return WC_OK;
    close(*fd);
    return wc_error_set(error, WC_ERR_IO, "%s/%s is no file", dir, LOCK);
}

wc_status wc_claim_take(const char *dir, wc_claim *claim, wc_error *error) {
    *claim = (wc_claim){.fd = -1};
    int fd;
    wc_status status = open_lock(dir, O_RDWR | O_CREAT, &fd, error);
    if (status != WC_OK)
        return status;
    wc_lock lock = try_lock(fd, false);
    read_owner(fd, claim);
    if (lock == LOCK_THEIRS || (lock == LOCK_UNKNOWN && may_be_alive(claim))) {
        close(fd);
        return WC_OK;
    }
    claim->fd = fd;
    write_owner(claim);
    return WC_OK;
}

/* The file stays: another one may have opened it already, and would hold a lock on a file without a name. */
void wc_claim_give_back(wc_claim *claim) {
    if (claim->fd < 0)
        return;
    bool emptied = ftruncate(claim->fd, 0) == 0; /* if not, the lock says that nobody is here */
    (void)emptied;
    close(claim->fd);
    claim->fd = -1;
}

wc_status wc_claim_look(const char *dir, wc_claim *claim, wc_error *error) {
    int fd;
    wc_error found = {WC_OK, ""};
    *claim = (wc_claim){.fd = -1};
    wc_status status = open_lock(dir, O_RDONLY, &fd, &found);
    if (status != WC_OK)
        return status == WC_ERR_NOT_FOUND ? WC_OK : wc_error_set(error, status, "%s", found.text);
    wc_lock lock = try_lock(fd, true);
    read_owner(fd, claim);
    close(fd);
    if (lock == LOCK_OURS || (lock == LOCK_UNKNOWN && !may_be_alive(claim)))
        claim->pid = 0;
    return WC_OK;
}
