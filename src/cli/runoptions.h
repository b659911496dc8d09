/* SPDX-License-Identifier: BSD-3-Clause */
/* What `wavecut run` is asked. */
#ifndef WC_CLI_RUNOPTIONS_H
#define WC_CLI_RUNOPTIONS_H

#include <argp.h>

typedef struct run_options {
    const char *dir;   /* NULL: as the settings say */
    long restarts;     /* after failures */
    double backoff_s;  /* before the first of them */
    double walltime_s; /* 0: not said */
    double margin_s;   /* before the end of the walltime */
    double patience_s; /* with a job in which nothing happens; 0: for ever */
    char **command;    /* ended by NULL */
} run_options;

extern const struct argp run_argp;

/* Wrong usage ends the process. The strings are argv's. */
run_options run_options_parse(int argc, char **argv);

#endif
