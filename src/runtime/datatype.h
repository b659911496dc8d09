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

#endif
