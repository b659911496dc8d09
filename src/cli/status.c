/* SPDX-License-Identifier: BSD-3-Clause */
#include "command.h"
#include "output.h"
#include "progressread.h"
#include "text.h"

#include "store/claim.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* After so long without a word the job is in doubt: its file is written every ten seconds at least. */
static const double SILENCE_S = 30;

typedef struct options {
    cli_asked asked; /* first: cli_parse_asked knows this alone */
    bool watch;
} options;

/* All that is known of the job in a directory. */
typedef struct job {
    bool told; /* it has written its progress */
    progress p;
    wc_claim owner; /* pid 0: no `wavecut run` */
    const char *state;
    double now, silence_s;
} job;

static error_t parse(int key, char *argument, struct argp_state *state) {
    options *o = state->input;
    if (key != 'w')
        return cli_parse_asked(key, argument, state);
    o->watch = true;
    return 0;
}

static const struct argp_option list[] = {
    CLI_JSON,
    {"watch", 'w', NULL, 0, "again and again, each second, until the job has ended", 0},
    {0}};

static const struct argp argp = {
    .options = list,
    .parser = parse,
    .args_doc = "[DIR]",
    .doc =
        "Shows how the job in DIR gets on: its step, its last snapshot and the next one, the one "
        "that is being written, and why attempts were given up."
        "\v"
        "Rank 0 of the job tells it in DIR/progress.json, once in a second at most, and while the "
        "program calls MPI or passes safe points; the job isn't asked. Default: WAVECUT_DIR, "
        "else " CLI_DEFAULT_DIR ".\n\n" CLI_EXIT_CODES};

/* ---- reading ---- */

static bool is_gone(const progress *p) {
    char here[WC_HOST_BYTES] = "";
    gethostname(here, sizeof here - 1);
    return strcmp(here, p->host) == 0 && p->pid > 0 && kill((pid_t)p->pid, 0) < 0 && errno == ESRCH;
}

/* Of the words that are printed. */
static const char *state_of(const job *j, uint64_t finished) {
    if (finished)
        return "finished";
    if (!j->told)
        return j->owner.pid ? "starting" : "none";
    if (strcmp(j->p.state, "running") != 0)
        return "ended";
    if (is_gone(&j->p))
        return "failed";
    return j->silence_s > SILENCE_S ? "silent" : "running";
}

static wc_status read_job(const char *dir, job *j, wc_error *error) {
    struct timespec t;
    uint64_t finished = 0;
    clock_gettime(CLOCK_REALTIME, &t);
    *j = (job){.now = (double)t.tv_sec + 1e-9 * (double)t.tv_nsec};
    if (wc_store_read_finished(dir, &finished, error) != WC_OK ||
        wc_claim_look(dir, &j->owner, error) != WC_OK)
        return error->status;
    wc_status status = progress_read(dir, &j->p, error);
    if (status != WC_OK && status != WC_ERR_NOT_FOUND)
        return status;
    j->told = status == WC_OK;
    j->silence_s = j->told ? j->now - j->p.time : 0;
    j->state = state_of(j, finished);
    if (strcmp(j->state, "none") == 0)
        return wc_error_set(error, WC_ERR_NOT_FOUND, "no job has run in %.400s yet", dir);
    *error = (wc_error){WC_OK, ""};
    return WC_OK;
}

/* ---- for people ---- */

static void __attribute__((format(printf, 2, 3))) line(const char *name, const char *format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    char *escaped = cli_escape(text);
    printf("%-12s %s\n", name, escaped ? escaped : "?");
    free(escaped);
}

static void print_state(const job *j) {
    const progress *p = &j->p;
    bool good = strcmp(j->state, "running") == 0 || strcmp(j->state, "finished") == 0;
    printf("%s", cli_style_begin(good ? CLI_GOOD : CLI_BAD));
    if (strcmp(j->state, "failed") == 0)
        line("job", "failed: rank 0 (pid %ld) is not there any more", p->pid);
    else if (strcmp(j->state, "silent") == 0)
        line("job", "silent: no word for %s, it may be gone", cli_seconds(j->silence_s).text);
    else
        line("job", "%s", j->state);
    printf("%s", cli_style_end(good ? CLI_GOOD : CLI_BAD));
    if (j->owner.pid)
        line("run", "by wavecut run on %s, pid %ld, since %s UTC", j->owner.host, j->owner.pid,
             cli_utc(j->owner.since).text);
    if (!j->told)
        return;
    line("ranks", "%d, rank 0 on %s, pid %ld", p->ranks, p->host, p->pid);
    if (p->restarted_from)
        line("started", "%s, from snapshot %" PRIu64, cli_age(p->started).text, p->restarted_from);
    else
        line("started", "%s, from the beginning", cli_age(p->started).text);
}

static void print_step(const job *j) {
    const progress *p = &j->p;
    double ran_s = p->heard - p->started, heard_s = j->now - p->heard;
    char rate[60] = "", heard[100] = "";
    if (ran_s > 0 && p->step > p->first_step)
        snprintf(rate, sizeof rate, ", %.3g a second", (double)(p->step - p->first_step) / ran_s);
    if (strcmp(j->state, "running") == 0 && heard_s > 2)
        snprintf(heard, sizeof heard, "; in no call and at no safe point for %s",
                 cli_seconds(heard_s).text);
    line("step", "%" PRIu64 "%s%s", p->step, rate, heard);
}

