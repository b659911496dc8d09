/* SPDX-License-Identifier: BSD-3-Clause */
#include "command.h"
#include "element.h"
#include "file.h"
#include "output.h"
#include "store/pieces.h"
#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NONE = -1 };

typedef struct options {
    cli_asked asked;    /* first: cli_parse_asked knows this alone */
    const char *array;  /* NULL: a message */
    const char *output; /* NULL: standard output */
    long long rank, message;
    bool raw, force;
    char path[PATH_MAX];
} options;

static error_t parse(int key, char *argument, struct argp_state *state) {
    options *o = state->input;
    switch (key) {
    case 'r':
        o->rank = cli_integer(state, "--rank", argument, 0, UINT32_MAX);
        return 0;
    case 'm':
        o->message = cli_integer(state, "--message", argument, 0, INT64_MAX);
        return 0;
    case 'o':
        o->output = argument;
        return 0;
    case 'w':
        o->raw = true;
        return 0;
    case 'f':
        o->force = true;
        return 0;
    case ARGP_KEY_END:
        if (o->message == NONE && !o->asked.count)
            argp_error(state, "which array? 'wavecut info' lists them");
        if (o->message != NONE && (o->asked.count > 1 || o->rank != NONE))
            argp_error(state, "a message is neither an array nor of one rank");
        if (o->asked.json && !o->output)
            argp_error(state, "--json needs --output: standard output is for one of the two");
        return 0;
    default:
        return cli_parse_asked(key, argument, state);
    }
}

static const struct argp_option list[] = {
    {"rank", 'r', "R", 0, "of the array, what rank R has", 0},
    {"message", 'm', "N", 0, "the bytes of a message in flight, its number in 'wavecut messages'",
     0},
    {"output", 'o', "FILE", 0, "write FILE, not standard output", 0},
    {"raw", 'w', NULL, 0, "an array's bytes alone, without the head that makes it a .npy file", 0},
    {"force", 'f', NULL, 0, "replace FILE if it is there", 0},
    CLI_JSON,
    {0}};

static const struct argp argp = {
    .options = list,
    .parser = parse,
    .args_doc = "[FILE|DIR] ARRAY\n--message=N [FILE|DIR]",
    .doc = "Writes an array of a snapshot as a .npy file, which numpy.load reads, or a message in "
           "flight as the bytes that it has."
           "\v"
           "An array is written as it stands in the file: a global one in its shape, else the "
           "elements of all ranks, one rank after the other. Bytes are little-endian. Each piece "
           "is checked against its checksums before it is written; if one is damaged, FILE is not "
           "made, and on standard output only what comes before it has been written. FILE is on "
           "the disk when the command ends well. Default: WAVECUT_DIR, else " CLI_DEFAULT_DIR
           ".\n\n" CLI_EXIT_CODES};

/* ---- what ---- */

/* What is written: found, opened, described. */
typedef struct subject {
    wc_pieces *pieces;
    bool array;
    wc_type type;
    uint32_t ndims;
    uint64_t shape[WC_STORE_MAX_DIMS];
    char name[WC_STORE_NAME_BYTES + 64]; /* for people */
} subject;

static wc_status find_array(wc_reader *reader, const options *o, size_t *array, wc_error *error) {
    const wc_array *arrays;
    size_t count = wc_reader_arrays(reader, &arrays);
    for (size_t i = 0; i < count; i++)
        if (strcmp(arrays[i].name, o->array) == 0) {
            *array = i;
            return WC_OK;
        }
    return wc_error_set(error, WC_ERR_NOT_FOUND,
                        "there is no array \"%.200s\" in %.250s; 'wavecut info' lists them",
                        o->array, o->path);
}

static void shape_of(const wc_array *a, const wc_index_row *row, subject *s) {
    wc_box box = {.ndims = a->ndims};
    if (row && a->ndims)
        box = wc_index_box(a, row);
    s->ndims = a->ndims ? a->ndims : 1;
    s->shape[0] = row ? row->count : a->total;
    for (uint32_t d = 0; d < a->ndims; d++)
        s->shape[d] = row ? box.local[d] : a->shape[d];
}

static wc_status select_rank(wc_reader *reader, const options *o, size_t array, subject *s,
                             wc_error *error) {
    const wc_array *arrays;
    wc_index_row row;
    wc_reader_arrays(reader, &arrays);
    wc_status status = wc_pieces_select(s->pieces, (uint32_t)o->rank, error);
    if (status == WC_OK)
        status = wc_reader_index(reader, array, (uint32_t)o->rank, &row, error);
    if (status != WC_OK)
        return status;
    if (!row.present)
        return wc_error_set(error, WC_ERR_NOT_FOUND, "rank %lld has no array \"%s\" in %.200s",
                            o->rank, o->array, o->path);
    shape_of(&arrays[array], &row, s);
    snprintf(s->name, sizeof s->name, "%s of rank %lld", o->array, o->rank);
    return WC_OK;
}

static wc_status open_array(wc_reader *reader, const options *o, subject *s, wc_error *error) {
    const wc_array *arrays;
    size_t i = 0;
    wc_status status = find_array(reader, o, &i, error);
    if (status == WC_OK)
        status = wc_pieces_of_array(reader, i, &s->pieces, error);
    if (status != WC_OK)
        return status;
    wc_reader_arrays(reader, &arrays);
    s->array = true;
    s->type = arrays[i].type;
    shape_of(&arrays[i], NULL, s);
    snprintf(s->name, sizeof s->name, "%s", o->array);
    return o->rank == NONE ? WC_OK : select_rank(reader, o, i, s, error);
}

