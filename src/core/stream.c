/* SPDX-License-Identifier: BSD-3-Clause */
#include "stream.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Channels and streams begin alike, so that one table serves both. */
typedef struct keyed {
    wc_comm *comm;
    int peer, tag;
} keyed;

/* Never written: it matches nothing. */
static const wc_stream no_stream = {.tag = INT_MIN};

void *wc_core_alloc(size_t bytes) {
    return wc_core_grow(NULL, bytes);
}

void *wc_core_grow(void *old, size_t bytes) {
    void *p = realloc(old, bytes ? bytes : 1);
    if (!p) {
        fprintf(stderr, "wavecut: out of memory for %zu bytes of bookkeeping\n", bytes);
        abort();
    }
    if (!old)
        memset(p, 0, bytes);
    return p;
}

static size_t hash(const wc_comm *comm, int peer, int tag) {
    uint64_t x =
        ((uint64_t)(unsigned)peer << 32 | (unsigned)tag) ^ comm->uid * UINT64_C(0x9E3779B97F4A7C15);
    x ^= x >> 31;
    x *= UINT64_C(0xBF58476D1CE4E5B9);
    return (size_t)(x ^ x >> 29);
}

static void **find_slot(void **slots, size_t mask, const wc_comm *comm, int peer, int tag) {
    size_t i = hash(comm, peer, tag) & mask;
    for (;; i = (i + 1) & mask) {
        const keyed *k = slots[i];
        if (!k || (k->comm == comm && k->peer == peer && k->tag == tag))
            return &slots[i];
    }
}

static void rebuild(void ***slots, size_t *mask, size_t size) {
    void **old = *slots;
    size_t n = old ? *mask + 1 : 0;
    *slots = wc_core_alloc(size * sizeof **slots);
    *mask = size - 1;
    for (size_t i = 0; i < n; i++)
        if (old[i]) {
            keyed *k = old[i];
            *find_slot(*slots, *mask, k->comm, k->peer, k->tag) = k;
        }
    free(old);
}

static void make_room(void ***slots, size_t *mask, size_t count) {
    if (!*slots)
        rebuild(slots, mask, 64);
    else if (count * 2 > *mask)
        rebuild(slots, mask, (*mask + 1) * 2);
}

wc_channel *wc_channel_get(wc_channels *channels, wc_comm *comm, int peer) {
    make_room(&channels->slots, &channels->mask, channels->count);
    void **slot = find_slot(channels->slots, channels->mask, comm, peer, 0);
    if (!*slot) {
        wc_channel *c = wc_core_alloc(sizeof *c);
        *c = (wc_channel){.comm = comm, .peer = peer};
        *slot = c;
        channels->count++;
    }
    return *slot;
}

wc_stream *wc_stream_get(wc_streams *streams, wc_channels *channels, wc_comm *comm, int peer,
                         int tag) {
    make_room(&streams->slots, &streams->mask, streams->count);
    void **slot = find_slot(streams->slots, streams->mask, comm, peer, tag);
    if (!*slot) {
        wc_stream *s = wc_core_alloc(sizeof *s);
        *s = (wc_stream){.comm = comm,
                         .peer = peer,
                         .tag = tag,
                         .channel = wc_channel_get(channels, comm, peer)};
        s->sibling = s->channel->streams;
        s->channel->streams = s;
        *slot = s;
        streams->count++;
    }
    return *slot;
}

void wc_streams_init(wc_streams *streams, wc_direction direction) {
    *streams = (wc_streams){.direction = direction};
}

void wc_streams_forget(wc_comm *comm) {
    for (int d = 0; d < WC_DIRECTIONS; d++)
        for (int i = 0; i < WC_STREAM_CACHE; i++)
            comm->cache[d][i] = (wc_stream *)&no_stream;
}

static void unlink_stream(wc_stream *s) {
    wc_stream **at = &s->channel->streams;
    while (*at != s)
        at = &(*at)->sibling;
    *at = s->sibling;
}

void wc_streams_drop(wc_streams *streams, bool (*settled)(const wc_stream *)) {
    WC_EACH(streams, wc_stream, s) {
        if (!s->pinned && settled(s)) {
            unlink_stream(s);
            wc_stream **seen = wc_stream_slot(s->comm, streams->direction, s->peer, s->tag);
            if (*seen == s)
                *seen = (wc_stream *)&no_stream;
            s->channel->settled += s->handed;
            streams->slots[s_i] = NULL;
            streams->count--;
            free(s);
        }
    }
    if (streams->slots)
        rebuild(&streams->slots, &streams->mask, streams->mask + 1);
}

void wc_streams_drop_comm(wc_streams *streams, wc_channels *channels, const wc_comm *comm) {
    WC_EACH(streams, wc_stream, s) {
        if (s->comm != comm)
            continue;
        streams->slots[s_i] = NULL;
        streams->count--;
        free(s);
    }
    WC_EACH(channels, wc_channel, c) {
        if (c->comm != comm)
            continue;
        channels->slots[c_i] = NULL;
        channels->count--;
        free(c);
    }
    if (streams->slots)
        rebuild(&streams->slots, &streams->mask, streams->mask + 1);
    if (channels->slots)
        rebuild(&channels->slots, &channels->mask, channels->mask + 1);
}

static void free_slots(void **slots, size_t mask) {
    for (size_t i = 0; slots && i <= mask; i++)
        free(slots[i]);
    free(slots);
}

void wc_streams_free(wc_streams *streams) {
    free_slots(streams->slots, streams->mask);
    wc_streams_init(streams, streams->direction);
}

void wc_channels_free(wc_channels *channels) {
    free_slots(channels->slots, channels->mask);
    *channels = (wc_channels){0};
}
