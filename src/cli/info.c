/* SPDX-License-Identifier: BSD-3-Clause */
#include "command.h"
#include "table.h"
#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct options {
    const char *target;
    bool json;
    char path[PATH_MAX];
} options;

/* What the snapshot holds. */
typedef struct contents {
    wc_reader *reader;
    const wc_snapshot_head *head;
    const wc_array *arrays;
    size_t array_count;
    wc_index_row *index; /* [array_count * ranks] */
    wc_rank_row *ranks;
    wc_counter_row *counters;
    wc_message_row *messages;
    wc_comm_row *comms;
    size_t rank_count, counter_count, message_count, comm_count;
} contents;

static error_t parse(int key, char *argument, struct argp_state *state) {
    options *o = state->input;
    switch (key) {
    case 'j':
        o->json = true;
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num)
            argp_error(state, "one snapshot is enough");
        o->target = argument;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option list[] = {{"json", 'j', NULL, 0, "print JSON", 0}, {0}};

static const struct argp argp = {
    .options = list,
    .parser = parse,
    .args_doc = "[FILE|DIR]",
    .doc = "Shows what a snapshot holds, or the newest one in DIR."
           "\v"
           "Times are those of each rank since it heard of the request. "
           "Default: WAVECUT_DIR, else " CLI_DEFAULT_DIR ".\n\n" CLI_EXIT_CODES};

/* ---- reading ---- */

static wc_status read_index(contents *c, wc_error *error) {
    size_t ranks = c->head->ranks;
    c->index = calloc(c->array_count * ranks + 1, sizeof *c->index);
    if (!c->index)
        return wc_error_set(error, WC_ERR_MEMORY, "out of memory");
    for (size_t i = 0; i < c->array_count * ranks; i++) {
        wc_status status =
            wc_reader_index(c->reader, i / ranks, (uint32_t)(i % ranks), &c->index[i], error);
        if (status != WC_OK)
            return status;
    }
    return WC_OK;
}

static wc_status read_all(contents *c, const char *path, wc_error *error) {
    wc_status status = wc_reader_open(path, &c->reader, error);
    if (status != WC_OK)
        return status;
    c->head = wc_reader_head(c->reader);
    c->array_count = wc_reader_arrays(c->reader, &c->arrays);
    status = read_index(c, error);
    if (status == WC_OK)
        status = wc_reader_ranks(c->reader, &c->ranks, &c->rank_count, error);
    if (status == WC_OK)
        status = wc_reader_counters(c->reader, &c->counters, &c->counter_count, error);
    if (status == WC_OK)
        status = wc_reader_messages(c->reader, &c->messages, &c->message_count, error);
    if (status == WC_OK)
        status = wc_reader_communicators(c->reader, &c->comms, &c->comm_count, error);
    return status;
}

static void drop(contents *c) {
    free(c->index);
    free(c->ranks);
    free(c->counters);
    free(c->messages);
    free(c->comms);
    if (c->reader)
        wc_reader_close(c->reader);
}

static const wc_index_row *index_of(const contents *c, size_t array) {
    return c->index + array * c->head->ranks;
}

/* ---- for people ---- */

static void print_field(const char *name, const char *value) {
    char *escaped = cli_escape(value);
    printf("%-12s %s\n", name, escaped ? escaped : "?");
    free(escaped);
}

static void print_head(const contents *c, const char *path) {
    const wc_snapshot_head *h = c->head;
    char text[160];
    printf("%s", cli_style_begin(CLI_BOLD));
    print_field("snapshot", path);
    printf("%s", cli_style_end(CLI_BOLD));
    snprintf(text, sizeof text, "%s UTC (%s)", cli_utc(h->time).text, cli_age(h->time).text);
    print_field("taken", text);
    snprintf(text, sizeof text, "%u, asked for by rank %u", h->ranks, h->initiator);
    print_field("ranks", text);
    print_field("cut", h->immediate ? "immediate" : "aligned");
    snprintf(text, sizeof text, "%016" PRIx64, h->run_id);
    print_field("run", text);
    if (h->parent_id) {
        snprintf(text, sizeof text, "from snapshot %" PRIu64, h->parent_id);
        print_field("restarted", text);
    }
    print_field("program", h->program);
    char *line = strdup(h->mpi_library);
    if (line)
        line[strcspn(line, "\n")] = '\0'; /* some say a page */
    print_field("MPI", line ? line : "?");
    free(line);
    print_field("Wavecut", h->version);
}

static void shape_text(const wc_array *a, char *text, size_t size) {
    size_t used = (size_t)snprintf(text, size, "%" PRIu64, a->ndims ? a->shape[0] : a->total);
    for (uint32_t d = 1; d < a->ndims && used < size; d++)
        used += (size_t)snprintf(text + used, size - used, " x %" PRIu64, a->shape[d]);
}

/* How the elements are spread over the ranks. */
static void spread_text(const contents *c, size_t array, char *text, size_t size) {
    const wc_index_row *rows = index_of(c, array);
    uint64_t least = UINT64_MAX, most = 0;
    uint32_t present = 0;
    for (uint32_t r = 0; r < c->head->ranks; r++) {
        if (!rows[r].present)
            continue;
        present++;
        least = rows[r].count < least ? rows[r].count : least;
        most = rows[r].count > most ? rows[r].count : most;
    }
    if (!present)
        snprintf(text, size, "on no rank");
    else if (least == most)
        snprintf(text, size, "%" PRIu64 " on %u rank%s", least, present, present == 1 ? "" : "s");
    else
        snprintf(text, size, "%" PRIu64 " to %" PRIu64 " on %u ranks", least, most, present);
}

static void print_arrays(const contents *c) {
    static const cli_column columns[] = {{"array", false},
                                         {"type", false},
                                         {"elements", true},
                                         {"each rank", false},
                                         {"bytes", true}};
    cli_table *table = cli_table_new(columns, 5);
    for (size_t i = 0; i < c->array_count; i++) {
        const wc_array *a = &c->arrays[i];
        char text[256];
        cli_table_add(table, a->name);
        cli_table_add(table, wc_type_name(a->type));
        shape_text(a, text, sizeof text);
        cli_table_add(table, text);
        spread_text(c, i, text, sizeof text);
        cli_table_add(table, text);
        cli_table_add(table, cli_bytes(a->total * wc_type_bytes(a->type)).text);
    }
    putchar('\n');
    cli_table_print(table, 0);
}

static void print_ranks(const contents *c) {
    static const cli_column columns[] = {
        {"rank", true},  {"host", false},  {"pid", true},    {"step", true},    {"state", true},
        {"armed", true}, {"record", true}, {"closed", true}, {"durable", true}, {"stall", true}};
    cli_table *table = cli_table_new(columns, sizeof columns / sizeof *columns);
    for (size_t i = 0; i < c->rank_count; i++) {
        const wc_rank_row *r = &c->ranks[i];
        cli_table_add(table, cli_count(r->rank).text);
        cli_table_add(table, r->host);
        cli_table_add(table, cli_count(r->pid).text);
        cli_table_add(table, cli_count(r->step).text);
        cli_table_add(table, cli_bytes(r->bytes).text);
        cli_table_add(table, cli_seconds(r->arm_s).text);
        cli_table_add(table, cli_seconds(r->record_s).text);
        cli_table_add(table, cli_seconds(r->close_s).text);
        cli_table_add(table, cli_seconds(r->durable_s).text);
        cli_table_add(table, cli_seconds(r->stall_s).text);
    }
    putchar('\n');
    cli_table_print(table, 0);
}

static uint64_t bytes_in_flight(const contents *c, const wc_counter_row *channel) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < c->message_count && channel->in_flight; i++)
        if (c->messages[i].comm == channel->comm && c->messages[i].source == channel->source &&
            c->messages[i].destination == channel->destination)
            bytes += c->messages[i].bytes;
    return bytes;
}

