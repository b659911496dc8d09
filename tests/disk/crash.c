/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What may be on the disk after a crash. What an fsync has covered is there: of a file, what the same machine has written to
 * it; of the directory, names. All else may be there or not, each sector of 512 bytes and each name for itself, whatever was
 * done first. What a file has gained in length without being written is zeros, or what was on the disk before.
 * That is more than a single file system would do to us, and about what several machines and a server may do together.
 */
#include "disk.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef enum loss {
    LOSES_NOTHING, /* the job is killed, and the machines live */
    LOSES_ALL,     /* all that was not synchronized */
    LOSES_SOME,
    LOSES_LATEST, /* the disk has done things in order, up to some point */
    LOSES_A_NODE, /* one machine dies */
    LOSSES
} loss;

typedef struct crash {
    const disk_record *record;
    size_t at; /* the operation in which it happens */
    uint64_t random;
    loss loss;
    double survives; /* of LOSES_SOME */
    bool torn, rubbish;
    size_t latest; /* of LOSES_LATEST */
    int node;      /* of LOSES_A_NODE */
    bool *durable; /* [record.count] */
} crash;

/* ---- what is durable ---- */

/* An fsync is for what its machine has done to the file before; after one that has failed, nobody tries again. */
static void apply_sync(crash *c, size_t sync, bool *dropped) {
    const disk_operation *operations = c->record->operations, *s = &operations[sync];
    for (size_t i = 0; i < sync; i++) {
        const disk_operation *o = &operations[i];
        bool ours =
            o->node == s->node &&
            (s->file == 0 ? o->kind == DISK_NAMED
                          : o->file == s->file && (o->kind == DISK_WRITE || o->kind == DISK_SIZE));
        if (ours && s->kind == DISK_NOT_SYNCED)
            dropped[i] = true;
        else if (ours && !dropped[i])
            c->durable[i] = true;
    }
}

static void find_durable(crash *c) {
    bool *dropped = calloc(c->record->count + 1, sizeof *dropped);
    c->durable = calloc(c->record->count + 1, sizeof *c->durable);
    if (!dropped || !c->durable)
        disk_stop("no memory");
    for (size_t i = 0; i < c->at; i++)
        if (c->record->operations[i].kind >= DISK_SYNCED)
            apply_sync(c, i, dropped);
    free(dropped);
}

/* What isn't durable: a coin for each question. */
static bool survives(crash *c, size_t i) {
    if (c->durable[i])
        return true;
    if (i == c->at)
        return disk_chance(&c->random, 0.5);
    switch (c->loss) {
    case LOSES_NOTHING:
        return true;
    case LOSES_SOME:
        return disk_chance(&c->random, c->survives);
    case LOSES_LATEST:
        return i < c->latest;
    case LOSES_A_NODE:
        return c->record->operations[i].node != c->node;
    default:
        return false;
    }
}

/* ---- a file ---- */

typedef struct content {
    unsigned char *bytes;
    bool *known; /* of each sector: has anything been written to it? */
    uint64_t size, room;
} content;

static void begin_content(content *to, const crash *c, size_t file) {
    const disk_file *f = &c->record->files[file];
    to->room = f->base_size;
    for (size_t i = 0; i <= c->at && i < c->record->count; i++)
        if (c->record->operations[i].file == file && c->record->operations[i].size > to->room)
            to->room = c->record->operations[i].size;
    to->bytes = calloc(1, to->room + 1);
    to->known = calloc(to->room / DISK_SECTOR + 1, sizeof *to->known);
    if (!to->bytes || !to->known)
        disk_stop("no memory");
    if (f->base_size)
        memcpy(to->bytes, f->base, f->base_size);
    for (uint64_t s = 0; s * DISK_SECTOR < f->base_size; s++)
        to->known[s] = true;
    to->size = f->base_size;
}

static void put_sector(crash *c, content *to, const disk_operation *o, uint64_t from, uint64_t end,
                       bool there) {
    uint64_t sector = from / DISK_SECTOR;
    if (there) {
        memcpy(to->bytes + from, o->data + (from - o->at), end - from);
        to->known[sector] = true;
    } else if (c->rubbish && !to->known[sector]) {
        for (uint64_t k = from; k < end; k++)
            to->bytes[k] = (unsigned char)disk_random(&c->random);
    }
}

