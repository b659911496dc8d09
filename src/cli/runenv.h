/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The settings on their way to rank 0, which reads them for all. On the launcher's host it has them from the launcher. Elsewhere:
 *
 *   Open MPI's mpirun  hands on what -x names, for ranks on other hosts
 *   hydra              hands on all
 *   srun               hands on all, unless SLURM_EXPORT_ENV says otherwise, which `sbatch --export=NONE` sets
 */
#ifndef WC_CLI_RUNENV_H
#define WC_CLI_RUNENV_H

/*
 * The command as it is to be started: a copy of the array, to be freed, with the same strings or ones that stay. NULL: no
 * memory. The environment may be changed: SLURM_EXPORT_ENV, and Open MPI's parameters by which mpirun notices within a minute
 * that a host is gone, where nobody has set them.
 */
char **run_env_command(char *const *command);

#endif