static const char *comm_text(const contents *c, uint64_t uid, char *text, size_t size) {
    const char *how = "";
    for (size_t i = 0; i < c->comm_count; i++)
        if (c->comms[i].uid == uid)
            how = c->comms[i].how;
    snprintf(text, size, "%s %08" PRIx64, how, uid & UINT32_MAX);
    return text;
}

/* Only channels with messages in flight: there may be many others. */
static void print_channels(const contents *c) {
    static const cli_column columns[] = {
        {"communicator", false}, {"from", true},      {"to", true},   {"sent", true},
        {"received", true},      {"in flight", true}, {"bytes", true}};
    char text[64];
    printf("\n%zu channels used, %zu messages in flight\n", c->counter_count, c->message_count);
    if (!c->message_count)
        return;
    cli_table *table = cli_table_new(columns, sizeof columns / sizeof *columns);
    for (size_t i = 0; i < c->counter_count; i++) {
        const wc_counter_row *row = &c->counters[i];
        if (!row->in_flight)
            continue;
        cli_table_add(table, comm_text(c, row->comm, text, sizeof text));
        cli_table_add(table, cli_count(row->source).text);
        cli_table_add(table, cli_count(row->destination).text);
        cli_table_add(table, cli_count(row->sent).text);
        cli_table_add(table, cli_count(row->received).text);
        cli_table_add(table, cli_count(row->in_flight).text);
        cli_table_add(table, cli_bytes(bytes_in_flight(c, row)).text);
    }
    cli_table_print(table, 0);
}

/* ---- for scripts ---- */

static json_t *head_json(const wc_snapshot_head *h, const char *path) {
    json_t *o = json_object();
    json_object_set_new(o, "file", cli_json_text(path));
    json_object_set_new(o, "id", cli_json_number(h->id));
    json_object_set_new(o, "parent_id", cli_json_number(h->parent_id));
    json_object_set_new(o, "run_id", cli_json_hex(h->run_id));
    json_object_set_new(o, "time", cli_json_real(h->time));
    json_object_set_new(o, "cut", json_string(h->immediate ? "immediate" : "aligned"));
    json_object_set_new(o, "ranks_count", cli_json_number(h->ranks));
    json_object_set_new(o, "initiator", cli_json_number(h->initiator));
    json_object_set_new(o, "program", cli_json_text(h->program));
    json_object_set_new(o, "mpi_library", cli_json_text(h->mpi_library));
    json_object_set_new(o, "wavecut", cli_json_text(h->version));
    return o;
}

