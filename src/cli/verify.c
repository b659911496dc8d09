/* SPDX-License-Identifier: BSD-3-Clause */
#include "command.h"
#include "output.h"
#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct options {
    cli_asked asked; /* first: cli_parse_asked knows this alone */
    bool all;
    char **paths;
    size_t count;
} options;

static error_t parse(int key, char *argument, struct argp_state *state) {
    options *o = state->input;
    if (key != 'a')
        return cli_parse_asked(key, argument, state);
    o->all = true;
    return 0;
}

static const struct argp_option list[] = {
    {"all", 'a', NULL, 0, "verify all snapshots of a directory, not the newest alone", 0},
    CLI_JSON,
    {0}};

static const struct argp argp = {
    .options = list,
    .parser = parse,
    .args_doc = "[FILE|DIR...]",
    .doc = "Reads snapshots and checks that they are whole and consistent cuts."
           "\v"
           "Checked are all bytes against their checksums, that the ranks' parts fill each array, "
           "and that on each channel the messages sent are those received and those in flight. "
           "Where the job has kept a trace (WAVECUT_TRACE) that is checked for each tag, and by "
           "vector clocks: no rank's record may know of what another one did after its own. "
           "A cut that is not consistent is shown with a witness: which message it is that was "
           "received before its receiver's record and sent after its sender's, or is lost, or "
           "there twice.\n\n"
           "Default: WAVECUT_DIR, else " CLI_DEFAULT_DIR ".\n\n" CLI_EXIT_CODES};

/* ---- verification ---- */

/* Nothing is damaged, and yet it is no consistent cut. */
static bool is_inconsistent(const wc_verdict *v) {
    return v->failures && v->failures == v->consistency.findings;
}

/* A snapshot that can't be opened, or fails: its error. */
static wc_error verify_one(char *path, wc_verdict *verdict) {
    wc_error error = {WC_OK, ""};
    wc_reader *reader;
    *verdict = (wc_verdict){0};
    if (wc_reader_open(path, &reader, &error) != WC_OK)
        return error;
    wc_reader_watch(reader, cli_progress_add, NULL);
    cli_progress_begin(path, wc_reader_bytes(reader));
    wc_reader_verify(reader, verdict, &error);
    cli_progress_end();
    if (error.status == WC_OK && is_inconsistent(verdict))
        wc_error_set(&error, WC_ERR_DAMAGED, "%s%s", verdict->consistency.witness.text,
                     verdict->failures > 1 ? ", and more" : "");
    else if (error.status == WC_OK && verdict->failures)
        wc_error_set(&error, WC_ERR_DAMAGED, "%" PRIu64 " failure%s, the first: %s",
                     verdict->failures, verdict->failures == 1 ? "" : "s", verdict->first_failure);
    wc_reader_close(reader);
    return error;
}

static const char *status_of(const wc_verdict *v, const wc_error *error) {
    if (error->status == WC_OK)
        return "ok";
    return is_inconsistent(v) ? "inconsistent" : "damaged";
}

static json_t *witness_to_json(const wc_witness *w) {
    static const char *const kinds[] = {
        [WC_WITNESS_ORPHAN] = "orphan", [WC_WITNESS_TWICE] = "twice", [WC_WITNESS_LOST] = "lost"};
    json_t *o = json_pack("{s:s, s:o, s:i, s:i, s:o, s:o}", "kind", kinds[w->kind], "communicator",
                          cli_json_hex(w->comm), "source", (int)w->source, "destination",
                          (int)w->destination, "source_step", cli_json_number(w->source_step),
                          "destination_step", cli_json_number(w->destination_step));
    if (w->tag >= 0)
        json_object_set_new(o, "tag", json_integer(w->tag));
    if (w->named) {
        json_object_set_new(o, "sequence", cli_json_number(w->sequence));
        json_object_set_new(o, "bytes", cli_json_number(w->bytes));
    } else {
        json_object_set_new(o, "sent", cli_json_number(w->sent));
        json_object_set_new(o, "received", cli_json_number(w->received));
        json_object_set_new(o, "in_flight", cli_json_number(w->in_flight));
    }
    return o;
}

