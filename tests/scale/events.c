/* SPDX-License-Identifier: BSD-3-Clause */
/* A calendar: days are lists without order, today is a heap. What lies beyond the calendar's last
 * day waits in a list of its own until the calendar has been turned over. */
#include "scale.h"

#include <stdlib.h>

enum { DAYS = 1 << 15 };

static struct {
    scale_node *nodes;
    uint32_t count, room, free;
    uint32_t days[DAYS], later; /* lists */
    int64_t day_ns, start;      /* start: of day 0 */
    uint32_t today;
    uint32_t *heap;
    size_t heap_count, heap_room;
    uint64_t waiting; /* in days and later */
} E;

void scale_events_open(int64_t span_ns) {
    E.day_ns = span_ns / DAYS + 1;
    E.count = 1; /* NO_NODE stays unused */
}

void scale_events_close(void) {
    free(E.nodes);
    free(E.heap);
    E = (typeof(E)){0};
}

uint32_t scale_node_new(const scale_node *node) {
    uint32_t i = E.free;
    if (i) {
        E.free = E.nodes[i].next;
    } else {
        if (E.count >= E.room) {
            E.room = E.room ? E.room + E.room / 2 : 1024;
            E.nodes = wc_core_grow(E.nodes, E.room * sizeof *E.nodes);
        }
        i = E.count++;
    }
    E.nodes[i] = *node;
    return i;
}

void scale_node_free(uint32_t node) {
    E.nodes[node].next = E.free;
    E.free = node;
}

scale_node *scale_node_at(uint32_t node) {
    return &E.nodes[node];
}

/* A total order, so that a run is the same each time. */
static bool before(uint32_t a, uint32_t b) {
    const scale_node *x = &E.nodes[a], *y = &E.nodes[b];
    if (x->time != y->time)
        return x->time < y->time;
    if (x->to != y->to)
        return x->to < y->to;
    if (x->kind != y->kind)
        return x->kind < y->kind;
    return x->from != y->from ? x->from < y->from : x->value < y->value;
}

static void heap_add(uint32_t node) {
    if (E.heap_count == E.heap_room) {
        E.heap_room = E.heap_room ? E.heap_room * 2 : 1024;
        E.heap = wc_core_grow(E.heap, E.heap_room * sizeof *E.heap);
    }
    size_t i = E.heap_count++;
    for (; i && before(node, E.heap[(i - 1) / 2]); i = (i - 1) / 2)
        E.heap[i] = E.heap[(i - 1) / 2];
    E.heap[i] = node;
}

static uint32_t heap_take(void) {
    uint32_t top = E.heap[0], last = E.heap[--E.heap_count];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= E.heap_count)
            break;
        if (child + 1 < E.heap_count && before(E.heap[child + 1], E.heap[child]))
            child++;
        if (!before(E.heap[child], last))
            break;
        E.heap[i] = E.heap[child];
        i = child;
    }
    E.heap[i] = last;
    return top;
}

static void file(uint32_t node) {
    int64_t day = (E.nodes[node].time - E.start) / E.day_ns;
    if (day <= E.today) {
        heap_add(node);
        return;
    }
    uint32_t *list = day < DAYS ? &E.days[day] : &E.later;
    E.nodes[node].next = *list;
    *list = node;
    E.waiting++;
}

void scale_event_add(const scale_node *node) {
    file(scale_node_new(node));
}

/* Takes a list apart and files its nodes anew. */
static void file_all(uint32_t *list) {
    uint32_t node = *list;
    *list = NO_NODE;
    while (node) {
        uint32_t next = E.nodes[node].next;
        E.waiting--;
        file(node);
        node = next;
    }
}

uint32_t scale_event_next(void) {
    while (!E.heap_count && E.waiting) {
        if (++E.today == DAYS) {
            E.start += DAYS * E.day_ns;
            E.today = 0;
            file_all(&E.later);
        }
        file_all(&E.days[E.today]);
    }
    return E.heap_count ? heap_take() : NO_NODE;
}

void scale_list_add(scale_list *list, uint32_t node) {
    E.nodes[node].next = NO_NODE;
    if (list->first)
        E.nodes[list->last].next = node;
    else
        list->first = node;
    list->last = node;
}

uint32_t scale_list_take(scale_list *list) {
    uint32_t node = list->first;
    if (node)
        list->first = E.nodes[node].next;
    return node;
}
