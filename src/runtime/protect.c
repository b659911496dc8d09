/* SPDX-License-Identifier: BSD-3-Clause */
/* The calls of wavecut.h that say what is protected. */
#include "api.h"
#include "datatype.h"
#include "requests.h"
#include "runtime.h"
#include "snapshot.h"

#include <string.h>

/* The old memory of a name that is protected again is the program's. */
static void take_back_old(const wc_region *region) {
    const wc_region *old = wc_regions_find(&R.regions, region->name);
    if (old && (old->address != region->address || wc_region_bytes(old) != wc_region_bytes(region)))
        wc_snapshot_take_back(region->name);
}

/* `error` has come from a look at the arguments; then nothing is put. */
static wavecut_status put_region(wc_region *region, const char *name, wc_error *error) {
    if (error->status == WC_OK && wc_region_check_name(name, error) == WC_OK) {
        strcpy(region->name, name);
        take_back_old(region);
        wc_regions_put(&R.regions, region, error);
    }
    /* Room for the copy is made here rather than in the record; there it is checked again. */
    if (error->status == WC_OK && R.phase == WC_RUN_ON && !wc_snapshot_busy() &&
        !wc_core_busy(&L.core))
        wc_staging_reserve(&R.staging, &R.regions, (uint64_t)R.settings.staging_mb << 20, NULL);
    return error->status == WC_OK ? WAVECUT_OK : wc_fail(*error);
}

static wc_status check_type(const char *name, MPI_Datatype type, wc_type *stored, wc_error *error) {
    char type_name[MPI_MAX_OBJECT_NAME] = "MPI_DATATYPE_NULL";
    int length;
    if (wc_datatype_stored(type, stored))
        return WC_OK;
    if (type != MPI_DATATYPE_NULL)
        PMPI_Type_get_name(type, type_name, &length);
    return wc_error_set(
        error, WC_ERR_TYPE,
        "\"%s\": the datatype %s can't be stored; predefined C and Fortran types can", name,
        type_name[0] ? type_name : "(derived)");
}

static wavecut_status put_flat(wc_region *region, const char *name, MPI_Datatype type) {
    wc_error error = {WC_OK, ""};
    if (wc_region_check_name(name, &error) != WC_OK ||
        check_type(name, type, &region->type, &error) != WC_OK)
        return wc_fail(error);
    if (region->count && !region->address)
        wc_error_set(&error, WC_ERR_ARGUMENT, "\"%s\": the address of %llu elements is NULL", name,
                     (unsigned long long)region->count);
    else if (region->count > (uint64_t)PTRDIFF_MAX / wc_type_bytes(region->type))
        wc_error_set(&error, WC_ERR_ARGUMENT, "\"%s\": %llu elements are more than there is memory",
                     name, (unsigned long long)region->count);
    return put_region(region, name, &error);
}

WC_EXPORT wavecut_status wavecut_protect(const char *name, void *address, size_t count,
                                         MPI_Datatype type) {
    WC_GUARD(__func__);
    if (!wc_is_running())
        return wc_out_of_order("wavecut_protect",
                               "belongs between wavecut_init and wavecut_finalize");
    wc_region region = {.address = address, .count = count};
    return put_flat(&region, name, type);
}

static wc_status out_of_whole(const char *name, const wc_box *box, wc_error *error) {
    for (uint32_t d = 0; d < box->ndims; d++)
        if (box->offset[d] > box->global[d] || box->local[d] > box->global[d] - box->offset[d])
            return wc_error_set(
                error, WC_ERR_ARGUMENT,
                "\"%s\": along axis %u this part [%llu, %llu) is outside the global array of %llu",
                name, d, (unsigned long long)box->offset[d],
                (unsigned long long)(box->offset[d] + box->local[d]),
                (unsigned long long)box->global[d]);
    return wc_error_set(error, WC_ERR_ARGUMENT, "\"%s\": the global shape is too large", name);
}

static wc_status make_box(const char *name, int ndims, const size_t global[], const size_t local[],
                          const size_t offset[], wc_region *region, wc_error *error) {
    if (ndims < 1 || ndims > WC_BOX_DIMS || !global || !local || !offset)
        return wc_error_set(error, WC_ERR_ARGUMENT,
                            "\"%s\": a global array has 1 to %d dimensions with shapes", name,
                            WC_BOX_DIMS);
    wc_box *box = &region->box;
    box->ndims = (uint32_t)ndims;
    for (int d = 0; d < ndims; d++) {
        box->global[d] = global[d];
        box->local[d] = local[d];
        box->offset[d] = offset[d];
    }
    return wc_box_check(box, &region->count) ? WC_OK : out_of_whole(name, box, error);
}

WC_EXPORT wavecut_status wavecut_protect_array(const char *name, void *address, MPI_Datatype type,
                                               int ndims, const size_t global[],
                                               const size_t local[], const size_t offset[]) {
    WC_GUARD(__func__);
    if (!wc_is_running())
        return wc_out_of_order("wavecut_protect_array",
                               "belongs between wavecut_init and wavecut_finalize");
    wc_region region = {.address = address};
    wc_error error = {WC_OK, ""};
    if (make_box(name ? name : "", ndims, global, local, offset, &region, &error) != WC_OK)
        return wc_fail(error);
    return put_flat(&region, name, type);
}

