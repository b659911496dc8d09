/* SPDX-License-Identifier: BSD-3-Clause */
#include "writer.h"

#include "fault.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PAGE = 4096,
    DIRECT_LEAST = 64 << 10, /* below, going around the page cache costs more than it saves */
    PIECE = 4 << 20,         /* hashed, then written: still in the cache */
    MOST_JOBS = 1 << 20
};

typedef enum wc_job_kind {
    JOB_OPEN,
    JOB_EXTENT,
    JOB_BOX,
    JOB_RUN,
    JOB_SYNC,
    JOB_CLOSE
} wc_job_kind;

typedef struct wc_job {
    wc_job_kind kind;
    union {
        char *path; /* the job's */
        struct {
            const char *from;
            wc_lent *lent;
            size_t bytes;
            uint64_t to;
            wc_sums sums;
        } extent;
        struct {
            const char *from;
            wc_lent *lent;
            const wc_box *box;
            const uint64_t *chunk;
            size_t each;
            uint64_t to;
            wc_sums sums;
        } box;
        struct {
            wc_writer_task task;
            void *context;
        } run;
    };
} wc_job;

struct wc_writer {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work, done;
    wc_job *ring; /* `count` jobs from `first` on */
    size_t room, first, count;
    bool stopping;
    wc_error error;        /* the first since the last idle */
    atomic_size_t pending; /* queued or being done; written under the lock, read without */

