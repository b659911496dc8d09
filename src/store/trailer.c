/* SPDX-License-Identifier: BSD-3-Clause */
#include "trailer.h"

#include "block.h"
#include "bytes.h"
#include "hash.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The trailer is written as it is in memory. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the file format is little-endian");

static const char MAGIC[8] = {'W', 'A', 'V', 'E', 'C', 'U', 'T', '\x1a'};

typedef struct wc_trailer_head {
    char magic[8];
    uint64_t version, end, metadata_hash, extents, hashes;
} wc_trailer_head;

typedef struct wc_trailer_tail {
    uint64_t hash;  /* of the trailer up to here */
    uint64_t bytes; /* of the trailer, this one included */
} wc_trailer_tail;

enum { LEAST_BYTES = sizeof(wc_trailer_head) + sizeof(wc_trailer_tail) };

static wc_status add_one(wc_extents *extents, wc_extent extent, wc_error *error) {
    if (extents->count == extents->room) {
        size_t room = extents->room ? 2 * extents->room : 16;
        wc_extent *at = reallocarray(extents->at, room, sizeof *at);
        if (!at)
            return wc_error_set(error, WC_ERR_MEMORY, "no memory for the list of datasets");
        extents->at = at;
        extents->room = room;
    }
    extents->at[extents->count++] = extent;
    return WC_OK;
}

wc_status wc_extents_add(wc_extents *extents, wc_extent extent, uint64_t count, uint64_t step,
                         wc_error *error) {
    wc_status status = WC_OK;
    if (!extent.size)
        return WC_OK;
    if (extent.size == step) {
        extent.size *= count;
        return add_one(extents, extent, error);
    }
    for (; count && status == WC_OK; count--, extent.offset += step)
        status = add_one(extents, extent, error);
    return status;
}

static uint64_t blocks_of(const wc_extent *extent) {
    return extent->kind == WC_EXTENT_ROWS ? wc_blocks(extent->size) : 0;
}

/* ---- hashing ---- */

static wc_status hash_range(XXH3_state_t *hash, int fd, const char *path, uint64_t from,
                            uint64_t to, char *buffer, wc_error *error) {
    while (from < to) {
        size_t n = to - from < WC_BLOCK_BYTES ? (size_t)(to - from) : WC_BLOCK_BYTES;
        wc_status status = wc_read_all(fd, path, buffer, n, from, error);
        if (status != WC_OK)
            return status;
        XXH3_64bits_update(hash, buffer, n);
        from += n;
    }
    return WC_OK;
}

/* Everything up to `end` that is in no extent: superblock, object headers, gaps, what rank 0 wrote.
 */
static wc_status hash_metadata(int fd, const char *path, uint64_t end, const wc_extents *extents,
                               char *buffer, uint64_t *result, wc_error *error) {
    XXH3_state_t hash;
    XXH3_64bits_reset(&hash);
    uint64_t from = 0;
    for (size_t i = 0; i <= extents->count; i++) {
        uint64_t to = i < extents->count ? extents->at[i].offset : end;
        wc_status status = hash_range(&hash, fd, path, from, to, buffer, error);
        if (status != WC_OK)
            return status;
        if (i < extents->count)
            from = to + extents->at[i].size;
    }
    *result = XXH3_64bits_digest(&hash);
    return WC_OK;
}

static wc_status hash_rows(int fd, const char *path, const wc_extents *extents, char *buffer,
                           uint64_t *hashes, wc_error *error) {
    for (size_t i = 0; i < extents->count; i++) {
        const wc_extent *extent = &extents->at[i];
        for (uint64_t block = 0; block < blocks_of(extent); block++) {
            size_t n = wc_block_bytes(extent->size, block);
            wc_status status =
                wc_read_all(fd, path, buffer, n, extent->offset + block * WC_BLOCK_BYTES, error);
            if (status != WC_OK)
                return status;
            *hashes++ = XXH3_64bits(buffer, n);
        }
    }
    return WC_OK;
}

/* ---- writing ---- */

