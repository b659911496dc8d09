/* SPDX-License-Identifier: BSD-3-Clause */
#include "staging.h"

#include "../store/copy.h"

#include <float.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { PAGE = 4096, HUGE_PAGE = 2 << 20 };

static uint64_t round_up(uint64_t n, uint64_t to) {
    return (n + to - 1) / to * to;
}

/* Each region begins on a page, moved on by its skew: address and file offset agree modulo the
 * page. */
static uint64_t place_bytes(const wc_region *region) {
    return round_up(wc_region_bytes(region), PAGE) + PAGE;
}

/* Callbacks must have room, arrays can do without. */
static uint64_t bytes_needed(wc_regions *regions, uint64_t limit) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < regions->count; i++)
        if (regions->at[i].save)
            bytes += place_bytes(&regions->at[i]);
    for (size_t i = 0; i < regions->count; i++) {
        wc_region *r = &regions->at[i];
        r->spilled = limit && !r->save && r->count && bytes + place_bytes(r) > limit;
        if (!r->save && !r->spilled)
            bytes += place_bytes(r);
    }
    return bytes;
}

static void unmap(wc_staging *staging) {
    if (staging->memory)
        munmap(staging->memory, staging->bytes);
    staging->memory = NULL;
    staging->bytes = 0;
}

static wc_status map(wc_staging *staging, uint64_t bytes, wc_error *error) {
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return wc_error_set(error, WC_ERR_MEMORY,
                            "no memory for a copy of the protected state (%llu MiB)",
                            (unsigned long long)(bytes >> 20));
    madvise(memory, bytes, MADV_HUGEPAGE);
    staging->memory = memory;
    staging->bytes = bytes;
    return WC_OK;
}

static wc_status too_much(uint64_t bytes, uint64_t limit, wc_error *error) {
    return wc_error_set(
        error, WC_ERR_MEMORY,
        "a copy of the protected state takes %llu MiB, more than WAVECUT_STAGING_MB=%llu",
        (unsigned long long)((bytes + (1 << 20) - 1) >> 20), (unsigned long long)(limit >> 20));
}

/* Drops what was staged, and has a list of `count`. */
static wc_status begin_anew(wc_staging *staging, size_t count, wc_error *error) {
    wc_staging_drop(staging);
    if (staging->room >= count)
        return WC_OK;
    wc_region *copies = realloc(staging->copies, count * sizeof *copies);
    staging->copies = copies ? copies : staging->copies;
    wc_lent *lents = copies ? realloc(staging->lents, count * sizeof *lents) : NULL;
    staging->lents = lents ? lents : staging->lents;
    if (!lents)
        return wc_error_set(error, WC_ERR_MEMORY, "no memory to list the protected arrays");
    staging->room = count;
    return WC_OK;
}

/* The old copy is of no use, and both at once may be too much. */
static wc_status map_anew(wc_staging *staging, uint64_t bytes, wc_error *error) {
    unmap(staging);
    return map(staging, round_up(bytes, HUGE_PAGE), error);
}

wc_status wc_staging_reserve(wc_staging *staging, wc_regions *regions, uint64_t limit,
                             wc_error *error) {
    wc_status status = begin_anew(staging, regions->count, error);
    uint64_t bytes = bytes_needed(regions, limit);
    if (status == WC_OK && limit && bytes > limit)
        status = too_much(bytes, limit, error);
    if (status != WC_OK || bytes <= staging->bytes)
        return status;
    status = map_anew(staging, bytes, error);
    if (status == WC_OK)
        memset(staging->memory, 0, staging->bytes);
    return status;
}

/* ---- places ---- */

static void *next_place(const wc_staging *staging, const wc_region *region) {
    return staging->memory + staging->used + region->skew;
}

static void take_place(wc_staging *staging, const wc_region *copy) {
    staging->used += place_bytes(copy);
}

static void begin(wc_staging *staging, const wc_regions *regions) {
    staging->used = 0;
    staging->count = regions->count;
    if (regions->count)
        memcpy(staging->copies, regions->at, regions->count * sizeof *regions->at);
    for (size_t i = 0; i < staging->count; i++)
        staging->lents[i] = (wc_lent){NULL};
}

