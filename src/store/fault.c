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
static long left[FAULTS]; /* of a point: how often it is passed before it kills */
static int own_rank;

static int find(const char *name, size_t length) {
    for (int i = 0; i < FAULTS; i++)
        if (strlen(names[i]) == length && strncmp(names[i], name, length) == 0)
            return i;
    return -1;
}

/* The number behind `mark`, if that is there; false if it is none. *item goes behind it. */
static bool parse_number(const char **item, const char *last, char mark, long *number) {
    char *end;
    if (*item == last || **item != mark)
        return true;
    const char *first = *item + 1;
    *number = strtol(first, &end, 10);
    *item = end;
    return end > first && end <= last && *number >= 0;
}

/* Parses "name[@rank][#n]" of `length` bytes; false if it isn't that. rank = -1: every rank. */
static bool parse(const char *item, size_t length, int *fault, long *rank, long *nth) {
    const char *last = item + length;
    size_t name_length = 0;
    while (name_length < length && item[name_length] != '@' && item[name_length] != '#')
        name_length++;
    *fault = find(item, name_length);
    *rank = -1;
    *nth = 1;
    item += name_length;
    return *fault >= 0 && parse_number(&item, last, '@', rank) &&
           parse_number(&item, last, '#', nth) && item == last && *nth > 0;
}

wc_status wc_fault_check(wc_error *error) {
    const char *item = getenv("WAVECUT_FAULT");
    while (item && *item) {
        size_t length = strcspn(item, ",");
        int fault;
        long rank, nth;
        if (!parse(item, length, &fault, &rank, &nth))
            return wc_error_set(error, WC_ERR_SETTING,
                                "WAVECUT_FAULT: \"%.*s\" is not name[@rank][#n] of a known fault",
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
        long where, nth;
        if (parse(item, length, &fault, &where, &nth) && (where < 0 || where == rank)) {
            on[fault] = true;
            left[fault] = nth - 1;
        }
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
    int fault = find(name, strlen(name));
    if (fault >= 0 && on[fault] && left[fault]-- == 0)
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