static json_t *arrays_json(const contents *c) {
    json_t *list_of_arrays = json_array();
    for (size_t i = 0; i < c->array_count; i++) {
        const wc_array *a = &c->arrays[i];
        const wc_index_row *rows = index_of(c, i);
        json_t *counts = json_array(), *shape = a->ndims ? json_array() : json_null();
        for (uint32_t r = 0; r < c->head->ranks; r++)
            json_array_append_new(counts,
                                  rows[r].present ? cli_json_number(rows[r].count) : json_null());
        for (uint32_t d = 0; d < a->ndims; d++)
            json_array_append_new(shape, cli_json_number(a->shape[d]));
        json_array_append_new(
            list_of_arrays, json_pack("{s:o, s:s, s:o, s:o, s:o}", "name", cli_json_text(a->name),
                                      "type", wc_type_name(a->type), "elements",
                                      cli_json_number(a->total), "shape", shape, "counts", counts));
    }
    return list_of_arrays;
}

static json_t *ranks_json(const contents *c) {
    json_t *list_of_ranks = json_array();
    for (size_t i = 0; i < c->rank_count; i++) {
        const wc_rank_row *r = &c->ranks[i];
        json_array_append_new(
            list_of_ranks,
            json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "rank",
                      cli_json_number(r->rank), "host", cli_json_text(r->host), "pid",
                      cli_json_number(r->pid), "step", cli_json_number(r->step), "bytes",
                      cli_json_number(r->bytes), "record_time", cli_json_real(r->record_time),
                      "arm_s", cli_json_real(r->arm_s), "record_s", cli_json_real(r->record_s),
                      "close_s", cli_json_real(r->close_s), "durable_s",
                      cli_json_real(r->durable_s), "stall_s", cli_json_real(r->stall_s)));
    }
    return list_of_ranks;
}

static json_t *channels_json(const contents *c) {
    json_t *channels = json_array();
    for (size_t i = 0; i < c->counter_count; i++) {
        const wc_counter_row *row = &c->counters[i];
        json_array_append_new(channels, json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
                                                  "communicator", cli_json_hex(row->comm), "source",
                                                  cli_json_number(row->source), "destination",
                                                  cli_json_number(row->destination), "sent",
                                                  cli_json_number(row->sent), "received",
                                                  cli_json_number(row->received), "in_flight",
                                                  cli_json_number(row->in_flight), "bytes",
                                                  cli_json_number(bytes_in_flight(c, row))));
    }
    return channels;
}

static json_t *comms_json(const contents *c) {
    json_t *comms = json_array();
    for (size_t i = 0; i < c->comm_count; i++) {
        const wc_comm_row *row = &c->comms[i];
        json_array_append_new(
            comms,
            json_pack("{s:o, s:o, s:o, s:I, s:o, s:o, s:o}", "uid", cli_json_hex(row->uid),
                      "parent", cli_json_hex(row->parent_uid), "how", cli_json_text(row->how),
                      "colour", (json_int_t)row->colour, "ordinal", cli_json_number(row->ordinal),
                      "size", cli_json_number(row->members_count), "collectives",
                      cli_json_number(row->collectives)));
    }
    return comms;
}

static void print_json(const contents *c, const char *path) {
    json_t *o = head_json(c->head, path);
    json_object_set_new(o, "arrays", arrays_json(c));
    json_object_set_new(o, "ranks", ranks_json(c));
    json_object_set_new(o, "channels", channels_json(c));
    json_object_set_new(o, "communicators", comms_json(c));
    json_object_set_new(o, "messages_in_flight", cli_json_number(c->message_count));
    cli_json_print(o);
}

/* ---- the command ---- */

static int show(void *context) {
    const options *o = context;
    contents c = {0};
    wc_error error = {WC_OK, ""};
    int code = CLI_OK;
    if (read_all(&c, o->path, &error) != WC_OK) {
        code = cli_fail("info", &error);
    } else if (o->json) {
        print_json(&c, o->path);
    } else {
        print_head(&c, o->path);
        print_arrays(&c);
        print_ranks(&c);
        print_channels(&c);
    }
    drop(&c);
    return code;
}

int cli_info(int argc, char **argv) {
    options o = {.target = cli_default_dir()};
    wc_error error = {WC_OK, ""};
    argp_parse(&argp, argc, argv, 0, NULL, &o);
    if (cli_target(o.target, o.path, &error) != WC_OK)
        return cli_fail("info", &error);
    char *path = o.path;
    return cli_guarded("info", &path, 1, show, &o);
}