static json_t *to_json(const char *path, const wc_verdict *v, const wc_error *error) {
    const wc_consistency *c = &v->consistency;
    json_t *o =
        json_pack("{s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:b, s:o}", "file", cli_json_text(path),
                  "status", status_of(v, error), "extents", cli_json_number(v->extents), "messages",
                  cli_json_number(v->messages), "bytes", cli_json_number(v->bytes), "failures",
                  cli_json_number(v->failures), "consistent",
                  v->judged ? json_boolean(!c->findings) : json_null(), "vector_clocks",
                  (int)c->traced, "events", cli_json_number(c->events));
    if (c->findings)
        json_object_set_new(o, "witness", witness_to_json(&c->witness));
    if (error->status != WC_OK)
        json_object_set_new(o, "error", cli_json_text(error->text));
    return o;
}

static void print_line(const char *path, const wc_verdict *v, const wc_error *error) {
    cli_style style = error->status == WC_OK ? CLI_GOOD : CLI_BAD;
    char *name = cli_escape(path), *text = cli_escape(error->text);
    printf("%s: %s%s%s", name ? name : "?", cli_style_begin(style), status_of(v, error),
           cli_style_end(style));
    if (error->status == WC_OK)
        printf(", %" PRIu64 " part%s of arrays and %" PRIu64
               " message%s in flight, %s; consistent by counters",
               v->extents, v->extents == 1 ? "" : "s", v->messages, v->messages == 1 ? "" : "s",
               cli_bytes(v->bytes).text);
    if (error->status == WC_OK && v->consistency.traced)
        printf(" and by the vector clocks of %" PRIu64 " events", v->consistency.events);
    if (error->status == WC_OK)
        putchar('\n');
    else
        printf(": %s\n", text ? text : "");
    free(name);
    free(text);
}

static int verify(void *context) {
    const options *o = context;
    json_t *results = json_array();
    int code = CLI_OK;
    for (size_t i = 0; i < o->count; i++) {
        wc_verdict verdict;
        wc_error error = verify_one(o->paths[i], &verdict);
        if (error.status != WC_OK && code != CLI_DAMAGED)
            code = cli_exit_code(error.status);
        if (o->asked.json)
            json_array_append_new(results, to_json(o->paths[i], &verdict, &error));
        else
            print_line(o->paths[i], &verdict, &error);
    }
    if (o->asked.json)
        cli_json_print(results);
    else
        json_decref(results);
    if (code == CLI_DAMAGED && !o->asked.json) {
        fflush(stdout);
        fputs("wavecut verify: a job that is started again takes the newest good snapshot, which "
              "'wavecut verify --all DIR' shows\n",
              stderr);
    }
    return code;
}

/* ---- which ---- */

static wc_status add(options *o, const char *path, wc_error *error) {
    char **paths = reallocarray(o->paths, o->count + 1, sizeof *paths), *own = strdup(path);
    o->paths = paths ? paths : o->paths;
    if (!paths || !own) {
        free(own);
        return wc_error_set(error, WC_ERR_MEMORY, "out of memory");
    }
    o->paths[o->count++] = own;
    return WC_OK;
}

static wc_status add_all(options *o, const char *dir, wc_error *error) {
    uint64_t *ids;
    size_t count;
    wc_status status = wc_store_list(dir, &ids, &count, error);
    if (status != WC_OK)
        return status;
    if (!count)
        status = wc_error_set(error, WC_ERR_NOT_FOUND, "there is no snapshot in %.400s", dir);
    for (size_t i = 0; i < count && status == WC_OK; i++) {
        char path[PATH_MAX];
        wc_store_snapshot_path(dir, ids[i], path, sizeof path);
        status = add(o, path, error);
    }
    free(ids);
    return status;
}

static wc_status add_argument(options *o, const char *argument, wc_error *error) {
    char path[PATH_MAX];
    if (o->all)
        return add_all(o, argument, error);
    wc_status status = cli_target(argument, path, error);
    return status == WC_OK ? add(o, path, error) : status;
}

static int run(int argc, char **argv) {
    options o = {0};
    wc_error error = {WC_OK, ""};
    argp_parse(&argp, argc, argv, 0, NULL, &o);
    if (!o.asked.count)
        add_argument(&o, cli_default_dir(), &error);
    for (size_t i = 0; i < o.asked.count && error.status == WC_OK; i++)
        add_argument(&o, o.asked.arguments[i], &error);
    int code = error.status == WC_OK ? cli_guarded("verify", o.paths, o.count, verify, &o)
                                     : cli_fail("verify", &error);
    for (size_t i = 0; i < o.count; i++)
        free(o.paths[i]);
    free(o.paths);
    return code;
}

const cli_command cli_verify = {"verify", "check that snapshots are whole and consistent", &argp,
                                run};