static void put_write(crash *c, content *to, size_t i) {
    const disk_operation *o = &c->record->operations[i];
    bool whole = survives(c, i);
    uint64_t end = o->at + o->bytes;
    for (uint64_t from = o->at; from < end;) {
        uint64_t next = (from / DISK_SECTOR + 1) * DISK_SECTOR;
        next = next < end ? next : end;
        bool there = c->torn || i == c->at ? survives(c, i) : whole;
        put_sector(c, to, o, from, next, there);
        from = next;
    }
    if (end > to->size && survives(c, i))
        to->size = end;
}

static void put_size(crash *c, content *to, size_t i) {
    uint64_t size = c->record->operations[i].size;
    if (!survives(c, i))
        return;
    if (size < to->size)
        memset(to->bytes + size, 0, to->room - size);
    to->size = size;
}

static void write_file(crash *c, size_t file, int dir, const char *name) {
    content to;
    begin_content(&to, c, file);
    for (size_t i = 0; i <= c->at && i < c->record->count; i++) {
        const disk_operation *o = &c->record->operations[i];
        if (o->file == file && o->kind == DISK_WRITE)
            put_write(c, &to, i);
        else if (o->file == file && o->kind == DISK_SIZE)
            put_size(c, &to, i);
    }
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL, 0666);
    if (fd < 0 || write(fd, to.bytes, to.size) != (ssize_t)to.size || close(fd) < 0)
        disk_stop("%s can't be made: %m", name);
    free(to.bytes);
    free(to.known);
}

/* ---- names ---- */

typedef struct entry {
    char name[DISK_NAME];
    size_t file; /* 0: no name */
} entry;

typedef struct entries {
    entry at[256];
    size_t count;
} entries;

static void set_entry(entries *e, const char *name, size_t file) {
    size_t i = 0;
    if (!*name)
        return;
    while (i < e->count && strcmp(e->at[i].name, name) != 0)
        i++;
    if (i == sizeof e->at / sizeof *e->at)
        disk_stop("too many names");
    e->count += i == e->count;
    strcpy(e->at[i].name, name);
    e->at[i].file = file;
}

/* A rename may leave both names, but never none. */
static void find_entries(crash *c, entries *e) {
    e->count = 0;
    for (size_t i = 1; i < c->record->file_count; i++)
        set_entry(e, c->record->files[i].name, i);
    for (size_t i = 0; i <= c->at && i < c->record->count; i++) {
        const disk_operation *o = &c->record->operations[i];
        if (o->kind != DISK_NAMED || !survives(c, i))
            continue;
        set_entry(e, o->came, o->file);
        if (!*o->came || c->durable[i] || c->loss != LOSES_SOME || survives(c, i))
            set_entry(e, o->gone, 0);
    }
}

static void link_file(const char *dir, const char *name, const char *other) {
    char from[PATH_MAX], to[PATH_MAX];
    snprintf(from, sizeof from, "%s/%s", dir, name);
    snprintf(to, sizeof to, "%s/%s", dir, other);
    if (link(from, to) < 0)
        disk_stop("%s: %m", to);
}

/* Files with two names are one. */
static void write_entries(crash *c, const entries *e, const char *to) {
    int dir = open(to, O_RDONLY | O_DIRECTORY);
    if (dir < 0)
        disk_stop("%s: %m", to);
    for (size_t i = 0; i < e->count; i++) {
        size_t first = 0;
        while (e->at[first].file != e->at[i].file)
            first++;
        if (!e->at[i].file)
            continue;
        if (first == i)
            write_file(c, e->at[i].file, dir, e->at[i].name);
        else
            link_file(to, e->at[first].name, e->at[i].name);
    }
    close(dir);
}

void disk_crash(size_t at, uint64_t seed, const char *to, char *told, size_t size) {
    static const char *const names[LOSSES] = {"the job is killed", "all is lost", "some is lost",
                                              "the latest is lost", "a machine is lost"};
    crash c = {.record = disk_recorded(), .at = at, .random = seed};
    entries e;
    find_durable(&c);
    c.loss = (loss)disk_below(&c.random, LOSSES);
    c.survives = (double)(1 + disk_below(&c.random, 9)) / 10;
    c.torn = c.loss == LOSES_SOME && disk_chance(&c.random, 0.5);
    c.rubbish = c.loss != LOSES_NOTHING && disk_chance(&c.random, 0.3);
    c.latest = disk_below(&c.random, at + 1);
    c.node = (int)disk_below(&c.random, DISK_NODES);
    snprintf(told, size, "operation %zu of %zu, %s%s%s", at, c.record->count, names[c.loss],
             c.torn ? ", torn" : "", c.rubbish ? ", rubbish" : "");
    find_entries(&c, &e);
    write_entries(&c, &e, to);
    free(c.durable);
}
