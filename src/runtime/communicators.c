/* SPDX-License-Identifier: BSD-3-Clause */
#include "communicators.h"

#include "runtime.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Those of the snapshot: a row for each group, so that an intercommunicator has two. */
typedef struct wc_list {
    wc_comm_row *rows;
    uint32_t *members;
    size_t row_count, member_count;
} wc_list;

static wc_status read_list(wc_list *list, wc_error *error) {
    wc_status status =
        R.store->reader_communicators(R.chosen, &list->rows, &list->row_count, error);
    if (status == WC_OK)
        status = R.store->reader_members(R.chosen, &list->members, &list->member_count, error);
    for (size_t i = 0; i < list->row_count && status == WC_OK; i++) {
        const wc_comm_row *row = &list->rows[i];
        if (row->members_count > list->member_count ||
            row->members_first > list->member_count - row->members_count)
            status = wc_error_set(error, WC_ERR_DAMAGED,
                                  "%.300s: the members of a communicator are not in the file",
                                  R.chosen_path);
    }
    return status;
}

static bool has_this_rank(const wc_list *list, const wc_comm_row *row) {
    const uint32_t *members = list->members + row->members_first;
    uint64_t i = 0;
    while (i < row->members_count && members[i] != (uint32_t)R.rank)
        i++;
    return i < row->members_count;
}

static bool is_place_of(const wc_comm_row *row, const wc_mpi_comm *c) {
    return row->uid == c->core.uid ||
           (row->parent_uid == c->parent_uid && row->ordinal == c->ordinal);
}

/* This rank's group of the communicator in the same place. NULL: there was none. */
static const wc_comm_row *find_own(const wc_list *list, const wc_mpi_comm *c) {
    for (size_t i = 0; i < list->row_count; i++)
        if (is_place_of(&list->rows[i], c) && has_this_rank(list, &list->rows[i]))
            return &list->rows[i];
    return NULL;
}

/* The other group of an intercommunicator. */
static const wc_comm_row *find_other(const wc_list *list, const wc_comm_row *own) {
    for (size_t i = 0; i < list->row_count; i++)
        if (list->rows[i].uid == own->uid && &list->rows[i] != own)
            return &list->rows[i];
    return NULL;
}

static bool same_members(const wc_list *list, const wc_comm_row *row, MPI_Group group) {
    int n, i = 0, *job = wc_group_ranks(group, L.job_group, &n);
    bool same = row->members_count == (uint64_t)n;
    while (same && i < n && list->members[row->members_first + (uint64_t)i] == (uint32_t)job[i])
        i++;
    free(job);
    return same && i == n;
}

/* Appends to the text how it was made. */
static void describe(char *text, size_t size, const char *how, int64_t colour, size_t members,
                     size_t remote) {
    int used = snprintf(text, size, "%s", how);
    if (colour)
        used += snprintf(text + used, size - (size_t)used, " (%lld)", (long long)colour);
    used += snprintf(text + used, size - (size_t)used, " of %zu", members);
    if (remote)
        snprintf(text + used, size - (size_t)used, " and %zu", remote);
}

static wc_status differs(const wc_mpi_comm *c, const wc_comm_row *own, const wc_comm_row *other,
                         wc_error *error) {
    char before[64], now[64];
    const wc_mpi_comm *parent = wc_comm_by_uid(c->parent_uid);
    describe(before, sizeof before, own->how, own->colour, own->members_count,
             other ? other->members_count : 0);
    describe(now, sizeof now, c->how, c->colour, (size_t)c->core.size, (size_t)c->core.remote_size);
    return wc_error_set(
        error, WC_ERR_MISMATCH,
        "%.200s: rank %d makes another communicator than before, as number %llu from %s: %s ranks, "
        "where it was %s: make them in the same order and of the same ranks before wavecut_restore",
        R.chosen_path, R.rank, (unsigned long long)c->ordinal,
        parent && parent->how ? parent->how : "these ranks", now, before);
}

static wc_status check(const wc_list *list, const wc_mpi_comm *c, wc_error *error) {
    const wc_comm_row *own = c->ordinal ? find_own(list, c) : NULL;
    if (!own)
        return WC_OK;
    const wc_comm_row *other = find_other(list, own);
    bool inter = c->core.remote_size, same = own->uid == c->core.uid &&
                                             strcmp(own->how, c->how) == 0 &&
                                             same_members(list, own, c->group) && inter == !!other;
    if (same && inter)
        same = same_members(list, other, c->peers);
    return same ? WC_OK : differs(c, own, other, error);
}

wc_status wc_communicators_check(wc_error *error) {
    wc_list list = {0};
    wc_status status = read_list(&list, error);
    for (const wc_comm *core = L.core.comms; core && status == WC_OK; core = core->next) {
        const wc_mpi_comm *c = wc_comm_from_core(core);
        if (!core->freed && !core->outside && c->how)
            status = check(&list, c, error);
    }
    free(list.rows);
    free(list.members);
    return status;
}
