/* SPDX-License-Identifier: BSD-3-Clause */
#include "copy.h"

#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>

enum { LINE = 64 }; /* whole lines of the cache are written, or it is slower than without */

static void stream(char *to, const char *from, size_t bytes) {
    for (size_t i = 0; i < bytes; i += LINE) {
        const __m128i *in = (const __m128i *)(const void *)(from + i);
        __m128i *out = (__m128i *)(void *)(to + i);
        __m128i a = _mm_loadu_si128(in), b = _mm_loadu_si128(in + 1);
        __m128i c = _mm_loadu_si128(in + 2), d = _mm_loadu_si128(in + 3);
        _mm_stream_si128(out, a);
        _mm_stream_si128(out + 1, b);
        _mm_stream_si128(out + 2, c);
        _mm_stream_si128(out + 3, d);
    }
    _mm_sfence(); /* before anything that tells others of the copy */
}

void wc_copy(void *to, const void *from, size_t bytes) {
    char *out = to;
    const char *in = from;
    size_t head = -(uintptr_t)out % LINE;
    head = head < bytes ? head : bytes;
    size_t body = (bytes - head) / LINE * LINE;
    if (head)
        memcpy(out, in, head);
    if (body)
        stream(out + head, in + head, body);
    if (bytes - head - body)
        memcpy(out + head + body, in + head + body, bytes - head - body);
}
#else
void wc_copy(void *to, const void *from, size_t bytes) {
    if (bytes)
        memcpy(to, from, bytes);
}
#endif
