/* SPDX-License-Identifier: BSD-3-Clause */
#include "staging.h"

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
static uint64_t bytes_needed(const wc_regions *regions) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < regions->count; i++)
        bytes += round_up(wc_region_bytes(&regions->at[i]), PAGE) + PAGE;
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
    memset(memory, 0, bytes);
    staging->memory = memory;
    staging->bytes = bytes;
    return WC_OK;
}

wc_status wc_staging_reserve(wc_staging *staging, const wc_regions *regions, uint64_t limit,
                             wc_error *error) {
    if (staging->room < regions->count) {
        wc_region *copies = realloc(staging->copies, regions->count * sizeof *copies);
        if (!copies)
            return wc_error_set(error, WC_ERR_MEMORY, "no memory to list the protected arrays");
        staging->copies = copies;
        staging->room = regions->count;
    }
    uint64_t bytes = bytes_needed(regions);
    if (limit && bytes > limit)
        return wc_error_set(
            error, WC_ERR_MEMORY,
            "a copy of the protected state takes %llu MiB, more than WAVECUT_STAGING_MB=%llu",
            (unsigned long long)((bytes + (1 << 20) - 1) >> 20), (unsigned long long)(limit >> 20));
    if (bytes <= staging->bytes)
        return WC_OK;
    /* The old copy is of no use, and both at once may be too much. */
    unmap(staging);
    return map(staging, round_up(bytes, HUGE_PAGE), error);
}

void wc_staging_lay_out(wc_staging *staging, const wc_regions *regions) {
    uint64_t at = 0;
    for (size_t i = 0; i < regions->count; i++) {
        const wc_region *r = &regions->at[i];
        staging->copies[i] = *r;
        staging->copies[i].address = staging->memory + at + r->skew;
        at += round_up(wc_region_bytes(r), PAGE) + PAGE;
    }
    staging->count = regions->count;
}

/* x86 keeps 10 bytes of value in 16. The six bytes of a long double that carry no value would make
 * equal states differ. */
static void zero_padding(wc_region *copy) {
    size_t step = sizeof(long double);
    unsigned char *p = copy->address;
    for (uint64_t bytes = wc_region_bytes(copy); bytes; bytes -= step, p += step)
        memset(p + 10, 0, step - 10);
}

wc_status wc_staging_copy(wc_staging *staging, const wc_regions *regions, uint64_t limit,
                          wc_error *error) {
    wc_status status = wc_staging_reserve(staging, regions, limit, error);
    if (status != WC_OK)
        return status;
    wc_staging_lay_out(staging, regions);
    for (size_t i = 0; i < staging->count; i++) {
        wc_region *copy = &staging->copies[i];
        if (copy->count)
            memcpy(copy->address, regions->at[i].address, wc_region_bytes(copy));
        bool long_double = copy->type == WC_TYPE_FLD || copy->type == WC_TYPE_CLD;
        if (long_double && LDBL_MANT_DIG == 64)
            zero_padding(copy);
    }
    return WC_OK;
}

void wc_staging_free(wc_staging *staging) {
    unmap(staging);
    free(staging->copies);
    *staging = (wc_staging){0};
}
