/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * wavecut-disk: many seeds, and what must hold after each crash.
 *
 * A seed is a job with a few lives. In each it goes on from what it finds, takes snapshots, and is ended by a crash: what the
 * disk has then is judged, and the next life begins there. The last life ends well.
 */
#include "job.h"

#include <argp.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_EVENTS = 256, MOST_SNAPSHOTS = 64 };

/* What is to be found of a snapshot, or of the mark. */
typedef enum presence { MUST_NOT, MAY, MUST } presence;

typedef struct snapshot {
    uint64_t id, contents;
    presence presence;
    bool live; /* before the crash, in the directory */
} snapshot;

typedef struct state {
    snapshot at[MOST_SNAPSHOTS];
    size_t count;
    presence mark;
} state;

typedef struct event {
    size_t position; /* operations before it */
    job_event event;
    uint64_t number, contents;
} event;

static struct {
    uint64_t seed, random, contents;
    disk_job job;
    uint64_t keep;
    bool verbose, rival;
    char work[PATH_MAX - 64], problem[1024];
    state before; /* this life */
    event events[MOST_EVENTS];
    size_t event_count;
} M;

/* The first one counts. */
static void __attribute__((format(printf, 1, 2))) problem(const char *format, ...) {
    va_list arguments;
    if (M.problem[0])
        return;
    va_start(arguments, format);
    vsnprintf(M.problem, sizeof M.problem, format, arguments);
    va_end(arguments);
}

static void __attribute__((format(printf, 1, 2))) tell(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    if (M.verbose)
        vprintf(format, arguments);
    va_end(arguments);
}

/* ---- what must hold ---- */

static snapshot *find(state *s, uint64_t id) {
    for (size_t i = 0; i < s->count; i++)
        if (s->at[i].id == id)
            return &s->at[i];
    if (s->count == MOST_SNAPSHOTS)
        disk_stop("too many snapshots");
    s->at[s->count] = (snapshot){.id = id, .presence = MUST_NOT};
    return &s->at[s->count++];
}

static void prune(state *s, uint64_t keep) {
    for (size_t i = 0; i < s->count; i++) {
        uint64_t newer = 0;
        for (size_t k = 0; k < s->count; k++)
            newer += s->at[k].live && s->at[k].id > s->at[i].id;
        if (s->at[i].live && newer >= keep)
            s->at[i].presence = MAY;
    }
    for (size_t i = 0; i < s->count; i++)
        s->at[i].live = s->at[i].live && s->at[i].presence == MUST;
}

static void apply(state *s, const event *e) {
    snapshot *it;
    switch (e->event) {
    case JOB_PUBLISHES:
        it = find(s, e->number);
        it->presence = MAY;
        it->contents = e->contents;
        break;
    case JOB_PUBLISHED:
        it = find(s, e->number);
        it->presence = MUST;
        it->live = true;
        break;
    case JOB_PRUNES:
        prune(s, e->number);
        break;
    case JOB_MARKS:
    case JOB_CLEARS:
        s->mark = MAY;
        break;
    case JOB_MARKED:
        s->mark = MUST;
        break;
    case JOB_CLEARED:
        s->mark = MUST_NOT;
        break;
    }
}

/* As things stood when `at` operations were done. */
static state state_at(size_t at) {
    state s = M.before;
    for (size_t i = 0; i < M.event_count && M.events[i].position <= at; i++)
        apply(&s, &M.events[i]);
    return s;
}

/* ---- what is there ---- */

static void judge_mark(const disk_job *job, state *s) {
    uint64_t run_id = 0;
    wc_error error = {WC_OK, ""};
    if (wc_store_read_finished(job->dir, &run_id, &error) != WC_OK)
        problem("the mark: %s", error.text);
    else if (run_id && (run_id != job_run_id() || s->mark == MUST_NOT))
        problem("a mark that nobody has made");
    else if (!run_id && s->mark == MUST)
        problem("the mark is lost");
    s->mark = run_id ? MUST : MUST_NOT;
}

/* Every snapshot that has its name is whole, of those that are expected; those that must be there are. What is found is what
 * the next life begins with. */