wc_status wc_staging_lay_out(wc_staging *staging, wc_regions *regions, uint64_t limit,
                             wc_error *error) {
    wc_status status = begin_anew(staging, regions->count, error);
    uint64_t bytes = bytes_needed(regions, limit);
    if (status == WC_OK && bytes > staging->bytes)
        status = map_anew(staging, bytes, error);
    if (status != WC_OK)
        return status;
    begin(staging, regions);
    for (size_t i = 0; i < staging->count; i++) {
        wc_region *copy = &staging->copies[i];
        copy->address = copy->spilled ? NULL : next_place(staging, copy);
        if (!copy->spilled)
            take_place(staging, copy);
    }
    return WC_OK;
}

/* ---- flat memory ---- */

/* x86 keeps 10 bytes of value in 16. The six bytes of a long double that carry no value would make
 * equal states differ. */
static void zero_padding(void *bytes, size_t count) {
    size_t step = sizeof(long double);
    for (unsigned char *p = bytes; count; count -= step, p += step)
        memset(p + 10, 0, step - 10);
}

static bool is_padded(const wc_region *region) {
    return (region->type == WC_TYPE_FLD || region->type == WC_TYPE_CLD) && LDBL_MANT_DIG == 64;
}

static void copy_flat(wc_staging *staging, size_t i) {
    wc_region *copy = &staging->copies[i];
    const void *from = copy->address;
    copy->address = next_place(staging, copy);
    take_place(staging, copy);
    if (copy->stable && copy->count && !is_padded(copy)) {
        wc_lent_begin(&staging->lents[i], from, copy->address, wc_region_bytes(copy));
        staging->lending = true;
        return;
    }
    wc_copy(copy->address, from, wc_region_bytes(copy));
    if (is_padded(copy))
        zero_padding(copy->address, wc_region_bytes(copy));
}

