/* SPDX-License-Identifier: BSD-3-Clause */
#include "command.h"
#include "element.h"
#include "rows.h"
#include "store/pieces.h"
#include "table.h"
#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ANY = -1, PAYLOAD_MOST = 1 << 20 };

typedef struct options {
    cli_asked asked; /* first: cli_parse_asked knows this alone */
    long long from, to;
    bool has_tag;
    int32_t tag;
    const char *comm; /* NULL: any */
    uint64_t limit;
    size_t payload; /* bytes of each message to show */
    bool typed;
    wc_type type; /* of what they are shown as */
    char path[PATH_MAX];
} options;

static error_t parse(int key, char *argument, struct argp_state *state) {
    options *o = state->input;
    switch (key) {
    case 'f':
        o->from = cli_integer(state, "--from", argument, 0, UINT32_MAX);
        return 0;
    case 't':
        o->to = cli_integer(state, "--to", argument, 0, UINT32_MAX);
        return 0;
    case 'g':
        o->has_tag = true;
        o->tag = (int32_t)cli_integer(state, "--tag", argument, INT32_MIN, INT32_MAX);
        return 0;
    case 'c':
        o->comm = argument;
        return 0;
    case 'n':
        o->limit = (uint64_t)cli_integer(state, "--limit", argument, 0, INT64_MAX);
        return 0;
    case 'p':
        o->payload = (size_t)cli_integer(state, "--payload", argument, 1, PAYLOAD_MOST);
        return 0;
    case 'a':
        o->typed = cli_type_named(argument, &o->type);
        if (!o->typed)
            argp_error(state,
                       "--as takes i8, u8, ..., u64, f32, f64, fld, c32, c64, cld or bool, "
                       "not \"%s\"",
                       argument);
        return 0;
    case ARGP_KEY_END:
        if (o->typed && !o->payload)
            argp_error(state, "--as says how to show what --payload asks for");
        return 0;
    default:
        return cli_parse_asked(key, argument, state);
    }
}

static const struct argp_option list[] = {
    {"from", 'f', "R", 0, "only messages that rank R has sent", 0},
    {"to", 't', "R", 0, "only messages to rank R", 0},
    {"tag", 'g', "TAG", 0, "only messages with this tag", 0},
    {"comm", 'c', "COMM", 0,
     "only messages on this communicator: the eight or sixteen digits that are shown of it, or "
     "how it was made (world, dup, split, ...)",
     0},
    {"limit", 'n', "N", 0, "show N messages at most", 0},
    {"payload", 'p', "BYTES", 0, "show so many of the first bytes of each message, in hexadecimal",
     0},
    {"as", 'a', "TYPE", 0, "show them as numbers of this type: i32, f64, ...", 0},
    CLI_JSON,
    {0}};

static const struct argp argp = {
    .options = list,
    .parser = parse,
    .args_doc = "[FILE|DIR]",
    .doc = "Lists the messages in flight in a snapshot: sent before the cut, received behind it."
           "\v"
           "They are numbered as the file has them, which is what 'wavecut extract' asks for and "
           "the index in /channels/messages; those of one channel stand in the order in which "
           "they can be received. Ranks are those of the job. The bytes are as MPI has packed "
           "them. Default: WAVECUT_DIR, else " CLI_DEFAULT_DIR ".\n\n" CLI_EXIT_CODES};

/* ---- which ---- */

typedef struct listing {
    const options *o;
    wc_reader *reader;
    wc_comm_row *comms; /* by uid */
    size_t comm_count;
    uint64_t matching, shown;
} listing;

static bool is_comm(const listing *l, uint64_t uid) {
    char all[24], *digits = all + 8;
    snprintf(all, sizeof all, "%016" PRIx64, uid);
    if (strcmp(l->o->comm, all) == 0 || strcmp(l->o->comm, digits) == 0)
        return true;
    const wc_comm_row *row = cli_comm_find(l->comms, l->comm_count, uid);
    return row && strcmp(row->how, l->o->comm) == 0;
}

static bool matches(const listing *l, const wc_message_row *m) {
    const options *o = l->o;
    return (o->from == ANY || m->source == o->from) && (o->to == ANY || m->destination == o->to) &&
           (!o->has_tag || m->tag == o->tag) && (!o->comm || is_comm(l, m->comm));
}

/* ---- one ---- */

/* The first bytes of a message, as many as are asked for and there. */
typedef struct beginning {
    wc_pieces *pieces;
    const unsigned char *at;
    size_t bytes;
} beginning;

static wc_status begin(const listing *l, const wc_message_row *m, beginning *b, wc_error *error) {
    const void *piece = NULL;
    *b = (beginning){0};
    if (!l->o->payload || wc_pieces_of_message(l->reader, m, &b->pieces, error) != WC_OK)
        return error->status;
    if (wc_pieces_next(b->pieces, &piece, &b->bytes, error) != WC_OK)
        return error->status;
    b->at = piece;
    b->bytes = b->bytes < l->o->payload ? b->bytes : l->o->payload;
    return WC_OK;
}

/* As hexadecimal digits, or as numbers, of which the last may be cut off. */
static char *payload_text(const options *o, const beginning *b) {
    char *text = NULL;
    size_t room, each = o->typed ? wc_type_bytes(o->type) : 1;
    FILE *out = open_memstream(&text, &room);
    if (!out)
        return NULL;
    for (size_t i = 0; i + each <= b->bytes; i += each) {
        if (o->typed) {
            fputs(i ? " " : "", out);
            cli_element_print(out, o->type, b->at + i);
        } else {
            fprintf(out, "%s%02x", i && i % 4 == 0 ? " " : "", b->at[i]);
        }
    }
    fclose(out);
    return text;
}

