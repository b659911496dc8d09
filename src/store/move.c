/* SPDX-License-Identifier: BSD-3-Clause */
/* May a snapshot be restarted with another number of ranks? */
#include "reader.h"

/* Had all ranks the same? */
static wc_status check_alike(wc_reader *r, size_t array, uint32_t rank, uint32_t ranks,
                             wc_error *error) {
    wc_index_row first, row;
    wc_status status = wc_reader_index(r, array, 0, &first, error);
    for (; rank < r->head.ranks && status == WC_OK; rank += ranks) {
        status = wc_reader_index(r, array, rank, &row, error);
        if (status == WC_OK && (!row.present || !first.present || row.count != first.count ||
                                row.checksum != first.checksum))
            status = wc_error_set(error, WC_ERR_MISMATCH,
                                  "\"%s\" is no global array (wavecut_protect_array), nor was it "
                                  "the same on all ranks",
                                  r->arrays[array].name);
    }
    return status;
}

wc_status wc_reader_check_move(wc_reader *r, uint32_t rank, uint32_t ranks, wc_error *error) {
    uint64_t messages = r->tables[WC_TABLE_MESSAGES].count;
    wc_status status = WC_OK;
    if (messages)
        return wc_error_set(error, WC_ERR_MISMATCH, "%llu message%s in flight in it",
                            (unsigned long long)messages, messages == 1 ? " is" : "s are");
    for (size_t i = 0; i < r->count && status == WC_OK; i++)
        if (!r->arrays[i].ndims)
            status = check_alike(r, i, rank, ranks, error);
    return status;
}
