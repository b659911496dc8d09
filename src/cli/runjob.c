/* SPDX-License-Identifier: BSD-3-Clause */
#include "runjob.h"

#include "runenv.h"
#include "runlog.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* How long orphans of the job have to end by themselves, and when waiting for them is pointless. */
static const double ORPHANS_S = 5, HOPELESS_S = 60;

static const int awaited[] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};

enum { AWAITED = sizeof awaited / sizeof *awaited };

double run_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static sigset_t awaited_set(void) {
    sigset_t set;
    sigemptyset(&set);
    for (int i = 0; i < AWAITED; i++)
        sigaddset(&set, awaited[i]);
    return set;
}

void run_job_prepare(run_job *job) {
    sigset_t set = awaited_set();
    *job = (run_job){0};
    signal(SIGCHLD, SIG_DFL); /* if it is ignored, nobody learns how a child has ended */
    sigprocmask(SIG_BLOCK, &set, &job->mask);
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

/* ---- start ---- */

/* In the child. The launcher ends its ranks when it gets SIGTERM, which it does if `wavecut run` is killed. */
static void become(const run_job *job, char **command, int told, pid_t parent) {
    prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
    if (getppid() != parent)
        _exit(1);
    sigprocmask(SIG_SETMASK, &job->mask, NULL);
    execvp(command[0], command);
    int cause = errno;
    ssize_t written = write(told, &cause, sizeof cause);
    (void)written;
    _exit(127);
}

static wc_status start(run_job *job, char **command, wc_error *error) {
    int ends[2], cause = 0;
    pid_t parent = getpid();
    if (pipe2(ends, O_CLOEXEC) < 0)
        return wc_error_set(error, WC_ERR_IO, "no pipe: %m");
    job->pid = fork();
    if (job->pid == 0)
        become(job, command, ends[1], parent);
    close(ends[1]);
    if (job->pid > 0 && TEMP_FAILURE_RETRY(read(ends[0], &cause, sizeof cause)) > 0) {
        waitpid(job->pid, NULL, 0);
        job->pid = 0;
    }
    close(ends[0]);
    if (job->pid < 0) {
        job->pid = 0;
        return wc_error_set(error, WC_ERR_IO, "no process can be made: %m");
    }
    if (cause) {
        errno = cause;
        return wc_error_set(error, cause == ENOENT ? WC_ERR_NOT_FOUND : WC_ERR_IO,
                            "%.200s can't be started: %m", command[0]);
    }
    job->started = run_now();
    return WC_OK;
}

wc_status run_job_start(run_job *job, char *const *command, wc_error *error) {
    char **all = run_env_command(command);
    if (!all)
        return wc_error_set(error, WC_ERR_MEMORY, "out of memory");
    fflush(NULL);
    wc_status status = start(job, all, error);
    free(all);
    return status;
}

/* ---- signals ---- */

int run_job_wait(double seconds, bool *from_terminal) {
    sigset_t set = awaited_set();
    siginfo_t info = {0};
    struct timespec t = {(time_t)seconds, (long)(1e9 * (seconds - (double)(time_t)seconds))};
    int signal = sigtimedwait(&set, &info, &t);
    *from_terminal = signal > 0 && info.si_code == SI_KERNEL;
    return signal > 0 ? signal : 0;
}

void run_job_signal(const run_job *job, int signal) {
    if (job->pid > 0)
        kill(job->pid, signal);
}

/* ---- end ---- */

bool run_job_ended(run_job *job) {
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        if (pid == job->pid) {
            job->pid = 0;
            job->status = status;
        }
    return job->pid == 0;
}

static pid_t parent_of(const char *pid) {
    char path[64], text[512];
    int parent = 0;
    snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
    FILE *f = fopen(path, "re");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    text[n] = '\0';
    const char *behind = strrchr(text, ')'); /* the name in front of it may hold anything */
    if (behind)
        sscanf(behind, ") %*c %d", &parent);
    if (f)
        fclose(f);
    return parent;
}

/* Theirs become ours, so that the next round gets them. */
static void kill_children(void) {
    DIR *processes = opendir("/proc");
    struct dirent *entry;
    while (processes && (entry = readdir(processes)))
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' &&
            parent_of(entry->d_name) == getpid())
            kill((pid_t)atol(entry->d_name), SIGKILL);
    if (processes)
        closedir(processes);
}

void run_job_clear(void) {
    const struct timespec pause = {0, 20000000};
    double begun = run_now();
    bool forced = false;
    pid_t pid;
    while ((pid = waitpid(-1, NULL, WNOHANG)) >= 0) {
        double waited = run_now() - begun;
        if (pid > 0)
            continue;
        if (waited > ORPHANS_S) {
            if (!forced)
                run_log("processes of the job are still there %.0f s after its end: killed",
                        ORPHANS_S);
            forced = true;
            kill_children();
        }
        if (waited > HOPELESS_S) {
            run_log("processes of the job can't be killed; not waited for any longer");
            return;
        }
        nanosleep(&pause, NULL);
    }
}

/* Launchers and shells end with 128 + the signal that has ended a process of theirs. */
void run_job_how(const run_job *job, char *text, size_t size) {
    int code = WIFEXITED(job->status) ? WEXITSTATUS(job->status) : 0;
    if (WIFSIGNALED(job->status))
        snprintf(text, size, "the launcher was ended by signal %d (%s)", WTERMSIG(job->status),
                 strsignal(WTERMSIG(job->status)));
    else if (code > 128 && code < 128 + 32)
        snprintf(text, size, "exit status %d, so a process was ended by signal %d (%s)", code,
                 code - 128, strsignal(code - 128));
    else
        snprintf(text, size, "exit status %d", code);
}
