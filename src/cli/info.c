/* SPDX-License-Identifier: BSD-3-Clause */
#include "command.h"
#include "rows.h"
#include "table.h"
#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct options {
    cli_asked asked; /* first: cli_parse_asked knows this alone */
    char path[PATH_MAX];
} options;

/* How an array's elements are spread over the ranks. */
typedef struct spread {
    uint64_t least, most;
    uint32_t present; /* ranks that have it */
} spread;

/* A channel with messages in flight. */
typedef struct flow {
    uint64_t comm;
    uint32_t source, destination;
    uint64_t bytes;
} flow;

/* What is kept of the snapshot: nothing that grows with the ranks or the messages. */
typedef struct contents {
    wc_reader *reader;
    const wc_snapshot_head *head;
    const wc_array *arrays;
    size_t array_count;
    spread *spreads;    /* [array_count] */
    wc_comm_row *comms; /* by uid */
    size_t comm_count;
    wc_channel_sizes sizes;
    flow *flows; /* by channel */
    size_t flow_count, flow_room;
} contents;

static const struct argp_option list[] = {CLI_JSON, {0}};

static const struct argp argp = {
    .options = list,
    .parser = cli_parse_asked,
    .args_doc = "[FILE|DIR]",
    .doc = "Shows what a snapshot holds, or the newest one in DIR."
           "\v"
           "Times are those of each rank since it heard of the request. "
           "Default: WAVECUT_DIR, else " CLI_DEFAULT_DIR ".\n\n" CLI_EXIT_CODES};

/* ---- reading ---- */

static wc_status read_spread(contents *c, size_t array, wc_error *error) {
    spread *s = &c->spreads[array];
    *s = (spread){.least = UINT64_MAX};
    for (uint32_t rank = 0; rank < c->head->ranks; rank++) {
        wc_index_row row;
        if (wc_reader_index(c->reader, array, rank, &row, error) != WC_OK)
            return error->status;
        if (!row.present)
            continue;
        s->present++;
        s->least = row.count < s->least ? row.count : s->least;
        s->most = row.count > s->most ? row.count : s->most;
    }
    return WC_OK;
}

static int by_channel(const void *a, const void *b) {
    const flow *x = a, *y = b;
    return cli_compare_channels(x->comm, x->source, x->destination, y->comm, y->source,
                                y->destination);
}

static wc_status add_flow(contents *c, const wc_counter_row *row, wc_error *error) {
    if (c->flow_count == c->flow_room) {
        size_t room = c->flow_room ? 2 * c->flow_room : 64;
        flow *more = reallocarray(c->flows, room, sizeof *more);
        if (!more)
            return wc_error_set(error, WC_ERR_MEMORY, "no memory for the channels in flight");
        c->flows = more;
        c->flow_room = room;
    }
    c->flows[c->flow_count++] = (flow){row->comm, row->source, row->destination, 0};
    return WC_OK;
}

static flow *find_flow(const contents *c, uint64_t comm, uint32_t source, uint32_t destination) {
    flow key = {comm, source, destination, 0};
    return c->flow_count ? bsearch(&key, c->flows, c->flow_count, sizeof key, by_channel) : NULL;
}

static wc_status read_flows(contents *c, wc_error *error) {
    cli_each_counters counters = {.reader = c->reader};
    cli_each_messages messages = {.reader = c->reader};
    const wc_counter_row *row;
    const wc_message_row *message;
    while ((row = cli_each_counters_next(&counters, error)))
        if (row->in_flight && add_flow(c, row, error) != WC_OK)
            return error->status;
    if (c->flow_count)
        qsort(c->flows, c->flow_count, sizeof *c->flows, by_channel);
    while (error->status == WC_OK && (message = cli_each_messages_next(&messages, error))) {
        flow *f = find_flow(c, message->comm, message->source, message->destination);
        if (f)
            f->bytes += message->bytes;
    }
    return error->status;
}

static wc_status check_ranks(const contents *c, wc_error *error) {
    cli_each_ranks rows = {.reader = c->reader};
    while (cli_each_ranks_next(&rows, error))
        ;
    return error->status;
}

/* All that may be wrong is found here, before anything is printed. */
static wc_status read_all(contents *c, const char *path, wc_error *error) {
    wc_status status = wc_reader_open(path, &c->reader, error);
    if (status != WC_OK)
        return status;
    c->head = wc_reader_head(c->reader);
    c->array_count = wc_reader_arrays(c->reader, &c->arrays);
    wc_reader_sizes(c->reader, &c->sizes);
    c->spreads = calloc(c->array_count + 1, sizeof *c->spreads);
    if (!c->spreads)
        return wc_error_set(error, WC_ERR_MEMORY, "no memory to read %.300s", path);
    status = check_ranks(c, error);
    for (size_t i = 0; i < c->array_count && status == WC_OK; i++)
        status = read_spread(c, i, error);
    if (status == WC_OK)
        status = wc_reader_communicators(c->reader, &c->comms, &c->comm_count, error);
    if (status != WC_OK)
        return status;
    cli_comms_sort(c->comms, c->comm_count);
    return read_flows(c, error);
}

