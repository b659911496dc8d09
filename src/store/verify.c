/* SPDX-License-Identifier: BSD-3-Clause */
/* Is a snapshot whole and consistent? Everything that the file alone can tell. */
#include "store.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static void __attribute__((format(printf, 2, 3))) found(wc_verdict *v, const char *format, ...) {
    if (v->failures++)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(v->first_failure, sizeof v->first_failure, format, arguments);
    va_end(arguments);
}

/* A damaged part is a finding; anything else ends the verification. */
static wc_status judge(wc_status status, const wc_error *what, wc_verdict *v, wc_error *error) {
    if (status == WC_OK)
        return WC_OK;
    if (status == WC_ERR_DAMAGED) {
        found(v, "%s", what->text);
        return WC_OK;
    }
    *error = *what;
    return status;
}

/* The ranks' parts must follow each other and fill the array. */
static wc_status verify_array(wc_reader *r, size_t i, wc_verdict *v, wc_error *error) {
    const wc_array *arrays;
    wc_reader_arrays(r, &arrays);
    uint64_t next = 0;
    for (uint32_t rank = 0; rank < wc_reader_head(r)->ranks; rank++) {
        wc_index_row row;
        wc_error what;
        wc_status status = wc_reader_index(r, i, rank, &row, &what);
        if (status == WC_OK) {
            if (row.count && row.first != next)
                found(v, "/index/%s: the part of rank %u does not follow those before it",
                      arrays[i].name, rank);
            next += row.count;
            v->extents += row.present;
            v->bytes += row.count * wc_type_bytes(arrays[i].type);
            status = wc_reader_extent(r, i, rank, NULL, &what);
        }
        status = judge(status, &what, v, error);
        if (status != WC_OK)
            return status;
    }
    if (next != arrays[i].total)
        found(v, "/index/%s: the ranks' parts do not fill the array", arrays[i].name);
    return WC_OK;
}

typedef struct wc_channels_read {
    wc_counter_row *counters;
    wc_message_row *messages;
    wc_comm_row *comms;
    size_t ncounters, nmessages, ncomms;
} wc_channels_read;

static const wc_counter_row *counter_of(const wc_channels_read *c, const wc_message_row *m) {
    for (size_t i = 0; i < c->ncounters; i++)
        if (c->counters[i].comm == m->comm && c->counters[i].source == m->source &&
            c->counters[i].destination == m->destination)
            return &c->counters[i];
    return NULL;
}

static bool has_comm(const wc_channels_read *c, uint64_t uid) {
    for (size_t i = 0; i < c->ncomms; i++)
        if (c->comms[i].uid == uid)
            return true;
    return false;
}

static wc_status verify_messages(wc_reader *r, const wc_channels_read *c, uint64_t *in_flight,
                                 wc_verdict *v, wc_error *error) {
    for (size_t i = 0; i < c->nmessages; i++) {
        const wc_message_row *m = &c->messages[i];
        const wc_counter_row *counter = counter_of(c, m);
        wc_error what;
        if (!has_comm(c, m->comm))
            found(v,
                  "/channels/messages: row %zu is on a communicator that is not in /communicators",
                  i);
        if (!counter)
            found(v,
                  "/channels/messages: row %zu is on a channel that is not in /channels/counters",
                  i);
        else if (in_flight[counter - c->counters]++ != m->sequence)
            found(v, "/channels/messages: row %zu is out of order on its channel", i);
        wc_status status = judge(wc_reader_payload(r, m, NULL, &what), &what, v, error);
        if (status != WC_OK)
            return status;
        v->messages++;
        v->bytes += m->bytes;
    }
    return WC_OK;
}

/* Invariant 2 of the protocol: sent = received + in flight. */
static void verify_counters(const wc_channels_read *c, const uint64_t *in_flight, wc_verdict *v) {
    for (size_t i = 0; i < c->ncounters; i++) {
        const wc_counter_row *row = &c->counters[i];
        if (row->sent != row->received + row->in_flight)
            found(v,
                  "inconsistent: rank %u has sent %llu messages to rank %u, which has received "
                  "%llu; %llu are in flight",
                  row->source, (unsigned long long)row->sent, row->destination,
                  (unsigned long long)row->received, (unsigned long long)row->in_flight);
        if (row->in_flight != in_flight[i])
            found(v, "from rank %u to rank %u %llu messages are in flight, and %llu are recorded",
                  row->source, row->destination, (unsigned long long)row->in_flight,
                  (unsigned long long)in_flight[i]);
    }
}

static wc_status verify_channels(wc_reader *r, wc_verdict *v, wc_error *error) {
    wc_channels_read c = {0};
    uint64_t *in_flight = NULL;
    wc_status status = wc_reader_counters(r, &c.counters, &c.ncounters, error);
    if (status == WC_OK)
        status = wc_reader_messages(r, &c.messages, &c.nmessages, error);
    if (status == WC_OK)
        status = wc_reader_communicators(r, &c.comms, &c.ncomms, error);
    if (status == WC_OK && !(in_flight = calloc(c.ncounters + 1, sizeof *in_flight)))
        status = wc_error_set(error, WC_ERR_MEMORY, "no memory to verify");
    if (status == WC_OK)
        status = verify_messages(r, &c, in_flight, v, error);
    if (status == WC_OK)
        verify_counters(&c, in_flight, v);
    free(in_flight);
    free(c.counters);
    free(c.messages);
    free(c.comms);
    return status;
}

wc_status wc_reader_verify(wc_reader *r, wc_verdict *verdict, wc_error *error) {
    const wc_array *arrays;
    wc_verdict v = {0};
    size_t n = wc_reader_arrays(r, &arrays);
    wc_status status = WC_OK;
    for (size_t i = 0; i < n && status == WC_OK; i++)
        status = verify_array(r, i, &v, error);
    if (status == WC_OK)
        status = verify_channels(r, &v, error);
    if (status == WC_OK)
        *verdict = v;
    return status;
}
