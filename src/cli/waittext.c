/* SPDX-License-Identifier: BSD-3-Clause */
#include "waittext.h"

#include "table.h"
#include "text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Text that grows. */
typedef struct words {
    char *text;
    size_t length;
} words;

static void say(words *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(words *w, const char *format, ...) {
    va_list list;
    char *more = NULL;
    va_start(list, format);
    int n = vasprintf(&more, format, list);
    va_end(list);
    char *text = n < 0 ? NULL : realloc(w->text, w->length + (size_t)n + 1);
    if (!text) {
        fputs("wavecut: out of memory\n", stderr);
        exit(4);
    }
    memcpy(text + w->length, more, (size_t)n + 1);
    free(more);
    w->text = text;
    w->length += (size_t)n;
}

/* "0-3, 8" */
static void say_ranks(words *w, const int *ranks, size_t count) {
    for (size_t i = 0; i < count; i++) {
        size_t first = i;
        while (i + 1 < count && ranks[i + 1] == ranks[i] + 1)
            i++;
        say(w, first ? ", %d" : "%d", ranks[first]);
        if (i > first)
            say(w, i == first + 1 ? ", %d" : "-%d", ranks[i]);
    }
}

static void say_time(words *w, double s) {
    if (s < 10)
        say(w, "%.1f s", s);
    else if (s < 7200)
        say(w, "%.0f s", s);
    else
        say(w, "%.1f h", s / 3600);
}

static const char *comm_name(const wait_job *job, int comm) {
    return comm >= 0 ? job->comms[comm].name : "a communicator that is not followed";
}

static void say_message(words *w, const wait_job *job, const wait_item *item, const char *from) {
    if (item->peer < 0)
        say(w, "%s any rank", from);
    else
        say(w, "%s rank %d", from, item->peer);
    if (item->tag < 0)
        say(w, ", any tag");
    else
        say(w, ", tag %d", item->tag);
    say(w, ", %s", comm_name(job, item->comm));
}

/* `noun`: name the thing, too, since the call doesn't. */
static void say_item(words *w, const wait_job *job, const wait_item *item, bool noun) {
    switch (item->kind) {
    case WAIT_RECEIVE:
        say_message(w, job, item, noun ? "a message from" : "from");
        break;
    case WAIT_SEND:
        say_message(w, job, item, noun ? "a send to" : "to");
        break;
    case WAIT_COLLECTIVE:
        say(w, noun ? "a collective on %s" : "on %s", comm_name(job, item->comm));
        break;
    case WAIT_OTHER:
        say(w, "something that is not followed");
        break;
    default:
        break;
    }
}

enum { SHOWN_ITEMS = 4 };

static void say_wait(words *w, const wait_job *job, const wait_rank *r) {
    size_t needed = 0, shown = 0;
    for (size_t i = 0; i < r->count; i++)
        needed += r->items[i].kind != WAIT_ARRIVED;
    bool list = strncmp(r->call, "MPI_Wait", 8) == 0 || needed > 1;
    say(w, "in %s", r->call);
    if (needed > 1)
        say(w, r->any ? ", any of:" : ", all of:");
    for (size_t i = 0; i < r->count && shown < SHOWN_ITEMS; i++) {
        if (r->items[i].kind == WAIT_ARRIVED || r->items[i].kind == WAIT_FINALIZE)
            continue;
        say(w, shown++ ? "; " : list && needed == 1 ? " for " : " ");
        say_item(w, job, &r->items[i], list);
    }
    if (needed + r->more > shown && shown == SHOWN_ITEMS)
        say(w, "; and %" PRIu64 " more", (uint64_t)needed + r->more - shown);
}

/* What a rank does. */
static char *does(const wait_job *job, const wait_rank *r) {
    words w = {NULL, 0};
    switch (r->state) {
    case WAIT_SILENT:
        say(&w, "gives no answer");
        break;
    case WAIT_GONE:
        say(&w, "is dead: there is no such process");
        break;
    case WAIT_UNFOLLOWED:
        say(&w, "is not followed: several of its threads call MPI");
        break;
    case WAIT_RUNS:
        say(&w, "runs");
        break;
    case WAIT_COMPUTES:
        say(&w, "computes, outside of MPI");
        break;
    case WAIT_ENDED:
        say(&w, "has ended, MPI_Finalize is over");
        break;
    case WAIT_WAITS:
        say_wait(&w, job, r);
        break;
    }
    return w.text;
}

static bool has_time(const wait_rank *r) {
    return r->state == WAIT_COMPUTES || r->state == WAIT_WAITS;
}

/* ---- collectives that some have not entered ---- */

/* Who is in it, and who is not. */
static void split_members(const wait_job *job, const wait_item *item, int **in, size_t *in_count,
                          int **out, size_t *out_count) {
    const wait_comm *c = &job->comms[item->comm];
    *in = wait_room((size_t)c->size, sizeof **in);
    *out = wait_room((size_t)c->size, sizeof **out);
    *in_count = *out_count = 0;
    for (const wait_range *range = c->members; range < c->members + c->range_count; range++)
        for (int member = range->first; member <= range->last; member++)
            if (wait_has_entered(job, member, item))
                (*in)[(*in_count)++] = member;
            else
                (*out)[(*out_count)++] = member;
}

/* The collective that rank waits in, if no lower rank waits in the same. */
static const wait_item *collective_first_of(const wait_job *job, int rank) {
    const wait_rank *r = &job->rank[rank];
    for (size_t k = 0; k < r->count && r->state == WAIT_WAITS; k++) {
        const wait_item *item = &r->items[k];
        if (item->kind != WAIT_COLLECTIVE || item->comm < 0)
            continue;
        for (int i = 0; i < rank; i++)
            for (size_t m = 0; m < job->rank[i].count && job->rank[i].state == WAIT_WAITS; m++) {
                const wait_item *other = &job->rank[i].items[m];
                if (other->kind == WAIT_COLLECTIVE && other->comm == item->comm &&
                    other->number == item->number)
                    return NULL;
            }
        return item;
    }
    return NULL;
}

static char *collective_text(const wait_report *r, int rank, const wait_item *item) {
    const wait_job *job = r->job;
    words w = {NULL, 0};
    int *in, *out;
    size_t in_count, out_count;
    split_members(job, item, &in, &in_count, &out, &out_count);
    say(&w, "%s on %s, the collective number %" PRIu64 " there: in it ", job->rank[rank].call,
        comm_name(job, item->comm), item->number);
    say_ranks(&w, in, in_count);
    say(&w, "; missing ");
    say_ranks(&w, out, out_count);
    if (!out_count && r->mismatched && r->mismatch.comm == item->comm)
        say(&w, "none, but they have called different ones");
    else if (!out_count)
        say(&w, "none: it goes on inside MPI, or their roots or counts differ");
    free(in);
    free(out);
    return w.text;
}

/* ---- near misses ---- */

static char *miss_text(const wait_job *job, const wait_miss *miss) {
    words w = {NULL, 0};
    const wait_flight *f = miss->flight;
    say(&w, "rank %d waits for a message ", f->destination);
    say_message(&w, job, miss->item, "from");
    uint64_t n = f->messages - f->arrived;
    say(&w, "; rank %d has sent it %" PRIu64 " with tag %d on %s: ", f->source, n, f->tag,
        comm_name(job, f->comm));
    say(&w, miss->what == WAIT_MISS_TAG    ? "another tag"
            : miss->what == WAIT_MISS_COMM ? "another communicator"
                                           : "another source");
    return w.text;
}

/* ---- the verdict ---- */

static void say_core(words *w, const wait_job *job, const wait_core *core) {
    const wait_rank *first = &job->rank[core->ranks[0]];
    switch (core->kind) {
    case WAIT_CYCLE:
        for (size_t i = 0; i < core->count; i++)
            say(w, "%d -> ", core->ranks[i]);
        say(w, "%d", core->ranks[0]);
        break;
    case WAIT_KNOT:
        say(w, "ranks ");
        say_ranks(w, core->ranks, core->count);
        say(w, " are a knot: what each waits for only the others could do");
        break;
    case WAIT_HOPELESS:
        say(w, "rank %d is ", core->ranks[0]);
        say_wait(w, job, first);
        say(w, ", which can't come any more");
        break;
    }
}

static void say_deadlock(words *w, const wait_report *r) {
    size_t named = 0;
    say(w, "deadlock: ");
    for (size_t i = 0; i < r->core_count; i++) {
        say(w, i ? "; " : "");
        say_core(w, r->job, &r->cores[i]);
        named += r->cores[i].count;
    }
    if (r->mismatched) {
        const wait_mismatch *m = &r->mismatch;
        say(w, "; different collectives on %s: %s on rank %d, %s on rank %d",
            comm_name(r->job, m->comm), r->job->rank[m->first].call, m->first,
            r->job->rank[m->second].call, m->second);
    }
    if (r->stuck <= named)
        return;
    int *others = wait_room((size_t)r->job->ranks, sizeof *others);
    size_t count = 0;
    for (int i = 0; i < r->job->ranks; i++) {
        bool is_named = !r->job->rank[i].stuck;
        for (size_t k = 0; k < r->core_count && !is_named; k++)
            for (size_t m = 0; m < r->cores[k].count && !is_named; m++)
                is_named = r->cores[k].ranks[m] == i;
        if (!is_named)
            others[count++] = i;
    }
    say(w, "; with %s hang%s ", r->core_count > 1 ? "these" : "it", count == 1 ? "s" : "");
    say_ranks(w, others, count);
    free(others);
}

static void say_deciders(words *w, const wait_report *r, size_t waiting) {
    say(w, "no deadlock: %zu of %d ranks wait", waiting, r->job->ranks);
    if (!r->decider_count) {
        say(w, ", and what they wait for is on its way or MPI's own affair");
        return;
    }
    say(w, r->decider_count == 1 ? ", in the end for rank " : ", in the end for ranks ");
    say_ranks(w, r->deciders, r->decider_count);
    const wait_rank *d = &r->job->rank[r->deciders[0]];
    if (r->decider_count > 1)
        return;
    char *text = does(r->job, d);
    say(w, ", which %s", text);
    free(text);
    if (has_time(d)) {
        say(w, ", for ");
        say_time(w, d->since_s);
    }
}

static char *verdict(const wait_report *r) {
    words w = {NULL, 0};
    size_t states[WAIT_ENDED + 1] = {0};
    for (int i = 0; i < r->job->ranks; i++)
        states[r->job->rank[i].state]++;
    if (r->stuck)
        say_deadlock(&w, r);
    else if (states[WAIT_ENDED] == (size_t)r->job->ranks)
        say(&w, "the job has ended");
    else if (states[WAIT_WAITS])
        say_deciders(&w, r, states[WAIT_WAITS]);
    else
        say(&w, "no deadlock: no rank waits");
    size_t silent = states[WAIT_SILENT] + states[WAIT_GONE];
    if (silent)
        say(&w, "; %zu rank%s no answer", silent, silent == 1 ? " gives" : "s give");
    if (r->job->uncounted)
        say(&w, "; too many tags are in use to know all messages in flight");
    return w.text;
}

/* ---- the report ---- */

wait_report wait_report_new(wait_job *job) {
    wait_report r = {.job = job};
    r.stuck = wait_reduce(job);
    r.core_count = wait_cores(job, &r.cores);
    r.miss_count = wait_misses(job, &r.misses);
    r.mismatched = wait_find_mismatch(job, &r.mismatch);
    r.decider_count = wait_deciders(job, &r.deciders);
    return r;
}

void wait_report_free(wait_report *r) {
    for (size_t i = 0; i < r->core_count; i++)
        free(r->cores[i].ranks);
    free(r->cores);
    free(r->misses);
    free(r->deciders);
}

static void print_ranks(const wait_job *job) {
    static const cli_column columns[] = {
        {"rank", true}, {"host", false}, {"pid", true}, {"for", true}, {"what it does", false}};
    cli_table *t = cli_table_new(columns, 5);
    for (int i = 0; i < job->ranks; i++) {
        const wait_rank *r = &job->rank[i];
        words time = {NULL, 0};
        if (has_time(r))
            say_time(&time, r->since_s);
        char *text = does(job, r);
        cli_table_add(t, cli_count((uint64_t)i).text);
        cli_table_add(t, r->host);
        cli_table_add(t, r->pid ? cli_count((uint64_t)r->pid).text : "");
        cli_table_add(t, time.text ? time.text : "");
        cli_table_add_styled(t, text, r->stuck ? CLI_BAD : CLI_PLAIN);
        free(text);
        free(time.text);
    }
    cli_table_print(t, 0);
}

static void print_flights(const wait_job *job) {
    static const cli_column columns[] = {
        {"in flight", true}, {"from", true}, {"to", true}, {"tag", true}, {"communicator", false}};
    if (!job->flight_count)
        return;
    cli_table *t = cli_table_new(columns, 5);
    for (size_t i = 0; i < job->flight_count; i++) {
        const wait_flight *f = &job->flights[i];
        cli_table_add(t, cli_count(f->messages).text);
        cli_table_add(t, cli_count((uint64_t)f->source).text);
        cli_table_add(t, cli_count((uint64_t)f->destination).text);
        cli_table_add(t, cli_count((uint64_t)f->tag).text);
        cli_table_add(t, comm_name(job, f->comm));
    }
    putchar('\n');
    cli_table_print(t, 0);
}

static void print_line(const char *what, char *text, cli_style style) {
    char *escaped = cli_escape(text);
    printf("%s%s%s%s\n", cli_style_begin(style), what, escaped ? escaped : "",
           cli_style_end(style));
    free(escaped);
    free(text);
}

void wait_report_print(const wait_report *r) {
    print_ranks(r->job);
    print_flights(r->job);
    putchar('\n');
    for (int i = 0; i < r->job->ranks; i++) {
        const wait_item *item = collective_first_of(r->job, i);
        if (item)
            print_line("", collective_text(r, i, item), CLI_PLAIN);
    }
    for (size_t i = 0; i < r->miss_count; i++)
        print_line("near miss: ", miss_text(r->job, &r->misses[i]), CLI_BOLD);
    print_line("", verdict(r), r->stuck ? CLI_BAD : CLI_GOOD);
}

/* ---- JSON ---- */

static json_t *json_taken(char *text) {
    json_t *value = cli_json_text(text);
    free(text);
    return value;
}

static json_t *json_ranks(const int *ranks, size_t count) {
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, json_integer(ranks[i]));
    return list;
}