static void drop(contents *c) {
    free(c->spreads);
    free(c->comms);
    free(c->flows);
    if (c->reader)
        wc_reader_close(c->reader);
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

static void spread_text(const spread *s, char *text, size_t size) {
    const char *plural = s->present == 1 ? "" : "s";
    if (!s->present)
        snprintf(text, size, "on no rank");
    else if (s->least == s->most)
        snprintf(text, size, "%" PRIu64 " on %u rank%s", s->least, s->present, plural);
    else
        snprintf(text, size, "%" PRIu64 " to %" PRIu64 " on %u ranks", s->least, s->most,
                 s->present);
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
        cli_shape_text(a, text, sizeof text);
        cli_table_add(table, text);
        spread_text(&c->spreads[i], text, sizeof text);
        cli_table_add(table, text);
        cli_table_add(table, cli_bytes(a->total * wc_type_bytes(a->type)).text);
    }
    putchar('\n');
    cli_table_print(table, 0);
}

static wc_status print_ranks(const contents *c, wc_error *error) {
    static const cli_column columns[] = {
        {"rank", true},  {"host", false},  {"pid", true},    {"step", true},    {"state", true},
        {"armed", true}, {"record", true}, {"closed", true}, {"durable", true}, {"stall", true}};
    cli_table *table = cli_table_new(columns, sizeof columns / sizeof *columns);
    cli_each_ranks rows = {.reader = c->reader};
    const wc_rank_row *r;
    putchar('\n');
    while ((r = cli_each_ranks_next(&rows, error))) {
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
        if (cli_table_is_long(table))
            cli_table_flush(table);
    }
    cli_table_print(table, 0);
    return error->status;
}

/* Only channels with messages in flight: there may be many others. */
static wc_status print_channels(const contents *c, wc_error *error) {
    static const cli_column columns[] = {
        {"communicator", false}, {"from", true},      {"to", true},   {"sent", true},
        {"received", true},      {"in flight", true}, {"bytes", true}};
    char text[64];
    printf("\n%" PRIu64 " channel%s used, %" PRIu64 " message%s in flight", c->sizes.counters,
           c->sizes.counters == 1 ? "" : "s", c->sizes.messages, c->sizes.messages == 1 ? "" : "s");
    if (c->sizes.traced)
        printf(", %" PRIu64 " events in the trace", c->sizes.events);
    putchar('\n');
    if (!c->sizes.messages)
        return WC_OK;
    cli_table *table = cli_table_new(columns, sizeof columns / sizeof *columns);
    cli_each_counters rows = {.reader = c->reader};
    const wc_counter_row *row;
    while ((row = cli_each_counters_next(&rows, error))) {
        const flow *f = find_flow(c, row->comm, row->source, row->destination);
        if (!row->in_flight || !f)
            continue;
        cli_table_add(table, cli_comm_text(c->comms, c->comm_count, row->comm, text, sizeof text));
        cli_table_add(table, cli_count(row->source).text);
        cli_table_add(table, cli_count(row->destination).text);
        cli_table_add(table, cli_count(row->sent).text);
        cli_table_add(table, cli_count(row->received).text);
        cli_table_add(table, cli_count(row->in_flight).text);
        cli_table_add(table, cli_bytes(f->bytes).text);
        if (cli_table_is_long(table))
            cli_table_flush(table);
    }
    cli_table_print(table, 0);
    return error->status;
}

/* ---- for scripts ---- */

static void put_head(const wc_snapshot_head *h, const char *path) {
    cli_json_put("file", cli_json_text(path));
    cli_json_put("id", cli_json_number(h->id));
    cli_json_put("parent_id", cli_json_number(h->parent_id));
    cli_json_put("run_id", cli_json_hex(h->run_id));
    cli_json_put("time", cli_json_real(h->time));
    cli_json_put("cut", json_string(h->immediate ? "immediate" : "aligned"));
    cli_json_put("ranks_count", cli_json_number(h->ranks));
    cli_json_put("initiator", cli_json_number(h->initiator));
    cli_json_put("program", cli_json_text(h->program));
    cli_json_put("mpi_library", cli_json_text(h->mpi_library));
    cli_json_put("wavecut", cli_json_text(h->version));
}

static wc_status put_array(const contents *c, size_t array, wc_error *error) {
    const wc_array *a = &c->arrays[array];
    json_t *shape = a->ndims ? json_array() : json_null();
    for (uint32_t d = 0; d < a->ndims; d++)
        json_array_append_new(shape, cli_json_number(a->shape[d]));
    cli_json_begin(NULL, '{');
    cli_json_put("name", cli_json_text(a->name));
    cli_json_put("type", json_string(wc_type_name(a->type)));
    cli_json_put("elements", cli_json_number(a->total));
    cli_json_put("shape", shape);
    cli_json_begin("counts", '[');
    for (uint32_t rank = 0; rank < c->head->ranks; rank++) {
        wc_index_row row;
        if (wc_reader_index(c->reader, array, rank, &row, error) != WC_OK)
            return error->status;
        cli_json_put(NULL, row.present ? cli_json_number(row.count) : json_null());
    }
    cli_json_end();
    cli_json_end();
    return WC_OK;
}

