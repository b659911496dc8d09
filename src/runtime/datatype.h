/* SPDX-License-Identifier: BSD-3-Clause */
/* Predefined MPI datatypes and what they are in a snapshot. */
#ifndef WC_RUNTIME_DATATYPE_H
#define WC_RUNTIME_DATATYPE_H

#include "../store/type.h"

#include <mpi.h>

/* False: not a datatype that can be stored. */
bool wc_datatype_stored(MPI_Datatype type, wc_type *stored);

/* The C datatype for a stored type. */
MPI_Datatype wc_datatype_of(wc_type stored);

/* Writes into `text` what a datatype is made of. False: it can't be told, or doesn't fit. */
bool wc_datatype_describe(MPI_Datatype type, char *text, size_t size);

/* Makes it again, committed where that is needed: *made, and then it must be freed. False: `text` is none, or MPI refuses it. */
bool wc_datatype_make(const char *text, MPI_Datatype *type, bool *made);

/* The bytes that so many elements may touch, counted from their address: from *from up to, not including, *to; 0 and 0: none.
 * False: more than can be counted. */
bool wc_datatype_span(uint64_t count, MPI_Datatype type, int64_t *from, int64_t *to);

#endif