static json_t *item_json(const wait_job *job, const wait_item *item) {
    static const char *const kinds[] = {"receive", "send", "collective", "finalize", "other"};
    json_t *o = json_pack("{s:s}", "kind", kinds[item->kind]);
    if (item->comm >= 0)
        json_object_set_new(o, "communicator", cli_json_text(comm_name(job, item->comm)));
    if (item->kind == WAIT_RECEIVE || item->kind == WAIT_SEND) {
        json_object_set_new(o, "peer", item->peer < 0 ? json_null() : json_integer(item->peer));
        json_object_set_new(o, "tag", item->tag < 0 ? json_null() : json_integer(item->tag));
    }
    if (item->kind == WAIT_COLLECTIVE)
        json_object_set_new(o, "number", cli_json_number(item->number));
    return o;
}

static json_t *rank_json(const wait_job *job, int rank) {
    static const char *const states[] = {"silent",   "dead",  "unfollowed", "runs",
                                         "computes", "waits", "ended"};
    const wait_rank *r = &job->rank[rank];
    json_t *items = json_array();
    for (size_t i = 0; i < r->count && r->state == WAIT_WAITS; i++)
        if (r->items[i].kind != WAIT_ARRIVED)
            json_array_append_new(items, item_json(job, &r->items[i]));
    return json_pack("{s:i, s:o, s:I, s:s, s:o, s:o, s:b, s:s, s:o, s:I}", "rank", rank, "host",
                     cli_json_text(r->host), "pid", (json_int_t)r->pid, "state", states[r->state],
                     "call", r->state == WAIT_WAITS ? cli_json_text(r->call) : json_null(),
                     "seconds", has_time(r) ? json_real(r->since_s) : json_null(), "stuck",
                     r->stuck, "needs", r->any ? "any" : "all", "waits_for", items, "more",
                     (json_int_t)r->more);
}

