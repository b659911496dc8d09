/* SPDX-License-Identifier: BSD-3-Clause */
#include "trailer.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUFFER = 1 << 20 };

/* The last bytes of the file; the list of extents stands before them. */
typedef struct wc_footer {
    char magic[8];
    uint64_t version;
    uint64_t end;   /* of what HDF5 knows: the list begins here */
    uint64_t count; /* extents in the list */
    uint64_t rest;  /* hash of all before `end` that is in no extent */
    uint64_t hash;  /* of the list and this footer, with 0 here */
} wc_footer;

static const char magic[8] = "WAVECUT";

wc_status wc_read_exactly(int fd, const char *path, void *to, size_t bytes, uint64_t from,
                          wc_error *error) {
    for (size_t done = 0; done < bytes;) {
        ssize_t n = pread(fd, (char *)to + done, bytes - done, (off_t)(from + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return wc_error_set(error, WC_ERR_IO, "can't read %s: %s", path, strerror(errno));
        if (n == 0)
            return wc_error_set(error, WC_ERR_DAMAGED, "%s is damaged: it ends too early", path);
        done += (size_t)n;
    }
    return WC_OK;
}

static wc_status update(XXH3_state_t *state, int fd, const char *path, uint64_t from,
                        uint64_t bytes, void *buffer, wc_error *error) {
    while (bytes) {
        size_t n = bytes < BUFFER ? (size_t)bytes : BUFFER;
        wc_status status = wc_read_exactly(fd, path, buffer, n, from, error);
        if (status != WC_OK)
            return status;
        XXH3_64bits_update(state, buffer, n);
        from += n;
        bytes -= n;
    }
    return WC_OK;
}

/* Hashes the parts that stand between `extents`, or with `extents` NULL the one part [from, from +
 * bytes). */
static wc_status hash_parts(int fd, const char *path, uint64_t from, uint64_t bytes,
                            const wc_extent *extents, size_t count, uint64_t *hash,
                            wc_error *error) {
    XXH3_state_t *state = XXH3_createState();
    void *buffer = malloc(BUFFER);
    wc_status status = WC_OK;
    if (!state || !buffer)
        status = wc_error_set(error, WC_ERR_MEMORY, "no memory to check %s", path);
    if (status == WC_OK)
        XXH3_64bits_reset(state);
    uint64_t end = from + bytes;
    for (size_t i = 0; i <= count && status == WC_OK; i++) {
        uint64_t stop = i < count ? extents[i].offset : end;
        status = update(state, fd, path, from, stop - from, buffer, error);
        from = i < count ? stop + extents[i].bytes : end;
    }
    if (status == WC_OK)
        *hash = XXH3_64bits_digest(state);
    free(buffer);
    XXH3_freeState(state);
    return status;
}

wc_status wc_hash_part(int fd, const char *path, uint64_t from, uint64_t bytes, uint64_t *hash,
                       wc_error *error) {
    return hash_parts(fd, path, from, bytes, NULL, 0, hash, error);
}

static int by_offset(const void *a, const void *b) {
    const wc_extent *x = a, *y = b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static uint64_t hash_of(const wc_extent *extents, wc_footer footer) {
    XXH64_hash_t list = XXH3_64bits(extents, footer.count * sizeof *extents);
    footer.hash = 0;
    return XXH3_64bits_withSeed(&footer, sizeof footer, list);
}

static wc_status append(int fd, const char *path, const void *from, size_t bytes, uint64_t to,
                        wc_error *error) {
    for (size_t done = 0; done < bytes;) {
        ssize_t n = pwrite(fd, (const char *)from + done, bytes - done, (off_t)(to + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return wc_error_set(error, WC_ERR_IO, "can't write %s: %s", path,
                                strerror(n ? errno : EIO));
        done += (size_t)n;
    }
    return WC_OK;
}

wc_status wc_trailer_write(int fd, const char *path, wc_extent *extents, size_t count,
                           wc_error *error) {
    struct stat st;
    if (fstat(fd, &st) < 0)
        return wc_error_set(error, WC_ERR_IO, "can't look at %s: %s", path, strerror(errno));
    qsort(extents, count, sizeof *extents, by_offset);
    wc_footer footer = {.version = 1, .end = (uint64_t)st.st_size, .count = count};
    memcpy(footer.magic, magic, sizeof magic);
    wc_status status = WC_OK;
    for (size_t i = 0; i < count && status == WC_OK; i++)
        if (extents[i].hashed)
            status = wc_hash_part(fd, path, extents[i].offset, extents[i].bytes, &extents[i].hash,
                                  error);
    if (status == WC_OK)
        status = hash_parts(fd, path, 0, footer.end, extents, count, &footer.rest, error);
    if (status != WC_OK)
        return status;
    footer.hash = hash_of(extents, footer);
    status = append(fd, path, extents, count * sizeof *extents, footer.end, error);
    return status == WC_OK ? append(fd, path, &footer, sizeof footer,
                                    footer.end + count * sizeof *extents, error)
                           : status;
}

static wc_status damaged(const char *path, const char *what, wc_error *error) {
    return wc_error_set(error, WC_ERR_DAMAGED, "%s is damaged: %s", path, what);
}

/* Are the numbers possible? `list` is where the extents begin, `size` the file's. */
static bool is_possible(const wc_footer *footer, uint64_t size) {
    return memcmp(footer->magic, magic, sizeof magic) == 0 && footer->version == 1 &&
           footer->count < size / sizeof(wc_extent) && footer->end <= size &&
           footer->end + footer->count * sizeof(wc_extent) + sizeof *footer == size;
}

static bool are_in_order(const wc_extent *extents, const wc_footer *footer) {
    uint64_t at = 0;
    for (size_t i = 0; i < footer->count; i++) {
        if (extents[i].offset < at || extents[i].offset > footer->end ||
            extents[i].bytes > footer->end - extents[i].offset)
            return false;
        at = extents[i].offset + extents[i].bytes;
    }
    return true;
}

static wc_status check_hashes(int fd, const char *path, const wc_extent *extents,
                              const wc_footer *footer, wc_error *error) {
    uint64_t hash = 0;
    wc_status status = hash_parts(fd, path, 0, footer->end, extents, footer->count, &hash, error);
    if (status == WC_OK && hash != footer->rest)
        return damaged(path, "its HDF5 metadata have changed", error);
    for (size_t i = 0; i < footer->count && status == WC_OK; i++) {
        if (!extents[i].hashed)
            continue;
        status = wc_hash_part(fd, path, extents[i].offset, extents[i].bytes, &hash, error);
        if (status == WC_OK && hash != extents[i].hash)
            return damaged(path, "its tables have changed", error);
    }
    return status;
}

wc_status wc_trailer_check(int fd, const char *path, wc_error *error) {
    struct stat st;
    wc_footer footer;
    if (fstat(fd, &st) < 0)
        return wc_error_set(error, WC_ERR_IO, "can't look at %s: %s", path, strerror(errno));
    uint64_t size = (uint64_t)st.st_size;
    if (!S_ISREG(st.st_mode) || size < sizeof footer)
        return damaged(path, "it is no snapshot, or was cut off", error);
    wc_status status =
        wc_read_exactly(fd, path, &footer, sizeof footer, size - sizeof footer, error);
    if (status != WC_OK)
        return status;
    if (!is_possible(&footer, size))
        return damaged(path, "it is no snapshot, or was cut off", error);
    wc_extent *extents = malloc(footer.count * sizeof *extents + 1);
    if (!extents)
        return wc_error_set(error, WC_ERR_MEMORY, "no memory to check %s", path);
    status = wc_read_exactly(fd, path, extents, footer.count * sizeof *extents, footer.end, error);
    if (status == WC_OK &&
        (hash_of(extents, footer) != footer.hash || !are_in_order(extents, &footer)))
        status = damaged(path, "its trailer has changed", error);
    if (status == WC_OK)
        status = check_hashes(fd, path, extents, &footer, error);
    free(extents);
    return status;
}