static void judge(const disk_job *job, state *s) {
    uint64_t *ids = NULL;
    size_t n = 0;
    wc_error error = {WC_OK, ""};
    if (wc_store_list(job->dir, &ids, &n, &error) != WC_OK)
        problem("%s", error.text);
    for (size_t i = 0; i < s->count; i++)
        s->at[i].live = false;
    for (size_t i = 0; i < n; i++) {
        snapshot *it = find(s, ids[i]);
        if (it->presence == MUST_NOT)
            problem("snapshot %llu is there, and was never published", (unsigned long long)ids[i]);
        else if (job_check(job, it->id, it->contents, &error) != WC_OK)
            problem("%s", error.text);
        it->live = true;
    }
    free(ids);
    for (size_t i = 0; i < s->count; i++) {
        if (s->at[i].presence == MUST && !s->at[i].live)
            problem("snapshot %llu was published, and is lost", (unsigned long long)s->at[i].id);
        s->at[i].presence = s->at[i].live ? MUST : MUST_NOT;
    }
    judge_mark(job, s);
}

/* At the end of a life without a crash: what was published last, and then nothing unfinished that is older. */
static void judge_end(const disk_job *job) {
    state s = state_at(disk_operations());
    struct dirent *entry;
    uint64_t newest = 0;
    bool pruned = false;
    for (size_t i = 0; i < M.event_count; i++)
        pruned = pruned || M.events[i].event == JOB_PRUNES;
    for (size_t i = 0; i < s.count; i++) {
        s.at[i].presence = s.at[i].live ? MUST : MUST_NOT;
        newest = s.at[i].live && s.at[i].id > newest ? s.at[i].id : newest;
    }
    judge(job, &s);
    DIR *stream = opendir(job->dir);
    while ((entry = readdir(stream))) {
        unsigned long long id;
        if (pruned && strstr(entry->d_name, ".partial") &&
            sscanf(entry->d_name, "wavecut-%llu.", &id) == 1 && id <= newest)
            problem("%s is left", entry->d_name);
    }
    closedir(stream);
}

/* ---- a life ---- */

static void add_event(job_event what, uint64_t number, uint64_t contents) {
    if (M.event_count == MOST_EVENTS)
        disk_stop("too many events");
    M.events[M.event_count++] = (event){disk_operations(), what, number, contents};
}

/* Another run, on another machine, has made a snapshot of this number meanwhile: a copy of ours. */
static bool make_rival(uint64_t id) {
    char path[PATH_MAX], name[DISK_NAME], *bytes = malloc(1 << 20);
    state s = state_at(disk_operations());
    const snapshot *source = NULL;
    for (size_t i = 0; i < s.count; i++)
        if (s.at[i].live)
            source = &s.at[i];
    if (!source || !bytes) {
        free(bytes);
        return false;
    }
    add_event(JOB_PUBLISHES, id, source->contents);
    disk_on_node(DISK_NODES - 1);
    wc_store_snapshot_path(M.job.dir, source->id, path, sizeof path);
    snprintf(name, sizeof name, "wavecut-%06llu.h5", (unsigned long long)id);
    int from = open(path, O_RDONLY), dir = open(M.job.dir, O_RDONLY | O_DIRECTORY);
    unlinkat(dir, "rival", 0); /* of an earlier life */
    int to = openat(dir, "rival", O_WRONLY | O_CREAT | O_EXCL, 0666);
    ssize_t n = read(from, bytes, 1 << 20);
    if (n <= 0 || write(to, bytes, (size_t)n) != n || fsync(to) < 0 ||
        renameat(dir, "rival", dir, name) < 0 || fsync(dir) < 0)
        disk_stop("the rival can't write: %m");
    close(from);
    close(to);
    close(dir);
    free(bytes);
    disk_on_node(0);
    add_event(JOB_PUBLISHED, id, source->contents);
    return true;
}

static void note(job_event what, uint64_t number, uint64_t contents) {
    if (what == JOB_PUBLISHES && M.rival)
        M.rival = make_rival(number);
    if (!M.rival)
        add_event(what, number, contents);
}

static void request(void) {
    wc_error error = {WC_OK, ""};
    if (wc_store_put_request(M.job.dir, &error) != WC_OK)
        problem("%s", error.text);
    if (!wc_store_take_request(M.job.dir))
        problem("the request is not taken");
}

static uint64_t give_up(uint64_t id) {
    wc_store_file *file;
    wc_error error = {WC_OK, ""};
    tell("  snapshot %llu is given up\n", (unsigned long long)id);
    if (job_write(&M.job, id, ++M.contents, &file, &error) == WC_OK)
        wc_store_abandon(file);
    else
        problem("%s", error.text);
    return id;
}

