/* SPDX-License-Identifier: BSD-3-Clause */
#include "command.h"
#include "compare.h"
#include "rows.h"
#include "table.h"
#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct options {
    cli_asked asked; /* first: cli_parse_asked knows this alone */
    char path[2][PATH_MAX];
} options;

static error_t parse(int key, char *argument, struct argp_state *state) {
    const options *o = state->input;
    if (key != ARGP_KEY_END)
        return cli_parse_asked(key, argument, state);
    if (o->asked.count != 2)
        argp_error(state, "it takes two snapshots to compare");
    return 0;
}

static const struct argp_option list[] = {CLI_JSON, {0}};

static const struct argp argp = {
    .options = list,
    .parser = parse,
    .args_doc = "FILE|DIR FILE|DIR",
    .doc = "Compares two snapshots: the arrays element by element, and the channels."
           "\v"
           "An element has changed if its bytes have. The largest difference is that of |a - b|, "
           "the relative one that of |a - b| / max(|a|, |b|), among elements of which it is a "
           "finite number; of complex numbers it is the modulus. Global arrays are compared in "
           "their global shape, whichever ranks had them; others rank by rank. Of the channels "
           "counters and messages in flight are compared. All that is read is checked against its "
           "checksums; the memory needed doesn't grow with the arrays.\n\n"
           "Exit status: 0 the same; 7 they differ; 1 a snapshot is damaged or can't be used; "
           "2 wrong usage; 3 there is no such file, directory or snapshot; 4 reading or writing "
           "failed."};

static const char *const verdicts[] = {"same",       "changed",     "only in A",   "only in B",
                                       "other type", "other shape", "other counts"};

/* ---- for people ---- */

/* Of a global array the indices, else the rank and which of its elements. */
static void where_text(const cmp_array *c, char *text, size_t size) {
    const wc_array *a = c->array[0];
    uint64_t index[WC_STORE_MAX_DIMS], left = c->largest_at;
    size_t used = 0;
    if (!a->ndims) {
        snprintf(text, size, "%" PRIu64 " of rank %u", c->largest_at, c->largest_rank);
        return;
    }
    for (uint32_t d = a->ndims; d-- > 0; left /= a->shape[d])
        index[d] = left % a->shape[d];
    for (uint32_t d = 0; d < a->ndims && used < size; d++)
        used += (size_t)snprintf(text + used, size - used, "%s%" PRIu64, d ? ", " : "", index[d]);
}

static void note_text(const cmp_array *c, char *text, size_t size) {
    char shapes[2][256];
    for (int i = 0; i < 2; i++)
        if (c->array[i])
            cli_shape_text(c->array[i], shapes[i], sizeof shapes[i]);
    if (c->verdict == CMP_OTHER_TYPE)
        snprintf(text, size, "other type: %s, %s", wc_type_name(c->array[0]->type),
                 wc_type_name(c->array[1]->type));
    else if (c->verdict == CMP_OTHER_SHAPE)
        snprintf(text, size, "other shape: %s%s, %s%s", shapes[0],
                 c->array[0]->ndims ? "" : " (not global)", shapes[1],
                 c->array[1]->ndims ? "" : " (not global)");
    else if (c->verdict == CMP_OTHER_COUNTS)
        snprintf(text, size,
                 "other counts on %" PRIu64 " rank%s: rank %u has %" PRIu64 ", %" PRIu64, c->ranks,
                 c->ranks == 1 ? "" : "s", c->first_rank, c->first_count[0], c->first_count[1]);
    else
        snprintf(text, size, "%s", verdicts[c->verdict]);
    if (c->found.not_finite) {
        size_t used = strlen(text);
        snprintf(text + used, size - used, "; %" PRIu64 " not finite", c->found.not_finite);
    }
}

