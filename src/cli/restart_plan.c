/* SPDX-License-Identifier: BSD-3-Clause */
#include "command.h"
#include "output.h"
#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct options {
    cli_asked asked; /* first: cli_parse_asked knows this alone */
    uint32_t ranks;  /* 0: not said */
    const char *target;
    char **paths; /* to be tried one after the other */
    bool *trusted;
    size_t count;
    uint64_t finished; /* id of the run that has; 0: none */
} options;

static error_t parse(int key, char *argument, struct argp_state *state) {
    options *o = state->input;
    if (key != 'n')
        return cli_parse_asked(key, argument, state);
    o->ranks = (uint32_t)cli_integer(state, "--ranks", argument, 1, INT32_MAX);
    return 0;
}

static const struct argp_option list[] = {
    {"ranks", 'n', "N", 0, "the job is started with N ranks, not with as many as the snapshot has",
     0},
    CLI_JSON,
    {0}};

static const struct argp argp = {
    .options = list,
    .parser = parse,
    .args_doc = "[FILE|DIR]",
    .doc = "Tells what a job would do that is started with this directory, or this snapshot: from "
           "which snapshot it restarts, and whether its number of ranks will do."
           "\v"
           "Of a directory the newest snapshot that is whole is taken, as with "
           "WAVECUT_RESTART=auto; of a FILE that one, as with WAVECUT_RESTART=FILE. All of its "
           "data is read for that. Another number "
           "of ranks than the snapshot's will do if no message is in flight in it and all state "
           "is in global arrays or was the same on all ranks. What the program protects must be "
           "as it was; that is not to be seen here. Default: WAVECUT_DIR, else " CLI_DEFAULT_DIR
           ".\n\n"
           "Exit status: 0 it restarts; 8 it would not start; 3 there is no snapshot: a job "
           "starts afresh; 1 none can be used; 2 wrong usage; 4 reading or writing failed."};

/* ---- the choice, as runtime/restore.c makes it ---- */

typedef struct refusal {
    const char *path;
    wc_error error;
} refusal;

typedef struct plan {
    refusal *refused; /* [count of the paths], in the order in which they were tried */
    size_t refused_count;
    const char *chosen; /* NULL: none */
    wc_reader *reader;
    bool starts;
    wc_error why; /* another number of ranks than the snapshot's would not do */
} plan;

static wc_status try(const char *path, bool trusted, wc_reader **reader, wc_error *error) {
    wc_verdict verdict = {0};
    if (!trusted)
        return wc_error_set(error, WC_ERR_DAMAGED,
                            "%.300s belongs to another user, who does not own the directory "
                            "either; WAVECUT_RESTART=FILE takes it nevertheless",
                            path);
    if (wc_reader_open(path, reader, error) != WC_OK)
        return error->status;
    wc_reader_watch(*reader, cli_progress_add, NULL);
    cli_progress_begin(path, wc_reader_bytes(*reader));
    wc_reader_verify(*reader, &verdict, error);
    cli_progress_end();
    if (error->status == WC_OK && verdict.failures)
        wc_error_set(error, WC_ERR_DAMAGED, "%s", verdict.first_failure);
    if (error->status != WC_OK)
        wc_reader_close(*reader);
    return error->status;
}

static void choose(const options *o, plan *p) {
    for (size_t i = 0; i < o->count && !p->chosen; i++) {
        refusal *r = &p->refused[p->refused_count];
        r->path = o->paths[i];
        if (try(o->paths[i], o->trusted[i], &p->reader, &r->error) == WC_OK)
            p->chosen = o->paths[i];
        else
            p->refused_count++;
    }
}

static void judge(const options *o, plan *p) {
    uint32_t ranks = wc_reader_head(p->reader)->ranks;
    uint32_t job = o->ranks && o->ranks != ranks ? o->ranks : ranks + 1; /* any other number */
    for (uint32_t rank = 0; rank < job && rank < ranks && p->why.status == WC_OK; rank++)
        wc_reader_check_move(p->reader, rank, job, &p->why);
    p->starts = !o->ranks || o->ranks == ranks || p->why.status == WC_OK;
}

static int code_of(const options *o, const plan *p) {
    if (o->finished)
        return CLI_WONT_START;
    if (!p->chosen)
        return o->count ? cli_exit_code(p->refused[p->refused_count - 1].error.status)
                        : CLI_NOT_FOUND;
    if (p->why.status != WC_OK && p->why.status != WC_ERR_MISMATCH)
        return cli_exit_code(p->why.status);
    return p->starts ? CLI_OK : CLI_WONT_START;
}

/* ---- for people ---- */

static void print_field(const char *name, const char *value) {
    char *escaped = cli_escape(value);
    printf("%-12s %s\n", name, escaped ? escaped : "?");
    free(escaped);
}

static void print_chosen(const options *o, const plan *p) {
    const wc_snapshot_head *h = wc_reader_head(p->reader);
    char text[700], *mpi = strndup(h->mpi_library, strcspn(h->mpi_library, ",\n"));
    wc_channel_sizes sizes;
    wc_reader_sizes(p->reader, &sizes);
    print_field("snapshot", p->chosen);
    snprintf(text, sizeof text, "%s UTC (%s)", cli_utc(h->time).text, cli_age(h->time).text);
    print_field("taken", text);
    snprintf(text, sizeof text, "%u%s%s", h->ranks,
             p->why.status == WC_OK ? ", or another number" : "; other numbers won't do, since ",
             p->why.text);
    print_field("ranks", text);
    snprintf(text, sizeof text, "%" PRIu64, sizes.messages);
    print_field("in flight", text);
    snprintf(text, sizeof text, "taken under %s; any that Wavecut is built for will do",
             mpi ? mpi : "?");
    print_field("MPI", text);
    free(mpi);
    printf("%s%s", cli_style_begin(p->starts ? CLI_GOOD : CLI_BAD),
           p->starts ? "restarts" : "doesn't start");
    printf(" with %u ranks%s\n", o->ranks ? o->ranks : h->ranks,
           cli_style_end(p->starts ? CLI_GOOD : CLI_BAD));
}

