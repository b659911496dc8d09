/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Brings the HDF5 part of the store into an MPI program, which may have an HDF5 of its own,
 * parallel and of another version. So nothing is linked: the module is loaded with its own scope,
 * and its symbols are looked up there first.
 */
#ifndef WC_STORE_LOAD_H
#define WC_STORE_LOAD_H

#include "module.h"

/*
 * Loads libwavecut-store.so: WAVECUT_STORE_MODULE if set, else wavecut/libwavecut-store.so beside
 * this library, else libwavecut-store.so beside it. A second call gives the same one. It stays
 * loaded. Call it after wc_fault_setup: the module gets the same faults. Errors: IO (it can't be
 * loaded, or is of another version), SETTING (WAVECUT_FAULT).
 */
wc_status wc_store_load(const wc_store_api **api, wc_error *error);

#endif
