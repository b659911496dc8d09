/* SPDX-License-Identifier: BSD-3-Clause */
#include "waitread.h"

#include "output.h"
#include "store/waits.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MOST_RANKS = 1 << 20 }; /* half a gigabyte for what each of them does */

/* Between the questions, and between looks for answers. A message that is on its way arrives meanwhile. */
static const long BETWEEN_NS = 200000000, LOOK_NS = 20000000;
/* After so long without an answer, a process that isn't there is taken for dead. */
static const double DEAD_S = 2;

/* ---- values of an answer ---- */

typedef struct reading {
    int rank, ranks;
    bool bad;
} reading;

static int64_t number(reading *r, const json_t *object, const char *key, int64_t least,
                      int64_t most) {
    const json_t *value = json_object_get(object, key);
    int64_t n = json_is_integer(value) ? json_integer_value(value) : least - 1;
    if (n < least || n > most) {
        r->bad = true;
        return least;
    }
    return n;
}

static uint64_t hex(reading *r, const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    char *end = NULL;
    uint64_t value = text ? strtoull(text, &end, 16) : 0;
    r->bad = r->bad || !text || end == text || *end;
    return value;
}

static void text(reading *r, const json_t *object, const char *key, char *to, size_t size) {
    const char *value = json_string_value(json_object_get(object, key));
    if (!value || strlen(value) >= size)
        r->bad = true;
    else
        strcpy(to, value);
}

static bool flag(reading *r, const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    r->bad = r->bad || !json_is_boolean(value);
    return json_is_true(value);
}

static int choice(reading *r, const json_t *object, const char *key, const char *const names[],
                  int count) {
    const char *value = json_string_value(json_object_get(object, key));
    for (int i = 0; value && i < count; i++)
        if (strcmp(value, names[i]) == 0)
            return i;
    r->bad = true;
    return 0;
}

/* ---- communicators ---- */

static int find_comm(const wait_job *job, uint64_t uid) {
    for (size_t i = 0; i < job->comm_count; i++)
        if (job->comms[i].uid == uid)
            return (int)i;
    return -1;
}

/* "0-3,8" */
static void read_members(reading *r, const char *ranges, wait_comm *c) {
    for (const char *at = ranges; *at && !r->bad;) {
        int first, last, length = 0;
        if (sscanf(at, "%d-%d%n", &first, &last, &length) != 2 || !length) {
            length = 0;
            if (sscanf(at, "%d%n", &first, &length) != 1)
                r->bad = true;
            last = first;
        }
        r->bad = r->bad || first < 0 || last < first || last >= r->ranks;
        if (r->bad || last - first >= r->ranks - c->size) {
            r->bad = true;
            return;
        }
        c->members = wait_one_more(c->members, c->range_count, sizeof *c->members);
        c->members[c->range_count++] = (wait_range){first, last};
        c->size += last - first + 1;
        at += length;
        at += *at == ',';
    }
}

static wait_comm *get_comm(reading *r, wait_job *job, const json_t *object) {
    uint64_t uid = hex(r, object, "uid");
    int known = find_comm(job, uid);
    if (known >= 0)
        return &job->comms[known];
    job->comms = wait_one_more(job->comms, job->comm_count, sizeof *job->comms);
    wait_comm *c = &job->comms[job->comm_count++];
    *c = (wait_comm){.uid = uid};
    c->parent = hex(r, object, "parent");
    c->ordinal = (uint64_t)number(r, object, "ordinal", 0, INT64_MAX);
    c->colour = number(r, object, "colour", INT64_MIN + 1, INT64_MAX);
    text(r, object, "made", c->made, sizeof c->made);
    const char *members = json_string_value(json_object_get(object, "members"));
    if (members)
        read_members(r, members, c);
    r->bad = r->bad || !members;
    return c;
}