static json_t *flights_json(const wait_job *job) {
    json_t *list = json_array();
    for (size_t i = 0; i < job->flight_count; i++) {
        const wait_flight *f = &job->flights[i];
        json_array_append_new(list, json_pack("{s:o, s:i, s:i, s:i, s:o, s:o}", "communicator",
                                              cli_json_text(comm_name(job, f->comm)), "source",
                                              f->source, "destination", f->destination, "tag",
                                              f->tag, "messages", cli_json_number(f->messages),
                                              "in_buffers", cli_json_number(f->arrived)));
    }
    return list;
}

static json_t *collectives_json(const wait_job *job) {
    json_t *list = json_array();
    for (int i = 0; i < job->ranks; i++) {
        const wait_item *item = collective_first_of(job, i);
        if (!item)
            continue;
        int *in, *out;
        size_t in_count, out_count;
        split_members(job, item, &in, &in_count, &out, &out_count);
        json_array_append_new(
            list, json_pack("{s:o, s:o, s:o, s:o, s:o}", "call", cli_json_text(job->rank[i].call),
                            "communicator", cli_json_text(comm_name(job, item->comm)), "number",
                            cli_json_number(item->number), "entered", json_ranks(in, in_count),
                            "missing", json_ranks(out, out_count)));
        free(in);
        free(out);
    }
    return list;
}