static void print(const options *o, const plan *p) {
    for (size_t i = 0; i < p->refused_count; i++) {
        char text[600];
        snprintf(text, sizeof text, "%s", p->refused[i].error.text);
        print_field("passed over", text);
    }
    if (o->finished)
        printf("%sdoesn't start%s: the run in this directory has finished; WAVECUT_RESTART=never "
               "starts afresh, and so does another directory\n",
               cli_style_begin(CLI_BAD), cli_style_end(CLI_BAD));
    else if (p->chosen)
        print_chosen(o, p);
    else if (o->count)
        printf("%sdoesn't start%s: no snapshot here can be restored; WAVECUT_RESTART=never starts "
               "afresh\n",
               cli_style_begin(CLI_BAD), cli_style_end(CLI_BAD));
    else
        puts("starts afresh: there is no snapshot here");
}

/* ---- for scripts ---- */

static void print_json(const options *o, const plan *p) {
    json_t *refused = json_array();
    for (size_t i = 0; i < p->refused_count; i++)
        json_array_append_new(refused,
                              json_pack("{s:o, s:o}", "file", cli_json_text(p->refused[i].path),
                                        "error", cli_json_text(p->refused[i].error.text)));
    cli_json_begin(NULL, '{');
    cli_json_put("target", cli_json_text(o->target));
    cli_json_put("finished_run", o->finished ? cli_json_hex(o->finished) : json_null());
    cli_json_put("passed_over", refused);
    cli_json_put("snapshot", p->chosen ? cli_json_text(p->chosen) : json_null());
    if (p->chosen) {
        const wc_snapshot_head *h = wc_reader_head(p->reader);
        wc_channel_sizes sizes;
        wc_reader_sizes(p->reader, &sizes);
        cli_json_put("ranks", cli_json_number(h->ranks));
        cli_json_put("other_ranks", json_boolean(p->why.status == WC_OK));
        cli_json_put("why_not", p->why.status == WC_OK ? json_null() : cli_json_text(p->why.text));
        cli_json_put("messages_in_flight", cli_json_number(sizes.messages));
        cli_json_put("mpi_library", cli_json_text(h->mpi_library));
    }
    cli_json_put("restarts", json_boolean(code_of(o, p) == CLI_OK));
    cli_json_end();
}

/* ---- the command ---- */

static int show(void *context) {
    const options *o = context;
    plan p = {.refused = calloc(o->count + 1, sizeof *p.refused)};
    if (!p.refused)
        return CLI_IO;
    if (!o->finished)
        choose(o, &p);
    if (p.chosen)
        judge(o, &p);
    (o->asked.json ? print_json : print)(o, &p);
    int code = code_of(o, &p);
    if (p.chosen)
        wc_reader_close(p.reader);
    free(p.refused);
    return code;
}

static wc_status add(options *o, const char *path, bool trusted, wc_error *error) {
    o->paths[o->count] = strdup(path);
    o->trusted[o->count] = trusted;
    return o->paths[o->count++] ? WC_OK : wc_error_set(error, WC_ERR_MEMORY, "out of memory");
}

static wc_status make_room(options *o, size_t count, wc_error *error) {
    o->paths = calloc(count + 1, sizeof *o->paths);
    o->trusted = calloc(count + 1, sizeof *o->trusted);
    return o->paths && o->trusted ? WC_OK : wc_error_set(error, WC_ERR_MEMORY, "out of memory");
}

/* Those of a directory, newest first, with what says whether they would be taken unasked. */
static wc_status look_at_directory(options *o, wc_error *error) {
    uint64_t *ids;
    size_t count;
    wc_status status = wc_store_read_finished(o->target, &o->finished, error);
    if (status == WC_OK)
        status = wc_store_list(o->target, &ids, &count, error);
    if (status != WC_OK)
        return status;
    status = make_room(o, count, error);
    for (size_t i = 0; i < count && status == WC_OK; i++) {
        char path[PATH_MAX];
        wc_store_snapshot_path(o->target, ids[i], path, sizeof path);
        status = add(o, path, wc_store_is_trusted(o->target, ids[i]), error);
    }
    free(ids);
    return status;
}

static wc_status look(options *o, wc_error *error) {
    struct stat s;
    if (stat(o->target, &s) == 0 && S_ISDIR(s.st_mode))
        return look_at_directory(o, error);
    char path[PATH_MAX];
    wc_status status = cli_target(o->target, path, error);
    if (status == WC_OK)
        status = make_room(o, 1, error);
    return status == WC_OK ? add(o, path, true, error) : status;
}

static int run(int argc, char **argv) {
    options o = {.asked.most = 1};
    wc_error error = {WC_OK, ""};
    argp_parse(&argp, argc, argv, 0, NULL, &o);
    o.target = cli_first(&o.asked, cli_default_dir());
    int code = look(&o, &error) == WC_OK ? cli_guarded("restart-plan", o.paths, o.count, show, &o)
                                         : cli_fail("restart-plan", &error);
    for (size_t i = 0; i < o.count; i++)
        free(o.paths[i]);
    free(o.paths);
    free(o.trusted);
    return code;
}

const cli_command cli_restart_plan = {"restart-plan",
                                      "tell whether and from what a job would restart", &argp, run};