WC_EXPORT wavecut_status wavecut_protect_callback(const char *name, wavecut_save_function *save,
                                                  wavecut_load_function *load, void *user) {
    WC_GUARD(__func__);
    if (!wc_is_running())
        return wc_out_of_order("wavecut_protect_callback",
                               "belongs between wavecut_init and wavecut_finalize");
    const wc_region *old = name ? wc_regions_find(&R.regions, name) : NULL;
    wc_region region = {.count = old && old->save == save ? old->count : 0,
                        .type = WC_TYPE_U8,
                        .save = save,
                        .load = load,
                        .user = user};
    wc_error error = {WC_OK, ""};
    if (!save || !load)
        wc_error_set(&error, WC_ERR_ARGUMENT, "\"%s\": a callback is NULL", name ? name : "");
    return put_region(&region, name, &error);
}

wavecut_status wc_protect_requests(const char *name, void *requests, int count, bool fortran) {
    WC_GUARD("wavecut_protect_requests");
    if (!wc_is_running())
        return wc_out_of_order("wavecut_protect_requests",
                               "belongs between wavecut_init and wavecut_finalize");
    wc_region region = {.count = count > 0 ? (uint64_t)count : 0,
                        .type = WC_TYPE_REQUEST,
                        .save = wc_requests_save,
                        .user = requests,
                        .fortran = fortran};
    wc_error error = {WC_OK, ""};
    if (count < 0 || (count && !requests))
        wc_error_set(&error, WC_ERR_ARGUMENT, "\"%s\": there are no %d requests at %p",
                     name ? name : "", count, requests);
    return put_region(&region, name, &error);
}

WC_EXPORT wavecut_status wavecut_protect_requests(const char *name, MPI_Request requests[],
                                                  int count) {
    return wc_protect_requests(name, requests, count, false);
}

WC_EXPORT wavecut_status wavecut_write(wavecut_sink *sink, const void *bytes, size_t count) {
    WC_GUARD(__func__);
    wc_error error;
    if (R.phase != WC_RUN_CALLBACK || !sink) {
        wc_error_set(&error, WC_ERR_ORDER,
                     "wavecut_write belongs into a save callback, with its sink");
        return wc_fail(error);
    }
    wc_status status = wc_sink_write(sink, bytes, count);
    return status == WC_OK ? WAVECUT_OK : wc_answer(sink->error);
}

WC_EXPORT wavecut_status wavecut_unprotect(const char *name) {
    WC_GUARD(__func__);
    if (!wc_is_running())
        return wc_out_of_order("wavecut_unprotect",
                               "belongs between wavecut_init and wavecut_finalize");
    wc_error error = {WC_OK, ""};
    if (name)
        wc_snapshot_take_back(name);
    if (!name || wc_regions_remove(&R.regions, name, &error) != WC_OK) {
        if (!name)
            wc_error_set(&error, WC_ERR_NAME, "wavecut_unprotect takes a name, not NULL");
        return wc_fail(error);
    }
    return WAVECUT_OK;
}

WC_EXPORT wavecut_status wavecut_hint(const char *name, wavecut_hint_kind hint) {
    WC_GUARD(__func__);
    if (!wc_is_running())
        return wc_out_of_order("wavecut_hint", "belongs between wavecut_init and wavecut_finalize");
    wc_error error = {WC_OK, ""};
    wc_region *r = name ? wc_regions_find(&R.regions, name) : NULL;
    if (!r)
        wc_error_set(&error, WC_ERR_NAME, "wavecut_hint: \"%s\" is not protected on this rank",
                     name ? name : "");
    else if (hint != WAVECUT_NO_HINT && hint != WAVECUT_STABLE)
        wc_error_set(&error, WC_ERR_ARGUMENT,
                     "\"%s\": wavecut_hint takes WAVECUT_NO_HINT or WAVECUT_STABLE, not %d", name,
                     (int)hint);
    else if (r->save)
        wc_error_set(&error, WC_ERR_ARGUMENT, "\"%s\": hints are for arrays", name);
    if (error.status != WC_OK)
        return wc_fail(error);
    r->stable = hint == WAVECUT_STABLE;
    return WAVECUT_OK;
}

WC_EXPORT wavecut_status wavecut_stored(const char *name, size_t *count, MPI_Datatype *type) {
    WC_GUARD(__func__);
    if (R.phase != WC_RUN_OPEN)
        return wc_out_of_order("wavecut_stored",
                               "belongs between wavecut_init and wavecut_restore");
    wc_error error = {WC_OK, ""};
    const wc_array *arrays;
    size_t n = R.chosen && name ? R.store->reader_arrays(R.chosen, &arrays) : 0;
    size_t i = n ? wc_saved_find(name) : 0;
    wc_index_row row = {0};
    /* On another number of ranks: what all had, but a part of a global array is for the program to choose. */
    bool moves = i < n && wc_saved_moves();
    if (i < n && !(moves && arrays[i].ndims) &&
        R.store->reader_index(R.chosen, i, moves ? 0 : (uint32_t)R.rank, &row, &error) != WC_OK)
        return wc_fail(error);
    if (!row.present) {
        wc_error_set(&error, WC_ERR_NOT_FOUND, "the snapshot holds no \"%s\" for rank %d",
                     name ? name : "", R.rank);
        return wc_answer(error); /* and no failure to be told on standard error */
    }
    if (count)
        *count = row.count;
    if (type)
        *type = wc_datatype_of(arrays[i].type);
    return WAVECUT_OK;
}
