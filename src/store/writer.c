/* SPDX-License-Identifier: BSD-3-Clause */
#include "writer.h"

#include "block.h"
#include "bytes.h"
#include "fault.h"
#include "part.h"
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum {
    PAGE = WC_DIRECT_PAGE,
    UNIT = 4 << 20, /* hashed, then written: still in the cache */
    /*
     * So many units are under way at once. With one, each write waits for the disk, and on ext4 for a kernel thread that
     * marks its blocks as written, which needs a processor, too. Measured, 256 MiB into a file that has its space, hashes
     * included, 2 processors that are busy: 1 thread 424 ms, 2 143 ms, 4 121 ms; io_uring with 4 to 16 requests 190 to
     * 245 ms, since the kernel hands such writes to threads of its own.
     */
    THREADS = 4,
    MOST_JOBS = 1 << 20
};

typedef enum wc_job_kind {
    JOB_OPEN,
    JOB_DATA, /* in units, several at once */
    JOB_ROWS, /* carries what was found about the data before */
    JOB_RUN,
    JOB_SYNC,
    JOB_CLOSE
} wc_job_kind;

typedef struct wc_job {
    wc_job_kind kind;
    union {
        char *path;           /* the job's */
        struct wc_data *data; /* likewise */
        struct {
            wc_writer_task task;
            void *context;
        } run;
    };
} wc_job;

/* Bytes to be written. */
typedef struct wc_data {
    const char *from;
    wc_lent *
        lent; /* NULL: the bytes are at `from` and stay there; else they come there when they have to */
    wc_part part;
    wc_sums sums;
    uint64_t taken; /* bytes of units that threads have taken */
    int active;     /* units that are being written */
} wc_data;

typedef struct wc_unit {
    wc_data *data;
    uint64_t at, end;
} wc_unit;

struct wc_writer {
    pthread_mutex_t lock;
    pthread_cond_t work, done;
    pthread_t threads[THREADS];
    int thread_count;
    wc_job *ring; /* `count` jobs from `first` on */
    size_t room, first, count;
    uint64_t bytes; /* of data that no thread has taken */
    int active;     /* units and other jobs that are being done */
    bool alone;     /* one of these jobs must be done alone */
    bool stopping;
    wc_error error;        /* the first since the last idle */
    atomic_size_t pending; /* `count` and `active`; written under the lock, read without */

    _Atomic uint64_t written;
    uint64_t rate;    /* bytes per second; 0: no limit */
    int64_t rate_due; /* ns: when the next unit may be written */

    /* changed only while nothing else is being done */
    int fd, direct; /* direct: the same file with O_DIRECT; -1: not open */
    char *path;
    atomic_bool buffered; /* O_DIRECT was refused */
    atomic_bool broken;   /* the file has failed: nothing more is written to it */
};

/* ---- the file: on the thread ---- */

static void close_file(wc_writer *w) {
    if (w->fd >= 0)
        close(w->fd);
    if (w->direct >= 0)
        close(w->direct);
    w->fd = w->direct = -1;
    free(w->path);
    w->path = NULL;
}

static void open_file(wc_writer *w, char *path, wc_error *error) {
    close_file(w);
    w->path = path;
    w->buffered = w->broken = false;
    w->fd = TEMP_FAILURE_RETRY(open(path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC));
    if (w->fd < 0)
        wc_error_set(error, WC_ERR_IO, "%.300s can't be opened for writing: %m%s", path,
                     wc_error_advice(errno));
    else
        w->direct = wc_direct_open(path, w->fd, O_WRONLY | O_NOFOLLOW);
}

/* Writes up to `bytes`, at least one; -1 and errno if that is not possible. */
static ssize_t write_some(wc_writer *w, const char *from, size_t bytes, uint64_t to) {
    bool aligned = ((uintptr_t)from | to) % PAGE == 0;
    if (w->direct >= 0 && !w->buffered && aligned && bytes >= WC_DIRECT_LEAST) {
        ssize_t n = pwrite(w->direct, from, bytes - bytes % PAGE, (off_t)to);
        if (n > 0 || (n < 0 && errno != EINVAL))
            return n;
        w->buffered = true;
    }
    ssize_t n = pwrite(w->fd, from, bytes, (off_t)to);
    if (n == 0)
        errno = EIO;
    return n == 0 ? -1 : n;
}

