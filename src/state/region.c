/* SPDX-License-Identifier: BSD-3-Clause */
#include "region.h"

#include <stdlib.h>
#include <string.h>

static const char name_characters[] =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";

/* A component of a path: not empty, not "." or "..". */
static bool is_component(const char *text, size_t length) {
    bool dots =
        (length == 1 && text[0] == '.') || (length == 2 && text[0] == '.' && text[1] == '.');
    return length > 0 && !dots && strspn(text, name_characters) >= length;
}

wc_status wc_region_check_name(const char *name, wc_error *error) {
    if (!name)
        return wc_error_set(error, WC_ERR_NAME, "a protected array needs a name, not NULL");
    if (strlen(name) >= WC_REGION_NAME_BYTES)
        return wc_error_set(error, WC_ERR_NAME,
                            "the name \"%.40s...\" has %zu bytes; at most %d are allowed", name,
                            strlen(name), WC_REGION_NAME_BYTES - 1);
    for (const char *part = name;; part++) {
        size_t length = strcspn(part, "/");
        if (!is_component(part, length))
            return wc_error_set(
                error, WC_ERR_NAME,
                "\"%s\" is no name for a protected array: use letters, digits, '_', '.' and "
                "'-', with single '/' between groups",
                name);
        part += length;
        if (!*part)
            return WC_OK;
    }
}

/* Is `group` a group on the way to `name`? */
static bool is_group_of(const char *group, const char *name) {
    size_t length = strlen(group);
    return strncmp(group, name, length) == 0 && name[length] == '/';
}

/* Index of the region with this name, or of the first one after it. */
static size_t position(const wc_regions *regions, const char *name) {
    size_t low = 0, high = regions->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (strcmp(regions->at[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

wc_region *wc_regions_find(const wc_regions *regions, const char *name) {
    size_t i = position(regions, name);
    return i < regions->count && strcmp(regions->at[i].name, name) == 0 ? &regions->at[i] : NULL;
}

wc_status wc_regions_put(wc_regions *regions, const wc_region *region, wc_error *error) {
    wc_region *old = wc_regions_find(regions, region->name);
    if (old) {
        wc_region before = *old;
        *old = *region;
        old->skew = before.skew;
        old->stable = before.stable && !region->save;
        old->told = before.told;
        return WC_OK;
    }
    for (size_t i = 0; i < regions->count; i++) {
        const char *other = regions->at[i].name;
        if (is_group_of(other, region->name) || is_group_of(region->name, other))
            return wc_error_set(error, WC_ERR_NAME,
                                "\"%s\" and \"%s\": a name can't be a group of another",
                                region->name, other);
    }
    if (regions->count == regions->room) {
        size_t room = regions->room ? 2 * regions->room : 16;
        wc_region *more = realloc(regions->at, room * sizeof *more);
        if (!more)
            return wc_error_set(error, WC_ERR_MEMORY, "no memory to protect \"%s\"", region->name);
        regions->at = more;
        regions->room = room;
    }
    size_t i = position(regions, region->name);
    memmove(&regions->at[i + 1], &regions->at[i], (regions->count - i) * sizeof *regions->at);
    regions->at[i] = *region;
    regions->count++;
    return WC_OK;
}

wc_status wc_regions_remove(wc_regions *regions, const char *name, wc_error *error) {
    wc_region *r = wc_regions_find(regions, name);
    if (!r)
        return wc_error_set(error, WC_ERR_NAME, "\"%s\" is not protected on this rank", name);
    size_t i = (size_t)(r - regions->at);
    memmove(r, r + 1, (--regions->count - i) * sizeof *r);
    return WC_OK;
}

void wc_regions_free(wc_regions *regions) {
    free(regions->at);
    *regions = (wc_regions){0};
}