/* Returns the next one's number. `trouble`: an fsync fails, or another run is in the way. */
static uint64_t take(uint64_t id, bool trouble) {
    wc_error error = {WC_OK, ""};
    disk_call failed = DISK_CALL_COUNT;
    size_t events = M.event_count;
    M.rival = trouble && disk_chance(&M.random, 0.3);
    bool faulty = trouble && !M.rival;
    if (faulty)
        disk_fail(DISK_fsync, (long)disk_below(&M.random, (uint64_t)M.job.ranks + 2), EIO, false);
    wc_status status = job_snapshot(&M.job, id, ++M.contents, M.keep, &error);
    disk_mend(faulty ? &failed : NULL);
    bool hindered = failed != DISK_CALL_COUNT || M.rival;
    M.rival = false;
    tell("  snapshot %llu, contents %llu: %s\n", (unsigned long long)id,
         (unsigned long long)M.contents, status == WC_OK ? "published" : error.text);
    if (status != WC_OK && !hindered)
        problem("%s", error.text);
    if (status == WC_OK && hindered)
        problem("snapshot %llu was published, though it could not be", (unsigned long long)id);
    return id + (M.event_count > events); /* one that could not be published may have its number */
}

static void finish(void) {
    wc_error error = {WC_OK, ""};
    note(JOB_MARKS, 0, 0);
    if (wc_store_mark_finished(M.job.dir, job_run_id(), &error) != WC_OK)
        problem("%s", error.text);
    note(JOB_MARKED, 0, 0);
    tell("  finished\n");
}

/* As a run that starts with WAVECUT_RESTART=never: what is there stays. */
static uint64_t start(void) {
    uint64_t *ids = NULL, next;
    size_t n = 0;
    wc_error error = {WC_OK, ""};
    disk_watch(M.job.dir);
    M.event_count = 0;
    if (wc_store_prepare_dir(M.job.dir, &error) != WC_OK ||
        wc_store_list(M.job.dir, &ids, &n, &error) != WC_OK)
        problem("%s", error.text);
    next = n ? ids[0] + 1 : 1;
    free(ids);
    note(JOB_CLEARS, 0, 0);
    if (wc_store_clear_finished(M.job.dir, &error) != WC_OK)
        problem("%s", error.text);
    if (M.before.mark != MUST_NOT)
        note(JOB_CLEARED, 0, 0);
    else
        M.event_count = 0;
    return next;
}

static void live(bool last) {
    uint64_t next = start(), n = last ? 1 : 1 + disk_below(&M.random, 4);
    for (uint64_t i = 0; i < n && !M.problem[0]; i++) {
        if (disk_chance(&M.random, 0.1))
            request();
        if (disk_chance(&M.random, 0.1))
            next = give_up(next);
        next = take(next, !last && disk_chance(&M.random, 0.2));
    }
    if (!M.problem[0] && disk_chance(&M.random, 0.3))
        finish();
    judge_end(&M.job);
}

/* Anywhere; half of the time where it is delicate. */
static size_t choose_crash(void) {
    size_t n = disk_operations();
    if (!M.event_count || disk_chance(&M.random, 0.5))
        return disk_below(&M.random, n + 1);
    size_t at = M.events[disk_below(&M.random, M.event_count)].position + disk_below(&M.random, 8);
    return at >= 2 && at - 2 < n ? at - 2 : n;
}

/* ---- a seed ---- */

static void empty(const char *dir) {
    struct dirent *entry;
    DIR *stream = opendir(dir);
    while (stream && (entry = readdir(stream)))
        if (entry->d_name[0] != '.')
            unlinkat(dirfd(stream), entry->d_name, 0);
    if (stream)
        closedir(stream);
}

/* Two directories take turns. */
static void place(int life) {
    snprintf(M.job.dir, sizeof M.job.dir, "%s/%d", M.work, life % 2);
    empty(M.job.dir);
}

