/* SPDX-License-Identifier: BSD-3-Clause */
/* Each rank has its own copy of the variables of src/mpi: the linker gathers them between
 * __start_sim_process and __stop_sim_process. All but the largest, the layer's, are copied to and fro. */
#ifndef SIM_PROCESS_H
#define SIM_PROCESS_H

#define WC_PROCESS __attribute__((section("sim_process")))
#define WC_LAYER_PLACE __attribute__((section("sim_fresh"))) /* as a process begins */

extern struct wc_layer *sim_layer; /* of the current rank */
#define L (*sim_layer)

#endif
