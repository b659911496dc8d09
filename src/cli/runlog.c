/* SPDX-License-Identifier: BSD-3-Clause */
#include "runlog.h"

#include "text.h"

#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static int file = -1;

void run_log_open(const char *dir) {
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/run.log", dir) >= (int)sizeof path)
        return;
    file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0666);
}

/* In local time, as schedulers' logs are; each line in one write. */
void run_log(const char *format, ...) {
    char when[64], *text = NULL, *line = NULL;
    time_t now = time(NULL);
    struct tm local;
    va_list arguments;
    va_start(arguments, format);
    int n = vasprintf(&text, format, arguments);
    va_end(arguments);
    char *escaped = n < 0 ? NULL : cli_escape(text);
    if (!localtime_r(&now, &local) || !strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S %z", &local))
        when[0] = '\0';
    n = asprintf(&line, "%s  %s\n", when, escaped ? escaped : "out of memory");
    if (n >= 0) {
        fprintf(stderr, "wavecut run: %s", line);
        bool written = file < 0 || write(file, line, (size_t)n) == n; /* a full disk is no reason */
        (void)written;
        free(line);
    }
    if (text)
        free(text);
    free(escaped);
}
