/* SPDX-License-Identifier: BSD-3-Clause */
#include "disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct {
    disk_record record;
    size_t file_room, room;
    int node;
    pthread_mutex_t lock; /* writers have threads */
} D = {.lock = PTHREAD_MUTEX_INITIALIZER};

void disk_stop(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    abort();
}

static void *grown(void *array, size_t *room, size_t count, size_t each) {
    if (count < *room)
        return array;
    *room = *room ? 2 * *room : 64;
    array = reallocarray(array, *room, each);
    if (!array)
        disk_stop("no memory");
    return array;
}

static disk_file *add_file(const struct stat *s) {
    D.record.files =
        grown(D.record.files, &D.file_room, D.record.file_count, sizeof *D.record.files);
    disk_file *file = &D.record.files[D.record.file_count++];
    *file = (disk_file){.device = s->st_dev, .inode = s->st_ino, .size = (uint64_t)s->st_size};
    return file;
}

/* The newest with this number, which may have been another file's before. False: none of the directory. */
static bool find(int fd, size_t *file) {
    struct stat s;
    if (!D.record.file_count || disk_stat(fd, &s) < 0)
        return false;
    for (size_t i = D.record.file_count; i-- > 0;)
        if (D.record.files[i].inode == s.st_ino && D.record.files[i].device == s.st_dev) {
            *file = i;
            return true;
        }
    return false;
}

static bool is_directory(int fd) {
    size_t file;
    return find(fd, &file) && file == 0;
}

/* ---- the beginning ---- */

static void take_base(int dir, const char *name) {
    struct stat s;
    int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW);
    if (fd < 0 || disk_stat(fd, &s) < 0 || strlen(name) >= DISK_NAME)
        disk_stop("%s: %m", name);
    disk_file *file = add_file(&s);
    strcpy(file->name, name);
    file->base_size = file->size;
    file->base = malloc(file->size + 1);
    if (!file->base || read(fd, file->base, file->size) != (ssize_t)file->size)
        disk_stop("%s: can't be read", name);
    close(fd);
}

void disk_watch(const char *dir) {
    struct stat s;
    struct dirent *entry;
    disk_forget();
    DIR *stream = opendir(dir);
    if (!stream || disk_stat(dirfd(stream), &s) < 0)
        disk_stop("%s: %m", dir);
    add_file(&s);
    while ((entry = readdir(stream)))
        if (entry->d_name[0] != '.')
            take_base(dirfd(stream), entry->d_name);
    closedir(stream);
}

void disk_forget(void) {
    for (size_t i = 0; i < D.record.file_count; i++)
        free(D.record.files[i].base);
    for (size_t i = 0; i < D.record.count; i++)
        free(D.record.operations[i].data);
    D.record.file_count = D.record.count = 0;
    D.node = 0;
}

const disk_record *disk_recorded(void) {
    return &D.record;
}

size_t disk_operations(void) {
    return D.record.count;
}

void disk_on_node(int node) {
    D.node = node;
}

/* ---- operations ---- */

static disk_operation *add(disk_kind kind, size_t file) {
    D.record.operations =
        grown(D.record.operations, &D.room, D.record.count, sizeof *D.record.operations);
    disk_operation *operation = &D.record.operations[D.record.count++];
    *operation = (disk_operation){.kind = kind, .node = D.node, .file = file};
    return operation;
}

void disk_note_created(int dir, const char *name, int fd) {
    struct stat s;
    if (!is_directory(dir))
        return;
    pthread_mutex_lock(&D.lock);
    if (disk_stat(fd, &s) < 0 || strlen(name) >= DISK_NAME)
        disk_stop("%s: %m", name);
    add_file(&s);
    strcpy(add(DISK_NAMED, D.record.file_count - 1)->came, name);
    pthread_mutex_unlock(&D.lock);
}

void disk_note_write(int fd, const void *data, size_t bytes, uint64_t at) {
    size_t file;
    pthread_mutex_lock(&D.lock);
    if (find(fd, &file)) {
        disk_file *f = &D.record.files[file];
        disk_operation *operation = add(DISK_WRITE, file);
        f->size = f->size > at + bytes ? f->size : at + bytes;
        operation->at = at;
        operation->bytes = bytes;
        operation->size = f->size;
        operation->data = malloc(bytes + 1);
        if (!operation->data)
            disk_stop("no memory");
        memcpy(operation->data, data, bytes);
    }
    pthread_mutex_unlock(&D.lock);
}

void disk_note_size(int fd) {
    size_t file;
    struct stat s;
    pthread_mutex_lock(&D.lock);
    if (find(fd, &file) && disk_stat(fd, &s) == 0)
        D.record.files[file].size = add(DISK_SIZE, file)->size = (uint64_t)s.st_size;
    pthread_mutex_unlock(&D.lock);
}

/* The newest that has had the name. */
static size_t file_of(const char *name) {
    for (size_t i = D.record.count; i-- > 0;) {
        const disk_operation *o = &D.record.operations[i];
        if (o->kind == DISK_NAMED && strcmp(o->came, name) == 0)
            return o->file;
    }
    for (size_t i = 1; i < D.record.file_count; i++)
        if (strcmp(D.record.files[i].name, name) == 0)
            return i;
    disk_stop("%s was never seen", name);
}

void disk_note_named(int dir, const char *name, const char *gone, const char *came) {
    if (!is_directory(dir))
        return;
    pthread_mutex_lock(&D.lock);
    disk_operation *operation = add(DISK_NAMED, file_of(name));
    strcpy(operation->gone, gone);
    strcpy(operation->came, came);
    pthread_mutex_unlock(&D.lock);
}

void disk_note_sync(int fd, bool done) {
    size_t file;
    pthread_mutex_lock(&D.lock);
    if (find(fd, &file))
        add(done ? DISK_SYNCED : DISK_NOT_SYNCED, file);
    pthread_mutex_unlock(&D.lock);
}

static int in_order(const void *a, const void *b) {
    const disk_operation *x = a, *y = b;
    if (x->file != y->file)
        return x->file < y->file ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

/* Sizes would be in another order too; but the space was taken before. */
void disk_settle(size_t from) {
    bool writes = true;
    for (size_t i = from; i < D.record.count; i++)
        writes = writes && D.record.operations[i].kind == DISK_WRITE;
    if (writes && D.record.count > from)
        qsort(D.record.operations + from, D.record.count - from, sizeof *D.record.operations,
              in_order);
}

/* ---- random numbers ---- */

uint64_t disk_random(uint64_t *state) { /* splitmix64 */
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

uint64_t disk_below(uint64_t *state, uint64_t n) {
    return disk_random(state) % n;
}

bool disk_chance(uint64_t *state, double probability) {
    return (double)(disk_random(state) >> 11) * 0x1p-53 < probability;
}
