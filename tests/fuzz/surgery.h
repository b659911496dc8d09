/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Changes to a snapshot that hide themselves: whoever wants to do harm makes the checksums fit. So what stands behind each check
 * is tried too. All of it works on the bytes of a file in memory and believes nothing of them.
 */
#ifndef WC_TESTS_FUZZ_SURGERY_H
#define WC_TESTS_FUZZ_SURGERY_H

#include "store/trailer.h"

/* What the trailer says, unchecked. */
typedef struct anatomy {
    uint64_t end; /* of the HDF5 part */
    wc_extents extents;
} anatomy;

/* False: there is no trailer to be made out. */
bool anatomy_read(const unsigned char *bytes, size_t size, anatomy *a);
void anatomy_free(anatomy *a);

/* HDF5's own checksums in bytes [0, end): of the superblock and of the object headers. Returns how many did not fit. */
unsigned surgery_hdf5(unsigned char *bytes, size_t end);

/* Puts a new trailer with the extents of `a` behind a->end. Returns the new size, 0 if that can't be done in `room`. */
size_t surgery_trailer(unsigned char *bytes, size_t room, const anatomy *a);

/* Only the trailer's hash of itself. */
void surgery_seal(unsigned char *bytes, size_t size);

/* A change of a snapshot, decided by `seed`; most are followed by repairs. Returns the new size, at most `room`. */
size_t surgery_mutate(unsigned char *bytes, size_t size, size_t room, unsigned seed);

#endif
