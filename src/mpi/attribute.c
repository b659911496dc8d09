/* SPDX-License-Identifier: BSD-3-Clause */
/* Attributes of communicators: the bound of tags that the application sees, and what has to be done
 * where a communicator is hidden instead of freed. */
#include "layer.h"

#include <stdlib.h>

/* ---- the reserved tag ---- */

static void hide_tag(int keyval, void *value, const int *found) {
    static WC_PROCESS int tag_ub;
    if (keyval != MPI_TAG_UB || !*found || !L.tag_ub) /* 0: MPI_Init has not been called */
        return;
    tag_ub = L.tag_ub;
    *(int **)value = &tag_ub;
}

WC_EXPORT int MPI_Comm_get_attr(MPI_Comm comm, int keyval, void *value, int *found) {
    WC_GUARD(__func__);
    int rc = PMPI_Comm_get_attr(comm, keyval, value, found);
    if (rc == MPI_SUCCESS)
        hide_tag(keyval, value, found);
    return rc;
}

WC_EXPORT int MPI_Attr_get(MPI_Comm comm, int keyval, void *value, int *found);
WC_EXPORT int MPI_Attr_get(MPI_Comm comm, int keyval, void *value, int *found) {
    return MPI_Comm_get_attr(comm, keyval, value, found);
}

/* ---- of communicators that are hidden ---- */

/* With which something was ever set. */
static WC_PROCESS int *keyvals;
static WC_PROCESS size_t keyval_count;

void wc_attribute_note(int keyval) {
    for (size_t i = 0; i < keyval_count; i++)
        if (keyvals[i] == keyval)
            return;
    keyvals = wc_core_grow(keyvals, (keyval_count + 1) * sizeof *keyvals);
    keyvals[keyval_count++] = keyval;
}

WC_EXPORT int MPI_Comm_set_attr(MPI_Comm comm, int keyval, void *value) {
    WC_GUARD(__func__);
    wc_attribute_note(keyval);
    return PMPI_Comm_set_attr(comm, keyval, value);
}

#undef MPI_Attr_put
WC_EXPORT int MPI_Attr_put(MPI_Comm comm, int keyval, void *value);
WC_EXPORT int MPI_Attr_put(MPI_Comm comm, int keyval, void *value) {
    return MPI_Comm_set_attr(comm, keyval, value);
}

/* A keyval that the application has freed and that no communicator has any more is an error to MPI;
 * here it is an answer. */
static bool is_set(MPI_Comm comm, int keyval) {
    MPI_Errhandler handler;
    void *value;
    int found = 0;
    PMPI_Comm_get_errhandler(comm, &handler);
    PMPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN);
    int rc = PMPI_Comm_get_attr(comm, keyval, &value, &found);
    PMPI_Comm_set_errhandler(comm, handler);
    PMPI_Errhandler_free(&handler);
    return rc == MPI_SUCCESS && found;
}

/* The newest first: MPI 3.1, section 6.7.2, asks for no order but that of MPI_COMM_SELF. */
int wc_attributes_delete(MPI_Comm comm) {
    int rc = MPI_SUCCESS;
    for (size_t i = keyval_count; i > 0 && rc == MPI_SUCCESS; i--)
        if (is_set(comm, keyvals[i - 1]))
            rc = PMPI_Comm_delete_attr(comm, keyvals[i - 1]);
    return rc;
}