static bool write_all(wc_writer *w, const char *from, size_t bytes, uint64_t to) {
    while (bytes) {
        ssize_t n = write_some(w, from, bytes, to);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        from += n;
        to += (uint64_t)n;
        bytes -= (size_t)n;
        atomic_fetch_add_explicit(&w->written, (uint64_t)n, memory_order_relaxed);
    }
    return true;
}

/* The ragged start up to a page goes out alone, so that what follows is aligned in the file. */
static size_t next_piece(const char *from, size_t left, uint64_t to) {
    bool congruent = ((uintptr_t)from - to) % PAGE == 0;
    if (!congruent || left < WC_DIRECT_LEAST)
        return left;
    if (to % PAGE)
        return PAGE - to % PAGE;
    return left - left % PAGE;
}

/* `bytes` from `at` on, for file offset `to`. What the program has taken back meanwhile is written again, from the copy. */
static bool write_piece(wc_writer *w, const wc_data *d, uint64_t at, size_t bytes, uint64_t to) {
    const char *base = d->from;
    bool written, stands;
    do {
        if (d->lent) {
            base = wc_lent_hold(d->lent, at, at + bytes, to);
            wc_lent_release();
        }
        if (wc_fault_on("slow_writer"))
            usleep(20000);
        written = !(d->lent && d->lent->failure) && write_all(w, base + at, bytes, to);
        stands = !d->lent || wc_lent_written(d->lent, base, at, at + bytes);
    } while (!stands);
    if (d->lent && d->lent->failure)
        errno = d->lent->failure;
    return written;
}

/* Bytes that stand together in the file. */
static void write_run(wc_writer *w, const wc_data *d, uint64_t at, size_t left, uint64_t to,
                      wc_error *error) {
    while (left) {
        const char *base = d->lent ? wc_lent_where(d->lent, at, to) : d->from;
        size_t piece = next_piece(base + at, left, to);
        if (!write_piece(w, d, at, piece, to)) {
            wc_error_set(error, WC_ERR_IO, "%.200s: %zu bytes can't be written at %llu: %m%s",
                         w->path, piece, (unsigned long long)to, wc_error_advice(errno));
            return;
        }
        at += piece;
        to += piece;
        left -= piece;
    }
}

/*
 * The blocks that begin in the unit; the last one may reach beyond it. Lent memory may be hashed although it is taken back
 * later: the copy has the same bytes. It is still there, or in the copy, as far as it isn't safe, which it is not before this
 * unit is written.
 */
static void hash_unit(const wc_unit *u, uint64_t place) {
    const wc_data *d = u->data;
    uint64_t first = wc_blocks(u->at), blocks = wc_blocks(u->end) - first;
    uint64_t from = first * WC_BLOCK_BYTES, end = from + blocks * WC_BLOCK_BYTES;
    end = end < d->part.bytes ? end : d->part.bytes;
    if (!blocks)
        return;
    const char *base = d->lent ? wc_lent_hold(d->lent, u->at, end, place) : d->from;
    wc_block_hashes(base + from, end - from, d->sums.blocks + first);
    if (d->lent)
        wc_lent_release();
}

static void write_unit(wc_writer *w, const wc_unit *u, wc_error *error) {
    const wc_data *d = u->data;
    uint64_t place, bytes, at = u->at;
    wc_box_walk walk;
    if (w->fd < 0 || w->broken) {
        wc_error_set(error, WC_ERR_IO, "no file is open for writing");
        return;
    }
    wc_box_walk_begin(&walk, &d->part.box, d->part.chunk, d->part.each);
    wc_box_walk_seek(&walk, at);
    while (at < u->end && error->status == WC_OK && wc_box_walk_next(&walk, &place, &bytes)) {
        place += d->part.offset;
        bytes = bytes < u->end - at ? bytes : u->end - at;
        if (at == u->at && d->sums.blocks)
            hash_unit(u, place);
        write_run(w, d, at, bytes, place, error);
        at += bytes;
    }
    if (error->status == WC_OK)
        WC_FAULT("after_extent");
}

