/* SPDX-License-Identifier: BSD-3-Clause */
/* What `wavecut run` tells: to standard error, and to DIR/run.log, which goes on over all jobs of a chain. */
#ifndef WC_CLI_RUNLOG_H
#define WC_CLI_RUNLOG_H

/* Opens DIR/run.log. Where that is not possible, standard error has all. */
void run_log_open(const char *dir);

/* One line: when, and what; what comes from a file or a host may be in it. */
void run_log(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
