/* SPDX-License-Identifier: BSD-3-Clause */
/* Who sends to whom: computed when needed, nothing is stored per rank. */
#include "scale.h"

static uint64_t next_random(uint64_t *state) {
    uint64_t x = *state += UINT64_C(0x9E3779B97F4A7C15);
    x = (x ^ x >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ x >> 27) * UINT64_C(0x94D049BB133111EB);
    return x ^ x >> 31;
}

/* The torus that is nearest to a cube. */
static bool make_torus(scale_shape *shape) {
    uint32_t n = shape->ranks, best = UINT32_MAX;
    for (uint32_t a = 3; a * a <= n && a * a * a <= n; a++)
        for (uint32_t b = a; n % a == 0 && a * b * b <= n; b++) {
            uint32_t c = n / a / b;
            if (a * b * c != n || a + b + c >= best)
                continue;
            best = a + b + c;
            shape->side[0] = a;
            shape->side[1] = b;
            shape->side[2] = c;
        }
    shape->degree = 26;
    return best != UINT32_MAX;
}

/* 1/a modulo n, or 0 if there is none. */
static uint64_t invert(uint64_t a, uint64_t n) {
    int64_t t = 0, next = 1, r = (int64_t)n, rest = (int64_t)(a % n);
    while (rest) {
        int64_t q = r / rest, swap = t - q * next;
        t = next;
        next = swap;
        swap = r - q * rest;
        r = rest;
        rest = swap;
    }
    return r == 1 ? (uint64_t)(t < 0 ? t + (int64_t)n : t) : 0;
}

/* Each k is a permutation of the ranks: degree in and out are the same. */
static bool make_graph(scale_shape *shape, uint64_t seed) {
    shape->degree = 8;
    for (uint32_t k = 0; k < shape->degree; k++) {
        do {
            shape->factor[k] = next_random(&seed) % shape->ranks;
            shape->inverse[k] = invert(shape->factor[k], shape->ranks);
        } while (!shape->inverse[k]);
        shape->offset[k] = next_random(&seed) % shape->ranks;
    }
    return true;
}

bool scale_shape_make(scale_shape *shape, scale_shape_kind kind, uint32_t ranks, uint64_t seed) {
    *shape = (scale_shape){.kind = kind, .ranks = ranks, .degree = 2};
    if (ranks < 2)
        return false;
    if (kind == SHAPE_STENCIL)
        return make_torus(shape);
    if (kind == SHAPE_GRAPH)
        return make_graph(shape, seed);
    if (kind == SHAPE_ALL)
        shape->degree = ranks - 1;
    return true;
}

static uint32_t on_torus(const scale_shape *shape, uint32_t rank, uint32_t k) {
    const uint32_t *side = shape->side;
    uint32_t at[3] = {rank % side[0], rank / side[0] % side[1], rank / side[0] / side[1]};
    uint32_t cell = k < 13 ? k : k + 1; /* of 27; the middle one is the rank itself */
    for (int d = 0; d < 3; d++, cell /= 3)
        at[d] = (at[d] + side[d] + cell % 3 - 1) % side[d];
    return at[0] + side[0] * (at[1] + side[1] * at[2]);
}

uint32_t scale_shape_out(const scale_shape *shape, uint32_t rank, uint32_t k) {
    uint32_t n = shape->ranks;
    switch (shape->kind) {
    case SHAPE_STENCIL:
        return on_torus(shape, rank, k);
    case SHAPE_GRAPH:
        return (uint32_t)((shape->factor[k] * rank + shape->offset[k]) % n);
    case SHAPE_ALL:
        return (rank + 1 + k) % n;
    default:
        if (k == 0)
            return rank ? rank - 1 : NO_RANK;
        return rank + 1 < n ? rank + 1 : NO_RANK;
    }
}

void scale_shape_outs(const scale_shape *shape, uint32_t rank, uint32_t *outs) {
    if (shape->kind != SHAPE_STENCIL) {
        for (uint32_t k = 0; k < shape->degree; k++)
            outs[k] = scale_shape_out(shape, rank, k);
        return;
    }
    const uint32_t *side = shape->side;
    uint32_t near[3][3],
        at[3] = {rank % side[0], rank / side[0] % side[1], rank / side[0] / side[1]};
    uint32_t stride = 1;
    for (int d = 0; d < 3; stride *= side[d], d++) {
        near[d][0] = (at[d] ? at[d] - 1 : side[d] - 1) * stride;
        near[d][1] = at[d] * stride;
        near[d][2] = (at[d] + 1 < side[d] ? at[d] + 1 : 0) * stride;
    }
    for (int cell = 0; cell < 27; cell++)
        if (cell != 13) /* the rank itself */
            *outs++ = near[0][cell % 3] + near[1][cell / 3 % 3] + near[2][cell / 9];
}

uint32_t scale_shape_in(const scale_shape *shape, uint32_t rank, uint32_t k) {
    uint64_t n = shape->ranks;
    switch (shape->kind) {
    case SHAPE_STENCIL:
        return on_torus(shape, rank, 25 - k);
    case SHAPE_GRAPH:
        return (uint32_t)((rank + n - shape->offset[k]) % n * shape->inverse[k] % n);
    case SHAPE_ALL:
        return (uint32_t)((rank + n - 1 - k) % n);
    default:
        return scale_shape_out(shape, rank, 1 - k);
    }
}

uint32_t scale_shape_receivers(const scale_shape *shape, uint32_t rank, uint32_t mask) {
    uint32_t seen[MASK_BITS], n = 0;
    if (shape->degree > MASK_BITS) /* programs in steps use all or none */
        return mask ? shape->degree : 0;
    for (uint32_t k = 0; k < shape->degree; k++) {
        uint32_t to = scale_shape_out(shape, rank, k), i = 0;
        if (!(mask >> k & 1) || to == NO_RANK)
            continue;
        while (i < n && seen[i] != to)
            i++;
        seen[i] = to;
        n += i == n;
    }
    return n;
}