/* What fsync says is said once: so its word counts, and the file is closed whatever it was. */
static void sync_file(wc_writer *w, wc_error *error) {
    WC_FAULT("before_sync");
    if (w->fd < 0)
        wc_error_set(error, WC_ERR_IO, "no file is open for writing");
    else if (TEMP_FAILURE_RETRY(fsync(w->fd)) < 0)
        wc_error_set(error, WC_ERR_IO, "%.300s can't be made durable (fsync): %m%s", w->path,
                     wc_error_advice(errno));
    else {
        int fd = w->fd;
        w->fd = -1;
        if (close(fd) < 0 && errno != EINTR)
            wc_error_set(error, WC_ERR_IO, "%.300s can't be closed: %m%s", w->path,
                         wc_error_advice(errno));
    }
    close_file(w);
    if (error->status == WC_OK)
        WC_FAULT("after_sync");
}

/* ---- units ---- */

/* Units end where pages of the file do, so that only the ends of the whole are ragged. */
static wc_unit take_unit(wc_writer *w, wc_data *d) {
    uint64_t skew = d->taken ? 0 : wc_part_place(&d->part) % PAGE;
    wc_unit u = {.data = d, .at = d->taken, .end = d->taken + UNIT - skew};
    u.end = u.end < d->part.bytes ? u.end : d->part.bytes;
    w->bytes -= u.end - u.at;
    d->taken = u.end;
    d->active++;
    return u;
}

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* When may so many bytes be written? */
static int64_t take_turn(wc_writer *w, uint64_t bytes) {
    int64_t now = now_ns(), due = w->rate_due > now ? w->rate_due : now;
    if (w->rate)
        w->rate_due = due + (int64_t)((double)bytes / (double)w->rate * 1e9);
    return w->rate ? due : 0;
}