    /* the thread's own */
    int fd, direct; /* direct: the same file with O_DIRECT; -1: not open */
    char *path;
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

/* A second open of the same file for O_DIRECT; where that is not to be had, all is buffered. */
static int open_direct(const char *path, int fd) {
    struct stat a, b;
    int direct = TEMP_FAILURE_RETRY(open(path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC | O_DIRECT));
    if (direct >= 0 && (fstat(fd, &a) < 0 || fstat(direct, &b) < 0 || a.st_dev != b.st_dev ||
                        a.st_ino != b.st_ino)) {
        close(direct);
        direct = -1;
    }
    return direct;
}

static void open_file(wc_writer *w, char *path, wc_error *error) {
    close_file(w);
    w->path = path;
    w->fd = TEMP_FAILURE_RETRY(open(path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC));
    if (w->fd < 0)
        wc_error_set(error, WC_ERR_IO, "%.300s can't be opened for writing: %m%s", path,
                     wc_error_advice(errno));
    else
        w->direct = open_direct(path, w->fd);
}

/* Writes up to `bytes`, at least one; -1 and errno if that is not possible. */
static ssize_t write_some(wc_writer *w, const char *from, size_t bytes, uint64_t to) {
    bool aligned = ((uintptr_t)from | to) % PAGE == 0;
    if (w->direct >= 0 && aligned && bytes >= DIRECT_LEAST) {
        ssize_t n = pwrite(w->direct, from, bytes - bytes % PAGE, (off_t)to);
        if (n > 0 || (n < 0 && errno != EINVAL))
            return n;
        close(w->direct);
        w->direct = -1;
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
    }
    return true;
}

/* The ragged start up to a page goes out alone, so that what follows is aligned in the file. */
static size_t next_piece(const char *from, size_t left, uint64_t to) {
    bool congruent = ((uintptr_t)from - to) % PAGE == 0;
    size_t piece = left < PIECE ? left : PIECE;
    if (!congruent || left < DIRECT_LEAST)
        return piece;
    if (to % PAGE)
        return PAGE - to % PAGE;
    return piece - piece % PAGE ? piece - piece % PAGE : piece;
}

/* What an extent or a box is written from. */
typedef struct wc_source {
    const char *memory;
    wc_lent *lent; /* NULL: the bytes stay there; else they come there when they have to */
    uint64_t bytes, at, hashed; /* in all, that are written, that are hashed */
    uint64_t *hashes;           /* of the blocks; NULL: none are hashed */
} wc_source;

/* The blocks that begin before `end`: so far is read. */
static uint64_t end_of_blocks(const wc_source *source, uint64_t end) {
    uint64_t blocks = wc_blocks(end) * WC_BLOCK_BYTES;
    return blocks < source->bytes ? blocks : source->bytes;
}

static void hash_up_to(wc_source *source, const char *base, uint64_t end) {
    if (!source->hashes || end <= source->hashed)
        return;
    wc_block_hashes(base + source->hashed, end - source->hashed,
                    source->hashes + source->hashed / WC_BLOCK_BYTES);
    source->hashed = end;
}

/* Hashes and writes the next bytes. The hash of the program's memory is that of the copy, too: so only the writing is repeated
 * when that memory has been taken back meanwhile. */
static bool write_next(wc_writer *w, wc_source *source, size_t piece, uint64_t to) {
    const char *base = source->memory;
    uint64_t end = source->at + piece, read_end = end_of_blocks(source, end);
    bool written, stands;
    do {
        if (source->lent)
            base = wc_lent_hold(source->lent, source->at, read_end, to);
        hash_up_to(source, base, read_end);
        if (source->lent)
            wc_lent_release();
        if (wc_fault_on("slow_writer"))
            usleep(20000);
        written = write_all(w, base + source->at, piece, to);
        stands = !source->lent || wc_lent_written(source->lent, base, source->at, end);
    } while (!stands);
    source->at = end;
    return written;
}

/* Bytes that stand together in the file. */
static void write_piece(wc_writer *w, wc_source *source, size_t left, uint64_t to,
                        wc_error *error) {
    while (left) {
        const char *base =
            source->lent ? wc_lent_where(source->lent, source->at, to) : source->memory;
        size_t piece = next_piece(base + source->at, left, to);
        if (!write_next(w, source, piece, to)) {
            wc_error_set(error, WC_ERR_IO, "%.200s: %zu bytes can't be written at %llu: %m%s",
                         w->path, piece, (unsigned long long)to, wc_error_advice(errno));
            return;
        }
        to += piece;
        left -= piece;
    }
}

static void write_extent(wc_writer *w, const wc_job *job, wc_error *error) {
    wc_sums sums = job->extent.sums;
    wc_source source = {.memory = job->extent.from,
                        .lent = job->extent.lent,
                        .bytes = job->extent.bytes,
                        .hashes = sums.blocks};
    write_piece(w, &source, job->extent.bytes, job->extent.to, error);
    if (sums.blocks && error->status == WC_OK)
        *sums.checksum = wc_block_checksum(sums.blocks, wc_blocks(job->extent.bytes));
}

static void write_box(wc_writer *w, const wc_job *job, wc_error *error) {
    wc_sums sums = job->box.sums;
    uint64_t place, bytes, all = wc_box_elements(job->box.box) * job->box.each;
    wc_source source = {
        .memory = job->box.from, .lent = job->box.lent, .bytes = all, .hashes = sums.blocks};
    wc_box_walk walk;
    wc_box_walk_begin(&walk, job->box.box, job->box.chunk, job->box.each);
    while (error->status == WC_OK && wc_box_walk_next(&walk, &place, &bytes))
        write_piece(w, &source, bytes, job->box.to + place, error);
    if (error->status == WC_OK)
        *sums.checksum = wc_block_checksum(sums.blocks, wc_blocks(all));
}

static void write_data(wc_writer *w, const wc_job *job, wc_error *error) {
    if (w->fd < 0)
        wc_error_set(error, WC_ERR_IO, "no file is open for writing");
    else if (job->kind == JOB_BOX)
        write_box(w, job, error);
    else
        write_extent(w, job, error);
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

/* ---- the thread ---- */

static void do_job(wc_writer *w, const wc_job *job, wc_error *error) {
    switch (job->kind) {
    case JOB_OPEN:
        open_file(w, job->path, error);
        break;
    case JOB_EXTENT:
    case JOB_BOX:
        write_data(w, job, error);
        break;
    case JOB_RUN:
        job->run.task(job->run.context, error);
        return; /* its errors don't concern the file that is open here */
    case JOB_SYNC:
        sync_file(w, error);
        break;
    case JOB_CLOSE:
        break;
    }
    /* A file that has failed is not written any further, and its space must not be held. */
    if (error->status != WC_OK || job->kind == JOB_CLOSE)
        close_file(w);
}

static void *work(void *context) {
    wc_writer *w = context;
    /* This thread shares a core with the program, and yet must get its turn when every core computes:
     * at the lowest priority commits took ten times as long. Where this can't be had, no harm. */
    setpriority(PRIO_PROCESS, (id_t)gettid(), 5);
    pthread_mutex_lock(&w->lock);
    for (;;) {
        while (!w->count && !w->stopping)
            pthread_cond_wait(&w->work, &w->lock);
        if (!w->count)
            break;
        wc_job job = w->ring[w->first];
        w->first = (w->first + 1) % w->room;
        w->count--;
        pthread_mutex_unlock(&w->lock);
        wc_error error = {WC_OK, ""};
        do_job(w, &job, &error);
        pthread_mutex_lock(&w->lock);
        if (error.status != WC_OK && w->error.status == WC_OK)
            w->error = error;
        if (atomic_fetch_sub_explicit(&w->pending, 1, memory_order_release) == 1)
            pthread_cond_broadcast(&w->done);
    }
    pthread_mutex_unlock(&w->lock);
    close_file(w);
    return NULL;
}

/* The program's signals are for the program's threads. */
static int start_thread(wc_writer *w) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    int cause = pthread_create(&w->thread, NULL, work, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return cause;
}

static void free_writer(wc_writer *w) {
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
    int cause = start_thread(w);
    if (cause) {
        free_writer(w);
        return wc_error_set(error, WC_ERR_MEMORY, "the writer's thread can't be started: %s",
                            strerror(cause));
    }
    *writer = w;
    return WC_OK;
}

void wc_writer_stop(wc_writer *w) {
    pthread_mutex_lock(&w->lock);
    w->stopping = true;
    pthread_cond_broadcast(&w->work);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
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

wc_status wc_writer_extent(wc_writer *w, const void *from, wc_lent *lent, size_t bytes, uint64_t to,
                           wc_sums sums, wc_error *error) {
    wc_job job = {.kind = JOB_EXTENT, .extent = {from, lent, bytes, to, sums}};
    return enqueue(w, &job, error);
}

wc_status wc_writer_box(wc_writer *w, const void *from, wc_lent *lent, const wc_box *box,
                        const uint64_t *chunk, size_t each, uint64_t to, wc_sums sums,
                        wc_error *error) {
    wc_job job = {.kind = JOB_BOX, .box = {from, lent, box, chunk, each, to, sums}};
    return enqueue(w, &job, error);
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