/* "split 1 of world, colour 2": the first communicator that was made of world. */
static void name_comm(wait_job *job, wait_comm *c, int depth) {
    if (c->name[0])
        return;
    int parent = find_comm(job, c->parent);
    if (!c->ordinal || depth > 8) {
        snprintf(c->name, sizeof c->name, "%s", c->made);
        return;
    }
    if (parent >= 0)
        name_comm(job, &job->comms[parent], depth + 1);
    char colour[40] = "";
    if (strcmp(c->made, "split") == 0)
        snprintf(colour, sizeof colour, ", colour %" PRId64, c->colour);
    snprintf(c->name, sizeof c->name, "%s %" PRIu64 " of %.150s%s", c->made, c->ordinal,
             parent >= 0 ? job->comms[parent].name : "another", colour);
}

/* ---- messages ---- */

typedef struct counts {
    wait_flight *at;
    size_t count;
} counts;

static void add_count(counts *all, wait_flight f) {
    all->at = wait_one_more(all->at, all->count, sizeof *all->at);
    all->at[all->count++] = f;
}

/* What left (+) or was handed over (-, in two's complement). */
static void read_streams(reading *r, const json_t *object, const char *key, int comm, counts *all) {
    const json_t *list = json_object_get(object, key), *entry;
    bool out = strcmp(key, "sent") == 0;
    size_t i;
    r->bad = r->bad || !json_is_array(list);
    json_array_foreach(list, i, entry) {
        int64_t value[3];
        for (size_t k = 0; k < 3; k++) {
            const json_t *n = json_array_get(entry, k);
            r->bad = r->bad || !json_is_integer(n);
            value[k] = json_integer_value(n);
        }
        if (value[0] < 0 || value[0] >= r->ranks || value[1] < 0 || value[1] > INT32_MAX)
            continue; /* with processes that are no part of this job */
        int peer = (int)value[0];
        add_count(all, (wait_flight){.comm = comm,
                                     .source = out ? r->rank : peer,
                                     .destination = out ? peer : r->rank,
                                     .tag = (int)value[1],
                                     .messages = (uint64_t)(out ? value[2] : -value[2])});
    }
}

static int by_stream(const void *a, const void *b) {
    const wait_flight *x = a, *y = b;
    int d = (x->comm > y->comm) - (x->comm < y->comm);
    d = d ? d : (x->source > y->source) - (x->source < y->source);
    d = d ? d : (x->destination > y->destination) - (x->destination < y->destination);
    return d ? d : (x->tag > y->tag) - (x->tag < y->tag);
}

static bool tells(const wait_rank *r) {
    return r->state != WAIT_SILENT && r->state != WAIT_GONE && r->state != WAIT_UNFOLLOWED;
}

/* Sums up the counts of each stream; what remains is in flight. */
static void sum_up(wait_job *job, counts *all) {
    size_t kept = 0;
    if (all->count)
        qsort(all->at, all->count, sizeof *all->at, by_stream);
    for (size_t i = 0, end; i < all->count; i = end) {
        wait_flight sum = all->at[i];
        for (end = i + 1; end < all->count && by_stream(&sum, &all->at[end]) == 0; end++) {
            sum.messages += all->at[end].messages;
            sum.arrived += all->at[end].arrived;
        }
        if ((int64_t)sum.messages > 0 && tells(&job->rank[sum.source]) &&
            tells(&job->rank[sum.destination]))
            all->at[kept++] = sum;
    }
    job->flights = all->at;
    job->flight_count = kept;
}

/* ---- one rank ---- */