static void sleep_until(int64_t due) {
    struct timespec t = {due / 1000000000, due % 1000000000};
    while (due && clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
        ;
}

/* ---- the threads ---- */

static void *work(void *context);

static int start_thread(wc_writer *w) {
    int cause = wc_worker_start(&w->threads[w->thread_count], work, w);
    w->thread_count += !cause;
    return cause;
}

/* One more for what is left, if it is worth that; that can fail, and then there are fewer. */
static void call_help(wc_writer *w) {
    if (w->bytes < UNIT)
        return;
    if (w->thread_count < THREADS)
        start_thread(w);
    pthread_cond_signal(&w->work);
}

static void do_job(wc_writer *w, const wc_job *job, wc_error *error) {
    switch (job->kind) {
    case JOB_OPEN:
        open_file(w, job->path, error);
        break;
    case JOB_RUN:
        job->run.task(job->run.context, error);
        break;
    case JOB_SYNC:
        sync_file(w, error);
        break;
    default: /* JOB_CLOSE */
        close_file(w);
        break;
    }
}

static void pop(wc_writer *w) {
    w->first = (w->first + 1) % w->room;
    w->count--;
    atomic_fetch_sub_explicit(&w->pending, 1, memory_order_relaxed);
}

/* The lock is held before and after, not meanwhile. */
static void do_unit(wc_writer *w, wc_data *d, wc_error *error) {
    wc_unit unit = take_unit(w, d);
    int64_t due = take_turn(w, unit.end - unit.at);
    if (d->taken == d->part.bytes)
        pop(w);
    call_help(w);
    pthread_mutex_unlock(&w->lock);
    sleep_until(due);
    write_unit(w, &unit, error);
    pthread_mutex_lock(&w->lock);
    if (error->status != WC_OK)
        w->broken = true;
    bool last = --d->active == 0 && d->taken == d->part.bytes;
    pthread_mutex_unlock(&w->lock);
    if (last && d->sums.blocks && !w->broken)
        *d->sums.checksum = wc_block_checksum(d->sums.blocks, wc_blocks(d->part.bytes));
    if (last)
        free(d);
    pthread_mutex_lock(&w->lock);
}

/* A file that has failed must not hold its space. */
static void close_broken(wc_writer *w) {
    w->alone = true;
    pthread_mutex_unlock(&w->lock);
    close_file(w);
    pthread_mutex_lock(&w->lock);
}

static void do_next(wc_writer *w) {
    wc_error error = {WC_OK, ""};
    wc_job *job = &w->ring[w->first];
    w->alone = job->kind != JOB_DATA;
    w->active++;
    atomic_fetch_add_explicit(&w->pending, 1, memory_order_relaxed);
    if (job->kind == JOB_DATA || job->kind == JOB_ROWS) {
        do_unit(w, job->data, &error);
    } else {
        wc_job own = *job;
        pop(w);
        pthread_mutex_unlock(&w->lock);
        do_job(w, &own, &error);
        pthread_mutex_lock(&w->lock);
    }
    if (error.status != WC_OK && w->error.status == WC_OK)
        w->error = error;
    if (w->broken && w->active == 1 && w->fd >= 0)
        close_broken(w);
    if (--w->active == 0) {
        w->alone = false;
        pthread_cond_broadcast(&w->work);
    }
    if (atomic_fetch_sub_explicit(&w->pending, 1, memory_order_release) == 1)
        pthread_cond_broadcast(&w->done);
}

/* Data may be written whatever else is; all other jobs wait for those before them, and those behind for them. */
static bool may_go(const wc_writer *w) {
    return w->count && (!w->active || (w->ring[w->first].kind == JOB_DATA && !w->alone));
}

static void *work(void *context) {
    wc_writer *w = context;
    /* This thread shares a core with the program, and yet must get its turn when every core computes:
     * at the lowest priority commits took ten times as long. Where this can't be had, no harm. */
    setpriority(PRIO_PROCESS, (id_t)gettid(), 5);
    pthread_mutex_lock(&w->lock);
    while (w->count || !w->stopping)
        if (may_go(w))
            do_next(w);
        else
            pthread_cond_wait(&w->work, &w->lock);
    pthread_cond_broadcast(&w->work); /* the others may have waited for this one */
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

static void free_writer(wc_writer *w) {
    close_file(w);
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->work);
    pthread_cond_destroy(&w->done);
    free(w->ring);
    free(w);
}

wc_status wc_writer_start(wc_writer **writer, wc_error *error) {
    wc_writer *w = calloc(1, sizeof *w);
    if (!w)
        return wc_error_set(error, WC_ERR_MEMORY, "no memory for the writer");
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->work, NULL);
    pthread_cond_init(&w->done, NULL);
    w->fd = w->direct = -1;
    pthread_mutex_lock(&w->lock); /* the thread must find itself counted */
    int cause = start_thread(w);
    pthread_mutex_unlock(&w->lock);
    if (cause) {
        free_writer(w);
        return wc_error_set(error, WC_ERR_MEMORY, "the writer's thread can't be started: %s",
                            strerror(cause));
    }
    *writer = w;
    return WC_OK;
}

uint64_t wc_writer_written(const wc_writer *w) {
    return atomic_load_explicit(&w->written, memory_order_relaxed);
}

void wc_writer_limit(wc_writer *w, uint64_t bytes_per_second) {
    pthread_mutex_lock(&w->lock);
    w->rate = bytes_per_second;
    pthread_mutex_unlock(&w->lock);
}

void wc_writer_stop(wc_writer *w) {
    pthread_mutex_lock(&w->lock);
    w->stopping = true;
    pthread_cond_broadcast(&w->work);
    while (w->pending) /* until then threads may be started */
        pthread_cond_wait(&w->done, &w->lock);
    int threads = w->thread_count;
    pthread_mutex_unlock(&w->lock);
    for (int i = 0; i < threads; i++)
        pthread_join(w->threads[i], NULL);
    free_writer(w);
}

/* ---- the queue ---- */