static void print_snapshots(const job *j) {
    const progress *p = &j->p;
    if (p->committed)
        line("last", "snapshot %" PRIu64 ", %s; took %s, held rank 0 for %s", p->last_snapshot,
             cli_age(p->last_time).text, cli_seconds(p->commit_s).text,
             cli_seconds(p->stall_s).text);
    else
        line("last", "no snapshot since the start");
    if (p->attempt && p->bytes)
        line("now", "%s: %s of %s on rank 0 (%.0f %%), %s a second", p->phase,
             cli_bytes(p->written).text, cli_bytes(p->bytes).text,
             100.0 * (double)p->written / (double)p->bytes,
             cli_bytes(p->write_s > 0 ? (uint64_t)((double)p->written / p->write_s) : 0).text);
    else if (p->attempt)
        line("now", "%s, for %s", p->phase, cli_seconds(p->phase_s).text);
    if (p->next > j->now)
        line("next", "in %s", cli_seconds(p->next - j->now).text);
    else if (p->next > 0)
        line("next", "now");
    else if (strcmp(j->state, "running") == 0)
        line("next", "when it is asked for");
    if (p->interval_reason[0])
        line("interval", "%s", p->interval_reason);
    line("snapshots", "%" PRIu64 " committed, %" PRIu64 " attempts void, %" PRIu64 " failed",
         p->committed, p->voided, p->failed);
    for (int i = 0; i < p->reasons; i++)
        line(i ? "" : "given up", "%s: %s", cli_age(p->time - p->given_up[i].seconds_ago).text,
             p->given_up[i].text);
}

static void print_job(const job *j) {
    print_state(j);
    if (!j->told)
        return;
    print_step(j);
    print_snapshots(j);
}

/* ---- for scripts ---- */

static json_t *time_json(double time) {
    return time > 0 ? cli_json_real(time) : json_null();
}

static json_t *attempt_json(const progress *p) {
    if (!p->attempt)
        return json_null();
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "phase", cli_json_text(p->phase), "seconds",
                     cli_json_real(p->phase_s), "write_seconds", cli_json_real(p->write_s), "bytes",
                     cli_json_number(p->bytes), "written", cli_json_number(p->written));
}

static json_t *reasons_json(const progress *p) {
    json_t *reasons = json_array();
    for (int i = 0; i < p->reasons; i++)
        json_array_append_new(reasons,
                              json_pack("{s:o, s:o}", "time",
                                        cli_json_real(p->time - p->given_up[i].seconds_ago),
                                        "reason", cli_json_text(p->given_up[i].text)));
    return reasons;
}

static json_t *to_json(const char *dir, const job *j) {
    const progress *p = &j->p;
    json_t *o = json_pack("{s:o, s:s}", "directory", cli_json_text(dir), "state", j->state);
    json_object_set_new(o, "run_by",
                        j->owner.pid
                            ? json_pack("{s:o, s:o, s:o}", "host", cli_json_text(j->owner.host),
                                        "pid", cli_json_number((uint64_t)j->owner.pid), "since",
                                        cli_json_real(j->owner.since))
                            : json_null());
    if (!j->told)
        return o;
    json_object_set_new(o, "run_id", cli_json_hex(p->run_id));
    json_object_set_new(o, "ranks", json_integer(p->ranks));
    json_object_set_new(o, "host", cli_json_text(p->host));
    json_object_set_new(o, "pid", json_integer(p->pid));
    json_object_set_new(o, "started", time_json(p->started));
    json_object_set_new(o, "time", time_json(p->time));
    json_object_set_new(o, "heard", time_json(p->heard));
    json_object_set_new(o, "restarted_from",
                        p->restarted_from ? cli_json_number(p->restarted_from) : json_null());
    json_object_set_new(o, "step", cli_json_number(p->step));
    json_object_set_new(o, "next", time_json(p->next));
    json_object_set_new(o, "interval_seconds", time_json(p->interval_s));
    json_object_set_new(o, "interval_reason",
                        p->interval_reason[0] ? cli_json_text(p->interval_reason) : json_null());
    json_object_set_new(o, "attempt", attempt_json(p));
    json_object_set_new(o, "last_snapshot",
                        p->last_snapshot ? cli_json_number(p->last_snapshot) : json_null());
    json_object_set_new(o, "last_time", time_json(p->last_time));
    json_object_set_new(o, "commit_seconds", cli_json_real(p->commit_s));
    json_object_set_new(o, "stall_seconds", cli_json_real(p->stall_s));
    json_object_set_new(o, "committed", cli_json_number(p->committed));
    json_object_set_new(o, "voided", cli_json_number(p->voided));
    json_object_set_new(o, "failed", cli_json_number(p->failed));
    json_object_set_new(o, "given_up", reasons_json(p));
    return o;
}

/* ---- the command ---- */

static bool goes_on(const job *j) {
    return j->owner.pid || strcmp(j->state, "running") == 0 || strcmp(j->state, "silent") == 0;
}

static int run(int argc, char **argv) {
    options o = {.asked.most = 1};
    wc_error error = {WC_OK, ""};
    job j;
    argp_parse(&argp, argc, argv, 0, NULL, &o);
    const char *dir = cli_first(&o.asked, cli_default_dir());
    for (bool more = true; more;) {
        if (read_job(dir, &j, &error) != WC_OK)
            return cli_fail("status", &error);
        if (o.watch && isatty(STDOUT_FILENO))
            fputs("\033[H\033[J", stdout);
        if (o.asked.json)
            cli_json_print(to_json(dir, &j));
        else
            print_job(&j);
        more = o.watch && goes_on(&j);
        if (more && !isatty(STDOUT_FILENO) && !o.asked.json)
            putchar('\n');
        if (fflush(stdout) != 0)
            break; /* nobody reads it */
        if (more)
            sleep(1);
    }
    return CLI_OK;
}

const cli_command cli_status = {"status", "show how the job in DIR gets on", &argp, run};
