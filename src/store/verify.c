/* SPDX-License-Identifier: BSD-3-Clause */
/* Is a snapshot whole, and is it a consistent cut? All that the file alone can tell. */
#include "reader.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

typedef struct wc_verification {
    wc_reader *reader;
    wc_verdict verdict;
    wc_error error; /* what ended it, apart from damage */

    wc_counter_row *counters; /* by channel */
    wc_message_row *messages;
    wc_comm_row *comms; /* by uid */
    uint32_t *members;
    uint64_t *in_flight; /* [counter_count] messages found */
    uint64_t payload;    /* bytes of the messages so far */
    size_t counter_count, message_count, comm_count, member_count;
} wc_verification;

static void __attribute__((format(printf, 2, 3)))
note_failure(wc_verification *v, const char *format, ...) {
    if (v->verdict.failures++)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(v->verdict.first_failure, sizeof v->verdict.first_failure, format, arguments);
    va_end(arguments);
}

/* Damage is a finding; anything else ends the verification. True: what was asked for is there. */
static bool accept(wc_verification *v, wc_status status, const wc_error *what) {
    if (status == WC_OK)
        return true;
    if (status == WC_ERR_DAMAGED)
        note_failure(v, "%s", what->text);
    else if (v->error.status == WC_OK)
        v->error = *what;
    return false;
}

/* ---- state ---- */

/* Local arrays follow each other, parts of a global one fill it; `next`: elements of the ranks before, `blocks`: theirs,
 * `sum`: of the boxes of all. */
static void verify_parts(wc_verification *v, const wc_array *array, uint64_t next, uint64_t blocks,
                         uint64_t sum) {
    wc_box whole = {.ndims = array->ndims};
    memcpy(whole.global, array->shape, sizeof whole.global);
    if (next != array->total)
        note_failure(v, "/index/%s: the ranks have %" PRIu64 " elements of %" PRIu64, array->name,
                     next, array->total);
    else if (array->ndims && sum != wc_box_whole_sum(&whole))
        note_failure(v, "/index/%s: the ranks' parts don't fill the array, some overlap",
                     array->name);
    else if (blocks != array->blocks)
        note_failure(v, "/blocks/%s: the ranks have %" PRIu64 " blocks, and %" PRIu64 " are there",
                     array->name, blocks, array->blocks);
}

static void verify_array(wc_verification *v, size_t i) {
    wc_reader *r = v->reader;
    const wc_array *array = &r->arrays[i];
    wc_index_row *rows;
    wc_error what;
    uint64_t next = 0, blocks = 0, sum = 0;
    if (!accept(v, wc_reader_index_rows(r, i, &rows, &what), &what))
        return;
    for (uint32_t rank = 0; rank < r->head.ranks && v->error.status == WC_OK; rank++) {
        const wc_index_row *row = &rows[rank];
        wc_box box = wc_index_box(array, row);
        sum += array->ndims ? wc_box_sum(&box) : 0;
        if (!array->ndims && row->present && row->first != next)
            note_failure(v,
                         "/index/%s: rank %u begins at element %" PRIu64
                         ", and the ranks before it have %" PRIu64,
                         array->name, rank, row->first, next);
        if (row->blocks_first != blocks)
            note_failure(v,
                         "/index/%s: rank %u begins at block %" PRIu64
                         ", and the ranks before it have %" PRIu64,
                         array->name, rank, row->blocks_first, blocks);
        if (row->count > array->total - next) { /* and not each of many ranks the whole array */
            next += row->count;
            break;
        }
        accept(v, wc_reader_elements(r, i, rank, row, NULL, &what), &what);
        next += row->count;
        blocks += wc_blocks(row->count * wc_type_bytes(array->type));
        v->verdict.extents += row->present;
        v->verdict.bytes += row->count * wc_type_bytes(array->type);
    }
    if (v->error.status == WC_OK)
        verify_parts(v, array, next, blocks, sum);
    free(rows);
}

/* ---- channels ---- */

static int compare(uint64_t a, uint64_t b) {
    return (a > b) - (a < b);
}

static int by_channel(const void *a, const void *b) {
    const wc_counter_row *x = a, *y = b;
    int order = compare(x->comm, y->comm);
    if (!order)
        order = compare(x->source, y->source);
    return order ? order : compare(x->destination, y->destination);
}

static int by_uid(const void *a, const void *b) {
    const wc_comm_row *x = a, *y = b;
    return compare(x->uid, y->uid);
}

static bool has_comm(const wc_verification *v, uint64_t uid) {
    wc_comm_row key = {.uid = uid};
    return v->comm_count && bsearch(&key, v->comms, v->comm_count, sizeof key, by_uid);
}

static void verify_comms(wc_verification *v) {
    for (size_t i = 0; i < v->member_count; i++)
        if (v->members[i] >= v->reader->head.ranks)
            note_failure(v, "/communicator_members: row %zu is rank %u, of %u", i, v->members[i],
                         v->reader->head.ranks);
    for (size_t i = 0; i < v->comm_count; i++) {
        const wc_comm_row *c = &v->comms[i];
        if (c->members_count > v->member_count ||
            c->members_first > v->member_count - c->members_count)
            note_failure(
                v, "/communicators: the members of %016" PRIx64 " are not in /communicator_members",
                c->uid);
    }
}