static bool make_room(wc_writer *w) {
    if (w->count < w->room)
        return true;
    size_t room = w->room ? 2 * w->room : 64;
    wc_job *ring = room <= MOST_JOBS ? malloc(room * sizeof *ring) : NULL;
    if (!ring)
        return false;
    for (size_t i = 0; i < w->count; i++)
        ring[i] = w->ring[(w->first + i) % w->room];
    free(w->ring);
    w->ring = ring;
    w->room = room;
    w->first = 0;
    return true;
}

/* Never waits for the disk: a queue that is full fails the snapshot, not the program. */
static wc_status enqueue(wc_writer *w, const wc_job *job, wc_error *error) {
    pthread_mutex_lock(&w->lock);
    bool room = make_room(w);
    if (room) {
        w->ring[(w->first + w->count++) % w->room] = *job;
        if (job->kind == JOB_DATA || job->kind == JOB_ROWS)
            w->bytes += job->data->part.bytes;
        atomic_fetch_add_explicit(&w->pending, 1, memory_order_relaxed);
        pthread_cond_signal(&w->work);
    }
    pthread_mutex_unlock(&w->lock);
    if (room)
        return WC_OK;
    return wc_error_set(error, WC_ERR_MEMORY, "the writer's queue is full (%d pieces)", MOST_JOBS);
}

wc_status wc_writer_open(wc_writer *w, const char *path, wc_error *error) {
    wc_job job = {.kind = JOB_OPEN, .path = strdup(path)};
    if (!job.path)
        return wc_error_set(error, WC_ERR_MEMORY, "no memory for the writer");
    wc_status status = enqueue(w, &job, error);
    if (status != WC_OK)
        free(job.path);
    return status;
}

static wc_status enqueue_data(wc_writer *w, wc_data data, wc_error *error) {
    wc_job job = {.kind = data.sums.blocks ? JOB_DATA : JOB_ROWS, .data = malloc(sizeof data)};
    if (!job.data)
        return wc_error_set(error, WC_ERR_MEMORY, "no memory for the writer");
    *job.data = data;
    wc_status status = data.part.bytes ? enqueue(w, &job, error) : WC_OK;
    if (status != WC_OK || !data.part.bytes)
        free(job.data);
    return status;
}

wc_status wc_writer_extent(wc_writer *w, const void *from, wc_lent *lent, size_t bytes, uint64_t to,
                           wc_sums sums, wc_error *error) {
    wc_data data = {from, lent, wc_part_of_line(0, bytes, 1, to), sums, 0, 0};
    return enqueue_data(w, data, error);
}

wc_status wc_writer_box(wc_writer *w, const void *from, wc_lent *lent, const wc_box *box,
                        const uint64_t *chunk, size_t each, uint64_t to, wc_sums sums,
                        wc_error *error) {
    wc_data data = {from, lent, wc_part_of_box(box, chunk, each, to), sums, 0, 0};
    return enqueue_data(w, data, error);
}

wc_status wc_writer_run(wc_writer *w, wc_writer_task task, void *context, wc_error *error) {
    wc_job job = {.kind = JOB_RUN, .run = {.task = task, .context = context}};
    return enqueue(w, &job, error);
}

wc_status wc_writer_sync(wc_writer *w, wc_error *error) {
    wc_job job = {.kind = JOB_SYNC};
    return enqueue(w, &job, error);
}

wc_status wc_writer_close(wc_writer *w, wc_error *error) {
    wc_job job = {.kind = JOB_CLOSE};
    return enqueue(w, &job, error);
}

/* ---- the end ---- */

static void take_error(wc_writer *w, wc_error *error) {
    *error = w->error;
    w->error = (wc_error){WC_OK, ""};
}

bool wc_writer_idle(wc_writer *w, wc_error *error) {
    if (atomic_load_explicit(&w->pending, memory_order_acquire))
        return false;
    pthread_mutex_lock(&w->lock); /* nobody holds it for long */
    take_error(w, error);
    pthread_mutex_unlock(&w->lock);
    return true;
}

void wc_writer_wait(wc_writer *w, wc_error *error) {
    pthread_mutex_lock(&w->lock);
    while (atomic_load_explicit(&w->pending, memory_order_relaxed))
        pthread_cond_wait(&w->done, &w->lock);
    take_error(w, error);
    pthread_mutex_unlock(&w->lock);
}
