/* SPDX-License-Identifier: BSD-3-Clause */
#include "module.h"

#include "fault.h"

#include <hdf5.h>

static wc_store_api api = {
    .abi = WC_STORE_ABI,
    .fault_setup = wc_fault_setup,
    .create = wc_store_create,
    .add_channels = wc_store_add_channels,
    .publish = wc_store_publish,
    .abandon = wc_store_abandon,
    .path = wc_store_path,
    .reader_open = wc_reader_open,
    .reader_close = wc_reader_close,
    .reader_head = wc_reader_head,
    .reader_arrays = wc_reader_arrays,
    .reader_index = wc_reader_index,
    .reader_extent = wc_reader_extent,
    .reader_place = wc_reader_place,
    .reader_part = wc_reader_part,
    .reader_ranks = wc_reader_ranks,
    .reader_counters = wc_reader_counters,
    .reader_messages = wc_reader_messages,
    .reader_communicators = wc_reader_communicators,
    .reader_members = wc_reader_members,
    .reader_payload = wc_reader_payload,
    .reader_check_move = wc_reader_check_move,
    .reader_verify = wc_reader_verify,
    .conf_parse = wc_conf_parse,
    .reader_event_index = wc_reader_event_index,
    .reader_streams = wc_reader_streams,
    .reader_consistency = wc_reader_consistency,
};

__attribute__((visibility("default"))) const wc_store_api *wc_store_module(void) {
    hbool_t threadsafe = 0;
    api.threadsafe = H5is_library_threadsafe(&threadsafe) >= 0 && threadsafe;
    return &api;
}