/* Its place is one of addresses alone: pages come when the writer reads them from the file, and go when they are written. */
static wc_status spill_flat(wc_staging *staging, size_t i, const char *directory, wc_error *error) {
    wc_region *copy = &staging->copies[i];
    const void *from = copy->address;
    uint64_t at;
    if (wc_spill_write(&staging->spill, directory, from, wc_region_bytes(copy),
                       is_padded(copy) ? zero_padding : NULL, &at, error) != WC_OK)
        return error->status;
    char *place = mmap(NULL, place_bytes(copy), PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (place == MAP_FAILED)
        return wc_error_set(error, WC_ERR_MEMORY, "\"%s\": no addresses for a copy", copy->name);
    copy->address = place + copy->skew;
    wc_lent_spilled(&staging->lents[i], staging->spill.fd, at, copy->address,
                    wc_region_bytes(copy));
    staging->spilled += wc_region_bytes(copy);
    return WC_OK;
}

static void free_spilled(wc_staging *staging) {
    for (size_t i = 0; staging->spilled && i < staging->count; i++) {
        if (staging->copies[i].spilled && staging->lents[i].bytes)
            munmap((char *)staging->copies[i].address - staging->copies[i].skew,
                   place_bytes(&staging->copies[i]));
        staging->lents[i].bytes = 0;
    }
    staging->spilled = 0;
    wc_spill_empty(&staging->spill);
}

/* ---- lent memory ---- */

wc_lent *wc_staging_lent(wc_staging *staging, size_t i) {
    return staging->lents[i].bytes ? &staging->lents[i] : NULL;
}

void wc_staging_take_back(wc_staging *staging) {
    for (size_t i = 0; staging->lending && i < staging->count; i++)
        wc_lent_take_back(&staging->lents[i]);
    staging->lending = false;
}

void wc_staging_take_back_one(wc_staging *staging, const char *name) {
    for (size_t i = 0; staging->lending && i < staging->count; i++)
        if (strcmp(staging->copies[i].name, name) == 0)
            wc_lent_take_back(&staging->lents[i]);
}

void wc_staging_drop(wc_staging *staging) {
    for (size_t i = 0; staging->lending && i < staging->count; i++)
        wc_lent_drop(&staging->lents[i]);
    staging->lending = false;
    free_spilled(staging);
}

/* ---- callbacks ---- */

/* The pages move, if they must, and with them the copies; their bytes are not copied. */
static wc_status grow(wc_staging *staging, uint64_t bytes, uint64_t limit, wc_error *error) {
    if (limit && bytes > limit)
        return too_much(bytes, limit, error);
    bytes = round_up(bytes + bytes / 2, HUGE_PAGE);
    char *memory = mremap(staging->memory, staging->bytes, bytes, MREMAP_MAYMOVE);
    if (memory == MAP_FAILED)
        return wc_error_set(error, WC_ERR_MEMORY,
                            "no memory for a copy of the protected state (%llu MiB)",
                            (unsigned long long)(bytes >> 20));
    for (size_t i = 0; i < staging->count; i++) {
        wc_region *copy = &staging->copies[i];
        if (copy->spilled)
            continue;
        if (copy->address) /* not a callback's that is still to come */
            copy->address = memory + ((char *)copy->address - staging->memory);
        if (staging->lents[i].bytes)
            staging->lents[i].copy = copy->address;
    }
    staging->memory = memory;
    staging->bytes = bytes;
    return WC_OK;
}

wc_status wc_sink_write(wavecut_sink *sink, const void *bytes, size_t count) {
    wc_staging *staging = sink->staging;
    if (sink->error.status != WC_OK)
        return sink->error.status;
    uint64_t end = staging->used + PAGE + sink->bytes + count;
    if (end < count)
        return wc_error_set(&sink->error, WC_ERR_MEMORY, "\"%s\": %zu bytes are too many",
                            sink->copy->name, count);
    if (end > staging->bytes && grow(staging, end, sink->limit, &sink->error) != WC_OK)
        return sink->error.status;
    if (count)
        memcpy((char *)sink->copy->address + sink->bytes, bytes, count);
    sink->bytes += count;
    return WC_OK;
}

static wc_status call_save(wc_staging *staging, wc_region *copy, uint64_t limit, wc_error *error) {
    wavecut_sink sink = {.staging = staging, .copy = copy, .limit = limit};
    copy->address = next_place(staging, copy);
    int code = copy->save(copy->user, &sink);
    if (sink.error.status != WC_OK)
        return wc_error_set(error, sink.error.status, "%s", sink.error.text);
    if (code)
        return wc_error_set(error, WC_ERR_CALLBACK, "\"%s\": its save callback returned %d",
                            copy->name, code);
    copy->count = sink.bytes / wc_type_bytes(copy->type);
    take_place(staging, copy);
    return WC_OK;
}

wc_status wc_staging_copy(wc_staging *staging, wc_regions *regions, uint64_t limit,
                          const char *directory, wc_error *error) {
    wc_status status = wc_staging_reserve(staging, regions, limit, error);
    if (status != WC_OK)
        return status;
    begin(staging, regions);
    for (size_t i = 0; i < staging->count && status == WC_OK; i++) {
        if (staging->copies[i].spilled)
            status = spill_flat(staging, i, directory, error);
        else if (!staging->copies[i].save)
            copy_flat(staging, i);
    }
    /* Behind the others: how long these get is known only afterwards. */
    for (size_t i = 0; i < staging->count && status == WC_OK; i++) {
        wc_region *copy = &staging->copies[i];
        if (!copy->save)
            continue;
        status = call_save(staging, copy, limit, error);
        regions->at[i].count = copy->count;
    }
    for (size_t i = 0; i < staging->count && status == WC_OK; i++)
        wc_lent_offer(&staging->lents[i]); /* now that the copies don't move any more */
    return status;
}

void wc_staging_free(wc_staging *staging) {
    wc_staging_drop(staging);
    unmap(staging);
    free(staging->copies);
    free(staging->lents);
    wc_spill_close(&staging->spill);
    *staging = (wc_staging){0};
}
