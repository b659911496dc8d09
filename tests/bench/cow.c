/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Why records copy, rather than leave it to the first write of each page: for each way how long the program is kept from working, and
 * how long its next pass over the data takes, which writes all of it.
 *
 *   copy      into memory that was touched before
 *   fork      the child has the pages, and the parent copies what it writes
 *   mprotect  a handler of SIGSEGV copies 64 KiB, and makes them writable
 *   uffd      a thread copies 64 KiB for each fault that userfaultfd tells of
 *
 *   cow MIB REPETITIONS
 * prints a line for each repetition, in milliseconds: pass without anything, then pause and pass of each way. nan: the kernel refuses.
 */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { STEP = 64 << 10, HUGE_PAGE = 2 << 20 };

static char *data, *copy;
static size_t bytes;
static int uffd = -1;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static char *map(void) {
    char *memory =
        mmap(NULL, bytes + HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        exit(1);
    memory += -(uintptr_t)memory % HUGE_PAGE;
    madvise(memory, bytes, MADV_HUGEPAGE);
    memset(memory, 1, bytes);
    return memory;
}

static double pass(void) {
    double start = now();
    for (size_t i = 0; i < bytes; i += sizeof(uint64_t))
        ++*(uint64_t *)(void *)(data + i);
    return now() - start;
}

static size_t step_of(const void *address) {
    return (size_t)((const char *)address - data) / STEP * STEP;
}

static void tell(double pause, double next) {
    printf(" %.2f %.2f", pause, next);
}

static void by_copy(void) {
    double start = now();
    memcpy(copy, data, bytes);
    double pause = now() - start;
    tell(pause, pass());
}

static void by_fork(void) {
    double start = now();
    pid_t child = fork();
    if (child == 0) {
        pause(); /* it would write */
        _exit(0);
    }
    double pause = now() - start, next = pass();
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    tell(pause, next);
}

static void on_fault(int number, siginfo_t *info, void *context) {
    (void)number;
    (void)context;
    size_t at = step_of(info->si_addr);
    memcpy(copy + at, data + at, STEP);
    mprotect(data + at, STEP, PROT_READ | PROT_WRITE);
}

static void by_mprotect(void) {
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO}, before;
    sigaction(SIGSEGV, &action, &before);
    double start = now();
    mprotect(data, bytes, PROT_READ);
    double pause = now() - start, next = pass();
    sigaction(SIGSEGV, &before, NULL);
    tell(pause, next);
}

static int protect(size_t at, size_t count, bool on) {
    struct uffdio_writeprotect wp = {.range = {(uintptr_t)data + at, count},
                                     .mode = on ? UFFDIO_WRITEPROTECT_MODE_WP : 0};
    return ioctl(uffd, UFFDIO_WRITEPROTECT, &wp);
}

static void *serve(void *unused) {
    struct uffd_msg m;
    while (read(uffd, &m, sizeof m) == sizeof m) {
        size_t at = (size_t)(m.arg.pagefault.address - (uintptr_t)data) / STEP * STEP;
        memcpy(copy + at, data + at, STEP);
        protect(at, STEP, false);
    }
    return unused;
}

static void begin_uffd(void) {
    pthread_t thread;
    struct uffdio_api api = {.api = UFFD_API, .features = UFFD_FEATURE_PAGEFAULT_FLAG_WP};
    struct uffdio_register range = {.range = {(uintptr_t)data, bytes},
                                    .mode = UFFDIO_REGISTER_MODE_WP};
    uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
    if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api) < 0 || ioctl(uffd, UFFDIO_REGISTER, &range) < 0 ||
        pthread_create(&thread, NULL, serve, NULL) != 0)
        uffd = -1;
}

static void by_uffd(void) {
    double start = now();
    if (uffd < 0 || protect(0, bytes, true) < 0) {
        tell(NAN, NAN);
        return;
    }
    double pause = now() - start;
    tell(pause, pass());
}

int main(int argc, char **argv) {
    if (argc < 3)
        return 2;
    bytes = (size_t)atoi(argv[1]) << 20;
    copy = map();
    for (int i = 0; i < atoi(argv[2]); i++) {
        data = map(); /* the ways split huge pages */
        pass();
        printf("%.2f", pass());
        by_copy();
        by_fork();
        munmap(data, bytes);
        data = map();
        by_mprotect();
        munmap(data, bytes);
        data = map();
        begin_uffd();
        by_uffd();
        if (uffd >= 0)
            close(uffd);
        munmap(data, bytes);
        printf("\n");
    }
    return 0;
}