static void read_items(reading *r, wait_job *job, const json_t *answer, counts *all) {
    static const char *const kinds[] = {"receive",  "send",  "collective",
                                        "finalize", "other", "arrived"};
    const json_t *list = json_object_get(answer, "items"), *entry;
    wait_rank *rank = &job->rank[r->rank];
    size_t i;
    r->bad = r->bad || !json_is_array(list);
    rank->items = wait_room(json_array_size(list), sizeof *rank->items);
    json_array_foreach(list, i, entry) {
        wait_item *item = &rank->items[rank->count++];
        item->kind = (wait_kind)choice(r, entry, "kind", kinds, 6);
        item->comm = find_comm(job, hex(r, entry, "comm"));
        item->peer = (int)number(r, entry, "peer", -1, r->ranks - 1);
        item->tag = (int)number(r, entry, "tag", -1, INT32_MAX);
        item->number = (uint64_t)number(r, entry, "number", 0, INT64_MAX);
        if (item->kind == WAIT_ARRIVED && item->comm >= 0)
            add_count(all, (wait_flight){.comm = item->comm,
                                         .source = item->peer,
                                         .destination = r->rank,
                                         .tag = item->tag,
                                         .arrived = 1});
    }
}

static wait_state state_of(reading *r, const json_t *first, const json_t *second) {
    static const char *const names[] = {"outside", "waits", "ended", "threads"};
    static const wait_state states[] = {WAIT_COMPUTES, WAIT_WAITS, WAIT_ENDED, WAIT_UNFOLLOWED};
    wait_state state = states[choice(r, second, "state", names, 4)];
    if (state == WAIT_ENDED || state == WAIT_UNFOLLOWED)
        return state;
    static const char *const same[] = {"state", "calls", "items", "communicators"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        if (!json_equal(json_object_get(first, same[i]), json_object_get(second, same[i])))
            return WAIT_RUNS;
    return flag(r, first, "fresh") && flag(r, second, "fresh") ? state : WAIT_RUNS;
}

/* Ranks tell one after the other, each of them twice. */
static void note_entered(wait_comm *c, int rank, uint64_t collectives) {
    if (!c->entered_count || c->entered[c->entered_count - 1].rank != rank) {
        c->entered = wait_one_more(c->entered, c->entered_count, sizeof *c->entered);
        c->entered[c->entered_count++].rank = rank;
    }
    c->entered[c->entered_count - 1].collectives = collectives;
}

static void read_comms(reading *r, wait_job *job, const json_t *answer, const char *key,
                       counts *all) {
    const json_t *list = json_object_get(answer, "communicators"), *entry;
    size_t i;
    r->bad = r->bad || !json_is_array(list);
    json_array_foreach(list, i, entry) {
        wait_comm *c = get_comm(r, job, entry);
        note_entered(c, r->rank, (uint64_t)number(r, entry, "collectives", 0, INT64_MAX));
        read_streams(r, entry, key, (int)(c - job->comms), all);
    }
}

/* Sent before the first question and not handed over before the second: in flight in between. */
static void read_rank(reading *r, wait_job *job, const json_t *first, const json_t *second,
                      counts *all) {
    wait_rank *rank = &job->rank[r->rank];
    rank->state = state_of(r, first, second);
    rank->pid = (long)number(r, second, "pid", 1, INT64_MAX);
    text(r, second, "host", rank->host, sizeof rank->host);
    if (rank->state == WAIT_UNFOLLOWED)
        return;
    text(r, second, "call", rank->call, sizeof rank->call);
    rank->since_s = json_number_value(json_object_get(second, "since_s"));
    rank->any = flag(r, second, "any");
    rank->more = (uint64_t)number(r, second, "more", 0, INT64_MAX);
    job->uncounted = flag(r, second, "uncounted") || job->uncounted;
    read_comms(r, job, first, "sent", all);
    read_comms(r, job, second, "received", all);
    read_items(r, job, second, all);
}

wc_status wait_understand(int ranks, json_t *const *first, json_t *const *second, wait_job *job,
                          wc_error *error) {
    counts all = {NULL, 0};
    *job = (wait_job){.ranks = ranks, .rank = wait_room((size_t)ranks, sizeof *job->rank)};
    for (int i = 0; i < ranks; i++) {
        reading r = {.rank = i, .ranks = ranks};
        if (first[i] && second[i])
            read_rank(&r, job, first[i], second[i], &all);
        if (!r.bad)
            continue;
        free(all.at);
        wait_job_free(job);
        return wc_error_set(error, WC_ERR_DAMAGED,
                            "rank-%d.json is no answer that this version understands", i);
    }
    for (size_t i = 0; i < job->comm_count; i++)
        name_comm(job, &job->comms[i], 0);
    sum_up(job, &all);
    return WC_OK;
}

void wait_job_free(wait_job *job) {
    for (int i = 0; i < job->ranks; i++)
        free(job->rank[i].items);
    for (size_t i = 0; i < job->comm_count; i++) {
        free(job->comms[i].members);
        free(job->comms[i].entered);
    }
    free(job->rank);
    free(job->comms);
    free(job->flights);
    *job = (wait_job){0};
}

/* ---- asking ---- */

typedef struct asking {
    const char *dir;
    int fd, ranks;
    uint64_t job;
    double timeout_s;
    json_t **last; /* [ranks] the newest answer, whatever it answers */
} asking;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void pause_for(long ns) {
    nanosleep(&(struct timespec){.tv_nsec = ns}, NULL);
}

/* NULL: there is none, or it is being replaced. */
static json_t *read_answer(const char *dir, int rank, wc_error *error) {
    char *read_in;
    if (wc_waits_read(dir, rank, &read_in, error) != WC_OK)
        return NULL;
    json_t *answer = json_loads(read_in, 0, NULL);
    free(read_in);
    reading r = {.rank = rank};
    if (!answer || number(&r, answer, "waits", 1, 1) != 1 ||
        number(&r, answer, "rank", rank, rank) != rank || r.bad) {
        json_decref(answer);
        wc_error_set(error, WC_ERR_DAMAGED,
                     "%.400s/waits/rank-%d.json is no answer that this version understands", dir,
                     rank);
        return NULL;
    }
    error->status = WC_OK;
    return answer;
}

static bool has_ended(const json_t *answer) {
    const char *state = json_string_value(json_object_get(answer, "state"));
    return state && strcmp(state, "ended") == 0;
}

/* Its process is on this machine, and isn't there. */
static bool is_dead(const json_t *answer) {
    char host[256] = "";
    const char *its = json_string_value(json_object_get(answer, "host"));
    json_int_t pid = json_integer_value(json_object_get(answer, "pid"));
    gethostname(host, sizeof host - 1);
    return its && strcmp(its, host) == 0 && pid > 0 && kill((pid_t)pid, 0) < 0 && errno == ESRCH;
}

/* Takes in what rank N has said. True: nothing else is to be expected. */
static bool look(asking *a, int rank, uint64_t asked, double waited) {
    wc_error error;
    reading r = {.rank = rank};
    json_t *answer = read_answer(a->dir, rank, &error);
    if (answer && hex(&r, answer, "job") == a->job) {
        json_decref(a->last[rank]);
        a->last[rank] = answer;
    } else {
        json_decref(answer);
    }
    const json_t *last = a->last[rank];
    bool answered = last && hex(&r, last, "answers") == asked;
    return last && (answered || has_ended(last) || (waited > DEAD_S && is_dead(last)));
}

/* One question; `answers` gets those of ranks that have answered it, or ended. */
static wc_status ask_once(asking *a, json_t **answers, wc_error *error) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    uint64_t asked = ((uint64_t)t.tv_sec << 30 | (uint64_t)t.tv_nsec) ^ (uint64_t)getpid() << 40;
    if (wc_waits_ask(a->fd, asked, error) != WC_OK)
        return error->status;
    bool *settled = wait_room((size_t)a->ranks, sizeof *settled);
    int missing = a->ranks;
    for (double start = now(); missing && now() - start <= a->timeout_s;) {
        for (int i = 0; i < a->ranks; i++) {
            if (settled[i] || !look(a, i, asked, now() - start))
                continue;
            settled[i] = true;
            missing--;
        }
        if (missing)
            pause_for(LOOK_NS);
    }
    for (int i = 0; i < a->ranks; i++) {
        reading r = {.rank = i};
        json_t *last = a->last[i];
        bool said = last && (hex(&r, last, "answers") == asked || has_ended(last));
        answers[i] = said ? json_incref(last) : NULL;
    }
    free(settled);
    return WC_OK;
}