static json_t *payload_json(const options *o, const beginning *b) {
    size_t each = o->typed ? wc_type_bytes(o->type) : 1;
    if (!o->typed) {
        char *text = calloc(2, b->bytes + 1);
        for (size_t i = 0; text && i < b->bytes; i++)
            sprintf(text + 2 * i, "%02x", b->at[i]);
        json_t *value = cli_json_text(text ? text : "");
        free(text);
        return value;
    }
    json_t *values = json_array();
    for (size_t i = 0; i + each <= b->bytes; i += each)
        json_array_append_new(values, cli_element_json(o->type, b->at + i));
    return values;
}

static const cli_column columns[] = {{"message", true}, {"from", true},          {"to", true},
                                     {"tag", true},     {"communicator", false}, {"order", true},
                                     {"bytes", true},   {"begins with", false}};

static void add(const listing *l, cli_table *table, uint64_t number, const wc_message_row *m,
                const beginning *b) {
    char text[64];
    cli_table_add(table, cli_count(number).text);
    cli_table_add(table, cli_count(m->source).text);
    cli_table_add(table, cli_count(m->destination).text);
    snprintf(text, sizeof text, "%d", m->tag);
    cli_table_add(table, text);
    cli_table_add(table, cli_comm_text(l->comms, l->comm_count, m->comm, text, sizeof text));
    cli_table_add(table, cli_count(m->sequence).text);
    cli_table_add(table, cli_count(m->bytes).text);
    if (l->o->payload) {
        char *payload = payload_text(l->o, b);
        cli_table_add(table, payload ? payload : "?");
        free(payload);
    }
    if (cli_table_is_long(table))
        cli_table_flush(table);
}

static void put(const listing *l, uint64_t number, const wc_message_row *m, const beginning *b) {
    json_t *o = json_pack("{s:o, s:o, s:o, s:i, s:o, s:o, s:o}", "message", cli_json_number(number),
                          "source", cli_json_number(m->source), "destination",
                          cli_json_number(m->destination), "tag", (int)m->tag, "communicator",
                          cli_json_hex(m->comm), "sequence", cli_json_number(m->sequence), "bytes",
                          cli_json_number(m->bytes));
    if (l->o->payload)
        json_object_set_new(o, l->o->typed ? "values" : "payload", payload_json(l->o, b));
    cli_json_put(NULL, o);
}

/* ---- all ---- */

/* Before anything is printed: a table that is damaged is found here. */
static wc_status count_messages(listing *l, wc_error *error) {
    cli_each_messages rows = {.reader = l->reader};
    const wc_message_row *m;
    while ((m = cli_each_messages_next(&rows, error)))
        l->matching += matches(l, m);
    return error->status;
}

/* `table` NULL: as JSON. */
static wc_status list_messages(listing *l, cli_table *table, wc_error *error) {
    cli_each_messages rows = {.reader = l->reader};
    const wc_message_row *m;
    for (uint64_t number = 0; (m = cli_each_messages_next(&rows, error)); number++) {
        beginning b;
        if (!matches(l, m))
            continue;
        if (l->shown == l->o->limit)
            break;
        if (begin(l, m, &b, error) == WC_OK) {
            l->shown++;
            if (table)
                add(l, table, number, m, &b);
            else
                put(l, number, m, &b);
        }
        wc_pieces_close(b.pieces);
        if (error->status != WC_OK)
            break;
    }
    return error->status;
}

static void print(listing *l, wc_error *error) {
    size_t count = sizeof columns / sizeof *columns - (l->o->payload ? 0 : 1);
    wc_channel_sizes sizes;
    wc_reader_sizes(l->reader, &sizes);
    cli_table *table = cli_table_new(columns, count);
    list_messages(l, table, error);
    if (l->shown)
        cli_table_print(table, 0);
    else
        cli_table_free(table);
    if (error->status == WC_OK)
        printf("%s%" PRIu64 " of %" PRIu64 " messages in flight\n", l->shown ? "\n" : "", l->shown,
               sizes.messages);
}

static void print_json(listing *l, wc_error *error) {
    wc_channel_sizes sizes;
    wc_reader_sizes(l->reader, &sizes);
    cli_json_begin(NULL, '{');
    cli_json_put("file", cli_json_text(l->o->path));
    cli_json_put("messages_in_flight", cli_json_number(sizes.messages));
    cli_json_put("matching", cli_json_number(l->matching));
    cli_json_begin("messages", '[');
    list_messages(l, NULL, error);
    cli_json_end();
    cli_json_end();
}

static int show(void *context) {
    const options *o = context;
    wc_error error = {WC_OK, ""};
    listing l = {.o = o};
    if (wc_reader_open(o->path, &l.reader, &error) == WC_OK &&
        wc_reader_communicators(l.reader, &l.comms, &l.comm_count, &error) == WC_OK) {
        cli_comms_sort(l.comms, l.comm_count);
        if (count_messages(&l, &error) == WC_OK)
            (o->asked.json ? print_json : print)(&l, &error);
    }
    fflush(stdout);
    int code = error.status == WC_OK ? CLI_OK : cli_fail("messages", &error);
    free(l.comms);
    if (l.reader)
        wc_reader_close(l.reader);
    return code;
}

static int run(int argc, char **argv) {
    options o = {.asked.most = 1, .from = ANY, .to = ANY, .limit = UINT64_MAX};
    wc_error error = {WC_OK, ""};
    argp_parse(&argp, argc, argv, 0, NULL, &o);
    if (cli_target(cli_first(&o.asked, cli_default_dir()), o.path, &error) != WC_OK)
        return cli_fail("messages", &error);
    char *path = o.path;
    return cli_guarded("messages", &path, 1, show, &o);
}

const cli_command cli_messages = {"messages", "list the messages in flight", &argp, run};