/* How many crashes there were. */
static unsigned run_seed(uint64_t seed) {
    unsigned crashes = 0;
    M.seed = M.random = seed;
    M.contents = M.problem[0] = 0;
    M.before = (state){.count = 0};
    M.job.ranks = 2 + (int)disk_below(&M.random, JOB_MOST_RANKS - 1);
    M.job.big = disk_chance(&M.random, 0.05);
    M.job.random = disk_random(&M.random);
    M.job.note = note;
    M.keep = 1 + disk_below(&M.random, 3);
    disk_be((disk_system)(disk_chance(&M.random, 0.4) ? disk_below(&M.random, 3) : 0));
    unsigned lives = 2 + (unsigned)disk_below(&M.random, 3);
    place(0);
    for (unsigned life = 1; life <= lives && !M.problem[0]; life++) {
        char told[128];
        tell("life %u: %d ranks, keeps %llu\n", life, M.job.ranks, (unsigned long long)M.keep);
        live(life == lives);
        if (life == lives || M.problem[0])
            break;
        size_t at = choose_crash();
        state s = state_at(at);
        place((int)life);
        disk_crash(at, disk_random(&M.random), M.job.dir, told, sizeof told);
        tell("  crash in %s\n", told);
        judge(&M.job, &s);
        if (M.problem[0]) {
            size_t used = strlen(M.problem);
            snprintf(M.problem + used, sizeof M.problem - used, " (crash in %s)", told);
        }
        M.before = s;
        crashes++;
    }
    disk_forget();
    return crashes;
}

static void make_work(void) {
    const char *base = getenv("TMPDIR");
    char path[PATH_MAX];
    if (!base)
        base = faccessat(AT_FDCWD, "/dev/shm", W_OK, 0) == 0 ? "/dev/shm" : "/tmp";
    snprintf(M.work, sizeof M.work, "%.3000s/wavecut-disk-XXXXXX", base);
    if (!mkdtemp(M.work))
        disk_stop("%s: %m", M.work);
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%d", M.work, i);
        if (mkdir(path, 0777) < 0)
            disk_stop("%s: %m", path);
    }
}

static void remove_work(void) {
    for (int i = 0; i < 2; i++) {
        place(i);
        rmdir(M.job.dir);
    }
    rmdir(M.work);
}

typedef struct arguments {
    uint64_t seeds, first;
    bool stop;
} arguments;

static const struct argp_option argp_options[] = {
    {"seeds", 'n', "N", 0, "Run so many seeds (1000)", 0},
    {"first", 'f', "SEED", 0, "Begin with this one (1)", 0},
    {"seed", 's', "SEED", 0, "Run this one alone", 0},
    {"stop", 'x', NULL, 0, "Stop at the first problem", 0},
    {"verbose", 'v', NULL, 0, "Tell each snapshot and crash", 0},
    {0}};

static error_t parse(int key, char *text, struct argp_state *argp) {
    arguments *a = argp->input;
    switch (key) {
    case 'n':
        a->seeds = strtoull(text, NULL, 10);
        return 0;
    case 'f':
        a->first = strtoull(text, NULL, 10);
        return 0;
    case 's':
        a->first = strtoull(text, NULL, 10);
        a->seeds = 1;
        return 0;
    case 'x':
        a->stop = true;
        return 0;
    case 'v':
        M.verbose = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* An assertion or a crash of ours: the seed is all it takes. */
static void tell_seed(int number) {
    char text[64];
    int n = snprintf(text, sizeof text, "wavecut-disk: seed %llu\n", (unsigned long long)M.seed);
    if (write(STDERR_FILENO, text, (size_t)n) < 0)
        _exit(2);
    signal(number, SIG_DFL);
    raise(number);
}

int main(int argc, char **argv) {
    arguments a = {.seeds = 1000, .first = 1};
    uint64_t crashes = 0, problems = 0;
    const struct argp argp = {
        .options = argp_options, .parser = parse, .doc = "The store on a disk that crashes."};
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    signal(SIGABRT, tell_seed);
    signal(SIGSEGV, tell_seed);
    make_work();
    for (uint64_t seed = a.first; seed < a.first + a.seeds && !(a.stop && problems); seed++) {
        crashes += run_seed(seed);
        if (!M.problem[0])
            continue;
        problems++;
        printf("seed %llu: %s\n  again: %s --seed %llu --verbose\n", (unsigned long long)seed,
               M.problem, argv[0], (unsigned long long)seed);
    }
    remove_work();
    printf("%llu crashes, %llu problems\n", (unsigned long long)crashes,
           (unsigned long long)problems);
    return problems > 0;
}
