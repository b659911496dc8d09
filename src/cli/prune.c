/* SPDX-License-Identifier: BSD-3-Clause */
#include "command.h"
#include "store/claim.h"
#include "table.h"
#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct options {
    cli_asked asked; /* first: cli_parse_asked knows this alone */
    const char *dir;
    uint64_t keep; /* 0: not said */
    bool dry;
    uint64_t *ids; /* of the snapshots, newest first */
    char **paths;  /* theirs */
    size_t count;
    uint64_t *stale; /* of unfinished files */
    size_t stale_count;
} options;

static error_t parse(int key, char *argument, struct argp_state *state) {
    options *o = state->input;
    switch (key) {
    case 'k':
        o->keep = (uint64_t)cli_integer(state, "--keep", argument, 1, INT64_MAX);
        return 0;
    case 'n':
        o->dry = true;
        return 0;
    case ARGP_KEY_END:
        if (!o->keep)
            argp_error(state, "how many are to stay? Say --keep=N");
        return 0;
    default:
        return cli_parse_asked(key, argument, state);
    }
}

static const struct argp_option list[] = {
    {"keep", 'k', "N", 0, "keep the N newest snapshots", 0},
    {"dry-run", 'n', NULL, 0, "tell what would be removed, and remove nothing", 0},
    CLI_JSON,
    {0}};

static const struct argp argp = {
    .options = list,
    .parser = parse,
    .args_doc = "[DIR]",
    .doc = "Removes old snapshots from DIR, and unfinished files that jobs have left there."
           "\v"
           "The newest snapshot that is whole is never removed: the newest ones are read until one "
           "is. If none is, nothing is removed; nor is anything while 'wavecut run' runs a job in "
           "DIR, or any job writes a snapshot there. Removed are only files of this user that "
           "were committed as snapshots, "
           "damaged ones included; others that are merely called so are left. A job prunes by "
           "itself (WAVECUT_KEEP). Default: WAVECUT_DIR, else " CLI_DEFAULT_DIR ".\n\n"
           "Exit status: 0 all is well; 1 no snapshot is whole; 2 wrong usage; 3 there is no such "
           "directory; 4 reading or removing failed; 6 a job runs there."};

/* ---- what goes ---- */

typedef struct entry {
    char name[64];
    uint64_t id, bytes; /* on the disk */
    bool partial, goes;
    const char *why;
} entry;

typedef struct plan {
    entry *entries;
    size_t count;
    const char *good; /* the newest one that is whole */
} plan;

static bool is_whole(char *path) {
    wc_reader *reader;
    wc_verdict verdict = {0};
    wc_error error;
    if (wc_reader_open(path, &reader, &error) != WC_OK)
        return false;
    wc_reader_watch(reader, cli_progress_add, NULL);
    cli_progress_begin(path, wc_reader_bytes(reader));
    bool whole = wc_reader_verify(reader, &verdict, &error) == WC_OK && !verdict.failures;
    cli_progress_end();
    wc_reader_close(reader);
    return whole;
}

static entry *add(plan *p, const options *o, uint64_t id, bool partial) {
    char path[PATH_MAX];
    struct stat s;
    entry *e = &p->entries[p->count++];
    wc_store_snapshot_path(o->dir, id, path, sizeof path - 16);
    if (partial)
        strcat(path, ".partial");
    const char *slash = strrchr(path, '/');
    *e = (entry){.id = id, .partial = partial};
    snprintf(e->name, sizeof e->name, "%.63s", slash ? slash + 1 : path);
    e->bytes = lstat(path, &s) == 0 ? (uint64_t)s.st_blocks * 512 : 0;
    return e;
}

/* False: no snapshot is whole. */
static bool make_plan(const options *o, plan *p) {
    size_t good = 0;
    while (good < o->count && !is_whole(o->paths[good]))
        good++;
    if (good == o->count && o->count)
        return false;
    for (size_t i = 0; i < o->count; i++) {
        entry *e = add(p, o, o->ids[i], false);
        if (i < o->keep)
            e->why = "one of the newest";
        else if (i == good)
            e->why = "the newest that is whole";
        else if (!wc_store_is_snapshot(o->dir, e->id))
            e->why = "not recognised as a snapshot";
        else
            e->goes = true;
    }
    for (size_t i = 0; i < o->stale_count; i++)
        add(p, o, o->stale[i], true)->goes = true;
    return true;
}

/* What can't be removed stays, with its reason on standard error. */
static void carry_out(const options *o, plan *p, wc_error *error) {
    for (size_t i = 0; i < p->count; i++) {
        entry *e = &p->entries[i];
        wc_error own = {WC_OK, ""};
        if (!e->goes || o->dry || wc_store_remove(o->dir, e->id, e->partial, &own) == WC_OK)
            continue;
        e->goes = false;
        e->why = "can't be removed";
        cli_fail("prune", &own);
        *error = own;
    }
}

/* ---- printing ---- */

static uint64_t freed(const plan *p) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < p->count; i++)
        bytes += p->entries[i].goes ? p->entries[i].bytes : 0;
    return bytes;
}

