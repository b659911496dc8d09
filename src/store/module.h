/* SPDX-License-Identifier: BSD-3-Clause */
/* What the module (libwavecut-store.so) offers: the calls of store.h and conf.h that need HDF5 or
 * libConfuse, by pointer. So neither is seen by the program. */
#ifndef WC_STORE_MODULE_H
#define WC_STORE_MODULE_H

#include "conf.h"
#include "store.h"

/* Raised with every change of this struct or of a type in its calls. */
#define WC_STORE_ABI 11

typedef struct wc_store_api {
    uint32_t abi;
    bool threadsafe; /* this HDF5 may be called from several threads at once */
    void (*fault_setup)(int rank);
    wc_status (*create)(const char *dir, const wc_snapshot_head *head, const wc_array *arrays,
                        size_t narrays, wc_array_place *places, uint64_t *ranks_place,
                        wc_store_file **file, wc_error *error);
    wc_status (*add_channels)(wc_store_file *file, const wc_channel_sizes *sizes,
                              wc_channel_place *place, wc_error *error);
    wc_status (*publish)(wc_store_file *file, wc_error *error);
    void (*abandon)(wc_store_file *file);
    const char *(*path)(const wc_store_file *file);
    wc_status (*reader_open)(const char *path, wc_reader **reader, wc_error *error);
    void (*reader_close)(wc_reader *reader);
    const wc_snapshot_head *(*reader_head)(const wc_reader *reader);
    size_t (*reader_arrays)(const wc_reader *reader, const wc_array **arrays);
    wc_status (*reader_index)(wc_reader *reader, size_t array, uint32_t rank, wc_index_row *row,
                              wc_error *error);
    wc_status (*reader_extent)(wc_reader *reader, size_t array, uint32_t rank, void *to,
                               wc_error *error);
    uint64_t (*reader_place)(const wc_reader *reader, size_t array, const wc_index_row *row);
    wc_status (*reader_part)(wc_reader *reader, size_t array, const wc_box *part, void *to,
                             wc_error *error);
    wc_status (*reader_ranks)(wc_reader *reader, wc_rank_row **rows, size_t *count,
                              wc_error *error);
    wc_status (*reader_counters)(wc_reader *reader, wc_counter_row **rows, size_t *count,
                                 wc_error *error);
    wc_status (*reader_messages)(wc_reader *reader, wc_message_row **rows, size_t *count,
                                 wc_error *error);
    wc_status (*reader_communicators)(wc_reader *reader, wc_comm_row **rows, size_t *count,
                                      wc_error *error);
    wc_status (*reader_members)(wc_reader *reader, uint32_t **members, size_t *count,
                                wc_error *error);
    wc_status (*reader_payload)(wc_reader *reader, const wc_message_row *row, void *to,
                                wc_error *error);
    wc_status (*reader_check_move)(wc_reader *reader, uint32_t rank, uint32_t ranks,
                                   wc_error *error);
    wc_status (*reader_verify)(wc_reader *reader, wc_verdict *verdict, wc_error *error);
    wc_conf_parser *conf_parse;
    wc_status (*reader_event_index)(wc_reader *reader, wc_event_index_row **rows, size_t *count,
                                    wc_error *error);
    wc_status (*reader_streams)(wc_reader *reader, wc_stream_row **rows, size_t *count,
                                wc_error *error);
    wc_status (*reader_consistency)(wc_reader *reader, wc_consistency *result, wc_error *error);
} wc_store_api;

/* The module's only symbol. */
const wc_store_api *wc_store_module(void);

#endif
