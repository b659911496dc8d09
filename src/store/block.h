/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How bytes are hashed: in blocks, each with XXH3-64, so that any of them can be hashed or checked without the others, by
 * several threads, and damage has a place. The checksum of bytes is the XXH3-64 of their blocks' hashes.
 */
#ifndef WC_STORE_BLOCK_H
#define WC_STORE_BLOCK_H

#include <stddef.h>
#include <stdint.h>

enum { WC_BLOCK_BYTES = 64 << 10 };

/* In how many blocks are so many bytes cut? The last one may be shorter. */
static inline uint64_t wc_blocks(uint64_t bytes) {
    return bytes / WC_BLOCK_BYTES + (bytes % WC_BLOCK_BYTES != 0);
}

/* Bytes of a block of `bytes`. */
static inline size_t wc_block_bytes(uint64_t bytes, uint64_t block) {
    uint64_t left = bytes - block * WC_BLOCK_BYTES;
    return left < WC_BLOCK_BYTES ? (size_t)left : WC_BLOCK_BYTES;
}

/* Bytes of `count` blocks from `first` on, which are there. */
static inline uint64_t wc_blocks_bytes(uint64_t bytes, uint64_t first, uint64_t count) {
    uint64_t from = first * WC_BLOCK_BYTES, most = count * WC_BLOCK_BYTES;
    return bytes - from < most ? bytes - from : most;
}

/* hashes: [wc_blocks(bytes)] */
void wc_block_hashes(const void *from, size_t bytes, uint64_t *hashes);

uint64_t wc_block_checksum(const uint64_t *hashes, uint64_t count); /* 0: there are none */

#endif
