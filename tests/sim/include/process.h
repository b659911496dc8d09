/* SPDX-License-Identifier: BSD-3-Clause */
/* Each rank has its own copy of the variables of src/mpi: the linker gathers them between
 * __start_sim_process and __stop_sim_process. */
#ifndef SIM_PROCESS_H
#define SIM_PROCESS_H

#define WC_PROCESS __attribute__((section("sim_process")))

#endif