static wc_status put_ranks(const contents *c, wc_error *error) {
    cli_each_ranks rows = {.reader = c->reader};
    const wc_rank_row *r;
    cli_json_begin("ranks", '[');
    while ((r = cli_each_ranks_next(&rows, error)))
        cli_json_put(NULL,
                     json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "rank",
                               cli_json_number(r->rank), "host", cli_json_text(r->host), "pid",
                               cli_json_number(r->pid), "step", cli_json_number(r->step), "bytes",
                               cli_json_number(r->bytes), "record_time",
                               cli_json_real(r->record_time), "arm_s", cli_json_real(r->arm_s),
                               "record_s", cli_json_real(r->record_s), "close_s",
                               cli_json_real(r->close_s), "durable_s", cli_json_real(r->durable_s),
                               "stall_s", cli_json_real(r->stall_s)));
    cli_json_end();
    return error->status;
}

static wc_status put_channels(const contents *c, wc_error *error) {
    cli_each_counters rows = {.reader = c->reader};
    const wc_counter_row *row;
    cli_json_begin("channels", '[');
    while ((row = cli_each_counters_next(&rows, error))) {
        const flow *f = find_flow(c, row->comm, row->source, row->destination);
        cli_json_put(
            NULL, json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "communicator",
                            cli_json_hex(row->comm), "source", cli_json_number(row->source),
                            "destination", cli_json_number(row->destination), "sent",
                            cli_json_number(row->sent), "received", cli_json_number(row->received),
                            "in_flight", cli_json_number(row->in_flight), "bytes",
                            cli_json_number(f ? f->bytes : 0)));
    }
    cli_json_end();
    return error->status;
}

static wc_status put_comms(const contents *c, wc_error *error) {
    wc_comm_row *rows; /* in the order of the file */
    size_t count;
    wc_status status = wc_reader_communicators(c->reader, &rows, &count, error);
    if (status != WC_OK)
        return status;
    cli_json_begin("communicators", '[');
    for (size_t i = 0; i < count; i++) {
        const wc_comm_row *row = &rows[i];
        cli_json_put(NULL,
                     json_pack("{s:o, s:o, s:o, s:I, s:o, s:o, s:o}", "uid", cli_json_hex(row->uid),
                               "parent", cli_json_hex(row->parent_uid), "how",
                               cli_json_text(row->how), "colour", (json_int_t)row->colour,
                               "ordinal", cli_json_number(row->ordinal), "size",
                               cli_json_number(row->members_count), "collectives",
                               cli_json_number(row->collectives)));
    }
    cli_json_end();
    free(rows);
    return WC_OK;
}

static wc_status print_json(const contents *c, const char *path, wc_error *error) {
    cli_json_begin(NULL, '{');
    put_head(c->head, path);
    cli_json_begin("arrays", '[');
    for (size_t i = 0; i < c->array_count && error->status == WC_OK; i++)
        put_array(c, i, error);
    cli_json_end();
    if (error->status == WC_OK && put_ranks(c, error) == WC_OK && put_channels(c, error) == WC_OK &&
        put_comms(c, error) == WC_OK) {
        cli_json_put("messages_in_flight", cli_json_number(c->sizes.messages));
        cli_json_put("events", c->sizes.traced ? cli_json_number(c->sizes.events) : json_null());
        cli_json_end();
    }
    return error->status;
}

/* ---- the command ---- */

static wc_status print(const contents *c, const char *path, wc_error *error) {
    print_head(c, path);
    print_arrays(c);
    wc_status status = print_ranks(c, error);
    return status == WC_OK ? print_channels(c, error) : status;
}

static int show(void *context) {
    const options *o = context;
    contents c = {0};
    wc_error error = {WC_OK, ""};
    if (read_all(&c, o->path, &error) == WC_OK) {
        if (o->asked.json)
            print_json(&c, o->path, &error);
        else
            print(&c, o->path, &error);
    }
    int code = error.status == WC_OK ? CLI_OK : cli_fail("info", &error);
    drop(&c);
    return code;
}

static int run(int argc, char **argv) {
    options o = {.asked.most = 1};
    wc_error error = {WC_OK, ""};
    argp_parse(&argp, argc, argv, 0, NULL, &o);
    if (cli_target(cli_first(&o.asked, cli_default_dir()), o.path, &error) != WC_OK)
        return cli_fail("info", &error);
    char *path = o.path;
    return cli_guarded("info", &path, 1, show, &o);
}

const cli_command cli_info = {"info", "show arrays, ranks and channels of a snapshot", &argp, run};
