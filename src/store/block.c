/* SPDX-License-Identifier: BSD-3-Clause */
#include "block.h"

#include "hash.h"

void wc_block_hashes(const void *from, size_t bytes, uint64_t *hashes) {
    const char *at = from;
    for (uint64_t block = 0; block < wc_blocks(bytes); block++, at += WC_BLOCK_BYTES)
        hashes[block] = XXH3_64bits(at, wc_block_bytes(bytes, block));
}

uint64_t wc_block_checksum(const uint64_t *hashes, uint64_t count) {
    return count ? XXH3_64bits(hashes, count * sizeof *hashes) : 0;
}
