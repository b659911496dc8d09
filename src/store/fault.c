/* SPDX-License-Identifier: BSD-3-Clause */
#include "fault.h"

#include <stdlib.h>

#ifdef WC_FAULTS

#include <signal.h>
#include <string.h>
#include <unistd.h>

#define FAULT_NAME(name) #name,
static const char *const names[] = {WC_FAULT_LIST(FAULT_NAME)};
#undef FAULT_NAME

enum { FAULTS = sizeof names / sizeof *names };

static bool on[FAULTS];
static int own_rank;

static int find(const char *name, size_t length) {
    for (int i = 0; i < FAULTS; i++)
        if (strlen(names[i]) == length && strncmp(names[i], name, length) == 0)
            return i;
    return -1;
}

/* Parses "name" or "name@rank" of `length` bytes; false if it is neither. rank = -1: every rank. */
static bool parse(const char *item, size_t length, int *fault, long *rank) {
    const char *at = memchr(item, '@', length);
    size_t name_length = at ? (size_t)(at - item) : length;
    *fault = find(item, name_length);
    *rank = -1;
    if (*fault < 0)
        return false;
    if (!at)
        return true;
    char *end;
    *rank = strtol(at + 1, &end, 10);
    return end == item + length && end > at + 1 && *rank >= 0;
}

wc_status wc_fault_check(wc_error *error) {
    const char *item = getenv("WAVECUT_FAULT");
    while (item && *item) {
        size_t length = strcspn(item, ",");
        int fault;
        long rank;
        if (!parse(item, length, &fault, &rank))
            return wc_error_set(error, WC_ERR_SETTING,
                                "WAVECUT_FAULT: \"%.*s\" is not name or name@rank of a known fault",
                                (int)length, item);
        item += length + (item[length] == ',');
    }
    return WC_OK;
}

void wc_fault_setup(int rank) {
    const char *item = getenv("WAVECUT_FAULT");
    memset(on, 0, sizeof on);
    own_rank = rank;
    while (item && *item) {
        size_t length = strcspn(item, ",");
        int fault;
        long where;
        if (parse(item, length, &fault, &where) && (where < 0 || where == rank))
            on[fault] = true;
        item += length + (item[length] == ',');
    }
}

int wc_fault_rank(void) {
    return own_rank;
}

bool wc_fault_on(const char *name) {
    int fault = find(name, strlen(name));
    return fault >= 0 && on[fault];
}

void wc_fault_point(const char *name) {
    if (wc_fault_on(name))
        kill(getpid(), SIGKILL);
}

#else

wc_status wc_fault_check(wc_error *error) {
    if (!getenv("WAVECUT_FAULT"))
        return WC_OK;
    return wc_error_set(error, WC_ERR_SETTING,
                        "WAVECUT_FAULT is set, and this build has no named faults: unset it, or "
                        "configure with -DWAVECUT_FAULTS=ON (for tests only)");
}

#endif
