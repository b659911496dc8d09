/* SPDX-License-Identifier: BSD-3-Clause */
#include "compare.h"

#include "rows.h"
#include "store/pieces.h"

#include <stdlib.h>
#include <string.h>

/* ---- arrays ---- */

/* Both are at the same place of arrays of one type, with as much to come. */
static wc_status compare_pieces(cmp_array *c, wc_pieces *pieces[2], wc_error *error) {
    size_t each = wc_type_bytes(c->array[0]->type), bytes[2];
    const void *piece[2];
    do {
        if (wc_pieces_next(pieces[0], &piece[0], &bytes[0], error) != WC_OK ||
            wc_pieces_next(pieces[1], &piece[1], &bytes[1], error) != WC_OK)
            return error->status;
        cli_difference_add(&c->found, c->array[0]->type, piece[0], piece[1], bytes[0] / each);
        cli_progress_add(NULL, 2 * bytes[0]);
    } while (bytes[0]);
    return WC_OK;
}

static wc_status compare_global(cmp_array *c, wc_pieces *pieces[2], wc_error *error) {
    compare_pieces(c, pieces, error);
    c->largest_at = c->found.largest_at;
    return error->status;
}

/* What rank `rank` has; nothing, if there is no such rank. */
static wc_status row_of(const cmp_side *s, size_t array, uint32_t rank, wc_index_row *row,
                        wc_error *error) {
    *row = (wc_index_row){0};
    return rank < s->head->ranks ? wc_reader_index(s->reader, array, rank, row, error) : WC_OK;
}

static void note_counts(cmp_array *c, uint32_t rank, const wc_index_row rows[2]) {
    c->verdict = CMP_OTHER_COUNTS;
    if (c->ranks++)
        return;
    c->first_rank = rank;
    c->first_count[0] = rows[0].count;
    c->first_count[1] = rows[1].count;
}

static wc_status compare_ranks(cmp_job *s, cmp_array *c, wc_pieces *pieces[2], wc_error *error) {
    uint32_t a = s->side[0].head->ranks, b = s->side[1].head->ranks, ranks = a > b ? a : b;
    for (uint32_t rank = 0; rank < ranks; rank++) {
        wc_index_row rows[2];
        cli_difference before = c->found;
        for (int i = 0; i < 2; i++)
            if (row_of(&s->side[i], c->number[i], rank, &rows[i], error) != WC_OK)
                return error->status;
        if (rows[0].present != rows[1].present || rows[0].count != rows[1].count) {
            note_counts(c, rank, rows);
            continue;
        }
        if (!rows[0].count)
            continue;
        if (wc_pieces_select(pieces[0], rank, error) != WC_OK ||
            wc_pieces_select(pieces[1], rank, error) != WC_OK ||
            compare_pieces(c, pieces, error) != WC_OK)
            return error->status;
        if (c->found.largest_at >= before.elements && c->found.changed > before.changed) {
            c->largest_rank = rank;
            c->largest_at = c->found.largest_at - before.elements;
        }
    }
    return WC_OK;
}

static bool is_comparable(cmp_array *c) {
    const wc_array *a = c->array[0], *b = c->array[1];
    c->verdict = !b                     ? CMP_ONLY_A
                 : !a                   ? CMP_ONLY_B
                 : a->type != b->type   ? CMP_OTHER_TYPE
                 : a->ndims != b->ndims ? CMP_OTHER_SHAPE
                                        : CMP_SAME;
    if (c->verdict == CMP_SAME && memcmp(a->shape, b->shape, a->ndims * sizeof *a->shape) != 0)
        c->verdict = CMP_OTHER_SHAPE;
    return c->verdict == CMP_SAME;
}

static wc_status compare_array(cmp_job *s, cmp_array *c, wc_error *error) {
    wc_pieces *pieces[2] = {NULL, NULL};
    if (c->verdict != CMP_SAME)
        return WC_OK;
    for (int i = 0; i < 2 && error->status == WC_OK; i++)
        wc_pieces_of_array(s->side[i].reader, c->number[i], &pieces[i], error);
    if (error->status == WC_OK && c->array[0]->ndims)
        compare_global(c, pieces, error);
    else if (error->status == WC_OK)
        compare_ranks(s, c, pieces, error);
    if (c->found.changed && c->verdict == CMP_SAME)
        c->verdict = CMP_CHANGED;
    wc_pieces_close(pieces[0]);
    wc_pieces_close(pieces[1]);
    return error->status;
}

/* Both lists are sorted by name. */
static wc_status pair_arrays(cmp_job *s, wc_error *error) {
    size_t at[2] = {0, 0};
    s->arrays = calloc(s->side[0].count + s->side[1].count + 1, sizeof *s->arrays);
    if (!s->arrays)
        return wc_error_set(error, WC_ERR_MEMORY, "out of memory");
    while (at[0] < s->side[0].count || at[1] < s->side[1].count) {
        const wc_array *a = at[0] < s->side[0].count ? &s->side[0].arrays[at[0]] : NULL;
        const wc_array *b = at[1] < s->side[1].count ? &s->side[1].arrays[at[1]] : NULL;
        int order = !a ? 1 : !b ? -1 : strcmp(a->name, b->name);
        cmp_array *c = &s->arrays[s->count++];
        *c = (cmp_array){.array = {order <= 0 ? a : NULL, order >= 0 ? b : NULL},
                         .number = {at[0], at[1]}};
        at[0] += order <= 0;
        at[1] += order >= 0;
        is_comparable(c);
    }
    return WC_OK;
}