static void add_array(cli_table *table, const cmp_array *c) {
    const wc_array *a = c->array[0] ? c->array[0] : c->array[1];
    bool compared =
        c->verdict == CMP_SAME || c->verdict == CMP_CHANGED || c->verdict == CMP_OTHER_COUNTS;
    bool sized = c->found.changed > c->found.not_finite && cli_type_is_number(a->type);
    char text[1024];
    cli_table_add(table, a->name);
    cli_table_add(table, wc_type_name(a->type));
    cli_shape_text(a, text, sizeof text);
    cli_table_add(table, text);
    cli_table_add(table, compared ? cli_count(c->found.changed).text : "");
    snprintf(text, sizeof text, cli_type_is_integer(a->type) ? "%.0Lf" : "%.6Lg", c->found.largest);
    cli_table_add(table, sized ? text : "");
    snprintf(text, sizeof text, "%.3g", c->found.relative);
    cli_table_add(table, sized ? text : "");
    if (sized)
        where_text(c, text, sizeof text);
    cli_table_add(table, sized ? text : "");
    note_text(c, text, sizeof text);
    cli_table_add_styled(table, text, c->verdict == CMP_SAME ? CLI_GOOD : CLI_BAD);
}

static void print_head(char name, const cmp_side *s) {
    char *path = cli_escape(s->path);
    printf("%c  %s  %s UTC, %u ranks, %s\n", name, path ? path : "?", cli_utc(s->head->time).text,
           s->head->ranks, s->head->immediate ? "immediate" : "aligned");
    free(path);
}

/* What channels are shown in. */
typedef struct channel_table {
    cli_table *table;
    const wc_comm_row *comms;
    size_t comm_count;
} channel_table;

static void add_channel(void *context, const cmp_channel *c) {
    const channel_table *t = context;
    const wc_counter_row *a = &c->row[0], *b = &c->row[1];
    const uint64_t numbers[] = {a->source,   a->destination, a->sent,      b->sent,   a->received,
                                b->received, a->in_flight,   b->in_flight, c->changed};
    char text[64];
    cli_table_add(t->table, cli_comm_text(t->comms, t->comm_count, a->comm, text, sizeof text));
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        cli_table_add(t->table, cli_count(numbers[i]).text);
    if (cli_table_is_long(t->table))
        cli_table_flush(t->table);
}

static wc_status print_channels(cmp_job *s, wc_error *error) {
    static const cli_column columns[] = {
        {"communicator", false}, {"from", true},       {"to", true},         {"sent A", true},
        {"sent B", true},        {"received A", true}, {"received B", true}, {"in flight A", true},
        {"in flight B", true},   {"changed", true}};
    channel_table t = {.table = cli_table_new(columns, sizeof columns / sizeof *columns)};
    wc_comm_row *comms = NULL;
    wc_reader_communicators(s->side[0].reader, &comms, &t.comm_count, error);
    if (error->status == WC_OK) {
        cli_comms_sort(comms, t.comm_count);
        t.comms = comms;
        putchar('\n');
        cmp_channels(s, add_channel, &t);
        if (s->changed_channels)
            cli_table_print(t.table, 0);
        else
            cli_table_free(t.table);
        printf("%" PRIu64 " channel%s, of %zu in A and %zu in B\n", s->changed_channels,
               s->changed_channels == 1 ? " differs" : "s differ", s->side[0].counter_count,
               s->side[1].counter_count);
    }
    free(comms);
    return error->status;
}

static wc_status print(cmp_job *s, wc_error *error) {
    static const cli_column columns[] = {{"array", false},  {"type", false},   {"elements", true},
                                         {"changed", true}, {"largest", true}, {"relative", true},
                                         {"where", true},   {"", false}};
    print_head('A', &s->side[0]);
    print_head('B', &s->side[1]);
    cli_table *table = cli_table_new(columns, sizeof columns / sizeof *columns);
    for (size_t i = 0; i < s->count; i++)
        add_array(table, &s->arrays[i]);
    putchar('\n');
    cli_table_print(table, 0);
    return print_channels(s, error);
}