/* How many ranks there are, and which job this is, says rank 0's last answer, as soon as there is one. */
static wc_status find_job(asking *a, wc_error *error) {
    json_t *answer;
    for (double start = now();; pause_for(LOOK_NS)) {
        answer = read_answer(a->dir, 0, error);
        if (answer || error->status != WC_ERR_NOT_FOUND || now() - start > a->timeout_s)
            break;
    }
    if (!answer)
        return error->status == WC_ERR_NOT_FOUND
                   ? wc_error_set(error, WC_ERR_NOT_FOUND,
                                  "no rank has answered within %g s in %.300s: has the job ended, "
                                  "or does it run elsewhere?",
                                  a->timeout_s, a->dir)
                   : error->status;
    reading r = {0};
    a->ranks = (int)number(&r, answer, "ranks", 1, MOST_RANKS);
    a->job = hex(&r, answer, "job");
    json_decref(answer);
    return r.bad ? wc_error_set(error, WC_ERR_DAMAGED,
                                "%.400s/waits/rank-0.json is no answer that this version "
                                "understands",
                                a->dir)
                 : WC_OK;
}

/* Ranks that have not answered: what is left of them? */
static void note_silent(const asking *a, wait_job *job) {
    for (int i = 0; i < job->ranks; i++) {
        wait_rank *rank = &job->rank[i];
        const json_t *last = a->last[i];
        if (rank->state != WAIT_SILENT || !last)
            continue;
        const char *host = json_string_value(json_object_get(last, "host"));
        snprintf(rank->host, sizeof rank->host, "%s", host ? host : "");
        rank->pid = (long)json_integer_value(json_object_get(last, "pid"));
        if (is_dead(last))
            rank->state = WAIT_GONE;
    }
}