static size_t count_going(const plan *p) {
    size_t count = 0;
    for (size_t i = 0; i < p->count; i++)
        count += p->entries[i].goes;
    return count;
}

static void print(const options *o, const plan *p) {
    static const cli_column columns[] = {{"file", false}, {"on disk", true}, {"", false}};
    const char *what = o->dry ? "would be removed" : "removed";
    size_t going = count_going(p);
    cli_table *table = cli_table_new(columns, sizeof columns / sizeof *columns);
    for (size_t i = 0; i < p->count; i++) {
        const entry *e = &p->entries[i];
        char text[64];
        snprintf(text, sizeof text, "stays, %s", e->why ? e->why : "");
        cli_table_add(table, e->name);
        cli_table_add(table, cli_bytes(e->bytes).text);
        cli_table_add_styled(table, e->goes ? what : text, e->goes ? CLI_PLAIN : CLI_DIM);
    }
    if (p->count) {
        cli_table_print(table, 0);
        putchar('\n');
    } else {
        cli_table_free(table);
    }
    printf("%zu file%s %s, %s\n", going, going == 1 ? "" : "s", what, cli_bytes(freed(p)).text);
}

static void print_json(const options *o, const plan *p) {
    cli_json_begin(NULL, '{');
    cli_json_put("directory", cli_json_text(o->dir));
    cli_json_put("dry_run", json_boolean(o->dry));
    cli_json_begin("files", '[');
    for (size_t i = 0; i < p->count; i++) {
        const entry *e = &p->entries[i];
        cli_json_put(NULL, json_pack("{s:o, s:o, s:b, s:o}", "file", cli_json_text(e->name),
                                     "bytes", cli_json_number(e->bytes), "removed", (int)e->goes,
                                     "why_kept", e->why ? json_string(e->why) : json_null()));
    }
    cli_json_end();
    cli_json_put("removed", cli_json_number(count_going(p)));
    cli_json_put("bytes", cli_json_number(freed(p)));
    cli_json_end();
}

/* ---- the command ---- */

static int prune(void *context) {
    const options *o = context;
    wc_error error = {WC_OK, ""};
    plan p = {.entries = calloc(o->count + o->stale_count + 1, sizeof *p.entries)};
    if (!p.entries)
        return CLI_IO;
    if (make_plan(o, &p)) {
        carry_out(o, &p, &error);
        (o->asked.json ? print_json : print)(o, &p);
    } else {
        wc_error_set(&error, WC_ERR_DAMAGED,
                     "no snapshot in %.300s is whole ('wavecut verify --all' says why): nothing is "
                     "removed",
                     o->dir);
        cli_fail("prune", &error);
    }
    free(p.entries);
    return cli_exit_code(error.status);
}

static wc_status look(options *o, uint64_t *writing, wc_error *error) {
    wc_status status = wc_store_list(o->dir, &o->ids, &o->count, error);
    if (status == WC_OK)
        status = wc_store_partials(o->dir, o->count ? o->ids[0] : 0, writing, &o->stale,
                                   &o->stale_count, error);
    if (status != WC_OK)
        return status;
    o->paths = calloc(o->count + 1, sizeof *o->paths);
    for (size_t i = 0; i < o->count && o->paths; i++) {
        char path[PATH_MAX];
        wc_store_snapshot_path(o->dir, o->ids[i], path, sizeof path);
        o->paths[i] = strdup(path);
        if (!o->paths[i])
            return wc_error_set(error, WC_ERR_MEMORY, "out of memory");
    }
    return o->paths ? WC_OK : wc_error_set(error, WC_ERR_MEMORY, "out of memory");
}

static void drop(options *o) {
    for (size_t i = 0; i < o->count && o->paths; i++)
        free(o->paths[i]);
    free(o->paths);
    free(o->ids);
    free(o->stale);
}

/* A job prunes by itself, and may be restarting from any of them. False: nobody runs one, as far as is known. */
static bool is_taken(const options *o, uint64_t writing, wc_error *error) {
    wc_claim claim;
    if (wc_claim_look(o->dir, &claim, error) != WC_OK)
        return true;
    if (writing)
        wc_error_set(error, WC_OK, "a job is writing snapshot %" PRIu64 " into %.300s", writing,
                     o->dir);
    else if (claim.pid)
        wc_error_set(error, WC_OK, "'wavecut run' runs a job in %.300s (process %ld on %s)", o->dir,
                     claim.pid, claim.host);
    return writing || claim.pid;
}

static int run(int argc, char **argv) {
    options o = {.asked.most = 1};
    wc_error error = {WC_OK, ""};
    uint64_t writing = 0;
    int code;
    argp_parse(&argp, argc, argv, 0, NULL, &o);
    o.dir = cli_first(&o.asked, cli_default_dir());
    if (look(&o, &writing, &error) != WC_OK) {
        code = cli_fail("prune", &error);
    } else if (is_taken(&o, writing, &error)) {
        code = cli_fail("prune", &error);
        code = code == CLI_OK ? CLI_TAKEN : code;
    } else {
        code = cli_guarded("prune", o.paths, o.count, prune, &o);
    }
    drop(&o);
    return code;
}

const cli_command cli_prune = {"prune", "remove old snapshots", &argp, run};