static void verify_message(wc_verification *v, const wc_message_row *m) {
    wc_counter_row key = {.comm = m->comm, .source = m->source, .destination = m->destination};
    const wc_counter_row *channel =
        v->counter_count ? bsearch(&key, v->counters, v->counter_count, sizeof key, by_channel)
                         : NULL;
    wc_error what;
    if (!has_comm(v, m->comm))
        note_failure(v,
                     "a message from rank %u to rank %u is on communicator %016" PRIx64
                     ", which is not in /communicators",
                     m->source, m->destination, m->comm);
    if (!channel)
        note_failure(v,
                     "a message from rank %u to rank %u is in flight on a channel that is not in "
                     "/channels/counters",
                     m->source, m->destination);
    else if (v->in_flight[channel - v->counters]++ != m->sequence)
        note_failure(v, "message %" PRIu64 " from rank %u to rank %u is out of order", m->sequence,
                     m->source, m->destination);
    if (m->bytes > v->reader->tables[WC_TABLE_PAYLOAD].count - v->payload) {
        note_failure(v, "/channels/messages: the messages have more bytes than /channels/payload");
        return;
    }
    v->payload += m->bytes;
    accept(v, wc_reader_payload(v->reader, m, NULL, &what), &what);
    v->verdict.messages++;
    v->verdict.bytes += m->bytes;
}

/* What is in flight is there. */
static void verify_counter(wc_verification *v, size_t i) {
    const wc_counter_row *c = &v->counters[i];
    uint32_t ranks = v->reader->head.ranks;
    if (c->source >= ranks || c->destination >= ranks)
        note_failure(v, "/channels/counters: a channel from rank %u to rank %u, of %u ranks",
                     c->source, c->destination, ranks);
    if (i && by_channel(c - 1, c) == 0)
        note_failure(v, "/channels/counters: the channel from rank %u to rank %u is there twice",
                     c->source, c->destination);
    if (v->in_flight[i] != c->in_flight)
        note_failure(v,
                     "%" PRIu64 " messages are in flight from rank %u to rank %u, and %" PRIu64
                     " are in the file",
                     c->in_flight, c->source, c->destination, v->in_flight[i]);
}

static void verify_cut(wc_verification *v) {
    wc_error what;
    wc_consistency *found = &v->verdict.consistency;
    v->verdict.judged = accept(v, wc_reader_consistency(v->reader, found, &what), &what);
    if (!found->findings)
        return;
    note_failure(v, "%s", found->witness.text);
    v->verdict.failures += found->findings - 1;
}

/* Each table is read, even if one before it is damaged. */
static bool read_tables(wc_verification *v) {
    wc_reader *r = v->reader;
    wc_error what;
    wc_rank_row *ranks = NULL;
    size_t count = 0;
    bool good = accept(v, wc_reader_ranks(r, &ranks, &count, &what), &what);
    for (size_t i = 0; i < count; i++)
        if (ranks[i].rank != i)
            note_failure(v, "/ranks: row %zu is of rank %u", i, ranks[i].rank);
    free(ranks);
    good &= accept(v, wc_reader_counters(r, &v->counters, &v->counter_count, &what), &what);
    good &= accept(v, wc_reader_messages(r, &v->messages, &v->message_count, &what), &what);
    good &= accept(v, wc_reader_communicators(r, &v->comms, &v->comm_count, &what), &what);
    good &= accept(v, wc_reader_members(r, &v->members, &v->member_count, &what), &what);
    return good;
}

/* False: what the tables hold can't be judged. */
static bool verify_channels(wc_verification *v) {
    if (!read_tables(v))
        return false;
    v->in_flight = calloc(v->counter_count + 1, sizeof *v->in_flight);
    if (!v->in_flight) {
        wc_error_set(&v->error, WC_ERR_MEMORY, "no memory to verify %.300s", v->reader->path);
        return false;
    }
    qsort(v->counters, v->counter_count, sizeof *v->counters, by_channel);
    qsort(v->comms, v->comm_count, sizeof *v->comms, by_uid);
    verify_comms(v);
    for (size_t i = 0; i < v->message_count && v->error.status == WC_OK; i++)
        verify_message(v, &v->messages[i]);
    for (size_t i = 0; i < v->counter_count && v->error.status == WC_OK; i++)
        verify_counter(v, i);
    return v->error.status == WC_OK;
}

wc_status wc_reader_verify(wc_reader *r, wc_verdict *verdict, wc_error *error) {
    wc_verification v = {.reader = r};
    for (size_t i = 0; i < r->count && v.error.status == WC_OK; i++)
        verify_array(&v, i);
    bool readable = v.error.status == WC_OK && verify_channels(&v);
    free(v.counters);
    free(v.messages);
    free(v.comms);
    free(v.members);
    free(v.in_flight);
    if (readable) /* it reads for itself */
        verify_cut(&v);
    if (v.error.status != WC_OK)
        return wc_error_set(error, v.error.status, "%s", v.error.text);
    *verdict = v.verdict;
    return WC_OK;
}