json_t *wait_report_json(const wait_report *r, const char *dir) {
    static const char *const kinds[] = {"cycle", "knot", "hopeless"};
    static const char *const whats[] = {"tag", "communicator", "source"};
    json_t *ranks = json_array(), *cores = json_array(), *misses = json_array();
    for (int i = 0; i < r->job->ranks; i++)
        json_array_append_new(ranks, rank_json(r->job, i));
    for (size_t i = 0; i < r->core_count; i++)
        json_array_append_new(cores,
                              json_pack("{s:s, s:o}", "kind", kinds[r->cores[i].kind], "ranks",
                                        json_ranks(r->cores[i].ranks, r->cores[i].count)));
    for (size_t i = 0; i < r->miss_count; i++)
        json_array_append_new(misses,
                              json_pack("{s:s, s:i, s:i, s:o}", "differs", whats[r->misses[i].what],
                                        "source", r->misses[i].flight->source, "destination",
                                        r->misses[i].flight->destination, "text",
                                        json_taken(miss_text(r->job, &r->misses[i]))));
    return json_pack("{s:o, s:b, s:o, s:o, s:o, s:b, s:o, s:o, s:o, s:o}", "directory",
                     cli_json_text(dir), "deadlock", r->stuck > 0, "verdict",
                     json_taken(verdict(r)), "deadlocks", cores, "waited_for",
                     json_ranks(r->deciders, r->decider_count), "different_collectives",
                     r->mismatched, "ranks", ranks, "in_flight", flights_json(r->job),
                     "collectives", collectives_json(r->job), "near_misses", misses);
}
