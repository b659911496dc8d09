/* SPDX-License-Identifier: BSD-3-Clause */
/* XXH3-64, compiled in, so that no symbol of xxhash meets the program's. */
#ifndef WC_STORE_HASH_H
#define WC_STORE_HASH_H

#define XXH_INLINE_ALL
#include <xxhash.h>

#endif