static wc_status open_message(wc_reader *reader, const options *o, subject *s, wc_error *error) {
    wc_channel_sizes sizes;
    wc_message_row row;
    wc_reader_sizes(reader, &sizes);
    if ((uint64_t)o->message >= sizes.messages)
        return wc_error_set(error, WC_ERR_NOT_FOUND,
                            "there is no message %lld in %.300s: %" PRIu64
                            " are in flight, counted from 0",
                            o->message, o->path, sizes.messages);
    wc_status status = wc_reader_messages_at(reader, (uint64_t)o->message, 1, &row, error);
    if (status != WC_OK)
        return status;
    snprintf(s->name, sizeof s->name, "message %lld, from rank %u to rank %u with tag %d",
             o->message, row.source, row.destination, row.tag);
    return wc_pieces_of_message(reader, &row, &s->pieces, error);
}

/* ---- writing ---- */

enum { NPY_ALIGN = 64, NPY_HEAD = 10, NPY_MOST = 1024 };

/* The head of a .npy file, version 1.0: magic, the length of the text, a dictionary of Python, blanks so that data are aligned. */
static wc_status write_head(cli_file *file, const subject *s, wc_error *error) {
    char head[NPY_MOST] = "\x93NUMPY\x01";
    int used = NPY_HEAD;
    used +=
        snprintf(head + used, sizeof head - (size_t)used,
                 "{'descr': %s, 'fortran_order': False, 'shape': (", cli_element_numpy(s->type));
    for (uint32_t d = 0; d < s->ndims; d++)
        used += snprintf(head + used, sizeof head - (size_t)used, "%" PRIu64 ",%s", s->shape[d],
                         d + 1 < s->ndims ? " " : "");
    used += snprintf(head + used, sizeof head - (size_t)used, "), }");
    int all = (used + NPY_ALIGN) / NPY_ALIGN * NPY_ALIGN;
    memset(head + used, ' ', (size_t)(all - used));
    head[all - 1] = '\n';
    head[NPY_HEAD - 2] = (char)((all - NPY_HEAD) & 0xff);
    head[NPY_HEAD - 1] = (char)((all - NPY_HEAD) >> 8);
    return cli_file_write(file, head, (size_t)all, error);
}

static wc_status copy(cli_file *file, wc_pieces *pieces, wc_error *error) {
    const void *piece;
    size_t bytes;
    while (wc_pieces_next(pieces, &piece, &bytes, error) == WC_OK && bytes) {
        if (cli_file_write(file, piece, bytes, error) != WC_OK)
            break;
        cli_progress_add(NULL, bytes);
    }
    return error->status;
}

static wc_status write_all(const options *o, const subject *s, wc_error *error) {
    cli_file file;
    if (cli_file_create(&file, o->output, o->force, error) != WC_OK)
        return error->status;
    cli_progress_begin(s->name, wc_pieces_bytes(s->pieces));
    if (s->array && !o->raw)
        write_head(&file, s, error);
    if (error->status == WC_OK)
        copy(&file, s->pieces, error);
    cli_progress_end();
    if (error->status != WC_OK)
        cli_file_abandon(&file);
    else
        cli_file_commit(&file, error);
    return error->status;
}

static void print_json(const options *o, const subject *s) {
    cli_json_begin(NULL, '{');
    cli_json_put("snapshot", cli_json_text(o->path));
    cli_json_put("file", cli_json_text(o->output));
    cli_json_put("bytes", cli_json_number(wc_pieces_bytes(s->pieces)));
    if (s->array) {
        json_t *shape = json_array();
        for (uint32_t d = 0; d < s->ndims; d++)
            json_array_append_new(shape, cli_json_number(s->shape[d]));
        cli_json_put("array", cli_json_text(o->array));
        cli_json_put("type", json_string(wc_type_name(s->type)));
        cli_json_put("shape", shape);
    } else {
        cli_json_put("message", cli_json_number((uint64_t)o->message));
    }
    cli_json_end();
}

static void print_line(const options *o, const subject *s) {
    char *name = cli_escape(o->output);
    printf("%s: %s, %s\n", name ? name : "?", s->name, cli_bytes(wc_pieces_bytes(s->pieces)).text);
    free(name);
}

static int extract(void *context) {
    const options *o = context;
    wc_error error = {WC_OK, ""};
    wc_reader *reader = NULL;
    subject s = {0};
    if (wc_reader_open(o->path, &reader, &error) == WC_OK &&
        (o->array ? open_array : open_message)(reader, o, &s, &error) == WC_OK &&
        write_all(o, &s, &error) == WC_OK && o->output)
        (o->asked.json ? print_json : print_line)(o, &s);
    wc_pieces_close(s.pieces);
    if (reader)
        wc_reader_close(reader);
    return error.status == WC_OK ? CLI_OK : cli_fail("extract", &error);
}

static int run(int argc, char **argv) {
    options o = {.asked.most = 2, .rank = NONE, .message = NONE};
    wc_error error = {WC_OK, ""};
    argp_parse(&argp, argc, argv, 0, NULL, &o);
    if (o.message == NONE)
        o.array = o.asked.arguments[--o.asked.count];
    if (cli_target(cli_first(&o.asked, cli_default_dir()), o.path, &error) != WC_OK)
        return cli_fail("extract", &error);
    char *path = o.path;
    return cli_guarded("extract", &path, 1, extract, &o);
}

const cli_command cli_extract = {"extract", "write an array or a message to a file", &argp, run};