/* ---- for scripts ---- */

static void put_array(const cmp_array *c) {
    const wc_array *a = c->array[0] ? c->array[0] : c->array[1];
    bool sized = c->found.changed > c->found.not_finite && cli_type_is_number(a->type);
    json_t *o =
        json_pack("{s:o, s:s, s:s, s:o, s:o, s:o}", "name", cli_json_text(a->name), "type",
                  wc_type_name(a->type), "status", verdicts[c->verdict], "compared",
                  cli_json_number(c->found.elements), "changed", cli_json_number(c->found.changed),
                  "not_finite", cli_json_number(c->found.not_finite));
    if (sized) {
        json_object_set_new(o, "largest_difference",
                            cli_type_is_integer(a->type)
                                ? cli_json_large((uint64_t)c->found.largest)
                                : cli_json_real((double)c->found.largest));
        json_object_set_new(o, "largest_relative_difference", cli_json_real(c->found.relative));
        json_object_set_new(o, "largest_at", cli_json_number(c->largest_at));
        if (!a->ndims)
            json_object_set_new(o, "largest_at_rank", cli_json_number(c->largest_rank));
    }
    if (c->verdict == CMP_OTHER_COUNTS)
        json_object_set_new(o, "ranks_with_other_counts", cli_json_number(c->ranks));
    cli_json_put(NULL, o);
}

static void put_channel(void *context, const cmp_channel *c) {
    static const char *const names[] = {"a", "b"};
    json_t *o = json_pack("{s:o, s:o, s:o, s:o}", "communicator", cli_json_hex(c->row[0].comm),
                          "source", cli_json_number(c->row[0].source), "destination",
                          cli_json_number(c->row[0].destination), "changed_messages",
                          cli_json_number(c->changed));
    (void)context;
    for (int i = 0; i < 2; i++)
        json_object_set_new(o, names[i],
                            json_pack("{s:o, s:o, s:o}", "sent", cli_json_number(c->row[i].sent),
                                      "received", cli_json_number(c->row[i].received), "in_flight",
                                      cli_json_number(c->row[i].in_flight)));
    cli_json_put(NULL, o);
}

static void print_json(cmp_job *s) {
    cli_json_begin(NULL, '{');
    cli_json_put("a", cli_json_text(s->side[0].path));
    cli_json_put("b", cli_json_text(s->side[1].path));
    cli_json_begin("arrays", '[');
    for (size_t i = 0; i < s->count; i++)
        put_array(&s->arrays[i]);
    cli_json_end();
    cli_json_begin("channels", '[');
    cmp_channels(s, put_channel, NULL);
    cli_json_end();
    cli_json_put("same", json_boolean(!s->differ));
    cli_json_end();
}

/* ---- the command ---- */

static int compare(void *context) {
    const options *o = context;
    cmp_job s = {0};
    wc_error error = {WC_OK, ""};
    if (cmp_open(&s, o->path[0], o->path[1], &error) == WC_OK && cmp_arrays(&s, &error) == WC_OK) {
        if (o->asked.json)
            print_json(&s);
        else
            print(&s, &error);
    }
    fflush(stdout);
    int code = error.status != WC_OK ? cli_fail("diff", &error) : s.differ ? CLI_DIFFER : CLI_OK;
    cmp_close(&s);
    return code;
}

static int run(int argc, char **argv) {
    options o = {.asked.most = 2};
    wc_error error = {WC_OK, ""};
    argp_parse(&argp, argc, argv, 0, NULL, &o);
    for (int i = 0; i < 2; i++)
        if (cli_target(o.asked.arguments[i], o.path[i], &error) != WC_OK)
            return cli_fail("diff", &error);
    char *paths[] = {o.path[0], o.path[1]};
    return cli_guarded("diff", paths, 2, compare, &o);
}

const cli_command cli_diff = {"diff", "compare two snapshots: arrays and channels", &argp, run};
