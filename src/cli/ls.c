/* SPDX-License-Identifier: BSD-3-Clause */
#include "command.h"
#include "table.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct options {
    cli_asked asked; /* first: cli_parse_asked knows this alone */
    const char *dir;
    char **paths; /* of the snapshots, newest first */
    size_t count;
    uint64_t finished; /* id of the run that has; 0: none */
} options;

/* One snapshot as the list shows it. */
typedef struct entry {
    const char *file;
    uint64_t file_bytes, state_bytes, messages;
    wc_snapshot_head head; /* its strings are not kept */
    wc_error error;        /* why it can't be used */
} entry;

static const struct argp_option list[] = {CLI_JSON, {0}};

static const struct argp argp = {
    .options = list,
    .parser = cli_parse_asked,
    .args_doc = "[DIR]",
    .doc =
        "Lists the snapshots in DIR, newest first."
        "\v"
        "\"complete\" means that the snapshot was committed, and that the file's metadata are as "
        "they were written; 'wavecut verify' checks all of it. Default: WAVECUT_DIR, "
        "else " CLI_DEFAULT_DIR ".\n\n" CLI_EXIT_CODES};

/* ---- reading ---- */

static void read_contents(wc_reader *reader, entry *e) {
    const wc_array *arrays;
    wc_channel_sizes sizes;
    size_t n = wc_reader_arrays(reader, &arrays);
    for (size_t i = 0; i < n; i++)
        e->state_bytes += arrays[i].total * wc_type_bytes(arrays[i].type);
    wc_reader_sizes(reader, &sizes);
    e->messages = sizes.messages;
    e->head = *wc_reader_head(reader);
}

static entry look(const char *path) {
    const char *slash = strrchr(path, '/');
    entry e = {.file = slash ? slash + 1 : path, .error = {WC_OK, ""}};
    struct stat s;
    wc_reader *reader;
    if (stat(path, &s) == 0)
        e.file_bytes = (uint64_t)s.st_size;
    if (wc_reader_open(path, &reader, &e.error) == WC_OK) {
        read_contents(reader, &e);
        wc_reader_close(reader);
    }
    return e;
}

/* ---- printing ---- */

static json_t *to_json(const entry *e) {
    json_t *o = json_pack("{s:o, s:o, s:s}", "file", cli_json_text(e->file), "file_bytes",
                          cli_json_number(e->file_bytes), "status",
                          e->error.status == WC_OK ? "complete" : "damaged");
    if (e->error.status != WC_OK) {
        json_object_set_new(o, "error", cli_json_text(e->error.text));
        return o;
    }
    json_object_set_new(o, "id", cli_json_number(e->head.id));
    json_object_set_new(o, "time", cli_json_real(e->head.time));
    json_object_set_new(o, "ranks", cli_json_number(e->head.ranks));
    json_object_set_new(o, "cut", json_string(e->head.immediate ? "immediate" : "aligned"));
    json_object_set_new(o, "state_bytes", cli_json_number(e->state_bytes));
    json_object_set_new(o, "messages_in_flight", cli_json_number(e->messages));
    json_object_set_new(o, "run_id", cli_json_hex(e->head.run_id));
    return o;
}

static const cli_column columns[] = {{"snapshot", false}, {"time (UTC)", false}, {"age", true},
                                     {"ranks", true},     {"cut", false},        {"state", true},
                                     {"in flight", true}, {"file", true},        {"status", false}};

enum { COLUMNS = sizeof columns / sizeof *columns };

static void add(cli_table *table, const entry *e) {
    cli_table_add(table, e->file);
    if (e->error.status != WC_OK) {
        for (int i = 0; i < COLUMNS - 3; i++)
            cli_table_add(table, "");
        cli_table_add(table, cli_bytes(e->file_bytes).text);
        cli_table_add_styled(table, "damaged", CLI_BAD);
        return;
    }
    cli_table_add(table, cli_utc(e->head.time).text);
    cli_table_add(table, cli_age(e->head.time).text);
    cli_table_add(table, cli_count(e->head.ranks).text);
    cli_table_add(table, e->head.immediate ? "immediate" : "aligned");
    cli_table_add(table, cli_bytes(e->state_bytes).text);
    cli_table_add(table, cli_count(e->messages).text);
    cli_table_add(table, cli_bytes(e->file_bytes).text);
    cli_table_add_styled(table, "complete", CLI_GOOD);
}

/* What is wrong comes after the table, and on standard error. */
static int print_table(const entry *entries, const options *o) {
    int code = CLI_OK;
    if (o->count) {
        cli_table *table = cli_table_new(columns, COLUMNS);
        for (size_t i = 0; i < o->count; i++)
            add(table, &entries[i]);
        cli_table_print(table, 0);
    } else {
        char *dir = cli_escape(o->dir);
        printf("no snapshots in %s\n", dir ? dir : "?");
        free(dir);
    }
    if (o->finished)
        puts("the run has finished");
    fflush(stdout);
    for (size_t i = 0; i < o->count; i++)
        if (entries[i].error.status != WC_OK)
            code = cli_fail("ls", &entries[i].error);
    return code;
}

static int print_json(const entry *entries, const options *o) {
    int code = CLI_OK;
    json_t *snapshots = json_array();
    for (size_t i = 0; i < o->count; i++) {
        json_array_append_new(snapshots, to_json(&entries[i]));
        if (entries[i].error.status != WC_OK)
            code = cli_exit_code(entries[i].error.status);
    }
    cli_json_print(json_pack("{s:o, s:o, s:o}", "directory", cli_json_text(o->dir), "finished_run",
                             o->finished ? cli_json_hex(o->finished) : json_null(), "snapshots",
                             snapshots));
    return code;
}

static int show(void *context) {
    const options *o = context;
    entry *entries = calloc(o->count + 1, sizeof *entries);
    if (!entries)
        return CLI_IO;
    for (size_t i = 0; i < o->count; i++)
        entries[i] = look(o->paths[i]);
    int code = o->asked.json ? print_json(entries, o) : print_table(entries, o);
    free(entries);
    return code;
}

/* ---- the command ---- */

static wc_status find_snapshots(options *o, wc_error *error) {
    uint64_t *ids;
    size_t count;
    wc_status status = wc_store_list(o->dir, &ids, &count, error);
    if (status != WC_OK)
        return status;
    o->paths = calloc(count + 1, sizeof *o->paths);
    for (size_t i = 0; o->paths && i < count; i++) {
        char path[PATH_MAX];
        wc_store_snapshot_path(o->dir, ids[i], path, sizeof path);
        o->paths[i] = strdup(path);
        if (!o->paths[i])
            break;
        o->count++;
    }
    free(ids);
    return o->count == count ? WC_OK : wc_error_set(error, WC_ERR_MEMORY, "out of memory");
}

static int run(int argc, char **argv) {
    options o = {.asked.most = 1};
    wc_error error = {WC_OK, ""};
    argp_parse(&argp, argc, argv, 0, NULL, &o);
    o.dir = cli_first(&o.asked, cli_default_dir());
    int code;
    if (find_snapshots(&o, &error) != WC_OK ||
        wc_store_read_finished(o.dir, &o.finished, &error) != WC_OK)
        code = cli_fail("ls", &error);
    else
        code = cli_guarded("ls", o.paths, o.count, show, &o);
    for (size_t i = 0; i < o.count; i++)
        free(o.paths[i]);
    free(o.paths);
    return code;
}

const cli_command cli_ls = {"ls", "list the snapshots in a directory", &argp, run};