static int by_offset(const void *a, const void *b) {
    const wc_extent *x = a, *y = b;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

static wc_status build_and_write(int fd, const char *path, uint64_t end, const wc_extents *extents,
                                 char *trailer, size_t bytes, uint64_t hash_count, char *buffer,
                                 wc_error *error) {
    wc_trailer_head head = {
        .version = WC_FORMAT_VERSION, .end = end, .extents = extents->count, .hashes = hash_count};
    memcpy(head.magic, MAGIC, sizeof MAGIC);
    size_t list = extents->count * sizeof *extents->at;
    uint64_t *hashes = (uint64_t *)(void *)(trailer + sizeof head + list);
    wc_status status = hash_metadata(fd, path, end, extents, buffer, &head.metadata_hash, error);
    if (status == WC_OK)
        status = hash_rows(fd, path, extents, buffer, hashes, error);
    if (status != WC_OK)
        return status;
    memcpy(trailer, &head, sizeof head);
    if (list)
        memcpy(trailer + sizeof head, extents->at, list);
    wc_trailer_tail tail = {.hash = XXH3_64bits(trailer, bytes - sizeof tail), .bytes = bytes};
    memcpy(trailer + bytes - sizeof tail, &tail, sizeof tail);
    if (wc_write_all(fd, trailer, bytes, end))
        return WC_OK;
    return wc_error_set(error, WC_ERR_IO, "%.300s: its trailer can't be written: %m%s", path,
                        wc_error_advice(errno));
}

wc_status wc_trailer_append(int fd, const char *path, wc_extents *extents, wc_error *error) {
    struct stat s;
    uint64_t hash_count = 0;
    if (fstat(fd, &s) < 0)
        return wc_error_set(error, WC_ERR_IO, "%.300s: %m", path);
    if (extents->count)
        qsort(extents->at, extents->count, sizeof *extents->at, by_offset);
    for (size_t i = 0; i < extents->count; i++)
        hash_count += blocks_of(&extents->at[i]);
    size_t bytes =
        LEAST_BYTES + extents->count * sizeof *extents->at + (size_t)hash_count * sizeof(uint64_t);
    char *trailer = calloc(1, bytes), *buffer = malloc(WC_BLOCK_BYTES);
    wc_status status = trailer && buffer
                           ? build_and_write(fd, path, (uint64_t)s.st_size, extents, trailer, bytes,
                                             hash_count, buffer, error)
                           : wc_error_set(error, WC_ERR_MEMORY, "no memory for the trailer");
    free(trailer);
    free(buffer);
    return status;
}

/* ---- reading ---- */

static wc_status damaged(const char *path, const char *why, wc_error *error) {
    return wc_error_set(error, WC_ERR_DAMAGED, "%.300s is damaged: %s", path, why);
}

static wc_status check_signature(int fd, const char *path, uint64_t size, wc_error *error) {
    static const char hdf5[8] = "\x89HDF\r\n\x1a\n";
    char start[8];
    if (size < sizeof start)
        return damaged(path, "it is no HDF5 file", error);
    wc_status status = wc_read_all(fd, path, start, sizeof start, 0, error);
    if (status == WC_OK && memcmp(start, hdf5, sizeof start) != 0)
        return damaged(path, "it is no HDF5 file", error);
    return status;
}

/* Its place: what it says of its own size is believed only when the magic stands where it must. */
static wc_status locate(int fd, const char *path, uint64_t size, wc_trailer_tail *tail,
                        wc_error *error) {
    static const char without[] = "it has no trailer of a committed snapshot (it is unfinished, "
                                  "truncated, or was changed since)";
    char magic[sizeof MAGIC];
    if (size < LEAST_BYTES)
        return damaged(path, without, error);
    wc_status status = wc_read_all(fd, path, tail, sizeof *tail, size - sizeof *tail, error);
    if (status != WC_OK)
        return status;
    if (tail->bytes < LEAST_BYTES || tail->bytes > size || tail->bytes % sizeof(uint64_t))
        return damaged(path, without, error);
    status = wc_read_all(fd, path, magic, sizeof magic, size - tail->bytes, error);
    if (status == WC_OK && memcmp(magic, MAGIC, sizeof magic) != 0)
        return damaged(path, without, error);
    return status;
}

bool wc_trailer_is_there(int fd) {
    struct stat s;
    wc_trailer_tail tail;
    return fstat(fd, &s) == 0 && locate(fd, "", (uint64_t)s.st_size, &tail, NULL) == WC_OK;
}

static wc_status load(int fd, const char *path, uint64_t size, char **trailer, size_t *bytes,
                      wc_error *error) {
    wc_trailer_tail tail;
    wc_status status = locate(fd, path, size, &tail, error);
    if (status != WC_OK)
        return status;
    char *all = malloc(tail.bytes);
    if (!all)
        return wc_error_set(error, WC_ERR_MEMORY, "no memory for the trailer of %.300s", path);
    status = wc_read_all(fd, path, all, tail.bytes, size - tail.bytes, error);
    if (status == WC_OK && XXH3_64bits(all, tail.bytes - sizeof tail) != tail.hash)
        status = damaged(path, "its trailer is not what was written", error);
    if (status != WC_OK) {
        free(all);
        return status;
    }
    *trailer = all;
    *bytes = tail.bytes;
    return WC_OK;
}

static bool are_in_order(const wc_extents *extents, uint64_t end) {
    uint64_t from = 0;
    for (size_t i = 0; i < extents->count; i++) {
        const wc_extent *e = &extents->at[i];
        if (e->offset < from || e->offset > end || e->size > end - e->offset || !e->size ||
            e->kind > WC_EXTENT_ROWS)
            return false;
        from = e->offset + e->size;
    }
    return true;
}

/* Takes the lists out of the trailer's bytes; false if they don't make sense. */
static bool parse_lists(const char *bytes, const wc_trailer_head *head, wc_trailer *trailer) {
    size_t list = head->extents * sizeof *trailer->extents.at;
    uint64_t used = 0;
    trailer->extents.at = malloc(list ? list : 1);
    trailer->first_hash = calloc(head->extents + 1, sizeof *trailer->first_hash);
    trailer->hashes = calloc(head->hashes + 1, sizeof *trailer->hashes);
    if (!trailer->extents.at || !trailer->first_hash || !trailer->hashes)
        return false;
    trailer->extents.count = trailer->extents.room = head->extents;
    trailer->hash_count = head->hashes;
    memcpy(trailer->extents.at, bytes + sizeof *head, list);
    memcpy(trailer->hashes, bytes + sizeof *head + list, head->hashes * sizeof(uint64_t));
    if (!are_in_order(&trailer->extents, head->end))
        return false;
    for (size_t i = 0; i < head->extents; i++) {
        trailer->first_hash[i] = used;
        used += blocks_of(&trailer->extents.at[i]); /* disjoint parts of a file: no overflow */
    }
    return used == head->hashes;
}

static wc_status parse(const char *path, const char *bytes, size_t size, uint64_t file_size,
                       wc_trailer *trailer, wc_error *error) {
    wc_trailer_head head;
    memcpy(&head, bytes, sizeof head);
    if (head.version != WC_FORMAT_VERSION)
        return wc_error_set(error, WC_ERR_UNSUPPORTED,
                            "%.300s has format %llu, and this version of Wavecut reads %d", path,
                            (unsigned long long)head.version, WC_FORMAT_VERSION);
    size_t words = (size - LEAST_BYTES) / sizeof(uint64_t);
    size_t each = sizeof(wc_extent) / sizeof(uint64_t);
    if (head.end != file_size - size || head.extents > words / each ||
        head.hashes != words - head.extents * each || !parse_lists(bytes, &head, trailer))
        return damaged(path, "its trailer makes no sense", error);
    trailer->end = head.end;
    trailer->metadata_hash = head.metadata_hash;
    return WC_OK;
}

static wc_status check_metadata(int fd, const char *path, const wc_trailer *trailer,
                                wc_error *error) {
    uint64_t hash;
    char *buffer = malloc(WC_BLOCK_BYTES);
    if (!buffer)
        return wc_error_set(error, WC_ERR_MEMORY, "no memory to check %.300s", path);
    wc_status status =
        hash_metadata(fd, path, trailer->end, &trailer->extents, buffer, &hash, error);
    free(buffer);
    if (status == WC_OK && hash != trailer->metadata_hash)
        status = damaged(path, "its metadata are not what was written", error);
    return status;
}

wc_status wc_trailer_read(int fd, const char *path, wc_trailer *trailer, wc_error *error) {
    struct stat s;
    char *bytes = NULL;
    size_t size = 0;
    wc_trailer found = {0};
    if (fstat(fd, &s) < 0)
        return wc_error_set(error, WC_ERR_IO, "%.300s: %m", path);
    uint64_t file_size = (uint64_t)s.st_size;
    wc_status status = check_signature(fd, path, file_size, error);
    if (status == WC_OK)
        status = load(fd, path, file_size, &bytes, &size, error);
    if (status != WC_OK)
        return status;
    status = parse(path, bytes, size, file_size, &found, error);
    free(bytes);
    if (status == WC_OK)
        status = check_metadata(fd, path, &found, error);
    if (status == WC_OK)
        *trailer = found;
    else
        wc_trailer_free(&found);
    return status;
}

/* The extent that begins at or before `offset`, if any. */
static size_t find(const wc_trailer *trailer, uint64_t offset) {
    size_t low = 0, high = trailer->extents.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (trailer->extents.at[middle].offset <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low ? low - 1 : trailer->extents.count;
}

static bool has_one(const wc_trailer *trailer, wc_extent extent) {
    size_t i = find(trailer, extent.offset);
    if (i == trailer->extents.count)
        return false;
    const wc_extent *e = &trailer->extents.at[i];
    return e->offset == extent.offset && e->size == extent.size && e->kind == extent.kind;
}

bool wc_trailer_has(const wc_trailer *trailer, wc_extent extent, uint64_t count, uint64_t step) {
    bool has = true;
    if (!extent.size)
        return true;
    if (extent.size == step)
        return !__builtin_mul_overflow(extent.size, count, &extent.size) &&
               has_one(trailer, extent);
    if (count > trailer->extents.count)
        return false;
    for (; count && has; count--, extent.offset += step)
        has = has_one(trailer, extent);
    return has;
}

/* Into trailer->block, where it stays: rows are asked for one after the other. */
static wc_status load_block(wc_trailer *trailer, uint64_t hash, int fd, const char *path,
                            const char *what, uint64_t at, size_t n, wc_error *error) {
    if (!trailer->block && !(trailer->block = malloc(WC_BLOCK_BYTES)))
        return wc_error_set(error, WC_ERR_MEMORY, "no memory to read %.300s", path);
    if (trailer->block_at == at && at)
        return WC_OK;
    trailer->block_at = 0;
    wc_status status = wc_read_all(fd, path, trailer->block, n, at, error);
    if (status != WC_OK)
        return status;
    if (XXH3_64bits(trailer->block, n) != hash)
        return wc_error_set(error, WC_ERR_DAMAGED,
                            "%.300s is damaged: %.100s, %zu bytes at %llu, is not what was written",
                            path, what, n, (unsigned long long)at);
    trailer->block_at = at;
    return WC_OK;
}

wc_status wc_trailer_rows(wc_trailer *trailer, int fd, const char *path, const char *what,
                          uint64_t offset, size_t bytes, void *to, wc_error *error) {
    if (!bytes)
        return WC_OK;
    size_t i = find(trailer, offset);
    const wc_extent *extent = &trailer->extents.at[i];
    if (i == trailer->extents.count || extent->kind != WC_EXTENT_ROWS ||
        offset - extent->offset > extent->size || bytes > extent->size - (offset - extent->offset))
        return damaged(path, "a table is not where it should be", error);
    uint64_t from = offset - extent->offset;
    char *out = to;
    wc_status status = WC_OK;
    while (bytes && status == WC_OK) {
        uint64_t block = from / WC_BLOCK_BYTES;
        size_t skip = (size_t)(from % WC_BLOCK_BYTES), all = wc_block_bytes(extent->size, block),
               n = all - skip;
        n = n < bytes ? n : bytes;
        status = load_block(trailer, trailer->hashes[trailer->first_hash[i] + block], fd, path,
                            what, extent->offset + block * WC_BLOCK_BYTES, all, error);
        if (status == WC_OK)
            memcpy(out, trailer->block + skip, n);
        out += n;
        from += n;
        bytes -= n;
    }
    return status;
}

void wc_trailer_free(wc_trailer *trailer) {
    free(trailer->extents.at);
    free(trailer->first_hash);
    free(trailer->hashes);
    free(trailer->block);
    *trailer = (wc_trailer){0};
}
