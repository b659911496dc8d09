/* SPDX-License-Identifier: BSD-3-Clause */
#include "manifest.h"

#include "../core/core.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <stdlib.h>
#include <string.h>

void wc_manifest_own(wc_manifest *manifest, const wc_region *regions, size_t count) {
    manifest->arrays = wc_core_alloc(count * sizeof *manifest->arrays);
    manifest->count = count;
    for (size_t i = 0; i < count; i++) {
        wc_array *a = &manifest->arrays[i];
        strcpy(a->name, regions[i].name);
        a->type = regions[i].type;
        a->ndims = regions[i].box.ndims;
        memcpy(a->shape, regions[i].box.global, sizeof a->shape);
        memcpy(a->chunk, a->shape, sizeof a->chunk);
    }
}

uint64_t wc_manifest_hash(const wc_manifest *manifest) {
    return XXH3_64bits(manifest->arrays, manifest->count * sizeof *manifest->arrays);
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const wc_array *)a)->name, ((const wc_array *)b)->name);
}

static wc_status same_array(const wc_array *a, const wc_array *b, wc_error *error) {
    if (a->type != b->type)
        return wc_error_set(error, WC_ERR_TYPE,
                            "\"%s\" is protected as %s on one rank and as %s on another", a->name,
                            wc_type_name(a->type), wc_type_name(b->type));
    if (a->ndims != b->ndims || memcmp(a->shape, b->shape, sizeof a->shape) != 0)
        return wc_error_set(error, WC_ERR_TYPE, "\"%s\" is protected with different global shapes",
                            a->name);
    return WC_OK;
}

/* Sorted by name, a group stands before all that is in it, with nothing smaller in between but
 * names that begin with it. */
static wc_status no_group(const wc_manifest *m, wc_error *error) {
    for (size_t i = 0; i < m->count; i++) {
        size_t length = strlen(m->arrays[i].name);
        for (size_t k = i + 1;
             k < m->count && strncmp(m->arrays[k].name, m->arrays[i].name, length) == 0; k++)
            if (m->arrays[k].name[length] == '/')
                return wc_error_set(error, WC_ERR_NAME,
                                    "\"%s\" and \"%s\": a name can't be a group of another",
                                    m->arrays[i].name, m->arrays[k].name);
    }
    return WC_OK;
}

wc_status wc_manifest_unite(wc_manifest *manifest, const wc_array *lists, size_t count,
                            wc_error *error) {
    *manifest = (wc_manifest){.arrays = wc_core_alloc(count * sizeof *lists)};
    memcpy(manifest->arrays, lists, count * sizeof *lists);
    qsort(manifest->arrays, count, sizeof *lists, by_name);
    wc_status status = WC_OK;
    for (size_t i = 0; i < count && status == WC_OK; i++) {
        const wc_array *last = manifest->count ? &manifest->arrays[manifest->count - 1] : NULL;
        if (last && by_name(last, &manifest->arrays[i]) == 0)
            status = same_array(last, &manifest->arrays[i], error);
        else
            manifest->arrays[manifest->count++] = manifest->arrays[i];
    }
    if (status == WC_OK)
        status = no_group(manifest, error);
    if (status != WC_OK)
        wc_manifest_free(manifest);
    return status;
}

size_t wc_manifest_find(const wc_manifest *manifest, const char *name) {
    wc_array wanted;
    strcpy(wanted.name, name);
    const wc_array *found =
        bsearch(&wanted, manifest->arrays, manifest->count, sizeof wanted, by_name);
    return (size_t)(found - manifest->arrays);
}

/* ---- tiles ---- */

enum { CHUNK_LEAST = 64 << 10, CHUNKS_MOST = 65534, SPLIT_MOST = 4096 };

void wc_tile_say(const wc_box *box, uint64_t words[WC_TILE_WORDS]) {
    for (uint32_t d = 0; d < box->ndims; d++) {
        bool last = box->offset[d] + box->local[d] == box->global[d];
        words[d] = box->local[d];
        words[WC_BOX_DIMS + d] =
            last ? 0 : ~box->local[d]; /* the maximum is that of the smallest */
    }
}

/* Do a tile's elements stand together in a contiguous array? */
static bool is_together(const wc_array *a, const uint64_t *tile) {
    uint32_t d = 0;
    while (d < a->ndims && tile[d] <= 1)
        d++;
    for (d++; d < a->ndims; d++)
        if (tile[d] != a->shape[d])
            return false;
    return true;
}

void wc_tile_choose(wc_array *a, const uint64_t words[WC_TILE_WORDS]) {
    uint64_t bytes = wc_type_bytes(a->type), chunks = 1, parts = 1;
    wc_array tiled = *a;
    for (uint32_t d = 0; d < a->ndims; d++) {
        uint64_t largest = words[d], inner = words[WC_BOX_DIMS + d];
        if (!largest || (inner && ~inner != largest))
            return;
        tiled.chunk[d] = largest;
        if (__builtin_mul_overflow(bytes, largest, &bytes) ||
            __builtin_mul_overflow(chunks, (a->shape[d] - 1) / largest + 1, &chunks))
            return;
    }
    while (parts <= SPLIT_MOST && (bytes / parts > UINT32_MAX || tiled.chunk[0] % parts))
        parts++;
    tiled.chunk[0] /= parts;
    if (!is_together(a, words) && parts <= SPLIT_MOST && bytes / parts >= CHUNK_LEAST &&
        chunks * parts <= CHUNKS_MOST)
        *a = tiled;
}

void wc_manifest_free(wc_manifest *manifest) {
    free(manifest->arrays);
    *manifest = (wc_manifest){0};
}