wc_status cmp_arrays(cmp_job *s, wc_error *error) {
    uint64_t bytes = 0;
    if (pair_arrays(s, error) != WC_OK)
        return error->status;
    for (size_t i = 0; i < s->count; i++)
        for (int k = 0; k < 2 && s->arrays[i].verdict == CMP_SAME; k++)
            bytes += s->arrays[i].array[k]->total * wc_type_bytes(s->arrays[i].array[k]->type);
    cli_progress_begin("comparing", bytes);
    for (size_t i = 0; i < s->count && error->status == WC_OK; i++) {
        compare_array(s, &s->arrays[i], error);
        s->differ = s->differ || s->arrays[i].verdict != CMP_SAME;
    }
    cli_progress_end();
    return error->status;
}

/* ---- channels ---- */

static int by_channel(const void *a, const void *b) {
    const wc_counter_row *x = a, *y = b;
    return cli_compare_channels(x->comm, x->source, x->destination, y->comm, y->source,
                                y->destination);
}

static int compare_messages(const wc_message_row *x, const wc_message_row *y) {
    return cli_compare_channels(x->comm, x->source, x->destination, y->comm, y->source,
                                y->destination);
}

static int by_message(const void *a, const void *b) {
    const wc_message_row *x = a, *y = b;
    int order = compare_messages(x, y);
    return order ? order : (x->sequence > y->sequence) - (x->sequence < y->sequence);
}

/* Messages of the channel, *count of them, of those from *at on, which it passes. */
static const wc_message_row *messages_of(const cmp_side *s, const wc_counter_row *row, size_t *at,
                                         size_t *count) {
    const wc_message_row key = {
        .comm = row->comm, .source = row->source, .destination = row->destination};
    while (*at < s->message_count && compare_messages(&s->messages[*at], &key) < 0)
        ++*at;
    size_t first = *at;
    while (*at < s->message_count && compare_messages(&s->messages[*at], &key) == 0)
        ++*at;
    *count = *at - first;
    return s->messages + first;
}

static uint64_t count_changed(cmp_job *s, const wc_counter_row *row, size_t at[2]) {
    size_t n[2];
    uint64_t changed = 0;
    const wc_message_row *a = messages_of(&s->side[0], row, &at[0], &n[0]);
    const wc_message_row *b = messages_of(&s->side[1], row, &at[1], &n[1]);
    for (size_t i = 0; i < n[0] || i < n[1]; i++)
        changed += i >= n[0] || i >= n[1] || a[i].tag != b[i].tag || a[i].bytes != b[i].bytes ||
                   a[i].checksum != b[i].checksum;
    return changed;
}

void cmp_channels(cmp_job *s, void (*show)(void *context, const cmp_channel *), void *context) {
    size_t at[2] = {0, 0}, message[2] = {0, 0};
    s->changed_channels = 0;
    while (at[0] < s->side[0].counter_count || at[1] < s->side[1].counter_count) {
        const wc_counter_row *a = s->side[0].counters + at[0], *b = s->side[1].counters + at[1];
        int order = at[0] == s->side[0].counter_count   ? 1
                    : at[1] == s->side[1].counter_count ? -1
                                                        : by_channel(a, b);
        const wc_counter_row *one = order <= 0 ? a : b;
        wc_counter_row none = {
            .comm = one->comm, .source = one->source, .destination = one->destination};
        cmp_channel c = {.row = {order <= 0 ? *a : none, order >= 0 ? *b : none},
                         .changed = count_changed(s, one, message)};
        at[0] += order <= 0;
        at[1] += order >= 0;
        if (memcmp(&c.row[0], &c.row[1], sizeof *c.row) == 0 && !c.changed)
            continue;
        s->changed_channels++;
        if (show)
            show(context, &c);
    }
    s->differ = s->differ || s->changed_channels;
}

static wc_status read_channels(cmp_side *s, wc_error *error) {
    if (wc_reader_counters(s->reader, &s->counters, &s->counter_count, error) != WC_OK ||
        wc_reader_messages(s->reader, &s->messages, &s->message_count, error) != WC_OK)
        return error->status;
    qsort(s->counters, s->counter_count, sizeof *s->counters, by_channel);
    qsort(s->messages, s->message_count, sizeof *s->messages, by_message);
    return WC_OK;
}

/* ---- both ---- */

static wc_status open_side(cmp_side *s, const char *path, wc_error *error) {
    s->path = path;
    if (wc_reader_open(path, &s->reader, error) != WC_OK)
        return error->status;
    s->head = wc_reader_head(s->reader);
    s->count = wc_reader_arrays(s->reader, &s->arrays);
    return read_channels(s, error);
}

wc_status cmp_open(cmp_job *s, const char *a, const char *b, wc_error *error) {
    wc_status status = open_side(&s->side[0], a, error);
    return status == WC_OK ? open_side(&s->side[1], b, error) : status;
}

void cmp_close(cmp_job *s) {
    for (int i = 0; i < 2; i++) {
        free(s->side[i].counters);
        free(s->side[i].messages);
        if (s->side[i].reader)
            wc_reader_close(s->side[i].reader);
    }
    free(s->arrays);
}
