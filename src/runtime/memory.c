/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory for the program's arrays. */
#include "api.h"
#include "runtime.h"

#include <stdlib.h>
#include <sys/mman.h>

enum { PAGE = 4096, HUGE_PAGE = 2 << 20 };

typedef struct wc_memory {
    struct wc_memory *next;
    char *at;
    size_t bytes; /* whole pages */
} wc_memory;

static wc_memory *all;

static size_t round_up(size_t n, size_t to) {
    return (n + to - 1) / to * to;
}

/* `bytes` that begin on a multiple of `on`: more is taken, and what is left over on both sides goes back. */
static char *map(size_t bytes, size_t on) {
    char *more = mmap(NULL, bytes + on, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (more == MAP_FAILED)
        return NULL;
    size_t before = -(uintptr_t)more % on;
    if (before)
        munmap(more, before);
    munmap(more + before + bytes, on - before);
    return more + before;
}

static bool make(size_t bytes, wc_memory *m) {
    if (bytes > PTRDIFF_MAX - 2 * (size_t)HUGE_PAGE)
        return false;
    size_t on = bytes >= HUGE_PAGE ? HUGE_PAGE : PAGE;
    m->bytes = round_up(bytes ? bytes : 1, PAGE);
    m->at = map(m->bytes, on);
    if (!m->at)
        return false;
    madvise(m->at, m->bytes, MADV_HUGEPAGE);
    return true;
}

WC_EXPORT wavecut_status wavecut_alloc(size_t bytes, void **memory) {
    WC_GUARD(__func__);
    wc_error error;
    if (!memory) {
        wc_error_set(&error, WC_ERR_ARGUMENT,
                     "wavecut_alloc takes a place for an address, not NULL");
        return wc_fail(error);
    }
    wc_memory *m = malloc(sizeof *m);
    if (!m || !make(bytes, m)) {
        free(m);
        wc_error_set(&error, WC_ERR_MEMORY, "wavecut_alloc: there are no %zu bytes", bytes);
        return wc_fail(error);
    }
    m->next = all;
    all = m;
    *memory = m->at;
    return WAVECUT_OK;
}

/* Something that is protected in it; NULL: nothing is. */
static const wc_region *protected_in(const wc_memory *m) {
    for (size_t i = 0; i < R.regions.count; i++) {
        const wc_region *r = &R.regions.at[i];
        const char *from = r->address;
        if (!r->save && r->count && from < m->at + m->bytes && from + wc_region_bytes(r) > m->at)
            return r;
    }
    return NULL;
}

WC_EXPORT wavecut_status wavecut_free(void *memory) {
    WC_GUARD(__func__);
    wc_error error;
    wc_memory **at = &all;
    if (!memory)
        return WAVECUT_OK;
    while (*at && (*at)->at != memory)
        at = &(*at)->next;
    wc_memory *m = *at;
    const wc_region *r = m ? protected_in(m) : NULL;
    if (!m)
        wc_error_set(&error, WC_ERR_ARGUMENT, "wavecut_free: %p is not from wavecut_alloc", memory);
    else if (r)
        wc_error_set(&error, WC_ERR_ORDER, "wavecut_free: \"%s\" in it is protected", r->name);
    if (!m || r)
        return wc_fail(error);
    *at = m->next;
    munmap(m->at, m->bytes);
    free(m);
    return WAVECUT_OK;
}