static void drop(json_t **answers, int count) {
    for (int i = 0; answers && i < count; i++)
        json_decref(answers[i]);
    free(answers);
}

static bool nobody(json_t *const *answers, int count) {
    for (int i = 0; i < count; i++)
        if (answers[i])
            return false;
    return true;
}

static wc_status ask_twice(asking *a, wait_job *job, wc_error *error) {
    wc_status status = find_job(a, error);
    if (status != WC_OK)
        return status;
    size_t n = (size_t)a->ranks;
    json_t **first = wait_room(n, sizeof(json_t *)), **second = wait_room(n, sizeof(json_t *));
    a->last = wait_room(n, sizeof(json_t *));
    status = ask_once(a, first, error);
    if (status == WC_OK && nobody(first, a->ranks))
        status = wc_error_set(error, WC_ERR_NOT_FOUND,
                              "no rank of the job in %.300s has answered within %g s: its "
                              "processes are dead, or can't see the directory",
                              a->dir, a->timeout_s);
    if (status == WC_OK) {
        pause_for(BETWEEN_NS);
        status = ask_once(a, second, error);
    }
    if (status == WC_OK)
        status = wait_understand(a->ranks, first, second, job, error);
    if (status == WC_OK)
        note_silent(a, job);
    drop(first, a->ranks);
    drop(second, a->ranks);
    drop(a->last, a->ranks);
    return status;
}

wc_status wait_ask(const char *dir, double timeout_s, wait_job *job, wc_error *error) {
    asking a = {.dir = dir, .timeout_s = timeout_s};
    wc_status status = wc_waits_open(dir, &a.fd, error);
    if (status != WC_OK)
        return status;
    status = ask_twice(&a, job, error);
    close(a.fd);
    return status;
}
