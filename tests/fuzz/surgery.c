/* SPDX-License-Identifier: BSD-3-Clause */
#include "surgery.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Words of the trailer, see FORMAT.md. */
enum { EXTENTS = 4, HEAD_WORDS = 6, TAIL_WORDS = 2, WORD = sizeof(uint64_t) };

static uint64_t word_at(const unsigned char *bytes) {
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    return word;
}

bool anatomy_read(const unsigned char *bytes, size_t size, anatomy *a) {
    *a = (anatomy){0};
    uint64_t least = (HEAD_WORDS + TAIL_WORDS) * WORD;
    uint64_t length = size < least ? 0 : word_at(bytes + size - WORD);
    if (length < least || length > size || length % WORD)
        return false;
    const unsigned char *trailer = bytes + size - length;
    uint64_t extents = word_at(trailer + EXTENTS * WORD);
    if (extents > (length - least) / sizeof(wc_extent))
        return false;
    a->end = size - length;
    for (uint64_t i = 0; i < extents; i++) {
        wc_extent e;
        memcpy(&e, trailer + HEAD_WORDS * WORD + i * sizeof e, sizeof e);
        wc_extents_add(&a->extents, e, 1, 0, NULL);
    }
    return true;
}

void anatomy_free(anatomy *a) {
    free(a->extents.at);
}

/* ---- HDF5's checksums: Jenkins's lookup3, https://burtleburtle.net/bob/hash/doobs.html ---- */

static uint32_t rotate(uint32_t x, int by) {
    return x << by | x >> (32 - by);
}

static uint32_t lookup3(const unsigned char *key, size_t length) {
    uint32_t s[3];
    static const int mixing[6] = {4, 6, 8, 16, 19, 4}, final[7] = {14, 11, 25, 16, 4, 14, 24};
    s[0] = s[1] = s[2] = 0xdeadbeef + (uint32_t)length;
    for (;; key += 12, length -= 12) {
        unsigned char block[12] = {0};
        memcpy(block, key, length < 12 ? length : 12);
        for (int i = 0; i < 12 && length; i++)
            s[i / 4] += (uint32_t)block[i] << 8 * (i % 4);
        if (length <= 12)
            break;
        for (int i = 0; i < 6; i++) { /* each time the three change places */
            uint32_t *a = &s[i % 3], *b = &s[(i + 1) % 3], *c = &s[(i + 2) % 3];
            *a = (*a - *c) ^ rotate(*c, mixing[i]);
            *c += *b;
        }
    }
    for (int i = 0; i < 7 && length; i++) {
        uint32_t *c = &s[(i + 2) % 3], *b = &s[(i + 1) % 3];
        *c = (*c ^ *b) - rotate(*b, final[i]);
    }
    return s[2];
}

/* The four bytes behind `length` of them. 1: they did not fit. */
static unsigned fix(unsigned char *bytes, size_t length) {
    uint32_t sum = lookup3(bytes, length);
    unsigned wrong = memcmp(bytes + length, &sum, sizeof sum) != 0;
    memcpy(bytes + length, &sum, sizeof sum);
    return wrong;
}

static unsigned fix_continuation(unsigned char *bytes, size_t end, uint64_t at, uint64_t length) {
    if (length < 8 || at > end || length > end - at)
        return 0;
    return fix(bytes + at, (size_t)length - 4);
}

/* An object header of version 2 at `at`, and what continues it. */
static unsigned fix_header(unsigned char *bytes, size_t at, size_t end) {
    const unsigned char flags = bytes[at + 5];
    size_t from = at + 6 + (flags & 0x20 ? 16 : 0) + (flags & 0x10 ? 4 : 0);
    size_t width = (size_t)1 << (flags & 3), chunk = 0, message = flags & 4 ? 6 : 4;
    if (from + width > end)
        return 0;
    memcpy(&chunk, bytes + from, width);
    from += width;
    if (chunk > end - from || end - from - chunk < 4)
        return 0;
    unsigned wrong = 0;
    for (size_t m = from; m + message <= from + chunk;) {
        size_t bytes_in = bytes[m + 1] | (size_t)bytes[m + 2] << 8;
        if (bytes[m] == 0x10 && bytes_in >= 16 && m + message + 16 <= end)
            wrong += fix_continuation(bytes, end, word_at(bytes + m + message),
                                      word_at(bytes + m + message + 8));
        m += message + bytes_in;
    }
    return wrong + fix(bytes + at, from + chunk - at);
}

unsigned surgery_hdf5(unsigned char *bytes, size_t end) {
    unsigned wrong = end >= 48 ? fix(bytes, 44) : 0; /* superblock */
    for (size_t at = 48; at + 12 < end; at++)
        if (memcmp(bytes + at, "OHDR\2", 5) == 0)
            wrong += fix_header(bytes, at, end);
    return wrong;
}

/* ---- the trailer ---- */

size_t surgery_trailer(unsigned char *bytes, size_t room, const anatomy *a) {
    size_t size = 0;
    wc_extents copy = {0};
    int fd = memfd_create("snapshot", MFD_CLOEXEC);
    if (fd < 0 || a->end > room)
        return 0;
    for (size_t i = 0; i < a->extents.count; i++)
        wc_extents_add(&copy, a->extents.at[i], 1, 0, NULL);
    if (write(fd, bytes, (size_t)a->end) == (ssize_t)a->end &&
        wc_trailer_append(fd, "snapshot", &copy, NULL) == WC_OK) {
        off_t all = lseek(fd, 0, SEEK_END);
        if (all > 0 && (size_t)all <= room && pread(fd, bytes, (size_t)all, 0) == all)
            size = (size_t)all;
    }
    close(fd);
    free(copy.at);
    return size;
}

void surgery_seal(unsigned char *bytes, size_t size) {
    uint64_t length = size < TAIL_WORDS * WORD ? 0 : word_at(bytes + size - WORD), hash;
    if (length < (HEAD_WORDS + TAIL_WORDS) * WORD || length > size)
        return;
    hash = XXH3_64bits(bytes + size - length, (size_t)length - TAIL_WORDS * WORD);
    memcpy(bytes + size - TAIL_WORDS * WORD, &hash, sizeof hash);
}

/* ---- changes ---- */

typedef struct rng {
    uint64_t state;
} rng;

static uint64_t draw(rng *r, uint64_t below) {
    r->state += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t z = r->state;
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    z ^= z >> 31;
    return below ? z % below : 0;
}

static uint64_t telling(rng *r, uint64_t size) {
    const uint64_t values[] = {0,
                               1,
                               2,
                               UINT8_MAX,
                               INT16_MAX,
                               UINT16_MAX,
                               INT32_MAX,
                               UINT32_MAX,
                               INT64_MAX,
                               UINT64_MAX,
                               size,
                               size - 1,
                               size + 1,
                               UINT64_MAX - size,
                               1ull << 32,
                               1ull << 63,
                               4096,
                               8,
                               UINT64_MAX / 8,
                               0x10,
                               draw(r, size + 1)};
    return values[draw(r, sizeof values / sizeof *values)];
}

/* A number of some width at `at`, of which `left` bytes are to be had. */
static void spoil(rng *r, unsigned char *bytes, size_t size, size_t at, size_t left) {
    size_t width = (size_t)1 << draw(r, 4);
    uint64_t value = 0;
    width = width < left ? width : 1;
    memcpy(&value, bytes + at, width);
    switch (draw(r, 5)) {
    case 0:
        value ^= UINT64_C(1) << draw(r, 8 * width);
        break;
    case 1:
        value = draw(r, UINT64_MAX);
        break;
    case 2:
        value = telling(r, size);
        break;
    case 3:
        value += draw(r, 33) - 16;
        break;
    default: /* what stands elsewhere */
        memcpy(&value, bytes + draw(r, size - width + 1), width);
    }
    memcpy(bytes + at, &value, width);
}

/* Somewhere in the metadata, where something is. */
static void spoil_metadata(rng *r, unsigned char *bytes, size_t size, const anatomy *a) {
    for (int tries = 0; tries < 200; tries++) {
        size_t at = (size_t)draw(r, a->end);
        bool inside = false;
        for (size_t i = 0; i < a->extents.count; i++)
            inside = inside || at - a->extents.at[i].offset < a->extents.at[i].size;
        if (inside || (!bytes[at] && draw(r, 4)))
            continue;
        spoil(r, bytes, size, at, (size_t)a->end - at);
        return;
    }
}

static void spoil_table(rng *r, unsigned char *bytes, size_t size, const anatomy *a) {
    for (int tries = 0; tries < 200 && a->extents.count; tries++) {
        const wc_extent *e = &a->extents.at[draw(r, a->extents.count)];
        if (e->kind != WC_EXTENT_ROWS && draw(r, 8))
            continue;
        if (!e->size || e->offset > a->end || e->size > a->end - e->offset)
            continue;
        uint64_t at = draw(r, e->size);
        at = draw(r, 4) ? at / WORD * WORD : at;
        spoil(r, bytes, size, (size_t)(e->offset + at), (size_t)(e->size - at));
        return;
    }
}

static void spoil_extents(rng *r, anatomy *a) {
    if (!a->extents.count)
        return;
    wc_extent *e = &a->extents.at[draw(r, a->extents.count)];
    uint64_t *fields[] = {&e->offset, &e->size, &e->kind};
    uint64_t *field = fields[draw(r, 3)];
    *field = draw(r, 2) ? telling(r, a->end) : *field + draw(r, 33) - 16;
}

size_t surgery_mutate(unsigned char *bytes, size_t size, size_t room, unsigned seed) {
    rng r = {seed};
    anatomy a;
    if (!size || !anatomy_read(bytes, size, &a) || !a.end) {
        size_t at = (size_t)draw(&r, size);
        if (size)
            spoil(&r, bytes, size, at, size - at);
        anatomy_free(&a);
        return size;
    }
    uint64_t way = draw(&r, 16), times = 1 + draw(&r, 3);
    for (uint64_t i = 0; i < times; i++) {
        if (way < 8)
            spoil_metadata(&r, bytes, size, &a);
        else if (way < 13)
            spoil_table(&r, bytes, size, &a);
        else if (way == 13)
            spoil_extents(&r, &a);
        else { /* the trailer */
            size_t at = (size_t)(a.end + draw(&r, size - a.end));
            spoil(&r, bytes, size, at, size - at);
        }
    }
    size_t renewed = 0;
    if (way < 14 && draw(&r, 16)) {
        if (draw(&r, 16))
            surgery_hdf5(bytes, (size_t)a.end);
        renewed = surgery_trailer(bytes, room, &a);
    } else if (draw(&r, 8)) {
        surgery_seal(bytes, size);
    }
    anatomy_free(&a);
    return renewed ? renewed : size;
}
